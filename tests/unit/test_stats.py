"""Intervals cover what they promise."""

import numpy as np
import pytest
from scipy.stats import binomtest, spearmanr, t, ttest_1samp, ttest_ind
from sklearn.metrics import roc_auc_score, roc_curve

from purity import stats


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (1, 10), (37, 100), (999, 1000), (3, 3), (0, 1)])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_wilson_is_that_of_scipy(hits, n, level):
    wanted = binomtest(hits, n).proportion_ci(confidence_level=level, method="wilson")
    assert stats.wilson(hits / n, n, level) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_an_interval_lies_in_the_unit_interval_holds_the_share_and_shrinks_with_n(share):
    widths = []
    for n in (1, 7, 7.5, 100, 1000, 10_000):
        low, high = stats.wilson(share, n)
        assert 0 <= low <= share <= high <= 1 and low < high
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)


def judgings(generator, experiments: int, n: int, repeats: int, p: float, likeness: float) -> np.ndarray:
    """(experiments, repeats, n): right or wrong; of each image with a probability of its own, of mean p (beta law).

    likeness: correlation of two judgings of one image; 0 is independent, 1 the same each time.
    """
    if likeness == 0:
        own = np.full((experiments, 1, n), p)
    elif likeness == 1:
        own = (generator.random((experiments, 1, n)) < p).astype(float)
    else:
        size = 1 / likeness - 1
        own = generator.beta(p * size, (1 - p) * size, (experiments, 1, n))
    return generator.random((experiments, repeats, n)) < own


@pytest.mark.parametrize("p", [0.1, 0.5, 0.85])
@pytest.mark.parametrize("likeness", [0.0, 0.3, 0.8, 1.0])
def test_intervals_cover_what_they_promise_however_alike_repeats_are(p, likeness):
    """Wilson's own coverage with 100 images is 93.3 % at p = .85 (hits are whole numbers); of 4,000 experiments, its
    share scatters by .4 %, hence 92 %. Taking repeats for independent would give 80 % where they are alike."""
    drawn = judgings(np.random.default_rng(0), 4000, 100, 3, p, likeness)
    intervals = np.array([stats.share_interval(correct) for correct in drawn])
    covered = ((intervals[:, 0] <= p) & (p <= intervals[:, 1])).mean()
    assert covered >= 0.92


def width(correct: np.ndarray) -> float:
    low, high = stats.share_interval(correct)
    return high - low


def test_an_interval_is_as_wide_as_that_of_between_n_and_all_trials():
    generator = np.random.default_rng(1)
    for likeness in (0.0, 0.2, 0.5, 0.9, 1.0):
        for correct in judgings(generator, 20, 50, 4, 0.7, likeness):
            p = correct.mean()
            narrowest, widest = (np.diff(stats.wilson(p, n))[0] for n in (200, 50))
            assert narrowest - 1e-12 <= width(correct) <= widest + 1e-12


def test_repeats_that_never_differ_add_nothing():
    once = np.random.default_rng(2).random((1, 200)) < 0.6
    assert width(np.repeat(once, 5, axis=0)) == pytest.approx(width(once), rel=0.01)  # n − 1 for n: 0.25 %


def test_independent_repeats_are_worth_as_many_images():
    """Over 200 experiments the mean width is that of all trials to 2 % (the effective number is itself estimated)."""
    drawn = judgings(np.random.default_rng(3), 200, 200, 5, 0.6, 0.0)
    seen = np.mean([width(correct) for correct in drawn])
    wanted = np.mean([np.diff(stats.wilson(correct.mean(), 1000))[0] for correct in drawn])
    assert wanted <= seen <= 1.06 * wanted  # the clip at S·n only widens


def test_the_order_of_images_and_of_repeats_does_not_matter():
    generator = np.random.default_rng(4)
    (correct,) = judgings(generator, 1, 30, 4, 0.6, 0.5)
    mixed = correct[generator.permutation(4)][:, generator.permutation(30)]
    assert stats.share_interval(mixed) == pytest.approx(stats.share_interval(correct), abs=1e-12)


@pytest.mark.parametrize("value", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 20), (5, 20), (5, 1)])
def test_where_all_or_none_are_right_the_interval_is_that_of_n_images(value, shape):
    correct = np.full(shape, value)
    assert stats.share_interval(correct) == stats.wilson(float(value), shape[1])


def test_accuracy_is_the_mean_with_its_spread_over_repeats():
    correct = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]], bool)
    summary = stats.accuracy(correct)
    assert summary["n"] == 4 and summary["mean"] == pytest.approx(0.75) and summary["std"] == pytest.approx(0.25)
    assert (summary["low"], summary["high"]) == stats.share_interval(correct)
    assert summary["low"] < 0.75 < summary["high"]


