"""DW-box, from small records whose numbers are counted by hand."""

import numpy as np
import pandas as pd
import pytest
from drawings import STOCHASTIC, bars_by_name, named, together
from made_up import answers, boxed, only
from matplotlib.collections import LineCollection

from purity.studies import dw_box as study
from purity.studies import robustness

EIGHT = [
    answers(attack="clean", knowledge="none", fixed=[1, 1, 1, 0], fresh=[[1, 1, 0, 0], [1, 0, 0, 0]]),
    answers(attack="pgd-eot", knowledge="none", fixed=[0, 0, 0, 0], fresh=[[1, 1, 1, 0], [1, 1, 1, 1]]),
    answers(
        attack="pgd-eot",
        knowledge="forward",
        fixed=[1, 1, 1, 1],
        fresh=[[1, 1, 1, 1]],
        partly=[[1, 0, 0, 0], [1, 1, 0, 0]],
    ),
    answers(attack="pgd", knowledge="reverse", fixed=[0, 0, 0, 0], fresh=[[0, 0, 0, 0]], partly=[[1, 1, 0, 0]]),
    answers(attack="pgd", knowledge="all", fixed=[1, 0, 0, 0], fresh=[[1, 1, 1, 1]]),
]


def test_an_attack_and_the_one_that_averages_are_of_one_family():
    made = study.dw_box(EIGHT)
    of_all = made[(made["seed"] == "all") & (made["attack"] != "clean")]
    assert set(of_all["family"]) == {"pgd"}
    assert dict(zip(of_all["knowledge"], of_all["attack"], strict=True)) == {
        "none": "pgd-eot",
        "forward": "pgd-eot",
        "reverse": "pgd",
        "all": "pgd",
    }


def test_an_attack_averages_if_it_says_so_whatever_its_name():
    named = {"of-many-gradients": "pgd", "pgd-eot": None, "pgd-eot-20": "pgd-eot"}
    made = study.dw_box([answers(attack=name, eot_of=of) for name, of in named.items()])
    assert made[made["seed"] == "all"]["family"].tolist() == ["pgd", "pgd-eot", "pgd-eot"]


def test_who_knows_a_part_is_judged_with_the_rest_fresh_and_others_as_ever():
    made = study.dw_box(EIGHT)
    found = {
        knowledge: (row["judged"], row["mean"])
        for knowledge in ("none", "forward", "reverse", "all")
        for row in [only(made, family="pgd", knowledge=knowledge, seed="all")]
    }
    assert found == {
        "none": ("fresh", 7 / 8),
        "forward": ("rest-fresh", 3 / 8),
        "reverse": ("rest-fresh", 2 / 4),
        "all": ("fixed", 1 / 4),
    }


def test_clean_images_are_judged_under_both_and_are_a_family_of_their_own():
    clean = study.dw_box(EIGHT).query("attack == 'clean' and seed == 'all'")
    assert dict(zip(clean["judged"], clean["mean"], strict=True)) == {"fresh": 3 / 8, "fixed": 3 / 4}
    assert set(clean["family"]) == {"clean"}


def test_but_for_families_it_is_the_table_of_robustness():
    measured = boxed()["measured"]
    made, wanted = study.dw_box(measured), robustness.robustness(measured)
    assert list(made) == ["purifier", "attack", "family", *list(wanted)[2:]]
    pd.testing.assert_frame_equal(made.drop(columns="family"), wanted)
    assert len(made) == 2 * (2 + 8) * 3


# The figure.


def whiskers(ax) -> np.ndarray:
    """Low and high of all upright error bars, from left to right."""
    lines = [s for c in ax.collections if isinstance(c, LineCollection) for s in c.get_segments()]
    upright = [s for s in lines if s[0, 0] == s[-1, 0] and s[0, 1] != s[-1, 1]]
    return np.array([s[:, 1] for s in sorted(upright, key=lambda s: s[0, 0])])


@pytest.mark.parametrize("case", STOCHASTIC["dw-box"])
def test_bars_are_the_accuracies_by_what_the_attacker_knows(case, drawn):
    figure, tables, *_ = drawn("dw-box", case)
    table = together(tables["dw-box"])
    attacks = [family for family in table["family"].unique() if family != "clean"]
    axes = figure.axes
    assert [ax.get_title() for ax in axes] == attacks and len(attacks) in (1, 2)
    assert list(named(figure)) == [study.KNOWS[k] for k in ("none", "forward", "reverse", "all")]
    for ax, attack in zip(axes, attacks, strict=True):
        part = table[table["family"] == attack]
        wanted = {(row.purifier, study.KNOWS[row.knowledge]): row.mean for row in part.itertuples()}
        assert bars_by_name(ax, figure) == wanted and len(wanted) == 4 * table["purifier"].nunique()
        assert [knows for _, knows in bars_by_name(ax, figure)] == table["purifier"].nunique() * list(named(figure))
        assert ax.get_ylim() == (0, 1)


@pytest.mark.parametrize("case", ["all", "odd names", "one purifier, attack and seed", "the other way round"])
def test_error_bars_are_the_intervals_of_the_table(case, drawn):
    figure, tables, *_ = drawn("dw-box", case)
    for ax in figure.axes:
        part = together(tables["dw-box"], family=ax.get_title())
        order = part["knowledge"].map(list(study.KNOWS).index) + 4 * part["purifier"].map(
            list(part["purifier"].unique()).index
        )
        wanted = part.assign(order=order).sort_values("order")[["low", "high"]].to_numpy()
        assert whiskers(ax) == pytest.approx(wanted)


@pytest.mark.parametrize("case", STOCHASTIC["dw-box"])
def test_a_dashed_line_over_the_bars_of_each_purifier_is_its_clean_accuracy_under_fresh_draws(case, drawn):
    figure, tables, *_ = drawn("dw-box", case)
    clean = together(tables["dw-box"], attack="clean", judged="fresh")
    for ax in figure.axes:
        dashed = [s for c in ax.collections if c.get_linestyle()[0][1] for s in c.get_segments()]
        assert [(s[0, 1], s[1, 1]) for s in dashed] == [(mean, mean) for mean in clean["mean"]]
        for k, segment in enumerate(dashed):
            own = [bar for bar in ax.patches if abs(bar.get_x() + bar.get_width() / 2 - k) < 0.5]
            assert len(own) == 4
            assert segment[0, 0] <= min(bar.get_x() for bar in own)
            assert segment[1, 0] >= max(bar.get_x() + bar.get_width() for bar in own)
