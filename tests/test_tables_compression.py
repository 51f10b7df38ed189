"""Tables about compression from small records whose answers are known."""

import numpy as np
import pandas as pd
import pytest
from made_up import features_apart, keys

from purity import stats
from purity import tables_compression as tables
from purity.law import Sigmoid, images_drawn
from purity.tables import Record


def only(table: pd.DataFrame, **wanted) -> pd.Series:
    """The one row with these keys."""
    chosen = table[np.logical_and.reduce([table[key] == value for key, value in wanted.items()])]
    assert len(chosen) == 1, f"{len(chosen)} rows of {wanted}"
    return chosen.iloc[0]


def record(purifier="ddpm", seed=0, **arrays) -> Record:
    return Record({"purifier": purifier, "seed": seed}, {name: np.array(value) for name, value in arrays.items()})


def outcomes(correct: list[int], purifier="ddpm", seed=0) -> Record:
    return Record(keys(purifier, "pgd", "all", seed), {"correct_fixed": np.array(correct, bool)})


def probe(purifier="ddpm", t: int | None = 50, seed=0, **arrays) -> Record:
    """Arrays of numbers; lists of 0 and 1 under the names of outcomes."""
    of_outcomes = {"robust", "clean_fixed", "clean_fresh"}
    made = {name: np.array(value, bool if name in of_outcomes else float) for name, value in arrays.items()}
    return Record({"purifier": purifier, "t": t, "seed": seed}, made)


# Singular values.

SPECTRA = [[2.0, 0.5, 0.1, 0.0], [4.0, 1.5, 0.3, 0.2], [1.0, 0.25, 0.2, 0.1]]
LARGEST, BELOW, ABOVE = [2, 4, 1], [0.5, 0.25, 0.5], [0.25, 0.5, 0]  # ¼ is not below ¼, and 1 not above 1


@pytest.mark.parametrize(
    ("measure", "per_image"), [("largest", LARGEST), ("below-quarter", BELOW), ("above-one", ABOVE)]
)
def test_spectra_are_summed_up_image_by_image_and_split_by_the_outcome_of_an_attack(measure, per_image):
    made = tables.jacobian([record(singular_values=SPECTRA)], [outcomes([1, 0, 1])])
    a, b, c = per_image
    wanted = {"any": (3, (a + b + c) / 3), "robust": (2, (a + c) / 2), "fooled": (1, b)}
    for outcome, (n, mean) in wanted.items():
        for seed in (0, "all"):
            row = only(made, measure=measure, outcome=outcome, seed=seed)
            assert (row["n"], row["mean"]) == (n, pytest.approx(mean))
    assert only(made, measure=measure, outcome="robust", seed="all")["std"] == pytest.approx(abs(a - c) / np.sqrt(2))
    assert np.isnan(only(made, measure=measure, outcome="fooled", seed="all")["std"])
    assert len(made) == 3 * 3 * 2


def test_outcomes_are_those_of_the_same_purifier_and_seed_whatever_the_order():
    jacobians = [record("ddpm", seed, singular_values=[[10.0 + seed], [20.0 + seed]]) for seed in (0, 1)]
    jacobians += [record("ddim", 0, singular_values=[[7.0], [8.0]])]
    measured = [outcomes([0, 1], "ddim", 0), outcomes([0, 1], "ddpm", 1), outcomes([1, 0], "ddpm", 0)]
    made = tables.jacobian(jacobians, measured)
    of = lambda purifier, outcome, seed: only(  # noqa: E731
        made, purifier=purifier, outcome=outcome, seed=seed, measure="largest"
    )
    assert of("ddpm", "robust", 0)["mean"] == 10 and of("ddpm", "robust", 1)["mean"] == 21
    assert of("ddpm", "fooled", "all")["mean"] == (20 + 11) / 2 and of("ddpm", "fooled", "all")["seeds"] == 2
    assert of("ddim", "robust", "all")["mean"] == 8 and of("ddim", "fooled", 0)["mean"] == 7


