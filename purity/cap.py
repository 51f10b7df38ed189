"""How sharply a decision changes along a direction: the psychometric function (earlier version §5, eq. 8)."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Array = NDArray[np.float64]


def psychometric(projection: Array, outcome: NDArray[np.bool_], steps: int = 100) -> tuple[float, float]:
    """Slope k and threshold x₀ of S(x) = 1/(1 + e^(−k(x−x₀))) (eq. 8) by maximum likelihood.

    projection (P,): along the adversarial direction. outcome (P,): adversarial or not. (inf, the middle of the gap)
    where a threshold separates the outcomes perfectly: there the likelihood has no maximum. (NaN, NaN) where all
    outcomes or projections are equal; a slope of 0 has no threshold. Newton's method with step halving; the likelihood
    is concave.
    """
    x, z = np.asarray(projection, np.float64), np.asarray(outcome, bool)
    if z.all() or not z.any():
        return float("nan"), float("nan")
    if np.ptp(x) == 0:
        return float("nan"), float("nan")
    if x[~z].max() <= x[z].min():
        return float("inf"), float((x[~z].max() + x[z].min()) / 2)
    if x[z].max() <= x[~z].min():
        return float("-inf"), float((x[z].max() + x[~z].min()) / 2)
    design = np.stack([x, np.ones_like(x)], axis=1)
    w = np.zeros(2)
    value = _likelihood(design @ w, z)
    for _ in range(steps):
        p = expit(design @ w)
        step = np.linalg.lstsq(design.T @ (design * (p * (1 - p))[:, None]), design.T @ (z - p), rcond=None)[0]
        scale = 1.0
        while (new := _likelihood(design @ (w + scale * step), z)) < value and scale > 1e-8:
            scale /= 2
        w, gained, value = w + scale * step, new - value, new
        if gained <= 1e-12 * abs(value):
            break
    return (float(w[0]), float(-w[1] / w[0])) if w[0] != 0 else (0.0, float("nan"))


def _likelihood(logit: Array, z: NDArray[np.bool_]) -> float:
    return float((z * logit - np.logaddexp(0, logit)).sum())
