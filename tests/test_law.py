"""The sigmoid is found again where it is known, and nothing breaks where there is none."""

import numpy as np
import pytest
import torch

from purity.law import Sigmoid, fit, images_drawn

ALPHA = np.linspace(0.0, 1.2, 12)
KNOWN = [Sigmoid(0.9, 8, 0.4), Sigmoid(0.6, 4, 0.3), Sigmoid(0.3, 30, 0.5), Sigmoid(0.75, 15, 1.0)]


# The curve.


@pytest.mark.parametrize("sigmoid", KNOWN)
def test_a_sigmoid_is_half_its_top_in_the_middle_and_steepest_there(sigmoid):
    """The slope at the middle is −top · steepness / 4."""
    top, steepness, middle = sigmoid
    h = 1e-5
    slope = (sigmoid(middle + h) - sigmoid(middle - h)) / (2 * h)
    assert sigmoid(middle) == pytest.approx(top / 2) and slope == pytest.approx(-top * steepness / 4, rel=1e-6)
    assert sigmoid(-1e3) == pytest.approx(top) and sigmoid(1e3) == pytest.approx(0)
    values = sigmoid(np.linspace(-1, 2, 301))
    assert (np.diff(values) <= 0).all() and np.argmin(np.diff(values)) == pytest.approx((middle + 1) * 100, abs=1)


@pytest.mark.parametrize("sigmoid", KNOWN)
def test_its_value_at_zero_is_the_top_over_one_and_the_exponential(sigmoid):
    top, steepness, middle = sigmoid
    assert sigmoid(0.0) == pytest.approx(top / (1 + np.exp(-steepness * middle)), rel=1e-12)


# The fit.


@pytest.mark.parametrize("trials", [10, 1000])
@pytest.mark.parametrize("sigmoid", KNOWN)
def test_points_on_a_sigmoid_give_it_back(sigmoid, trials):
    """Residuals are zero, whatever their weights; least squares stops at relative steps of 1e-8."""
    assert fit(ALPHA, sigmoid(ALPHA), trials) == pytest.approx(sigmoid, rel=1e-6)


def test_a_top_at_its_bound_is_found():
    assert fit(ALPHA, Sigmoid(1.0, 20, 0.6)(ALPHA), 100) == pytest.approx((1.0, 20, 0.6), rel=1e-5)


def test_three_points_are_met_exactly_and_fewer_are_refused():
    sigmoid, alpha = KNOWN[0], np.array([0.1, 0.4, 0.7])
    assert fit(alpha, sigmoid(alpha), 100) == pytest.approx(sigmoid, rel=1e-5)
    with pytest.raises(ValueError, match=r"3 parameters.*2 points"):
        fit(alpha[:2], sigmoid(alpha[:2]), 100)


def test_the_scale_of_alpha_is_that_of_the_curve():
    """α in other units: the middle moves with them, the steepness against them."""
    found = fit(1000 * ALPHA, KNOWN[0](ALPHA), 100)
    assert found == pytest.approx((0.9, 0.008, 400), rel=1e-5)


def test_the_order_of_points_does_not_matter():
    generator = np.random.default_rng(0)
    accuracy = generator.binomial(200, KNOWN[0](ALPHA)) / 200
    order = generator.permutation(12)
    assert fit(ALPHA[order], accuracy[order], 200) == pytest.approx(fit(ALPHA, accuracy, 200), rel=1e-5)


def test_a_fit_from_one_place_near_the_best_ends_there_too():
    accuracy = np.random.default_rng(0).binomial(200, KNOWN[0](ALPHA)) / 200
    best = fit(ALPHA, accuracy, 200)
    for start in (best, KNOWN[0], Sigmoid(0.8, 10, 0.5)):
        assert fit(ALPHA, accuracy, 200, start) == pytest.approx(best, rel=1e-4)


@pytest.mark.parametrize("start", [Sigmoid(1.0, 0.0, 0.0), Sigmoid(2.0, 1e9, -1e9), Sigmoid(0.0, 0.0, 1e9)])
def test_a_place_to_start_from_may_lie_on_the_bounds_or_beyond(start):
    found = fit(ALPHA, KNOWN[0](ALPHA), 200, start)
    assert np.isfinite(found).all() and 0 <= found.top <= 1 and found.steepness >= 0


