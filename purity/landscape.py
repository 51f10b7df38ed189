"""The plane that two attacks span: its directions, and where their steps lie in it.

Places are perturbations x − x₀, flattened: arrays (…, d). Source: Liu et al., Towards Understanding the Robustness of
Diffusion-Based Purification: A Stochastic Perspective (ICLR 2025). The paper does not say what its axes are; here they
are linear, so that a place has one position and it can be found again.
"""

import numpy as np

Array = np.ndarray
ROUNDING = 1e-6  # of images in float32, relative


def directions(known: Array, expected: Array) -> tuple[Array, Array]:
    """DW-box direction, and the residual one: what the EOT perturbation has beside it. (…, d) both; orthogonal.

    known, expected: perturbations of an attacker who knows ξ and of one who averages over it. A residual no
    larger than rounding errors is set to 0.
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
