"""What holds for every stage: its form, halving, resuming, and that it refuses what a purifier may not return."""

import importlib
import inspect
import pkgutil
import random
from functools import partial

import numpy as np
import pytest
import torch
from jobs import Stopped, Watched, checked, job

import purity.stages
from purity import attacks, contract, purifiers
from purity.attacks import Attack
from purity.noise import Noise
from purity.run.progress import Done

N, SOME, XI = 8, 4, Noise(3, torch.arange(8) + 40)
PGD = Attack(attacks.pgd, {"epsilon": 0.1, "steps": 2, "relative_step": 0.4})
MEMBER = {"sampler": "ancestral", "t": 30, "steps": 2, "recompute": False}  # as ddpm below
EOT = PGD._replace(options=PGD.options | {"draws": 2})

MODULES = [
    importlib.import_module(f"purity.stages.{found.name}") for found in pkgutil.iter_modules(purity.stages.__path__)
]


def is_stage(function) -> bool:
    job_of = inspect.signature(function).parameters.get("job")
    return job_of is not None and job_of.kind == inspect.Parameter.KEYWORD_ONLY


FUNCTIONS = {
    name: function
    for module in MODULES
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and is_stage(function)
}

# How many images, rows or points at once, and how many batches the work falls into then.
BATCHES = {
    "attack": (2, 4),
    "purify_and_judge": (2, 4),
    "states": (2, 4),
    "sample_ball": (6, 4),
    "jacobian": (64, 4),  # a whole image; rows of one are done apart (test_jacobian.py)
    "ball_spectrum": (7, 4),
    "probe": (2, 4),
    "budget": (2, 4),
    "judgings": (2, 4),
    "adversarial_cap": (2, 6),  # of images two, and of maps four
    "margins": (2, 4),
    "attack_paths": (3, 8),  # white_box and eot three each, dw_box two
    "loss_landscape": (9, 4),
    "samples": (4, 6),  # of samples four, and of images two
    "trial": (2, 4),
    "verify": (4, 10),  # of images two for each of three attacks and to judge, and of Jacobians two
}
APART = {"search"}  # what it has done lies beside the output, by candidate (test_search.py)
DEFENDED = [name for name, function in FUNCTIONS.items() if "purify" in inspect.signature(function).parameters]


def arguments(name: str, x0: np.ndarray, y: np.ndarray) -> dict:
    """What a stage is given beside its job, classifier and purifier."""
    noisy, x = (np.clip(x0 + shift, 0, 1).astype(x0.dtype) for shift in (0.05, -0.08))
    paths = {"dw_box": noisy, "eot": x}
    images, some = {"x0": x0, "y": y, "xi": XI}, {"x0": x0[:SOME], "y": y[:SOME], "xi": XI}
    dw_box, eot = (np.stack([x0[:SOME], end[:SOME]], axis=1)[:, None] for end in paths.values())
    given = {
        "attack": images | {"attack": PGD, "knowledge": "all"},
        "purify_and_judge": images | {"x": noisy, "fresh_draws": 2, "knowledge": "forward"},
        "states": {"x0": x0, "x": x, "xi": XI},
        "sample_ball": some | {"epsilon": 0.1, "points": 3, "draws": 2},
        "jacobian": some | {"mode": "rows"},
        "ball_spectrum": some | {"epsilon": 0.1, "points": 20},
        "probe": images | {"noisy": noisy, "x": x, "x_protocol": x},
        "trial": images | {"noisy": noisy, "attack": PGD},
        "budget": images | {"attack": PGD, "scales": [0.5, 1.0]},
        "judgings": {"x": x, "xi": XI, "judgings": 3},
        "adversarial_cap": some
        | {"x": x[:SOME], "other": noisy[::-1][:SOME].copy(), "radius": 2.0, "points": 5, "slices": 2, "lattice": 5},
        "margins": images | {"x": x, "anchor": x0, "purified": noisy, "reach": 5.0},
        "attack_paths": some | {"attack": PGD, "eot": EOT, "repeats": 2},
        "loss_landscape": some | {"dw_box": dw_box, "eot": eot, "points": 3, "reach": 2.0},
        "samples": {"x0": x0, "xi": XI, "draws": 2},
        "verify": images
        | {"noisy": noisy, "member": MEMBER, "attack": PGD, "eot": EOT}
        | {"judgings": 2, "jacobians": 2},
    }[name]
    return given


