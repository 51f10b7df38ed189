"""What the README says under its first figure, and the table of claims, is what the kept runs measured."""

import json
import re

import pandas as pd
import pytest
from made_up import only
from workspace import ROOT

from purity.report.across import across, markdown
from purity.studies.drawing import all_seeds

KEPT, LONGER, DIGITS = (ROOT / "docs" / name for name in ("fashion-mnist", "fashion-eot", "digits"))
# Claims of digits that tests/slow/test_findings.py does not measure again: a case, or all, and its verdict.
OF_DIGITS = {
    "EOT is stronger than a single gradient where ξ is not known": ("ddpm, pgd", "holds"),
    "The decision changes sharply along the adversarial direction": (None, "measured"),
    "… and only once": (None, "measured"),
    "α of reverse rises between t = 200 and 700": (None, "does not hold"),
    "Nine of ten directions are compressed below a quarter": (None, "does not hold"),
    "RBGM helps: without it, in the ball of the attack, fine-tuning gains less": (None, "does not hold"),
}
README = (ROOT / "README.md").read_text(encoding="utf-8")


def accuracy(run=KEPT, **keys) -> str:
    """Mean over images and seeds, as the README writes it."""
    row = only(all_seeds(pd.read_csv(run / "tables/robustness.csv")), **keys)
    return f"{100 * row['mean']:.1f} %"


def verdict(run, attack):
    return only(pd.read_csv(run / "tables/strength-verdicts.csv"), attack=attack, seed="all")


def test_the_numbers_under_the_first_figure_are_those_of_the_run_it_is_of():
    figure, caption = re.search(r"!\[[^]]*\]\((\S+)\)\n\n\*(.+?)\*\n\n", README, re.DOTALL).groups()
    assert (ROOT / figure).is_relative_to(KEPT) and (ROOT / figure).exists()
    said = re.findall(r"\d+\.\d %", " ".join(caption.split()))
    assert said == [
        accuracy(purifier="identity", attack="clean", judged="fresh"),
        accuracy(purifier="identity", attack="pgd"),
        accuracy(purifier="ddpm", attack="pgd", knowledge="none"),
        accuracy(purifier="ddpm", attack="pgd", knowledge="all"),
        accuracy(purifier="ddpm", attack="standard-eot", knowledge="none"),
        accuracy(LONGER, purifier="ddpm", attack="standard-eot", knowledge="none"),
        accuracy(purifier="ddpm", attack="standard", knowledge="all"),
    ]
    assert verdict(KEPT, "standard")["verdict"] == "converged"


def test_what_is_said_of_averaging_longer_is_what_the_two_runs_measured():
    """On the same networks: clean images are judged alike to the last bit."""
    page = (ROOT / "docs/what-carries-over.md").read_text(encoding="utf-8")
    trust = page.split("## How far to trust the attacks")[1].split("\n## ")[0]
    short, longer, known = re.findall(r"^\| (?:`standard-eot`|the same|`standard`, ξ).*? \| (.*%) \|$", trust, re.M)
    purifiers = ("ddpm", "reverse", "ddim", "one-step")
    for said, run, attack in (
        (short, KEPT, "standard-eot"),
        (longer, LONGER, "standard-eot"),
        (known, KEPT, "standard"),
    ):
        assert said.split(" | ") == [accuracy(run, purifier=purifier, attack=attack) for purifier in purifiers]
    clean = [
        frame[(frame["attack"] == "clean") & frame["purifier"].isin(purifiers)].reset_index(drop=True)
        for frame in (pd.read_csv(run / "tables/robustness.csv") for run in (KEPT, LONGER))
    ]
    assert len(clean[0]) and clean[0].equals(clean[1])
    for run, points in ((KEPT, "4.0 points [2.6, 5.4]"), (LONGER, "1.2 points more [0.2, 2.3]")):
        lost = verdict(run, "standard-eot")
        numbers = [f"{100 * lost[name]:.1f}" for name in ("loss", "low", "high")]
        assert points in trust and re.findall(r"[\d.]+", points) == numbers and lost["verdict"] == "not converged"


def columns(table: str) -> dict[tuple[str, str], dict[str, str]]:
    """Of a table in Markdown, by source and claim: cell by column."""
    head, _, *rows = ([cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.strip().splitlines())
    return {(row[0], row[1]): dict(zip(head, row, strict=True)) for row in rows}


def test_the_table_of_what_carries_over_is_that_of_the_kept_findings():
    page = (ROOT / "docs/what-carries-over.md").read_text(encoding="utf-8")
    said = columns("\n".join(re.findall(r"^\|.*$", page.split("## Every claim")[1], re.MULTILINE)))
    runs = {run.name: pd.read_csv(run / "tables/findings.csv") for run in (DIGITS, KEPT)}
    assert said == columns(markdown(across(runs)))


@pytest.mark.parametrize("claim", OF_DIGITS)
def test_a_claim_of_digits_is_what_their_kept_run_says(claim):
    case, verdict = OF_DIGITS[claim]
    findings = pd.read_csv(DIGITS / "tables/findings.csv").query("claim == @claim")
    assert set(findings["verdict"][(findings["case"] == case) if case else slice(None)]) == {verdict}


def test_eot_is_stronger_than_one_draw_and_weaker_than_knowing():
    """PGD ≥ PGD-EOT > PGD that knows ξ (Table 2), by the means of digits."""
    frame = all_seeds(pd.read_csv(DIGITS / "tables/robustness.csv"))
    pgd, eot = (only(frame, purifier="ddpm", attack=a, knowledge="none")["mean"] for a in ("pgd", "pgd-eot"))
    known = only(frame, purifier="ddpm", attack="pgd", knowledge="all")["mean"]
    assert pgd >= eot > known


@pytest.mark.parametrize("purifier", ["ddpm", "reverse", "ddim"])
def test_on_digits_the_standard_attack_has_converged_and_the_papers_has_not(purifier):
    """Of who knows ξ; tests/slow/test_findings.py measures it again for ddpm."""
    verdicts = pd.read_csv(DIGITS / "tables/strength-verdicts.csv")
    keys = {"purifier": purifier, "knowledge": "all"}
    standard, protocol = (only(verdicts, attack=attack, **keys) for attack in ("standard", "pgd"))
    assert standard["verdict"] == "converged" and standard["accuracy"] - standard["union"] <= 0.03
    assert protocol["verdict"] == "not converged" and protocol["loss"] > 0.05


def test_the_accuracies_of_digits_in_the_readme_are_those_of_their_kept_run():
    (row,) = re.findall(r"^\| `robustness` \|.*\|.*\|$", README, re.MULTILINE)
    eot, known = {"knowledge": "none", "judged": "fresh"}, {"knowledge": "all", "judged": "fixed"}
    assert re.findall(r"\d+\.\d %", row) == [
        accuracy(DIGITS, purifier="ddpm", attack=attack, **keys)
        for attack, keys in (
            ("pgd", eot),
            ("pgd", known),
            ("pgd-eot", eot),
            ("standard-eot", eot),
            ("standard", known),
        )
    ]


@pytest.mark.parametrize("kept", [KEPT, DIGITS])
def test_the_run_says_what_made_it(kept):
    run = json.loads((kept / "run.json").read_text(encoding="utf-8"))
    assert run["jobs"] > 100 and run["versions"]["torch"] and run["devices"]
    assert set(run["commits"]) and len(run["kept_at_commit"]) == 40
