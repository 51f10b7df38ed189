"""Attacks on a defended classifier. They know gradients and balls, nothing of diffusion.

An attack is a function `(defence, x, y, noise, progress, **options) → adversarial images`, x (B, C, H, W) in [0, 1],
y (B,) labels; the same shape and range comes back, every row within its ball and depending on its own row only.
`noise` holds the attack's own randomness, `progress` wraps a range to report on it. Name an importable function of
this kind in the config to bring your own. A blind attack (one that looks at no defence) gets None for the defence.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from purity.defence import Defence
from purity.geometry import BALLS
from purity.losses import LOSSES, TARGETED, Loss, cross_entropy, margin
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


def uniform(
    defence: None, x: Tensor, y: Tensor, noise: Noise, progress=iter, *, epsilon: float, cut: bool = False
) -> Tensor:
    """x₀ + U(−ε, ε) per pixel, also outside [0, 1], as the papers' distances say. Blind. cut: to [0, 1]."""
    noisy = x + BALLS["linf"].point(noise.start(x), epsilon)
    return noisy.clamp(0, 1) if cut else noisy


# Step k of n over the first one: what a schedule leaves of it.
SCHEDULES: dict[str, Callable[[int, int], float]] = {
    "constant": lambda k, n: 1.0,
    "cosine": lambda k, n: (1 + math.cos(math.pi * k / n)) / 2,
}


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
    schedule: str = "constant",
    norm: str = "linf",
    random_start: bool = True,
    draws: int = 1,
    loss: str = "cross-entropy",
) -> Tensor:
    """Projected gradient ascent on a loss summed over the batch (Madry et al. 2017; foolbox's LinfPGD and L2PGD).

    relative_step: first step over ε. schedule: constant, or cosine: falls to 0 with the last step. draws: gradients
    averaged a step (EOT, eq. 9). loss: cross-entropy, margin or dlr. Ends with the final iterate.
    A random start may lie 2ε from where the attack should end: constant steps that together are shorter fall short.
    """
    ball, raised = BALLS[norm], LOSSES[loss]
    x0 = x
    if random_start:
        x = (x0 + ball.point(noise.start(x0), epsilon)).clamp(0, 1)
    lengths = [relative_step * epsilon * SCHEDULES[schedule](k, steps) for k in range(steps)]
    for k in progress(range(steps)):
        g = expected_gradient(defence, x, y, k, draws, raised)
        x = x + lengths[k] * ball.steepest(g)
        x = (x0 + ball.project(x - x0, epsilon)).clamp(0, 1)
    return x


def bpda(defence: Defence, x: Tensor, y: Tensor, noise: Noise, progress=iter, **options) -> Tensor:
    """PGD that purifies forward and takes the purifier's derivative to be the identity (Athalye et al. 2018)."""
    return pgd(defence.straight_through(), x, y, noise, progress, **options)


def apgd(
    defence: Defence,
    x: Tensor,
    y: Tensor,
    noise: Noise,
    progress=iter,
    *,
    epsilon: float,
    steps: int,
    norm: str = "linf",
    random_start: bool = False,
    draws: int = 1,
    loss: str = "cross-entropy",
) -> Tensor:
    """Auto-PGD (Croce & Hein 2020, Alg. 1): momentum, and a step that each image halves for itself when it must.

    steps + 1 gradients. loss: cross-entropy, margin or dlr. Of all iterates the one comes back whose margin is largest,
    which fools if any does: a choice that is worth what the attacker knows of ξ.
    """
    start = x
    if random_start:
        start = (x + BALLS[norm].point(noise.start(x), epsilon)).clamp(0, 1)
    return _auto_pgd(defence, x, y, start, progress, epsilon, steps, norm, draws, LOSSES[loss])


