"""The two matrix products are torch's bilinear interpolation, and its gradient."""

import pytest
import torch
from torch.nn import functional as F

from purity import purifiers
from purity.diffusion.resizing import bilinear, resized
from purity.noise import Noise

SIZES = [(224, 256), (256, 224), (8, 16), (16, 8), (7, 5), (5, 7), (1, 4), (4, 1), (6, 6)]


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_it_is_torchs_interpolation(n, m):
    x = torch.rand(2, 3, n, n + 1, dtype=torch.float64)
    wanted = F.interpolate(x, size=(m, m + 2), mode="bilinear", align_corners=False)
    # both are sums of four products; 1e-12 is rounding in float64
    assert torch.allclose(resized(x, m, m + 2), wanted, atol=1e-12)


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_every_new_pixel_is_a_mean_of_old_ones(n, m):
    matrix = bilinear(n, m)
    assert matrix.shape == (m, n) and (matrix >= 0).all()
    assert torch.allclose(matrix.sum(dim=1), torch.ones(m, dtype=torch.float64), atol=1e-15)


def test_its_gradient_is_torchs():
    x = torch.rand(2, 3, 14, 14, dtype=torch.float64).requires_grad_()
    w = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    (found,) = torch.autograd.grad((w * resized(x, 16, 16)).sum(), x)
    (wanted,) = torch.autograd.grad((w * F.interpolate(x, size=16, mode="bilinear")).sum(), x)
    assert torch.allclose(found, wanted, atol=1e-12)


OPTIONS = {"t": 20, "steps": 3, "sigma": "large", "clip": True}
MAKERS = {
    "ddpm": lambda network, **o: purifiers.ddpm(network, **OPTIONS, forward="one-step", **o),
    "reverse": lambda network, **o: purifiers.reverse(network, **OPTIONS, **o),
    "ddim": lambda network, **o: purifiers.ddim(network, t=20, steps=3, clip=True, forward="one-step", **o),
    "one-step": lambda network, **o: purifiers.one_step(network, t=20, clip=True, **o),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_purifier_of_another_size_resizes_in_and_out(name, unet64, images):
    """f of side s is: resize, the purifier of that size, resize back; the network sees that size and no other."""
    x, xi, sizes = images[:3].double(), Noise(0, torch.arange(3)), set()

    def network(z, index):
        sizes.add(tuple(z.shape[2:]))
        return unet64(z, index)

    found = MAKERS[name](network, side=12)(x, xi)
    assert sizes == {(12, 12)} and found.shape == x.shape
    inside = MAKERS[name](unet64)
    z = 2 * F.interpolate(x, size=12, mode="bilinear") - 1
    for process in (inside.forward, inside.reverse):
        *_, (_, z) = process(z, inside.schedule, xi)
    wanted = F.interpolate((z + 1) / 2, size=8, mode="bilinear").clamp(0, 1)
    assert torch.allclose(found, wanted, atol=1e-12)


def test_states_have_the_size_of_the_image(unet64, images):
    x = images[:2].double()
    states = MAKERS["ddpm"](unet64, side=12).states(x, Noise(0, torch.arange(2)))
    assert {tuple(state.shape) for _, state in states} == {tuple(x.shape)}


def test_the_networks_own_size_changes_nothing(unet64, images):
    x, xi = images[:2].double(), Noise(0, torch.arange(2))
    assert torch.equal(MAKERS["ddpm"](unet64, side=8)(x, xi), MAKERS["ddpm"](unet64)(x, xi))
