"""Fuzzy robustness of a defence that is right with a known probability, and of judgings counted by hand."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from purity import fuzzy


def bernoulli(wrong: float | np.ndarray, r: int, n: int, classes: int = 2, seed: int = 0):
    """Labels, and r judgings of n images: each is wrong with this probability, then of any other class alike."""
    generator = np.random.default_rng(seed)
    y = generator.integers(0, classes, n)
    off = generator.integers(1, classes, (r, n))
    predictions = np.where(generator.random((r, n)) < wrong, (y + off) % classes, y)
    return predictions.astype(np.int16), y


def judged(*columns: str) -> np.ndarray:
    """Predictions of one image a word, one judging a digit: (r, n)."""
    return np.array([[int(digit) for digit in column] for column in columns], np.int16).T


def zeros(n: int) -> np.ndarray:
    return np.zeros(n, np.int64)


# Grades and cumulative fuzzy robustness.


def test_a_grade_is_the_share_of_judgings_that_were_fooled():
    predictions = judged("0000", "0120", "1234", "2220")
    assert fuzzy.grades(predictions, zeros(4)).tolist() == [0, 0.5, 1, 0.75]
    assert fuzzy.grades(predictions, np.array([1, 1, 1, 2])).tolist() == [1, 0.75, 0.75, 0.25]


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_grades_of_a_bernoulli_defence_scatter_about_its_probability_as_frequencies_do(p):
    """Mean p within 4.5 of √(p(1−p)/rn); variance p(1−p)/r, its own spread over 2,000 images about √(2/n) = 3 %."""
    r, n = 200, 2000
    m = fuzzy.grades(*bernoulli(p, r, n, classes=10))
    assert m.mean() == pytest.approx(p, abs=4.5 * np.sqrt(p * (1 - p) / (r * n)))
    assert m.var() == pytest.approx(p * (1 - p) / r, rel=0.15)


def test_cumulative_robustness_is_the_share_of_images_below_a_grade():
    m = np.array([0.0, 0.0, 0.25, 0.5, 1.0])
    curve = {alpha: fuzzy.robustness(m, alpha).mean() for alpha in (0.0, 0.1, 0.25, 0.26, 0.5, 0.75, 1.0)}
    assert curve == {0.0: 0, 0.1: 0.4, 0.25: 0.4, 0.26: 0.6, 0.5: 0.6, 0.75: 0.8, 1.0: 0.8}


def test_cumulative_robustness_of_uniform_grades_is_the_diagonal():
    """P(m < α) = α of images whose own probability is uniform; 4.5 standard deviations, and 1/r for the frequency."""
    own = np.random.default_rng(1).random(4000)
    m = fuzzy.grades(*bernoulli(own, 400, 4000))
    for alpha in (0.1, 0.4, 0.5, 0.8):
        share = fuzzy.robustness(m, alpha).mean()
        assert share == pytest.approx(alpha, abs=4.5 * np.sqrt(alpha * (1 - alpha) / 4000) + 1 / 400)


def test_cumulative_robustness_never_falls_and_that_of_a_deterministic_defence_is_horizontal():
    alphas = np.linspace(0, 1, 101)
    m = fuzzy.grades(*bernoulli(np.random.default_rng(2).random(50), 20, 50))
    assert (np.diff([fuzzy.robustness(m, alpha).mean() for alpha in alphas]) >= 0).all()
    right = np.arange(50) < 35
    certain = fuzzy.grades(*bernoulli((~right).astype(float), 20, 50))
    assert {fuzzy.robustness(certain, alpha).mean() for alpha in alphas[1:]} == {0.7}


# Votes.


@pytest.mark.parametrize("k", [1, 3, 5, 9])
@pytest.mark.parametrize("p", [0.2, 0.45, 0.6])
def test_a_vote_between_two_classes_is_right_with_the_binomial_probability(k, p):
    """P(more than half of k right); over votes and images independent, 4.5 standard deviations."""
    r, n = 450, 200
    q = sum(comb(k, j) * (1 - p) ** j * p ** (k - j) for j in range(k // 2 + 1, k + 1))
    found = fuzzy.majority_vote(*bernoulli(p, r, n), k).mean()
    assert found == pytest.approx(q, abs=4.5 * np.sqrt(q * (1 - q) / (r // k * n)))


@pytest.mark.parametrize(
    ("ballots", "wanted"),
    [
        ("0", 1),
        ("1", 0),
        ("00", 1),
        ("11", 0),
        ("01", 1 / 2),
        ("10", 1 / 2),
        ("12", 0),
        ("012", 1 / 3),
        ("312", 0),
        ("0123", 1 / 4),
        ("0011", 1 / 2),
        ("0012", 1),
        ("0112", 0),
        ("001122", 1 / 3),
        ("01122", 0),
        ("00112", 1 / 2),
    ],
)
def test_a_single_vote_counted_by_hand(ballots, wanted):
    assert fuzzy.majority_vote(judged(ballots), zeros(1), len(ballots)) == pytest.approx([wanted])


def test_votes_are_consecutive_judgings_and_what_is_left_over_does_not_count():
    predictions, y = judged("0001110", "0100100", "2222222", "1000100"), np.array([0, 0, 2, 0])
    # votes of three: 000 111; 010 010; 222 222; 100 010
    assert fuzzy.majority_vote(predictions, y, 3).tolist() == [0.5, 1, 1, 1]
    # votes of two: 00 01 11; 01 00 10; 22 22 22; 10 00 10
    assert fuzzy.majority_vote(predictions, y, 2) == pytest.approx([(1 + 0.5 + 0) / 3, 2 / 3, 1, 2 / 3])


def test_a_class_that_nobody_votes_for_does_not_win():
    assert fuzzy.majority_vote(judged("0120", "0000"), np.array([7, 7]), 2).tolist() == [0, 0]


def test_a_vote_of_two_between_two_classes_is_worth_one_judging():
    """A pair that disagrees counts half, as its judgings do on average."""
    predictions, y = bernoulli(0.3, 40, 30)
    assert fuzzy.majority_vote(predictions, y, 2) == pytest.approx(1 - fuzzy.grades(predictions, y), abs=1e-12)


def test_names_of_classes_do_not_matter_to_a_vote():
    predictions, y = bernoulli(0.6, 60, 20, classes=5)
    order = np.array([3, 0, 4, 2, 1])
    renamed = fuzzy.majority_vote(order[predictions], order[y], 4)
    assert renamed == pytest.approx(fuzzy.majority_vote(predictions, y, 4), abs=1e-12)


# The worst of several.


@pytest.mark.parametrize("r", [1, 4, 7])
def test_the_worst_of_several_is_the_share_of_all_choices_that_are_right_throughout(r):
    predictions, y = bernoulli(np.linspace(0, 1, 12), r, 12, classes=3)
    right = predictions == y
    for tries in range(1, r + 1):
        chosen = [right[list(rows)].all(axis=0) for rows in combinations(range(r), tries)]
        assert fuzzy.worst_of(predictions, y, tries) == pytest.approx(np.mean(chosen, axis=0), abs=1e-12)


@pytest.mark.parametrize(("p", "tries"), [(0.1, 2), (0.1, 10), (0.3, 3), (0.5, 5)])
def test_the_worst_of_several_has_no_bias(p, tries):
    """E = (1 − p)^N, though only 12 judgings of each image were made. 4.5 standard errors over images; the plug-in
    (c/r)^N is off by more."""
    n = 40_000
    predictions, y = bernoulli(p, 12, n)
    found = fuzzy.worst_of(predictions, y, tries)
    tolerance = 4.5 * found.std() / np.sqrt(n)
    assert found.mean() == pytest.approx((1 - p) ** tries, abs=tolerance)
    plug_in = ((1 - fuzzy.grades(predictions, y)) ** tries).mean()
    assert abs(plug_in - (1 - p) ** tries) > 1.5 * tolerance


def test_one_try_a_vote_of_one_and_the_grade_say_the_same():
    predictions, y = bernoulli(0.4, 30, 20, classes=4)
    wanted = 1 - fuzzy.grades(predictions, y)
    assert fuzzy.worst_of(predictions, y, 1) == pytest.approx(wanted, abs=1e-12)
    assert fuzzy.majority_vote(predictions, y, 1) == pytest.approx(wanted, abs=1e-12)


def test_as_many_tries_as_judgings_ask_whether_all_were_right():
    predictions, y = bernoulli(np.linspace(0, 0.2, 50), 10, 50)
    found = fuzzy.worst_of(predictions, y, 10)
    assert 0 < found.sum() < 50 and found.tolist() == (predictions == y).all(axis=0).tolist()


def test_more_tries_are_never_better():
    predictions, y = bernoulli(np.linspace(0, 1, 40), 25, 40)
    by_tries = np.array([fuzzy.worst_of(predictions, y, tries) for tries in range(1, 26)])
    assert (np.diff(by_tries, axis=0) <= 1e-12).all()


@pytest.mark.parametrize("tries", [1, 10, 500, 999, 1000])
def test_a_thousand_judgings_do_not_overflow(tries):
    """C(1000, 500) is 1e299. log Γ of order 6000 in float64 leaves 1e-11 or so of the ratio."""
    r, right = 1000, np.array([0, 1, 499, 500, 700, 990, 999, 1000])
    predictions = (np.arange(r)[:, None] >= right).astype(np.int16)
    wanted = [comb(c, tries) / comb(r, tries) for c in right.tolist()]
    assert fuzzy.worst_of(predictions, zeros(8), tries) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("of", [fuzzy.majority_vote, fuzzy.worst_of])
@pytest.mark.parametrize("k", [0, -1, 6, 100])
def test_more_judgings_than_there_are_cannot_be_asked_for_nor_none(of, k):
    predictions, y = bernoulli(0.5, 5, 3)
    with pytest.raises(ValueError, match="there are 5"):
        of(predictions, y, k)