def test_one_repeat_has_no_spread():
    assert np.isnan(stats.accuracy(np.ones((1, 5), bool))["std"])
    assert np.isnan(stats.spread(np.array([3.0]))["std"])


def test_spread_counts_what_is_finite():
    row = stats.spread(np.array([[1.0, np.nan], [3.0, np.inf]]))
    assert row == {"n": 2, "mean": 2.0, "std": pytest.approx(np.sqrt(2))}
    nothing = stats.spread(np.array([np.nan]))
    assert nothing["n"] == 0 and np.isnan(nothing["mean"]) and np.isnan(nothing["std"])
    assert stats.spread(np.array([]))["n"] == 0


def test_spread_is_exact_for_float32_far_from_zero():
    values = (np.arange(10_000) % 2 + 4096).astype(np.float32)  # mean 4096.5, variance 1/4 · n/(n−1)
    row = stats.spread(values)
    assert row["mean"] == 4096.5 and row["std"] == pytest.approx(np.sqrt(0.25 * 10_000 / 9_999), rel=1e-12)


# The mean.


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_interval_of_a_mean_is_students(level):
    for n in (2, 3, 40):
        values = np.random.default_rng(5).exponential(size=n)
        wanted = ttest_1samp(values, 0.0).confidence_interval(level)
        assert stats.mean_interval(values, level) == pytest.approx((values.mean(), wanted.low, wanted.high), rel=1e-12)


def test_two_values_have_half_their_distance_for_standard_error():
    """Student's law of one degree of freedom is Cauchy's: 97.5 % lie below tan(.475π) = 12.706."""
    half = np.tan(0.475 * np.pi)
    assert stats.mean_interval(np.array([1.0, 3.0])) == pytest.approx((2, 2 - half, 2 + half), rel=1e-12)


def test_the_mean_leaves_out_what_is_not_finite():
    with_gaps = np.array([1.0, np.nan, 2.0, np.inf, 4.0, -np.inf])
    assert stats.mean_interval(with_gaps) == stats.mean_interval(np.array([1.0, 2.0, 4.0]))


@pytest.mark.parametrize("values", [[3.0], [np.nan, 3.0]])
def test_one_value_has_no_interval_and_none_no_mean(values, recwarn):
    mean, low, high = stats.mean_interval(np.array(values))
    assert mean == 3.0 and np.isnan(low) and np.isnan(high)
    for nothing in (np.array([]), np.array([np.nan])):
        assert np.isnan(stats.mean_interval(nothing)).all()
    assert not list(recwarn)


def test_a_few_values_have_students_interval():
    values = np.array([3.0, 4.0, 8.0])
    wanted = ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert stats.mean_interval(values, 0.9) == pytest.approx((5.0, wanted.low, wanted.high), abs=1e-12)
    mean, low, high = stats.mean_interval(np.array([3.0]))
    assert mean == 3.0 and np.isnan(low) and np.isnan(high)
    assert stats.summary_interval(5.0, values.std(ddof=1), 3, 0.9) == pytest.approx((5.0, wanted.low, wanted.high))
    assert np.isnan(stats.summary_interval(5.0, 1.0, 1)[1:]).all()


def test_the_difference_of_two_groups_is_welchs():
    a, b = np.array([1.0, 3.0, 2.5]), np.array([1.0, 0.0, -1.0, 7.0])
    wanted = ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert stats.difference_interval(a, b) == pytest.approx((a.mean() - b.mean(), wanted.low, wanted.high), abs=1e-12)
    assert stats.difference_interval(b, a) == pytest.approx((b.mean() - a.mean(), -wanted.high, -wanted.low), abs=1e-12)
    assert np.isnan(stats.difference_interval(a, b[:1])).all() and np.isnan(stats.difference_interval(a[:1], b)).all()
    same = np.ones(3)
    assert stats.difference_interval(same, same) == (0.0, 0.0, 0.0)


# Rank correlation.


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [4, 10, 200])
def test_rank_correlation_is_scipys(n, ties):
    generator = np.random.default_rng(n)
    for _ in range(20):
        a = generator.standard_normal(n)
        b = 0.5 * a + generator.standard_normal(n)
        if ties:
            a, b = (2 * a).round(), (2 * b).round()
        if np.ptp(a) and np.ptp(b):
            assert stats.spearman(a, b)[0] == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)


def test_rank_correlation_sees_the_order_and_nothing_else():
    generator = np.random.default_rng(7)
    a, b = generator.standard_normal((2, 30))
    found = stats.spearman(a, b)
    assert stats.spearman(np.exp(a), b**3) == pytest.approx(found, abs=1e-12)
    assert stats.spearman(b, a) == pytest.approx(found, abs=1e-12)
    rho, low, high = found
    assert stats.spearman(-a, b) == pytest.approx((-rho, -high, -low), abs=1e-12)
    a[a == a.max()] = np.inf
    assert stats.spearman(a, b) == pytest.approx(found, abs=1e-12)


