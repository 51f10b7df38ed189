"""Any batch gives the same arrays, what is done is not done again, and a batch that does not fit is halved."""

import inspect
import random
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from purity import attacks, purifiers, stages, stages_compression, stages_earlier, stages_stochastic
from purity.noise import Noise
from purity.run.batches import Size, blocks, in_batches
from purity.run.progress import Kept

N = 23
KINDS = {"f4": (3, 4), "f8": (), "i2": (2,), "?": (), "i8": (1, 2, 2)}


@pytest.fixture(scope="module")
def whole():
    """An array of each kind, with a row for each image."""
    numbers = np.random.default_rng(0)
    return {kind: (9 * numbers.random((N, *shape)) - 4).astype(kind) for kind, shape in KINDS.items()}


class Stopped(Exception):
    """What interrupts a job here."""


class Computing:
    """Looks its rows up in `whole` and remembers them. It has room for `room` at once, and is stopped in a call."""

    def __init__(self, whole, room=N, error=None, stopped_in=None):
        self.whole, self.room, self.error, self.stopped_in = (
            whole,
            room,
            error or torch.OutOfMemoryError("no"),
            stopped_in,
        )
        self.calls: list[list[int]] = []  # those that came to an end
        self.sizes: list[int] = []  # of all

    def __call__(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        self.sizes.append(len(rows))
        if len(rows) > self.room:
            raise self.error
        if len(self.calls) == self.stopped_in:
            raise Stopped
        self.calls.append(rows.tolist())
        return {name: torch.from_numpy(array[rows.numpy()]) for name, array in self.whole.items()}

    @property
    def rows(self) -> list[int]:
        return [row for call in self.calls for row in call]


def same(found: dict, wanted: dict) -> None:
    """Byte for byte."""
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape), name
        assert np.ascontiguousarray(found[name]).tobytes() == np.ascontiguousarray(value).tobytes(), name


# Batches.


@pytest.mark.parametrize("batch", [1, 2, 5, N - 1, N, 1000])
def test_any_batch_gives_the_same_arrays_of_rows_met_once_each_in_order(batch, whole):
    computing = Computing(whole)
    same(in_batches(N, batch, computing), whole)
    assert computing.rows == list(range(N))
    assert set(computing.sizes[:-1]) <= {batch} and computing.sizes[-1] <= batch


def test_blocks_of_nothing_are_none_and_their_rows_can_index():
    assert [len(rows) for rows in blocks(7, 3)] == [3, 3, 1]
    assert [len(rows) for rows in blocks(0, 3)] in ([], [0])
    assert all(rows.dtype == torch.int64 for rows in blocks(7, 3))


def test_progress_is_told_of_the_batches_that_are_left(whole, kept):
    interrupted(whole, kept(), batch=4, after=2)
    told = []

    def progress(items):
        told.append(len(items))
        return iter(items)

    in_batches(N, 4, Computing(whole), kept(), progress)
    assert told == [4]


# What is kept.


@pytest.fixture
def kept(tmp_path):
    """kept(**depends): what is kept for an output that depends on this; there is another output beside it."""
    return lambda output="out.zarr.zip", **depends: Kept(tmp_path / "deep" / output, {"spec": {"t": 1}} | depends)


def interrupted(whole, kept: Kept, batch: int, after: int, **options) -> Computing:
    computing = Computing(whole, stopped_in=after, **options)
    with pytest.raises(Stopped):
        in_batches(N, batch, computing, kept)
    return computing


def files(kept: Kept) -> list[Path]:
    return sorted(kept.place.iterdir()) if kept.place.exists() else []


@pytest.mark.parametrize("after", [0, 1, 3, 5])
def test_a_job_that_was_interrupted_does_exactly_what_is_missing(after, whole, kept):
    first, rerun = interrupted(whole, kept(), 4, after), Computing(whole)
    same(in_batches(N, 4, rerun, kept()), whole)
    assert len(first.rows) == 4 * after and first.rows + rerun.rows == list(range(N))


def test_what_is_all_there_is_not_computed_again(whole, kept):
    in_batches(N, 4, Computing(whole), kept())
    rerun = Computing(whole)
    same(in_batches(N, 4, rerun, kept()), whole)
    assert rerun.calls == []


def test_a_job_interrupted_in_every_batch_gets_on_by_one_each_time(whole, kept):
    for done in range(6):
        assert sum(len(rows) for rows, _ in kept().parts()) == 4 * done
        if done < 5:
            interrupted(whole, kept(), 4, after=1)
    same(in_batches(N, 4, Computing(whole), kept()), whole)


