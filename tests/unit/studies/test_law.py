"""The law as a curve, its fit to points, the images that are drawn, and its tables."""

import numpy as np
import pandas as pd
import pytest
import torch
from drawings import SWEPT, band, colours, data_axes, is_there, same, whiskers, xy
from made_up import only, probe
from matplotlib.colors import to_hex

from purity import stats
from purity.studies import law as study
from purity.studies.law import Sigmoid, fit, images_drawn
from purity.studies.records import Record

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


# Against the strength.


SWEEP = [
    probe("ddpm", 100, 0, alpha=[0.1, 0.3], robust=[1, 1], clean_fixed=[1, 1], clean_fresh=[0, 1]),
    probe("ddim", 30, 0, alpha=[0.5, 0.5], robust=[0, 1], clean_fixed=[1, 0], clean_fresh=[1, 0]),
    probe("ddpm", 9, 1, alpha=[0.9, np.nan], robust=[0, 1], clean_fixed=[0, 1], clean_fresh=[1, 1]),
    probe("ddpm", 9, 0, alpha=[0.8, 1.0], robust=[0, 0], clean_fixed=[1, 1], clean_fresh=[1, 1]),
    probe("ddpm", 1000, 0, alpha=[0.0, 0.0], clean_fixed=[0, 0], clean_fresh=[0, 0]),
]


# The law.


def test_a_point_of_the_law_is_the_mean_over_images_and_seeds():
    made = study.law(SWEEP)
    assert list(zip(made["purifier"], made["t"], strict=True)) == [("ddpm", 100), ("ddim", 30), ("ddpm", 9)]
    row = only(made, purifier="ddpm", t=9)
    assert (row["n"], row["seeds"], row["seed"]) == (2, 2, "all")
    assert (row["alpha"], row["alpha_std"]) == pytest.approx((0.9, 0.1))
    assert (row["accuracy"], row["clean"]) == (0.25, 0.75)
    assert (row["low"], row["high"]) == stats.share_interval(np.array([[0, 0], [0, 1]], bool))
    assert (row["clean_low"], row["clean_high"]) == stats.share_interval(np.array([[1, 1], [0, 1]], bool))


PARAMETERS = ["top", "steepness", "middle", "at-zero", "clean", "at-zero-minus-clean", "misfit"]


TRUTH, N = Sigmoid(0.9, 8, 0.5), 400


ALPHAS = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.1)


