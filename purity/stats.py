"""Means with their spread, and intervals for shares."""

import numpy as np
from scipy.stats import norm


def wilson(share: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a share seen in n independent trials (Wilson 1927); n need not be whole."""
    z = norm.ppf(0.5 + level / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # rounding must not put the share itself outside, at 0 and 1 above all
    return float(min(share, max(0.0, centre - half))), float(max(share, min(1.0, centre + half)))


def share_interval(correct: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Interval of an accuracy, correct (S, n) bool: n images judged S times each.

    Repeated judgings of one image are not independent. Wilson's interval is taken at the effective number of trials
    p(1−p) / Var(mean over images) (Kish; Korn & Graubard 1998), which lies between n (repeats add nothing) and S·n.
    """
    repeats, n = correct.shape
    per_image = correct.mean(axis=0)
    p = float(per_image.mean())
    effective = float(n)
    if n > 1 and 0 < p < 1:
        spread = per_image.var(ddof=1) / n
        effective = float(np.clip(p * (1 - p) / spread, n, repeats * n)) if spread > 0 else float(repeats * n)
    return wilson(p, effective, level)


def accuracy(correct: np.ndarray) -> dict[str, float]:
    """n images, mean, std over repeats (NaN for one) and the 95 % interval of correct (S, n)."""
    low, high = share_interval(correct)
    per_seed = correct.mean(axis=1)
    std = float(per_seed.std(ddof=1)) if len(per_seed) > 1 else float("nan")
    return {"n": correct.shape[1], "mean": float(per_seed.mean()), "std": std, "low": low, "high": high}


def spread(values: np.ndarray) -> dict[str, float]:
    """n, mean and std (ddof 1) of the finite ones among values."""
    values = np.asarray(values, np.float64).ravel()
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return {"n": 0, "mean": float("nan"), "std": float("nan")}
    std = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return {"n": len(values), "mean": float(values.mean()), "std": std}
