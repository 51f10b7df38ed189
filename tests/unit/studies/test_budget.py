"""The table of the undefended classifier from small records whose answers are known."""

import numpy as np
import pytest
from drawings import PARTS, band, colours, data_axes, of_colour, same, together, xy
from made_up import (
    only,
)
from matplotlib.colors import to_hex

from purity import stats
from purity.studies import budget as study
from purity.studies.records import Record


def test_a_budget_is_a_row_for_each_scale_seed_and_for_all():
    of_seed = lambda seed, robust: Record(  # noqa: E731
        {"attack": "pgd", "seed": seed},
        {"scale": np.array([0.0, 0.5]), "epsilon": np.array([0.0, 0.015]), "robust": np.array(robust, bool)},
    )
    made = study.budget([of_seed(1, [[1, 1, 1, 0], [0, 0, 0, 0]]), of_seed(0, [[1, 1, 1, 0], [1, 0, 1, 0]])])
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
    made = study.budget([of("pgd", [1, 0]), of("pgd-l2", [1, 1])])
    assert only(made, attack="pgd", seed="all")["mean"] == 0.5
    assert only(made, attack="pgd-l2", seed="all")["mean"] == 1.0


# The figure.


@pytest.mark.parametrize("case", PARTS["budget"])
def test_the_budget_is_shown_from_its_least_to_its_largest_scale_beside_the_law(case, drawn):
    figure, given, *_ = drawn("budget", case)
    (ax,), table, points = data_axes(figure), given["budget"], given["law"]
    named = colours(figure.legends[0])
    for attack in ("pgd", "pgd-l2"):
        colour = named[f"classifier alone, {attack} with ε·α"]
        (line,) = of_colour(ax.lines, colour)
        part = together(table, attack=attack).sort_values("scale")
        assert same(xy(line), part[["scale", "mean"]]) and same(band(ax, colour), part[["scale", "low", "high"]])
    found = [pair for bars in ax.containers for pair in xy(bars.lines[0])]
    assert sorted(found) == pytest.approx(np.array(sorted(points[["alpha", "accuracy"]].to_numpy().tolist())))
    assert {to_hex(bars.lines[0].get_color()) for bars in ax.containers} == {named["purifiers"]}
