"""β, ᾱ and σ of a diffusion chain as tables whose index runs 0 … n with ᾱ₀ = 1, as the papers count."""

from dataclasses import dataclass

import torch
from torch import Tensor

T = 1000


@dataclass(frozen=True)
class Schedule:
    """A chain of n steps. Tables are float64 on the CPU; a 0-dim entry times a tensor keeps the tensor's type.

    beta, abar: (n+1,), β_0 = 0 and ᾱ_0 = 1.
    index: (n+1,), what the network is told at step t (0-based, as it was trained); index[0] = −1 is never told.
    """

    beta: Tensor
    abar: Tensor
    index: tuple[int, ...]

    @property
    def steps(self) -> int:
        return len(self.beta) - 1

    def time(self, t: int) -> int:
        """Step t of this chain on the scale of the full one, 0 … T."""
        return self.index[t] + 1

    @property
    def posterior_variance(self) -> Tensor:
        """β̃_t = β_t (1−ᾱ_{t−1}) / (1−ᾱ_t) (Ho et al. 2020, eq. 7); β̃_1 = 0."""
        variance = torch.zeros_like(self.beta)
        variance[1:] = self.beta[1:] * (1 - self.abar[:-1]) / (1 - self.abar[1:])
        return variance

    @property
    def sigma_large(self) -> Tensor:
        """σ_t² = β_t (the CIFAR-10 checkpoint's own choice)."""
        return self.beta.sqrt()

    @property
    def sigma_small(self) -> Tensor:
        """σ_t² = β̃_t, the posterior variance."""
        return self.posterior_variance.sqrt()


def from_abar(abar: Tensor, index: tuple[int, ...]) -> Schedule:
    """The chain that visits these ᾱ (n+1,), ᾱ_0 = 1; β_t = 1 − ᾱ_t / ᾱ_{t−1}."""
    beta = torch.zeros_like(abar)
    beta[1:] = 1 - abar[1:] / abar[:-1]
    return Schedule(beta, abar, index)


def linear(steps: int = T, first: float = 1e-4, last: float = 0.02) -> Schedule:
    """β linear from `first` to `last` over T = 1000 steps (Ho et al. 2020, §4)."""
    beta = torch.cat([torch.zeros(1, dtype=torch.float64), torch.linspace(first, last, steps, dtype=torch.float64)])
    return Schedule(beta, torch.cumprod(1 - beta, dim=0), (-1, *range(steps)))


def strength(schedule: Schedule, t: int, steps: int | None = None) -> Schedule:
    """The first t steps of a schedule: noise up to ᾱ_t, then the network at indices t−1 … 0.

    steps: keep only so many evaluations, spread evenly with both ends kept, β recomputed from the kept ᾱ
    (Nichol & Dhariwal 2021, §4). None keeps all t. ValueError unless 1 ≤ steps ≤ t ≤ the schedule's own steps.
    """
    if not 1 <= t <= schedule.steps:
        raise ValueError(f"t = {t} is outside 1 … {schedule.steps}")
    steps = t if steps is None else steps
    if not 1 <= steps <= t:
        raise ValueError(f"steps = {steps} is outside 1 … t = {t}")
    if steps == t:
        return Schedule(schedule.beta[: t + 1], schedule.abar[: t + 1], schedule.index[: t + 1])
    visited = [t] if steps == 1 else [1 + round(j * (t - 1) / (steps - 1)) for j in range(steps)]
    return from_abar(schedule.abar[[0, *visited]], (-1, *(schedule.index[k] for k in visited)))
