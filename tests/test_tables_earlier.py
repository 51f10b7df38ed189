"""Tables of the earlier version's questions, from small records whose numbers are counted by hand."""

import numpy as np
import pandas as pd
import pytest
from made_up import keys
from scipy.special import expit
from test_tables import only

from purity import stats
from purity import tables_earlier as tables
from purity.tables import Record

inf, nan = np.inf, np.nan


def record(purifier="ddpm", attack="pgd", knowledge="none", seed=0, **arrays) -> Record:
    return Record(keys(purifier, attack, knowledge, seed), {name: np.array(value) for name, value in arrays.items()})


def column(table: pd.DataFrame, name: str, **wanted) -> list:
    """A column of the rows with these keys, in order."""
    return table[np.logical_and.reduce([table[key] == value for key, value in wanted.items()])][name].tolist()


# Fuzzy robustness.


def judged(y: str, *images: str, **named) -> Record:
    """y: the labels, a digit each. images: a word each, one judging a digit."""
    predictions = np.array([[int(digit) for digit in image] for image in images], np.int16).T
    return record(**named, y=np.array([int(digit) for digit in y]), predictions=predictions)


# Grades 0, ½ and 1; then ¼, ½ and 0.
FIRST = judged("012", "0000", "1100", "0000", seed=0)
SECOND = judged("012", "0010", "1010", "2222", seed=1)


def random_judgings(seed: int = 0, r: int = 12, n: int = 40, **named) -> Record:
    generator = np.random.default_rng(seed)
    predictions = np.where(generator.random((r, n)) < generator.random(n), 1, 0).astype(np.int16)
    return record(seed=seed, y=np.zeros(n, np.int64), predictions=predictions, **named)


def test_one_seeds_fuzzy_robustness_counted_by_hand():
    made = tables.fuzzy([FIRST])
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
    made = tables.fuzzy([SECOND, FIRST])
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
    made = tables.fuzzy([FIRST, SECOND])
    each = [2 / 3, 2 / 3, 1 / 3, 1 / 3, 1, 2 / 3, 2 / 3, 2 / 3]  # three images a judging, four judgings a seed
    assert only(made, measure="standard")["std"] == pytest.approx(np.std(each, ddof=1))
    assert only(made, measure="always-fools")["std"] == pytest.approx((1 / 3) / np.sqrt(2))
    one = tables.fuzzy([FIRST])
    assert only(one, measure="standard")["std"] == pytest.approx(np.std(each[:4], ddof=1))
    assert np.isnan(only(one, measure="always-fools")["std"])
    single = tables.fuzzy([judged("01", "0", "0")])
    assert np.isnan(only(single, measure="standard")["std"]) and only(single, measure="standard")["mean"] == 0.5


def test_fuzzy_intervals_are_those_of_the_images_shares():
    made = tables.fuzzy([FIRST, SECOND])
    shares = {
        ("standard", 1): [[1, 0.5, 0], [0.75, 0.5, 1]],
        ("half", 4): [[1, 0, 0], [1, 0, 1]],
        ("worst-of", 2): [[1, 1 / 6, 0], [0.5, 1 / 6, 1]],
    }
    for (measure, k), share in shares.items():
        row = only(made, measure=measure, k=k)
        assert (row["low"], row["high"]) == pytest.approx(stats.share_interval(np.array(share, float)))


def test_the_worst_of_one_is_the_standard_accuracy_and_of_more_never_better():
    made = tables.fuzzy([random_judgings(0), random_judgings(1)])
    standard = only(made, measure="standard")["mean"]
    assert only(made, measure="vote", k=1)["mean"] == pytest.approx(standard)
    assert only(made, measure="worst-of", k=1)["mean"] == pytest.approx(standard)
    worst = column(made, "mean", measure="worst-of")
    assert len(worst) == 5 and (np.diff(worst) < 0).all()