def apgd_targeted(
    defence: Defence,
    x: Tensor,
    y: Tensor,
    noise: Noise,
    progress=iter,
    *,
    epsilon: float,
    steps: int,
    targets: int,
    norm: str = "linf",
    draws: int = 1,
    loss: str = "margin",
) -> Tensor:
    """Auto-PGD towards one class after the other, the nearest to the clean image first (Croce & Hein 2020, §4.4).

    An image that is fooled is left as it is, and costs no more: at most targets · (steps + 1) gradients each. targets:
    as many of the other classes. loss: cross-entropy, margin or dlr, each towards the target.
    """
    with torch.no_grad():
        logits = _later(defence, PART - 1)(x)
    ranked = logits.scatter(1, y[:, None], -torch.inf).argsort(dim=1, descending=True)

    def toward(rank: int) -> Part:
        def run(attacked: Defence, x0: Tensor, label: Tensor, rows: Tensor) -> Tensor:
            raised = TARGETED[loss](ranked[rows, rank])
            return _auto_pgd(attacked, x0, label, x0, progress, epsilon, steps, norm, draws, raised)

        return run

    return _worst(defence, x, y, [toward(rank) for rank in range(min(targets, logits.shape[1] - 1))], draws, TARGET)


def worst_of(
    defence: Defence,
    x: Tensor,
    y: Tensor,
    noise: Noise,
    progress=iter,
    *,
    epsilon: float,
    attacks: list[dict],
    norm: str = "linf",
    judgings: int = 1,
) -> Tensor:
    """For each image the worst that several attacks do to it, as far as the attacker can tell.

    attacks: in order, each {run: name of an attack of this module, …its options without epsilon and norm}. An image
    that one of them has fooled is left to it; so no attack that is added makes an image more robust. judgings: by so
    many draws of what he does not know of ξ the attacker tells; all have to be wrong to end it.
    """

    def part(options: dict) -> Part:
        attack = PARTS[options["run"]]
        own = {name: value for name, value in options.items() if name != "run"}

        def run(attacked: Defence, x0: Tensor, label: Tensor, rows: Tensor) -> Tensor:
            return attack(attacked, x0, label, noise.rows(rows), progress, epsilon=epsilon, norm=norm, **own)

        return run

    for options in attacks:
        if options.get("run") not in PARTS:
            raise ValueError(f"worst_of: there is no attack '{options.get('run')}'; there are {', '.join(PARTS)}")
    return _worst(defence, x, y, [part(options) for options in attacks], judgings, PART)


PARTS: dict[str, Callable] = {"pgd": pgd, "bpda": bpda, "apgd": apgd, "apgd_targeted": apgd_targeted}

Part = Callable[[Defence, Tensor, Tensor, Tensor], Tensor]  # defence, x and y of some rows, and which → adversarial

# Draws that each attack of several has for itself, and each target of one: no two of them see the same.
PART, TARGET = 2**24, 2**16


def _worst(defence: Defence, x: Tensor, y: Tensor, parts: list[Part], judgings: int, apart: int) -> Tensor:
    """Per image the result whose answers are wrong most often, then by the larger margin; parts see what resists."""
    worst, most, largest = x.clone(), x.new_full((len(x),), -1), x.new_full((len(x),), -torch.inf)
    left = torch.arange(len(x))
    for j, run in enumerate(parts):
        attacked = _later(defence, 2 * j * apart).rows(left)
        found = run(attacked, x[left], y[left], left)
        wrong, by = judged(_later(attacked, apart), found, y[left], judgings)
        worse = (wrong > most[left]) | ((wrong == most[left]) & (by > largest[left]))
        rows = left[worse.cpu()]
        worst[rows], most[rows], largest[rows] = found[worse], wrong[worse], by[worse]
        left = left[(most[left] < 1).cpu()]
        if len(left) == 0:
            break
    return worst


def _later(defence: Defence, draws: int) -> Defence:
    return replace(defence, first=defence.first + draws)


@torch.no_grad()
def judged(defence: Defence, x: Tensor, y: Tensor, judgings: int) -> tuple[Tensor, Tensor]:
    """Share of wrong answers and mean margin, both (B,), over the attacker's draws 0 … judgings − 1."""
    margins = torch.stack([margin(defence(x, k), y) for k in range(judgings)])
    return (margins > 0).to(x.dtype).mean(dim=0), margins.mean(dim=0)


