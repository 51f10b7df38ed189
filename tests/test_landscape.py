"""Planes through the space that attacks walk in: what lies in them is kept, what does not is left out as told."""

import warnings

import numpy as np
import pytest

from purity.landscape import directions, in_plane, principal_plane

# Sums of some dozen products of numbers of about 1 in float64, each rounded to 1e-16.
ROUNDING = 1e-12

SHAPES = [(2, 2), (5, 3), (3, 40), (40, 7), (100, 64)]  # fewer places than dimensions, and more


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def planes(count: int, d: int, seed: int = 1) -> np.ndarray:
    """Orthonormal axes (count, 2, d) of random planes."""
    return np.linalg.qr(normal(count, d, 2, seed=seed))[0].swapaxes(1, 2)


def share(moved: np.ndarray, axes: np.ndarray) -> float:
    """Of squared length, what lies in the plane of these axes."""
    return float(((moved @ axes.T) ** 2).sum() / (moved**2).sum())


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# The principal plane.


@pytest.mark.parametrize("shape", SHAPES)
def test_the_axes_are_orthonormal(shape):
    axes, _ = principal_plane(normal(*shape), normal(shape[1], seed=9))
    assert axes.shape == (2, shape[1])
    assert axes @ axes.T == pytest.approx(np.eye(2), abs=ROUNDING)


@pytest.mark.parametrize("d", [2, 3, 50])
def test_places_in_a_plane_are_kept_whole_with_their_distances(d):
    (spanned,) = planes(1, d)
    at = normal(12, 2) * [3, 0.2]
    axes, kept = principal_plane(at @ spanned, normal(d, seed=9))
    found = at @ spanned @ axes.T
    assert kept == pytest.approx(1, abs=ROUNDING)
    apart = lambda x: np.linalg.norm(x[:, None] - x[None], axis=2)  # noqa: E731
    assert apart(found) == pytest.approx(apart(at), abs=ROUNDING)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.linalg.norm(at, axis=1), abs=ROUNDING)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_kept_is_the_share_that_lies_in_the_plane(shape):
    moved = normal(*shape)
    axes, kept = principal_plane(moved, moved[-1])
    assert kept == pytest.approx(share(moved, axes), abs=ROUNDING) and 0 < kept < 1 + ROUNDING


@pytest.mark.parametrize("shape", SHAPES)
def test_no_other_plane_keeps_more(shape):
    moved = normal(*shape)
    _, kept = principal_plane(moved, moved[-1])
    others = [share(moved, axes) for axes in planes(300, shape[1])]
    assert max(others) <= kept + ROUNDING


def test_nor_does_any_plane_close_by():
    moved = normal(20, 6) * [3, 2, 1.9, 1, 1, 1]
    axes, kept = principal_plane(moved, moved[-1])
    for seed in range(50):
        (turned,) = np.linalg.qr((axes + 0.01 * normal(2, 6, seed=seed)).T[None])[0].swapaxes(1, 2)
        assert share(moved, turned) < kept


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_kept_is_of_the_two_largest_eigenvalues_of_the_second_moment(shape):
    moved = normal(*shape)
    values = np.linalg.eigvalsh(moved.T @ moved)
    axes, kept = principal_plane(moved, moved[-1])
    assert kept == pytest.approx(values[-2:].sum() / values.sum(), abs=ROUNDING)
    lengths = ((moved @ axes.T) ** 2).sum(axis=0)
    assert lengths == pytest.approx(values[:-3:-1], rel=1e-9)  # the first axis is the larger one


def test_no_mean_is_subtracted():
    """Places far from the origin and close to each other: their mean is the first axis."""
    mean = np.zeros(8)
    mean[3] = 10
    axes, kept = principal_plane(mean + 0.01 * normal(30, 8), mean)
    assert axes[0, 3] == pytest.approx(1, abs=1e-4) and kept > 0.999
    centred = 0.01 * normal(30, 8)
    assert principal_plane(centred - centred.mean(axis=0), mean)[1] < 0.9


