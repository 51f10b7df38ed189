"""Attacks on a defended classifier. They know gradients and balls, nothing of diffusion.

An attack is a function `(defence, x, y, noise, progress, **options) → adversarial images`, x (B, C, H, W) in [0, 1],
y (B,) labels; the same shape and range comes back, every row within its ball and depending on its own row only.
`noise` holds the attack's own randomness, `progress` wraps a range to report on it; the loops here are folds of it, so
that an attack that is stopped goes on at the gradient it was at (purity.resuming). Name an importable function of this
kind in the config to bring your own. A blind attack (one that looks at no defence) gets None for the defence.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from purity.defence import Defence
from purity.geometry import BALLS, unit_l1
from purity.losses import LOSSES, TARGETED, Loss, cross_entropy, margin
from purity.noise import Noise
from purity.resuming import Resumable, resumable


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
    momentum: float = 0.0,
    loss: str = "cross-entropy",
) -> Tensor:
    """Projected gradient ascent on a loss summed over the batch (Madry et al. 2017; foolbox's LinfPGD and L2PGD).

    relative_step: first step over ε. schedule: constant, or cosine: falls to 0 with the last step. draws: gradients
    averaged a step (EOT, eq. 9). momentum: μ of Dong et al. 2018, eq. 6 and 8: v ← μ v + g/‖g‖₁ is followed, not g, so
    that what gradients saw of other ξ is averaged too. loss: cross-entropy, margin or dlr. Ends with the final iterate.
    A random start may lie 2ε from where the attack should end: constant steps that together are shorter fall short.
    """
    ball, raised, kept, x0 = BALLS[norm], LOSSES[loss], resumable(progress), x
    lengths = [relative_step * epsilon * SCHEDULES[schedule](k, steps) for k in range(steps)]

    def start() -> tuple[Tensor, Tensor]:
        first = (x0 + ball.point(noise.start(x0), epsilon)).clamp(0, 1) if random_start else x0
        return first, torch.zeros_like(x0)

    def step(k: int, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        g = expected_gradient(defence, x, y, k, draws, raised, kept)
        v = momentum * v + unit_l1(g) if momentum else g
        x = x + lengths[k] * ball.steepest(v)
        return (x0 + ball.project(x - x0, epsilon)).clamp(0, 1), v

    return kept.fold(range(steps), step, start)[0]


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
    return _auto_pgd(defence, x, y, start, resumable(progress), epsilon, steps, norm, draws, LOSSES[loss])


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
    kept = resumable(progress)
    with torch.no_grad():
        logits = _later(defence, PART - 1)(x)
    ranked = logits.scatter(1, y[:, None], -torch.inf).argsort(dim=1, descending=True)

    def toward(rank: int) -> Part:
        def run(attacked: Defence, x0: Tensor, label: Tensor, rows: Tensor) -> Tensor:
            raised = TARGETED[loss](ranked[rows, rank])
            return _auto_pgd(attacked, x0, label, x0, kept, epsilon, steps, norm, draws, raised)

        return run

    parts = [toward(rank) for rank in range(min(targets, logits.shape[1] - 1))]
    return _worst(defence, x, y, parts, draws, TARGET, kept)


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
    kept = resumable(progress)

    def part(options: dict) -> Part:
        attack = PARTS[options["run"]]
        own = {name: value for name, value in options.items() if name != "run"}

        def run(attacked: Defence, x0: Tensor, label: Tensor, rows: Tensor) -> Tensor:
            return attack(attacked, x0, label, noise.rows(rows), kept, epsilon=epsilon, norm=norm, **own)

        return run

    for options in attacks:
        if options.get("run") not in PARTS:
            raise ValueError(f"worst_of: there is no attack '{options.get('run')}'; there are {', '.join(PARTS)}")
    return _worst(defence, x, y, [part(options) for options in attacks], judgings, PART, kept)


class Restart(NamedTuple):
    """What `pgd` asks of its noise, for a k-th random start."""

    noise: Noise
    k: int

    def start(self, like: Tensor) -> Callable[[int], Tensor]:
        return self.noise.ball(self.k, like)


def restarted(
    defence: Defence,
    x: Tensor,
    y: Tensor,
    noise: Noise,
    progress=iter,
    *,
    epsilon: float,
    steps: int,
    relative_step: float,
    restarts: int,
    schedule: str = "constant",
    norm: str = "linf",
    draws: int = 1,
    loss: str = "cross-entropy",
    judgings: int = 1,
) -> Tensor:
    """PGD from several random points of the ball, for each image the worst as far as the attacker can tell.

    Options as of `pgd` and `worst_of`. One restart is `pgd` itself; another one never makes an image more robust.
    """
    kept = resumable(progress)
    options: dict[str, Any] = {"steps": steps, "relative_step": relative_step, "schedule": schedule}
    options |= {"draws": draws, "loss": loss}

    def part(k: int) -> Part:
        def run(attacked: Defence, x0: Tensor, label: Tensor, rows: Tensor) -> Tensor:
            start = cast(Noise, Restart(noise.rows(rows), k)) if k else noise.rows(rows)
            return pgd(attacked, x0, label, start, kept, epsilon=epsilon, norm=norm, **options)

        return run

    return _worst(defence, x, y, [part(k) for k in range(restarts)], judgings, PART, kept)


PARTS: dict[str, Callable] = {"pgd": pgd, "bpda": bpda, "apgd": apgd, "apgd_targeted": apgd_targeted}

Part = Callable[[Defence, Tensor, Tensor, Tensor], Tensor]  # defence, x and y of some rows, and which → adversarial

# Draws that each attack of several has for itself, and each target of one: no two of them see the same.
PART, TARGET = 2**24, 2**16


def _worst(
    defence: Defence, x: Tensor, y: Tensor, parts: list[Part], judgings: int, apart: int, kept: Resumable
) -> Tensor:
    """Per image the result whose answers are wrong most often, then by the larger margin; parts see what resists."""

    def start() -> tuple[Tensor, ...]:
        return x.clone(), x.new_full((len(x),), -1), x.new_full((len(x),), -torch.inf)

    def step(j: int, worst: Tensor, most: Tensor, largest: Tensor) -> tuple[Tensor, ...]:
        left = (most < 1).nonzero().flatten().cpu()
        if len(left) == 0:
            return worst, most, largest
        attacked = _later(defence, 2 * j * apart).rows(left)
        found = parts[j](attacked, x[left], y[left], left)
        wrong, by = judged(_later(attacked, apart), found, y[left], judgings)
        worse = (wrong > most[left]) | ((wrong == most[left]) & (by > largest[left]))
        rows = left[worse.cpu()]
        worst, most, largest = worst.clone(), most.clone(), largest.clone()
        worst[rows], most[rows], largest[rows] = found[worse], wrong[worse], by[worse]
        return worst, most, largest

    return kept.fold(range(len(parts)), step, start)[0]


def _later(defence: Defence, draws: int) -> Defence:
    return replace(defence, first=defence.first + draws)


@torch.no_grad()
def judged(defence: Defence, x: Tensor, y: Tensor, judgings: int) -> tuple[Tensor, Tensor]:
    """Share of wrong answers and mean margin, both (B,), over the attacker's draws 0 … judgings − 1."""
    margins = torch.stack([margin(defence(x, k), y) for k in range(judgings)])
    return (margins > 0).to(x.dtype).mean(dim=0), margins.mean(dim=0)


class _Climb(NamedTuple):
    """Where Auto-PGD is. x and the iterate before it, their loss f and gradient g; the same where the loss was largest;
    the iterate of the largest margin; each image's step; since the last look at it, how often f rose in so many steps;
    whether it was halved then, and the largest loss by then."""

    x: Tensor
    before: Tensor
    f: Tensor
    g: Tensor
    top: Tensor
    x_top: Tensor
    g_top: Tensor
    worst: Tensor
    x_worst: Tensor
    step: Tensor
    rises: Tensor
    since: int
    halved: Tensor
    top_at_check: Tensor


def _auto_pgd(
    defence: Defence,
    x0: Tensor,
    y: Tensor,
    begin: Tensor,
    kept: Resumable,
    epsilon: float,
    steps: int,
    norm: str,
    draws: int,
    loss: Loss,
) -> Tensor:
    """Algorithm 1 with η = 2ε, α = .75, ρ = .75, all its decisions made row by row."""
    ball, checks = BALLS[norm], set(_checkpoints(steps))

    def projected(z: Tensor) -> Tensor:
        return (x0 + ball.project(z - x0, epsilon)).clamp(0, 1)

    def start() -> _Climb:
        f, reached, g = expected(defence, begin, y, 0, draws, loss, kept)
        eta = torch.full_like(f, 2 * epsilon).view(-1, *[1] * (x0.ndim - 1))
        rises, halved = torch.zeros_like(f), torch.ones_like(f, dtype=torch.bool)
        return _Climb(begin, begin, f, g, f, begin, g, reached, begin, eta, rises, 0, halved, f)

    def step(k: int, *state) -> _Climb:
        at = _Climb(*state)
        momentum = 0.25 if k > 1 else 0.0
        z = projected(at.x + at.step * ball.steepest(at.g))
        x = projected(at.x + (1 - momentum) * (z - at.x) + momentum * (at.x - at.before))
        f, reached, g = expected(defence, x, y, k, draws, loss, kept)
        at = _moved(at, x, f, reached, g)
        return _halved(at) if k in checks else at

    return kept.fold(range(1, steps + 1), step, start, end=lambda *state: (_Climb(*state).x_worst,))[0]


def _where(rows: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(rows.view(-1, *[1] * (a.ndim - 1)), a, b)


def _moved(at: _Climb, x: Tensor, f: Tensor, reached: Tensor, g: Tensor) -> _Climb:
    """At the next iterate x with loss f, margin and gradient g."""
    higher, worse = f > at.top, reached > at.worst
    return at._replace(
        x=x,
        before=at.x,
        f=f,
        g=g,
        top=torch.maximum(f, at.top),
        x_top=_where(higher, x, at.x_top),
        g_top=_where(higher, g, at.g_top),
        worst=torch.maximum(reached, at.worst),
        x_worst=_where(worse, x, at.x_worst),
        rises=at.rises + (f > at.f),
        since=at.since + 1,
    )


def _halved(at: _Climb) -> _Climb:
    """Half the step, from the best iterate on, where f rose too seldom, or no higher since a look that left it so."""
    halved = (at.rises <= 0.75 * at.since) | (~at.halved & (at.top <= at.top_at_check))
    return at._replace(
        x=_where(halved, at.x_top, at.x),
        g=_where(halved, at.g_top, at.g),
        step=_where(halved, at.step / 2, at.step),
        rises=torch.zeros_like(at.rises),
        since=0,
        halved=halved,
        top_at_check=at.top,
    )


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


def expected(
    defence: Defence,
    x: Tensor,
    y: Tensor,
    k: int,
    draws: int,
    loss: Loss = cross_entropy,
    kept: Resumable | None = None,
) -> Slope:
    """E_ξ of the loss, the margin and ∇ₓ L (eq. 9): the mean of `draws` gradients, not the gradient of mean logits.

    Draws k · draws and those after it. As many at a time as the defence has room for; kept: what keeps their sum.
    """
    end, together = (k + 1) * draws, max(1, defence.max_batch // len(x))

    def added(first: int, *total: Tensor) -> tuple[Tensor, ...]:
        for of_draw in _slopes(defence, x, y, range(first, min(first + together, end)), loss):
            total = tuple(a + b for a, b in zip(total, of_draw, strict=True)) if total else tuple(of_draw)
        return total

    total = (kept or Resumable()).fold(range(k * draws, end, together), added, start=tuple, told=False)
    return Slope(*(value / draws for value in total))


def expected_gradient(
    defence: Defence,
    x: Tensor,
    y: Tensor,
    k: int,
    draws: int,
    loss: Loss = cross_entropy,
    kept: Resumable | None = None,
) -> Tensor:
    """The gradient of `expected` alone."""
    return expected(defence, x, y, k, draws, loss, kept).gradient


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
