"""Tables of principal components from small records whose answers are known."""

import numpy as np
import pandas as pd
import pytest
from drawings import colours, data_axes, of_colour, same, xy
from made_up import only, record

from purity.studies import pca as study


def test_where_purification_changes_nothing_the_rows_after_are_those_before():
    variance = np.sort(np.random.default_rng(0).random((5, 6)))[:, ::-1]
    made = study.pca([record(before=variance, after=variance)])
    before, after = (
        made[made["when"] == when].drop(columns="when").reset_index(drop=True) for when in ("before", "after")
    )
    pd.testing.assert_frame_equal(before, after)
    assert before["mean"].mean() == pytest.approx(1) and before["share"].sum() == pytest.approx(1)


def test_a_round_ball_that_is_left_alone_has_relative_variance_one():
    flat = np.full((4, 6), 1 / 300)
    made = study.pca([record(seed=s, before=flat, after=flat) for s in (0, 1)])
    assert made["mean"].to_numpy() == pytest.approx(np.ones(12)) and made["std"].to_numpy() == pytest.approx(
        np.zeros(12)
    )
    assert set(made["n"]) == {8} and set(made["seeds"]) == {2}
    assert made["share"].to_numpy() == pytest.approx(np.full(12, 1 / 6))
    assert made["variance"].to_numpy() == pytest.approx(np.full(12, 1 / 300))


def test_variance_is_relative_to_the_mean_of_the_same_images_ball_before():
    before = [[3.0, 1.0], [5.0, 3.0]]  # of mean 2 and 4
    after = [[4.0, 0.0], [2.0, 2.0]]
    made = study.pca(
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
    made = study.pca([record(before=variance, after=0.3**2 * variance)])
    before, after = (made[made["when"] == when] for when in ("before", "after"))
    for name, factor in (("mean", 0.09), ("std", 0.09), ("variance", 0.09), ("share", 1)):
        assert after[name].to_numpy() == pytest.approx(factor * before[name].to_numpy(), rel=1e-9)


@pytest.mark.parametrize(("kept", "components"), [(2, 2), (6, 6), (50, 6)])
def test_only_the_first_components_are_kept_and_their_shares_are_of_all(kept, components):
    spectrum = [[6.0, 5, 4, 3, 2, 1]]
    made = study.pca([record(before=spectrum, after=spectrum)], kept)
    assert made["component"].tolist() == 2 * list(range(1, components + 1))
    assert only(made, when="after", component=1)["share"] == pytest.approx(6 / 21)
    assert only(made, when="after", component=2)["mean"] == pytest.approx(5 / 3.5)


# The figure.


def test_principal_variances_are_those_of_the_table(drawn):
    figure, given, *_ = drawn("pca")
    (ax,), (table,) = data_axes(figure), given.values()
    named = colours(figure.legends[0])
    assert list(named) == ["before", "after ddpm", "after reverse"] and ax.get_yscale() == "log"
    for label, colour in named.items():
        when, _, purifier = label.partition(" ")
        part = table[(table["when"] == when) & (table["purifier"] == (purifier or "ddpm"))]
        (line,) = of_colour(ax.lines, colour)
        assert len(part) == 16 and same(xy(line), part[["component", "mean"]])