def test_the_fit_scatters_about_the_truth_as_binomial_points_let_it():
    """Fits of 60 draws, in units of what the Fisher information Σ ∇p ∇pᵀ · n/(p(1−p)) allows at best.

    Their mean strays by 1/√60 = .13 and their spread by 9 %: bounds are four deviations; with 1,000 trials a point
    the bias of the estimate, of order one over them, is less.
    """
    sigmoid, trials, h = Sigmoid(0.9, 8, 0.5), 1000, 1e-5
    p = sigmoid(ALPHA)
    steps = h * np.eye(3)
    slopes = np.array([Sigmoid(*(sigmoid + s))(ALPHA) - Sigmoid(*(sigmoid - s))(ALPHA) for s in steps]) / (2 * h)
    deviation = np.sqrt(np.diag(np.linalg.inv((slopes * trials / (p * (1 - p))) @ slopes.T)))
    generator = np.random.default_rng(0)
    drawn = [fit(ALPHA, generator.binomial(trials, p) / trials, trials) for _ in range(60)]
    errors = (np.array(drawn) - sigmoid) / deviation
    assert np.abs(errors.mean(axis=0)).max() < 0.52
    assert errors.std(axis=0) == pytest.approx(np.ones(3), abs=0.37)


@pytest.mark.parametrize("accuracy", [[0.1, 0.5, 0.5], [0.9, 0.8, 0.2, 0.0], [0.0, 0.5, 0.99]])
def test_points_at_one_place_are_met_in_their_weighted_mean(accuracy):
    """Weights of the binomial law, n/(p(1−p)), of shares with two hits and two misses added."""
    n, accuracy = 50, np.array(accuracy)
    shrunk = (n * accuracy + 2) / (n + 4)
    wanted = np.average(accuracy, weights=1 / (shrunk * (1 - shrunk)))
    assert abs(wanted - accuracy.mean()) > 0.01
    found = fit(np.full(len(accuracy), 0.4), accuracy, n)
    assert found(0.4) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("accuracy", [np.zeros(5), np.ones(5), np.full(5, 0.3), np.array([0.0, 1, 0, 1, 1])], ids=str)
@pytest.mark.parametrize("alpha", [np.linspace(0, 1, 5), np.linspace(0.2, 3, 5), np.full(5, 0.4), np.zeros(5)], ids=str)
def test_where_there_is_no_sigmoid_the_fit_stays_within_its_bounds(alpha, accuracy):
    found = fit(alpha, accuracy, 100)
    assert np.isfinite(found).all() and 0 <= found.top <= 1 and found.steepness >= 0
    values = found(np.linspace(0, 4, 50))
    assert ((values >= 0) & (values <= 1)).all() and (np.diff(values) <= 0).all()
    if np.ptp(accuracy) == 0:
        assert found(alpha) == pytest.approx(accuracy, abs=1e-3)


def test_accuracy_that_rises_with_alpha_is_met_by_a_constant():
    """The curve may not rise, so the best of them is flat: the weighted mean."""
    accuracy = np.array([0.3, 0.4, 0.6, 0.7])
    shrunk = (100 * accuracy + 2) / 104
    wanted = np.average(accuracy, weights=1 / (shrunk * (1 - shrunk)))
    found = fit(np.array([0.1, 0.3, 0.5, 0.7]), accuracy, 100)
    assert found(np.array([0.1, 0.7])) == pytest.approx([wanted, wanted], abs=1e-3)


# Resampled images.


def test_drawn_images_are_rows_in_range_and_the_same_each_time():
    drawn = images_drawn(30, resamples=50)
    assert drawn.shape == (50, 30) and drawn.min() == 0 and drawn.max() == 29
    assert np.array_equal(drawn, images_drawn(30, resamples=50))
    assert images_drawn(7).shape == (200, 7)


def test_draws_differ_between_seeds_and_between_resamples():
    drawn = images_drawn(30, resamples=50)
    assert not np.array_equal(drawn, images_drawn(30, resamples=50, seed=1))
    assert len(np.unique(drawn, axis=0)) == 50


def test_images_are_drawn_with_replacement_each_as_likely():
    """Of n drawn, 1 − (1 − 1/n)ⁿ are different ones, with deviation √((1/e)(1 − 2/e)/n) = .0098 for n = 1,000, a
    fourteenth of it in the mean of 200. An image is drawn 200 times in 200 resamples, ± 14; of 1,000, the outermost
    is less than five of them away."""
    drawn = images_drawn(1000)
    different = np.mean([len(np.unique(rows)) for rows in drawn]) / 1000
    assert different == pytest.approx(1 - (1 - 1 / 1000) ** 1000, abs=0.003)
    assert np.bincount(drawn.ravel(), minlength=1000) == pytest.approx(np.full(1000, 200), abs=71)


def test_no_global_generator_is_touched_or_read():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    before = images_drawn(30), fit(ALPHA, KNOWN[0](ALPHA), 100)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy_state, strict=True))
    try:
        np.random.seed(123)
        assert np.array_equal(images_drawn(30), before[0]) and fit(ALPHA, KNOWN[0](ALPHA), 100) == before[1]
    finally:
        np.random.set_state(numpy_state)