def test_spectra_of_the_first_images_take_the_outcomes_of_the_first():
    made = tables.jacobian([record(singular_values=SPECTRA)], [outcomes([0, 1, 0, 1, 1, 1, 0])])
    assert only(made, measure="largest", outcome="robust", seed="all")["mean"] == 4
    assert only(made, measure="largest", outcome="any", seed="all")["n"] == 3


def test_an_outcome_that_no_image_has_has_no_mean_and_no_warning(recwarn):
    made = tables.jacobian([record(singular_values=SPECTRA)], [outcomes([1, 1, 1])])
    for measure in ("largest", "below-quarter", "above-one"):
        for seed in (0, "all"):
            row = only(made, measure=measure, outcome="fooled", seed=seed)
            assert row["n"] == 0 and np.isnan(row["mean"]) and np.isnan(row["std"])
            whole, robust = (only(made, measure=measure, outcome=o, seed=seed) for o in ("any", "robust"))
            assert (whole["n"], whole["mean"]) == (robust["n"], robust["mean"])
    assert not list(recwarn)


def test_without_an_attack_there_is_no_outcome_but_any():
    made = tables.jacobian([record(singular_values=SPECTRA)], [outcomes([1, 1, 1], "ddim")])
    assert only(made, measure="largest", outcome="any", seed="all")["n"] == 3
    assert set(made[made["outcome"] != "any"]["n"]) == {0}


def test_the_spectrum_by_rank_is_over_images_and_seeds():
    records = [record(seed=1, singular_values=SPECTRA[2:]), record(seed=0, singular_values=SPECTRA[:2])]
    made = tables.jacobian_spectrum([*records, record("ddim", singular_values=[[9.0, 8.0]])])
    together = made[made["purifier"] == "ddpm"]
    assert together["rank"].tolist() == [1, 2, 3, 4] and set(together["seeds"]) == {2} and set(together["n"]) == {3}
    assert together["mean"].to_numpy() == pytest.approx([7 / 3, 0.75, 0.2, 0.1])
    assert together["std"].to_numpy() == pytest.approx(np.std(SPECTRA, axis=0, ddof=1))
    # of 1, 2, 4 in order: a twentieth of the way from the least to the next, and from the largest to the next
    assert (together["low"].iloc[0], together["high"].iloc[0]) == pytest.approx((1 + 0.05 * 1, 4 - 0.05 * 2))
    assert made[made["purifier"] == "ddim"][["mean", "low", "high"]].to_numpy().tolist() == [[9] * 3, [8] * 3]


# Principal components.


def test_where_purification_changes_nothing_the_rows_after_are_those_before():
    variance = np.sort(np.random.default_rng(0).random((5, 6)))[:, ::-1]
    made = tables.pca([record(before=variance, after=variance)])
    before, after = (
        made[made["when"] == when].drop(columns="when").reset_index(drop=True) for when in ("before", "after")
    )
    pd.testing.assert_frame_equal(before, after)
    assert before["mean"].mean() == pytest.approx(1) and before["share"].sum() == pytest.approx(1)


def test_a_round_ball_that_is_left_alone_has_relative_variance_one():
    flat = np.full((4, 6), 1 / 300)
    made = tables.pca([record(seed=s, before=flat, after=flat) for s in (0, 1)])
    assert made["mean"].to_numpy() == pytest.approx(np.ones(12)) and made["std"].to_numpy() == pytest.approx(
        np.zeros(12)
    )
    assert set(made["n"]) == {8} and set(made["seeds"]) == {2}
    assert made["share"].to_numpy() == pytest.approx(np.full(12, 1 / 6))
    assert made["variance"].to_numpy() == pytest.approx(np.full(12, 1 / 300))


