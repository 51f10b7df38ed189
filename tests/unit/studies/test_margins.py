"""Tables of margins, counted by hand."""

import numpy as np
import pandas as pd
import pytest
from drawings import legends, same, xy
from made_up import margin_record, of_attack, only
from matplotlib.colors import to_hex

from purity import stats
from purity.studies import margins as study
from purity.studies.records import Record


def margins_of(thresholds: list[Record]) -> pd.DataFrame:
    return study.margins(study.margins_images(thresholds))


def roc_of(thresholds: list[Record]) -> pd.DataFrame:
    return study.margins_roc(study.margins_images(thresholds))


inf, nan = np.inf, np.nan


def column(table: pd.DataFrame, name: str, **wanted) -> list:
    """A column of the rows with these keys, in order."""
    return table[np.logical_and.reduce([table[key] == value for key, value in wanted.items()])][name].tolist()


# Margins.


def test_margins_are_listed_image_by_image_without_those_that_are_not_usable():
    made = study.margins_images([margin_record()])
    assert made["image"].tolist() == [20, 21, 22, 23, 24, 25]
    assert made["outcome"].tolist() == ["robust"] * 3 + ["fooled"] * 3
    assert made["length"].tolist() == [1, 2, 3, 4, 2.5, 6] and made["threshold"].tolist() == [inf, 5, 4, 1, 0.5, 2]
    assert set(made["attack_length"]) == {1.0} and made["changes"].tolist() == [0, 1, 1, 1, 3, 1]


def test_margins_by_outcome_counted_by_hand():
    made = margins_of([margin_record()])
    robust, fooled = (only(made, outcome=o, measure="threshold") for o in ("robust", "fooled"))
    assert (robust["n"], robust["mean"], robust["beyond"]) == (2, 4.5, pytest.approx(1 / 3))
    assert (fooled["n"], fooled["mean"], fooled["beyond"]) == (3, pytest.approx(3.5 / 3), 0)
    assert fooled["std"] == pytest.approx(np.std([1, 0.5, 2], ddof=1))
    robust, fooled = (only(made, outcome=o, measure="length") for o in ("robust", "fooled"))
    assert (robust["n"], robust["mean"], fooled["n"], fooled["mean"]) == (3, 2, 3, pytest.approx(12.5 / 3))
    assert set(made["seed"]) == {"all"} and set(made["seeds"]) == {1}


def test_a_score_that_tells_all_apart_has_area_one_and_one_that_tells_nothing_a_half():
    made = margins_of([margin_record()])
    assert only(made, measure="auc-threshold")["mean"] == 1  # ∞, 5, 4 against 1, .5, 2
    assert only(made, measure="auc-length")["mean"] == pytest.approx(8 / 9)  # 3 is longer than 2.5
    assert only(made, measure="auc-attack_length")["mean"] == 0.5
    assert column(made, "n", outcome="any") == [6, 6, 6]
    row = only(made, measure="auc-length")
    assert (row["low"], row["high"]) == stats.auc(np.array([-1, -2, -3]), np.array([-4, -2.5, -6]))[1:]


def test_scores_that_speak_the_other_way_have_area_zero():
    made = margins_of([margin_record(threshold=[1, 2, 3, 4, 5, inf, 0], length=[9, 8, 7, 1, 2, 3, 0])])
    assert only(made, measure="auc-threshold")["mean"] == only(made, measure="auc-length")["mean"] == 0


def test_margins_of_all_seeds_are_put_together_and_purifiers_kept_apart():
    made = margins_of([margin_record(0), margin_record(1), margin_record(0, purifier="ddim")])
    assert only(made, purifier="ddpm", outcome="robust", measure="length")["n"] == 6
    assert only(made, purifier="ddim", outcome="robust", measure="length")["n"] == 3
    assert set(made[made["purifier"] == "ddpm"]["seeds"]) == {2} and set(made[made["purifier"] == "ddim"]["seeds"]) == {
        1
    }


def test_the_same_images_under_a_second_seed_do_not_narrow_the_interval_of_an_area():
    """The area's n counts images, not outcomes: two seeds that agree say no more than one."""
    once = only(margins_of([margin_record(0)]), measure="auc-length")
    twice = only(margins_of([margin_record(0), margin_record(1)]), measure="auc-length")
    others = margin_record(1, ids=np.arange(30, 37))
    more = only(margins_of([margin_record(0), others]), measure="auc-length")
    assert (once["n"], twice["n"], more["n"]) == (6, 6, 12)
    assert once["mean"] == pytest.approx(twice["mean"]) and once["mean"] == pytest.approx(more["mean"])
    assert twice["low"] == pytest.approx(once["low"]) and more["low"] > once["low"] + 0.05


