"""Margins of purified images (earlier version §6, Fig. 6)."""

import numpy as np
import torch
from torch import Tensor

from purity import metrics
from purity.boundary import critical_threshold
from purity.defence import Classifier
from purity.geometry import l2_norm, normalized
from purity.run.batches import Arrays, Part, in_batches
from purity.run.job import Job


@torch.no_grad()
def margins(
    x0: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    anchor: np.ndarray,
    purified: np.ndarray,
    *,
    job: Job,
    classify: Classifier,
    reach: float,
) -> Arrays:
    """How far an attack moves a purified image, and how far it would have to.

    anchor: f_ξ(x₀), purified: f_ξ(x) of an attack x, both under the ξ it knows. Returns per image `attack_length`
    ‖x − x₀‖ and `length` ‖f_ξ(x) − f_ξ(x₀)‖; `threshold`, γ from the anchor in that direction, inf beyond `reach`;
    `changes` of decision on the way; `robust`, whether f_ξ(x) is classified right; `usable`, whether the anchor is and
    the attack moved it.
    """
    given = [torch.from_numpy(a) for a in (anchor, purified, y)]

    def compared(rows: Tensor) -> Part:
        start, end, labels = (a[rows].to(job.device) for a in given)
        crossing = critical_threshold(classify, labels, start, normalized(end - start), reach)
        length = l2_norm((end - start).double())
        return {
            "length": length,
            "threshold": crossing.threshold,
            "changes": crossing.changes,
            "robust": classify(end).argmax(dim=1) == labels,
            "usable": (length > 0) & (classify(start).argmax(dim=1) == labels),
        }

    return {"attack_length": metrics.l2(x, x0), **in_batches(len(y), compared, job)}
