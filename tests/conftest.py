"""One thread for torch, and the small networks, images and finished runs that several test modules share."""

import copy

import fake_gpus
import pytest
import torch
from torch.nn import functional as F
from workspace import PATIENT, Workspace, once

from purity.geometry import BALLS
from purity.run.checkpoints import untrained

torch.set_num_threads(1)


def randomised(network, options, seed, gain=1.0):
    """A network with every weight drawn, those too that start at zero, so that each layer works. Frozen, eval."""
    module = untrained(network, options, seed)
    generator = torch.Generator().manual_seed(seed)
    for p in module.requires_grad_(False).parameters():
        drawn = torch.randn(p.shape, generator=generator)
        p.copy_(gain * drawn / p[0].numel() ** 0.5 if p.ndim > 1 else p + 0.1 * drawn)
    return module.eval()


@pytest.fixture(scope="session")
def unet():
    """ε_θ for 8×8 grey images, 16,000 weights."""
    return randomised("purity.networks:unet", {"width": 8, "embedding": 16}, seed=0)


@pytest.fixture(scope="session")
def cnn(images):
    """Logits of 8×8 grey images, centred on them, so that an untrained network uses several of its classes."""
    network = randomised("purity.networks:cnn", {"width": 8, "features": 16}, seed=1, gain=2.0)
    network.readout.bias -= network(images).mean(0)
    return network


@pytest.fixture(scope="session")
def unet64(unet):
    return copy.deepcopy(unet).double()


@pytest.fixture(scope="session")
def cnn64(cnn):
    return copy.deepcopy(cnn).double()


@pytest.fixture(scope="session")
def images():
    """(100, 1, 8, 8) in [0, 1]: smooth blobs, some of their pixels exactly 0 or 1, as in real images."""
    coarse = torch.rand(100, 1, 3, 3, generator=torch.Generator().manual_seed(2))
    return (1.6 * F.interpolate(coarse, size=8, mode="bilinear") - 0.3).clamp(0, 1)


@pytest.fixture
def given_start(monkeypatch):
    """given_start(norm, start, x0) is the name of that norm's ball whose random point leads from x0 to start."""

    def register(norm, start, x0):
        monkeypatch.setitem(BALLS, "given", BALLS[norm]._replace(point=lambda uniform, epsilon: start - x0))
        return "given"

    return register


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The tiny experiment, run to its end once. Nobody works in it: tests copy it."""
    return once(tmp_path_factory, "finished", lambda folder: Workspace.fresh(folder).run(*PATIENT))


@pytest.fixture
def workspace(finished, tmp_path):
    """A copy of the finished tiny experiment, to edit and break."""
    return finished.copy(tmp_path / "copy")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The tiny experiment on fake devices, with all that its attacks need."""

    def make(folder):
        workspace = fake_gpus.fake(Workspace.fresh(folder))
        workspace.run("--until", "subset", "train_classifier", "train_diffusion", CUDA_VISIBLE_DEVICES="0,1")

    return once(tmp_path_factory, "trained", make)


@pytest.fixture(scope="session")
def on_four_devices(trained, tmp_path_factory):
    """The attacks of the tiny experiment, made on this machine as if it had four devices."""

    def make(folder):
        workspace = trained.copy(folder)
        devices = {"CUDA_VISIBLE_DEVICES": "0,1,2,3", "TMPDIR": str(workspace.path)}
        workspace.run("--cores", "4", "--resources", "gpu=4", "--until", "attack", **devices)

    return once(tmp_path_factory, "on four devices", make)