def test_never_and_always_mean_every_single_judging():
    made = tables.fuzzy([judged("0000", 50 * "0", 49 * "0" + "1", 49 * "1" + "0", 50 * "1")])
    assert only(made, measure="never-fools")["mean"] == only(made, measure="always-fools")["mean"] == 0.25
    assert only(made, measure="half")["mean"] == 0.5


def test_repeats_go_as_far_as_there_are_judgings():
    for r, wanted in ((1, [1]), (4, [1, 2, 3]), (12, [1, 2, 3, 5, 10]), (60, [1, 2, 3, 5, 10, 20, 30, 50])):
        made = tables.fuzzy([random_judgings(r=r)])
        assert column(made, "k", measure="vote") == column(made, "k", measure="worst-of") == wanted
    unequal = tables.fuzzy([random_judgings(0, r=12), random_judgings(1, r=4)])
    assert column(unequal, "k", measure="vote") == [1, 2, 3]


def test_clean_images_are_a_control_of_their_own():
    clean = judged("012", "0000", "1111", "2222", attack="clean")
    made = tables.fuzzy([clean, FIRST])
    assert only(made, attack="clean", measure="never-fools")["mean"] == 1
    assert only(made, attack="pgd", measure="never-fools")["mean"] == pytest.approx(1 / 3)
    assert len(made) == 2 * len(tables.fuzzy([clean]))


