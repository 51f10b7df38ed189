"""Attacks on a defended classifier. They know gradients and balls, nothing of diffusion.

An attack is a function `(defence, x, y, noise, progress, **options) → adversarial images`, x (B, C, H, W) in [0, 1],
y (B,) labels; the same shape and range comes back, every row within its ball and depending on its own row only.
`noise` holds the attack's own randomness, `progress` wraps a range to report on it. Name an importable function of
this kind in the config to bring your own. A blind attack (one that looks at no defence) gets None for the defence.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from purity.defence import Defence
from purity.geometry import BALLS
from purity.noise import Noise


class Attack(NamedTuple):
    """An attack function and its options."""

    run: Callable
    options: dict

    def __call__(self, defence: Defence | None, x: Tensor, y: Tensor, noise: Noise, progress=iter) -> Tensor:
        return self.run(defence, x, y, noise, progress, **self.options)

    def scaled(self, factor: float) -> "Attack":
        """The same with a budget of ε·factor. ValueError if it has no option `epsilon`."""
        if "epsilon" not in self.options:
            raise ValueError(f"attack {self.run.__name__} has no option epsilon to scale")
        return self._replace(options=self.options | {"epsilon": self.options["epsilon"] * factor})


def uniform(defence: None, x: Tensor, y: Tensor, noise: Noise, progress=iter, *, epsilon: float) -> Tensor:
    """x₀ + U(−ε, ε) per pixel, cut to [0, 1]. Blind."""
    return (x + BALLS["linf"].point(noise.start(x), epsilon)).clamp(0, 1)


def pgd(
    defence: Defence,
    x: Tensor,
    y: Tensor,
    noise: Noise,
    progress=iter,
    *,
    epsilon: float,
    steps: int,
    relative_step: float,
    norm: str = "linf",
    random_start: bool = True,
    draws: int = 1,
) -> Tensor:
    """Projected gradient ascent on the summed cross-entropy (Madry et al. 2017; foolbox's LinfPGD and L2PGD).

    relative_step: step over ε. draws: gradients averaged a step (EOT, eq. 9). Ends with the final iterate.
    """
    ball = BALLS[norm]
    x0 = x
    if random_start:
        x = (x0 + ball.point(noise.start(x0), epsilon)).clamp(0, 1)
    for k in progress(range(steps)):
        g = expected_gradient(defence, x, y, k, draws)
        x = x + relative_step * epsilon * ball.steepest(g)
        x = (x0 + ball.project(x - x0, epsilon)).clamp(0, 1)
    return x


def bpda(defence: Defence, x: Tensor, y: Tensor, noise: Noise, progress=iter, **options) -> Tensor:
    """PGD that purifies forward and takes the purifier's derivative to be the identity (Athalye et al. 2018)."""
    return pgd(defence.straight_through(), x, y, noise, progress, **options)


def expected_gradient(defence: Defence, x: Tensor, y: Tensor, k: int, draws: int) -> Tensor:
    """E_ξ ∇ₓ L (eq. 9): the mean of the gradients of `draws` draws, not the gradient of mean logits.

    As many draws at a time as the defence has room for.
    """
    total, end = torch.zeros_like(x), (k + 1) * draws
    together = max(1, defence.max_batch // len(x))
    for first in range(k * draws, end, together):
        for gradient in gradients(defence, x, y, range(first, min(first + together, end))):
            total = total + gradient
    return total / draws


def gradients(defence: Defence, x: Tensor, y: Tensor, draws: range) -> Iterable[Tensor]:
    """∇ₓ L at each of these draws, all in one batch."""
    if len(draws) == 1:
        return [defence.gradient(x, y, draws[0])]
    rows, draw = torch.arange(len(x)).repeat(len(draws)), torch.tensor(draws).repeat_interleave(len(x))
    repeated = (len(draws), *[1] * (x.ndim - 1))
    return defence.rows(rows).gradient(x.repeat(repeated), y.repeat(len(draws)), draw).split(len(x))
