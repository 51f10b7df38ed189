"""Processes of score-based models, as the chains that are run: VP-SDE (Song et al. 2021), EDM (Karras et al. 2022).

Generators of (time, x) like those of purity.diffusion.samplers, the last x is the result. The caller supplies x in
[-1, 1] (B, C, H, W), the network as a score or a denoiser, the times or noise levels, and ξ. Noise of step i, counted
from 1 at the end of the chain, has the address of network index i − 1; a second noise of a step has that plus LEVELS.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from purity.noise import Noise

Score = Callable[[Tensor, float], Tensor]  # x_t, t → ∇ log p_t(x_t)
Denoised = Callable[[Tensor, float], Tensor]  # x at noise level σ, σ → E[x₀ | x]

BETA_MIN, BETA_MAX = 0.1, 20.0  # of the VP-SDE, whose β(t) grows linearly over 0 … 1
LEVELS = 1 << 16


def beta(t: float) -> float:
    """β(t) of the VP-SDE dx = −½β x dt + √β dw."""
    return BETA_MIN + t * (BETA_MAX - BETA_MIN)


def mean_scale(t: float) -> float:
    """√ᾱ(t) = exp(−¼t²(β_max − β_min) − ½tβ_min): what is left of x₀ in x_t; the variance is 1 − ᾱ (eq. 29)."""
    return math.exp(-(t**2) * (BETA_MAX - BETA_MIN) / 4 - t * BETA_MIN / 2)


def vp_diffuse(x: Tensor, t: float, steps: int, xi: Noise) -> Iterator[tuple[float, Tensor]]:
    """x_t = √ᾱ(t) x₀ + √(1−ᾱ(t)) ξ_f, in one step; ξ_f has the address of the last of so many steps."""
    scale = mean_scale(t)
    yield t, scale * x + math.sqrt(1 - scale**2) * xi.forward(steps - 1, like=x)


def euler_maruyama(score: Score, x: Tensor, t: float, steps: int, xi: Noise) -> Iterator[tuple[float, Tensor]]:
    """Reverse-time SDE from t to 0 in equal steps h: x ← x + (½β x + β s) h + √(βh) ξ (Song et al. 2021, App. D).

    No noise at the last step, as in the authors' samplers.
    """
    h = t / steps
    for i in range(steps, 0, -1):
        b = beta(i * h)
        x = x + (x / 2 + score(x, i * h)) * b * h
        if i > 1:
            x = x + math.sqrt(b * h) * xi.reverse(i - 1, like=x)
        yield (i - 1) * h, x


def predictor_corrector(
    score: Score, x: Tensor, t: float, steps: int, xi: Noise, snr: float
) -> Iterator[tuple[float, Tensor]]:
    """A Langevin step before each step of `euler_maruyama` (Song et al. 2021, Alg. 3 and 5).

    Its size is 2α(snr ‖z‖/‖s‖)², α = 1 − β h, for every image by its own norms: the authors take means over the batch,
    in which an image would depend on its neighbours.
    """
    h = t / steps
    for i in range(steps, 0, -1):
        b, z = beta(i * h), xi.reverse(i - 1 + LEVELS, like=x)
        s = score(x, i * h)
        ratio = z.flatten(1).norm(dim=1) / s.flatten(1).norm(dim=1).clamp(min=1e-12)
        step = 2 * (1 - b * h) * (snr * ratio).square().view(-1, *[1] * (x.ndim - 1))
        x = x + step * s + (2 * step).sqrt() * z
        x = x + (x / 2 + score(x, i * h)) * b * h
        if i > 1:
            x = x + math.sqrt(b * h) * xi.reverse(i - 1, like=x)
        yield (i - 1) * h, x


def edm_levels(first: float, last: float, steps: int, rho: float = 7.0) -> list[float]:
    """σ_0 = first … σ_{n−1} = last, then 0: (n + 1,) noise levels, evenly spaced in σ^{1/ρ} (Karras et al. eq. 5)."""
    if steps == 1:
        return [first, 0.0]
    a, b = first ** (1 / rho), last ** (1 / rho)
    return [*((a + j / (steps - 1) * (b - a)) ** rho for j in range(steps)), 0.0]


def edm_diffuse(x: Tensor, levels: Sequence[float], xi: Noise) -> Iterator[tuple[float, Tensor]]:
    """x + σ_0 ξ_f: noise is added, the image is not scaled."""
    yield levels[0], x + levels[0] * xi.forward(len(levels) - 2, like=x)


def heun(
    denoised: Denoised,
    x: Tensor,
    levels: Sequence[float],
    xi: Noise,
    churn: float = 0.0,
    churn_from: float = 0.0,
    churn_to: float = math.inf,
    churn_noise: float = 1.0,
) -> Iterator[tuple[float, Tensor]]:
    """Karras et al. 2022, Alg. 2: raise the noise level by γ, then a step of Heun's second order down to the next.

    levels: as of `edm_levels`. churn, churn_from, churn_to, churn_noise: S_churn, S_tmin, S_tmax, S_noise; without
    churn the ODE is solved and no noise is used. 2n − 1 evaluations.
    """
    n = len(levels) - 1
    for i, (level, lower) in enumerate(pairwise(levels)):
        gamma = min(churn / n, math.sqrt(2) - 1) if churn_from <= level <= churn_to else 0.0
        hat = level * (1 + gamma)
        if gamma > 0:
            x = x + math.sqrt(hat**2 - level**2) * churn_noise * xi.reverse(n - 1 - i, like=x)
        slope = (x - denoised(x, hat)) / hat
        end = x + (lower - hat) * slope
        if lower > 0:
            end = x + (lower - hat) * (slope + (end - denoised(end, lower)) / lower) / 2
        x = end
        yield lower, x


# A network that predicts ε, as these models ask it.

Network = Callable[[Tensor, Tensor], Tensor]  # x in [-1, 1], index (1,) on 0 … 999, which need not be whole → ε


def vp_score(network: Network) -> Score:
    """s(x, t) = −ε_θ(x, 999 t) / √(1−ᾱ(t)) (Song et al.'s wrapper of continuous VP models)."""

    def score(x: Tensor, t: float) -> Tensor:
        eps = network(x, torch.tensor([999 * t], device=x.device))[:, : x.shape[1]]
        return -eps / math.sqrt(1 - mean_scale(t) ** 2)

    return score


def vp_time(sigma: float) -> float:
    """t at which noise over signal √(1−ᾱ)/√ᾱ is σ: that of β_d t²/2 + β_min t = log(1 + σ²) (Karras et al. Table 1)."""
    spread = BETA_MAX - BETA_MIN
    return (math.sqrt(BETA_MIN**2 + 2 * spread * math.log1p(sigma**2)) - BETA_MIN) / spread


def vp_denoised(network: Network, clip: bool) -> Denoised:
    """D(x; σ) = x − σ ε_θ(x/√(1+σ²), 999 t(σ)): a network of the VP kind as EDM asks it (Karras et al. Table 1, VP)."""

    def denoised(x: Tensor, sigma: float) -> Tensor:
        index = torch.tensor([999 * vp_time(sigma)], device=x.device)
        x0 = x - sigma * network(x / math.sqrt(1 + sigma**2), index)[:, : x.shape[1]]
        return x0.clamp(-1, 1) if clip else x0

    return denoised
