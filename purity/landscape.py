"""The space that attacks walk through, seen from a plane: their paths, and the loss around them.

Places are perturbations x − x₀, flattened: arrays (…, d). Source: Liu et al., Towards Understanding the Robustness of
Diffusion-Based Purification: A Stochastic Perspective (ICLR 2025). The paper does not say what its axes are; here they
are linear, so that a place has one position and it can be found again.
"""

import numpy as np

Array = np.ndarray
ROUNDING = 1e-6  # of images in float32, relative


def principal_plane(moved: Array, front: Array) -> tuple[Array, float]:
    """Two orthonormal axes (2, d) in which the places (m, d) are largest, and the share of their squared length there.

    The origin stays where it is: components are of the places themselves, not of their differences from a mean. Signs
    are such that `front` (d,) has no negative coordinate.
    """
    _, values, axes = np.linalg.svd(moved.astype(np.float64), full_matrices=False)
    axes = np.pad(axes, ((0, max(0, 2 - len(axes))), (0, 0)))[:2]
    squared = values**2
    return np.where(axes @ front < 0, -1.0, 1.0)[:, None] * axes, float(squared[:2].sum() / max(squared.sum(), 1e-300))


def directions(known: Array, expected: Array) -> tuple[Array, Array]:
    """DW-box direction, and the residual one: what the EOT perturbation has beside it. (…, d) both; orthogonal.

    known, expected: perturbations of an attacker who knows ξ and of one who averages over it. A residual that is only
    rounding is none.
    """
    residual = expected - in_plane(expected, known, known)[..., :1] * known
    beside = np.linalg.norm(residual, axis=-1, keepdims=True)
    return known, np.where(beside > ROUNDING * np.linalg.norm(expected, axis=-1, keepdims=True), residual, 0.0)


def in_plane(moved: Array, first: Array, second: Array) -> Array:
    """Coordinates (…, 2) of places along two orthogonal directions, in lengths of these; 0 along one of no length."""
    axes = np.stack([first, second], axis=-2)  # (…, 2, d)
    lengths = (axes**2).sum(axis=-1)
    products = (moved[..., None, :] * axes).sum(axis=-1)
    return np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
