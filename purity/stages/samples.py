"""Samples of a diffusion model, to see what it has learnt."""

import numpy as np
import torch
from torch import Tensor

from purity.defence import Classifier
from purity.noise import Noise
from purity.purifiers import Purifier
from purity.run.batches import Arrays, BatchLimit, Part, in_batches
from purity.run.job import Job
from purity.stages import Features

AXES = {"x": 1, "features": 1}


@torch.no_grad()
def samples(
    x0: np.ndarray,
    xi: Noise,
    *,
    job: Job,
    classify: Classifier,
    purify: Purifier,
    draws: int,
    features: Features | None = None,
) -> Arrays:
    """What becomes of grey images at full strength: `draws` samples of the model for each of the n images' ξ.

    Grey is 0 in [-1, 1], hence x_T = √(1−ᾱ_T) ε: the images themselves say only how many samples there are and where
    their ξ is. Returns x (D, n, C, H, W); by `features`, or else the classifier's method of that name, the features of
    samples and of x₀ too: features (D, n, F), features_images (n, F).
    """
    features = features or getattr(classify, "features", None)
    n = len(x0)
    images, limit = torch.from_numpy(x0), BatchLimit(job.batch)
    draw, row = torch.meshgrid(torch.arange(draws), torch.arange(n), indexing="ij")
    draw, row = draw.flatten(), row.flatten()

    def sampled(rows: Tensor) -> Part:
        grey = torch.full((len(rows), *x0.shape[1:]), 0.5, dtype=images.dtype, device=job.device)
        part = {"x": purify(grey, xi.rows(row[rows]).at(draw[rows]))}
        return part | ({"features": features(part["x"])} if features is not None else {})

    flat = in_batches(len(row), sampled, job.part("samples"), limit)
    made = {name: array.reshape(draws, n, *array.shape[1:]) for name, array in flat.items()}
    if features is None:
        return made

    def described(rows: Tensor) -> Part:
        return {"features_images": features(images[rows].to(job.device))}

    return made | in_batches(n, described, job.part("images"), limit)
