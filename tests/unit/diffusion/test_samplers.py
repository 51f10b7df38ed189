"""The processes against what is known exactly: moments of the forward law, and reverse chains on Gaussian data.

For data N(m, v₀) a pixel, x_t has mean √ᾱ m and variance v_t = ᾱ v₀ + 1 − ᾱ, and the best prediction of its noise is
ε(x_t) = √(1−ᾱ) (x_t − √ᾱ m) / v_t. All chains are then affine maps that can be written out.
"""

from collections import deque

import pytest
import torch
from scipy import stats

from purity.diffusion import samplers
from purity.diffusion.denoiser import denoiser
from purity.diffusion.schedules import linear, strength
from purity.noise import Noise

M, V0 = 0.3, 0.25
X = torch.linspace(-2, 2, 12, dtype=torch.float64).view(1, 3, 2, 2)
CHAINS = [(100, None), (100, 10), (1, None), (1000, 7)]
EXACT = {"atol": 1e-11, "rtol": 0}  # float64, up to a hundred updates of numbers of order 1


class Silent:
    """ξ = 0, remembering which steps asked for it."""

    def __init__(self):
        self.forward_steps, self.reverse_steps = [], []

    def forward(self, step, like):
        self.forward_steps.append(step)
        return torch.zeros_like(like)

    def reverse(self, step, like):
        self.reverse_steps.append(step)
        return torch.zeros_like(like)


def variance(abar, v0=V0):
    return abar * v0 + 1 - abar


def exact_network(m=M, v0=V0):
    """ε of Gaussian data, told the network index; `told` lists those it was told."""

    def network(x, index):
        network.told.append(index.item())
        abar = FULL.abar[index.item() + 1]
        return (1 - abar).sqrt() * (x - abar.sqrt() * m) / variance(abar, v0)

    network.told = []
    return network


FULL = linear()


def end(states):
    ((t, x),) = deque(states, maxlen=1)
    return t, x


# Forward.


@pytest.mark.parametrize("process", [samplers.diffuse, samplers.q_sample])
def test_forward_states_have_mean_and_variance_of_abar(process):
    """10 steps to t = 100 from a constant 0.7; 200,000 pixels, four standard errors (of a variance: √(2/n) σ²)."""
    s = strength(FULL, 100, 10)
    x = torch.full((200, 1, 25, 40), 0.7, dtype=torch.float64)
    visited = []
    for t, state in process(x, s, Noise(0, torch.arange(200))):
        visited.append(t)
        spread = 1 - s.abar[t].item()
        n = x.numel()
        assert abs(state.mean().item() - 0.7 * s.abar[t].sqrt().item()) < 4 * (spread / n) ** 0.5
        assert abs(state.var().item() - spread) < 4 * spread * (2 / n) ** 0.5
    assert visited == (list(range(1, 11)) if process is samplers.diffuse else [10])


def test_iterated_and_one_step_forward_are_equal_in_law():
    """Two samples under independent seeds, Kolmogorov-Smirnov at fixed data; it sees a spread off by 5 %."""
    s = strength(FULL, 100, 10)
    x = torch.zeros(100, 1, 30, 30, dtype=torch.float64)
    _, iterated = end(samplers.diffuse(x, s, Noise(1, torch.arange(100))))
    _, jumped = end(samplers.q_sample(x, s, Noise(2, torch.arange(100))))
    assert stats.ks_2samp(iterated.flatten().numpy(), jumped.flatten().numpy()).pvalue > 1e-3


def test_forward_noise_is_fresh_at_every_step():
    s, xi = strength(FULL, 30, 5), Silent()
    deque(samplers.diffuse(X, s, xi), maxlen=0)
    assert xi.forward_steps == list(s.index[1:]) and not xi.reverse_steps


def test_no_forward_process_leaves_the_image_alone():
    s = strength(FULL, 30, 5)
    assert list(samplers.stay(X, s, None)) == [(5, X)]


# Reverse.


@pytest.mark.parametrize(("t", "steps"), CHAINS)
@pytest.mark.parametrize("chain", [samplers.ddpm, samplers.ddim])
def test_a_chain_evaluates_the_network_once_a_step_at_indices_down_to_zero(chain, t, steps):
    s, network = strength(FULL, t, steps), exact_network()
    states = list(chain(denoiser(network, s, "large", clip=False), X, s, Silent()))
    assert network.told == list(s.index[:0:-1])
    assert steps is not None or network.told == list(range(t - 1, -1, -1))
    assert [k for k, _ in states] == list(range(s.steps - 1, -1, -1))


