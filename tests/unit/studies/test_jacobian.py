"""Tables of singular values from small records whose answers are known."""

import numpy as np
import pytest
from drawings import band, colours, data_axes, of_colour, same, strokes, together, xy
from made_up import (
    known_outcomes,
    only,
    record,
)

from purity.studies import jacobian as study

SPECTRA = [[2.0, 0.5, 0.1, 0.0], [4.0, 1.5, 0.3, 0.2], [1.0, 0.25, 0.2, 0.1]]


LARGEST, BELOW, ABOVE = [2, 4, 1], [0.5, 0.25, 0.5], [0.25, 0.5, 0]  # ¼ is not below ¼, and 1 not above 1


@pytest.mark.parametrize(
    ("measure", "per_image"), [("largest", LARGEST), ("below-quarter", BELOW), ("above-one", ABOVE)]
)
def test_spectra_are_summed_up_image_by_image_and_split_by_the_outcome_of_an_attack(measure, per_image):
    made = study.jacobian([record(singular_values=SPECTRA)], [known_outcomes([1, 0, 1])])
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
    measured = [known_outcomes([0, 1], "ddim", 0), known_outcomes([0, 1], "ddpm", 1), known_outcomes([1, 0], "ddpm", 0)]
    made = study.jacobian(jacobians, measured)
    of = lambda purifier, outcome, seed: only(  # noqa: E731
        made, purifier=purifier, outcome=outcome, seed=seed, measure="largest"
    )
    assert of("ddpm", "robust", 0)["mean"] == 10 and of("ddpm", "robust", 1)["mean"] == 21
    assert of("ddpm", "fooled", "all")["mean"] == (20 + 11) / 2 and of("ddpm", "fooled", "all")["seeds"] == 2
    assert of("ddim", "robust", "all")["mean"] == 8 and of("ddim", "fooled", 0)["mean"] == 7


def test_spectra_of_the_first_images_take_the_outcomes_of_the_first():
    made = study.jacobian([record(singular_values=SPECTRA)], [known_outcomes([0, 1, 0, 1, 1, 1, 0])])
    assert only(made, measure="largest", outcome="robust", seed="all")["mean"] == 4
    assert only(made, measure="largest", outcome="any", seed="all")["n"] == 3


def test_an_outcome_that_no_image_has_has_no_mean_and_no_warning(recwarn):
    made = study.jacobian([record(singular_values=SPECTRA)], [known_outcomes([1, 1, 1])])
    for measure in ("largest", "below-quarter", "above-one"):
        for seed in (0, "all"):
            row = only(made, measure=measure, outcome="fooled", seed=seed)
            assert row["n"] == 0 and np.isnan(row["mean"]) and np.isnan(row["std"])
            whole, robust = (only(made, measure=measure, outcome=o, seed=seed) for o in ("any", "robust"))
            assert (whole["n"], whole["mean"]) == (robust["n"], robust["mean"])
    assert not list(recwarn)


def test_without_an_attack_there_is_no_outcome_but_any():
    made = study.jacobian([record(singular_values=SPECTRA)], [known_outcomes([1, 1, 1], "ddim")])
    assert only(made, measure="largest", outcome="any", seed="all")["n"] == 3
    assert set(made[made["outcome"] != "any"]["n"]) == {0}


def test_the_spectrum_by_rank_is_over_images_and_seeds():
    records = [record(seed=1, singular_values=SPECTRA[2:]), record(seed=0, singular_values=SPECTRA[:2])]
    made = study.jacobian_spectrum([*records, record("ddim", singular_values=[[9.0, 8.0]])])
    together = made[made["purifier"] == "ddpm"]
    assert together["rank"].tolist() == [1, 2, 3, 4] and set(together["seeds"]) == {2} and set(together["n"]) == {3}
    assert together["mean"].to_numpy() == pytest.approx([7 / 3, 0.75, 0.2, 0.1])
    assert together["std"].to_numpy() == pytest.approx(np.std(SPECTRA, axis=0, ddof=1))
    # of 1, 2, 4 in order: a twentieth of the way from the least to the next, and from the largest to the next
    assert (together["low"].iloc[0], together["high"].iloc[0]) == pytest.approx((1 + 0.05 * 1, 4 - 0.05 * 2))
    assert made[made["purifier"] == "ddim"][["mean", "low", "high"]].to_numpy().tolist() == [[9] * 3, [8] * 3]


def test_of_the_largest_values_alone_the_largest_is_known_and_its_bound_and_no_shares():
    part = record(singular_values=[[2.0, 0.5], [4.0, 1.5], [1.0, 0.2]], upper=[[2.5, 1.5], [4.5, 2.5], [1.5, 1.2]])
    made = study.jacobian([part], [known_outcomes([1, 0, 1])])
    assert set(made["measure"]) == {"largest", "largest-at-most"}
    assert only(made, measure="largest-at-most", outcome="robust", seed="all")["mean"] == 2.0
    assert [said.quantity for said in study.evidence([part], [known_outcomes([1, 0, 1])])] == ["singular-fooled-gap"]


# The figure.


OUTCOMES = {"all images": "any", "robust images": "robust", "fooled images": "fooled"}


def test_singular_values_by_rank_and_the_largest_by_outcome_are_those_of_the_tables(drawn):
    figure, given, *_ = drawn("jacobian")
    (left, right), (spectrum, summary) = data_axes(figure), given.values()
    legend, purifiers = colours(figure.legends[0]), set(spectrum["purifier"])
    named = {label: colour for label, colour in legend.items() if label in purifiers}
    assert list(named) == ["ddpm", "reverse", "ddim"]
    for purifier, colour in named.items():
        (line,) = of_colour(left.lines, colour)
        part = spectrum[spectrum["purifier"] == purifier]
        assert same(xy(line), part[["rank", "mean"]])
        assert same(band(left, colour), part[["rank", "low", "high"]])
    outcome = {colour: name for label, colour in legend.items() for name in [OUTCOMES.get(label)] if name}
    purifiers = [t.get_text() for t in right.get_xticklabels()]
    shown = {
        (purifiers[round(bar.get_x() + bar.get_width() / 2)], outcome[strokes(bar)[0][0]]): bar.get_height()
        for bar in right.patches
        if np.isfinite(bar.get_height())
    }
    largest = together(summary, measure="largest").set_index(["purifier", "outcome"])["mean"]
    assert len(largest) == 9 and shown == pytest.approx(largest.to_dict())


@pytest.mark.parametrize(("case", "outcome"), [("nothing fooled", "robust"), ("nothing robust", "fooled")])
def test_an_outcome_that_no_image_has_has_no_bar(case, outcome, drawn):
    figure = drawn("jacobian", case).figure
    assert [OUTCOMES[label] for label in colours(figure.legends[0]) if label in OUTCOMES] == ["any", outcome]
    assert sum(np.isfinite(bar.get_height()) for bar in data_axes(figure)[1].patches) == 6
