"""Stages of the earlier version's questions, as those of purity.stages: fuzzy robustness, adversarial caps, margins."""

import numpy as np
import torch
from torch import Tensor

from purity import cap, metrics, purifiers
from purity.boundary import critical_threshold, orthogonal, unit
from purity.defence import FIXED, Classifier
from purity.geometry import l2_norm
from purity.noise import Noise
from purity.purifiers import Purifier
from purity.run.batches import Kept, Part, blocks, in_batches
from purity.stages import Arrays

JUDGINGS_AXES = {"predictions": 1}


@torch.no_grad()
def judgings(
    x: np.ndarray,
    xi: Noise,
    *,
    classify: Classifier,
    purify: Purifier,
    name: str,
    judgings: int,
    batch: int,
    device: str = "cpu",
    progress=iter,
    kept: Kept | None = None,
) -> np.ndarray:
    """The class of each of n images in each of r judgings, under draws 1 … r of ξ: (r, n) int16. Nothing else is kept.

    Draw 1 is the first of the fresh draws of purity.stages.purify_and_judge.
    """
    images = torch.from_numpy(x)

    def predicted(rows: Tensor) -> Part:
        xs, noise = images[rows].to(device), xi.rows(rows)
        of_draws = []
        for draw in range(FIXED + 1, FIXED + 1 + judgings):
            f = purifiers.check(purify(xs, noise.at(draw)), xs, f"purifier '{name}'")
            of_draws.append(classify(f).argmax(dim=1))
        return {"predictions": torch.stack(of_draws, dim=1).to(torch.int16)}

    return in_batches(len(x), batch, predicted, kept, progress)["predictions"].T


@torch.no_grad()
def adversarial_cap(
    x0: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    other: np.ndarray,
    xi: Noise,
    *,
    classify: Classifier,
    radius: float,
    points: int,
    slices: int,
    lattice: int = 61,
    batch: int,
    device: str = "cpu",
    progress=iter,
) -> Arrays:
    """Adversarial regions of a classifier within ℓ2 `radius` of clean images (earlier version §5, App. A.4).

    x, other: two attacks on x0, whose directions are looked along. Of images that are classified right and that both
    attacks move (`usable` (n,) bool): `threshold` (n,), γ along the adversarial direction, inf beyond radius; `changes`
    (n,) of decision along it; projection (n, P) onto it and outcome (n, P), adversarial or not, of points drawn
    uniformly from the disc that it spans with a random direction; slope and middle (n,) of the psychometric fit;
    overlap (n,), the cosine of the two attacks. For the `slices` usable images of least overlap also maps (S, 2, L, L)
    of the predicted class on a lattice over [−radius, radius]² and their rows `shown` (S,): adversarial × random
    direction, then adversarial × the other attack's, made orthogonal. radius, dimensions: numbers.
    """
    n = len(x0)
    out: Arrays = {
        "usable": np.empty(n, bool),
        "threshold": np.empty(n),
        "changes": np.empty(n, np.int64),
        "projection": np.empty((n, points)),
        "outcome": np.empty((n, points), bool),
        "overlap": np.empty(n),
    }
    directions = []
    given = [torch.from_numpy(a) for a in (x0, y, x, other)]
    for block in progress(list(blocks(n, batch))):
        xs, labels, attacked, otherwise = (a[block].to(device) for a in given)
        xi_block, rows = xi.rows(block), block.numpy()
        adversarial, towards = unit(attacked - xs), unit(otherwise - xs)
        draw = xi_block.plane(xs)
        random = orthogonal(torch.special.ndtri(draw(0).double()).to(xs), adversarial)
        a, b = disc(xi_block, points, radius, xs)
        outcome = torch.stack(
            [_predict(classify, xs, adversarial, random, a[:, p], b[:, p]) != labels for p in range(points)], dim=1
        )
        crossing = critical_threshold(classify, labels, xs, adversarial, radius)
        moved = (l2_norm(adversarial) > 0) & (l2_norm(towards) > 0)
        out["usable"][rows] = (moved & (classify(xs).argmax(dim=1) == labels)).cpu()
        out["threshold"][rows], out["changes"][rows] = crossing.threshold.cpu(), crossing.changes.cpu()
        out["projection"][rows], out["outcome"][rows] = a.cpu(), outcome.cpu()
        out["overlap"][rows] = (adversarial * towards).flatten(1).sum(dim=1).cpu()
        directions.append((adversarial.cpu(), random.cpu(), orthogonal(towards, adversarial).cpu()))
    fits = [cap.psychometric(p, z) for p, z in zip(out["projection"], out["outcome"], strict=True)]
    out["slope"], out["middle"] = np.array(fits).T
    usable = np.flatnonzero(out["usable"])
    shown = usable[np.argsort(out["overlap"][usable], kind="stable")[:slices]]
    adversarial, random, second = (torch.cat(d).to(device) for d in zip(*directions, strict=True))
    maps = np.empty((len(shown), 2, lattice, lattice), np.int16)
    for s, i in enumerate(shown):
        x_i = torch.from_numpy(x0[[i]]).to(device)
        for plane, v in enumerate((random, second)):
            maps[s, plane] = _map(classify, x_i, adversarial[[i]], v[[i]], radius, lattice, batch)
    size = {"radius": np.float64(radius), "dimensions": np.int64(x0[0].size)}
    return out | size | {"shown": shown, "maps": maps}