@pytest.mark.parametrize("seed", range(10))
def test_the_place_in_front_has_no_negative_coordinate(seed):
    moved, front = normal(9, 5, seed=seed), normal(5, seed=100 + seed)
    axes, kept = principal_plane(moved, front)
    assert (axes @ front >= 0).all()
    behind, kept_too = principal_plane(moved, -front)
    assert np.array_equal(behind, -axes) and kept == kept_too


def test_places_in_another_order_have_the_same_plane():
    moved, front = normal(30, 12), normal(12, seed=9)
    wanted, kept = principal_plane(moved, front)
    for seed in range(5):
        axes, kept_too = principal_plane(moved[np.random.default_rng(seed).permutation(30)], front)
        # rounding over the gap of the singular values
        assert axes == pytest.approx(wanted, abs=1e-9) and kept_too == pytest.approx(kept, abs=ROUNDING)


def test_places_twice_as_far_have_the_same_plane():
    moved, front = normal(30, 12), normal(12, seed=9)
    (axes, kept), (wanted, kept_before) = (principal_plane(scale * moved, front) for scale in (2, 1))
    assert axes == pytest.approx(wanted, abs=ROUNDING) and kept == pytest.approx(kept_before)


def test_the_origin_itself_among_the_places_changes_nothing():
    moved, front = normal(30, 12), normal(12, seed=9)
    axes, kept = principal_plane(np.concatenate([np.zeros((4, 12)), moved]), front)
    wanted, kept_before = principal_plane(moved, front)
    assert axes == pytest.approx(wanted, abs=1e-9) and kept == pytest.approx(kept_before)


def test_float32_places_are_computed_with_in_float64():
    moved = normal(9, 5).astype(np.float32)
    axes, kept = principal_plane(moved, moved[0])
    wanted, kept_before = principal_plane(moved.astype(np.float64), moved[0].astype(np.float64))
    assert axes.dtype == np.float64 and np.array_equal(axes, wanted) and kept == kept_before


@pytest.mark.parametrize("m", [0, 1, 2, 7])
def test_places_that_are_all_the_origin_are_no_failure(m):
    axes, kept = principal_plane(np.zeros((m, 5)), np.zeros(5))
    assert axes.shape == (2, 5) and np.isfinite(axes).all() and kept == 0


@pytest.mark.parametrize("m", [1, 4])
def test_places_on_one_line_are_kept_whole_on_the_first_axis(m):
    line = normal(5)
    axes, kept = principal_plane(np.arange(1, m + 1)[:, None] * line, line)
    assert axes.shape == (2, 5) and kept == pytest.approx(1, abs=ROUNDING)
    assert axes @ line == pytest.approx([np.linalg.norm(line), 0], abs=ROUNDING)


def test_places_of_a_single_dimension_have_one_coordinate():
    axes, kept = principal_plane(np.array([[1.0], [-2.0]]), np.array([-3.0]))
    assert axes.tolist() == [[-1], [0]] and kept == 1


# Directions.


@pytest.mark.parametrize("shape", [(6,), (4, 6), (3, 5, 64)])
def test_the_residual_is_orthogonal_to_the_direction_of_who_knows(shape):
    known, expected = normal(*shape), normal(*shape, seed=1)
    d, r = directions(known, expected)
    assert d.shape == r.shape == shape and np.array_equal(d, known)
    assert (d * r).sum(axis=-1) == pytest.approx(np.zeros(shape[:-1]), abs=ROUNDING)


def test_along_the_direction_and_the_residual_lies_what_was_expected():
    known, expected = normal(4, 6), normal(4, 6, seed=1)
    d, r = directions(known, expected)
    coefficient = (known * expected).sum(axis=1) / (known**2).sum(axis=1)
    assert coefficient[:, None] * d + r == pytest.approx(expected, abs=ROUNDING)
    nearest = [np.linalg.lstsq(k[:, None], e)[1][0] for k, e in zip(known, expected, strict=True)]
    assert (r**2).sum(axis=1) == pytest.approx(nearest)  # no other multiple of the direction leaves less


