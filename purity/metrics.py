"""The papers' measures, on arrays. Images are (n, C, H, W) in [0, 1]; a measure of images is (n,) float64."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.ndimage import uniform_filter

Array = NDArray[np.float64]


def _rows(x: np.ndarray) -> Array:
    return x.reshape(len(x), -1).astype(np.float64)


def l2(a: np.ndarray, b: np.ndarray) -> Array:
    """‖a − b‖₂ per image."""
    return np.linalg.norm(_rows(a) - _rows(b), axis=1)


def linf(a: np.ndarray, b: np.ndarray) -> Array:
    """‖a − b‖∞ per image."""
    return np.abs(_rows(a) - _rows(b)).max(axis=1)


def ssim(a: np.ndarray, b: np.ndarray, window: int = 7) -> Array:
    """Structural similarity per image (Wang et al. 2004, eq. 13), images of range 1, side ≥ `window`.

    Uniform window, sample covariance, K = (.01, .03), channels averaged, borders left out: scikit-image's defaults.
    ValueError if the images are smaller than the window.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    if min(a.shape[2:]) < window:
        raise ValueError(f"SSIM needs images of at least {window}×{window} pixels, not {a.shape[2]}×{a.shape[3]}")

    def mean(x: Array) -> Array:
        return uniform_filter(x, size=(1, 1, window, window))

    mu_a, mu_b = mean(a), mean(b)
    n = window**2
    var_a = (mean(a * a) - mu_a**2) * n / (n - 1)
    var_b = (mean(b * b) - mu_b**2) * n / (n - 1)
    cov = (mean(a * b) - mu_a * mu_b) * n / (n - 1)
    c1, c2 = 0.01**2, 0.03**2
    s = ((2 * mu_a * mu_b + c1) * (2 * cov + c2)) / ((mu_a**2 + mu_b**2 + c1) * (var_a + var_b + c2))
    pad = (window - 1) // 2
    inner = s[:, :, pad : s.shape[2] - pad, pad : s.shape[3] - pad]
    return inner.mean(axis=(1, 2, 3))


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2(Σ_a Σ_b)^½) of two feature sets (n, d) (Heusel et al. 2017, eq. 6).

    The trace of the root is taken from the eigenvalues of Σ_a^½ Σ_b Σ_a^½, which is symmetric: no imaginary parts
    when a covariance is singular, the same number when it is not.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    sigma_a, sigma_b = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    values, vectors = eigh(sigma_a)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    cross = np.sqrt(eigh(root @ sigma_b @ root, eigvals_only=True).clip(min=0)).sum()
    shift = a.mean(axis=0) - b.mean(axis=0)
    return float(shift @ shift + np.trace(sigma_a) + np.trace(sigma_b) - 2 * cross)


def compression_rate(purified: np.ndarray, anchor: np.ndarray, x: np.ndarray, x0: np.ndarray) -> Array:
    """α = ‖f_ξ(x) − f_ξ(x₀)‖₂ / ‖x − x₀‖₂ per image, one ξ above and below (Liu & Wei eq. 10); NaN where x = x₀."""
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = l2(x, x0)
        return np.where(moved > 0, l2(purified, anchor) / moved, np.nan)