def _auto_pgd(
    defence: Defence,
    x0: Tensor,
    y: Tensor,
    start: Tensor,
    progress: Callable,
    epsilon: float,
    steps: int,
    norm: str,
    draws: int,
    loss: Loss,
) -> Tensor:
    """Algorithm 1 with η = 2ε, α = .75, ρ = .75, all its decisions made row by row."""
    ball = BALLS[norm]

    def projected(z: Tensor) -> Tensor:
        return (x0 + ball.project(z - x0, epsilon)).clamp(0, 1)

    def where(rows: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return torch.where(rows.view(-1, *[1] * (x0.ndim - 1)), a, b)

    x, before = start, start
    f, reached, g = expected(defence, x, y, 0, draws, loss)
    top, x_top, g_top = f, x, g  # where the loss was largest
    worst, x_worst = reached, x  # where the margin was
    step = torch.full_like(f, 2 * epsilon).view(-1, *[1] * (x0.ndim - 1))
    rises, halved, top_at_check = torch.zeros_like(f), torch.ones_like(f, dtype=torch.bool), top
    checks = set(_checkpoints(steps))
    since = 0
    for k in progress(range(1, steps + 1)):
        momentum = 0.25 if k > 1 else 0.0
        z = projected(x + step * ball.steepest(g))
        x, before = projected(x + (1 - momentum) * (z - x) + momentum * (x - before)), x
        f_before = f
        f, reached, g = expected(defence, x, y, k, draws, loss)
        rises, since = rises + (f > f_before), since + 1
        higher = f > top
        top, x_top, g_top = torch.maximum(f, top), where(higher, x, x_top), where(higher, g, g_top)
        worse = reached > worst
        worst, x_worst = torch.maximum(reached, worst), where(worse, x, x_worst)
        if k in checks:
            halved = (rises <= 0.75 * since) | (~halved & (top <= top_at_check))
            step = where(halved, step / 2, step)
            x, g = where(halved, x_top, x), where(halved, g_top, g)
            rises, since, top_at_check = torch.zeros_like(f), 0, top
    return x_worst


def _checkpoints(steps: int) -> Iterator[int]:
    """When steps may be halved: after 22 % of them, then ever sooner by 3 %, down to every 6 %."""
    interval, least, less = (max(int(share * steps), 1) for share in (0.22, 0.06, 0.03))
    k = interval
    while k <= steps:
        yield k
        interval = max(interval - less, least)
        k += interval


class Slope(NamedTuple):
    """Means over draws: of the loss (B,), the margin (B,) and the gradient of the loss, in the shape of the images."""

    loss: Tensor
    margin: Tensor
    gradient: Tensor


def expected(defence: Defence, x: Tensor, y: Tensor, k: int, draws: int, loss: Loss = cross_entropy) -> Slope:
    """E_ξ of the loss, the margin and ∇ₓ L (eq. 9): the mean of `draws` gradients, not the gradient of mean logits.

    Draws k · draws and those after it. As many at a time as the defence has room for.
    """
    end, together = (k + 1) * draws, max(1, defence.max_batch // len(x))
    of_draws = (
        of_draw
        for first in range(k * draws, end, together)
        for of_draw in _slopes(defence, x, y, range(first, min(first + together, end)), loss)
    )
    total = next(of_draws)
    for of_draw in of_draws:
        total = Slope(*(a + b for a, b in zip(total, of_draw, strict=True)))
    return Slope(*(value / draws for value in total))


def expected_gradient(defence: Defence, x: Tensor, y: Tensor, k: int, draws: int, loss: Loss = cross_entropy) -> Tensor:
    """The gradient of `expected` alone."""
    return expected(defence, x, y, k, draws, loss).gradient


def _slopes(defence: Defence, x: Tensor, y: Tensor, draws: range, loss: Loss) -> Iterator[Slope]:
    """At each of these draws, all in one batch."""
    n = len(draws)
    if n == 1:
        logits, gradient = defence.slope(x, y, draws[0], loss)
        yield Slope(loss(logits, y), margin(logits, y), gradient)
        return
    rows, of = torch.arange(len(x)).repeat(n), torch.tensor(draws).repeat_interleave(len(x))
    repeated = x.repeat(n, *[1] * (x.ndim - 1))
    logits, gradient = defence.rows(rows).slope(repeated, y.repeat(n), of, lambda z, labels: _by_draw(loss, z, y, n))
    for z, g in zip(logits.split(len(x)), gradient.split(len(x)), strict=True):
        yield Slope(loss(z, y), margin(z, y), g)


def _by_draw(loss: Loss, logits: Tensor, y: Tensor, n: int) -> Tensor:
    """A loss may hold something of each row of the batch (a target), so it gets one draw's rows at a time."""
    return torch.cat([loss(z, y) for z in logits.split(len(y))])
