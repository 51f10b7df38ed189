"""β, ᾱ and σ of a diffusion chain as tables whose index runs 0 … n with ᾱ₀ = 1, as the papers count."""

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from purity.run.rules import broken

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


# diffusers' schedulers whose forward process is the chain of β of Ho et al.
_CHAINS = re.compile(r"DDPM|DDIM|I?PNDM|DPMSolver|UniPC|DEIS|LMSDiscrete|Euler|Heun|KDPM2")


def check_scheduler(said: dict, folder: str) -> None:
    """What the scheduler_config.json of a folder in diffusers' format says of the training, held against what
    purifiers do: ε predicted, β linear from 10⁻⁴ to .02 in 1000 steps. ValueError in one line for the first other.
    """
    kind = said.get("_class_name", "DDPMScheduler")
    default = "epsilon" if said.get("predict_epsilon", True) else "sample"
    predicts = said.get("prediction_type", default)
    schedule, steps = said.get("beta_schedule", "linear"), said.get("num_train_timesteps", T)
    betas = said.get("trained_betas")
    where = f"checkpoint {folder}: its scheduler_config.json says"
    if not _CHAINS.match(kind):
        raise broken(f"{where} _class_name: {kind}, which is no chain of β", "weights")
    if predicts != "epsilon":
        raise broken(f"{where} prediction_type: {predicts}; networks predict epsilon here", "weights")
    if said.get("rescale_betas_zero_snr"):
        raise broken(f"{where} rescale_betas_zero_snr: true; ᾱ ends above 0 here", "weights")
    if betas is None and schedule != "linear":
        raise broken(f"{where} beta_schedule: {schedule}; β is linear here", "weights")
    if betas is None:
        first, last = said.get("beta_start", 1e-4), said.get("beta_end", 0.02)
        betas, named = linear(steps, first, last).beta[1:].tolist(), f"β from {first} to {last}"
    else:
        named = "trained_betas"
    wanted = linear().beta[1:].tolist()
    if len(betas) != len(wanted):
        raise broken(f"{where} {len(betas)} steps (num_train_timesteps); there are {len(wanted)} here", "weights")
    if any(abs(a - b) > 1e-6 * b for a, b in zip(betas, wanted, strict=True)):
        raise broken(f"{where} {named}; β is linear from 0.0001 to 0.02 here", "weights")
