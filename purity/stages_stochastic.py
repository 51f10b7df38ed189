"""Stages about attackers who know ξ and such who average over it, in the form of purity.stages.

Kinds of attack, by the names of arrays: white_box follows single gradients under fresh ξ, eot averages over fresh ξ,
dw_box knows ξ (deterministic white-box). All of them take classify, purify: the classifier and purifier on `device`,
and xi: ξ of all images (n rows) at draw 0.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from purity import landscape
from purity.defence import FIXED, Classifier, Defence
from purity.noise import ATTACKER, Noise
from purity.purifiers import Purifier
from purity.run.batches import Kept, Part, in_batches
from purity.stages import Arrays

SPAN = 2**20  # draws of one repeat of an attack; the next one's follow


class Path:
    """Where an attack passes: the place at which it asks the purifier first in each of its steps.

    A step is an item of the range that an attack gives to `progress`.
    """

    def __init__(self, purify: Purifier):
        self.purify, self.places, self.begins = purify, [], False

    def steps(self, items: Iterable) -> Iterator:
        for item in items:
            self.begins = True
            yield item

    def __call__(self, x: Tensor, xi: Noise) -> Tensor:
        if self.begins:
            self.places.append(x.detach())
            self.begins = False
        return self.purify(x, xi)


def path(run: Callable, options: dict, defence: Defence, x0: Tensor, y: Tensor, noise: Noise) -> Tensor:
    """Every place (B, S + 1, C, H, W) of an attack, from x₀ to the adversarial image.

    ValueError for an attack that does not take the whole batch through each of its steps.
    """
    watched = Path(defence.purify)
    end = run(replace(defence, purify=watched), x0, y, noise, watched.steps, **options).detach()
    if any(place.shape != x0.shape for place in watched.places):
        raise ValueError(f"{run.__name__} takes parts of a batch through its steps one by one; no paths can be drawn")
    return torch.stack([x0, *watched.places[1:], end], dim=1)


def loss(x: Tensor, y: Tensor, xi: Noise, classify: Classifier, purify: Purifier) -> Tensor:
    """L[g(f_ξ(x)), y] under the fixed ξ, (B,): cross-entropy."""
    return F.cross_entropy(classify(purify(x, xi.at(FIXED))), y, reduction="none")


def attack_paths(
    x0: np.ndarray,
    y: np.ndarray,
    xi: Noise,
    *,
    single: tuple[Callable, dict],
    averaged: tuple[Callable, dict],
    repeats: int,
    classify: Classifier,
    purify: Purifier,
    batch: int,
    device: str = "cpu",
    progress=iter,
    kept: Kept | None = None,
) -> Arrays:
    """Ways of three attackers from each image (n, C, H, W), and the loss along them under the fixed ξ.

    single, averaged: an attack (function, options) of one gradient a step and its EOT variant. Returns white_box, eot
    (n, R, S + 1, C, H, W), each repeat under other draws of ξ, dw_box (n, 1, S + 1, C, H, W), and white_box_loss,
    eot_loss, dw_box_loss (n, R or 1, S + 1).
    """
    images, labels = torch.from_numpy(x0), torch.from_numpy(y)

    def ways(attack: tuple[Callable, dict], knowledge: str, times: int, kept: Kept | None) -> Arrays:
        grid = torch.meshgrid(torch.arange(len(x0)), torch.arange(times), indexing="ij")
        image, repeat = (rows.flatten() for rows in grid)

        def walked(rows: Tensor) -> Part:
            i = image[rows]
            xs, ys, noise = images[i].to(device), labels[i].to(device), xi.rows(i)
            defence = Defence(classify, purify, noise, knowledge, ATTACKER + SPAN * repeat[rows])
            places = path(*attack, defence, xs, ys, noise)
            with torch.no_grad():
                losses = [loss(place, ys, noise, classify, purify) for place in places.unbind(1)]
            return {"places": places, "loss": torch.stack(losses, dim=1)}

        made = in_batches(len(image), batch, walked, kept, progress)
        return {name: of.reshape(len(x0), times, *of.shape[1:]) for name, of in made.items()}

    made = {}
    for kind, attack, knowledge, times in (
        ("white_box", single, "none", repeats),
        ("eot", averaged, "none", repeats),
        ("dw_box", single, "all", 1),
    ):
        found = ways(attack, knowledge, times, kept and kept.of(kind))
        made |= {kind: found["places"], f"{kind}_loss": found["loss"]}
    return made


@torch.no_grad()
def loss_landscape(
    x0: np.ndarray,
    y: np.ndarray,
    xi: Noise,
    known: np.ndarray,
    expected: np.ndarray,
    *,
    points: int,
    reach: float,
    classify: Classifier,
    purify: Purifier,
    batch: int,
    device: str = "cpu",
    progress=iter,
    kept: Kept | None = None,
) -> Arrays:
    """Loss under the fixed ξ at x₀ + a d + b r, cut to [0, 1]: d the DW-box perturbation, r the EOT one's residual.

    known, expected (n, S + 1, C, H, W): the paths of both attacks; their ends are the perturbations. Returns at (P,),
    a and b from 0 to `reach`; loss (n, P, P) by a and b; dw_box, eot (n, S + 1, 2), the paths in these coordinates.
    """
    n, size = len(x0), x0[0].size
    moved = {
        name: (paths - x0[:, None]).reshape(*paths.shape[:2], size).astype(np.float64)
        for name, paths in (("dw_box", known), ("eot", expected))
    }
    d, r = landscape.directions(moved["dw_box"][:, -1], moved["eot"][:, -1])
    at = np.linspace(0, reach, points)
    i, a, b = (grid.ravel() for grid in np.meshgrid(np.arange(n), at, at, indexing="ij"))
    labels = torch.from_numpy(y)

    def lost(rows: Tensor) -> Part:
        chosen = rows.numpy()
        which = i[chosen]
        x = x0[which].reshape(-1, size) + a[chosen, None] * d[which] + b[chosen, None] * r[which]
        x = torch.from_numpy(x.clip(0, 1).astype(x0.dtype)).unflatten(1, x0.shape[1:]).to(device)
        which = torch.from_numpy(which)
        return {"loss": loss(x, labels[which].to(device), xi.rows(which), classify, purify)}

    made = in_batches(len(i), batch, lost, kept, progress)["loss"]
    paths = {name: landscape.in_plane(way, d[:, None], r[:, None]) for name, way in moved.items()}
    return {"at": at, "loss": made.reshape(n, points, points), **paths}
