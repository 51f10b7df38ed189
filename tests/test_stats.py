"""Intervals cover what they promise."""

import numpy as np
import pytest
from scipy.stats import binomtest

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
