"""The hyperspherical cap model of adversarial regions (earlier version §5, App. A), in numbers."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, expit

Array = NDArray[np.float64]


def volume_ratio(beta: Array, d: int) -> Array:
    """V_cap / V_ball = ½ I_{1−β̄²}((d+1)/2, ½) (eq. 7; Li 2010) of a cap that starts at β̄ = γ/ε of the radius.

    0 ≤ β̄; nothing is left of the ball from β̄ = 1 on.
    """
    beta = np.minimum(np.asarray(beta, np.float64), 1.0)
    return 0.5 * betainc((d + 1) / 2, 0.5, 1 - beta**2)


def orthogonal_directions(beta: Array, d: int) -> NDArray[np.int64]:
    """k = min(⌊1/β̄²⌋, d) orthogonal directions fit into the cap (App. A.2); 0 where the cap is empty, β̄ > 1."""
    beta = np.asarray(beta, np.float64)
    with np.errstate(divide="ignore"):
        # 1/β̄² of β̄ = 1/√k may fall short of k by rounding
        k = np.floor(1 / beta**2 * (1 + 1e-12))
    return np.minimum(k, d).astype(np.int64)


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


def transition(slope: Array, offset: Array) -> Array:
    """Mean of the fitted S, aligned at their thresholds, at these offsets (O,) from it (Fig. 4f). slope (n,); ±inf is a
    step."""
    if len(slope) == 0:
        return np.full(len(offset), np.nan)
    with np.errstate(invalid="ignore"):
        s = expit(slope[:, None] * offset[None, :])
    s[np.isnan(s)] = 0.5  # a step, at its threshold
    return s.mean(axis=0)
