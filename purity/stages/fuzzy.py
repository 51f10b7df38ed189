"""Images judged many times (earlier version §4)."""

import numpy as np
import torch
from torch import Tensor

from purity.defence import FIXED, Classifier
from purity.noise import Noise
from purity.purifiers import Purifier
from purity.run.batches import Arrays, BatchLimit, Part, in_batches, on_axes
from purity.run.job import Job
from purity.stages.draws import purified

AXES = {"predictions": 1}


@torch.no_grad()
def judgings(x: np.ndarray, xi: Noise, *, job: Job, classify: Classifier, purify: Purifier, judgings: int) -> Arrays:
    """predictions (r, n) int16: the class of each image in each of r judgings, under draws 1 … r of ξ.

    Draw 1 is the first of the fresh draws of purity.stages.purify. Nothing else is kept.
    """
    images, limit, draws = torch.from_numpy(x), BatchLimit(job.batch), range(FIXED + 1, FIXED + 1 + judgings)

    def predicted(rows: Tensor) -> Part:
        xs, noise = images[rows].to(job.device), xi.rows(rows)
        classes = [classify(f).argmax(dim=1) for f in purified(xs, noise, draws, purify, limit.batch)]
        return {"predictions": torch.stack(classes, dim=1).to(torch.int16)}

    return on_axes(in_batches(len(x), predicted, job, limit), AXES)