def called(name: str, given: dict) -> dict[str, np.ndarray]:
    """The stage, handed of `given` what its arguments are called, as the pipeline does."""
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    return FUNCTIONS[name](**{key: value for key, value in given.items() if key in parameters})


def ddpm(network):
    # recompute: a chain that measures its memory asks once more in its first batch
    return checked(
        purifiers.ddpm(network, t=30, steps=2, sigma="small", clip=True, forward="one-step", recompute=False)
    )


def stage(name: str, x0, cnn, unet, batch: int, done: Done | None = None, **watching) -> tuple[dict, list[int]]:
    """A stage by its name; and how many images its networks saw in each call."""
    y = cnn(torch.from_numpy(x0)).argmax(1).numpy()
    counter: list[int] = []
    classify, network = (Watched(made, counter, **watching) for made in (cnn, unet))
    given = {"job": job(batch, done), "classify": classify, "purify": ddpm(network), "network": network}
    return called(name, given | arguments(name, x0, y)), counter


def same(found: dict, wanted: dict) -> None:
    """Byte for byte."""
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape), name
        assert np.ascontiguousarray(found[name]).tobytes() == np.ascontiguousarray(value).tobytes(), name


# Form.


def test_these_are_all_the_stages():
    assert set(FUNCTIONS) == set(BATCHES) | APART and len(MODULES) == 17  # arguments.py makes what they are given


@pytest.mark.parametrize("name", BATCHES)
def test_a_stage_takes_its_arrays_then_noise_and_all_else_by_keyword(name):
    of_kind = {kind: [] for kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)}
    for parameter in inspect.signature(FUNCTIONS[name]).parameters.values():
        of_kind[parameter.kind].append(parameter.name)
    arrays, keywords = of_kind.values()
    assert arrays[-1:] == ["xi"] or name == "margins"  # nothing is random there
    assert set(arrays) <= {"x0", "y", "x", "x_protocol", "noisy", "other", "anchor", "purified", "dw_box", "eot", "xi"}
    assert keywords[0] == "job" and not {"batch", "device", "progress", "name", "done", "kept"} & set(keywords)


@pytest.mark.parametrize("name", BATCHES)
def test_a_stage_returns_arrays_whose_images_are_on_the_axes_that_its_module_says(name, images, cnn, unet):
    made, _ = stage(name, images[:N].numpy(), cnn, unet, batch=100)
    n = len(arguments(name, images[:N].numpy(), np.zeros(N, np.int64)).get("x0", images[:N]))
    axes = getattr(importlib.import_module(FUNCTIONS[name].__module__), "AXES", {})
    for key, value in made.items():
        axis = axes.get(key, 0)
        assert isinstance(value, np.ndarray | np.generic), key
        assert axis is None or value.shape[axis] == n, key


# Batches.


@pytest.mark.parametrize("room", [1, 3])
@pytest.mark.parametrize("name", BATCHES)
def test_a_stage_whose_batches_are_halved_says_what_it_says_undisturbed(name, room, images, cnn64, unet64):
    """To the rounding of sums in another order: 1e-15 of numbers of about 1, through four networks of a few layers, with
    derivatives of 10 at the most; a mistake in the rows is one of 0.01."""
    x0 = images[:N].double().numpy()
    wanted, seen = stage(name, x0, cnn64, unet64, batch=8)
    found, seen_halved = stage(name, x0, cnn64, unet64, batch=8, room=room)
    assert max(seen) > room >= max(seen_halved)
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert (found[key].dtype, found[key].shape) == (value.dtype, value.shape), key
        assert found[key] == pytest.approx(value, rel=1e-9, abs=1e-10, nan_ok=True), key


@pytest.mark.parametrize("name", BATCHES)
def test_a_stage_for_which_one_image_is_too_much_says_so(name, images, cnn64, unet64):
    with pytest.raises(torch.OutOfMemoryError, match="no room for 1"):
        stage(name, images[:N].double().numpy(), cnn64, unet64, batch=4, room=0)


def batches(done: Done) -> int:
    """How many are done, of all parts of the work."""
    return len(list(done.place.rglob("rows-*")))


class Noting(Done):
    """Notes how many calls of networks there were when a batch was done."""

    counter, ends = None, None

    def add(self, rows, part) -> None:
        super().add(rows, part)
        self.ends.append(len(self.counter))


