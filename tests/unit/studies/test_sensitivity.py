"""Sensitivity, from small records whose numbers are counted by hand."""

import numpy as np
import pytest
from made_up import only, probe

from purity import stats
from purity.studies import drawing
from purity.studies import sensitivity as study
from purity.studies.records import Record


def variant(purifier, of, differs, seed=0, **arrays):
    plain = probe(purifier, 100, seed, **arrays)
    return Record(plain.keys | {"variant_of": of, "differs": differs}, plain.arrays)


VARIED = [
    probe("ddpm", 100, 0, alpha=[0.2, 0.4, 0.6], clean_fixed=[1, 1, 1], robust=[1, 0, 1]),
    probe("ddpm", 100, 1, alpha=[0.4, 0.4, 0.4], clean_fixed=[1, 1, 0], robust=[1, 0, 0]),
    variant("small", "ddpm", "sigma small", 0, alpha=[0.1, 0.1, 0.4], clean_fixed=[1, 1, 1], robust=[0, 0, 1]),
    variant("small", "ddpm", "sigma small", 1, alpha=[0.1, 0.1, 0.4], clean_fixed=[1, 1, 1], robust=[0, 0, 1]),
]


def test_a_variant_has_its_means_and_its_changes_image_by_image_over_seeds():
    made = study.sensitivity(VARIED)
    assert len(made) == 2 * 3 and set(made["n"]) == {3} and set(made["seeds"]) == {2}
    alpha = only(made, purifier="small", measure="alpha")
    assert (alpha["variant_of"], alpha["differs"], alpha["mean"]) == ("ddpm", "sigma small", pytest.approx(0.2))
    wanted = stats.mean_interval(np.array([0.1 - 0.3, 0.1 - 0.4, 0.4 - 0.5]))
    assert (alpha["change"], alpha["low"], alpha["high"]) == pytest.approx(wanted)
    robust = only(made, purifier="small", measure="robust-accuracy")
    assert (robust["mean"], robust["change"]) == pytest.approx((1 / 3, (0 - 1 + 0 - 0 + 1 - 0.5) / 3))
    clean = only(made, purifier="small", measure="clean-accuracy")
    assert (clean["mean"], clean["change"]) == pytest.approx((1, 1 / 6))


def test_a_purifier_that_is_no_variant_has_means_and_no_change():
    made = study.sensitivity(VARIED)
    own = made[made["purifier"] == "ddpm"]
    assert own["change"].isna().all() and own["variant_of"].isna().all() and own["mean"].notna().all()


def test_a_variant_without_its_purifier_is_compared_with_nothing():
    assert study.sensitivity(VARIED[2:])["change"].isna().all()


def test_the_figure_has_a_point_for_each_measure_of_each_variant():
    table = study.sensitivity(VARIED)
    with drawing.style():
        ax = study.draw_sensitivity(table).axes[0]
    points = sorted(x for bars in ax.containers for x in bars.lines[0].get_xdata())
    assert points == pytest.approx(sorted(table["change"].dropna())) and len(points) == 3
    assert [label.get_text() for label in ax.get_yticklabels()] == ["ddpm: sigma small"]
