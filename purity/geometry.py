"""The ball of an attack: its norm, its projection, its steepest ascent direction, a uniform point of it.

Tensors are batched, (B, ...); the formulas are foolbox's, so that trajectories agree with it.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# uniform(j) → the j-th tensor of independent U(0, 1), in the shape of the images.
Uniform = Callable[[int], Tensor]


class Ball(NamedTuple):
    norm: Callable[[Tensor], Tensor]  # (B, ...) → (B,)
    project: Callable[[Tensor, float], Tensor]  # a perturbation onto the ball of radius ε
    steepest: Callable[[Tensor], Tensor]  # a gradient → the ascent direction of norm 1
    point: Callable[[Uniform, float], Tensor]  # a uniformly random perturbation inside the ball


def _column(norms: Tensor, like: Tensor) -> Tensor:
    return norms.view(-1, *[1] * (like.ndim - 1))


def l2_norm(d: Tensor) -> Tensor:
    """‖d‖₂ of each row: (B, ...) → (B,)."""
    return d.flatten(1).norm(dim=1)


def linf_norm(d: Tensor) -> Tensor:
    """‖d‖∞ of each row: (B, ...) → (B,)."""
    return d.flatten(1).abs().amax(dim=1)


def normalized(d: Tensor) -> Tensor:
    """Rows (B, ...) scaled to ℓ2 length 1; rows of zeros stay."""
    return d / _column(l2_norm(d), d).clamp(min=1e-12)


def unit_l1(d: Tensor) -> Tensor:
    """Rows (B, ...) scaled to ℓ1 length 1; rows of zeros stay."""
    return d / _column(d.flatten(1).abs().sum(dim=1), d).clamp(min=1e-30)


def _l2_project(d: Tensor, epsilon: float) -> Tensor:
    return d * (epsilon / _column(l2_norm(d), d).clamp(min=1e-12)).clamp(max=1)


def _l2_point(uniform: Uniform, epsilon: float) -> Tensor:
    """Direction by the normal law, radius ε r^(1/d) with r uniform."""
    z, r = torch.special.ndtri(uniform(0).double()), uniform(1).double().flatten(1)[:, 0]
    d = z[0].numel()
    return (epsilon * _column(r ** (1 / d), z) * normalized(z)).to(uniform(0))


LINF = Ball(
    norm=linf_norm,
    project=lambda d, epsilon: d.clamp(-epsilon, epsilon),
    steepest=torch.sign,
    point=lambda uniform, epsilon: (2 * uniform(0) - 1) * epsilon,
)
L2 = Ball(norm=l2_norm, project=_l2_project, steepest=normalized, point=_l2_point)

BALLS = {"linf": LINF, "l2": L2}
