"""Principal components of points that come in batches and are not kept (earlier version §6, Fig. 5b)."""

import torch
from torch import Tensor


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
