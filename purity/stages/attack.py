"""Adversarial images."""

import logging

import numpy as np
import torch
from torch import Tensor

from purity.attacks import Attack
from purity.defence import Classifier, Defence
from purity.gradients import GradientCount
from purity.noise import Noise
from purity.purifiers import Purifier
from purity.resuming import Resumable
from purity.run.batches import Arrays, BatchLimit, Part, in_batches, within
from purity.run.job import Job

GRADIENTS, SEEDS_TOGETHER = True, True


def attack(
    x0: np.ndarray,
    y: np.ndarray,
    xi: Noise,
    *,
    job: Job,
    attack: Attack,
    classify: Classifier | None = None,
    purify: Purifier | None = None,
    knowledge: str = "none",
) -> Arrays:
    """x (n, C, H, W), what an attack makes of x0; without a classifier it is blind.

    Of one that looks at a defence also, by image (n,), how many gradients it asked for and what they were good for:
    `gradients`, `zero_gradients`, `non_finite_gradients` (purity.gradients.GradientCount.shares).
    """
    images, labels, limit = torch.from_numpy(x0), torch.from_numpy(y), BatchLimit(job.batch)

    def crafted(rows: Tensor) -> Part:
        logging.info("images %d to %d of %d", rows[0] + 1, rows[-1] + 1, len(x0))
        x0s, ys, noise = images[rows].to(job.device), labels[rows].to(job.device), xi.rows(rows)
        if classify is None:
            return {"x": attack(None, x0s, ys, noise, job.progress)}
        counted = GradientCount.of(x0s)
        defence = Defence(classify, purify, noise, knowledge, max_batch=limit.batch, counted=counted)
        counters = (counted.asked, counted.zero, counted.non_finite)
        progress = Resumable(job.progress, **within(rows, job), counters=counters)
        return {"x": attack(defence, x0s, ys, noise, progress)} | counted.shares(x0s[0].numel())

    return in_batches(len(x0), crafted, job, limit)
