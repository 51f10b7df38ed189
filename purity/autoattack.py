"""AutoAttack on a defended classifier (Croce & Hein 2020), by the package pyautoattack.

The package asks for the logits of some rows of its batch and does not say which, but ξ belongs to the image. So each
query is traced to its images. In three of the four attacks every query lies in the ball of its own image, and with
images more than two radii apart it lies in no other. Images nearer to each other, copies above all, are attacked in
different groups. FAB looks for the nearest boundary, far outside the ball, but one run of it keeps to its rows.
"""

import math
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from purity.defence import Defence
from purity.noise import Noise

if TYPE_CHECKING:
    from pyautoattack import AutoAttack
    from pyautoattack.fab_pt import FABAttack_PT

# The package's name of a norm, and its p.
NORMS = {"linf": ("Linf", math.inf), "l2": ("L2", 2.0)}

# The DLR loss compares the three highest logits, the targeted one of `standard` the four highest.
FEWEST_CLASSES = {"standard": 4, "rand": 3}


def autoattack(
    defence: Defence,
    x: Tensor,
    y: Tensor,
    noise: Noise,
    progress=iter,
    *,
    epsilon: float,
    norm: str = "linf",
    version: str = "standard",
    steps: int | None = None,
    queries: int | None = None,
    draws: int | None = None,
) -> Tensor:
    """Adversarial images of AutoAttack; x in float32. A row that it does not fool comes back clean.

    version: standard (APGD on the cross-entropy, targeted APGD, targeted FAB, Square) or rand (APGD on the
    cross-entropy and on the DLR loss, gradients averaged), meant for attackers who do not know ξ. Every query is
    another attack draw, and a row counts as fooled if it is at the draw of one query.
    None is the package's own: steps of APGD and FAB (100), queries of Square (5000), draws averaged a step (20). So an
    image that resists costs standard 7,900 purifications, 1,900 of them with a gradient, and rand 4,000, all with one.

    The package draws the random starts of all rows at once. So they, not ξ, depend on which images share a batch.
    ValueError if there are too few classes or an image is outside [0, 1].
    """
    if version not in FEWEST_CLASSES or norm not in NORMS:
        raise ValueError(f"autoattack knows version standard or rand and norm linf or l2, not '{version}', '{norm}'")
    if (queries if version == "rand" else draws) is not None:
        raise ValueError("autoattack: queries is an option of version standard only, draws of version rand")
    name, p = NORMS[norm]
    radius = 1.001 * epsilon + 1e-6  # float32 rounds x + δ
    found = x.clone()
    for rows in progress(_groups(x, p, 2 * radius)):
        model = _Model(defence.rows(rows), x[rows], p, radius)
        seed = _seed(noise.rows(rows))
        with _undisturbed():
            attack = _package(model, x.device, epsilon, name, version, seed, steps, queries, draws)
            found[rows] = attack.run_standard_evaluation(x[rows], y[rows], batch_size=len(rows))[0]
    return found


def _package(model, device, epsilon, norm, version, seed, steps, queries, draws) -> "AutoAttack":
    from pyautoattack import AutoAttack

    attack = AutoAttack(model, norm=norm, eps=epsilon, seed=seed, version=version, device=device)
    with torch.no_grad():
        classes = model(model.x[:1]).shape[1]
    if classes < FEWEST_CLASSES[version]:
        raise ValueError(f"autoattack {version} needs {FEWEST_CLASSES[version]} classes, the classifier has {classes}")
    attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = min(9, classes - 1)
    if steps is not None:
        attack.fab.n_iter = steps
        for apgd in (attack.apgd, attack.apgd_targeted):
            apgd.n_iter = steps
            # when it looks at its step size, as its constructor has it
            shares = (0.22, 0.06, 0.03)
            apgd.n_iter_2, apgd.n_iter_min, apgd.size_decr = (max(int(share * steps), 1) for share in shares)
    if queries is not None:
        attack.square.n_queries = queries
    if draws is not None:
        attack.apgd.eot_iter = draws
    model.follow(attack.fab)
    return attack


class _Model:
    """The defence of the images x as pyautoattack calls a model: with rows of which it says nothing.

    The images are more than two radii apart in the p-norm. Each call is the next attack draw.
    """

    def __init__(self, defence: Defence, x: Tensor, p: float, radius: float):
        self.defence, self.x, self.p, self.radius = defence, x, p, radius
        self.draws = count()

    def __call__(self, query: Tensor) -> Tensor:
        return self.logits(query, self.rows(query))

    def logits(self, query: Tensor, rows: Tensor) -> Tensor:
        return self.defence.rows(rows)(query, next(self.draws))

    def rows(self, query: Tensor) -> Tensor:
        """The image in whose ball each row lies. ValueError for a row that lies in none."""
        distances, rows = _distances(query.detach(), self.x, self.p).min(dim=1)
        if not (distances <= self.radius).all():
            raise ValueError("autoattack: a query is in the ball of no image; are all images in [0, 1]?")
        return rows.cpu()

    def follow(self, fab: "FABAttack_PT") -> None:
        """Give every run of FAB a model of its own, that knows the rows by their number."""
        run = fab.attack_single_run

        def followed(x: Tensor, y: Tensor, **options) -> Tensor:
            fab.predict = self.of_run(self.rows(x), y)
            return run(x, y, **options)

        fab.attack_single_run = followed

    def of_run(self, rows: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
        """A run asks for all its rows, then for those that were right at the first time, in the end for all."""
        right: Tensor | None = None

        def predict(query: Tensor) -> Tensor:
            nonlocal right
            asked = rows if right is None or len(query) == len(rows) else right
            if len(query) != len(asked):
                raise RuntimeError(f"FAB asked for {len(query)} rows of {len(rows)}, of which {len(asked)} were right")
            logits = self.logits(query, asked)
            if right is None:
                right = rows[(logits.max(dim=1).indices == y).cpu()]
            return logits

        return predict


def _distances(a: Tensor, b: Tensor, p: float) -> Tensor:
    """‖a_i − b_j‖_p, (A, B). By differences: products of matrices lose half of the digits."""
    return torch.cdist(a.flatten(1), b.flatten(1), p=p, compute_mode="donot_use_mm_for_euclid_dist")


def _groups(x: Tensor, p: float, apart: float) -> list[Tensor]:
    """Row numbers in as few groups as a greedy colouring finds, no two images of a group at `apart` or nearer."""
    near = (_distances(x, x, p) <= apart).cpu()
    group = torch.full((len(x),), -1)
    for i in range(len(x)):
        taken = set(group[near[i]].tolist())
        group[i] = next(g for g in count() if g not in taken)
    return [torch.nonzero(group == g).flatten() for g in group.unique()]


def _seed(noise: Noise) -> int:
    """32 bits of the base seed and the ids of the rows."""
    return zlib.crc32(repr((noise.seed, noise.ids.tolist())).encode())


@contextmanager
def _undisturbed() -> Iterator[None]:
    """The package seeds torch's global generators and takes away the tracer of a debugger or of coverage."""
    tracer = sys.gettrace()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            sys.settrace(tracer)