def test_grades_of_one_seed_counted_by_hand():
    made = tables.fuzzy_grades([FIRST])
    assert made["grade"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert made["share"].to_numpy() == pytest.approx(np.array([1, 0, 1, 0, 1]) / 3)
    assert made["cfr"].to_numpy() == pytest.approx(np.array([0, 1, 1, 2, 2]) / 3)
    both = tables.fuzzy_grades([FIRST, SECOND])
    assert both["share"].to_numpy() == pytest.approx(np.array([2, 1, 2, 0, 1]) / 6)
    assert set(both["seeds"]) == {2} and set(both["n"]) == {3}
    fooled_less_than_thrice = np.array([[1, 1, 0], [1, 1, 1]], bool)
    assert both[["low", "high"]].iloc[3].tolist() == pytest.approx(stats.share_interval(fooled_less_than_thrice))


def test_shares_of_grades_sum_to_one_and_the_images_below_a_grade_are_their_running_sum():
    made = tables.fuzzy_grades([random_judgings(0), random_judgings(1), random_judgings(0, attack="eot")])
    for attack in ("pgd", "eot"):
        part = made[made["attack"] == attack]
        assert part["share"].sum() == pytest.approx(1) and len(part) == 13
        assert part["cfr"].tolist() == pytest.approx([0, *np.cumsum(part["share"])[:-1]])
        assert (part["low"] <= part["cfr"]).all() and (part["cfr"] <= part["high"]).all()


def test_the_curve_of_a_deterministic_defence_is_horizontal():
    made = tables.fuzzy_grades([judged("0000", "000", "000", "111", "000")])
    assert made["share"].tolist() == [0.75, 0, 0, 0.25]
    assert made["cfr"].tolist() == [0, 0.75, 0.75, 0.75]


def test_seeds_with_more_judgings_are_cut_to_the_fewest():
    longer = judged("012", "00000011", "11001111", "00001111", seed=0)
    assert tables.fuzzy_grades([longer, SECOND]).equals(tables.fuzzy_grades([FIRST, SECOND]))


@pytest.mark.parametrize("r", [3, 7, 10, 49, 100])
def test_every_grade_is_counted_though_it_is_no_binary_fraction(r):
    """Image j of r + 1 is fooled j times."""
    predictions = (np.arange(r)[:, None] < np.arange(r + 1)).astype(np.int16)
    made = tables.fuzzy_grades([record(y=np.zeros(r + 1, np.int64), predictions=predictions)])
    assert made["share"].to_numpy() == pytest.approx(np.full(r + 1, 1 / (r + 1)))
    assert made["cfr"].to_numpy() == pytest.approx(np.arange(r + 1) / (r + 1))


# Caps.


def cap_record(seed=0, ids=(10, 11, 12, 13, 14, 15), **changed) -> Record:
    """Six images, one of them not usable, in the ball of radius 2 of 16 dimensions; four points each."""
    n = len(ids)
    arrays = {
        "ids": ids,
        "y": np.zeros(n, np.int64),
        "usable": [True, True, False, True, True, True],
        "slope": [10.0, inf, 1e6, nan, 2.0, -inf],
        "middle": [1.0, 0.5, 77.0, nan, -0.5, 0.0],
        "threshold": [1.0, 0.5, 0.0, inf, 2.0, inf],
        "changes": [1, 3, 5, 0, 1, 0],
        "overlap": [0.1, 0.2, 0.3, 0.4, 0.9999, 0.6],
        "projection": np.tile([-1.5, 0.2, 0.8, 1.6], (n, 1)),
        "outcome": np.array([[0, 0, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0]], bool),
        "radius": 2.0,
        "dimensions": 16,
        "shown": np.array([], np.int64),
        "maps": np.empty((0, 2, 3, 3), np.int16),
    }
    return record(seed=seed, **(arrays | changed))


USABLE = [10, 11, 13, 14, 15]


def test_caps_are_listed_image_by_image_without_those_that_are_not_usable():
    made = tables.cap_images([cap_record()])
    assert made["image"].tolist() == USABLE and set(made["seed"]) == {0} and set(made["radius"]) == {2.0}
    assert made["slope"].tolist() == pytest.approx([10, inf, nan, 2, -inf], nan_ok=True)
    assert made["middle"].tolist() == pytest.approx([1, 0.5, nan, -0.5, 0], nan_ok=True)
    assert made["threshold"].tolist() == [1, 0.5, inf, 2, inf] and made["changes"].tolist() == [1, 3, 0, 1, 0]
    # points at −1.5, .2, .8, 1.6 beyond 1, .5, ∞, 2, ∞: 0001, 0011, 0000, 0000, 0000
    assert made["agreement"].tolist() == [1, 1, 1, 0.5, 0.75]


def test_volumes_and_directions_are_those_of_the_threshold_over_the_radius():
    in_three = tables.cap_images([cap_record(dimensions=3)])
    half, quarter = (0.5**2 * 2.5 / 4, 0.75**2 * 2.25 / 4)  # (1 − β)²(2 + β)/4
    assert in_three["volume_ratio"].tolist() == pytest.approx([half, quarter, 0, 0, 0], abs=1e-12)
    assert in_three["directions"].tolist() == [3, 3, 0, 1, 0]
    assert tables.cap_images([cap_record()])["directions"].tolist() == [4, 16, 0, 1, 0]


def test_seeds_and_attacks_of_caps_follow_each_other():
    made = tables.cap_images([cap_record(0), cap_record(1), cap_record(0, usable=np.zeros(6, bool))])
    assert made["image"].tolist() == 2 * USABLE and made["seed"].tolist() == 5 * [0] + 5 * [1]


def test_the_cap_model_in_numbers_counted_by_hand():
    made = tables.cap([cap_record()])
    assert set(made["seed"]) == {"all"} and set(made["seeds"]) == {1}
    rows = {row["measure"]: row for _, row in made.iterrows()}
    assert (rows["slope"]["n"], rows["slope"]["mean"]) == (2, 6)  # of 10 and 2
    assert rows["slope"]["std"] == pytest.approx(8 / np.sqrt(2))
    assert rows["slope"]["median"] == 6  # of −∞, 2, 10, ∞
    assert (rows["threshold"]["n"], rows["threshold"]["mean"]) == (3, pytest.approx(3.5 / 3))
    assert rows["threshold"]["median"] == 2  # of ½, 1, 2, ∞, ∞
    assert (rows["agreement"]["n"], rows["agreement"]["mean"]) == (5, 0.85)
    assert (rows["directions"]["n"], rows["directions"]["mean"], rows["directions"]["median"]) == (5, 4.2, 1)
    assert (rows["volume_ratio"]["n"], rows["volume_ratio"]["median"]) == (5, 0)


def test_infinite_slopes_are_steep_and_separable_and_downward_ones_neither():
    made = tables.cap([cap_record()])
    share = {name: only(made, measure=name) for name in ("steep", "separable", "crossed", "once")}
    assert (share["steep"]["n"], share["steep"]["mean"]) == (4, 0.5)  # 10 and ∞ of 10, ∞, 2, −∞
    assert (share["separable"]["n"], share["separable"]["mean"]) == (4, 0.25)
    assert (share["crossed"]["n"], share["crossed"]["mean"]) == (5, 0.6)
    assert (share["once"]["n"], share["once"]["mean"]) == (3, pytest.approx(2 / 3))  # 1, 3, 1 changes
    assert np.isnan([row["median"] for row in share.values()]).all()


@pytest.mark.parametrize(("slope", "steep"), [(6.0, 0), (6.001, 1), (5.9, 0), (inf, 1), (-7.0, 0)])
def test_steep_is_above_six(slope, steep):
    assert only(tables.cap([cap_record(slope=np.full(6, slope))]), measure="steep")["mean"] == steep


def test_caps_of_all_seeds_are_put_together():
    flat = cap_record(1, slope=np.full(6, 4.0), threshold=np.full(6, 0.25), changes=np.full(6, 3))
    made = tables.cap([cap_record(0), flat])
    assert set(made["seeds"]) == {2}
    assert only(made, measure="slope")["n"] == 7 and only(made, measure="slope")["mean"] == pytest.approx(32 / 7)
    assert only(made, measure="slope")["median"] == 4
    assert only(made, measure="crossed")["mean"] == 0.8 and only(made, measure="once")["mean"] == pytest.approx(2 / 8)


def test_caps_that_were_never_crossed_have_no_numbers_and_do_not_fail():
    nowhere = {"slope": np.full(6, nan), "middle": np.full(6, nan), "threshold": np.full(6, inf)}
    made = tables.cap([cap_record(**nowhere, outcome=np.zeros((6, 4), bool))])
    assert only(made, measure="slope")["n"] == 0 and np.isnan(only(made, measure="slope")["mean"])
    assert only(made, measure="once")["n"] == 0 and only(made, measure="crossed")["mean"] == 0
    assert only(made, measure="agreement")["mean"] == 1


# The transition.


def transition_record(seed=0, **changed) -> Record:
    """Fitted are the first two images; the third is not usable, the fourth has no fit."""
    arrays = {
        "usable": [True, True, False, True],
        "slope": [np.log(3), inf, 1.0, nan],
        "middle": [0.5, -0.5, 0.0, nan],
        # aligned: −2, .1, .9, 2.6 and −1, −.2, .2, 1.4
        "projection": [[-1.5, 0.6, 1.4, 3.1], [-1.5, -0.7, -0.3, 0.9], [0.0] * 4, [0.0] * 4],
        "outcome": np.array([[0, 0, 1, 1], [0, 0, 1, 1], [1] * 4, [0] * 4], bool),
        "radius": 2.0,
    }
    return record(seed=seed, **(arrays | changed))


def test_the_transition_counted_by_hand():
    """Five bins of width 1 about −2 … 2. A logit of slope ln 3 is ¾ at one beyond its threshold, .9 at two."""
    made = tables.cap_transition([transition_record()], steps=5)
    assert made["offset"].tolist() == [-2, -1, 0, 1, 2]
    assert made["fitted"].tolist() == pytest.approx([0.1 / 2, 0.25 / 2, 0.5, 1.75 / 2, 1.9 / 2])
    assert made["n"].tolist() == [1, 1, 3, 2, 0]  # 2.6 is beyond the last
    assert made["observed"].tolist() == pytest.approx([0, 0, 1 / 3, 1, nan], nan_ok=True)
    assert set(made["seed"]) == {"all"} and set(made["seeds"]) == {1}


def test_the_transition_is_over_all_images_of_all_seeds():
    other = transition_record(1, usable=[True, False, False, True], middle=[1.5, 0.0, 0.0, nan])
    made = tables.cap_transition([transition_record(), other], steps=5)
    assert made["fitted"].tolist()[3] == pytest.approx((0.75 + 1 + 0.75) / 3)
    # aligned, the other's points are at −3, −.9, −.1, 1.6, of which the last two are adversarial
    assert made["n"].tolist() == [1, 2, 4, 2, 1]
    assert made["observed"].tolist() == pytest.approx([0, 0, 2 / 4, 1, 1])
    assert set(made["seeds"]) == {2}


def test_observed_follows_fitted_where_outcomes_are_drawn_from_it():
    """40 images of one slope, 500 points each: 81 shares, within 4.5 standard deviations and the bin's curvature."""
    generator = np.random.default_rng(0)
    middle = generator.uniform(-0.2, 0.2, 40)
    projection = generator.uniform(-2, 2, (40, 500))
    outcome = generator.random((40, 500)) < expit(3 * (projection - middle[:, None]))
    arrays = {"usable": np.ones(40, bool), "slope": np.full(40, 3.0), "middle": middle}
    made = tables.cap_transition([record(**arrays, projection=projection, outcome=outcome, radius=2.0)])
    seen = made[made["n"] > 50]
    assert len(made) == 81 and len(seen) > 75
    p = seen["fitted"]
    assert ((seen["observed"] - p).abs() < 4.5 * np.sqrt(p * (1 - p) / seen["n"]) + 0.01).all()


# Slices.

WRONG_BEYOND = np.tile([0, 0, 4], (3, 1)).astype(np.int16)  # class 4 in the column furthest along
WRONG_ACROSS = WRONG_BEYOND.T


def slices(shown=(1, 4), seed=0, maps=None) -> Record:
    maps = np.stack([[WRONG_BEYOND, WRONG_ACROSS]] * len(shown)) if maps is None else maps
    return cap_record(seed, shown=np.array(shown, np.int64), maps=maps)


def test_a_slice_has_a_row_for_each_point_columns_along_and_rows_across():
    made = tables.cap_slices([slices(shown=(1,))])
    assert len(made) == 18 and set(made["image"]) == {11}
    for plane, wrong in (("random", "along"), ("adversarial", "across")):
        part = made[made["plane"] == plane]
        assert {(a, b) for a, b in zip(part["along"], part["across"], strict=True)} == {
            (a, b) for a in (-2, 0, 2) for b in (-2, 0, 2)
        }
        assert (part["correct"] == (part[wrong] < 2)).all() and (~part["correct"]).sum() == 3


def test_correct_is_what_the_images_label_says():
    made = tables.cap_slices([cap_record(shown=np.array([1]), maps=np.full((1, 2, 3, 3), 4), y=[0, 4, 0, 0, 0, 0])])
    assert made["correct"].all()


def test_one_attack_twice_spans_no_plane():
    """Image 14, the fifth, has an overlap of .9999."""
    made = tables.cap_slices([slices(shown=(1, 4))])
    planes = made.groupby("image")["plane"].unique()
    assert planes[11].tolist() == ["random", "adversarial"] and planes[14].tolist() == ["random"]
    assert len(made) == 27


def test_slices_are_of_the_first_seed():
    made = tables.cap_slices([slices(shown=(3,), seed=2), slices(shown=(0,), seed=1)])
    assert set(made["image"]) == {10} and set(made["seed"]) == {1}


def test_where_no_image_can_be_shown_there_are_no_slices():
    made = tables.cap_slices([cap_record()])
    assert len(made) == 0
    assert {"purifier", "attack", "knowledge", "seed", "image", "plane", "along", "across", "correct"} <= set(made)


# Margins.


def margin_record(seed=0, purifier="ddpm", **changed) -> Record:
    """Seven images, the last not usable; the first three are robust."""
    arrays = {
        "ids": [20, 21, 22, 23, 24, 25, 26],
        "usable": [True] * 6 + [False],
        "robust": [True, True, True, False, False, False, True],
        "length": [1.0, 2.0, 3.0, 4.0, 2.5, 6.0, 100.0],
        "threshold": [inf, 5.0, 4.0, 1.0, 0.5, 2.0, 0.0],
        "attack_length": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 9.0],
        "changes": [0, 1, 1, 1, 3, 1, 0],
    }
    return record(purifier, "pgd", "all", seed, **(arrays | changed))


