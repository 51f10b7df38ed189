"""What predicts robustness from small records whose answers are known."""

import re

import numpy as np
import pandas as pd
import pytest
from drawings import PARTS, SWEPT, colours, data_axes, of_colour, same, xy
from made_up import features_apart, only, probe

from purity import stats
from purity.studies import predictors as study
from purity.studies.records import Record


def ranks_of(probes: list[Record]) -> pd.DataFrame:
    """Through all points, of each predictor by itself."""
    made = study.predictors_rank(study.predictors(probes))
    return made[(made["through"] == "all") & (made["beside"] == "")].reset_index(drop=True)


def predicting(accuracies, alphas, magnitudes=None, frechets=None, seeds=(0,)) -> list[Record]:
    """Purifiers of 20 images, of which a share is robust; α scatters about its mean without moving it."""
    wobble = np.linspace(-1, 1, 20) * 0.01
    probes = []
    for j, (accuracy, alpha) in enumerate(zip(accuracies, alphas, strict=True)):
        arrays = {"alpha": alpha + wobble, "robust": np.arange(20) < round(20 * accuracy), "clean_fixed": [1] * 20}
        if magnitudes is not None:
            arrays |= {"magnitude": magnitudes[j] + wobble}
        if frechets is not None:
            arrays |= features_apart(frechets[j], 20)
        probes += [probe(f"p{j}", 10 * j, seed, **arrays) for seed in seeds]
    return probes


def test_a_predictor_has_a_row_for_each_purifier_of_its_mean_and_the_accuracy():
    known = {"clean_fixed": [1, 1]}
    probes = [
        probe("ddpm", 50, 0, alpha=[0.1, 0.3], magnitude=[1.0, 3.0], robust=[1, 0], **features_apart(5.0, 2), **known),
        probe("ddpm", 50, 1, alpha=[0.2, 0.6], magnitude=[2.0, 2.0], robust=[1, 1], **features_apart(8.0, 2), **known),
        probe("gaussian", None, 0, alpha=[1.0, 1.0], magnitude=[2.0, 4.0], robust=[0, 0], clean_fixed=[1, 0]),
        probe("unattacked", 9, 0, alpha=[1.0, 1.0], clean_fixed=[1, 1]),
    ]
    made = study.predictors(probes)
    values = {p: only(made, purifier="ddpm", predictor=p)["value"] for p in ("alpha", "magnitude", "frechet")}
    assert values == pytest.approx({"alpha": 0.3, "magnitude": 2.0, "frechet": 6.5})
    ddpm = made[made["purifier"] == "ddpm"]
    assert set(ddpm["accuracy"]) == {0.75} and set(ddpm["seeds"]) == {2} and set(ddpm["n"]) == {2}
    gaussian = made[made["purifier"] == "gaussian"]
    assert gaussian["predictor"].tolist() == ["alpha", "magnitude"] and gaussian["value"].tolist() == [1, 3]
    assert "unattacked" not in set(made["purifier"])
    assert ddpm["recognised"].all() and not gaussian["recognised"].any()


def test_ranks_are_of_the_points_that_the_law_goes_through():
    """The same points as those of the fit, all and recognised; α beside each of the others."""
    probes = predicting([0.1, 0.3, 0.9, 0.5, 0.2], [2.0, 0.9, 0.1, 0.4, 0.3], magnitudes=[1, 2, 3, 4, 5])
    probes[-1] = Record(probes[-1].keys, probes[-1].arrays | {"clean_fixed": np.zeros(20, bool)})
    made = study.predictors_rank(study.predictors(probes))
    assert made.groupby("through")["points"].unique().map(list).to_dict() == {"all": [5], "recognised": [4]}
    gap = only(made, through="recognised", beside="magnitude")
    alone = [only(made, through="recognised", predictor=p, beside="")["mean"] for p in ("alpha", "magnitude")]
    assert gap["mean"] == pytest.approx(alone[0] - alone[1]) and gap["predictor"] == "alpha"