@pytest.mark.parametrize("batch", [1, 3, 5, 11, 100])
def test_another_batch_picks_up_what_is_there(batch, whole, kept):
    """Whatever the order of the two sizes: rows that are there are in no batch."""
    first, rerun = interrupted(whole, kept(), 4, after=3), Computing(whole)
    same(in_batches(N, batch, rerun, kept()), whole)
    assert sorted(first.rows + rerun.rows) == list(range(N)) and max(rerun.sizes) <= batch


def test_the_log_says_how_many_images_are_there(whole, kept, caplog):
    caplog.set_level("INFO")
    interrupted(whole, kept(), 4, after=3)
    assert "are there" not in caplog.text
    in_batches(N, 4, Computing(whole), kept())
    assert "12 of 23 images are there" in caplog.text


@pytest.mark.parametrize(
    "other",
    [
        {"spec": {"t": 2}},
        {"spec": {"t": "1"}},
        {"code": "another"},
        {"inputs": {"subset": "another"}},
        {"output": "other.zarr.zip"},
    ],
)
def test_a_job_of_another_kind_finds_nothing_and_takes_nothing_away(other, whole, kept):
    interrupted(whole, kept(), 4, after=3)
    there = files(kept())
    assert list(kept(**other).parts()) == []
    turned = {name: array[::-1].copy() for name, array in whole.items()}
    same(in_batches(N, 4, Computing(turned), kept(**other)), turned)
    assert files(kept()) == there
    same(in_batches(N, 4, Computing(whole), kept()), whole)


def test_the_order_of_what_a_job_depends_on_is_nothing_to_it(tmp_path):
    a, b = Kept(tmp_path / "a", {"x": 1, "y": {"b": 2, "a": [1, None]}}), {"y": {"a": [1, None], "b": 2}, "x": 1}
    assert Kept(tmp_path / "a", b).place == a.place


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "short by a byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "flipped": lambda path: path.write_bytes(bytes(b ^ 0xFF for b in path.read_bytes())),
    "gone": lambda path: path.unlink(),
    "no store": lambda path: zipfile.ZipFile(path, "w").close(),
}


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_batch_is_done_again_and_no_other_is(damage, which, whole, kept):
    first, rerun = interrupted(whole, kept(), 4, after=3), Computing(whole)
    DAMAGE[damage](files(kept())[which])
    same(in_batches(N, 4, rerun, kept()), whole)
    assert sorted(rerun.rows) == sorted(first.calls[which] + list(range(12, N)))
    assert sum(len(rows) for rows, _ in kept().parts()) == N  # and the damaged file has been replaced


def test_a_damaged_batch_is_named_in_the_log(whole, kept, caplog):
    caplog.set_level("INFO")
    interrupted(whole, kept(), 4, after=3)
    DAMAGE["truncated"](files(kept())[1])
    in_batches(N, 4, Computing(whole), kept())
    assert files(kept())[1].name in caplog.text


def test_holes_of_damaged_batches_may_lie_in_one_batch(whole, kept):
    """Its rows are no run of neighbours then, and are put where they belong, also if it is stopped again."""
    interrupted(whole, kept(), 2, after=8)
    for which in (0, 2, 5):
        files(kept())[which].write_bytes(b"")
    again = interrupted(whole, kept(), 8, after=1)
    assert again.calls == [[0, 1, 4, 5]]
    rerun = Computing(whole)
    same(in_batches(N, 3, rerun, kept()), whole)
    assert sorted(rerun.rows) == [10, 11, *range(16, N)]


def test_what_a_killed_write_leaves_is_harmless(whole, kept):
    interrupted(whole, kept(), 4, after=3)
    done = files(kept())[0]
    for content in (b"", done.read_bytes()[:100], done.read_bytes()):
        (kept().place / f".{done.stem}-{len(content)}.tmp.zip").write_bytes(content)
    rerun = Computing(whole)
    same(in_batches(N, 4, rerun, kept()), whole)
    assert rerun.rows == list(range(12, N))


def test_once_cleared_nothing_is_left_of_this_key_and_of_others_but_all_else_is(whole, kept):
    for made in (kept(), kept(code="another"), kept("other.zarr.zip")):
        interrupted(whole, made, 4, after=2)
    (kept().place / ".rows-x.tmp.zip").write_bytes(b"")
    output = kept().folder.with_suffix("")
    output.write_bytes(b"the output")
    kept().clear()
    left = {output, kept("other.zarr.zip").folder}
    assert set(output.parent.iterdir()) == left and len(files(kept("other.zarr.zip"))) == 2
    kept().clear()  # nor is it an error that nothing is there
    assert set(output.parent.iterdir()) == left