def test_margins_are_listed_image_by_image_without_those_that_are_not_usable():
    made = tables.margins_images([margin_record()])
    assert made["image"].tolist() == [20, 21, 22, 23, 24, 25]
    assert made["outcome"].tolist() == ["robust"] * 3 + ["fooled"] * 3
    assert made["length"].tolist() == [1, 2, 3, 4, 2.5, 6] and made["threshold"].tolist() == [inf, 5, 4, 1, 0.5, 2]
    assert set(made["attack_length"]) == {1.0} and made["changes"].tolist() == [0, 1, 1, 1, 3, 1]


def test_margins_by_outcome_counted_by_hand():
    made = tables.margins([margin_record()])
    robust, fooled = (only(made, outcome=o, measure="threshold") for o in ("robust", "fooled"))
    assert (robust["n"], robust["mean"], robust["beyond"]) == (2, 4.5, pytest.approx(1 / 3))
    assert (fooled["n"], fooled["mean"], fooled["beyond"]) == (3, pytest.approx(3.5 / 3), 0)
    assert fooled["std"] == pytest.approx(np.std([1, 0.5, 2], ddof=1))
    robust, fooled = (only(made, outcome=o, measure="length") for o in ("robust", "fooled"))
    assert (robust["n"], robust["mean"], fooled["n"], fooled["mean"]) == (3, 2, 3, pytest.approx(12.5 / 3))
    assert set(made["seed"]) == {"all"} and set(made["seeds"]) == {1}