@pytest.mark.parametrize("robust", [True, False])
def test_where_all_images_end_alike_there_is_nothing_to_tell_apart(robust):
    records = [margin_record(robust=np.full(7, robust))]
    made = margins_of(records)
    absent = "fooled" if robust else "robust"
    assert only(made, outcome=absent, measure="threshold")["n"] == 0
    assert np.isnan(only(made, outcome=absent, measure="threshold")["beyond"])
    assert np.isnan(made[made["outcome"] == "any"][["mean", "low", "high"]].astype(float)).all(axis=None)
    curves = roc_of(records)
    assert len(curves) == 0
    assert list(curves) == ["purifier", "attack", "knowledge", "score", "false_positive", "true_positive"]


def test_a_purifier_that_nothing_fools_has_no_curve_and_leaves_the_others_theirs():
    curves = roc_of([margin_record(robust=np.full(7, True)), margin_record(purifier="ddim")])
    assert set(curves["purifier"]) == {"ddim"} and set(curves["score"]) == {"threshold", "length", "attack_length"}


def test_the_curve_of_a_perfect_score_goes_through_the_corner():
    curves = roc_of([margin_record()])
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
    records = [of_attack("ddpm", "pgd", "all", 0, **arrays)]
    made, curves = margins_of(records), roc_of(records)
    for score in ("threshold", "length", "attack_length"):
        of = curves[curves["score"] == score]
        assert (np.diff(of["false_positive"]) >= 0).all() and (np.diff(of["true_positive"]) >= 0).all()
        area = np.trapezoid(of["true_positive"], of["false_positive"])
        assert only(made, measure=f"auc-{score}")["mean"] == pytest.approx(area, abs=1e-12)


# No image at all.


@pytest.mark.parametrize("table", [study.margins_images, margins_of, roc_of])
def test_a_margin_table_of_no_usable_image_is_empty_and_says_of_what(table):
    made = table([margin_record(usable=np.zeros(7, bool))])
    assert len(made) == 0 and {"purifier", "attack", "knowledge"} < set(made)


# The figure.


def counts(ax, colour: str | None = None) -> np.ndarray:
    return np.array(
        [bar.get_height() for bar in ax.patches if colour in (None, to_hex(bar.get_facecolor(), keep_alpha=True))]
    )


@pytest.mark.parametrize("case", ["all", "all thresholds beyond", "one that nothing fools, one without a usable image"])
def test_margins_are_those_of_the_tables(case, drawn):
    figure, given, *_ = drawn("margins", case)
    axes, (images, roc) = figure.axes, given.values()
    purifiers = list(dict.fromkeys(images["purifier"]))
    assert [ax.get_title(loc="left") for ax in axes[::3]] == purifiers
    (legend,) = legends(figure)
    handles = {text.get_text(): handle for text, handle in zip(legend.texts, legend.legend_handles, strict=True)}
    outcome = {
        name: to_hex(handles[f"{name} images"].get_facecolor(), keep_alpha=True) for name in set(images["outcome"])
    }
    dashes = {score: handles[name].get_linestyle() for score, name in study.SCORE_NAMES.items() if name in handles}
    assert set(dashes) == set(roc["score"]) and len(set(dashes.values())) == len(dashes)
    finite = images["threshold"][np.isfinite(images["threshold"])]
    for purifier, threshold, length, curves in zip(purifiers, axes[::3], axes[1::3], axes[2::3], strict=True):
        part = images[images["purifier"] == purifier]
        for name, colour in outcome.items():
            of = part[part["outcome"] == name]
            assert counts(threshold, colour).sum() == counts(length, colour).sum() == len(of)
            assert counts(threshold, colour)[-1:].sum() >= np.isinf(of["threshold"]).sum()
            if len(of):
                longest = images["length"].max()
                assert counts(length, colour) == pytest.approx(np.histogram(of["length"], 25, (0, longest))[0])
            if len(finite):
                below = of["threshold"] < finite.quantile(0.98) * 24 / 25
                assert counts(threshold, colour)[:-1].sum() == below.sum()
        for score, dash in dashes.items():
            own = roc[(roc["purifier"] == purifier) & (roc["score"] == score)]
            lines = [line for line in curves.lines if line.get_label() == study.SCORE_NAMES[score]]
            assert all(line.get_linestyle() == dash for line in lines)
            assert len(lines) == (len(own) > 0) == part["outcome"].nunique() - 1
            assert all(same(xy(line), own[["false_positive", "true_positive"]]) for line in lines)
