"""How strong attacks are: tables, verdicts and evidence of variants, from made-up outcomes."""

import numpy as np
import pandas as pd
import pytest
from made_up import answers, only

from purity.run import store
from purity.studies import strength as study
from purity.studies.records import Record

N = 100


def first(k: int) -> list[bool]:
    """The first k of the images are right."""
    return [i < k for i in range(N)]


def point(attack: str, left: int, of="pgd", knowledge="all", place=0, beyond=False, seed=0, **values) -> Record:
    """A variant under which `left` images stay right, a point of a grid in which `values` vary."""
    grid = {"of": of, "set": {}, "place": place, "varied": list(values), "values": list(values.values())}
    said = {"grids": [grid] if values else [], "beyond": beyond}
    right = {"fixed": first(left)} if knowledge == "all" else {"fixed": first(N), "fresh": [first(left)]}
    return answers("ddpm", attack, knowledge, seed, **({"fresh": [first(N)]} | right), **said)


STEPS = [point(f"pgd@steps={n}", left, steps=n, place=k) for k, (n, left) in enumerate([(10, 80), (80, 40), (20, 60)])]
BEYOND = point("harder", 35, beyond=True)


def verdicts(*headline: Record, varied=(*STEPS, BEYOND), tried=()) -> pd.DataFrame:
    return study.strength_verdicts(list(headline), list(varied), list(tried))


def test_a_row_for_each_point_of_each_grid_judged_as_its_knowledge_means_it():
    fresh = [point(f"eot@draws={d}", 50 + d, "eot", "none", draws=d) for d in (1, 3)]
    table = study.strength([*STEPS, *fresh, BEYOND], [])
    shown = table[table["seed"].astype(str) == "all"]
    assert dict(zip(shown["variant"], shown["mean"], strict=True)) == {
        **{"eot@draws=1": 0.51, "eot@draws=3": 0.53},
        **{"pgd@steps=10": 0.8, "pgd@steps=80": 0.4, "pgd@steps=20": 0.6},
    }
    row = only(shown, variant="pgd@steps=80")
    assert (row["attack"], row["varied"], row["value"], row["judged"]) == ("pgd", "steps", "80", "fixed")
    assert row["low"] < 0.4 < row["high"] and row["n"] == N
    assert study.strength([BEYOND], []).empty


def test_a_variant_that_several_grids_share_is_in_each_of_them():
    twice = point("pgd", 50, steps=40)
    twice.keys["grids"].append({"of": "pgd", "set": {}, "place": 1, "varied": ["loss"], "values": ["dlr"]})
    table = study.strength([twice], [])
    assert set(zip(table["varied"], table["value"], strict=True)) == {("steps", "40"), ("loss", "dlr")}


def test_one_is_a_number_and_true_is_yes():
    grids = [point("eot@1", 50, "eot", draws=1), point("eot@start", 50, "eot", random_start=True)]
    table = study.strength(grids, [])
    assert set(zip(table["varied"], table["value"], strict=True)) == {("draws", "1"), ("random_start", "yes")}


def test_what_an_attack_asked_of_gradients_stands_beside_what_it_did():
    images = Record(STEPS[0].keys, {"gradients": np.array([10, 20]), "zero_gradients": np.array([0.5, np.nan])})
    row = study.strength(STEPS[:1], [images]).iloc[-1]
    assert (row["gradients"], row["zero_gradients"]) == (15, 0.5)
    assert "gradients" not in study.strength(STEPS[:1], []) and "gradients" in verdicts(STEPS[0], tried=[images])


def test_what_ten_times_the_budget_takes_decides_whether_an_attack_has_converged():
    weak, strong = answers("ddpm", "pgd", "all", fixed=first(51)), answers("ddpm", "standard", "all", fixed=first(36))
    table = verdicts(weak, strong).set_index("attack")
    assert table["loss"].to_dict() == pytest.approx({"pgd": 0.16, "standard": 0.01})
    assert table["verdict"].to_dict() == {"pgd": "not converged", "standard": "converged"}
    assert (table["low"] < table["loss"]).all() and (table["loss"] < table["high"]).all()
    assert set(table["beyond"]) == {"harder"} and set(table["n"]) == {N}


def test_attacks_that_fool_other_images_are_no_stronger_for_it():
    """Ten images more on one side, ten on the other: no loss, and an interval that says how much there may be."""
    other = answers("ddpm", "standard", "all", fixed=[i < 25 or 35 <= i < 45 for i in range(N)])
    row = verdicts(other).iloc[0]
    assert row["loss"] == pytest.approx(0) and row["low"] < -0.05 < 0.05 < row["high"] and row["verdict"] == "converged"
    assert row["union"] == pytest.approx(0.25)