def test_a_monotone_relation_has_rank_correlation_one():
    """Its interval ends there and leaves the doubt of one swap of neighbours, less the more pairs there are."""
    width = {}
    for n in (5, 20, 80):
        a = np.random.default_rng(8).standard_normal(n)
        rho, low, high = stats.spearman(a, np.exp(a))
        assert rho == high == pytest.approx(1, abs=1e-12) and low < 1 - 12 / (n**3 - n)
        assert stats.spearman(a, -np.exp(a)) == pytest.approx((-1, -1, -low), abs=1e-12)
        width[n] = high - low
    assert width[5] > width[20] > width[80] > 0


def test_what_is_constant_has_no_rank_correlation_and_three_pairs_no_interval(recwarn):
    a = np.arange(5.0)
    assert np.isnan(stats.spearman(a, np.ones(5))).all() and np.isnan(stats.spearman(np.ones(5), a)).all()
    rho, low, high = stats.spearman(np.array([1, 2, 3]), np.array([1, 3, 2]))
    assert rho == pytest.approx(0.5) and np.isnan(low) and np.isnan(high)
    assert not list(recwarn)


@pytest.mark.parametrize(("r", "n"), [(0.0, 20), (0.5, 20), (0.85, 100)])
def test_intervals_of_rank_correlations_cover_what_they_promise(r, n):
    """Normal pairs of correlation r have ρ = 6/π · asin(r/2). Bonett and Wright found 94 to 96 % for them; of 1,000, a
    share scatters by .7 %. Without their ρ²/2 widths would be 14 % less at ρ = .84, which covers 91 %."""
    rho = 6 / np.pi * np.arcsin(r / 2)
    generator = np.random.default_rng(9)
    a, other = generator.standard_normal((2, 1000, n))
    b = r * a + np.sqrt(1 - r**2) * other
    _, low, high = np.array([stats.spearman(*pair) for pair in zip(a, b, strict=True)]).T
    assert ((low <= rho) & (rho <= high)).mean() == pytest.approx(0.95, abs=0.025)


def test_an_interval_of_a_rank_correlation_holds_it_and_shrinks_with_n_and_with_the_level():
    a, noise = np.random.default_rng(10).standard_normal((2, 1000))
    widths = []
    for n in (10, 100, 1000):
        rho, low, high = stats.spearman(a[:n], (a + noise)[:n])
        assert -1 <= low <= rho <= high <= 1
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)
    (_, low, high), (_, lower, higher) = (stats.spearman(a, noise, level) for level in (0.9, 0.99))
    assert lower < low < high < higher


# Scores that tell two classes apart.


def scores(m: int, n: int, seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    positive, negative = generator.normal(0.7, 1, m), generator.normal(0, 1, n)
    return (positive.round(), negative.round()) if ties else (positive, negative)


def labelled(positive, negative) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat([True, False], [len(positive), len(negative)]), np.concatenate([positive, negative])


def by_pairs(positive, negative) -> float:
    return float(np.mean([(p > q) + 0.5 * (p == q) for p in positive for q in negative]))


SIZES = [(1, 1), (1, 9), (9, 1), (13, 20), (60, 45)]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("m", "n"), SIZES)
def test_the_area_is_the_share_of_pairs_in_order_and_scikit_learns(m, n, ties):
    for seed in range(5):
        drawn = scores(m, n, seed, ties)
        assert stats.auc(*drawn)[0] == pytest.approx(by_pairs(*drawn), abs=1e-12)
        assert stats.auc(*drawn)[0] == pytest.approx(roc_auc_score(*labelled(*drawn)), abs=1e-12)


def test_infinite_scores_are_larger_than_all_others_and_tie_with_each_other():
    positive = np.array([np.inf, np.inf, 0.3, -np.inf])
    negative = np.array([np.inf, 0.1, 0.5, -np.inf, -np.inf])
    assert stats.auc(positive, negative)[0] == by_pairs(positive, negative)
    finite = [np.nan_to_num(v, posinf=9.0, neginf=-9.0) for v in (positive, negative)]
    assert stats.auc(positive, negative) == stats.auc(*finite)
    assert all(np.array_equal(a, b) for a, b in zip(stats.roc(positive, negative), stats.roc(*finite), strict=True))


def test_the_area_sees_the_order_and_nothing_else_and_turns_with_the_classes():
    positive, negative = scores(30, 40, 0, False)
    area, low, high = stats.auc(positive, negative)
    assert stats.auc(np.exp(positive), np.exp(negative)) == (area, low, high)
    assert stats.auc(negative, positive)[0] == pytest.approx(1 - area, abs=1e-12)
    assert stats.auc(-positive, -negative)[0] == pytest.approx(1 - area, abs=1e-12)