@pytest.fixture(autouse=True, scope="module")
def fewer_resamples():
    """60 of them: a limit of an interval then strays by a third of a deviation, which no test here minds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "images_drawn", lambda n: images_drawn(n, resamples=60))
        yield


def through_all(probes, **options):
    """The fit through all points, those too that lose clean images."""
    made = study.law_fit(probes, **options)
    return made[made["through"] == "all"].drop(columns="through").reset_index(drop=True)


def test_points_that_lose_clean_images_are_fitted_apart():
    """Three more that compress well but recognise only half of what the others do: the law of the others is unmoved."""
    lost = [
        probe(f"lost{j}", None, alpha=np.full(N, 0.1), robust=np.zeros(N, bool), clean_fixed=np.arange(N) < 0.4 * N)
        for j in range(3)
    ]
    points = study.law(world() + lost)
    assert points["recognised"].tolist() == [True] * 8 + [False] * 3
    made, without = study.law_fit(world() + lost, steps=3), study.law_fit(world(), steps=3)
    assert set(made["points"][made["through"] == "all"]) == {11}
    kept = made[made["through"] == "recognised"].reset_index(drop=True)
    wanted = without[without["through"] == "all"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept.drop(columns="through"), wanted.drop(columns="through"))
    assert set(study.law_fit(world(ALPHAS[:2]) + lost)["through"]) == {"all"}


def world(alphas=ALPHAS, seeds=1, scatter=0.02) -> list[Record]:
    """Each image has its own hardness, uniform, and falls where the law is below it: all points share their images. Its α is off by
    the same at all points, by `scatter`, and by nothing in the mean over images."""
    generator = np.random.default_rng(0)
    hardness, shift = generator.random((seeds, N)), generator.standard_normal(N)
    return [
        probe(
            f"p{j}",
            None,
            seed,
            alpha=alpha + scatter * (shift - shift.mean()),
            robust=hardness[seed] < TRUTH(alpha),
            clean_fixed=hardness[seed] < TRUTH(0.0),
        )
        for j, alpha in enumerate(alphas)
        for seed in range(seeds)
    ]


@pytest.fixture(scope="module")
def fitted():
    return through_all(world(), steps=6)


def test_the_table_of_the_fit_has_each_parameter_once_and_the_curve(fitted):
    assert fitted["quantity"].tolist() == PARAMETERS + ["curve"] * 6
    assert fitted["alpha"].notna().tolist() == [False] * 7 + [True] * 6
    curve = fitted[fitted["quantity"] == "curve"]
    mean_of_the_weakest = world()[-1].arrays["alpha"].mean()
    assert curve["alpha"].to_numpy() == pytest.approx(np.linspace(0, 1.05 * mean_of_the_weakest, 6))
    assert set(fitted["n"]) == {N} and set(fitted["points"]) == {8}


def test_the_curve_ends_at_one_or_beyond():
    made = through_all(world(alphas=np.linspace(0.05, 0.6, 4)), steps=3)
    assert made[made["quantity"] == "curve"]["alpha"].tolist() == pytest.approx([0, 0.525, 1.05])


def test_the_law_is_found_where_it_holds(fitted):
    """Each within four deviations of the truth, taking the interval for four deviations wide."""
    for quantity, truth in zip(PARAMETERS[:4], (*TRUTH, TRUTH(0.0)), strict=True):
        row = only(fitted, quantity=quantity)
        assert row["mean"] == pytest.approx(truth, abs=row["high"] - row["low"]), quantity
        assert 0 < row["high"] - row["low"] < 0.5 * truth
    assert only(fitted, quantity="misfit")["mean"] < 0.02
    curve = fitted[fitted["quantity"] == "curve"]
    assert (np.abs(curve["mean"] - TRUTH(curve["alpha"])) <= curve["high"] - curve["low"]).all()


def test_the_curve_lies_within_its_interval_and_is_that_of_the_parameters(fitted):
    curve = fitted[fitted["quantity"] == "curve"]
    assert ((curve["low"] <= curve["mean"]) & (curve["mean"] <= curve["high"])).all()
    sigmoid = Sigmoid(*(only(fitted, quantity=q)["mean"] for q in PARAMETERS[:3]))
    assert curve["mean"].to_numpy() == pytest.approx(sigmoid(curve["alpha"]), rel=1e-12)
    assert (np.diff(curve["mean"]) <= 0).all() and ((curve["low"] >= 0) & (curve["high"] <= 1)).all()


def test_what_the_fit_says_at_zero_is_compared_with_clean_accuracy(fitted):
    at_zero, clean, difference = (only(fitted, quantity=q) for q in PARAMETERS[3:6])
    assert at_zero["mean"] == only(fitted, quantity="curve", alpha=0.0)["mean"]
    assert clean["mean"] == pytest.approx(np.mean([r.arrays["clean_fixed"].mean() for r in world()]), abs=1e-12)
    assert difference["mean"] == pytest.approx(at_zero["mean"] - clean["mean"], abs=1e-12)
    assert difference["low"] <= 0 <= difference["high"]


def test_clean_accuracy_has_the_interval_of_one_set_of_images(fitted):
    """Means of resampled images scatter by √(p(1−p)/n); an interval of 60 of them is some 15 % off."""
    clean = only(fitted, quantity="clean")
    wanted = 2 * 1.96 * np.sqrt(clean["mean"] * (1 - clean["mean"]) / N)
    assert clean["high"] - clean["low"] == pytest.approx(wanted, rel=0.4)


def test_points_share_their_images():
    """Every purifier and the bare classifier are right about the same images. Then the law is a constant, the share of
    them, in each resample alike: nothing is left of the difference. Images drawn point by point would leave as much
    as the share itself scatters, 4 √(.24/400) = .1 from end to end."""
    correct = np.random.default_rng(1).random(N) < 0.6
    probes = [
        probe(f"p{j}", None, alpha=np.full(N, a), robust=correct, clean_fixed=correct)
        for j, a in enumerate((0.2, 0.4, 0.6, 0.8))
    ]
    made = through_all(probes, steps=3)
    at_zero, difference = only(made, quantity="at-zero"), only(made, quantity="at-zero-minus-clean")
    assert at_zero["high"] - at_zero["low"] > 0.05
    assert np.abs([difference["low"], difference["mean"], difference["high"]]).max() < 1e-3


def test_alpha_is_resampled_with_the_images():
    """A shift of all α by the mean of N normal numbers of deviation 2 shifts the middle by as much: ± .1. What else
    moves it, a tenth of that, does so in either world; an interval of 60 resamples is some 15 % off."""
    narrow, wide = (only(through_all(world(scatter=scatter), steps=3), quantity="middle") for scatter in (0.0, 2.0))
    assert narrow["high"] - narrow["low"] < 0.1
    assert wide["high"] - wide["low"] == pytest.approx(2 * 1.96 * 2 / np.sqrt(N), rel=0.4)


def test_seeds_are_averaged_image_by_image():
    twice = world(seeds=2)
    averaged = [
        Record(a.keys, {name: (a.arrays[name] + 1.0 * b.arrays[name]) / 2 for name in a.arrays})
        for a, b in zip(twice[::2], twice[1::2], strict=True)
    ]
    made = through_all(twice, steps=3)
    pd.testing.assert_frame_equal(made, through_all(averaged, steps=3), rtol=1e-6)
    assert set(made["points"]) == {8} and set(made["n"]) == {N}
    once = through_all(world(), steps=3)
    assert np.abs(only(made, quantity="clean")["mean"] - only(once, quantity="clean")["mean"]) > 1e-3


def test_a_probe_without_an_attack_is_no_point_of_the_law():
    unattacked = probe("p9", None, alpha=np.ones(N), clean_fixed=np.ones(N), clean_fresh=np.ones(N))
    found, expected = (through_all(probes, steps=3) for probes in ([*world(), unattacked], world()))
    pd.testing.assert_frame_equal(found, expected)


def test_fewer_than_three_points_are_refused():
    with pytest.raises(ValueError, match=r"3 parameters.*2 points"):
        through_all(world(alphas=[0.1, 0.5]))


# The figure.


LAW_POINTS = {"all": (9, 3), "one purifier and seed": (3, 0), "two points recognised, no features": (9, 7)}


@pytest.mark.parametrize("case", LAW_POINTS)
def test_points_of_the_law_are_those_of_the_table_and_hollow_where_clean_images_are_lost(case, drawn):
    figure, given, *_ = drawn("law", case)
    (ax,), points = data_axes(figure), given["law"]
    assert (len(points), (~points["recognised"]).sum()) == LAW_POINTS[case]
    named = {label: colour for label, colour in colours(figure.legends[0]).items() if label in SWEPT}
    assert list(named) == list(dict.fromkeys(points["purifier"]))
    seen = 0
    for bars in ax.containers:
        point = bars.lines[0]
        if point.get_marker() != "*" and is_there(point):
            colour, filling = to_hex(point.get_color()), to_hex(point.get_markerfacecolor())
            (purifier,) = [name for name, own in named.items() if own == colour]
            part = points[(points["purifier"] == purifier) & (points["recognised"] == (filling == colour))]
            assert filling in (colour, "#ffffff")
            assert same(xy(point), part[["alpha", "accuracy"]])
            assert same(whiskers(bars), part[["alpha", "low", "high"]])
            seen += len(part)
    assert seen == len(points)


@pytest.mark.parametrize("case", LAW_POINTS)
def test_the_sigmoid_goes_through_the_filled_points_if_there_are_three(case, drawn):
    figure, given, *_ = drawn("law", case)
    (ax,), fit = data_axes(figure), given["law-fit"]
    names = {
        "sigmoid through all points": ("all", "--"),
        "sigmoid through filled points, 95 % band": ("recognised", "-"),
    }
    if case.startswith("two points"):
        names = {"sigmoid through all points, 95 % band": ("all", "--")}
    wanted = list(names)
    assert [label for label in colours(figure.legends[0]) if "sigmoid" in label] == wanted
    for label in wanted:
        through, style = names[label]
        (line,) = [line for line in ax.lines if line.get_label() == label]
        curve = fit[(fit["quantity"] == "curve") & (fit["through"] == through)]
        assert len(curve) == 41 and same(xy(line), curve[["alpha", "mean"]]) and line.get_linestyle() == style
    assert same(band(ax, to_hex("0.25")), curve[["alpha", "low", "high"]])  # of the best of them
    clean = fit[(fit["quantity"] == "clean") & (fit["through"] == through)].assign(alpha=0)
    (star,) = [bars for bars in ax.containers if bars.lines[0].get_marker() == "*"]
    assert same(xy(star.lines[0]), clean[["alpha", "mean"]]) and same(whiskers(star), clean[["alpha", "low", "high"]])


def test_strengths_are_written_at_the_points_of_purifiers_that_have_several(drawn):
    figure, given, *_ = drawn("law")
    (ax,), points = data_axes(figure), given["law"]
    points = points[points["purifier"].isin(["ddpm", "reverse"])]
    wanted = {(row.alpha, row.accuracy): f"{row.t:.0f}" for row in points.itertuples()}
    assert {text.xy: text.get_text() for text in ax.texts} == wanted and len(wanted) == 6
    assert not data_axes(drawn("law", "no strengths, nothing fooled").figure)[0].texts