def test_one_step_evaluates_the_network_once_at_the_strongest_index():
    s, network = strength(FULL, 100), exact_network()
    t, _ = end(samplers.one_step(denoiser(network, s, "small", clip=False), X, s, None))  # ξ is None: it uses none
    assert network.told == [99] and t == 0


def test_ancestral_noise_enters_every_step_but_the_last():
    s, xi = strength(FULL, 20, 5), Silent()
    deque(samplers.ddpm(denoiser(exact_network(), s, "large", clip=False), X, s, xi), maxlen=0)
    assert xi.reverse_steps == list(s.index[:1:-1]) and 0 not in xi.reverse_steps
    assert not xi.forward_steps


def test_ddim_uses_no_noise():
    s = strength(FULL, 20, 5)
    deque(samplers.ddim(denoiser(exact_network(), s, "small", clip=False), X, s, None), maxlen=0)


@pytest.mark.parametrize("sigma", ["small", "large"])
def test_ancestral_update_is_the_papers(sigma):
    """x_{t−1} = (x_t − β/√(1−ᾱ) ε)/√(1−β) + σ ξ, with a network that is no one's posterior."""
    s, xi = strength(FULL, 100, 10), Noise(0, torch.tensor([4]))
    before = X
    states = samplers.ddpm(denoiser(lambda x, index: x.sin() + index, s, sigma, clip=False), X, s, xi)
    for t, x in states:
        beta, abar = s.beta[t + 1], s.abar[t + 1]
        eps = before.sin() + s.index[t + 1]
        expected = (before - beta / (1 - abar).sqrt() * eps) / (1 - beta).sqrt()
        if t > 0:
            spread = beta * (1 - s.abar[t]) / (1 - abar) if sigma == "small" else beta
            expected = expected + spread.sqrt() * xi.reverse(s.index[t + 1], like=X)
        torch.testing.assert_close(x, expected, atol=0, rtol=1e-11)
        before = x
    assert t == 0


@pytest.mark.parametrize(("t", "steps"), CHAINS)
def test_one_step_is_the_exact_posterior_expectation_of_gaussian_data(t, steps):
    """E[x₀|x_t] = m + cov(x₀, x_t)/v_t (x_t − √ᾱ m)."""
    s = strength(FULL, t, steps)
    abar = s.abar[-1]
    _, found = end(samplers.one_step(denoiser(exact_network(), s, "small", clip=False), X, s, None))
    torch.testing.assert_close(found, M + abar.sqrt() * V0 / variance(abar) * (X - abar.sqrt() * M), **EXACT)


@pytest.mark.parametrize(("t", "steps"), CHAINS)
def test_means_of_the_ancestral_chain_are_the_exact_posterior_means_of_gaussian_data(t, steps):
    """E[x_k|x_n] = √ᾱ_k m + √(ᾱ_n/ᾱ_k) v_k/v_n (x_n − √ᾱ_n m) at every state k, however the chain is respaced."""
    s = strength(FULL, t, steps)
    n = s.steps
    for k, x in samplers.ddpm(denoiser(exact_network(), s, "small", clip=False), X, s, Silent()):
        slope = (s.abar[n] / s.abar[k]).sqrt() * variance(s.abar[k]) / variance(s.abar[n])
        torch.testing.assert_close(x, s.abar[k].sqrt() * M + slope * (X - s.abar[n].sqrt() * M), **EXACT)


@pytest.mark.parametrize(("t", "steps"), CHAINS)
def test_ddim_is_the_closed_affine_map_on_gaussian_data(t, steps):
    """x_{t−1} − √ᾱ' m = (√(ᾱ ᾱ') v₀ + √((1−ᾱ)(1−ᾱ')))/v_t (x_t − √ᾱ m): Gaussians go to Gaussians."""
    s = strength(FULL, t, steps)
    a, b = s.abar[1:], s.abar[:-1]
    slopes = ((a * b).sqrt() * V0 + ((1 - a) * (1 - b)).sqrt()) / variance(a)
    _, found = end(samplers.ddim(denoiser(exact_network(), s, "small", clip=False), X, s, None))
    torch.testing.assert_close(found, M + slopes.prod() * (X - s.abar[-1].sqrt() * M), **EXACT)