def test_classes_apart_have_area_one_and_the_same_score_for_all_one_half():
    assert stats.auc(np.array([3.0, 4.0]), np.array([1.0, 2.0]))[0] == 1
    assert stats.auc(np.array([1.0, 2.0]), np.array([3.0, 4.0]))[0] == 0
    assert stats.auc(np.ones(7), np.ones(4))[0] == 0.5


def test_no_scores_have_no_area(recwarn):
    for pair in (([], [1.0]), ([1.0], []), ([], [])):
        assert np.isnan(stats.auc(*map(np.array, pair))).all()
    assert not list(recwarn)


@pytest.mark.parametrize("scale", [1.0, 2.0, 4.0])
def test_intervals_of_areas_cover_what_they_promise(scale):
    """The area of exponential scores is s/(s + 1). The normal law is rough near 1; of 1,000 experiments, a share scatters
    by .7 %."""
    generator = np.random.default_rng(11)
    drawn = zip(generator.exponential(scale, (1000, 50)), generator.exponential(1, (1000, 80)), strict=True)
    _, low, high = np.array([stats.auc(*pair) for pair in drawn]).T
    area = scale / (scale + 1)
    assert ((low <= area) & (area <= high)).mean() == pytest.approx(0.947, abs=0.025)


def test_an_interval_of_an_area_lies_in_the_unit_interval_and_holds_it():
    for m, n in SIZES:
        for seed in range(20):
            area, low, high = stats.auc(*scores(m, n, seed, False))
            assert 0 <= low <= area <= high <= 1
    narrow, wide = (stats.auc(*scores(60, 45, 0, False), level) for level in (0.9, 0.99))
    assert wide[1] < narrow[1] < narrow[2] < wide[2]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("m", "n"), SIZES)
def test_the_curve_is_scikit_learns(m, n, ties):
    drawn = scores(m, n, 3, ties)
    false, true, _ = roc_curve(*labelled(*drawn), drop_intermediate=False)
    found = stats.roc(*drawn)
    assert found[0] == pytest.approx(false, abs=1e-12) and found[1] == pytest.approx(true, abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("m", "n"), SIZES)
def test_the_area_under_the_curve_is_the_area(m, n, ties):
    """By trapezoids: a tie of both classes is a slope, which counts half."""
    drawn = scores(m, n, 4, ties)
    false, true = stats.roc(*drawn)
    assert np.trapezoid(true, false) == pytest.approx(stats.auc(*drawn)[0], abs=1e-12)


def test_the_curve_climbs_from_corner_to_corner():
    for seed in range(5):
        false, true = stats.roc(*scores(20, 30, seed, True))
        assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
        assert (np.diff(false) >= 0).all() and (np.diff(true) >= 0).all() and (np.diff(false) + np.diff(true) > 0).all()


def test_what_is_measured_again_on_the_same_images_does_not_narrow_an_interval():
    """Twice the same values of each image: without clusters √2 narrower, with them as wide as once. Of an area the error
    at the limits is scaled by that at the estimate, of the means the degrees of freedom change: a percent or two."""
    generator = np.random.default_rng(12)
    a, b = generator.normal(0.7, 1, 60), generator.normal(0, 1, 60)
    images = np.arange(60)
    for measure in (stats.auc, stats.difference_interval):
        once = measure(a, b, clusters=(images, images + 60))
        twice = measure(np.tile(a, 2), np.tile(b, 2), clusters=(np.tile(images, 2), np.tile(images + 60, 2)))
        blind = measure(np.tile(a, 2), np.tile(b, 2))
        assert twice[0] == pytest.approx(once[0], abs=1e-12)
        assert twice[2] - twice[1] == pytest.approx(once[2] - once[1], rel=1e-3)
        assert (once[2] - once[1]) / (blind[2] - blind[1]) == pytest.approx(np.sqrt(2), rel=0.02)


def test_clusters_tell_what_pairing_does():
    """Fooled and robust under different seeds, an image brings its own level to both: less is left in doubt."""
    generator = np.random.default_rng(13)
    level = generator.normal(0, 1, 400)
    a, b = level + generator.normal(0.2, 0.1, 400), level + generator.normal(0, 0.1, 400)
    paired = stats.difference_interval(a, b, clusters=(np.arange(400), np.arange(400)))
    wanted = 2 * t.ppf(0.975, 399) * (a - b).std(ddof=1) / 20
    assert paired[2] - paired[1] == pytest.approx(wanted, rel=1e-12)
    assert paired[2] - paired[1] < 0.2 * np.ptp(stats.difference_interval(a, b)[1:])