def correlation(a: np.ndarray, b: np.ndarray) -> Array:
    """Pearson correlation of a and b over the pixels of each image; NaN where one is constant."""
    a, b = _rows(a), _rows(b)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def correlations(v: Array) -> Array:
    """Correlation matrix of vectors over their last axis: (..., m, d) → (..., m, m); NaN for a constant vector."""
    v = v - v.mean(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        v = v / np.linalg.norm(v, axis=-1, keepdims=True)
    return v @ np.swapaxes(v, -1, -2)


def mean_off_diagonal(m: Array) -> Array:
    """Mean over all pairs of different members: (..., m, m) → (...)."""
    n = m.shape[-1]
    return (m.sum(axis=(-2, -1)) - np.trace(m, axis1=-2, axis2=-1)) / (n * (n - 1))


def decompose(f: Array) -> dict[str, Array]:
    """Law of total variance (Liu & Wei eq. 11) of purified points f (n, P, Ξ, d): P inputs under Ξ draws of ξ.

    Per image and per pixel (mean over d), all (n,): variance_total = variance_input + variance_internal exactly, with
    input = E_ξ[Var_x f(x|ξ)], internal = Var_ξ[E_x f(x|ξ)]; and snr = input / internal (eq. 7).
    """
    mu_xi = f.mean(axis=1)  # (n, Ξ, d): mean at fixed randomness
    signal = f.var(axis=1).mean(axis=(1, 2))
    internal = mu_xi.var(axis=1).mean(axis=1)
    total = f.reshape(len(f), -1, f.shape[-1]).var(axis=1).mean(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        snr = signal / internal
    return {"variance_total": total, "variance_input": signal, "variance_internal": internal, "snr": snr}


def centroid_distances(x0: Array, x: Array, f: Array) -> dict[str, Array]:
    """ℓ2 to the centroid (Liu & Wei Fig. 2f): points x (n, P, d) of the ball around x0 (n, d), purified f (n, P, Ξ, d).

    centroid_initial (n, P): inputs to x0, the centre of the ball (Table S6: ε√(d/3)). centroid_input (n, P, Ξ): the
    input varies, ξ is fixed. centroid_xi (n, P, Ξ): ξ varies, the input is fixed. centroid_both (n, P, Ξ): to the mean
    over both.
    """
    return {
        "centroid_initial": np.linalg.norm(x - x0[:, None], axis=-1),
        "centroid_input": np.linalg.norm(f - f.mean(axis=1, keepdims=True), axis=-1),
        "centroid_xi": np.linalg.norm(f - f.mean(axis=2, keepdims=True), axis=-1),
        "centroid_both": np.linalg.norm(f - f.mean(axis=(1, 2), keepdims=True), axis=-1),
    }


def ball(x0: np.ndarray, x: np.ndarray, f: np.ndarray) -> dict[str, Array]:
    """Everything measured on a ball around x0: x (n, P, C, H, W) points of it, f (n, P, Ξ, C, H, W) the same purified.

    Per image, (n,): directions_xi is the mean correlation of purification directions f_ξ(x) − x of one input under
    many ξ, directions_input of many inputs under one ξ; the variances of `decompose`. Also the raw distances of
    `centroid_distances`, and two correlation matrices of the first image, matrix_xi and matrix_input, to look at.
    """
    x, f = x.reshape(*x.shape[:2], -1).astype(np.float64), f.reshape(*f.shape[:3], -1).astype(np.float64)
    over_xi, over_input, matrices = [], [], {}
    for xi, fi in zip(x, f, strict=True):  # image by image: the matrices of all would not fit
        d = fi - xi[:, None]  # (P, Ξ, d)
        one_input, one_draw = correlations(d), correlations(np.swapaxes(d, 0, 1))  # (P, Ξ, Ξ), (Ξ, P, P)
        over_xi.append(mean_off_diagonal(one_input).mean())
        over_input.append(mean_off_diagonal(one_draw).mean())
        matrices = matrices or {"matrix_xi": one_input[0], "matrix_input": one_draw[0]}
    return {
        "directions_xi": np.array(over_xi),
        "directions_input": np.array(over_input),
        **decompose(f),
        **centroid_distances(_rows(x0), x, f),
        **matrices,
    }


GRADIENTS = ("gradients", "zero_gradients", "non_finite_gradients")  # what purity.stages.attack says of them


def judged(
    x0: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    purified: Mapping[str, np.ndarray],
    anchor: Mapping[str, np.ndarray],
    crafted: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Measures of one attack on one purifier, per image: distances to x₀ of x and of f_ξ(x), α, outcomes.

    purified, anchor: what purity.stages.purify made of x and of x₀ under the same ξ. correct_fixed (n,) and
    correct_varying (R, n) are bool, so is correct_partly (R, n), there if the attacker knew a part of ξ. With features
    also frechet_before and frechet_after (1,), to those of x₀. crafted: what the attack left; of one that looked at its
    defence also how many gradients (n,) it asked for, and the shares of zeros and of no numbers among their entries.
    """
    fixed = purified["fixed"]
    measures = {
        "l2_before": l2(x, x0),
        "linf_before": linf(x, x0),
        "ssim_before": ssim(x, x0),
        "l2_after": l2(fixed, x0),
        "linf_after": linf(fixed, x0),
        "ssim_after": ssim(fixed, x0),
        "alpha": compression_rate(fixed, anchor["fixed"], x, x0),
        "correct_fixed": purified["fixed_logits"].argmax(axis=1) == y,
        "correct_varying": purified["varying_logits"].argmax(axis=2) == y,
    }
    if "partly_logits" in purified:
        measures["correct_partly"] = purified["partly_logits"].argmax(axis=2) == y
    if "features_before" in purified:
        clean = anchor["features_before"]
        for when in ("before", "after"):
            measures[f"frechet_{when}"] = np.array([frechet(purified[f"features_{when}"], clean)])
    return measures | {name: crafted[name] for name in GRADIENTS if crafted is not None and name in crafted}
