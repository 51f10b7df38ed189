"""Planes through the space that attacks walk in: what lies in them is kept, what does not is left out as told."""

import warnings

import numpy as np
import pytest

from purity.landscape import directions, in_plane

# Sums of some dozen products of numbers of about 1 in float64, each rounded to 1e-16.
ROUNDING = 1e-12


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


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
