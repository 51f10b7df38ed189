"""What becomes of the ball around an image."""

import numpy as np
import torch
from torch import Tensor

from purity.geometry import BALLS
from purity.noise import Noise
from purity.purifiers import Purifier
from purity.run.batches import Arrays, Part, in_batches
from purity.run.job import Job


@torch.no_grad()
def sample_ball(
    x0: np.ndarray, xi: Noise, *, job: Job, purify: Purifier, epsilon: float, points: int, draws: int, cut: bool = False
) -> Arrays:
    """Uniform points of the ℓ∞ ball around each image, each purified under the same `draws` ξ. cut: to [0, 1].

    x (n, P, C, H, W) the points, f (n, P, Ξ, C, H, W) what becomes of them. Draw k of ξ is shared by all points of an
    image: the grid is a full one, as the law of total variance needs.
    """
    n = len(x0)
    images = torch.from_numpy(x0)
    i, p, k = torch.meshgrid(torch.arange(n), torch.arange(points), torch.arange(draws), indexing="ij")
    i, p, k = i.flatten(), p.flatten(), k.flatten()

    def purified(rows: Tensor) -> Part:
        noise = xi.rows(i[rows])
        x = perturbed(images[i[rows]].to(job.device), noise, p[rows], epsilon, cut)
        return {"f": purify(x, noise.at(k[rows]))}

    f = in_batches(len(i), purified, job)["f"]
    first = k == 0
    x = perturbed(images[i[first]], xi.rows(i[first]), p[first], epsilon, cut).numpy()
    return {"x": x.reshape(n, points, *x0.shape[1:]), "f": f.reshape(n, points, draws, *x0.shape[1:])}


def perturbed(x0: Tensor, xi: Noise, point: Tensor, epsilon: float, cut: bool = False) -> Tensor:
    """The point-th random point of the ℓ∞ ball around x₀, also outside [0, 1] unless it is cut; point (B,) int64."""
    x = x0 + BALLS["linf"].point(xi.ball(point, x0), epsilon)
    return x.clamp(0, 1) if cut else x
