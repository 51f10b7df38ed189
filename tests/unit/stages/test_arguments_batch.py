"""The batch that a stage gets where the config leaves it to the program."""

from types import SimpleNamespace

import numpy as np
import pytest
from jobs import job

from purity import batching
from purity.run import checkpoints
from purity.stages.arguments import Blind, Sighted

DDPM = {"t": 40, "steps": 4, "sigma": "large", "clip": True, "forward": "one-step"}
DIFFUSION = {"network": "purity.networks:unet", "options": {"width": 8, "embedding": 16}}
CLASSIFIER = {"network": "purity.networks:cnn", "options": {"width": 8, "features": 16}}


@pytest.fixture
def arrays(images):
    return {"x0": images[:5].numpy(), "y": np.arange(5) % 3, "ids": np.arange(5)}


@pytest.fixture
def sighted(unet, cnn, tmp_path):
    checkpoints.save(unet, str(tmp_path / "unet.safetensors"))
    checkpoints.save(cnn, str(tmp_path / "cnn.safetensors"))
    inputs = SimpleNamespace(classifier=[str(tmp_path / "cnn.safetensors")])
    inputs.get = {"diffusion": [str(tmp_path / "unet.safetensors")]}.get
    return Sighted(inputs, job(0))


@pytest.fixture
def searches(monkeypatch):
    """What was searched for: (shape of an image, what f makes of it, options). It finds 7."""
    made = []

    def found(f, x, **options):
        made.append((tuple(x.shape), tuple(f(x).shape), options))
        return 7

    monkeypatch.setattr(batching, "found", found)
    return made


def spec(stage, make, options, **said):
    purifier = {"name": "f", "make": make, "options": options, "diffusion": said.pop("diffusion", None)}
    return {
        "stage": f"purity.stages.{stage}",
        "purifier": purifier,
        "noise": {"seed": 0, "seeding": "address"},
        "keys": {},
        **said,
    }


@pytest.mark.parametrize("recompute", [True, False])
@pytest.mark.parametrize(("stage", "gradient"), [("attack:attack", True), ("purify:purify_and_judge", False)])
def test_it_is_that_of_one_evaluation_of_the_purifiers_network(stage, gradient, recompute, sighted, arrays, searches):
    ddpm = spec(stage, "purity.purifiers:ddpm", DDPM | {"recompute": recompute}, diffusion=DIFFUSION)
    ddpm["classifier"] = CLASSIFIER
    assert sighted.batch(ddpm, arrays) == 7 == sighted.batch(ddpm, arrays)
    shape = (1, 1, 8, 8)
    assert searches == [(shape, shape, {"gradient": gradient, "times": 4, "repeats": recompute})]


def test_without_a_network_it_is_that_of_the_classifier_behind_the_purifier(sighted, arrays, searches):
    gaussian = spec("attack:attack", "purity.purifiers:gaussian", {"sigma": 0.1}, classifier=CLASSIFIER)
    sighted.batch(gaussian, arrays)
    assert searches == [((1, 1, 8, 8), (1, 10), {"gradient": True, "times": 1, "repeats": False})]


def test_without_a_purifier_it_is_that_of_the_classifier(sighted, arrays, searches):
    said = {"stage": "purity.stages.budget:budget", "classifier": CLASSIFIER}
    sighted.batch(said, arrays)
    assert searches == [((1, 1, 8, 8), (1, 10), {"gradient": True, "times": 1, "repeats": False})]


def test_what_sees_no_network_has_what_fits(arrays):
    assert 1 < Blind().batch({}, arrays) <= batching.MOST