def test_a_score_that_tells_all_apart_has_area_one_and_one_that_tells_nothing_a_half():
    made = tables.margins([margin_record()])
    assert only(made, measure="auc-threshold")["mean"] == 1  # ∞, 5, 4 against 1, .5, 2
    assert only(made, measure="auc-length")["mean"] == pytest.approx(8 / 9)  # 3 is longer than 2.5
    assert only(made, measure="auc-attack_length")["mean"] == 0.5
    assert column(made, "n", outcome="any") == [6, 6, 6]
    row = only(made, measure="auc-length")
    assert (row["low"], row["high"]) == stats.auc(np.array([-1, -2, -3]), np.array([-4, -2.5, -6]))[1:]


def test_scores_that_speak_the_other_way_have_area_zero():
    made = tables.margins([margin_record(threshold=[1, 2, 3, 4, 5, inf, 0], length=[9, 8, 7, 1, 2, 3, 0])])
    assert only(made, measure="auc-threshold")["mean"] == only(made, measure="auc-length")["mean"] == 0


def test_margins_of_all_seeds_are_put_together_and_purifiers_kept_apart():
    made = tables.margins([margin_record(0), margin_record(1), margin_record(0, purifier="ddim")])
    assert only(made, purifier="ddpm", outcome="robust", measure="length")["n"] == 6
    assert only(made, purifier="ddim", outcome="robust", measure="length")["n"] == 3
    assert set(made[made["purifier"] == "ddpm"]["seeds"]) == {2} and set(made[made["purifier"] == "ddim"]["seeds"]) == {
        1
    }


