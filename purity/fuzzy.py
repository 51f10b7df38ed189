"""Fuzzy robustness: how often, not whether, an image fools a random defence (earlier version §4).

predictions (r, n): the class that each of r judgings under fresh ξ gave to each of n images; y (n,) the labels.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Array = NDArray[np.float64]
Labels = NDArray[np.integer]


def grades(predictions: Labels, y: Labels) -> Array:
    """m(x) = P(s(x) ≠ y) (Definition 1), the frequency over the judgings: (n,) in [0, 1]."""
    return (predictions != y).mean(axis=0)


def robustness(m: Array, alpha: float) -> Array:
    """Which images are no α-fuzzy adversarial examples, m < α (Definition 2): bool of m's shape. The mean over images
    is the cumulative fuzzy robustness at α (CFR, §4.2)."""
    return m < alpha


def majority_vote(predictions: Labels, y: Labels, k: int) -> Array:
    """P(right by the vote of k judgings), image by image: (n,).

    The r judgings are cut into ⌊r/k⌋ votes. Of classes that tie, each wins with the same chance.
    """
    r, n = predictions.shape
    if not 1 <= k <= r:
        raise ValueError(f"a vote of {k} needs at least as many judgings, there are {r}")
    votes = r // k
    ballots = predictions[: votes * k].reshape(votes, k, n)
    mine = (ballots == y).sum(axis=1)  # (votes, n): votes for the right class
    best, tied = np.zeros((votes, n), np.int64), np.zeros((votes, n), np.int64)  # of the others, class by class
    for c in np.unique(ballots):
        counts = np.where(y == c, 0, (ballots == c).sum(axis=1))
        tied = np.where(counts > best, 1, tied + ((counts == best) & (counts > 0)))
        best = np.maximum(best, counts)
    return np.where(mine > best, 1.0, np.where(mine == best, 1 / (1 + tied), 0.0)).mean(axis=0)


def worst_of(predictions: Labels, y: Labels, n_tries: int) -> Array:
    """P(right every time) of an image that is submitted `n_tries` times, each under a fresh ξ: (n,).

    Without bias from r judgings of which c were right: C(c, N) / C(r, N), N of them chosen without replacement.
    """
    r = len(predictions)
    if not 1 <= n_tries <= r:
        raise ValueError(f"worst of {n_tries} needs at least as many judgings, there are {r}")
    right = (predictions == y).sum(axis=0).astype(np.float64)
    possible = right >= n_tries
    c = np.where(possible, right, n_tries)
    log_share = _log_choose(c, n_tries) - _log_choose(r, n_tries)
    return np.where(possible, np.exp(log_share), 0.0)


def _log_choose(n, k):
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