def disc(xi: Noise, points: int, radius: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """`points` uniform points of a disc for every row: two coordinates (B, P) along the disc's directions."""
    u = xi.plane(like.new_empty(len(like), points))
    r, angle = radius * u(1).sqrt(), 2 * torch.pi * u(2)
    return r * angle.cos(), r * angle.sin()


def _predict(classify: Classifier, x: Tensor, u: Tensor, v: Tensor, a: Tensor, b: Tensor) -> Tensor:
    a, b = (c.view(-1, *[1] * (x.ndim - 1)) for c in (a, b))
    return classify(x + a * u + b * v).argmax(dim=1)


def _map(classify: Classifier, x: Tensor, u: Tensor, v: Tensor, radius: float, lattice: int, batch: int) -> np.ndarray:
    """Predicted classes (L, L) in the plane of u and v through x, all (1, C, H, W): rows along v, columns along u."""
    side = torch.linspace(-radius, radius, lattice, device=x.device)
    b, a = (c.flatten() for c in torch.meshgrid(side, side, indexing="ij"))
    predicted = [_predict(classify, x, u, v, a[rows], b[rows]).cpu() for rows in blocks(len(a), batch)]
    return torch.cat(predicted).view(lattice, lattice).numpy()


@torch.no_grad()
def margins(
    x0: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    anchor: np.ndarray,
    purified: np.ndarray,
    *,
    classify: Classifier,
    reach: float,
    batch: int,
    device: str = "cpu",
    progress=iter,
) -> Arrays:
    """How far an attack moves a purified image, and how far it would have to (earlier version §6, Fig. 6).

    anchor: f_ξ(x₀), purified: f_ξ(x) of an attack x, both under the ξ it knows. Returns per image `attack_length`
    ‖x − x₀‖ and `length` ‖f_ξ(x) − f_ξ(x₀)‖; `threshold`, γ from the anchor in that direction, inf beyond `reach`;
    `changes` of decision on the way; `robust`, whether f_ξ(x) is classified right; `usable`, whether the anchor is and
    the attack moved it.
    """
    given = [torch.from_numpy(a) for a in (anchor, purified, y)]

    def compared(rows: Tensor) -> Part:
        start, end, labels = (a[rows].to(device) for a in given)
        crossing = critical_threshold(classify, labels, start, unit(end - start), reach)
        length = l2_norm((end - start).double())
        return {
            "length": length,
            "threshold": crossing.threshold,
            "changes": crossing.changes,
            "robust": classify(end).argmax(dim=1) == labels,
            "usable": (length > 0) & (classify(start).argmax(dim=1) == labels),
        }

    return {"attack_length": metrics.l2(x, x0), **in_batches(len(y), batch, compared, progress=progress)}