def test_variance_is_relative_to_the_mean_of_the_same_images_ball_before():
    before = [[3.0, 1.0], [5.0, 3.0]]  # of mean 2 and 4
    after = [[4.0, 0.0], [2.0, 2.0]]
    made = tables.pca(
        [record(seed=0, before=before[:1], after=after[:1]), record(seed=1, before=before[1:], after=after[1:])]
    )
    expected = {
        ("before", 1): ((1.5 + 1.25) / 2, 4.0, (0.75 + 0.625) / 2),
        ("before", 2): ((0.5 + 0.75) / 2, 2.0, (0.25 + 0.375) / 2),
        ("after", 1): ((2 + 0.5) / 2, 3.0, (1 + 0.5) / 2),
        ("after", 2): ((0 + 0.5) / 2, 1.0, (0 + 0.5) / 2),
    }
    for (when, component), wanted in expected.items():
        row = only(made, when=when, component=component)
        assert tuple(row[["mean", "variance", "share"]]) == pytest.approx(wanted)
        assert (row["n"], row["seeds"], row["seed"]) == (2, 2, "all")
    assert only(made, when="after", component=1)["std"] == pytest.approx(1.5 / np.sqrt(2))


def test_a_contraction_by_c_has_relative_variance_c_squared_of_the_same_shares():
    variance = np.sort(np.random.default_rng(0).random((5, 6)))[:, ::-1]
    made = tables.pca([record(before=variance, after=0.3**2 * variance)])
    before, after = (made[made["when"] == when] for when in ("before", "after"))
    for name, factor in (("mean", 0.09), ("std", 0.09), ("variance", 0.09), ("share", 1)):
        assert after[name].to_numpy() == pytest.approx(factor * before[name].to_numpy(), rel=1e-9)


@pytest.mark.parametrize(("kept", "components"), [(2, 2), (6, 6), (50, 6)])
def test_only_the_first_components_are_kept_and_their_shares_are_of_all(kept, components):
    spectrum = [[6.0, 5, 4, 3, 2, 1]]
    made = tables.pca([record(before=spectrum, after=spectrum)], kept)
    assert made["component"].tolist() == 2 * list(range(1, components + 1))
    assert only(made, when="after", component=1)["share"] == pytest.approx(6 / 21)
    assert only(made, when="after", component=2)["mean"] == pytest.approx(5 / 3.5)


# Against the strength.

SWEEP = [
    probe("ddpm", 100, 0, alpha=[0.1, 0.3], robust=[1, 1], clean_fixed=[1, 1], clean_fresh=[0, 1]),
    probe("ddim", 30, 0, alpha=[0.5, 0.5], robust=[0, 1], clean_fixed=[1, 0], clean_fresh=[1, 0]),
    probe("ddpm", 9, 1, alpha=[0.9, np.nan], robust=[0, 1], clean_fixed=[0, 1], clean_fresh=[1, 1]),
    probe("ddpm", 9, 0, alpha=[0.8, 1.0], robust=[0, 0], clean_fixed=[1, 1], clean_fresh=[1, 1]),
    probe("ddpm", 1000, 0, alpha=[0.0, 0.0], clean_fixed=[0, 0], clean_fresh=[0, 0]),
]


def test_the_table_of_strengths_is_of_attacked_purifiers_in_order_of_strength():
    made = tables.timesteps(SWEEP)
    assert list(dict.fromkeys(zip(made["purifier"], made["t"], strict=True))) == [
        ("ddpm", 9),
        ("ddpm", 100),
        ("ddim", 30),
    ]
    assert set(made["measure"]) == {"alpha", "robust-accuracy"} and len(made) == 2 * (3 + 2 + 2)
    alpha, robust = (only(made, purifier="ddpm", t=9, seed="all", measure=m) for m in ("alpha", "robust-accuracy"))
    assert (alpha["n"], alpha["mean"], alpha["seeds"]) == (3, pytest.approx(0.9), 2)  # of .9, .8, 1
    assert (robust["n"], robust["mean"], robust["seeds"]) == (2, 0.25, 2)
    assert robust["std"] == pytest.approx(0.5 / np.sqrt(2))  # over seeds: 0 and ½
    assert (robust["low"], robust["high"]) == stats.share_interval(np.array([[0, 0], [0, 1]], bool))
    assert only(made, purifier="ddpm", t=9, seed=1, measure="robust-accuracy")["mean"] == 0.5
    assert only(made, purifier="ddim", t=30, seed="all", measure="alpha")["mean"] == 0.5


