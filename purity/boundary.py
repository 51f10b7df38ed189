"""Where a classifier's decision changes: along a line, and in a plane (earlier version §5, §6, App. A)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from purity.geometry import normalized


class Crossing(NamedTuple):
    threshold: Tensor  # γ (B,) float64: ℓ2 distance of the first change of decision; inf if it does not change
    changes: Tensor  # (B,) int64: how often the decision changes between right and wrong within reach


def along(origin: Tensor, direction: Tensor, distance: float | Tensor) -> Tensor:
    """origin + distance · direction, row by row; distance a number or (B,)."""
    if isinstance(distance, Tensor):
        distance = distance.to(origin).view(-1, *[1] * (origin.ndim - 1))
    return origin + distance * direction


@torch.no_grad()
def critical_threshold(
    classify: Callable[[Tensor], Tensor],
    y: Tensor,
    origin: Tensor,
    direction: Tensor,
    reach: float,
    grid: int = 100,
    halvings: int = 20,
) -> Crossing:
    """How far from `origin` (B, C, H, W) along `direction` (unit vectors) the decision y (B,) first changes.

    `grid` steps up to `reach` find the first change and count the changes; two within one step go unseen. Bisection
    then pins it down to reach / grid / 2^halvings. 0 where `origin` itself is not classified y. Images are not cut to
    [0, 1]: it is the geometry of the classifier (App. A.4 samples the whole ball).
    """

    def right(distance: float | Tensor) -> Tensor:
        return classify(along(origin, direction, distance)).argmax(dim=1) == y

    unchanged = torch.stack([right(reach * j / grid) for j in range(grid + 1)])  # (grid + 1, B)
    first = (~unchanged).int().argmax(dim=0)  # 0 also where it never changes
    high = first.double() * reach / grid
    low = (high - reach / grid).clamp(min=0)
    for _ in range(halvings):
        middle = (low + high) / 2
        still = right(middle)
        low, high = torch.where(still, middle, low), torch.where(still, high, middle)
    threshold = torch.where(unchanged.all(dim=0), torch.inf, torch.where(unchanged[0], high, 0.0))
    return Crossing(threshold, (unchanged[1:] != unchanged[:-1]).sum(dim=0))


def orthogonal(d: Tensor, to: Tensor) -> Tensor:
    """The part of each row of d at a right angle to the unit row of `to`, scaled to length 1."""
    overlap = (d * to).flatten(1).sum(dim=1).view(-1, *[1] * (d.ndim - 1))
    return normalized(d - overlap * to)
