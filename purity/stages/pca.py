"""Principal components of points that come in batches and are not kept (earlier version §6, Fig. 5b)."""

import numpy as np
import torch
from torch import Tensor

from purity.defence import FIXED
from purity.noise import Noise
from purity.purifiers import Purifier
from purity.run.batches import Arrays, BatchLimit, Part, in_batches
from purity.run.job import Job
from purity.stages.ball import perturbed


class Moments:
    """Mean and scatter of points in d dimensions, point by point or in batches of any size (Chan et al. 1983).

    Holds d × d numbers in float64 whatever the number of points.
    """

    def __init__(self, d: int, device: str = "cpu"):
        self.n = 0
        self.mean = torch.zeros(d, dtype=torch.float64, device=device)
        self.scatter = torch.zeros(d, d, dtype=torch.float64, device=device)

    def add(self, points: Tensor) -> None:
        """points (B, ...) of d numbers each."""
        x = points.flatten(1).double()
        b, mean = len(x), x.mean(dim=0)
        centred, shift = x - mean, mean - self.mean
        self.scatter += centred.T @ centred + torch.outer(shift, shift) * (self.n * b / (self.n + b))
        self.mean += shift * (b / (self.n + b))
        self.n += b

    def spectrum(self) -> Tensor:
        """Variance along each principal component, (d,) float64, largest first; n − 1 in the denominator."""
        return torch.linalg.eigvalsh(self.scatter / (self.n - 1)).flip(0).clamp(min=0)


@torch.no_grad()
def ball_spectrum(
    x0: np.ndarray, xi: Noise, *, job: Job, purify: Purifier, epsilon: float, points: int, cut: bool = False
) -> Arrays:
    """Principal variances of uniform points of the ℓ∞ ball around each image, before and after the fixed ξ purifies
    them: before, after (n, d) float64, largest first. Points are streamed; d × d numbers are held, twice. cut: points
    to [0, 1]."""
    images, d, limit = torch.from_numpy(x0), x0[0].size, BatchLimit(job.batch)

    def spectra(row: Tensor) -> Part:
        before, after = Moments(d, job.device), Moments(d, job.device)

        def purified(p: Tensor) -> Part:
            noise = xi.rows(row.expand(len(p)))
            x = perturbed(images[row].to(job.device).expand(len(p), *x0.shape[1:]), noise, p, epsilon, cut)
            return {"x": x, "f": purify(x, noise.at(FIXED))}

        for _, part in limit.fitting(torch.arange(points), purified):
            before.add(part["x"])
            after.add(part["f"])
        return {"before": before.spectrum()[None], "after": after.spectrum()[None]}

    return in_batches(len(x0), spectra, job, BatchLimit(1))