def test_the_table_of_clean_images_has_the_strengths_without_an_attack_too():
    made = tables.clean_t(SWEEP)
    assert list(dict.fromkeys(zip(made["purifier"], made["t"], strict=True))) == [
        ("ddpm", 9),
        ("ddpm", 100),
        ("ddpm", 1000),
        ("ddim", 30),
    ]
    assert set(made["measure"]) == {"alpha", "clean-fixed", "clean-fresh"} and len(made) == 3 * (3 + 2 + 2 + 2)
    at = lambda t, measure: only(made, purifier="ddpm", t=t, seed="all", measure=measure)["mean"]  # noqa: E731
    assert [at(9, "alpha"), at(9, "clean-fixed"), at(9, "clean-fresh")] == pytest.approx([0.9, 0.75, 1.0])
    assert [at(100, "alpha"), at(100, "clean-fixed"), at(100, "clean-fresh")] == pytest.approx([0.2, 1.0, 0.5])
    assert [at(1000, "alpha"), at(1000, "clean-fixed"), at(1000, "clean-fresh")] == [0, 0, 0]


@pytest.mark.parametrize("table", [tables.timesteps, tables.clean_t, tables.law, tables.predictors])
@pytest.mark.parametrize("others", [[], SWEEP[:2]])
def test_a_purifier_without_a_strength_has_its_rows_too(table, others):
    none = probe("gaussian", None, alpha=[0.5, 0.7], robust=[1, 0], clean_fixed=[1, 1], clean_fresh=[1, 1])
    made = table([none, *others])
    own = made[made["purifier"] == "gaussian"]
    assert len(own) and own["t"].isna().all()
    assert made["t"].notna().sum() == len(made) - len(own)
    assert len(table([*others, none])) == len(made)
    if "measure" in made:
        assert only(own, measure="alpha", seed="all")["mean"] == pytest.approx(0.6)


# The law.


def test_a_point_of_the_law_is_the_mean_over_images_and_seeds():
    made = tables.law(SWEEP)
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
        patch.setattr(tables.lawful, "images_drawn", lambda n: images_drawn(n, resamples=60))
        yield


def through_all(probes, **options):
    """The fit through all points, those too that lose clean images."""
    made = tables.law_fit(probes, **options)
    return made[made["through"] == "all"].drop(columns="through").reset_index(drop=True)


def test_points_that_lose_clean_images_are_fitted_apart():
    """Three more that compress well but recognise only half of what the others do: the law of the others is unmoved."""
    lost = [
        probe(f"lost{j}", None, alpha=np.full(N, 0.1), robust=np.zeros(N, bool), clean_fixed=np.arange(N) < 0.4 * N)
        for j in range(3)
    ]
    points = tables.law(world() + lost)
    assert points["recognised"].tolist() == [True] * 8 + [False] * 3
    made, without = tables.law_fit(world() + lost, steps=3), tables.law_fit(world(), steps=3)
    assert set(made["points"][made["through"] == "all"]) == {11}
    kept = made[made["through"] == "recognised"].reset_index(drop=True)
    wanted = without[without["through"] == "all"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept.drop(columns="through"), wanted.drop(columns="through"))
    assert set(tables.law_fit(world(ALPHAS[:2]) + lost)["through"]) == {"all"}


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


# The undefended classifier.


