"""Adversarial images."""

import logging
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from purity import contract
from purity.attacks import Attack
from purity.defence import Classifier, Defence
from purity.noise import Noise
from purity.purifiers import Purifier
from purity.run.batches import Arrays, BatchLimit, Part, in_batches
from purity.run.job import Job


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

    ValueError if the attack returns what is no image.
    """
    images, labels, limit = torch.from_numpy(x0), torch.from_numpy(y), BatchLimit(job.batch)

    def crafted(rows: Tensor) -> Part:
        logging.info("images %d to %d of %d", rows[0] + 1, rows[-1] + 1, len(x0))
        x0s, ys, noise = images[rows].to(job.device), labels[rows].to(job.device), xi.rows(rows)
        defence = None
        if classify is not None:
            with torch.no_grad():  # a purifier that cannot work should say so before an attack of hours
                purify(x0s, noise)
            defence = Defence(classify, purify, noise, knowledge, max_batch=limit.batch)
        return {"x": craft(attack, defence, x0s, ys, noise, job.progress)}

    # progress is told of the attack's steps, not of batches
    return in_batches(len(x0), crafted, replace(job, progress=iter), limit)


def craft(attack: Attack, defence: Defence | None, x0: Tensor, y: Tensor, xi: Noise, progress=iter) -> Tensor:
    """Adversarial images of one batch, without a graph. ValueError if the attack returns what is no image."""
    made = attack(defence, x0, y, xi, progress)
    return contract.adversarial_of(made, x0, f"attack {attack.run.__name__}", attack.options, blind=defence is None)
