"""Grades, votes and resubmissions against closed forms, and their tables counted by hand."""

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest
from drawings import PARTS, band, colours, data_axes, legends, of_colour, same, together, xy
from made_up import of_attack, only

from purity import stats
from purity.studies import fuzzy as study
from purity.studies.records import Record


def bernoulli(wrong: float | np.ndarray, r: int, n: int, classes: int = 2, seed: int = 0):
    """Labels, and r judgings of n images: each is wrong with this probability, then of any other class alike."""
    generator = np.random.default_rng(seed)
    y = generator.integers(0, classes, n)
    off = generator.integers(1, classes, (r, n))
    predictions = np.where(generator.random((r, n)) < wrong, (y + off) % classes, y)
    return predictions.astype(np.int16), y


def predicted(*columns: str) -> np.ndarray:
    """Predictions of one image a word, one judging a digit: (r, n)."""
    return np.array([[int(digit) for digit in column] for column in columns], np.int16).T


def zeros(n: int) -> np.ndarray:
    return np.zeros(n, np.int64)


# Grades and cumulative fuzzy robustness.


def test_a_grade_is_the_share_of_judgings_that_were_fooled():
    predictions = predicted("0000", "0120", "1234", "2220")
    assert study.grades(predictions, zeros(4)).tolist() == [0, 0.5, 1, 0.75]
    assert study.grades(predictions, np.array([1, 1, 1, 2])).tolist() == [1, 0.75, 0.75, 0.25]


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_grades_of_a_bernoulli_defence_scatter_about_its_probability_as_frequencies_do(p):
    """Mean p within 4.5 of √(p(1−p)/rn); variance p(1−p)/r, its own spread over 2,000 images about √(2/n) = 3 %."""
    r, n = 200, 2000
    m = study.grades(*bernoulli(p, r, n, classes=10))
    assert m.mean() == pytest.approx(p, abs=4.5 * np.sqrt(p * (1 - p) / (r * n)))
    assert m.var() == pytest.approx(p * (1 - p) / r, rel=0.15)


def test_cumulative_robustness_is_the_share_of_images_below_a_grade():
    m = np.array([0.0, 0.0, 0.25, 0.5, 1.0])
    curve = {alpha: study.robustness(m, alpha).mean() for alpha in (0.0, 0.1, 0.25, 0.26, 0.5, 0.75, 1.0)}
    assert curve == {0.0: 0, 0.1: 0.4, 0.25: 0.4, 0.26: 0.6, 0.5: 0.6, 0.75: 0.8, 1.0: 0.8}


def test_cumulative_robustness_of_uniform_grades_is_the_diagonal():
    """P(m < α) = α of images whose own probability is uniform; 4.5 standard deviations, and 1/r for the frequency."""
    own = np.random.default_rng(1).random(4000)
    m = study.grades(*bernoulli(own, 400, 4000))
    for alpha in (0.1, 0.4, 0.5, 0.8):
        share = study.robustness(m, alpha).mean()
        assert share == pytest.approx(alpha, abs=4.5 * np.sqrt(alpha * (1 - alpha) / 4000) + 1 / 400)


def test_cumulative_robustness_never_falls_and_that_of_a_deterministic_defence_is_horizontal():
    alphas = np.linspace(0, 1, 101)
    m = study.grades(*bernoulli(np.random.default_rng(2).random(50), 20, 50))
    assert (np.diff([study.robustness(m, alpha).mean() for alpha in alphas]) >= 0).all()
    right = np.arange(50) < 35
    certain = study.grades(*bernoulli((~right).astype(float), 20, 50))
    assert {study.robustness(certain, alpha).mean() for alpha in alphas[1:]} == {0.7}


# Votes.


