"""Means with their spread, intervals, and verdicts on claims. Each interval's coverage is simulated in its tests."""

from collections.abc import Callable

import numpy as np

# not scipy.stats, nor scipy.optimize but for roots: importing them takes half of a job on tables
from scipy.special import chdtri, gammaln, ndtri, stdtr, stdtrit


def wilson(share: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a share seen in n independent trials (Wilson 1927); n need not be whole."""
    z = ndtri(0.5 + level / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # rounding must not put the share itself outside, at 0 and 1 above all
    return float(min(share, max(0.0, centre - half))), float(max(share, min(1.0, centre + half)))


def share_interval(correct: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Interval of an accuracy, correct (S, n) bool: n images judged S times each.

    Repeated judgings of one image are not independent. Wilson's interval is taken at the effective number of trials
    S·n / D, where the design effect D = S Var(mean of an image) / p(1−p) (Kish; Korn & Graubard 1998) lies between 1
    (judgings as good as new images) and S (repeats add nothing). D hangs on the images that differ from most, about
    n min(p, 1−p) of them: half of one more is counted with D = S, or D would be too small where they are few.
    """
    repeats, n = correct.shape
    per_image = correct.mean(axis=0)
    p = float(per_image.mean())
    design = float(repeats)
    if n > 1 and 0 < p < 1:
        seen = np.clip(repeats * per_image.var(ddof=1) / (p * (1 - p)), 1, repeats)
        telling = n * min(p, 1 - p)
        design = float((telling * seen + repeats / 2) / (telling + 1 / 2))
    return wilson(p, repeats * n / design, level)


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
    """Mean of the finite ones among values (n,) and Student's interval, right for few values; NaN limits for one."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return float(values.mean()) if len(values) else float("nan"), float("nan"), float("nan")
    return summary_interval(float(values.mean()), float(values.std(ddof=1)), len(values), level)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks 1 … n; equal values share the mean of theirs. All are NaN if a value is."""
    values = np.asarray(values, np.float64)
    if np.isnan(values).any():
        return np.full(len(values), np.nan)
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[which]


def spearman(a: np.ndarray, b: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Rank correlation ρ of n pairs and its interval: Fisher's z with variance (1 + ρ²/2)/(n − 3) (Bonett & Wright
    2000). NaN where one of them is constant; NaN limits for n ≤ 3. Perfect order leaves as much doubt as one pair of
    neighbours that change places."""
    ranks_a, ranks_b = _ranks(a), _ranks(b)
    if np.ptp(ranks_a) == 0 or np.ptp(ranks_b) == 0:
        return float("nan"), float("nan"), float("nan")
    rho, n = float(np.corrcoef(ranks_a, ranks_b)[0, 1]), len(ranks_a)
    if n <= 3:
        return rho, float("nan"), float("nan")
    z = np.arctanh(np.clip(rho, -1 + 12 / (n**3 - n), 1 - 12 / (n**3 - n)))
    half = ndtri(0.5 + level / 2) * np.sqrt((1 + rho**2 / 2) / (n - 3))
    return rho, min(rho, float(np.tanh(z - half))), max(rho, float(np.tanh(z + half)))


def spearman_difference(a: np.ndarray, b: np.ndarray, y: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """ρ(a, y) − ρ(b, y) of n triples and its interval, from those of the two rank correlations and the correlation that
    they have because y is the same (Zou 2007, §3.2). NaN where one of them is."""
    first, second, both = (spearman(*pair, level) for pair in ((a, y), (b, y), (a, b)))
    (r1, l1, u1), (r2, l2, u2), r12 = first, second, both[0]
    if np.isnan([l1, u1, l2, u2, r12]).any():
        return r1 - r2, float("nan"), float("nan")
    shared = (r12 - r1 * r2 / 2) * (1 - r1**2 - r2**2 - r12**2) + r12**3
    spread = (1 - r1**2) * (1 - r2**2)
    c = float(np.clip(shared / spread, -1, 1)) if spread > 0 else 0.0
    low = np.sqrt(max(0.0, (r1 - l1) ** 2 + (u2 - r2) ** 2 - 2 * c * (r1 - l1) * (u2 - r2)))
    high = np.sqrt(max(0.0, (u1 - r1) ** 2 + (r2 - l2) ** 2 - 2 * c * (u1 - r1) * (r2 - l2)))
    return r1 - r2, r1 - r2 - float(low), r1 - r2 + float(high)


def auc(
    positive: np.ndarray, negative: np.ndarray, level: float = 0.95, clusters: tuple | None = None
) -> tuple[float, float, float]:
    """P(a positive scores higher than a negative), ties half, and its interval. Scores may be infinite.

    NaN if either is empty. The limits are the areas θ that differ from what is seen by z standard errors at θ (Newcombe
    2006, method 5; errors of Hanley & McNeil 1982). They leave doubt where the classes are apart.
    clusters: which image each positive and each negative belongs to; those of one image are not independent. Errors are
    those of as many values as images, times what the clusters make of those of DeLong et al. (1988; Obuchowski 1997).
    """
    m, n = len(positive), len(negative)
    if m == 0 or n == 0:
        return float("nan"), float("nan"), float("nan")
    ranks = _ranks(np.concatenate([positive, negative]))
    above = (ranks[:m] - _ranks(positive)) / n  # share of negatives below each positive
    below = 1 - (ranks[m:] - _ranks(negative)) / m  # share of positives above each negative
    area = float(above.mean())
    inflation = 1.0
    if clusters is not None:
        influence = np.concatenate([(above - area) / m, (below - area) / n])
        images = [len(np.unique(c)) for c in clusters]
        alone = (influence[:m] ** 2).sum() * m / images[0] + (influence[m:] ** 2).sum() * n / images[1]
        if alone > 0:
            c = len(np.unique(np.concatenate(clusters)))
            inflation = _clustered_error(influence, clusters) ** 2 / (alone * c / max(c - 1, 1))
        m, n = images
    z, others = ndtri(0.5 + level / 2), (m + n) / 2 - 1

    def far(theta: float) -> float:
        """(θ − area)² − z² Var(θ): below 0 where θ is no surprise."""
        variance = theta * (1 - theta) * (1 + others * ((1 - theta) / (2 - theta) + theta / (1 + theta))) / (m * n)
        return (theta - area) ** 2 - z**2 * inflation * variance

    def limit(end: float) -> float:
        """Where `far` changes sign between what is seen and this end, 0 or 1; at the end itself both are 0."""
        return area if area == end else _root(far, end, min(max(area, 1e-9), 1 - 1e-9))

    return area, limit(0.0), limit(1.0)


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


def difference_interval(
    a: np.ndarray, b: np.ndarray, level: float = 0.95, clusters: tuple | None = None
) -> tuple[float, float, float]:
    """Difference of the means of two groups and its interval (Welch 1947); NaN where a group has no two.

    clusters: which image each value of a and of b belongs to; those of one image are not independent. Then the degrees
    of freedom are those of the smaller group's images.
    """
    if min(len(np.unique(c)) for c in (clusters or (np.arange(len(a)), np.arange(len(b))))) < 2:
        return float("nan"), float("nan"), float("nan")
    mean = float(np.mean(a) - np.mean(b))
    if clusters is None:
        parts = np.array([np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)])
        error = np.sqrt(parts.sum())
        df = parts.sum() ** 2 / (parts**2 / (np.array([len(a), len(b)]) - 1)).sum() if error > 0 else 1
    else:
        influence = np.concatenate([(a - np.mean(a)) / len(a), (np.mean(b) - b) / len(b)])
        error = _clustered_error(influence, clusters)
        df = min(len(np.unique(c)) for c in clusters) - 1
    half = float(stdtrit(df, 0.5 + level / 2) * error)
    return mean, mean - half, mean + half


# Verdicts on claims. A claim says in which range, `target`, a quantity lies; an end may be infinite.


def p_claim(mean: float, low: float, high: float, n: float, target: tuple[float, float]) -> tuple[float, float]:
    """One-sided p for the claim that a quantity lies in target and for its opposite, (for, against): small is strong.

    low, high: the 95 % interval that Student's law gives n values. Its two halves may differ in width (shares, rank
    correlations); each then is that of a law of its own. To lie between two limits is to be above one and below the
    other, so the larger of two one-sided p counts: the equivalence test of Schuirmann (1987). NaN without an interval.
    """
    if not n > 1 or np.isnan([mean, low, high]).any():
        return float("nan"), float("nan")
    reach = stdtrit(n - 1, 0.975)

    def p_above(limit: float) -> float:
        """A small one says that the quantity is above limit."""
        half = mean - low if mean > limit else high - mean
        if not np.isfinite(limit) or half == 0:
            return 0.5 if mean == limit else float(mean < limit)
        return float(stdtr(n - 1, -reach * (mean - limit) / half))

    above_first, above_last = p_above(target[0]), p_above(target[1])
    return max(above_first, 1 - above_last), min(1 - above_first, above_last)


def holm(p: np.ndarray) -> np.ndarray:
    """Adjusted p (m,) of Holm (1979): with those ≤ .05 called decided, one wrong call or more in 5 % of families.

    No independence is asked. NaN is no test: it stays, and counts for nothing.
    """
    p = np.asarray(p, np.float64)
    adjusted, tests = np.full_like(p, np.nan), np.flatnonzero(np.isfinite(p))
    order = tests[np.argsort(p[tests], kind="stable")]
    weights = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(weights * p[order]))
    return adjusted


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Adjusted p (m,) of Benjamini & Hochberg (1995): of those ≤ .05, at most 5 % are wrong on average.

    For tests that are independent or positively dependent. NaN is no test.
    """
    p = np.asarray(p, np.float64)
    adjusted, tests = np.full_like(p, np.nan), np.flatnonzero(np.isfinite(p))
    order = tests[np.argsort(-p[tests], kind="stable")]
    m = len(order)
    adjusted[order] = np.minimum.accumulate(np.minimum(1, m / np.arange(m, 0, -1) * p[order]))
    return adjusted