def undisturbed(name, x0, cnn, unet, tmp_path) -> tuple[dict, list[int], list[int]]:
    """What a stage leaves, how many images its networks saw in each call, and how many calls each batch ended after."""
    done, counter = Noting(tmp_path / "undisturbed.zarr.zip", {"spec": name}), []
    done.counter, done.ends = counter, []
    classify, network = (Watched(made, counter) for made in (cnn, unet))
    given = {"job": job(BATCHES[name][0], done), "classify": classify, "purify": ddpm(network), "network": network}
    y = cnn(torch.from_numpy(x0)).argmax(1).numpy()
    return called(name, given | arguments(name, x0, y)), counter, done.ends


@pytest.fixture
def only_its_own_calls(monkeypatch):
    """Networks are called by the stage alone, and not to see what rows are without company."""
    monkeypatch.setattr(contract._Company, "compare", lambda *given: None)


@pytest.mark.usefixtures("only_its_own_calls")
@pytest.mark.parametrize("name", BATCHES)
def test_a_stage_that_was_interrupted_goes_on_to_the_same_bytes(name, images, cnn, unet, tmp_path):
    """Interrupted in any call of a network, it does what is missing and no more. In float32, as the pipeline has it:
    batches are the same, so sums are."""
    x0 = images[:N].numpy()
    wanted, calls, ends = undisturbed(name, x0, cnn, unet, tmp_path)
    assert len(ends) == BATCHES[name][1] and ends[-1] == len(calls)
    run, chosen = partial(stage, name, x0, cnn, unet, BATCHES[name][0]), random.Random(name)
    same(run()[0], wanted)  # nothing is remembered, nothing is different
    for stopped_in in {0, len(calls) - 1, *(chosen.randrange(len(calls)) for _ in range(3))}:
        done = Done(tmp_path / f"{stopped_in}.zarr.zip", {"spec": name})
        with pytest.raises(Stopped):
            run(done, stopped_in=stopped_in)
        before = [end for end in ends if end <= stopped_in]
        assert batches(done) == len(before)
        found, rest = run(done)
        same(found, wanted)
        assert len(rest) == len(calls) - max(before, default=0)


@pytest.mark.usefixtures("only_its_own_calls")
@pytest.mark.parametrize("name", BATCHES)
def test_a_stage_that_was_interrupted_again_and_again_ends_all_the_same(name, images, cnn, unet, tmp_path):
    """Each time one batch further: to stop in the call after the first batch that is left is to have done that one."""
    x0 = images[:N].numpy()
    wanted, calls, ends = undisturbed(name, x0, cnn, unet, tmp_path)
    run, done = partial(stage, name, x0, cnn, unet, BATCHES[name][0]), Done(tmp_path / "out.zarr.zip", {"spec": name})
    for number, (begin, end) in enumerate(zip([0, *ends], ends[:-1], strict=False), start=1):
        with pytest.raises(Stopped):
            run(done, stopped_in=end - begin)
        assert batches(done) == number
    found, rest = run(done)
    same(found, wanted)
    assert len(rest) == len(calls) - ends[-2]
    found, rest = run(done)  # all is there
    same(found, wanted)
    assert rest == []


# Purifiers.


def refused(x, xi):
    return x + 1


@pytest.mark.parametrize("name", DEFENDED)
def test_a_purifier_that_returns_no_images_is_refused_by_its_name(name, images, cnn):
    x0 = images[:N].numpy()
    given = {"job": job(), "classify": cnn, "purify": checked(refused, "brighter")}
    with pytest.raises(ValueError, match=r"purifier 'brighter' returned values from .*, which leave \[0, 1\]"):
        called(name, given | arguments(name, x0, np.zeros(N, np.int64)))


@pytest.mark.parametrize("name", ["purify_and_judge", "states"])
def test_a_purifier_whose_last_state_is_no_image_is_refused_by_its_name(name, images, cnn):
    class Shown:
        def __call__(self, x, xi):
            return x + 1

        def states(self, x, xi):
            yield from ((0, x), (1, x - 1), (2, x + 1))

    given = {"job": job(), "classify": cnn, "purify": checked(Shown(), "brighter")}
    with pytest.raises(ValueError, match="purifier 'brighter' returned values"):
        called(name, given | arguments(name, images[:N].numpy(), np.zeros(N, np.int64)))
