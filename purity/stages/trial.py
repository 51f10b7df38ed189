"""A purifier on trial: one more attack by who knows ξ, in numbers per image."""

import numpy as np
import torch
from torch import Tensor

from purity import metrics
from purity.attacks import Attack
from purity.defence import FIXED, Classifier, Defence
from purity.gradients import GradientCount
from purity.noise import Noise
from purity.purifiers import Purifier
from purity.resuming import Resumable
from purity.run.batches import Arrays, BatchLimit, Part, in_batches, within
from purity.run.job import Job

GRADIENTS = True


def trial(
    x0: np.ndarray,
    y: np.ndarray,
    noisy: np.ndarray,
    xi: Noise,
    *,
    job: Job,
    classify: Classifier,
    purify: Purifier,
    attack: Attack,
) -> Arrays:
    """clean, robust (n,), whether clean and attacked images are classified right under the fixed ξ, which the attack
    knows; alpha (n,), α of the noise; and what the gradients were worth, as of purity.stages.attack.

    No images are kept.
    """
    images, labels, disturbed = (torch.from_numpy(a) for a in (x0, y, noisy))
    limit = BatchLimit(job.batch)

    def tried(rows: Tensor) -> Part:
        x0s, ys, xs = (a[rows].to(job.device) for a in (images, labels, disturbed))
        noise, fixed = xi.rows(rows), xi.rows(rows).at(FIXED)
        counted = GradientCount.of(x0s)
        defence = Defence(classify, purify, noise, "all", max_batch=limit.batch, counted=counted)
        counters = (counted.asked, counted.zero, counted.non_finite)
        worst = attack(defence, x0s, ys, noise, Resumable(job.progress, **within(rows, job), counters=counters))
        with torch.no_grad():
            anchor, moved, attacked = (purify(x, fixed) for x in (x0s, xs, worst))
            alpha = metrics.compression_rate(*(a.cpu().numpy() for a in (moved, anchor, xs, x0s)))
            right = {name: classify(f).argmax(1) == ys for name, f in (("clean", anchor), ("robust", attacked))}
        return right | {"alpha": torch.from_numpy(alpha)} | counted.shares(x0s[0].numel())

    return in_batches(len(x0), tried, job, limit)