def verdicts(
    claims: list[tuple[float, float, float, float, tuple[float, float]]],
    level: float = 0.95,
    adjust: Callable[[np.ndarray], np.ndarray] = holm,
) -> list[tuple[str, float]]:
    """(holds, does not hold or undecided; adjusted p) of each claim (mean, low, high, n, target) of one family.

    Both answers are open, so each claim is a two-sided test. A single claim holds if its 95 % interval lies in target
    and does not if none of it does.
    """
    both = [p_claim(*claim) for claim in claims]
    adjusted = adjust(np.minimum(1.0, [2 * np.min(p) for p in both]))  # NaN stays NaN: no test
    said = []
    for (for_it, against), p in zip(both, adjusted, strict=True):
        decided = "holds" if for_it < against else "does not hold"
        said.append((decided if p <= 1 - level else "undecided", float(p)))
    return said


def images_needed(
    mean: float, low: float, high: float, n: float, target: tuple[float, float], level: float = 0.95, power: float = 0.8
) -> float:
    """How many images (or points) decide a claim in `power` of all runs, if mean and spread are what they seem.

    mean, low, high, n, target: as for `p_claim`. At least 2; inf where the mean lies on a limit, up to rounding. Errors
    shrink with √n; Student's quantiles are those of the n that comes out.
    level: 1 − the p a verdict needs; in a family of m claims 1 − .05/m is on the safe side.
    """
    if not n > 1 or np.isnan([mean, low, high]).any():
        return float("nan")
    inside = target[0] < mean < target[1]
    limits = [limit for limit in target if np.isfinite(limit)]
    if not inside:  # what matters is the limit that it lies beyond
        limits = [min(limits, key=lambda limit: abs(mean - limit))]
    reach = stdtrit(n - 1, 0.975)
    needed = 2.0
    for limit in limits:
        error = (mean - low if mean > limit else high - mean) / reach * np.sqrt(n)  # of one image
        if abs(mean - limit) <= 1e-6 * error:
            return float("inf")
        needed = max(needed, _sample_size((error / (mean - limit)) ** 2, level, power))
    return float(needed)


