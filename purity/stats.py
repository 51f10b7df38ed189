"""Means with their spread, and intervals for shares."""

import numpy as np
from scipy.special import gammaln
from scipy.stats import norm, rankdata
from scipy.stats import t as student


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


def mean_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of the finite ones among values (n,) and its interval by the normal law; NaN limits for fewer than two."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return float(values.mean()) if len(values) else float("nan"), float("nan"), float("nan")
    mean, error = values.mean(), norm.ppf(0.5 + level / 2) * values.std(ddof=1) / np.sqrt(len(values))
    return float(mean), float(mean - error), float(mean + error)


def spearman(a: np.ndarray, b: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Rank correlation ρ of n pairs and its interval: Fisher's z with variance (1 + ρ²/2)/(n − 3) (Bonett & Wright
    2000). NaN where one of them is constant; NaN limits for n ≤ 3. Perfect order leaves as much doubt as one pair of
    neighbours that change places."""
    ranks_a, ranks_b = rankdata(a), rankdata(b)
    if np.ptp(ranks_a) == 0 or np.ptp(ranks_b) == 0:
        return float("nan"), float("nan"), float("nan")
    rho, n = float(np.corrcoef(ranks_a, ranks_b)[0, 1]), len(ranks_a)
    if n <= 3:
        return rho, float("nan"), float("nan")
    z = np.arctanh(np.clip(rho, -1 + 12 / (n**3 - n), 1 - 12 / (n**3 - n)))
    half = norm.ppf(0.5 + level / 2) * np.sqrt((1 + rho**2 / 2) / (n - 3))
    return rho, min(rho, float(np.tanh(z - half))), max(rho, float(np.tanh(z + half)))


def auc(
    positive: np.ndarray, negative: np.ndarray, level: float = 0.95, clusters: tuple | None = None
) -> tuple[float, float, float]:
    """P(a positive scores higher than a negative), ties half, and its interval (DeLong et al. 1988). Scores may be
    infinite. NaN where either is empty. However well the two are parted, half a pair of the smaller class is in doubt.

    clusters: which image each positive and each negative belongs to; those of one image are not independent
    (Obuchowski 1997).
    """
    m, n = len(positive), len(negative)
    if m == 0 or n == 0:
        return float("nan"), float("nan"), float("nan")
    ranks = rankdata(np.concatenate([positive, negative]))
    above = (ranks[:m] - rankdata(positive)) / n  # share of negatives below each positive
    below = 1 - (ranks[m:] - rankdata(negative)) / m  # share of positives above each negative
    area = float(above.mean())
    influence = np.concatenate([(above - area) / m, (below - area) / n])
    smaller = min(m, n) if clusters is None else min(len(np.unique(c)) for c in clusters)
    half = max(norm.ppf(0.5 + level / 2) * _clustered_error(influence, clusters), 0.5 / smaller)
    return area, max(0.0, area - half), min(1.0, area + half)


def _clustered_error(influence: np.ndarray, clusters: tuple | None) -> float:
    """Standard error of an estimate from the influence of each observation on it, summed within clusters."""
    if clusters is not None:
        _, which = np.unique(np.concatenate(clusters), return_inverse=True)
        influence = np.bincount(which, weights=influence)
    c = len(influence)
    return float(np.sqrt((influence**2).sum() * c / max(c - 1, 1)))


def roc(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rate of every threshold on the score, from (0, 0) to (1, 1)."""
    thresholds = np.unique(np.concatenate([positive, negative]))[::-1]
    true = [np.mean(positive >= t) for t in thresholds]
    false = [np.mean(negative >= t) for t in thresholds]
    return np.array([0.0, *false]), np.array([0.0, *true])


def t_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of a few values (n,) and Student's interval; NaN limits for fewer than two."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return mean, float("nan"), float("nan")
    half = float(student.ppf(0.5 + level / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half


def difference_interval(
    a: np.ndarray, b: np.ndarray, level: float = 0.95, clusters: tuple | None = None
) -> tuple[float, float, float]:
    """Difference of the means of two groups and its interval (Welch, normal law); NaN where a group has no two.

    clusters: which image each value of a and of b belongs to; those of one image are not independent.
    """
    if min(len(np.unique(c)) for c in (clusters or (np.arange(len(a)), np.arange(len(b))))) < 2:
        return float("nan"), float("nan"), float("nan")
    mean = float(np.mean(a) - np.mean(b))
    if clusters is None:
        error = np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
    else:
        influence = np.concatenate([(a - np.mean(a)) / len(a), (np.mean(b) - b) / len(b)])
        error = _clustered_error(influence, clusters)
    half = float(norm.ppf(0.5 + level / 2) * error)
    return mean, mean - half, mean + half


def majority_vote(predictions: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """P(right by the vote of k judgings), image by image: (n,).

    predictions (r, n): the class that each of r judgings under fresh ξ gave; y (n,) the labels. The judgings are cut
    into ⌊r/k⌋ votes. Of classes that tie, each wins with the same chance. ValueError unless 1 ≤ k ≤ r.
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


def worst_of(predictions: np.ndarray, y: np.ndarray, n_tries: int) -> np.ndarray:
    """P(right every time) of an image that is submitted `n_tries` times, each under a fresh ξ: (n,).

    predictions (r, n), y (n,): as in `majority_vote`. Without bias from r judgings of which c were right:
    C(c, N) / C(r, N), N of them chosen without replacement. ValueError unless 1 ≤ N ≤ r.
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
