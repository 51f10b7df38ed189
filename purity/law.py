"""The lawful relation of robust accuracy and compression rate: a sigmoid through purifiers (Liu & Wei §5, Fig. 3b)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit

Array = NDArray[np.float64]


class Sigmoid(NamedTuple):
    """accuracy(α) = top / (1 + e^(steepness (α − middle))): falls from nearly `top`, steepest at `middle`."""

    top: float
    steepness: float
    middle: float

    def __call__(self, alpha: Array) -> Array:
        return self.top * expit(-self.steepness * (np.asarray(alpha, np.float64) - self.middle))


def fit(alpha: Array, accuracy: Array, trials: int, start: Sigmoid | None = None) -> Sigmoid:
    """Least squares through points (P,), P ≥ 3, each accuracy weighted by its binomial spread in `trials` images.

    0 ≤ top ≤ 1, steepness ≥ 0. Started from several places, of whose minima the best is taken; from fewer if there is a
    `start` that should be near.
    """
    alpha, accuracy = np.asarray(alpha, np.float64), np.asarray(accuracy, np.float64)
    if len(alpha) < 3:
        raise ValueError(f"a sigmoid has 3 parameters, there are {len(alpha)} points")
    shrunk = (accuracy * trials + 2) / (trials + 4)  # Agresti and Coull: no weight is infinite at 0 and 1
    error = np.sqrt(shrunk * (1 - shrunk) / trials)
    width = max(np.ptp(alpha), 1e-3)

    def residuals(p: Array) -> Array:
        return (Sigmoid(*p)(alpha) - accuracy) / error

    def slopes(p: Array) -> Array:
        top, k, middle = p
        s = expit(-k * (alpha - middle))
        inner = top * s * (1 - s)
        return np.stack([s, -inner * (alpha - middle), inner * k], axis=1) / error[:, None]

    middles = np.quantile(alpha, (0.25, 0.75))
    starts = [(top, k / width, m) for top in (0.8, 1.0) for k in (4, 20) for m in middles]
    if start is not None:
        starts = [start, starts[1], starts[2]]
    bounds = ([0, 0, -10 * width], [1, 1e4 / width, alpha.max() + 10 * width])
    fits = [least_squares(residuals, np.clip(s, bounds[0], bounds[1]), jac=slopes, bounds=bounds) for s in starts]
    return Sigmoid(*min(fits, key=lambda f: f.cost).x)


def images_drawn(n: int, resamples: int = 200, seed: int = 0) -> NDArray[np.int64]:
    """Row numbers (resamples, n) of n images drawn with replacement: the bootstrap. The spread of what is fitted to
    them is its uncertainty. All points of the law share their images, so they share the draws. seed: of the draws."""
    return np.random.default_rng(seed).integers(n, size=(resamples, n))