def test_the_same_images_under_a_second_seed_do_not_narrow_the_interval_of_an_area():
    """The area's n counts images, not outcomes: two seeds that agree say no more than one."""
    once = only(tables.margins([margin_record(0)]), measure="auc-length")
    twice = only(tables.margins([margin_record(0), margin_record(1)]), measure="auc-length")
    others = margin_record(1, ids=np.arange(30, 37))
    more = only(tables.margins([margin_record(0), others]), measure="auc-length")
    assert (once["n"], twice["n"], more["n"]) == (6, 6, 12)
    assert once["mean"] == pytest.approx(twice["mean"]) and once["mean"] == pytest.approx(more["mean"])
    assert twice["low"] == pytest.approx(once["low"]) and more["low"] > once["low"] + 0.05


@pytest.mark.parametrize("robust", [True, False])
def test_where_all_images_end_alike_there_is_nothing_to_tell_apart(robust):
    records = [margin_record(robust=np.full(7, robust))]
    made = tables.margins(records)
    absent = "fooled" if robust else "robust"
    assert only(made, outcome=absent, measure="threshold")["n"] == 0
    assert np.isnan(only(made, outcome=absent, measure="threshold")["beyond"])
    assert np.isnan(made[made["outcome"] == "any"][["mean", "low", "high"]].astype(float)).all(axis=None)
    curves = tables.margins_roc(records)
    assert len(curves) == 0
    assert list(curves) == ["purifier", "attack", "knowledge", "score", "false_positive", "true_positive"]