def test_a_budget_is_a_row_for_each_scale_seed_and_for_all():
    of_seed = lambda seed, robust: Record(  # noqa: E731
        {"attack": "pgd", "seed": seed},
        {"scale": np.array([0.0, 0.5]), "epsilon": np.array([0.0, 0.015]), "robust": np.array(robust, bool)},
    )
    made = tables.budget([of_seed(1, [[1, 1, 1, 0], [0, 0, 0, 0]]), of_seed(0, [[1, 1, 1, 0], [1, 0, 1, 0]])])
    assert len(made) == 2 * 3 and made["scale"].tolist() == [0.0] * 3 + [0.5] * 3
    assert set(made[made["scale"] == 0.5]["epsilon"]) == {0.015}
    assert [only(made, scale=0.5, seed=seed)["mean"] for seed in (0, 1, "all")] == [0.5, 0.0, 0.25]
    together = only(made, scale=0.5, seed="all")
    assert (together["n"], together["seeds"]) == (4, 2) and together["std"] == pytest.approx(0.5 / np.sqrt(2))
    assert (together["low"], together["high"]) == stats.share_interval(np.array([[1, 0, 1, 0], [0, 0, 0, 0]], bool))
    assert only(made, scale=0.0, seed="all")["mean"] == 0.75


def test_attacks_have_their_own_budgets():
    of = lambda attack, robust: Record(  # noqa: E731
        {"attack": attack, "seed": 0},
        {"scale": np.array([1.0]), "epsilon": np.array([0.1]), "robust": np.array([robust], bool)},
    )
    made = tables.budget([of("pgd", [1, 0]), of("pgd-l2", [1, 1])])
    assert only(made, attack="pgd", seed="all")["mean"] == 0.5
    assert only(made, attack="pgd-l2", seed="all")["mean"] == 1.0


# What predicts robustness.


def predicting(accuracies, alphas, magnitudes=None, frechets=None, seeds=(0,)) -> list[Record]:
    """Purifiers of 20 images, of which a share is robust; α scatters about its mean without moving it."""
    wobble = np.linspace(-1, 1, 20) * 0.01
    probes = []
    for j, (accuracy, alpha) in enumerate(zip(accuracies, alphas, strict=True)):
        arrays = {"alpha": alpha + wobble, "robust": np.arange(20) < round(20 * accuracy)}
        if magnitudes is not None:
            arrays |= {"magnitude": magnitudes[j] + wobble}
        if frechets is not None:
            arrays |= features_apart(frechets[j], 20)
        probes += [probe(f"p{j}", 10 * j, seed, **arrays) for seed in seeds]
    return probes


def test_a_predictor_has_a_row_for_each_purifier_of_its_mean_and_the_accuracy():
    probes = [
        probe("ddpm", 50, 0, alpha=[0.1, 0.3], magnitude=[1.0, 3.0], robust=[1, 0], **features_apart(5.0, 2)),
        probe("ddpm", 50, 1, alpha=[0.2, 0.6], magnitude=[2.0, 2.0], robust=[1, 1], **features_apart(8.0, 2)),
        probe("gaussian", None, 0, alpha=[1.0, 1.0], magnitude=[2.0, 4.0], robust=[0, 0]),
        probe("unattacked", 9, 0, alpha=[1.0, 1.0], clean_fixed=[1, 1]),
    ]
    made = tables.predictors(probes)
    values = {p: only(made, purifier="ddpm", predictor=p)["value"] for p in ("alpha", "magnitude", "frechet")}
    assert values == pytest.approx({"alpha": 0.3, "magnitude": 2.0, "frechet": 6.5})
    ddpm = made[made["purifier"] == "ddpm"]
    assert set(ddpm["accuracy"]) == {0.75} and set(ddpm["seeds"]) == {2} and set(ddpm["n"]) == {2}
    gaussian = made[made["purifier"] == "gaussian"]
    assert gaussian["predictor"].tolist() == ["alpha", "magnitude"] and gaussian["value"].tolist() == [1, 3]
    assert "unattacked" not in set(made["purifier"])


def test_alpha_that_falls_as_accuracy_rises_has_rank_minus_one_and_magnitude_that_rises_one():
    accuracies = [0.1, 0.3, 0.35, 0.6, 0.9]
    made = tables.predictors_rank(
        predicting(accuracies, [2.0, 1.0, 0.9, 0.89, 0.1], magnitudes=np.exp(accuracies), frechets=[3, 1, 4, 0, 5])
    )
    assert made["predictor"].tolist() == ["alpha", "magnitude", "frechet"] and set(made["points"]) == {5}
    assert only(made, predictor="alpha")["mean"] == pytest.approx(-1, abs=1e-12)
    assert only(made, predictor="magnitude")["mean"] == pytest.approx(1, abs=1e-12)
    # ranks 3, 2, 4, 1, 5 against 1 … 5: 1 − 6 (2² + 0 + 1 + 3² + 0) / (5 · 24)
    assert only(made, predictor="frechet")["mean"] == pytest.approx(0.3)


