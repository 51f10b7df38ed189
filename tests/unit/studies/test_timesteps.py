"""Tables by strength from small records whose answers are known."""

import numpy as np
import pytest
from drawings import colours, data_axes, legends, same, together, whiskers, xy
from made_up import (
    only,
    probe,
)
from matplotlib.colors import to_hex

from purity import stats
from purity.studies import law, predictors
from purity.studies import timesteps as study

SWEEP = [
    probe("ddpm", 100, 0, alpha=[0.1, 0.3], robust=[1, 1], clean_fixed=[1, 1], clean_fresh=[0, 1]),
    probe("ddim", 30, 0, alpha=[0.5, 0.5], robust=[0, 1], clean_fixed=[1, 0], clean_fresh=[1, 0]),
    probe("ddpm", 9, 1, alpha=[0.9, np.nan], robust=[0, 1], clean_fixed=[0, 1], clean_fresh=[1, 1]),
    probe("ddpm", 9, 0, alpha=[0.8, 1.0], robust=[0, 0], clean_fixed=[1, 1], clean_fresh=[1, 1]),
    probe("ddpm", 1000, 0, alpha=[0.0, 0.0], clean_fixed=[0, 0], clean_fresh=[0, 0]),
]


def test_the_table_of_strengths_is_of_attacked_purifiers_in_order_of_strength():
    made = study.timesteps(SWEEP)
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
    made = study.clean_t(SWEEP)
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


@pytest.mark.parametrize("table", [study.timesteps, study.clean_t, law.law, predictors.predictors])
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


def test_a_papers_attack_has_its_own_rows_beside_the_sweeps():
    beside = probe("ddpm", 9, 0, alpha=[0.8, 1.0], robust=[0, 0], robust_protocol=[0, 1], clean_fixed=[1, 1])
    made = study.timesteps([beside, *SWEEP[:2]])
    robust = made[(made["measure"] == "robust-accuracy") & (made["seed"] == "all")]
    assert [tuple(row) for row in robust[["purifier", "t", "attack", "mean"]].to_numpy()] == [
        ("ddpm", 9, "standard", 0.0),
        ("ddpm", 9, "pgd", 0.5),
        ("ddpm", 100, "standard", 1.0),
        ("ddim", 30, "standard", 0.5),
    ]
    assert made[made["measure"] == "alpha"]["attack"].isna().all()


# The figure.


def test_a_papers_attack_is_a_dotted_line_of_its_purifiers_colour(drawn):
    figure, given, *_ = drawn("timesteps")
    (_, below), (table,) = data_axes(figure), given.values()
    dotted = {line.get_label(): line for line in below.get_lines() if line.get_linestyle() == ":"}
    (named,) = (colours(legend) for legend in legends(figure))
    assert dotted and all(label.endswith(", pgd") for label in dotted)
    for label, line in dotted.items():
        purifier = label.removesuffix(", pgd")
        assert to_hex(line.get_color()) == named[purifier] == named[label]
        part = together(table, measure="robust-accuracy", purifier=purifier, attack="pgd")
        assert same(xy(line), part[["t", "mean"]])


@pytest.mark.parametrize(
    ("name", "measures"), [("timesteps", ["alpha", "robust-accuracy"]), ("clean-t", ["clean-fixed", "alpha"])]
)
def test_what_hangs_on_the_strength_is_shown_at_each_strength(name, measures, drawn):
    figure, given, *_ = drawn(name)
    axes, (table,) = data_axes(figure), given.values()
    (named,) = (colours(legend) for legend in legends(figure))
    named = {name: colour for name, colour in named.items() if "," not in name}
    assert list(named) == ["ddpm", "reverse", "ddim", "one-step"]
    for ax, measure in zip(axes, measures, strict=True):
        assert ("accuracy" in ax.get_ylabel()) == (measure != "alpha") and len(ax.containers) == len(named)
        assert ax.get_xscale() == "log" and ax.get_xlabel() == "strength t"
        for (purifier, colour), bars in zip(named.items(), ax.containers, strict=True):
            part = together(table, measure=measure, purifier=purifier)
            part = part[part["attack"] != "pgd"] if "attack" in part else part
            assert to_hex(bars.lines[0].get_color()) == colour and same(xy(bars.lines[0]), part[["t", "mean"]])
            if measure == "alpha":
                part = part.assign(low=part["mean"] - part["std"], high=part["mean"] + part["std"])
            assert same(whiskers(bars), part[["t", "low", "high"]])
        ticks = [t.get_text() for t in ax.get_xticklabels()]
        assert len(ticks) >= 4 and set(map(int, ticks)) <= set(table["t"])  # of close neighbours one is named
