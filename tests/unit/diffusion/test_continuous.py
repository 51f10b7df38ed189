"""Chains of score-based models on data whose score is exact: Gaussian images, independent pixels of mean m, deviation c."""

import math
from itertools import pairwise

import pytest
import torch

from purity import score_sde
from purity.diffusion import continuous, schedules
from purity.noise import Noise

M, C = 0.2, 0.3
N = 400
XI = Noise(3, torch.arange(N))


def last(states):
    return list(states)[-1][1]


def score(x, t):
    a = continuous.mean_scale(t)
    return -(x - a * M) / (a**2 * C**2 + 1 - a**2)


def denoised(x, sigma):
    return (C**2 * x + sigma**2 * M) / (C**2 + sigma**2)


def images(n=N):
    """(n, 1, 8, 8) of the data set."""
    z = torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return M + C * z


def test_what_is_left_of_the_image_is_the_integral_of_beta():
    """d log √ᾱ / dt = −½β, and the table of the discrete chain is the same at whole steps up to its step of 1/1000."""
    for t in (0.1, 0.4, 1.0):
        slope = (math.log(continuous.mean_scale(t + 1e-5)) - math.log(continuous.mean_scale(t - 1e-5))) / 2e-5
        assert slope == pytest.approx(-continuous.beta(t) / 2, rel=1e-6)
    table = schedules.linear().abar
    for t in (100, 500):
        assert continuous.mean_scale(t / 1000) ** 2 == pytest.approx(table[t].item(), rel=0.02)


def test_noise_and_signal_have_the_ratio_that_edm_asks_for():
    for sigma in (0.002, 0.5, 80.0):
        a = continuous.mean_scale(continuous.vp_time(sigma))
        assert math.sqrt(1 - a**2) / a == pytest.approx(sigma, rel=1e-9)


def law_of_euler(t, steps):
    """(factor, shift, variance) of x ↦ factor · x + shift + √variance · N(0, 1), step by step: all is linear."""
    factor, shift, variance, h = 1.0, 0.0, 0.0, t / steps
    for i in range(steps, 0, -1):
        b, a = continuous.beta(i * h), continuous.mean_scale(i * h)
        v = a**2 * C**2 + 1 - a**2
        k, c = 1 + b * h * (0.5 - 1 / v), b * h * a * M / v
        factor, shift, variance = k * factor, k * shift + c, k**2 * variance + (b * h if i > 1 else 0)
    return factor, shift, variance


@pytest.mark.parametrize("steps", [1, 10, 50])
def test_the_reverse_sde_is_its_linear_recursion(steps):
    """Mean and spread over 25,600 pixels, four standard errors; the way there adds another for the spread of x_t."""
    x = torch.full((N, 1, 8, 8), 0.7, dtype=torch.float64)
    found = last(continuous.euler_maruyama(score, x, 0.1, steps, XI))
    factor, shift, variance = law_of_euler(0.1, steps)
    assert found.mean().item() == pytest.approx(factor * 0.7 + shift, abs=4 * math.sqrt(variance / 25600) + 1e-12)
    assert found.var().item() == pytest.approx(variance, rel=4 * math.sqrt(2 / 25600), abs=1e-12)


def test_small_steps_lead_to_the_data_set():
    """From the law at time t to that at 0: mean m and variance c², with an error of the order of a step."""
    errors = []
    for steps in (10, 100, 1000):
        factor, shift, variance = law_of_euler(0.3, steps)
        a = continuous.mean_scale(0.3)
        of_t = a**2 * C**2 + 1 - a**2
        errors.append(abs(factor * a * M + shift - M) + abs(factor**2 * of_t + variance - C**2))
    assert errors[2] < errors[1] / 5 < errors[0] / 25
    assert errors[2] < 1e-3


def test_the_forward_noise_has_the_law_of_its_time():
    x = images()
    noisy = last(continuous.vp_diffuse(x, 0.2, 10, XI))
    a = continuous.mean_scale(0.2)
    rest = (noisy - a * x) / math.sqrt(1 - a**2)
    assert rest.mean().abs() < 4 / 160 and rest.var().item() == pytest.approx(1, abs=4 * math.sqrt(2 / 25600))


def test_a_corrector_step_leaves_the_law_where_it_is():
    """Langevin steps keep the data set's law up to the order of their size; here .05² of the noise's."""
    a = continuous.mean_scale(0.1)
    x = last(continuous.vp_diffuse(images(), 0.1, 20, XI))
    found = last(continuous.predictor_corrector(score, x, 0.1, 20, Noise(4, XI.ids), snr=0.05))
    plain = last(continuous.euler_maruyama(score, x, 0.1, 20, Noise(4, XI.ids)))
    assert a < 1 and not torch.allclose(found, plain)
    assert found.mean().item() == pytest.approx(M, abs=0.02)
    assert found.var().item() == pytest.approx(plain.var().item(), rel=0.1)


def test_a_corrector_depends_on_its_own_image_only():
    x = images(6)
    together = last(continuous.predictor_corrector(score, x, 0.1, 5, XI.rows(torch.arange(6)), snr=0.16))
    alone = [
        last(continuous.predictor_corrector(score, x[i : i + 1], 0.1, 5, XI.rows(torch.tensor([i])), snr=0.16))
        for i in range(6)
    ]
    torch.testing.assert_close(torch.cat(alone), together, atol=1e-12, rtol=0)


