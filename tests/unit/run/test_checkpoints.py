"""A checkpoint gives back the weights that were saved, or one line that names it."""

import functools
import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from purity import purifiers
from purity.run import checkpoints, content
from purity.run.naming import resolve

CNN, UNET = "purity.networks:cnn", "purity.networks:unet"
SMALL = {"channels": 1, "classes": 10, "width": 8, "features": 8}
X = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network():
    return checkpoints.untrained(CNN, SMALL, seed=1)


@pytest.fixture(params=["safetensors", "pt"])
def checkpoint(request, network, tmp_path) -> Path:
    path = tmp_path / f"g.{request.param}"
    checkpoints.save(network, str(path)) if request.param == "safetensors" else torch.save(network.state_dict(), path)
    return path


def refusal(path, network=CNN, options=SMALL) -> str:
    with pytest.raises(ValueError) as error:
        checkpoints.load(network, options, str(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


# Weights come back.


def test_weights_come_back_bit_by_bit(checkpoint, network):
    loaded = checkpoints.load(CNN, SMALL, str(checkpoint))
    wanted = network.state_dict()
    assert loaded.state_dict().keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in loaded.state_dict().items())
    assert torch.equal(loaded(X), network.eval()(X))


def test_a_loaded_network_is_frozen_and_in_eval_mode(checkpoint):
    for loaded in (checkpoints.load(CNN, SMALL, str(checkpoint)), checkpoints.load(CNN, SMALL, None)):
        assert not any(parameter.requires_grad for parameter in loaded.parameters())
        assert not any(module.training for module in loaded.modules())


def test_equal_weights_give_equal_bytes(network, tmp_path):
    for name in ("a", "b"):
        checkpoints.save(network, str(tmp_path / f"{name}.safetensors"))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_weights_that_do_not_lie_in_order_in_memory_can_be_saved(tmp_path):
    network = torch.nn.Linear(3, 4)
    network.weight = torch.nn.Parameter(torch.arange(12.0).view(3, 4).T)
    checkpoints.save(network, str(tmp_path / "a.safetensors"))
    again = torch.nn.Linear(3, 4)
    again.load_state_dict(checkpoints._state(str(tmp_path / "a.safetensors")))
    assert torch.equal(again.weight, network.weight)


def test_a_save_that_fails_leaves_the_old_checkpoint(network, tmp_path, monkeypatch):
    path = tmp_path / "g.safetensors"
    path.write_text("old")

    def full(self, data):
        with open(self, "wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="space"):
        checkpoints.save(network, str(path))
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["g.safetensors"]


# Damage.


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused_by_name(share, checkpoint):
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: int(share * len(whole))])
    refusal(checkpoint)


def test_a_web_page_in_place_of_a_checkpoint_is_refused_by_name(checkpoint):
    checkpoint.write_text("<!DOCTYPE html><html><body>404 Not Found</body></html>" * 20)
    refusal(checkpoint)


@pytest.mark.parametrize("name", ["nowhere.pt", "nowhere.safetensors", "."])
def test_a_checkpoint_that_is_not_there_is_refused_by_name(name, tmp_path):
    refusal(tmp_path / name)


class Evil:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_checkpoint_with_code_in_it_is_refused_and_the_code_not_run(tmp_path):
    path, marker = tmp_path / "evil.pt", tmp_path / "it ran"
    torch.save({"weight": Evil(marker)}, path)
    assert "weights_only" in refusal(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "content", [[torch.zeros(3)], torch.zeros(3), {"weights": {"a": 1}}, {}, None, {1: torch.zeros(1)}], ids=repr
)
def test_a_file_that_holds_something_else_is_refused_by_name(content, tmp_path):
    torch.save(content, tmp_path / "other.pt")
    refusal(tmp_path / "other.pt")


@pytest.mark.parametrize("options", [SMALL | {"width": 16}, SMALL | {"classes": 3}])
def test_weights_of_other_shapes_are_refused_by_name(options, checkpoint):
    assert CNN in refusal(checkpoint, options=options)


def test_weights_of_another_network_are_refused_by_name(checkpoint):
    refusal(checkpoint, network=UNET, options={"width": 8, "embedding": 8})