def test_the_union_is_of_attacks_within_the_ball():
    larger = point("pgd@epsilon=0.6", 0, epsilon=0.6)
    row = verdicts(answers("ddpm", "pgd", "all", fixed=first(51)), varied=[*STEPS, larger, BEYOND]).iloc[0]
    assert row["union"] == 0.35
    fresh = answers("ddpm", "eot", "none", fresh=[first(50)])
    harder = point("harder-eot", 48, knowledge="none", beyond=True)
    assert np.isnan(verdicts(fresh, varied=[harder]).iloc[0]["union"])


def test_without_an_attack_to_be_measured_by_there_is_no_verdict():
    other = answers("reverse", "pgd", "all", fixed=first(51))
    assert verdicts(other).empty and list(verdicts(other).columns) == list(verdicts(STEPS[0]).columns)


def found(*varied: Record, headline=()) -> pd.DataFrame:
    return pd.DataFrame(study.evidence(verdicts(*headline, varied=varied), list(varied)))


def test_draws_are_compared_with_steps_at_an_equal_number_of_gradients():
    points = [(60, 1, 50), (20, 3, 52), (6, 10, 60)]
    equal = [point(f"eot@{s}", left, "eot", "none", steps=s, draws=d) for s, d, left in points]
    gaps = found(*equal).set_index("case")["mean"]
    assert gaps.to_dict() == pytest.approx({"ddpm, eot, 60 × 1 − 20 × 3": -0.02, "ddpm, eot, 60 × 1 − 6 × 10": -0.1})
    assert found(*equal[:1], point("eot@9", 5, "eot", "none", steps=9, draws=9)).empty


def test_the_largest_budget_is_the_one_that_should_fool_all():
    budgets = [point(f"pgd@{e}", left, epsilon=e) for e, left in ((0.15, 50), (0.6, 0), (0.3, 20))]
    row = found(*budgets).iloc[0]
    assert (row["quantity"], row["mean"]) == ("large-budget-accuracy", 0) and row["case"].endswith("ε = 0.6")
    assert row["low"] == -row["high"] == pytest.approx(-0.03)  # none of a hundred, which may be three


def test_evidence_of_convergence_names_the_attack_it_is_about():
    row = found(BEYOND, headline=[answers("ddpm", "pgd", "all", fixed=first(51))]).iloc[0]
    assert (row["quantity"], row["cells"]) == ("tenfold-loss", "ddpm/pgd/all")


def test_the_figure_has_a_panel_for_each_option_and_one_for_the_verdicts():
    grids = [*STEPS, *(point(f"pgd@loss={v}", 50, loss=v, place=k) for k, v in enumerate(("dlr", "margin")))]
    table = study.strength(grids, [])
    figure = study.draw_strength(table, verdicts(answers("ddpm", "pgd", "all", fixed=first(51))))
    shown = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_xlabel() for ax in shown] == ["loss", "steps", "accuracy that ten times the budget takes"]
    (line,) = (line for line in shown[1].lines if len(line.get_xdata()) == 3)
    assert line.get_ydata().tolist() == [0.8, 0.6, 0.4]  # in the order of the steps, not of the config


def test_without_grids_the_figure_shows_the_verdicts_alone(tmp_path):
    empty = tmp_path / "strength.csv"
    store.save_table(empty, study.strength([BEYOND], []))
    figure = study.draw_strength(store.load_table(empty), verdicts(STEPS[1]))
    assert len(figure.axes) == 1


def test_the_figure_of_a_table_that_was_read_is_that_of_the_table_as_made(tmp_path):
    """Where all values are numbers and nothing else is set, a file gives numbers, and gaps."""
    table, beside = study.strength(STEPS, []), verdicts(answers("ddpm", "pgd", "all", fixed=first(51)))
    store.save_table(tmp_path / "strength.csv", table)
    said = []
    for given in (table, store.load_table(tmp_path / "strength.csv")):
        ax, _ = (ax for ax in study.draw_strength(given, beside).axes if ax.axison)
        said.append(([text.get_text() for text in ax.get_xticklabels()], ax.get_legend_handles_labels()[1]))
    assert said[0] == said[1] == (["10", "20", "80"], ["ddpm, pgd, knows ξ"])