def test_ranks_have_the_interval_of_their_correlation_over_purifiers():
    probes = predicting([0.1, 0.3, 0.35, 0.6, 0.9, 0.2], [2.0, 0.9, 1.0, 0.1, 0.89, 1.5])
    row = only(tables.predictors_rank(probes), predictor="alpha")
    wanted = stats.spearman(np.array([2.0, 0.9, 1.0, 0.1, 0.89, 1.5]), np.array([0.1, 0.3, 0.35, 0.6, 0.9, 0.2]))
    assert (row["mean"], row["low"], row["high"]) == pytest.approx(wanted)
    assert row["points"] == 6 and row["low"] < row["mean"] < row["high"]


def test_seeds_of_a_purifier_are_one_point_and_what_is_constant_has_no_rank():
    probes = predicting([0.1, 0.3, 0.9, 0.5], [2.0, 0.9, 0.1, 0.4], magnitudes=[1, 1, 1, 1], seeds=(0, 1, 2))
    made = tables.predictors_rank(probes)
    assert set(made["points"]) == {4} and made["predictor"].tolist() == ["alpha", "magnitude"]
    assert np.isnan(only(made, predictor="magnitude")["mean"]) and only(made, predictor="alpha")[
        "mean"
    ] == pytest.approx(-1)


# All of them.


def every(seeds: list[int]) -> dict[str, pd.DataFrame]:
    generator = np.random.default_rng(2)
    random = lambda *shape: generator.random(shape)  # noqa: E731
    falling = lambda *shape: -np.sort(-generator.random(shape))  # noqa: E731
    of_each = [(purifier, seed) for purifier in ("ddpm", "ddim") for seed in seeds]
    jacobians = [record(p, s, singular_values=2 * falling(6, 9)) for p, s in of_each]
    measured = [outcomes(random(6) < 0.5, p, s) for p, s in of_each]
    balls = [record(p, s, before=falling(6, 9), after=falling(6, 9)) for p, s in of_each]
    probes = [
        probe(
            p,
            t,
            s,
            **{name: random(6) for name in ("alpha", "magnitude")},
            **{name: random(6) < 0.5 for name in ("robust", "clean_fixed", "clean_fresh")},
            **features_apart(random(1)[0], 6),
        )
        for p, s in of_each
        for t in (90, 10, 50)
    ]
    budgets = [
        Record(
            {"attack": "pgd", "seed": s},
            {"scale": np.arange(3), "epsilon": np.arange(3) / 30, "robust": random(3, 6) < 0.5},
        )
        for s in seeds
    ]
    return {
        "jacobian": tables.jacobian(jacobians, measured),
        "jacobian_spectrum": tables.jacobian_spectrum(jacobians),
        "pca": tables.pca(balls),
        "budget": tables.budget(budgets),
        **{
            name: getattr(tables, name)(probes)
            for name in ("timesteps", "clean_t", "law", "predictors", "predictors_rank", "law_fit")
        },
    }


@pytest.fixture(scope="module", params=[[0], [3, 1, 2]], ids=str)
def made(request):
    return every(request.param)


def test_a_row_has_keys_that_no_other_row_has(made):
    names = {"purifier", "attack", "t", "seed", "outcome", "measure", "rank", "when", "component", "scale", "predictor"}
    assert not made["law_fit"].duplicated(["quantity", "alpha"]).any()
    for name in made.keys() - {"law_fit"}:
        assert not made[name].duplicated([c for c in made[name].columns if c in names]).any(), name


def test_every_number_says_how_much_it_is_made_of(made):
    for name, table in made.items():
        assert {"n", "points"} & set(table.columns), name
        assert not table.empty