def _sample_size(ratio: float, level: float, power: float) -> float:
    """The smallest n with n ≥ ratio (t_{1−α/2} + t_power)², quantiles with n − 1 degrees of freedom."""
    low, high = 1, 2
    while high < ratio * (stdtrit(high - 1, 0.5 + level / 2) + stdtrit(high - 1, power)) ** 2:
        low, high = high, 2 * high
    while high - low > 1:
        n = (low + high) // 2
        enough = n >= ratio * (stdtrit(n - 1, 0.5 + level / 2) + stdtrit(n - 1, power)) ** 2
        low, high = (low, n) if enough else (n, high)
    return float(high)


def smallest_step(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Smallest mean step θ = min_t E[v_{t+1} − v_t] of values (T, n), T points along a line for the same n images.

    Above 0 the quantity rises from point to point: monotone along all of them, which two ends cannot tell. Lower limit:
    each step's own (intersection-union, Berger 1982); upper limit: Bonferroni's over the T − 1 steps. For what falls,
    give −values. NaN limits if a step has fewer than two images.
    """
    steps = np.diff(np.asarray(values, np.float64), axis=0)
    if len(steps) == 0:
        raise ValueError("a monotone claim needs values at two points or more")
    own = [mean_interval(step, level) for step in steps]
    wide = [mean_interval(step, 1 - (1 - level) / len(steps)) for step in steps]
    return tuple(float(np.min(limits)) for limits in ([o[0] for o in own], [o[1] for o in own], [w[2] for w in wide]))


def crossed_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of values (S, n) and its interval where both are sampled: S seeds, or trainings, and n images.

    Analysis of variance of a crossed design without repeats: Var(mean) = (MS_images + (MS_seeds − MS_rest)₊)/(S n).
    Each part has Student's quantile of its own degrees of freedom, half-widths are added in squares (Howe 1974). A
    spread between three seeds makes it wide: three are few. For S = 1 images alone are sampled. NaN limits for n < 2.
    """
    values = np.asarray(values, np.float64)
    s, n = values.shape
    if s == 1:
        return mean_interval(values[0], level)
    mean = float(values.mean())
    if n < 2:
        return mean, float("nan"), float("nan")
    by_seed, by_image = values.mean(axis=1), values.mean(axis=0)
    rest = ((values - by_seed[:, None] - by_image + mean) ** 2).sum() / ((s - 1) * (n - 1))
    of_images, of_seeds = s * by_image.var(ddof=1), max(0.0, n * by_seed.var(ddof=1) - rest)
    wide = stdtrit([n - 1, s - 1], 0.5 + level / 2)
    half = float(np.sqrt((wide**2 * [of_images, of_seeds]).sum() / (s * n)))
    return mean, mean - half, mean + half


def summary_interval(mean: float, std: float, n: float, level: float = 0.95) -> tuple[float, float, float]:
    """Student's interval of a mean from what a paper prints: mean ± std of n values. NaN limits for n < 2."""
    if not n >= 2:
        return mean, float("nan"), float("nan")
    half = float(stdtrit(n - 1, 0.5 + level / 2) * std / np.sqrt(n))
    return mean, mean - half, mean + half


def misfit_interval(residuals: np.ndarray, draws: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Root mean square misfit τ of a curve, without what chance puts between it and the points, and its interval.

    residuals r (P,): points − curve. draws (R, P): the residuals of R bootstrap samples of the images, refitted; their
    covariance Σ is that of chance, with all that points share. The points are what they are, images are sampled:
    E‖r‖² = Pτ² + tr Σ, Var‖r‖² = 2 tr Σ² + 4Pτ² σ², σ² that of chance along r. So τ² is the mean square − tr Σ / P, cut
    at 0; limits are the τ² at which ‖r‖² is a quantile of its law, a multiple of χ² with this mean and variance.
    """
    residuals, draws = np.asarray(residuals, np.float64), np.asarray(draws, np.float64)
    points = len(residuals)
    chance = np.cov(draws, rowvar=False).reshape(points, points)
    square, trace, of_square = float(residuals @ residuals), float(np.trace(chance)), float((chance**2).sum())
    along = float(residuals @ chance @ residuals) / square if square > 0 else 0.0

    def quantile(tau2: float, q: float) -> float:
        mean, variance = points * tau2 + trace, 2 * of_square + 4 * points * tau2 * along
        return variance / (2 * mean) * float(chdtri(2 * mean**2 / variance, 1 - q)) if variance > 0 else mean

    def solved(q: float) -> float:
        """τ² at which ‖r‖² is the q-quantile of its law; 0 if it is below that of chance alone."""
        if quantile(0.0, q) >= square:
            return 0.0
        high = square / points
        while quantile(high, q) < square:
            high *= 2
        return _root(lambda tau2: quantile(tau2, q) - square, 0.0, high)

    tau2 = max(0.0, (square - trace) / points)
    low, high = solved(0.5 + level / 2), solved(0.5 - level / 2)
    return float(np.sqrt(tau2)), float(np.sqrt(min(low, tau2))), float(np.sqrt(max(high, tau2)))


# Judgings again and again.


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


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    """Where f changes sign between low and high (Brent 1973)."""
    from scipy.optimize import brentq

    return float(brentq(f, low, high))
