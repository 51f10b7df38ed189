"""Claims are held against evidence of which the truth is known."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from purity.report.findings import findings, gathered, verdict

HOLDS, FAILS, OPEN = "holds", "does not hold", "undecided"
inf, nan = np.inf, np.nan


# Verdicts.


@pytest.mark.parametrize(
    ("low", "high", "target", "said"),
    [
        (0.2, 0.3, (0.1, 0.4), HOLDS),
        (0.5, 0.6, (0.1, 0.4), FAILS),
        (-0.2, 0.0, (0.1, 0.4), FAILS),
        (0.3, 0.5, (0.1, 0.4), OPEN),
        (0.0, 0.2, (0.1, 0.4), OPEN),
        (0.0, 0.5, (0.1, 0.4), OPEN),
        # touching from within, from outside
        (0.1, 0.4, (0.1, 0.4), HOLDS),
        (0.4, 0.5, (0.1, 0.4), OPEN),
        (0.0, 0.1, (0.1, 0.4), OPEN),
        # open to one side
        (1e9, 1e10, (0.0, inf), HOLDS),
        (-2.0, -1.0, (0.0, inf), FAILS),
        (-1.0, 1.0, (0.0, inf), OPEN),
        (-2.0, -1.0, (-inf, 0.0), HOLDS),
        (1.0, inf, (-inf, 0.0), FAILS),
        (1.0, inf, (1.0, inf), HOLDS),
        (-inf, inf, (0.0, inf), OPEN),
        # no interval
        (nan, nan, (-inf, inf), OPEN),
        (nan, 5.0, (0.0, 1.0), OPEN),
        (-5.0, nan, (0.0, 1.0), OPEN),
        (nan, -5.0, (0.0, 1.0), OPEN),
        (5.0, nan, (0.0, 1.0), OPEN),
    ],
)
def test_a_claim_holds_where_the_whole_interval_is_and_fails_where_none_of_it_is(low, high, target, said):
    assert verdict(low, high, target) == said


def test_turning_an_interval_and_its_target_round_changes_no_verdict():
    edges = [-inf, -1.0, -0.5, 0.0, 0.5, 1.0, inf]
    intervals = [(a, b) for a, b in product(edges, edges) if a < b]
    for (low, high), (start, end) in product(intervals, intervals):
        assert verdict(low, high, (start, end)) == verdict(-high, -low, (-end, -start))


def test_a_narrower_interval_never_turns_one_verdict_into_the_other():
    edges = np.linspace(-1, 1, 9)
    for low, high in ((a, b) for a, b in product(edges, edges) if a < b):
        wide, narrow = verdict(low - 0.1, high + 0.1, (-0.5, 0.5)), verdict(low, high, (-0.5, 0.5))
        assert wide in (OPEN, narrow)


@pytest.mark.parametrize("target", [(0.0, inf), (-inf, 0.0)], ids=["above", "below"])
def test_no_difference_in_any_image_is_none_above_zero_and_none_below(target):
    assert verdict(0.0, 0.0, target) != HOLDS


# The table of findings.

COLUMNS = ["id", "source", "claim", "quantity", "paper", "case", "mean", "low", "high", "n"]
COLUMNS += ["target_low", "target_high", "verdict"]


def claim(**changed) -> dict:
    said = {"id": "fuzzy", "source": "§1", "claim": "It is so", "quantity": "vote-gain", "measured": "the gain"}
    return said | {"target": [0, None], "paper": "1"} | changed


def evidence(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["quantity", "case", "mean", "low", "high", "n"])


def test_a_row_says_what_is_claimed_what_was_found_and_whether_that_holds():
    made = findings([claim(target=(0.0, inf))], evidence(("vote-gain", "ddpm, pgd", 0.2, 0.1, 0.3, 7)))
    assert list(made.columns) == COLUMNS
    assert made.iloc[0].tolist() == [
        *("fuzzy", "§1", "It is so", "the gain", "1"),
        *("ddpm, pgd", 0.2, 0.1, 0.3, 7, 0.0, inf, HOLDS),
    ]


def test_claims_keep_their_order_and_cases_theirs():
    claims = [claim(claim=c, quantity=q, target=(0.0, inf)) for c, q in (("b", "y"), ("a", "x"), ("again", "y"))]
    found = evidence(*[(q, case, 1.0, 0.5, 1.5, 3) for q, case in (("x", "2"), ("y", "9"), ("x", "1"), ("y", "4"))])
    made = findings(claims, found)
    assert list(zip(made["claim"], made["case"], strict=True)) == [
        *(("b", "9"), ("b", "4"), ("a", "2"), ("a", "1"), ("again", "9"), ("again", "4")),
    ]


def test_evidence_that_no_claim_is_about_is_left_out_and_claims_without_evidence_have_no_row():
    made = findings([claim(target=(0.0, inf))], evidence(("law-misfit", "all", 0.2, 0.1, 0.3, 7)))
    assert made.empty and list(made.columns) == COLUMNS
    assert list(findings([], evidence()).columns) == COLUMNS


def test_evidence_of_several_studies_is_one_table_in_their_order_and_one_without_any_adds_nothing():
    one, two = (
        evidence(("a", "1", 0.1, 0.0, 0.2, 3)),
        evidence(("b", "2", 0.4, 0.3, 0.5, 4), ("a", "3", 1.0, 0.9, 1.1, 5)),
    )
    found = gathered([one, evidence(), two])
    assert list(found.columns) == ["quantity", "case", "mean", "low", "high", "n"]
    assert list(found["case"]) == ["1", "2", "3"] and list(found.index) == [0, 1, 2]
    assert gathered([]).empty and list(gathered([]).columns) == list(found.columns)
