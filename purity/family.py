"""A family of purifiers that holds the papers' and all that lies between and around them, by one set of options.

The study `search` looks in it for purifiers that compress and keep what images show (Liu & Wei, the conclusion).
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor

from purity.defence import Classifier
from purity.diffusion import samplers, schedules
from purity.diffusion.chain import chained
from purity.diffusion.denoiser import Network, denoiser
from purity.diffusion.samplers import Denoise, State
from purity.diffusion.schedules import Schedule
from purity.noise import Noise
from purity.purifiers import Diffusion, Purifier

Step = Callable[[Tensor, int], tuple[Tensor, Tensor]]


def member(
    network: Network,
    *,
    sampler: str,
    t: int,
    steps: int = 1,
    spacing: float = 1.0,
    sigma: str = "small",
    scale: float = 1.0,
    eta: float = 0.0,
    clip: bool = True,
    forward: float = 1.0,
    mean: int = 1,
    rounds: int = 1,
    recompute: bool = True,
    side: int | None = None,
) -> Purifier:
    """One purifier of the family.

    network(x, index) predicts ε; t in 1 … 1000. sampler: ancestral (`sigma` small, large or learned, times `scale`),
    implicit (DDIM with `eta`) or one-step (of all others only clip and forward matter). steps: evaluations kept of the
    t; spacing: the j-th of them lies at (j/(steps−1))^spacing of the way to t, 1 is even, more are late in the chain
    (near the image) if it is above. forward: the variance of the forward noise as a part of 1 − ᾱ_t: 0 is RevPure's
    start at the image itself, 1 the papers' q(x_t | x₀). mean: how many purifications under different noise are
    averaged. rounds: how often what comes out is purified again. recompute, side: as in purity.purifiers.
    ValueError: an unknown sampler, forward outside [0, 1], spacing, mean or rounds not above 0.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler {sampler} is none of {', '.join(SAMPLERS)}")
    if not 0 <= forward <= 1 or spacing <= 0 or mean < 1 or rounds < 1:
        raise ValueError("a purifier of the family needs forward in [0, 1], spacing above 0, mean and rounds from 1 on")
    kept = t if sampler == "one-step" else steps
    s = spaced(schedules.linear(), t, kept, spacing)
    denoise = denoiser(network, s, "small" if sampler == "implicit" else sigma, clip)
    reverse = SAMPLERS[sampler](denoise, s, scale, eta, recompute)
    purify: Purifier = Diffusion(s, partial(partly, level=forward), reverse, side)
    purify = purify if mean == 1 else Mean(purify, mean)
    return purify if rounds == 1 else Rounds(purify, rounds, mean)


def defended(network: Network, classify: Classifier, *, vote: int = 1, **options) -> tuple[Purifier, Classifier]:
    """A member of these options and the classifier behind it, as purity.defence.Defence takes them.

    vote: of so many purifications of an image, under as many parts of one ξ. They are (B, vote, C, H, W) then, side by
    side, and the classifier decides by the mean of its probabilities for them: one purification moves that by 1/vote at
    the most, where it moves a mean of logits as far as it likes; and unlike a count of decisions it has a gradient.
    What comes out is the logarithm of that mean. ValueError: as of `member`, and for a vote not above 0.
    """
    if vote < 1:
        raise ValueError(f"a vote of {vote} purifications decides nothing: one or more")
    purify = member(network, **options)
    if vote == 1:
        return purify, classify
    return Vote(purify, vote, options.get("mean", 1) * options.get("rounds", 1)), voted(classify)


def voted(classify: Classifier) -> Classifier:
    """log 1/k Σ softmax of the logits of k images each, (B, k, C, H, W) → (B, K)."""

    def decided(x: Tensor) -> Tensor:
        each = classify(x.flatten(0, 1)).log_softmax(dim=1).unflatten(0, x.shape[:2])  # (B, k, K)
        return each.logsumexp(dim=1) - math.log(x.shape[1])

    return decided


