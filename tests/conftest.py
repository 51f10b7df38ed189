"""One thread for torch, and the small networks and images that several test modules share."""

import copy

import pytest
import torch

from purity.networks import CNN, UNet

torch.set_num_threads(1)


def randomised(network, seed, gain=1.0):
    """Every parameter drawn anew, those that start at zero too, so that each layer does something. Frozen, eval."""
    generator = torch.Generator().manual_seed(seed)
    for p in network.requires_grad_(False).parameters():
        drawn = torch.randn(p.shape, generator=generator)
        p.copy_(gain * drawn / p[0].numel() ** 0.5 if p.ndim > 1 else p + 0.1 * drawn)
    return network.eval()


@pytest.fixture(scope="session")
def unet():
    """ε_θ for 8×8 grey images, 10k weights."""
    return randomised(UNet(channels=1, width=8, embedding=16), seed=0)


@pytest.fixture(scope="session")
def cnn():
    """Logits of 8×8 grey images. The gain makes an untrained network tell images apart."""
    return randomised(CNN(channels=1, classes=10, width=8, features=16), seed=1, gain=2.0)


@pytest.fixture(scope="session")
def unet64(unet):
    return copy.deepcopy(unet).double()


@pytest.fixture(scope="session")
def cnn64(cnn):
    return copy.deepcopy(cnn).double()


@pytest.fixture(scope="session")
def images():
    """(100, 1, 8, 8) in [0, 1]; a fifth of the pixels lie on the border, as in real images."""
    drawn = torch.rand(100, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    return (1.25 * drawn - 0.125).clamp(0, 1)
