"""A classifier with one flat boundary, and images at known distances from it."""

import numpy as np
import torch

# Images of size 1 in float32, distances up to 2: a few roundings of 1e-7, over w·u ≥ 0.69.
ROUNDING = 3e-6


def dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a.astype(np.float64) * b.astype(np.float64)).reshape(len(a), -1).sum(axis=1)


def unit(d: np.ndarray) -> np.ndarray:
    return d / np.linalg.norm(d.reshape(len(d), -1), axis=1).reshape(-1, 1, 1, 1)


def directions(seed: int, n: int = 1) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((n, 1, 4, 4)))


def perpendicular(d: np.ndarray, to: np.ndarray) -> np.ndarray:
    return unit(d - dots(d, to).reshape(-1, 1, 1, 1) * to)


NORMAL = directions(100)


def half_space(x: torch.Tensor) -> torch.Tensor:
    """Class 1 where w·x > 0, w = NORMAL. In float64: it decides as arithmetic would."""
    logit = (x.double() * torch.from_numpy(NORMAL)).flatten(1).sum(dim=1)
    return torch.stack([-logit, logit], dim=1)


def before_the_plane(distance: np.ndarray, seed: int = 0) -> np.ndarray:
    """Images at these distances from the boundary, on the side of class 0."""
    x = directions(seed, len(distance))
    return x - (dots(x, NORMAL) + distance).reshape(-1, 1, 1, 1) * NORMAL