def spaced(schedule: Schedule, t: int, steps: int, power: float) -> Schedule:
    """The first t steps of a schedule, `steps` of them kept: 1 + (j/(steps−1))^power (t−1), j = 0 … steps−1.

    power 1 is `schedules.strength`. Steps that would fall together are kept apart, each at least one beyond the last.
    """
    if power == 1 or steps in (1, t):
        return schedules.strength(schedule, t, steps)
    schedules.strength(schedule, t, steps)  # its ValueErrors
    visited: list[int] = []
    for j in range(steps):
        wanted = 1 + round((j / (steps - 1)) ** power * (t - 1))
        last = visited[-1] if visited else 0
        visited.append(min(max(wanted, last + 1), t - (steps - 1 - j)))
    return schedules.from_abar(schedule.abar[[0, *visited]], (-1, *(schedule.index[k] for k in visited)))


def partly(x: Tensor, s: Schedule, xi: Noise, *, level: float) -> Iterator[State]:
    """x_n = √(1−w) x₀ + √w ξ_f with w = level · (1 − ᾱ_n): `samplers.stay` at 0, `samplers.q_sample` at 1."""
    n, variance = s.steps, level * (1 - s.abar[s.steps])
    yield n, x if level == 0 else (1 - variance).sqrt() * x + variance.sqrt() * xi.forward(s.index[n], like=x)


def scaled(step: Step, scale: float) -> Step:
    """The same mean with σ_t times `scale`."""

    def smaller(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        mean, sigma = step(x, t)
        return mean, scale * sigma

    return smaller


def generalised(denoise: Denoise, s: Schedule, eta: float) -> Step:
    """(x_t, t) ↦ √ᾱ_{t−1} x̂₀ + √(1−ᾱ_{t−1}−σ²) ε and σ = η √β̃_t (Song et al. 2021, eq. 12 and 16).

    η = 0 is DDIM, η = 1 the ancestral chain with small σ.
    """
    sigma = eta * s.sigma_small

    def step(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        x0, eps, _ = denoise(x, t)
        towards = (1 - s.abar[t - 1] - sigma[t] ** 2).clamp(min=0).sqrt()
        return s.abar[t - 1].sqrt() * x0 + towards * eps, sigma[t]

    return step


def _ancestral(denoise: Denoise, s: Schedule, scale: float, eta: float, recompute: bool):
    return _chain(scaled(samplers.posterior(denoise, s), scale), s, recompute)


def _implicit(denoise: Denoise, s: Schedule, scale: float, eta: float, recompute: bool):
    return _chain(generalised(denoise, s, eta), s, recompute)


def _one_step(denoise: Denoise, s: Schedule, scale: float, eta: float, recompute: bool):
    return partial(samplers.one_step, denoise)


def _chain(step: Step, s: Schedule, recompute: bool):
    kept = cast(Step, chained(step, s.steps)) if recompute else step
    return partial(samplers.ancestral, kept)


SAMPLERS = {"ancestral": _ancestral, "implicit": _implicit, "one-step": _one_step}


@dataclass(frozen=True)
class Mean:
    """1/k Σ f(x) under k parts of one ξ."""

    purify: Purifier
    k: int

    def __call__(self, x: Tensor, xi: Noise) -> Tensor:
        return torch.stack([self.purify(x, xi.later(i * schedules.T)) for i in range(self.k)]).mean(dim=0)


@dataclass(frozen=True)
class Rounds:
    """f(f(… x)), each time under another part of ξ. k: how many parts f itself uses."""

    purify: Purifier
    n: int
    k: int

    def __call__(self, x: Tensor, xi: Noise) -> Tensor:
        ((_, purified),) = deque(self.states(x, xi), maxlen=1)
        return purified

    def states(self, x: Tensor, xi: Noise) -> Iterator[State]:
        """(round, image): x itself and what each round leaves."""
        yield 0, x
        for i in range(self.n):
            x = self.purify(x, xi.later(i * self.k * schedules.T))
            yield i + 1, x


@dataclass(frozen=True)
class Vote:
    """k purifications side by side, (B, k, C, H, W), under k parts of one ξ. parts: how many f itself uses."""

    purify: Purifier
    k: int
    parts: int

    def __call__(self, x: Tensor, xi: Noise) -> Tensor:
        return torch.stack([self.purify(x, xi.later(i * self.parts * schedules.T)) for i in range(self.k)], dim=1)