def test_ddim_carries_the_law_at_t_back_to_the_data():
    """The flow it discretises multiplies deviations by √(v₀/v_t); 100 small steps come within 1 %, ten within 5 %."""
    errors = []
    for steps in (100, 10):
        s = strength(FULL, 100, steps)
        _, x = end(samplers.ddim(denoiser(exact_network(), s, "small", clip=False), X, s, None))
        slope = (x - M) / (X - s.abar[-1].sqrt() * M)
        errors.append((slope / (V0 / variance(s.abar[-1])).sqrt() - 1).abs().max().item())
    assert errors[0] < 0.01 and errors[0] < errors[1] < 0.05


@pytest.mark.parametrize(("sigma", "v0"), [("small", 0.0), ("large", 1.0)])
def test_ancestral_chain_walks_the_forward_law_back(sigma, v0):
    """σ small is exact for data at one point, σ large for unit variance (Ho et al. 2020, §3.2).

    100,000 pixels start at the law of x_n; every state then has mean √ᾱ m and variance v_t to four standard errors.
    The last adds no noise: with unit variance it lacks β_1.
    """
    s = strength(FULL, 100, 10)
    xi = Noise(3, torch.arange(100))
    like = torch.empty(100, 1, 25, 40, dtype=torch.float64)
    n = s.steps
    x = s.abar[n].sqrt() * M + variance(s.abar[n], v0).sqrt() * xi.forward(0, like)
    for t, state in samplers.ddpm(denoiser(exact_network(M, v0), s, sigma, clip=False), x, s, xi):
        expected = variance(s.abar[t], v0).item() - (v0 * s.beta[1].item() if t == 0 else 0)
        assert abs(state.mean().item() - M * s.abar[t].sqrt().item()) <= 4 * (expected / like.numel()) ** 0.5 + 1e-12
        assert abs(state.var().item() - expected) <= 4 * expected * (2 / like.numel()) ** 0.5 + 1e-12


def test_ancestral_noise_of_a_wrong_size_breaks_that_law():
    """The other σ is off by more than the tolerance above: the test above can fail."""
    s, like = strength(FULL, 100, 10), torch.empty(100, 1, 25, 40, dtype=torch.float64)
    xi = Noise(3, torch.arange(100))
    x = s.abar[-1].sqrt() * M + (1 - s.abar[-1]).sqrt() * xi.forward(0, like)
    chain = samplers.ddpm(denoiser(exact_network(M, 0.0), s, "large", clip=False), x, s, xi)
    off = [abs(state.var().item() / (1 - s.abar[t].item()) - 1) for t, state in chain if t > 0]
    assert max(off) > 8 * (2 / like.numel()) ** 0.5


# What the network says.


@pytest.mark.parametrize("keep", [True, False])
def test_clipping_bounds_the_estimate_and_keeps_or_derives_epsilon(keep):
    s = strength(FULL, 100, 10)
    x = 3 * X
    plain = denoiser(exact_network(), s, "small", clip=False)(x, 10)
    cut = denoiser(exact_network(), s, "small", clip=True, keep_eps=keep)(x, 10)
    assert plain.x0.abs().max() > 1 and torch.equal(cut.x0, plain.x0.clamp(-1, 1))
    rebuilt = s.abar[10].sqrt() * cut.x0 + (1 - s.abar[10]).sqrt() * cut.eps
    if keep:
        assert torch.equal(cut.eps, plain.eps)
    else:
        torch.testing.assert_close(rebuilt, x, **EXACT)


def test_learned_sigma_runs_between_the_two_fixed_ones():
    """v = 1 gives β, v = −1 gives β̃, v = 0 the geometric mean."""
    s = strength(FULL, 100, 10)
    for t in range(2, 11):
        for v, expected in (
            (1, s.sigma_large[t]),
            (-1, s.sigma_small[t]),
            (0, (s.sigma_large[t] * s.sigma_small[t]).sqrt()),
        ):
            two = denoiser(lambda x, i, v=v: torch.cat([x, torch.full_like(x, v)], 1), s, "learned", clip=False)
            torch.testing.assert_close(two(X, t).sigma, expected.expand_as(X), atol=0, rtol=1e-12)
