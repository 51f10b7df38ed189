"""The papers' processes, one generator each: they yield (t, x_t) for every state, the last one is the result.

The caller supplies x in [-1, 1] (B, C, H, W), the schedule s, the noise xi and, for the reverse processes,
`denoise(x, t)`: what the network says at step t (see purity.diffusion.denoiser). The loops hold only the update.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor

from purity.diffusion.schedules import Schedule
from purity.noise import Noise


class Estimate(NamedTuple):
    """x̂₀ and ε as the network sees them in x_t, and the σ_t of the step to x_{t−1} (a number or (B, C, H, W))."""

    x0: Tensor
    eps: Tensor
    sigma: Tensor


State = tuple[int, Tensor]
Denoise = Callable[[Tensor, int], Estimate]


def diffuse(x: Tensor, s: Schedule, xi: Noise) -> Iterator[State]:
    """x_τ = √(1−β_τ) x_{τ−1} + √β_τ ξ_f(τ), τ = 1 … n (Liu & Wei eq. 1), one noise a step."""
    for tau in range(1, s.steps + 1):
        x = (1 - s.beta[tau]).sqrt() * x + s.beta[tau].sqrt() * xi.forward(s.index[tau], like=x)
        yield tau, x


def q_sample(x: Tensor, s: Schedule, xi: Noise) -> Iterator[State]:
    """x_n = √ᾱ_n x₀ + √(1−ᾱ_n) ξ_f: the same law as `diffuse` in one step, a draw of q(x_n | x₀)."""
    n = s.steps
    yield n, s.abar[n].sqrt() * x + (1 - s.abar[n]).sqrt() * xi.forward(s.index[n], like=x)


def stay(x: Tensor, s: Schedule, xi: Noise) -> Iterator[State]:
    """No forward process at all: the reverse chain starts at the image (Liu & Wei, "Reverse")."""
    yield s.steps, x


def posterior(denoise: Denoise, s: Schedule) -> Callable[[Tensor, int], tuple[Tensor, Tensor]]:
    """(x_t, t) ↦ the mean of x_{t−1} and σ_t (Ho et al. 2020, eq. 7, through x̂₀).

    Equals (x_t − β_t/√(1−ᾱ_t) ε)/√(1−β_t) when x̂₀ is not clipped.
    """

    def step(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        x0, _, sigma = denoise(x, t)
        a, b = s.abar[t - 1].sqrt() * s.beta[t], (1 - s.beta[t]).sqrt() * (1 - s.abar[t - 1])
        return (a * x0 + b * x) / (1 - s.abar[t]), sigma

    return step


def ancestral(
    step: Callable[[Tensor, int], tuple[Tensor, Tensor]], x: Tensor, s: Schedule, xi: Noise
) -> Iterator[State]:
    """x_{t−1} = mean + σ_t ξ_t of a `posterior` step, x_n → x_0. No noise at the last."""
    for t in range(s.steps, 0, -1):
        x, sigma = step(x, t)
        if t > 1:
            x = x + sigma * xi.reverse(s.index[t], like=x)
        yield t - 1, x


def ddpm(denoise: Denoise, x: Tensor, s: Schedule, xi: Noise) -> Iterator[State]:
    """Ancestral chain x_n → x_0 (Ho et al. 2020, Alg. 2; Liu & Wei eq. 2)."""
    return ancestral(posterior(denoise, s), x, s, xi)


def implicit(denoise: Denoise, s: Schedule) -> Callable[[Tensor, int], Tensor]:
    """(x_t, t) ↦ x_{t−1} = √ᾱ_{t−1} x̂₀ + √(1−ᾱ_{t−1}) ε (Song et al. 2020, η = 0; Liu & Wei eq. 3)."""

    def step(x: Tensor, t: int) -> Tensor:
        x0, eps, _ = denoise(x, t)
        return s.abar[t - 1].sqrt() * x0 + (1 - s.abar[t - 1]).sqrt() * eps

    return step


def deterministic(step: Callable[[Tensor, int], Tensor], x: Tensor, s: Schedule, xi: Noise) -> Iterator[State]:
    """x_{t−1} = step(x_t, t), x_n → x_0. Uses no noise."""
    for t in range(s.steps, 0, -1):
        x = step(x, t)
        yield t - 1, x


def ddim(denoise: Denoise, x: Tensor, s: Schedule, xi: Noise) -> Iterator[State]:
    """The deterministic chain x_n → x_0 of DDIM's steps (see `implicit`)."""
    return deterministic(implicit(denoise, s), x, s, xi)


def one_step(denoise: Denoise, x: Tensor, s: Schedule, xi: Noise) -> Iterator[State]:
    """x̂₀ = (x_n − √(1−ᾱ_n) ε)/√ᾱ_n, one evaluation (Carlini et al. 2022). Uses no noise."""
    yield 0, denoise(x, s.steps).x0
