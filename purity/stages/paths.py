"""Ways of attackers who know ξ and of such who average over it, and the loss along and around them.

Source: Liu et al., Towards Understanding the Robustness of Diffusion-Based Purification: A Stochastic Perspective (ICLR
2025). Kinds of attack, by the names of arrays: white_box follows single gradients under fresh ξ, eot averages over
fresh ξ, dw_box knows ξ (deterministic white-box).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from purity import landscape
from purity.attacks import Attack
from purity.defence import FIXED, Classifier, Defence
from purity.noise import ATTACKER, Noise
from purity.purifiers import Purifier
from purity.run.batches import Arrays, Part, in_batches
from purity.run.job import Job

GRADIENTS = True

AXES = {"at": None}
SPAN = 2**20  # draws of one repeat of an attack; those of the next one follow


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


def path(attack: Attack, defence: Defence, x0: Tensor, y: Tensor) -> Tensor:
    """Every place (B, S + 1, C, H, W) of an attack, from x₀ to the adversarial image.

    ValueError for an attack that does not take the whole batch through each of its steps.
    """
    watched = Path(defence.purify)
    end = attack(replace(defence, purify=watched), x0, y, defence.xi, watched.steps).detach()
    if any(place.shape != x0.shape for place in watched.places):
        name = attack.run.__name__
        raise ValueError(f"{name} takes parts of a batch through its steps one by one; no paths can be drawn")
    return torch.stack([x0, *watched.places[1:], end], dim=1)


def loss(x: Tensor, y: Tensor, xi: Noise, classify: Classifier, purify: Purifier) -> Tensor:
    """L[g(f_ξ(x)), y] under the fixed ξ, (B,): cross-entropy."""
    return F.cross_entropy(classify(purify(x, xi.at(FIXED))), y, reduction="none")


def attack_paths(
    x0: np.ndarray,
    y: np.ndarray,
    xi: Noise,
    *,
    job: Job,
    attack: Attack,
    eot: Attack,
    repeats: int,
    classify: Classifier,
    purify: Purifier,
) -> Arrays:
    """Ways of three attackers from each image, and the loss along them under the fixed ξ.

    attack follows one gradient a step, eot is its variant that averages. Returns white_box, eot
    (n, R, S + 1, C, H, W), each repeat under other draws of ξ, dw_box (n, 1, S + 1, C, H, W), and white_box_loss,
    eot_loss, dw_box_loss (n, R or 1, S + 1).
    """
    attackers = {"white_box": (attack, "none", repeats), "eot": (eot, "none", repeats), "dw_box": (attack, "all", 1)}
    made = {}
    for kind in job.progress(list(attackers)):
        attacker, knowledge, times = attackers[kind]
        defence = Defence(classify, purify, xi, knowledge)
        found = repeated_paths(x0, y, attacker, defence, times, job.part(kind))
        made |= {kind: found["places"], f"{kind}_loss": found["loss"]}
    return made


def repeated_paths(x0: np.ndarray, y: np.ndarray, attack: Attack, defence: Defence, repeats: int, job: Job) -> Arrays:
    """places (n, R, S + 1, C, H, W) of one attacker and loss (n, R, S + 1) there; repeats begin SPAN draws apart."""
    images, labels = torch.from_numpy(x0), torch.from_numpy(y)
    grid = torch.meshgrid(torch.arange(len(x0)), torch.arange(repeats), indexing="ij")
    image, repeat = (rows.flatten() for rows in grid)

    def followed(rows: Tensor) -> Part:
        i = image[rows]
        x0s, ys = images[i].to(job.device), labels[i].to(job.device)
        met = replace(defence.rows(i), first=ATTACKER + SPAN * repeat[rows])
        places = path(attack, met, x0s, ys)
        with torch.no_grad():
            losses = [loss(place, ys, met.xi, met.classify, met.purify) for place in places.unbind(1)]
        return {"places": places, "loss": torch.stack(losses, dim=1)}

    made = in_batches(len(image), followed, job)
    return {name: array.reshape(len(x0), repeats, *array.shape[1:]) for name, array in made.items()}


@torch.no_grad()
def loss_landscape(
    x0: np.ndarray,
    y: np.ndarray,
    dw_box: np.ndarray,
    eot: np.ndarray,
    xi: Noise,
    *,
    job: Job,
    points: int,
    reach: float,
    classify: Classifier,
    purify: Purifier,
) -> Arrays:
    """Loss under the fixed ξ at x₀ + a d + b r, cut to [0, 1]: d the DW-box perturbation, r the EOT one's residual.

    dw_box, eot (n, R, S + 1, C, H, W): as `attack_paths` returns them; the first repeat counts, its end is the
    perturbation. Returns at (P,), a and b from 0 to `reach`; loss (n, P, P) by a and b; dw_box, eot (n, S + 1, 2), the
    paths in these coordinates.
    """
    moved = {name: _moved(paths[:, 0], x0) for name, paths in (("dw_box", dw_box), ("eot", eot))}
    d, r = landscape.directions(moved["dw_box"][:, -1], moved["eot"][:, -1])
    at = np.linspace(0, reach, points)
    i, a, b = (grid.ravel() for grid in np.meshgrid(np.arange(len(x0)), at, at, indexing="ij"))
    labels = torch.from_numpy(y)

    def lost(rows: Tensor) -> Part:
        chosen = rows.numpy()
        image = i[chosen]
        x = x0[image].reshape(len(image), -1) + a[chosen, None] * d[image] + b[chosen, None] * r[image]
        x = torch.from_numpy(x.clip(0, 1).astype(x0.dtype)).unflatten(1, x0.shape[1:]).to(job.device)
        image = torch.from_numpy(image)
        return {"loss": loss(x, labels[image].to(job.device), xi.rows(image), classify, purify)}

    made = in_batches(len(i), lost, job)["loss"]
    paths = {name: landscape.in_plane(way, d[:, None], r[:, None]) for name, way in moved.items()}
    return {"at": at, "loss": made.reshape(len(x0), points, points), **paths}


def _moved(path: np.ndarray, x0: np.ndarray) -> np.ndarray:
    """Perturbations (n, S + 1, d) at the places (n, S + 1, C, H, W) of a path."""
    return (path - x0[:, None]).reshape(*path.shape[:2], -1).astype(np.float64)
