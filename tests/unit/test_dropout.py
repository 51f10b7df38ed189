"""Drop-out left on: masks by the address of the noise, values as torch's own drop-out makes them."""

import pytest
import torch
from torch import nn

from purity import dropout, networks, purifiers
from purity.diffusion import schedules
from purity.noise import Noise

OPTIONS = {"t": 40, "steps": 4, "sigma": "large", "clip": True, "forward": "iterated"}
XI = Noise(3, torch.arange(5) + 7)


@pytest.fixture
def network():
    torch.manual_seed(0)
    module = networks.unet(width=8, embedding=8).double()
    for p in module.parameters():
        nn.init.normal_(p, std=0.3 / max(1, p[0].numel()) ** 0.5) if p.ndim > 1 else None
    return module.eval().requires_grad_(False)


@pytest.fixture
def x():
    return torch.rand(5, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_what_stays_is_scaled_so_that_the_mean_stays():
    """Of 2⋅10⁵ ones a share p falls out, within four standard deviations, and the others are 1/(1 − p)."""
    layer, ones, p = nn.Dropout(0.0).eval(), torch.ones(5, 40_000, dtype=torch.float64), 0.1
    with dropout._on([layer], p, XI, 9):
        out = layer(ones)
    assert set(out.unique().tolist()) == {0.0, 1 / (1 - p)}
    assert (out == 0).double().mean().item() == pytest.approx(p, abs=4 * (p * (1 - p) / ones.numel()) ** 0.5)
    assert torch.equal(layer(ones), ones)  # afterwards it is off


def test_layers_evaluations_and_images_have_masks_of_their_own():
    layers, ones = [nn.Dropout(), nn.Dropout()], torch.ones(5, 300, dtype=torch.float64)
    masks = []
    for index in (0, 1):
        with dropout._on(layers, 0.5, XI, index):
            masks += [layer.eval()(ones) > 0 for layer in layers]
    rows = torch.cat(masks).double()
    agree = (rows[:, None] == rows[None]).double().mean(2)
    apart = agree[~torch.eye(len(rows), dtype=torch.bool)]
    assert (apart - 0.5).abs().max() < 5 * 0.5 / 300**0.5  # of independent halves


def test_it_is_ddpm_but_for_the_masks(network, x):
    """At a probability of 10⁻¹² nothing falls out; at .2 something does, by the same noise of the chain."""
    plain = purifiers.ddpm(network, **OPTIONS)(x, XI)
    assert torch.allclose(dropout.ddpm_with_drop_out(network, drop_out=1e-12, **OPTIONS)(x, XI), plain, atol=1e-10)
    dropped = dropout.ddpm_with_drop_out(network, drop_out=0.2, **OPTIONS)(x, XI)
    assert (dropped - plain).abs().max() > 1e-3


def test_the_steps_of_masks_are_none_of_the_chains(network, x):
    asked = []

    class Watched(Noise):
        def reverse(self, step, like):
            asked.append((step, tuple(like.shape[1:])))
            return super().reverse(step, like)

    dropout.ddpm_with_drop_out(network, drop_out=0.2, **OPTIONS)(x, Watched(XI.seed, XI.ids))
    of_chain = {step for step, shape in asked if step < schedules.T}
    of_masks = [step for step, shape in asked if step >= schedules.T]
    assert len(of_chain) in (OPTIONS["steps"] - 1, OPTIONS["steps"]) and len(of_masks) == len(set(of_masks)) == 16


def test_a_row_is_its_own_and_asked_twice_it_is_the_same(network, x):
    purify = dropout.ddpm_with_drop_out(network, drop_out=0.2, **OPTIONS)
    together = purify(x, XI)
    assert torch.equal(together, purify(x, XI))
    alone = torch.cat([purify(x[[b]], XI.rows(torch.tensor([b]))) for b in range(len(x))])
    assert torch.allclose(together, alone, atol=1e-12)
    assert not torch.allclose(together, purify(x, XI.at(1)), atol=1e-3)


def test_the_gradient_is_that_of_finite_differences(network, x):
    """Whether evaluations keep their graph or are made again: the masks are the same."""
    purify = dropout.ddpm_with_drop_out(network, drop_out=0.2, **(OPTIONS | {"clip": False}))
    w, v = torch.rand(2, *x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    value = lambda z: (w * purify(z, XI)).sum()  # noqa: E731
    (g,) = torch.autograd.grad(value(x.requires_grad_()), x)
    h = 1e-6
    with torch.no_grad():
        slope = (value(x + h * v) - value(x - h * v)).item() / (2 * h)
    assert slope == pytest.approx((g * v).sum().item(), rel=1e-5)


@pytest.mark.parametrize("p", [0, 1, -0.1])
def test_a_probability_is_between_none_and_all(network, p):
    with pytest.raises(ValueError, match="is not between 0 and 1"):
        dropout.ddpm_with_drop_out(network, drop_out=p, **OPTIONS)


def test_a_network_without_drop_out_is_refused():
    with pytest.raises(ValueError, match="no drop-out to leave on"):
        dropout.ddpm_with_drop_out(nn.Conv2d(1, 1, 1), drop_out=0.1, **OPTIONS)
