"""The cap model against closed forms and samples, and its tables counted by hand."""

import numpy as np
import pandas as pd
import pytest
from drawings import data_axes, is_there, of_colour, same, xy
from made_up import cap_record, of_attack, only
from matplotlib.colors import to_hex
from scipy.special import expit
from scipy.stats import norm

from purity.studies import cap as study
from purity.studies.records import Record


def cap_of(caps: list[Record]) -> pd.DataFrame:
    return study.cap(study.cap_images(caps))


@pytest.fixture
def generator():
    return np.random.default_rng(0)


# Volumes.


@pytest.mark.parametrize("d", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("beta", [0.0, 0.1, 0.3, 0.6])
def test_the_volume_of_a_cap_is_the_share_of_the_ball_beyond_it(d, beta, generator):
    """Of 40,000 uniform points. A share scatters by √(p(1−p)/n); 4.5 of those are passed once in 150,000."""
    z = generator.standard_normal((40_000, d))
    points = z / np.linalg.norm(z, axis=1, keepdims=True) * generator.random((40_000, 1)) ** (1 / d)
    p = study.volume_ratio(beta, d)
    assert (points[:, 0] > beta).mean() == pytest.approx(p, abs=4.5 * np.sqrt(p * (1 - p) / 40_000))


def test_volumes_in_one_two_and_three_dimensions_are_those_of_the_textbook():
    b = np.linspace(0, 1, 51)
    assert study.volume_ratio(b, 1) == pytest.approx((1 - b) / 2, abs=1e-14)
    assert study.volume_ratio(b, 2) == pytest.approx((np.arccos(b) - b * np.sqrt(1 - b**2)) / np.pi, abs=1e-14)
    assert study.volume_ratio(b, 3) == pytest.approx((1 - b) ** 2 * (2 + b) / 4, abs=1e-14)


@pytest.mark.parametrize("d", [1, 2, 64, 3072, 150_528])
def test_a_cap_through_the_centre_is_half_and_one_beyond_the_ball_nothing(d):
    assert study.volume_ratio(0.0, d) == pytest.approx(0.5, abs=1e-15)
    assert study.volume_ratio(np.array([1.0, 1.5, np.inf]), d).tolist() == [0, 0, 0]


def test_a_cap_shrinks_with_its_distance_and_with_the_dimension():
    b = np.linspace(0, 1, 101)
    for d in (1, 5, 64):
        assert (np.diff(study.volume_ratio(b, d)) < 0).all()
    by_dimension = np.array([study.volume_ratio(b[1:-1], d) for d in (1, 2, 3, 10, 64, 200)])
    assert (np.diff(by_dimension, axis=0) < 0).all()


def test_in_many_dimensions_a_coordinate_of_the_ball_is_nearly_normal():
    """Its variance is 1/(d + 2). Its excess kurtosis, −6/(d + 4), takes 15/d of the tail beyond z = 3 (Edgeworth)."""
    d = 100_000
    z = np.array([0.5, 1.0, 2.0, 3.0])
    assert study.volume_ratio(z / np.sqrt(d + 2), d) == pytest.approx(norm.sf(z), rel=30 / d)


# Directions.


def test_a_cap_at_one_over_root_k_holds_k_directions_exactly():
    k = np.arange(1, 201)
    assert study.orthogonal_directions(1 / np.sqrt(k), 1000).tolist() == k.tolist()
    assert study.orthogonal_directions(1 / np.sqrt(k) * (1 + 1e-9), 1000).tolist() == (k - 1).tolist()
    assert study.orthogonal_directions(1 / np.sqrt(k) * (1 - 1e-9), 1000).tolist() == k.tolist()


def test_no_more_directions_than_dimensions_and_none_in_an_empty_cap():
    beta = np.array([0.0, 1e-9, 0.1, 0.5, 1.0, 1.0001, 2.0, np.inf])
    assert study.orthogonal_directions(beta, 64).tolist() == [64, 64, 64, 4, 1, 0, 0, 0]
    assert study.orthogonal_directions(beta, 3).tolist() == [3, 3, 3, 3, 1, 0, 0, 0]


def frame(generator, k: int, d: int) -> np.ndarray:
    """k orthonormal rows of d."""
    return np.linalg.qr(generator.standard_normal((d, k)))[0].T


@pytest.mark.parametrize("k", [1, 2, 3, 7, 16])
def test_orthogonal_vectors_reach_a_kth_root_of_their_length_along_their_centroid_and_no_axis_does_better(k, generator):
    """Of an axis u, Σ (u·vᵢ)² ≤ ε²: the least of k projections is at most ε/√k, and the centroid attains it."""
    epsilon, d = 0.7, 16
    v = epsilon * frame(generator, k, d)
    centroid = v.sum(axis=0) / np.linalg.norm(v.sum(axis=0))
    assert v @ centroid == pytest.approx(np.full(k, epsilon / np.sqrt(k)), abs=1e-12)
    axes = generator.standard_normal((2000, d)) + 3 * centroid
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    assert (axes @ v.T).min(axis=1).max() <= epsilon / np.sqrt(k) + 1e-12


@pytest.mark.parametrize("beta", [0.2501, 0.2, 0.3, 0.45, 0.577, 0.58, 0.7, 0.708, 0.99, 1.01])
def test_so_many_directions_fit_as_project_into_the_cap(beta, generator):
    epsilon, d = 2.0, 20
    fits = []
    for k in range(1, d + 1):
        v = epsilon * frame(generator, k, d)
        axis = v.sum(axis=0) / np.linalg.norm(v.sum(axis=0))
        fits.append((v @ axis >= beta * epsilon).all())
    assert study.orthogonal_directions(beta, d) == sum(fits) and sorted(fits, reverse=True) == fits


# The mean transition.


def test_the_transition_of_one_slope_is_its_sigmoid():
    offset = np.linspace(-2, 2, 9)
    assert study.transition(np.array([3.0]), offset) == pytest.approx(1 / (1 + np.exp(-3 * offset)), abs=1e-15)


def test_the_transition_of_an_infinite_slope_is_a_step_that_is_a_half_at_its_threshold(recwarn):
    offset = np.array([-2.0, -1e-9, 0.0, 1e-9, 2.0])
    assert study.transition(np.array([np.inf]), offset).tolist() == [0, 0, 0.5, 1, 1]
    assert study.transition(np.array([-np.inf]), offset).tolist() == [1, 1, 0.5, 0, 0]
    assert not list(recwarn)


def test_the_transition_is_the_mean_over_images():
    offset = np.linspace(-2, 2, 9)
    slopes = np.array([0.5, 3.0, np.inf])
    alone = np.stack([study.transition(np.array([s]), offset) for s in slopes])
    assert study.transition(slopes, offset) == pytest.approx(alone.mean(axis=0), abs=1e-15)


inf, nan = np.inf, np.nan


# Caps.


USABLE = [10, 11, 13, 14, 15]


def test_caps_are_listed_image_by_image_without_those_that_are_not_usable():
    made = study.cap_images([cap_record()])
    assert made["image"].tolist() == USABLE and set(made["seed"]) == {0} and set(made["radius"]) == {2.0}
    assert made["slope"].tolist() == pytest.approx([10, inf, nan, 2, -inf], nan_ok=True)
    assert made["middle"].tolist() == pytest.approx([1, 0.5, nan, -0.5, 0], nan_ok=True)
    assert made["threshold"].tolist() == [1, 0.5, inf, 2, inf] and made["changes"].tolist() == [1, 3, 0, 1, 0]
    # points at −1.5, .2, .8, 1.6 beyond 1, .5, ∞, 2, ∞: 0001, 0011, 0000, 0000, 0000
    assert made["agreement"].tolist() == [1, 1, 1, 0.5, 0.75]


def test_volumes_and_directions_are_those_of_the_threshold_over_the_radius():
    in_three = study.cap_images([cap_record(dimensions=3)])
    half, quarter = (0.5**2 * 2.5 / 4, 0.75**2 * 2.25 / 4)  # (1 − β)²(2 + β)/4
    assert in_three["volume_ratio"].tolist() == pytest.approx([half, quarter, 0, 0, 0], abs=1e-12)
    assert in_three["directions"].tolist() == [3, 3, 0, 1, 0]
    assert study.cap_images([cap_record()])["directions"].tolist() == [4, 16, 0, 1, 0]


def test_seeds_and_attacks_of_caps_follow_each_other():
    made = study.cap_images([cap_record(0), cap_record(1), cap_record(0, usable=np.zeros(6, bool))])
    assert made["image"].tolist() == 2 * USABLE and made["seed"].tolist() == 5 * [0] + 5 * [1]


def test_the_cap_model_in_numbers_counted_by_hand():
    made = cap_of([cap_record()])
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
    made = cap_of([cap_record()])
    share = {name: only(made, measure=name) for name in ("steep", "separable", "crossed", "once")}
    assert (share["steep"]["n"], share["steep"]["mean"]) == (4, 0.5)  # 10 and ∞ of 10, ∞, 2, −∞
    assert (share["separable"]["n"], share["separable"]["mean"]) == (4, 0.25)
    assert (share["crossed"]["n"], share["crossed"]["mean"]) == (5, 0.6)
    assert (share["once"]["n"], share["once"]["mean"]) == (3, pytest.approx(2 / 3))  # 1, 3, 1 changes
    assert np.isnan([row["median"] for row in share.values()]).all()


@pytest.mark.parametrize(("slope", "steep"), [(6.0, 0), (6.001, 1), (5.9, 0), (inf, 1), (-7.0, 0)])
def test_steep_is_above_six(slope, steep):
    assert only(cap_of([cap_record(slope=np.full(6, slope))]), measure="steep")["mean"] == steep


def test_caps_of_all_seeds_are_put_together():
    flat = cap_record(1, slope=np.full(6, 4.0), threshold=np.full(6, 0.25), changes=np.full(6, 3))
    made = cap_of([cap_record(0), flat])
    assert set(made["seeds"]) == {2}
    assert only(made, measure="slope")["n"] == 7 and only(made, measure="slope")["mean"] == pytest.approx(32 / 7)
    assert only(made, measure="slope")["median"] == 4
    assert only(made, measure="crossed")["mean"] == 0.8 and only(made, measure="once")["mean"] == pytest.approx(2 / 8)


def test_caps_that_were_never_crossed_have_no_numbers_and_do_not_fail():
    nowhere = {"slope": np.full(6, nan), "middle": np.full(6, nan), "threshold": np.full(6, inf)}
    made = cap_of([cap_record(**nowhere, outcome=np.zeros((6, 4), bool))])
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
    return of_attack(seed=seed, **(arrays | changed))


def test_the_transition_counted_by_hand():
    """Five bins of width 1 about −2 … 2. A logit of slope ln 3 is ¾ at one beyond its threshold, .9 at two."""
    made = study.cap_transition([transition_record()], steps=5)
    assert made["offset"].tolist() == [-2, -1, 0, 1, 2]
    assert made["fitted"].tolist() == pytest.approx([0.1 / 2, 0.25 / 2, 0.5, 1.75 / 2, 1.9 / 2])
    assert made["n"].tolist() == [1, 1, 3, 2, 0]  # 2.6 is beyond the last
    assert made["observed"].tolist() == pytest.approx([0, 0, 1 / 3, 1, nan], nan_ok=True)
    assert set(made["seed"]) == {"all"} and set(made["seeds"]) == {1}


def test_the_transition_is_over_all_images_of_all_seeds():
    other = transition_record(1, usable=[True, False, False, True], middle=[1.5, 0.0, 0.0, nan])
    made = study.cap_transition([transition_record(), other], steps=5)
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
    made = study.cap_transition([of_attack(**arrays, projection=projection, outcome=outcome, radius=2.0)])
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
    made = study.cap_slices([slices(shown=(1,))])
    assert len(made) == 18 and set(made["image"]) == {11}
    for plane, wrong in (("random", "along"), ("adversarial", "across")):
        part = made[made["plane"] == plane]
        assert {(a, b) for a, b in zip(part["along"], part["across"], strict=True)} == {
            (a, b) for a in (-2, 0, 2) for b in (-2, 0, 2)
        }
        assert (part["correct"] == (part[wrong] < 2)).all() and (~part["correct"]).sum() == 3


def test_correct_is_what_the_images_label_says():
    made = study.cap_slices([cap_record(shown=np.array([1]), maps=np.full((1, 2, 3, 3), 4), y=[0, 4, 0, 0, 0, 0])])
    assert made["correct"].all()


def test_one_attack_twice_spans_no_plane():
    """Image 14, the fifth, has an overlap of .9999."""
    made = study.cap_slices([slices(shown=(1, 4))])
    planes = made.groupby("image")["plane"].unique()
    assert planes[11].tolist() == ["random", "adversarial"] and planes[14].tolist() == ["random"]
    assert len(made) == 27


def test_slices_are_of_the_first_seed():
    made = study.cap_slices([slices(shown=(3,), seed=2), slices(shown=(0,), seed=1)])
    assert set(made["image"]) == {10} and set(made["seed"]) == {1}


def test_where_no_image_can_be_shown_there_are_no_slices():
    made = study.cap_slices([cap_record()])
    assert len(made) == 0
    assert {"purifier", "attack", "knowledge", "seed", "image", "plane", "along", "across", "correct"} <= set(made)


# No image at all.


@pytest.mark.parametrize("table", [study.cap_images, cap_of])
def test_a_cap_table_of_no_usable_image_is_empty_and_says_of_what(table):
    made = table([cap_record(usable=np.zeros(6, bool))])
    assert len(made) == 0 and {"purifier", "attack", "knowledge"} < set(made)


# The figure.


def counts(ax, colour: str | None = None) -> np.ndarray:
    return np.array(
        [bar.get_height() for bar in ax.patches if colour in (None, to_hex(bar.get_facecolor(), keep_alpha=True))]
    )


@pytest.mark.parametrize("case", ["all", "one plane, infinite slopes", "few points"])
def test_caps_are_those_of_the_tables(case, drawn):
    figure, given, *_ = drawn("cap", case)
    images, transition, slices = given.values()
    planes = list(dict.fromkeys(slices["plane"]))
    assert planes == ["random", "adversarial"][: 1 if "one plane" in case else 2]
    *maps, slopes, mean, thresholds, volumes = data_axes(figure)
    for ax, plane in zip(maps, planes, strict=True):
        part = slices[(slices["plane"] == plane) & (slices["image"] == slices["image"][0])]
        (image,) = ax.images
        assert image.origin == "lower" and image.get_extent() == [-2.5, 2.5, -2.5, 2.5]
        shown = np.array(image.get_array()).astype(bool)
        wanted = part.sort_values(["across", "along"])["correct"].to_numpy().reshape(5, 5)
        assert (shown == wanted).all() and 0 < wanted.mean() < 1
        dark, light = (sum(image.cmap(image.norm(value))[:3]) for value in (0.0, 1.0))
        assert dark < light and {"random": "random", "adversarial": "another attack"}[plane] in ax.get_ylabel()
    assert counts(slopes).sum() == counts(thresholds).sum() == counts(volumes).sum() == len(images)
    steep = counts(slopes)[-1]
    assert steep == (images["slope"] >= 28).sum() and steep > 0
    assert counts(slopes)[:3].sum() == (images["slope"] < 6).sum()
    assert thresholds.patches[-1].get_x() + thresholds.patches[-1].get_width() == pytest.approx(2)
    fitted = of_colour(mean.lines, to_hex("0.1"))
    assert same(xy(fitted[0]), transition[["offset", "fitted"]])
    observed = [line for line in mean.lines if line.get_marker() == "o" and is_there(line)]
    enough = transition[transition["n"] > 20]
    assert len(observed) == (len(enough) > 0) == ("few points" not in case)
    assert all(same(xy(line), enough[["offset", "observed"]]) for line in observed)
