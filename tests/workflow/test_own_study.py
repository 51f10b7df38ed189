"""A study of the user's own, as the README shows it: its results are among ours without an edit of ours."""

import numpy as np
import pandas as pd
import pytest
import yaml

from purity.run import store

R = "results/tiny"


def test_only_the_study_and_what_joins_all_studies_run(studied):
    done = set(studied.done((studied.path / "printed").read_text(encoding="utf-8")))
    assert done == {"flips_tables", "flips_figure", "findings", "comparison_page", "all"}


def test_its_table_is_what_its_function_makes_of_the_records(studied):
    table = store.load_table(studied.path / f"{R}/tables/flips.csv")
    assert len(table) == 2 * 7  # seeds; clean and attacked images of both purifiers
    measures = studied.path / f"{R}/measures/ddpm/attacked.zarr.zip"
    fixed, fresh = store.load(measures, "correct_fixed", "correct_varying", part="pgd/all/seed-1")
    row = table.query("purifier == 'ddpm' and attack == 'pgd' and knowledge == 'all' and seed == '1'")
    assert row["mean"].item() == pytest.approx((fixed != fresh[0]).mean()) and row["n"].item() == 6
    assert (studied.path / f"{R}/figures/flips.png").exists() and (studied.path / f"{R}/figures/flips.pdf").exists()


def test_its_claim_is_held_against_its_evidence_among_ours(studied, finished):
    evidence = store.load_table(studied.path / f"{R}/evidence/flips.csv")
    assert set(evidence["quantity"]) == {"flip-share"} and len(evidence) == 5  # the cases of ddpm
    ours, found = (pd.read_csv(w.path / f"{R}/tables/findings.csv") for w in (finished, studied))
    # verdicts are those of a family, of which it is one more
    measured = list(ours.columns[: ours.columns.get_loc("verdict")])
    assert found.iloc[: len(ours)][measured].equals(ours[measured])
    mine = found.iloc[len(ours) :]
    (claim,) = yaml.safe_load((studied.path / "my_claims.yaml").read_text(encoding="utf-8"))
    assert set(mine["claim"]) == {claim["claim"]} and np.allclose(mine["mean"], evidence["mean"])
    assert claim["claim"] in (studied.path / f"{R}/comparison.html").read_text(encoding="utf-8")


def test_evidence_of_a_quantity_that_was_not_declared_is_one_line(studied, tmp_path):
    workspace = studied.copy(tmp_path / "copy")
    workspace.edit("my_study.py", 'yield of_mean("flip-share"', 'yield of_mean("flip-chance"')
    printed = workspace.run(f"{R}/tables/flips.csv", "--configfile", "my_study.yaml", fails=True)
    (line,) = [line for line in printed.splitlines() if line.startswith("ERROR ")]
    assert "my_study.evidence yields flip-chance, which its QUANTITIES do not name" in line


def test_a_claim_that_no_study_has_a_quantity_for_is_one_line_before_any_job(studied, tmp_path):
    workspace = studied.copy(tmp_path / "copy")
    workspace.edit("my_claims.yaml", "quantity: flip-share", "quantity: flip-chance")
    printed = workspace.run("--configfile", "my_study.yaml", fails=True)
    (line,) = [line for line in printed.splitlines() if "flip-chance" in line]
    assert line.startswith("my_claims.yaml: claim 1") and "no study declares the quantity flip-chance" in line
    assert "Traceback" not in printed and "rule " not in printed