def test_levels_are_those_of_the_paper():
    levels = continuous.edm_levels(80.0, 0.002, 18)
    assert len(levels) == 19 and levels[0] == pytest.approx(80) and levels[-2] == pytest.approx(0.002)
    assert levels[-1] == 0 and all(a > b for a, b in pairwise(levels))
    roots = [level ** (1 / 7) for level in levels[:-1]]
    gaps = [a - b for a, b in pairwise(roots)]
    assert max(gaps) == pytest.approx(min(gaps), rel=1e-9)
    assert continuous.edm_levels(0.5, 0.002, 1) == [0.5, 0.0]


def test_without_churn_heun_solves_the_ode_to_second_order():
    """x(0) = m + (x_σ − m) c/√(c² + σ²). Halving the steps divides the error by 4; the last, of Euler, is short."""
    x = images(5)
    exact = M + (x - M) * C / math.sqrt(C**2 + 0.5**2)
    errors = [
        (last(continuous.heun(denoised, x, continuous.edm_levels(0.5, 1e-5, steps), XI)) - exact).abs().max().item()
        for steps in (10, 20, 40)
    ]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.3) and errors[1] / errors[2] == pytest.approx(4, rel=0.3)
    assert errors[2] < 1e-3


def test_with_churn_the_law_of_the_data_comes_out():
    """Noise that is added at a level is taken off again by the step: what was x + σ·noise of the data ends as the data."""
    levels = continuous.edm_levels(0.5, 0.002, 40)
    noisy = last(continuous.edm_diffuse(images(), levels, XI))
    found = last(continuous.heun(denoised, noisy, levels, XI, churn=10.0, churn_from=0.01, churn_to=0.46))
    assert found.mean().item() == pytest.approx(M, abs=4 * C / 160 + 1e-3)
    assert found.var().item() == pytest.approx(C**2, rel=4 * math.sqrt(2 / 25600) + 0.02)
    still = last(continuous.heun(denoised, noisy, levels, XI))
    correlation = torch.corrcoef(torch.stack([found.flatten(), still.flatten()]))[0, 1]
    assert correlation < 0.95  # it went another way


def test_churn_is_cut_as_in_the_paper_and_only_between_its_limits():
    seen = []

    def noted(x, sigma):
        seen.append(sigma)
        return denoised(x, sigma)

    list(continuous.heun(noted, images(2), [1.0, 0.5, 0.1, 0.0], XI.rows(torch.arange(2)), 100, 0.2, 0.8))
    asked_first = seen[::2]
    assert asked_first == pytest.approx([1.0, 0.5 * math.sqrt(2), 0.1])


# Purifiers.


def gaussian_network(x, index):
    """ε of the Gaussian data set: ε̂ = −√(1−ᾱ) ∇ log p."""
    t = index.item() / 999
    return -math.sqrt(1 - continuous.mean_scale(t) ** 2) * score(x, t)


MADE = {
    "vp": lambda network, **options: score_sde.vp_sde(network, t=0.1, steps=4, **options),
    "vp, corrected": lambda network, **options: score_sde.vp_sde(network, t=0.1, steps=4, snr=0.16, **options),
    "edm": lambda network, **options: score_sde.edm(network, sigma=0.5, steps=4, **options),
    "edm, churned": lambda network, **options: score_sde.edm(network, sigma=0.5, steps=4, churn=6.0, **options),
}


def test_a_network_is_asked_as_its_model_is():
    x = images(3)
    for t in (0.05, 0.3):
        torch.testing.assert_close(continuous.vp_score(gaussian_network)(x, t), score(x, t), atol=1e-6, rtol=1e-6)
    for sigma in (0.1, 0.5):
        made = continuous.vp_denoised(gaussian_network, clip=False)(x, sigma)
        torch.testing.assert_close(made, denoised(x, sigma), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", MADE)
def test_gradients_are_those_of_finite_differences_recomputed_or_not(name):
    """The slope of x ↦ f·w along a direction, central differences of 1e-6 in float64."""
    x = 0.3 + 0.4 * torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    xi, w = XI.rows(torch.arange(2)), torch.arange(16, dtype=torch.float64).view(1, 1, 4, 4) - 8

    def network(z, index):
        return torch.tanh(z + 0.3 * z.flip(3)) * (1 + index / 999).to(z)

    slopes = []
    for recompute in (False, True):
        purify = MADE[name](network, recompute=recompute)
        wanted = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad((purify(wanted, xi) * w).sum(), wanted)
        slopes.append(gradient)
        d = torch.cos(torch.arange(32, dtype=torch.float64)).view(2, 1, 4, 4)
        along = ((purify(x + 1e-6 * d, xi) - purify(x - 1e-6 * d, xi)) * w).sum() / 2e-6
        assert (gradient * d).sum().item() == pytest.approx(along.item(), rel=1e-5)
    assert torch.equal(*slopes)


@pytest.mark.parametrize("name", MADE)
def test_a_purified_image_is_an_image_whatever_its_batch(unet, images, name):
    purify = MADE[name](unet)
    x, xi = images[:5], XI.rows(torch.arange(5))
    found = purify(x, xi)
    assert found.shape == x.shape and found.min() >= 0 and found.max() <= 1
    assert not torch.equal(found, purify(x, xi.at(1)))
    alone = torch.cat([purify(x[i : i + 1], xi.rows(torch.tensor([i]))) for i in range(5)])
    torch.testing.assert_close(alone, found, atol=1e-4, rtol=0)
    numbers = [number for number, _ in purify.states(x, xi)]
    assert numbers == list(range(6))  # x, the noise, four steps


def test_a_time_outside_the_chain_is_refused():
    with pytest.raises(ValueError, match=r"outside \(0, 1\]"):
        score_sde.vp_sde(gaussian_network, t=100, steps=3)
