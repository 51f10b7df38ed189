"""Purifiers of score-based models, made like those of purity.purifiers: VP-SDE and EDM (Liu et al.'s other models).

Their networks predict ε and are told a network index on 0 … 999 that need not be whole.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from purity.diffusion import continuous
from purity.diffusion.continuous import Network
from purity.noise import Noise
from purity.purifiers import Purifier

State = tuple[float, Tensor]


@dataclass(frozen=True)
class Continuous:
    """forward(z, xi), then reverse(z, xi): generators of (noise level or time, z) with z in [-1, 1]."""

    forward: Callable[[Tensor, Noise], Iterator[State]]
    reverse: Callable[[Tensor, Noise], Iterator[State]]

    def __call__(self, x: Tensor, xi: Noise) -> Tensor:
        """x (B, C, H, W) in [0, 1] → purified, same shape, in [0, 1]."""
        ((_, purified),) = deque(self.states(x, xi), maxlen=1)
        return purified

    def states(self, x: Tensor, xi: Noise) -> Iterator[tuple[int, Tensor]]:
        """(number of the state, image) from x to f_ξ(x); only the ends are cut to [0, 1]."""
        z, number = 2 * x - 1, 0
        yield number, x
        for _, noisy in self.forward(z, xi):
            z, number = noisy, number + 1
            yield number, (z + 1) / 2
        for level, cleaner in self.reverse(z, xi):
            number += 1
            image = (cleaner + 1) / 2
            yield number, image if level > 0 else image.clamp(0, 1)


def vp_sde(network: Network, *, t: float, steps: int, snr: float | None = None, recompute: bool = True) -> Purifier:
    """Forward noise to time t in (0, 1], then the reverse-time SDE in `steps` steps.

    snr: of a Langevin step before each (Liu et al.: .16), None for none. recompute: keep no activations.
    ValueError if t is outside (0, 1].
    """
    if not 0 < t <= 1:
        raise ValueError(f"t = {t} is outside (0, 1]")
    score = _recomputed(continuous.vp_score(network)) if recompute else continuous.vp_score(network)
    reverse = partial(_euler, score, t, steps) if snr is None else partial(_corrected, score, t, steps, snr)
    return Continuous(lambda z, xi: continuous.vp_diffuse(z, t, steps, xi), reverse)


def _euler(score, t, steps, z, xi):
    return continuous.euler_maruyama(score, z, t, steps, xi)


def _corrected(score, t, steps, snr, z, xi):
    return continuous.predictor_corrector(score, z, t, steps, xi, snr)


def edm(
    network: Network,
    *,
    sigma: float,
    steps: int,
    last: float = 0.002,
    clip: bool = False,
    churn: float = 0.0,
    churn_from: float = 0.0,
    churn_to: float = 1e9,
    churn_noise: float = 1.0,
    recompute: bool = True,
) -> Purifier:
    """Noise of level σ on the scale of [-1, 1], then Heun's steps down to 0 by way of `last` (Karras et al. 2022).

    Liu et al.: sigma .5, steps 50, churn 6 between .01 and .46, churn_noise 1.007. The network is one of the VP kind.
    """
    levels = continuous.edm_levels(sigma, last, steps)
    denoised = continuous.vp_denoised(network, clip)
    denoised = _recomputed(denoised) if recompute else denoised

    def reverse(z: Tensor, xi: Noise) -> Iterator[State]:
        return continuous.heun(denoised, z, levels, xi, churn, churn_from, churn_to, churn_noise)

    return Continuous(lambda z, xi: continuous.edm_diffuse(z, levels, xi), reverse)


def _recomputed(evaluate: Callable[[Tensor, float], Tensor]) -> Callable[[Tensor, float], Tensor]:
    def again(x: Tensor, level: float) -> Tensor:
        if torch.is_grad_enabled() and x.requires_grad:
            return checkpoint(evaluate, x, level, use_reentrant=False, preserve_rng_state=False)
        return evaluate(x, level)

    return again