@pytest.mark.parametrize("batch", [N, 1000])
def test_a_single_batch_keeps_nothing(batch, whole, kept):
    same(in_batches(N, batch, Computing(whole), kept()), whole)
    assert not kept().folder.exists()


# Halving.

MAKE = {
    "torch": lambda: torch.OutOfMemoryError("Tried to allocate 2 GiB"),
    "host": lambda: MemoryError(),
    "cuda": lambda: RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\nsecond line"),
    "cpu": lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
    "cublas": lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
}


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("batch", [2, 5, 16, 100])
@pytest.mark.parametrize("room", [1, 3, 4, 10])
def test_all_rows_are_computed_in_order_however_few_fit(room, batch, kind, whole):
    computing = Computing(whole, room, MAKE[kind]())
    same(in_batches(N, batch, computing), whole)
    assert computing.rows == list(range(N))


@pytest.mark.parametrize("batch", [2, 5, 16, 23])
@pytest.mark.parametrize("room", [1, 3, 4, 10])
def test_a_size_that_did_not_fit_is_not_tried_again_and_not_made_smaller_than_it_must_be(room, batch, whole):
    computing = Computing(whole, room)
    in_batches(N, batch, computing)
    size, tried = batch, []
    while size > room:
        tried.append(size)
        size //= 2
    assert computing.sizes[: len(tried)] == tried
    assert max(computing.sizes[len(tried) :]) == size
    # each batch asked for, in as few pieces as fit
    assert len(computing.calls) == sum(-(-len(rows) // size) for rows in blocks(N, batch))


def test_the_smaller_size_stays_for_all_that_comes_after(whole):
    size, computing = Size(16), Computing(whole, 5)
    done = [rows.tolist() for chosen in blocks(N, 16) for rows, _ in size.fitting(chosen, computing)]
    assert size.batch == 4 and computing.sizes == [16, 8, 4, 4, 4, 4, 4, 3]
    assert [row for rows in done for row in rows] == list(range(N))
    more = [len(rows) for rows, _ in size.fitting(torch.arange(10), Computing(whole, 5))]
    assert more == [4, 4, 2]


def test_room_that_gets_less_halves_again(whole):
    computing = Computing(whole, 8)

    def shrinking(rows):
        computing.room = 8 if len(computing.calls) < 2 else 2
        return computing(rows)

    same(in_batches(N, 8, shrinking), whole)
    assert computing.sizes == [8, 8, 7, 3, *[1] * 7]


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("kind", MAKE)
def test_one_image_that_does_not_fit_is_the_error_that_it_was(kind, batch, whole):
    error = MAKE[kind]()
    with pytest.raises(type(error)) as raised:
        in_batches(N, batch, Computing(whole, 0, error))
    assert raised.value is error


@pytest.mark.parametrize(
    "error",
    [RuntimeError("shapes do not match"), ValueError("out of memory"), RuntimeError("CUDA error: device-side assert")],
)
def test_other_errors_are_not_swallowed(error, whole):
    computing = Computing(whole, 3, error)
    with pytest.raises(type(error)) as raised:
        in_batches(N, 8, computing)
    assert raised.value is error and computing.sizes == [8]


@pytest.mark.parametrize("kind", MAKE)
def test_a_halving_is_a_warning_in_one_line_of_how_many_did_not_fit(kind, whole, caplog):
    in_batches(N, 16, Computing(whole, 5, MAKE[kind]()))
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [line.split()[0] for line in said] == ["16", "8"]
    assert all("\n" not in line and "images" in line and "()" not in line for line in said)


def test_what_fits_is_no_warning(whole, caplog):
    in_batches(N, 16, Computing(whole))
    assert not caplog.records


def test_what_was_kept_of_halves_is_not_done_again(whole, kept):
    first = interrupted(whole, kept(), 16, after=3, room=5)
    assert first.calls == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    rerun = Computing(whole, room=5)
    same(in_batches(N, 16, rerun, kept()), whole)
    assert first.rows + rerun.rows == list(range(N))


def test_halves_of_a_single_batch_are_kept(whole, kept):
    first = interrupted(whole, kept(), N, after=1, room=12)
    assert len(files(kept())) == 1
    rerun = Computing(whole)
    same(in_batches(N, N, rerun, kept()), whole)
    assert first.rows + rerun.rows == list(range(N))


def test_a_batch_that_did_not_fit_is_let_go_before_the_next_try(whole):
    """Its tensors hang on the error's traceback, which would fill the memory that the halves need."""
    alive = []

    class Large:
        def __init__(self):
            alive.append(self)

        def __del__(self):
            alive_now.discard(id(self))

    alive_now, most = set(), []

    def compute(rows):
        large = Large()
        alive.clear()
        alive_now.add(id(large))
        most.append(len(alive_now))
        if len(rows) > 3:
            raise torch.OutOfMemoryError("no room")
        return {name: torch.from_numpy(array[rows.numpy()]) for name, array in whole.items()}

    same(in_batches(N, 16, compute), whole)
    assert set(most) == {1}


# The stages.

IMAGES, DRAWS = 8, Noise(3, torch.arange(8) + 40)
PGD = {"epsilon": 0.1, "steps": 2, "relative_step": 0.4}


class Watched:
    """A network that may have no room for as many images, or be stopped in a call; counts its calls in `counter`."""

    def __init__(self, network, counter: list, room=10**9, stopped_in=None):
        self.network, self.counter, self.room, self.stopped_in = network, counter, room, stopped_in

    def __call__(self, x, *index):
        self._seen(x)
        return self.network(x, *index)

    def features(self, x):
        self._seen(x)
        return self.network.features(x)

    def _seen(self, x):
        if len(x) > self.room:
            raise torch.OutOfMemoryError(f"no room for {len(x)}")
        if len(self.counter) == self.stopped_in:
            raise Stopped
        self.counter.append(len(x))


def stage(name: str, x, cnn, unet, batch: int, kept: Kept | None = None, **watching) -> tuple[dict, list[int]]:
    """A stage by its name, as arrays; and how many images its networks saw in each call."""
    counter: list[int] = []
    classify, network = (Watched(made, counter, **watching) for made in (cnn, unet))
    purify = purifiers.ddpm(network, t=30, steps=2, sigma="small", clip=True, forward="one-step")
    y, some = np.arange(IMAGES) % 10, x[:4]
    given = {"batch": batch, "kept": kept}
    defended = given | {"purify": purify}
    judged = defended | {"name": "mine", "classify": classify}
    noisy, attacked = (np.clip(x + shift, 0, 1).astype(x.dtype) for shift in (0.05, -0.08))
    single_and_averaged = {"single": (attacks.pgd, PGD), "averaged": (attacks.pgd, PGD | {"draws": 2})}
    ways = (np.stack([some, end[:4]], axis=1) for end in (noisy, attacked))
    made = {
        "attack": lambda: stages.attack(
            x, y, DRAWS, run=attacks.pgd, options=PGD, classify=classify, purify=purify, knowledge="all", **given
        ),
        "purify_and_judge": lambda: stages.purify_and_judge(x, noisy, DRAWS, fresh_draws=2, **judged),
        "sample_ball": lambda: stages.sample_ball(
            some, DRAWS, purify=purify, name="mine", epsilon=0.1, points=3, draws=2, **given
        ),
        "jacobian": lambda: stages_compression.jacobian(some, DRAWS, mode="rows", **defended),
        "ball_spectrum": lambda: stages_compression.ball_spectrum(
            some, DRAWS, name="mine", epsilon=0.1, points=20, **defended
        ),
        "probe": lambda: stages_compression.probe(x, y, noisy, attacked, DRAWS, **judged),
        "budget": lambda: stages_compression.budget(
            x, y, DRAWS, run=attacks.pgd, options=PGD, scales=[0.5, 1.0], classify=classify, **given
        ),
        "judgings": lambda: stages_earlier.judgings(x, DRAWS, judgings=3, **judged),
        "attack_paths": lambda: stages_stochastic.attack_paths(
            some, y[:4], DRAWS, **single_and_averaged, repeats=2, classify=classify, **defended
        ),
        "loss_landscape": lambda: stages_stochastic.loss_landscape(
            some, y[:4], DRAWS, *ways, points=3, reach=2.0, classify=classify, **defended
        ),
    }[name]()
    return made if isinstance(made, dict) else {name: made}, counter


# How many images or rows at once, and into how many parts the work falls then.
STAGES = {
    "attack": (2, 4),
    "purify_and_judge": (2, 4),
    "sample_ball": (6, 4),
    "jacobian": (16, 4),
    "ball_spectrum": (7, 4),
    "probe": (2, 4),
    "budget": (2, 4),
    "judgings": (2, 4),
    "loss_landscape": (9, 4),
    "attack_paths": (2, 4),
}
ONE_BY_ONE = [name for name in STAGES if name != "attack_paths"]  # whose three parts are tested with its laws


def test_these_are_all_the_stages_that_keep_what_they_have_done():
    modules = (stages, stages_compression, stages_earlier, stages_stochastic)
    functions = {f for m in modules for f in vars(m).values() if inspect.isfunction(f) and f.__module__ == m.__name__}
    assert {f.__name__ for f in functions if "kept" in inspect.signature(f).parameters} == set(STAGES)


@pytest.mark.parametrize("room", [1, 3])
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_whose_batches_are_halved_says_what_it_says_undisturbed(name, room, images, cnn64, unet64):
    """To the rounding of sums in another order: 1e-15 of numbers of about 1, through four networks of a few layers, with
    derivatives of 10 at the most; a mistake in the rows is one of 0.01."""
    x = images[:IMAGES].double().numpy()
    wanted, seen = stage(name, x, cnn64, unet64, batch=8)
    found, seen_halved = stage(name, x, cnn64, unet64, batch=8, room=room)
    assert max(seen) > room >= max(seen_halved)
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert (found[key].dtype, found[key].shape) == (value.dtype, value.shape), key
        assert found[key] == pytest.approx(value, rel=1e-9, abs=1e-10), key


@pytest.mark.parametrize(("batch", "room"), [(1, 1), (16, 16), (100, 24), (100, 3)])
def test_draws_that_an_attack_averages_are_shown_together_where_there_is_room(batch, room, images, cnn64, unet64):
    """8 images, 3 draws: one at a time, two and one, all three; and two images at a time, one draw, after halving."""
    x, y = images[:8].double().numpy(), np.arange(8)

    def run(batch, **watching):
        counter = []
        classify, network = (Watched(made, counter, **watching) for made in (cnn64, unet64))
        purify = purifiers.ddpm(network, t=30, steps=2, sigma="small", clip=True, forward="one-step")
        given = {"run": attacks.pgd, "options": PGD | {"draws": 3}, "classify": classify, "purify": purify}
        return stages.attack(x, y, DRAWS, **given, batch=batch), counter

    wanted, _ = run(8)
    found, seen = run(batch, room=room)
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-10)
    assert max(seen) == {1: 1, 16: 16, 24: 24, 3: 2}[room]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_for_which_one_image_is_too_much_says_so(name, images, cnn64, unet64):
    with pytest.raises(torch.OutOfMemoryError, match="no room for 1"):
        stage(name, images[:IMAGES].double().numpy(), cnn64, unet64, batch=4, room=0)


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_a_stage_that_was_interrupted_goes_on_to_the_same_bytes(name, images, cnn, unet, tmp_path):
    """Interrupted in any call of a network. In float32, as the pipeline has it: batches are the same, so sums are."""
    batch, parts = STAGES[name]
    run = partial(stage, name, images[:IMAGES].numpy(), cnn, unet, batch)
    wanted, seen = run()
    calls, chosen = len(seen), random.Random(name)
    assert calls % parts == 0
    for stopped_in in {0, calls - 1, *(chosen.randrange(calls) for _ in range(3))}:
        kept = Kept(tmp_path / f"{stopped_in}.zarr.zip", {"spec": name})
        with pytest.raises(Stopped):
            run(kept, stopped_in=stopped_in)
        done = len(list(kept.parts()))
        assert done == stopped_in // (calls // parts)
        found, seen = run(kept)
        same(found, wanted)
        assert len(seen) == calls - done * (calls // parts)


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_a_stage_that_was_interrupted_again_and_again_ends_all_the_same(name, images, cnn, unet, tmp_path):
    """Each time one part further: to stop in the second part of those that are left is to have done the first."""
    batch, parts = STAGES[name]
    run = partial(stage, name, images[:IMAGES].numpy(), cnn, unet, batch)
    wanted, seen = run()
    kept = Kept(tmp_path / "out.zarr.zip", {"spec": name})
    for done in range(1, parts):
        with pytest.raises(Stopped):
            run(kept, stopped_in=len(seen) // parts)
        assert len(list(kept.parts())) == done
    found, rest = run(kept)
    same(found, wanted)
    assert len(rest) == len(seen) // parts
