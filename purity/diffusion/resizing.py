"""Images at another size, bilinearly: a network that was trained at 256 × 256 purifies images of 224 × 224.

Written as two products with fixed matrices: linear, differentiable both ways, and with a gradient that is the same
every time on a GPU, which that of torch.nn.functional.interpolate is not.
"""

from functools import cache

import torch
from torch import Tensor


@cache
def bilinear(n: int, m: int) -> Tensor:
    """(m, n) float64: row j mixes the pixels of a line of n that pixel j of m lies between, as interpolate does with
    mode="bilinear", align_corners=False, antialias=False."""
    place = ((torch.arange(m, dtype=torch.float64) + 0.5) * n / m - 0.5).clamp(0, n - 1)
    left = place.floor().long().clamp(max=max(n - 2, 0))
    weight = place - left
    matrix = torch.zeros(m, n, dtype=torch.float64)
    matrix[torch.arange(m), left] = 1 - weight
    matrix[torch.arange(m), (left + 1).clamp(max=n - 1)] += weight
    return matrix


def resized(x: Tensor, height: int, width: int) -> Tensor:
    """x (B, C, H, W) → (B, C, height, width); x itself if it has that size."""
    if x.shape[2:] == (height, width):
        return x
    down, across = bilinear(x.shape[2], height).to(x), bilinear(x.shape[3], width).to(x)
    return down @ x @ across.T