def test_alpha_that_falls_as_accuracy_rises_has_rank_minus_one_and_magnitude_that_rises_one():
    accuracies = [0.1, 0.3, 0.35, 0.6, 0.9]
    made = ranks_of(
        predicting(accuracies, [2.0, 1.0, 0.9, 0.89, 0.1], magnitudes=np.exp(accuracies), frechets=[3, 1, 4, 0, 5])
    )
    assert made["predictor"].tolist() == ["alpha", "magnitude", "frechet"] and set(made["points"]) == {5}
    assert only(made, predictor="alpha")["mean"] == pytest.approx(-1, abs=1e-12)
    assert only(made, predictor="magnitude")["mean"] == pytest.approx(1, abs=1e-12)
    # ranks 3, 2, 4, 1, 5 against 1 … 5: 1 − 6 (2² + 0 + 1 + 3² + 0) / (5 · 24)
    assert only(made, predictor="frechet")["mean"] == pytest.approx(0.3)


def test_ranks_have_the_interval_of_their_correlation_over_purifiers():
    probes = predicting([0.1, 0.3, 0.35, 0.6, 0.9, 0.2], [2.0, 0.9, 1.0, 0.1, 0.89, 1.5])
    row = only(ranks_of(probes), predictor="alpha")
    wanted = stats.spearman(np.array([2.0, 0.9, 1.0, 0.1, 0.89, 1.5]), np.array([0.1, 0.3, 0.35, 0.6, 0.9, 0.2]))
    assert (row["mean"], row["low"], row["high"]) == pytest.approx(wanted)
    assert row["points"] == 6 and row["low"] < row["mean"] < row["high"]


def test_seeds_of_a_purifier_are_one_point_and_what_is_constant_has_no_rank():
    probes = predicting([0.1, 0.3, 0.9, 0.5], [2.0, 0.9, 0.1, 0.4], magnitudes=[1, 1, 1, 1], seeds=(0, 1, 2))
    made = ranks_of(probes)
    assert set(made["points"]) == {4} and made["predictor"].tolist() == ["alpha", "magnitude"]
    assert np.isnan(only(made, predictor="magnitude")["mean"]) and only(made, predictor="alpha")[
        "mean"
    ] == pytest.approx(-1)


# The figure.


@pytest.mark.parametrize("case", PARTS["predictors"])
def test_a_number_that_is_not_known_is_not_written(case, drawn):
    """Three points have a rank correlation without an interval, and equal ones have none."""
    assert [t.get_text() for t, _ in drawn("predictors", case).texts if "nan" in t.get_text()] == []


@pytest.mark.parametrize("case", ["all", "two points recognised, no features"])
def test_predictors_have_their_points_and_their_rank_correlation(case, drawn):
    figure, given, *_ = drawn("predictors", case)
    axes, (table, rank) = data_axes(figure), given.values()
    rank = rank[(rank["through"] == "all") & rank["beside"].isin(["", np.nan])]
    named, predictors = colours(figure.legends[0]), list(rank["predictor"])
    assert predictors == ["alpha", "magnitude", "frechet"][: 2 if "no features" in case else 3]
    assert list(named) == list(SWEPT)
    for ax, predictor in zip(axes, predictors, strict=True):
        assert {"alpha": "α", "magnitude": "ℓ2", "frechet": "Fréchet"}[predictor] in ax.get_xlabel()
        of = table[table["predictor"] == predictor]
        for purifier, colour in named.items():
            (line,) = of_colour(ax.lines, colour)
            assert same(xy(line), of[of["purifier"] == purifier][["value", "accuracy"]])
        (row,) = rank[rank["predictor"] == predictor].itertuples()
        numbers = [float(number) for number in re.findall(r"-?\d\.\d\d", ax.get_title())]
        assert numbers == pytest.approx([row.mean, row.low, row.high], abs=0.0051) and "ρ" in ax.get_title()