@pytest.mark.parametrize("times", [1, -1, 0.5, 2, 0])
def test_of_parallel_perturbations_no_residual_is_left(times):
    """Exactly, where the multiple is one of binary numbers."""
    known = normal(4, 6)
    d, r = directions(known, times * known)
    assert np.array_equal(d, known) and not r.any()


@pytest.mark.parametrize("times", [1 / 3, 0.3, -1.7])
def test_of_other_multiples_what_is_left_is_rounding(times):
    known = normal(50, 64)
    _, r = directions(known, times * known)
    assert np.abs(r).max() < ROUNDING


def test_the_rows_of_a_batch_do_not_know_each_other():
    known, expected = normal(7, 6), normal(7, 6, seed=1)
    d, r = directions(known, expected)
    for i in range(7):
        alone = directions(known[i], expected[i])
        assert np.array_equal(alone[0], d[i]) and alone[1] == pytest.approx(r[i], abs=ROUNDING)


def test_who_knows_and_did_not_move_has_no_direction_and_all_is_residual():
    known, expected = normal(3, 6), normal(3, 6, seed=1)
    known[1] = 0
    d, r = directions(known, expected)
    assert not d[1].any() and np.array_equal(r[1], expected[1])
    assert np.isfinite(r).all()


# Coordinates.


def test_coordinates_are_those_of_which_a_place_was_made():
    d, r = directions(normal(4, 30), normal(4, 30, seed=1))
    a, b = normal(2, 4, seed=2)
    found = in_plane(a[:, None] * d + b[:, None] * r, d, r)
    assert found == pytest.approx(np.stack([a, b], axis=-1), abs=ROUNDING)


def test_coordinates_of_every_step_of_a_path_are_along_the_directions_of_its_image():
    d, r = directions(normal(4, 30), normal(4, 30, seed=1))
    at = normal(4, 9, 2, seed=2)
    way = at[..., :1] * d[:, None] + at[..., 1:] * r[:, None]
    found = in_plane(way, d[:, None], r[:, None])
    assert found.shape == (4, 9, 2) and found == pytest.approx(at, abs=ROUNDING)


def test_what_lies_beside_the_plane_does_not_change_coordinates():
    (first, second), aside = np.linalg.qr(normal(10, 3))[0].T[:2], np.linalg.qr(normal(10, 3))[0].T[2]
    assert in_plane(2 * first - 5 * second + 7 * aside, first, second) == pytest.approx([2, -5], abs=ROUNDING)


def test_coordinates_count_lengths_of_the_directions():
    first, second = np.array([4.0, 0, 0]), np.array([0, 0.5, 0])
    assert in_plane(np.array([2.0, 2, 2]), first, second).tolist() == [0.5, 4]


def test_the_ends_of_both_attacks_have_known_coordinates():
    known, expected = normal(5, 30), normal(5, 30, seed=1)
    d, r = directions(known, expected)
    assert in_plane(known, d, r) == pytest.approx(np.tile([1.0, 0.0], (5, 1)), abs=ROUNDING)
    assert in_plane(expected, d, r)[:, 1] == pytest.approx(np.ones(5), abs=ROUNDING)
    assert not in_plane(np.zeros((5, 30)), d, r).any()


@pytest.mark.parametrize("none", ["first", "second", "both"])
def test_along_a_direction_of_no_length_a_coordinate_is_zero(none):
    """No NaN and, by the fixture above, no warning."""
    first, second = np.zeros((2, 3, 6))
    if none == "second":
        first = normal(3, 6)
    elif none == "first":
        second = normal(3, 6)
    found = in_plane(normal(3, 6, seed=1), first, second)
    assert ((found == 0) == [none != "second", none != "first"]).all()


def test_a_direction_of_no_length_leaves_the_coordinates_of_other_images():
    known, expected = normal(4, 6), normal(4, 6, seed=1)
    expected[2] = known[2]
    d, r = directions(known, expected)
    found = in_plane(expected, d, r)
    assert found[2].tolist() == [1, 0]
    assert found[[0, 1, 3], 1] == pytest.approx(np.ones(3), abs=ROUNDING)