@pytest.mark.parametrize("change", ["missing", "surplus"])
def test_a_missing_or_surplus_weight_is_refused_and_named(change, network, tmp_path):
    state = network.state_dict()
    if change == "missing":
        del state["readout.bias"]
    else:
        state["extra"] = torch.zeros(1)
    torch.save(state, tmp_path / "g.pt")
    assert ("readout.bias" if change == "missing" else "extra") in refusal(tmp_path / "g.pt")


# Randomness.


def test_making_and_loading_leaves_every_global_generator_as_it_was(checkpoint):
    before = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    checkpoints.untrained(CNN, SMALL, seed=3)
    checkpoints.load(CNN, SMALL, str(checkpoint))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (str(np.random.get_state()), random.getstate()) == before[1:]


def test_untrained_weights_are_those_of_the_seed_whatever_was_drawn_before():
    one = checkpoints.untrained(CNN, SMALL, seed=4)(X)
    torch.rand(17)
    assert torch.equal(checkpoints.untrained(CNN, SMALL, seed=4)(X), one)
    assert not torch.equal(checkpoints.untrained(CNN, SMALL, seed=5)(X), one)


# Presets.


def test_a_classifier_is_made_as_its_preset_says(checkpoint, network):
    preset = {"network": CNN, "options": SMALL}
    assert torch.equal(checkpoints.classifier(preset, [str(checkpoint)], "cpu")(X), network.eval()(X))
    untrained = checkpoints.untrained(CNN, SMALL).eval()
    assert torch.equal(checkpoints.classifier(preset, [], "cpu")(X), untrained(X))


def test_a_purifier_is_made_as_its_preset_says(tmp_path):
    plain = checkpoints.purifier({"make": "purity.purifiers:identity", "options": {}, "diffusion": None}, [], "cpu")
    assert torch.equal(plain(X, None), X)
    options = {"channels": 1, "width": 8, "embedding": 8}
    checkpoints.save(checkpoints.untrained(UNET, options, seed=1), str(tmp_path / "d.safetensors"))
    preset = {
        "make": "purity.purifiers:one_step",
        "options": {"t": 10, "clip": True},
        "diffusion": {"network": UNET, "options": options},
    }
    made = checkpoints.purifier(preset, [str(tmp_path / "d.safetensors")], "cpu")
    assert made.schedule.steps == 10


# Names.


def test_a_name_is_the_function_of_that_name():
    assert resolve("purity.purifiers:ddpm") is purifiers.ddpm


@pytest.mark.parametrize(
    "name", ["purity.nothing:f", "purity.data:nothing", "purity.data", "nowhere:f", "purity.diffusion.schedules:T"]
)
def test_a_name_of_nothing_is_refused_in_one_line(name):
    with pytest.raises(ValueError) as error:
        resolve(name)
    assert name in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["os:system", "shutil:rmtree", "purity.run.store:suppress", "purity.run.weights:urlopen"]
)
def test_no_part_is_of_the_standard_library_not_by_way_of_others_either(name):
    with pytest.raises(ValueError, match=r"standard library.*contract.md#code"):
        resolve(name)


@pytest.mark.parametrize("name", ["functools.partial", "an instance"])
def test_a_part_may_be_a_callable_without_a_name(name, monkeypatch):
    class Made:
        def __call__(self, sigma=0.1):
            return purifiers.gaussian(sigma)

    made = functools.partial(purifiers.gaussian, 0.1) if name == "functools.partial" else Made()
    monkeypatch.setattr(purifiers, "nameless", made, raising=False)
    assert callable(
        checkpoints.purifier({"make": "purity.purifiers:nameless", "options": {}, "diffusion": None}, [], "cpu")
    )


def test_weights_that_are_not_those_of_the_plan_are_refused(checkpoint):
    digest = content.Contents(None).of(checkpoint)
    assert checkpoints.load(CNN, SMALL, str(checkpoint), digest=digest)
    written = bytearray(checkpoint.read_bytes())
    written[-1] ^= 1
    checkpoint.write_bytes(written)
    with pytest.raises(ValueError, match=r"is not what it was when this run was planned.*contract.md#weights"):
        checkpoints.load(CNN, SMALL, str(checkpoint), digest=digest)