@pytest.mark.parametrize("k", [1, 3, 5, 9])
@pytest.mark.parametrize("p", [0.2, 0.45, 0.6])
def test_a_vote_between_two_classes_is_right_with_the_binomial_probability(k, p):
    """P(more than half of k right); over votes and images independent, 4.5 standard deviations."""
    r, n = 450, 200
    q = sum(comb(k, j) * (1 - p) ** j * p ** (k - j) for j in range(k // 2 + 1, k + 1))
    found = study.majority_vote(*bernoulli(p, r, n), k).mean()
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
    assert study.majority_vote(predicted(ballots), zeros(1), len(ballots)) == pytest.approx([wanted])


def test_votes_are_consecutive_judgings_and_what_is_left_over_does_not_count():
    predictions, y = predicted("0001110", "0100100", "2222222", "1000100"), np.array([0, 0, 2, 0])
    # votes of three: 000 111; 010 010; 222 222; 100 010
    assert study.majority_vote(predictions, y, 3).tolist() == [0.5, 1, 1, 1]
    # votes of two: 00 01 11; 01 00 10; 22 22 22; 10 00 10
    assert study.majority_vote(predictions, y, 2) == pytest.approx([(1 + 0.5 + 0) / 3, 2 / 3, 1, 2 / 3])


def test_a_class_that_nobody_votes_for_does_not_win():
    assert study.majority_vote(predicted("0120", "0000"), np.array([7, 7]), 2).tolist() == [0, 0]


def test_a_vote_of_two_between_two_classes_is_worth_one_judging():
    """A pair that disagrees counts half, as its judgings do on average."""
    predictions, y = bernoulli(0.3, 40, 30)
    assert study.majority_vote(predictions, y, 2) == pytest.approx(1 - study.grades(predictions, y), abs=1e-12)


def test_names_of_classes_do_not_matter_to_a_vote():
    predictions, y = bernoulli(0.6, 60, 20, classes=5)
    order = np.array([3, 0, 4, 2, 1])
    renamed = study.majority_vote(order[predictions], order[y], 4)
    assert renamed == pytest.approx(study.majority_vote(predictions, y, 4), abs=1e-12)


# The worst of several.


@pytest.mark.parametrize("r", [1, 4, 7])
def test_the_worst_of_several_is_the_share_of_all_choices_that_are_right_throughout(r):
    predictions, y = bernoulli(np.linspace(0, 1, 12), r, 12, classes=3)
    right = predictions == y
    for tries in range(1, r + 1):
        chosen = [right[list(rows)].all(axis=0) for rows in combinations(range(r), tries)]
        assert study.worst_of(predictions, y, tries) == pytest.approx(np.mean(chosen, axis=0), abs=1e-12)


@pytest.mark.parametrize(("p", "tries"), [(0.1, 2), (0.1, 10), (0.3, 3), (0.5, 5)])
def test_the_worst_of_several_has_no_bias(p, tries):
    """E = (1 − p)^N, though only 12 judgings of each image were made. 4.5 standard errors over images; the plug-in
    (c/r)^N is off by more."""
    n = 40_000
    predictions, y = bernoulli(p, 12, n)
    found = study.worst_of(predictions, y, tries)
    tolerance = 4.5 * found.std() / np.sqrt(n)
    assert found.mean() == pytest.approx((1 - p) ** tries, abs=tolerance)
    plug_in = ((1 - study.grades(predictions, y)) ** tries).mean()
    assert abs(plug_in - (1 - p) ** tries) > 1.5 * tolerance


def test_one_try_a_vote_of_one_and_the_grade_say_the_same():
    predictions, y = bernoulli(0.4, 30, 20, classes=4)
    wanted = 1 - study.grades(predictions, y)
    assert study.worst_of(predictions, y, 1) == pytest.approx(wanted, abs=1e-12)
    assert study.majority_vote(predictions, y, 1) == pytest.approx(wanted, abs=1e-12)


def test_as_many_tries_as_judgings_ask_whether_all_were_right():
    predictions, y = bernoulli(np.linspace(0, 0.2, 50), 10, 50)
    found = study.worst_of(predictions, y, 10)
    assert 0 < found.sum() < 50 and found.tolist() == (predictions == y).all(axis=0).tolist()


def test_more_tries_are_never_better():
    predictions, y = bernoulli(np.linspace(0, 1, 40), 25, 40)
    by_tries = np.array([study.worst_of(predictions, y, tries) for tries in range(1, 26)])
    assert (np.diff(by_tries, axis=0) <= 1e-12).all()


@pytest.mark.parametrize("tries", [1, 10, 500, 999, 1000])
def test_a_thousand_judgings_do_not_overflow(tries):
    """C(1000, 500) is 1e299. log Γ of order 6000 in float64 leaves 1e-11 or so of the ratio."""
    r, right = 1000, np.array([0, 1, 499, 500, 700, 990, 999, 1000])
    predictions = (np.arange(r)[:, None] >= right).astype(np.int16)
    wanted = [comb(c, tries) / comb(r, tries) for c in right.tolist()]
    assert study.worst_of(predictions, zeros(8), tries) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("of", [study.majority_vote, study.worst_of])
@pytest.mark.parametrize("k", [0, -1, 6, 100])
def test_more_judgings_than_there_are_cannot_be_asked_for_nor_none(of, k):
    predictions, y = bernoulli(0.5, 5, 3)
    with pytest.raises(ValueError, match="there are 5"):
        of(predictions, y, k)


def column(table: pd.DataFrame, name: str, **wanted) -> list:
    """A column of the rows with these keys, in order."""
    return table[np.logical_and.reduce([table[key] == value for key, value in wanted.items()])][name].tolist()


# Fuzzy robustness.


def judged(y: str, *images: str, **named) -> Record:
    """y: the labels, a digit each. images: a word each, one judging a digit."""
    predictions = np.array([[int(digit) for digit in image] for image in images], np.int16).T
    return of_attack(**named, y=np.array([int(digit) for digit in y]), predictions=predictions)


# Grades 0, ½ and 1; then ¼, ½ and 0.
FIRST = judged("012", "0000", "1100", "0000", seed=0)


SECOND = judged("012", "0010", "1010", "2222", seed=1)


def random_judgings(seed: int = 0, r: int = 12, n: int = 40, **named) -> Record:
    generator = np.random.default_rng(seed)
    predictions = np.where(generator.random((r, n)) < generator.random(n), 1, 0).astype(np.int16)
    return of_attack(seed=seed, y=np.zeros(n, np.int64), predictions=predictions, **named)


def test_one_seeds_fuzzy_robustness_counted_by_hand():
    made = study.fuzzy([FIRST])
    assert set(made["seed"]) == {"all"} and set(made["seeds"]) == {1} and set(made["judgings"]) == {4}
    assert set(made["n"]) == {3}
    mean = {(row.measure, row.k): row.mean for row in made.itertuples()}
    assert mean == pytest.approx(
        {
            ("standard", 1): 0.5,
            ("never-fools", 4): 1 / 3,
            ("always-fools", 4): 1 / 3,
            ("half", 4): 1 / 3,  # ½ is not below ½
            ("vote", 1): 0.5,
            ("vote", 2): 0.5,  # 11 is right, 00 is wrong
            ("vote", 3): 2 / 3,  # 110, and the last judging is left over
            ("worst-of", 1): 0.5,
            ("worst-of", 2): (1 + 1 / 6) / 3,  # one of six pairs is right twice
            ("worst-of", 3): 1 / 3,
        }
    )


def test_fuzzy_robustness_of_several_seeds_is_their_mean():
    made = study.fuzzy([SECOND, FIRST])
    assert set(made["seeds"]) == {2} and set(made["n"]) == {3}
    wanted = {
        ("standard", 1): (0.5 + 0.75) / 2,
        ("never-fools", 4): 1 / 3,
        ("always-fools", 4): (1 / 3 + 0) / 2,
        ("half", 4): (1 / 3 + 2 / 3) / 2,
        ("vote", 3): (2 / 3 + 1) / 2,
        ("worst-of", 3): (1 / 3 + (1 / 4 + 0 + 1) / 3) / 2,
    }
    for (measure, k), value in wanted.items():
        assert only(made, measure=measure, k=k)["mean"] == pytest.approx(value), measure


def test_the_standard_accuracy_spreads_over_judgings_and_the_others_over_seeds():
    made = study.fuzzy([FIRST, SECOND])
    each = [2 / 3, 2 / 3, 1 / 3, 1 / 3, 1, 2 / 3, 2 / 3, 2 / 3]  # three images a judging, four judgings a seed
    assert only(made, measure="standard")["std"] == pytest.approx(np.std(each, ddof=1))
    assert only(made, measure="always-fools")["std"] == pytest.approx((1 / 3) / np.sqrt(2))
    one = study.fuzzy([FIRST])
    assert only(one, measure="standard")["std"] == pytest.approx(np.std(each[:4], ddof=1))
    assert np.isnan(only(one, measure="always-fools")["std"])
    single = study.fuzzy([judged("01", "0", "0")])
    assert np.isnan(only(single, measure="standard")["std"]) and only(single, measure="standard")["mean"] == 0.5


def test_fuzzy_intervals_are_those_of_the_images_shares():
    made = study.fuzzy([FIRST, SECOND])
    shares = {
        ("standard", 1): [[1, 0.5, 0], [0.75, 0.5, 1]],
        ("half", 4): [[1, 0, 0], [1, 0, 1]],
        ("worst-of", 2): [[1, 1 / 6, 0], [0.5, 1 / 6, 1]],
    }
    for (measure, k), share in shares.items():
        row = only(made, measure=measure, k=k)
        assert (row["low"], row["high"]) == pytest.approx(stats.share_interval(np.array(share, float)))


def test_the_worst_of_one_is_the_standard_accuracy_and_of_more_never_better():
    made = study.fuzzy([random_judgings(0), random_judgings(1)])
    standard = only(made, measure="standard")["mean"]
    assert only(made, measure="vote", k=1)["mean"] == pytest.approx(standard)
    assert only(made, measure="worst-of", k=1)["mean"] == pytest.approx(standard)
    worst = column(made, "mean", measure="worst-of")
    assert len(worst) == 5 and (np.diff(worst) < 0).all()


def test_never_and_always_mean_every_single_judging():
    made = study.fuzzy([judged("0000", 50 * "0", 49 * "0" + "1", 49 * "1" + "0", 50 * "1")])
    assert only(made, measure="never-fools")["mean"] == only(made, measure="always-fools")["mean"] == 0.25
    assert only(made, measure="half")["mean"] == 0.5


def test_repeats_go_as_far_as_there_are_judgings():
    for r, wanted in ((1, [1]), (4, [1, 2, 3]), (12, [1, 2, 3, 5, 10]), (60, [1, 2, 3, 5, 10, 20, 30, 50])):
        made = study.fuzzy([random_judgings(r=r)])
        assert column(made, "k", measure="vote") == column(made, "k", measure="worst-of") == wanted
    unequal = study.fuzzy([random_judgings(0, r=12), random_judgings(1, r=4)])
    assert column(unequal, "k", measure="vote") == [1, 2, 3]


def test_clean_images_are_a_control_of_their_own():
    clean = judged("012", "0000", "1111", "2222", attack="clean")
    made = study.fuzzy([clean, FIRST])
    assert only(made, attack="clean", measure="never-fools")["mean"] == 1
    assert only(made, attack="pgd", measure="never-fools")["mean"] == pytest.approx(1 / 3)
    assert len(made) == 2 * len(study.fuzzy([clean]))


def test_grades_of_one_seed_counted_by_hand():
    made = study.fuzzy_grades([FIRST])
    assert made["grade"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert made["share"].to_numpy() == pytest.approx(np.array([1, 0, 1, 0, 1]) / 3)
    assert made["cfr"].to_numpy() == pytest.approx(np.array([0, 1, 1, 2, 2]) / 3)
    both = study.fuzzy_grades([FIRST, SECOND])
    assert both["share"].to_numpy() == pytest.approx(np.array([2, 1, 2, 0, 1]) / 6)
    assert set(both["seeds"]) == {2} and set(both["n"]) == {3}
    fooled_less_than_thrice = np.array([[1, 1, 0], [1, 1, 1]], bool)
    assert both[["low", "high"]].iloc[3].tolist() == pytest.approx(stats.share_interval(fooled_less_than_thrice))


def test_shares_of_grades_sum_to_one_and_the_images_below_a_grade_are_their_running_sum():
    made = study.fuzzy_grades([random_judgings(0), random_judgings(1), random_judgings(0, attack="eot")])
    for attack in ("pgd", "eot"):
        part = made[made["attack"] == attack]
        assert part["share"].sum() == pytest.approx(1) and len(part) == 13
        assert part["cfr"].tolist() == pytest.approx([0, *np.cumsum(part["share"])[:-1]])
        assert (part["low"] <= part["cfr"]).all() and (part["cfr"] <= part["high"]).all()


def test_the_curve_of_a_deterministic_defence_is_horizontal():
    made = study.fuzzy_grades([judged("0000", "000", "000", "111", "000")])
    assert made["share"].tolist() == [0.75, 0, 0, 0.25]
    assert made["cfr"].tolist() == [0, 0.75, 0.75, 0.75]


def test_seeds_with_more_judgings_are_cut_to_the_fewest():
    longer = judged("012", "00000011", "11001111", "00001111", seed=0)
    assert study.fuzzy_grades([longer, SECOND]).equals(study.fuzzy_grades([FIRST, SECOND]))


@pytest.mark.parametrize("r", [3, 7, 10, 49, 100])
def test_every_grade_is_counted_though_it_is_no_binary_fraction(r):
    """Image j of r + 1 is fooled j times."""
    predictions = (np.arange(r)[:, None] < np.arange(r + 1)).astype(np.int16)
    made = study.fuzzy_grades([of_attack(y=np.zeros(r + 1, np.int64), predictions=predictions)])
    assert made["share"].to_numpy() == pytest.approx(np.full(r + 1, 1 / (r + 1)))
    assert made["cfr"].to_numpy() == pytest.approx(np.arange(r + 1) / (r + 1))


# The figure.


@pytest.mark.parametrize("case", ["all", "a hundred judgings of two purifiers", "one attack and seed, two judgings"])
def test_fuzzy_robustness_of_the_first_purifier_is_that_of_the_tables(case, drawn):
    figure, given, *_ = drawn("fuzzy", case)
    (_, middle, right), (table, grades) = data_axes(figure), given.values()
    purifier, r = grades["purifier"][0], table["judgings"][0]
    assert figure.get_suptitle() == f"{purifier}; every attack judged under {r} fresh ξ"
    table, grades = table[table["purifier"] == purifier], grades[grades["purifier"] == purifier]
    named = colours(figure.legends[0])
    assert list(named) == list(dict.fromkeys(table["attack"]))
    for attack, colour in named.items():
        (curve,) = of_colour(middle.lines, colour)
        part = grades[grades["attack"] == attack]
        assert same(xy(curve), part[["grade", "cfr"]]) and same(band(middle, colour), part[["grade", "low", "high"]])
        styles = {line.get_linestyle(): xy(line) for line in of_colour(right.lines, colour)}
        for style, measure in (("-", "vote"), ("--", "worst-of")):
            assert same(styles[style], together(table, attack=attack, measure=measure)[["k", "mean"]])
    (beside,) = [legend for legend in legends(figure) if legend not in figure.legends]
    lines = {t.get_text(): h.get_linestyle() for t, h in zip(beside.texts, beside.legend_handles, strict=True)}
    assert lines == {"vote of k": "-", "all of k right": "--"}


@pytest.mark.parametrize("case", PARTS["fuzzy"])
def test_a_grade_on_the_border_of_two_bins_is_counted_in_the_upper_one(case, drawn):
    """Grade j/r lies in the tenth ⌊10 j/r⌋, in numbers that are whole; the last has the grade 1, too."""
    figure, given, *_ = drawn("fuzzy", case)
    left, grades = data_axes(figure)[0], given["fuzzy-grades"]
    r = given["fuzzy"]["judgings"][0]
    for attack in colours(figure.legends[0]):
        part = grades[(grades["attack"] == attack) & (grades["purifier"] == grades["purifier"][0])]
        wanted = np.bincount([min(10 * j // r, 9) for j in range(r + 1)], part["share"], 10)
        (stairs,) = [patch for patch in left.patches if patch.get_label() == attack]
        assert stairs.get_data().values == pytest.approx(wanted) and wanted.sum() == pytest.approx(1)