def test_a_purifier_that_nothing_fools_has_no_curve_and_leaves_the_others_theirs():
    curves = tables.margins_roc([margin_record(robust=np.full(7, True)), margin_record(purifier="ddim")])
    assert set(curves["purifier"]) == {"ddim"} and set(curves["score"]) == {"threshold", "length", "attack_length"}


def test_the_curve_of_a_perfect_score_goes_through_the_corner():
    curves = tables.margins_roc([margin_record()])
    of = curves[curves["score"] == "threshold"]
    points = list(zip(of["false_positive"], of["true_positive"], strict=True))
    assert points[0] == (0, 0) and points[-1] == (1, 1) and (0, 1) in points
    of = curves[curves["score"] == "attack_length"]
    assert list(zip(of["false_positive"], of["true_positive"], strict=True)) == [(0, 0), (1, 1)]


def test_the_area_under_a_curve_is_the_one_in_the_table():
    """With ties, and thresholds beyond reach on both sides."""
    generator = np.random.default_rng(0)
    n = 60
    threshold = generator.integers(1, 8, n).astype(float)
    threshold[generator.random(n) < 0.2] = inf
    arrays = {
        "ids": np.arange(n),
        "usable": generator.random(n) < 0.9,
        "robust": generator.random(n) < 0.6,
        "length": generator.integers(1, 12, n).astype(float),
        "threshold": threshold,
        "attack_length": generator.random(n),
        "changes": np.ones(n, int),
    }
    records = [record("ddpm", "pgd", "all", 0, **arrays)]
    made, curves = tables.margins(records), tables.margins_roc(records)
    for score in ("threshold", "length", "attack_length"):
        of = curves[curves["score"] == score]
        assert (np.diff(of["false_positive"]) >= 0).all() and (np.diff(of["true_positive"]) >= 0).all()
        area = np.trapezoid(of["true_positive"], of["false_positive"])
        assert only(made, measure=f"auc-{score}")["mean"] == pytest.approx(area, abs=1e-12)


# No image at all.


@pytest.mark.parametrize("table", [tables.cap_images, tables.cap])
def test_a_cap_table_of_no_usable_image_is_empty_and_says_of_what(table):
    made = table([cap_record(usable=np.zeros(6, bool))])
    assert len(made) == 0 and {"purifier", "attack", "knowledge"} < set(made)


@pytest.mark.parametrize("table", [tables.margins_images, tables.margins, tables.margins_roc])
def test_a_margin_table_of_no_usable_image_is_empty_and_says_of_what(table):
    made = table([margin_record(usable=np.zeros(7, bool))])
    assert len(made) == 0 and {"purifier", "attack", "knowledge"} < set(made)
