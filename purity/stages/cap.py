"""Adversarial regions of a classifier (earlier version §5, App. A.4)."""

import numpy as np
import torch
from torch import Tensor

from purity.boundary import critical_threshold, orthogonal
from purity.cap import psychometric
from purity.defence import Classifier
from purity.geometry import l2_norm, normalized
from purity.noise import Noise
from purity.run.batches import Arrays, BatchLimit, Part, in_batches
from purity.run.job import Job

AXES = {"shown": None, "maps": None, "radius": None, "dimensions": None}


@torch.no_grad()
def adversarial_cap(
    x0: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    other: np.ndarray,
    xi: Noise,
    *,
    job: Job,
    classify: Classifier,
    radius: float,
    points: int,
    slices: int,
    lattice: int = 61,
) -> Arrays:
    """Adversarial regions within ℓ2 `radius` of clean images.

    x, other: two attacks on x0, whose directions are looked along. Of images that are classified right and that both
    attacks move (`usable` (n,) bool): `threshold` (n,), γ along the adversarial direction, inf beyond radius; `changes`
    (n,) of decision along it; projection (n, P) onto it and outcome (n, P), adversarial or not, of points drawn
    uniformly from the disc that it spans with a random direction; slope and middle (n,) of the psychometric fit;
    overlap (n,), the cosine of the two attacks. For the `slices` usable images of least overlap also maps (S, 2, L, L)
    of the predicted class on a lattice over [−radius, radius]² and their rows `shown` (S,): adversarial × random
    direction, then adversarial × the other attack's, made orthogonal. radius, dimensions: numbers.
    """
    out = regions(x0, y, x, other, xi, job.part("regions"), classify, radius, points)
    fits = [psychometric(p, z) for p, z in zip(out["projection"], out["outcome"], strict=True)]
    out["slope"], out["middle"] = np.array(fits).T
    usable = np.flatnonzero(out["usable"])
    shown = usable[np.argsort(out["overlap"][usable], kind="stable")[:slices]]
    chosen = [a[shown] for a in (x0, x, other)]
    drawn = maps(*chosen, xi.rows(torch.from_numpy(shown)), job.part("maps"), classify, radius, lattice)
    size = {"radius": np.float64(radius), "dimensions": np.int64(x0[0].size)}
    return out | size | {"shown": shown, "maps": drawn}


def directions(x0: Tensor, x: Tensor, other: Tensor, xi: Noise) -> tuple[Tensor, Tensor, Tensor]:
    """Unit vectors of both attacks, and a random one at a right angle to the first. 0 where an attack moved nothing."""
    adversarial = normalized(x - x0)
    gaussian = torch.special.ndtri(xi.plane(x0)(0).double()).to(x0)
    return adversarial, normalized(other - x0), orthogonal(gaussian, adversarial)


def regions(
    x0: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    other: np.ndarray,
    xi: Noise,
    job: Job,
    classify: Classifier,
    radius: float,
    points: int,
) -> Arrays:
    """usable, threshold, changes, overlap (n,), projection and outcome (n, P), see `adversarial_cap`."""
    given = [torch.from_numpy(a) for a in (x0, y, x, other)]

    def looked(rows: Tensor) -> Part:
        x0s, labels, xs, others = (a[rows].to(job.device) for a in given)
        noise = xi.rows(rows)
        adversarial, towards, random = directions(x0s, xs, others, noise)
        a, b = disc(noise, points, radius, x0s)
        predicted = [_predict(classify, x0s, adversarial, random, a[:, p], b[:, p]) for p in range(points)]
        crossing = critical_threshold(classify, labels, x0s, adversarial, radius)
        moved = (l2_norm(adversarial) > 0) & (l2_norm(towards) > 0)
        return {
            "usable": moved & (classify(x0s).argmax(dim=1) == labels),
            "threshold": crossing.threshold,
            "changes": crossing.changes,
            "projection": a.double(),
            "outcome": torch.stack(predicted, dim=1) != labels[:, None],
            "overlap": (adversarial * towards).flatten(1).sum(dim=1).double(),
        }

    return in_batches(len(x0), looked, job)


def disc(xi: Noise, points: int, radius: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """`points` uniform points of a disc for every row: two coordinates (B, P) along the disc's directions."""
    u = xi.plane(like.new_empty(len(like), points))
    r, angle = radius * u(1).sqrt(), 2 * torch.pi * u(2)
    return r * angle.cos(), r * angle.sin()


def maps(
    x0: np.ndarray,
    x: np.ndarray,
    other: np.ndarray,
    xi: Noise,
    job: Job,
    classify: Classifier,
    radius: float,
    lattice: int,
) -> np.ndarray:
    """Predicted classes (S, 2, L, L) int16 in two planes through each image: rows along the second direction, columns
    along the adversarial one. One plane is worked on at a time, `job.batch` of its points at once."""
    given, limit = [torch.from_numpy(a) for a in (x0, x, other)], BatchLimit(job.batch)
    side = torch.linspace(-radius, radius, lattice, device=job.device)
    b, a = (c.flatten() for c in torch.meshgrid(side, side, indexing="ij"))

    def drawn(row: Tensor) -> Part:
        image, plane = row // 2, int(row) % 2
        x0s, xs, others = (a[image].to(job.device) for a in given)
        adversarial, towards, random = directions(x0s, xs, others, xi.rows(image))
        second = orthogonal(towards, adversarial) if plane else random

        def predicted(points: Tensor) -> Part:
            at = points.to(job.device)
            return {"class": _predict(classify, x0s, adversarial, second, a[at], b[at])}

        found = [part["class"] for _, part in limit.fitting(torch.arange(len(a)), predicted)]
        return {"map": torch.cat(found).view(1, lattice, lattice).to(torch.int16)}

    if len(x0) == 0:
        return np.empty((0, 2, lattice, lattice), np.int16)
    return in_batches(2 * len(x0), drawn, job, BatchLimit(1))["map"].reshape(len(x0), 2, lattice, lattice)


def _predict(classify: Classifier, x: Tensor, u: Tensor, v: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Classes of x + a u + b v, row by row; x, u, v of one row are the same for all of a and b (B,)."""
    a, b = (c.view(-1, *[1] * (x.ndim - 1)) for c in (a, b))
    return classify(x + a * u + b * v).argmax(dim=1)
