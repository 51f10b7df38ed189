"""Psychometric fits are the likeliest ones."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from purity import cap


@pytest.fixture
def generator():
    return np.random.default_rng(0)


# Psychometric fits.


def drawn(generator, slope: float, threshold: float, n: int = 300, reach: float = 2.0):
    """Projections and Bernoulli outcomes of a known S."""
    x = generator.uniform(-reach, reach, n)
    return x, generator.random(n) < expit(slope * (x - threshold))


def scores(x, z, slope: float, threshold: float) -> np.ndarray:
    """Gradient of the log-likelihood by intercept and slope."""
    rest = z - expit(slope * (x - threshold))
    return np.array([rest.sum(), (x * rest).sum()])


KNOWN = [(1.0, 0.0), (4.0, 0.7), (-3.0, -0.5), (12.0, 1.5), (0.1, 3.0), (40.0, 0.0)]


@pytest.mark.parametrize(("slope", "threshold"), KNOWN)
def test_a_fit_is_scikit_learns_without_penalty(slope, threshold, generator):
    """lbfgs stops at a gradient of 1e-9; the curvature is of order 1 to 100."""
    x, z = drawn(generator, slope, threshold)
    theirs = LogisticRegression(C=np.inf, tol=1e-9, max_iter=10_000).fit(x[:, None], z)
    k, x0 = cap.psychometric(x, z)
    assert k == pytest.approx(theirs.coef_[0, 0], rel=1e-4)
    assert x0 == pytest.approx(-theirs.intercept_[0] / theirs.coef_[0, 0], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("slope", "threshold"), KNOWN)
def test_at_the_fit_the_likelihood_is_flat(slope, threshold, generator):
    """It is concave, so that this is its maximum. Rounding: 300 terms of order 1."""
    x, z = drawn(generator, slope, threshold)
    assert scores(x, z, *cap.psychometric(x, z)) == pytest.approx(np.zeros(2), abs=1e-8)


@pytest.mark.parametrize(("slope", "threshold"), [(1.0, 0.0), (4.0, 0.7), (-3.0, -0.5), (12.0, 1.5)])
def test_a_fit_recovers_the_parameters_within_their_spread(slope, threshold, generator):
    """Asymptotic spread of slope and intercept from the Fisher information, of the threshold by the delta method.

    Four of them are passed once in 16,000.
    """
    x, z = drawn(generator, slope, threshold, n=50_000)
    p = expit(slope * (x - threshold))
    design = np.stack([x, np.ones_like(x)], axis=1)
    covariance = np.linalg.inv(design.T @ (design * (p * (1 - p))[:, None]))
    by_threshold = np.array([-threshold / slope, -1 / slope])  # of −b/k by k and by b
    k, x0 = cap.psychometric(x, z)
    assert k == pytest.approx(slope, abs=4 * np.sqrt(covariance[0, 0]))
    assert x0 == pytest.approx(threshold, abs=4 * np.sqrt(by_threshold @ covariance @ by_threshold))


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 5.0), (0.01, 0.0), (100.0, -30.0), (-2.0, 1.0)])
def test_a_fit_moves_and_stretches_with_its_projections(scale, shift, generator):
    """Newton's method knows no scale. Rounding: 1e-16 times the Hessian's condition, (shift/spread)² · slope² < 1e4."""
    x, z = drawn(generator, 3.0, 0.4)
    k, x0 = cap.psychometric(x, z)
    moved = cap.psychometric(scale * x + shift, z)
    assert moved == pytest.approx((k / scale, scale * x0 + shift), rel=1e-8)


def test_opposite_outcomes_have_the_opposite_slope(generator):
    x, z = drawn(generator, 3.0, 0.4)
    k, x0 = cap.psychometric(x, z)
    assert cap.psychometric(x, ~z) == pytest.approx((-k, x0), rel=1e-8)


def test_a_fit_does_not_depend_on_the_order_of_points_and_is_that_of_each_point_twice(generator):
    x, z = drawn(generator, 3.0, 0.4)
    order = generator.permutation(len(x))
    wanted = cap.psychometric(x, z)
    assert cap.psychometric(x[order], z[order]) == pytest.approx(wanted, rel=1e-8)
    assert cap.psychometric(np.tile(x, 2), np.tile(z, 2)) == pytest.approx(wanted, rel=1e-8)


@pytest.mark.parametrize("gap", [1e-1, 1e-3, 1e-6, 1e-9])
def test_a_fit_converges_where_one_pair_alone_keeps_the_outcomes_from_being_separable(gap):
    """The pair overlaps by `gap` and stands alone at the threshold: by symmetry that is its middle."""
    x = np.concatenate([np.linspace(-1, 0, 20), np.linspace(-gap, 1 - gap, 20)])
    z = np.arange(40) >= 20
    k, x0 = cap.psychometric(x, z)
    assert x0 == pytest.approx(-gap / 2, rel=1e-3) and np.isfinite(k) and k > 20
    assert scores(x, z, k, x0) == pytest.approx(np.zeros(2), abs=1e-8)


@pytest.mark.parametrize("far", [20.0, 100.0, 1e3, 1e4])
def test_a_fit_converges_though_some_points_are_far_out(far):
    """From a hundred on, full Newton steps overshoot. So far out S is 1, wherever it is."""
    x = np.repeat([0.0, 1.0, 8.0, far], [4, 160, 9, 6])
    z = np.concatenate([np.arange(n) < right for n, right in ((4, 1), (160, 1), (9, 8), (6, 6))])
    k, x0 = cap.psychometric(x, z)
    assert scores(x, z, k, x0) == pytest.approx(np.zeros(2), abs=1e-8)
    assert (k, x0) == pytest.approx(cap.psychometric(np.minimum(x, 50), z), rel=1e-4)


def test_separable_outcomes_have_a_step_in_the_middle_of_the_gap(generator, recwarn):
    x = np.array([0.9, -1.0, 0.2, 0.5, -0.3])
    assert cap.psychometric(x, x > 0.3) == (np.inf, pytest.approx(0.35))
    assert cap.psychometric(x, x < 0.3) == (-np.inf, pytest.approx(0.35))
    assert cap.psychometric(np.array([2.0, 1.0]), np.array([True, False])) == (np.inf, 1.5)
    many = generator.uniform(-3, 3, 1000)
    assert cap.psychometric(many, many > 1)[0] == np.inf
    assert not list(recwarn)


def test_one_misplaced_point_makes_a_step_finite():
    x = np.linspace(-1, 1, 40)
    z = x > 0
    z[5] = True
    assert np.isfinite(cap.psychometric(x, z)[0])


@pytest.mark.parametrize("outcome", [True, False])
def test_equal_outcomes_have_no_fit(outcome):
    assert np.isnan(cap.psychometric(np.arange(5.0), np.full(5, outcome))).tolist() == [True, True]
