"""Claims are held against evidence of which the truth is known."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from purity.report.findings import EVIDENCE, findings, gathered, known, verdict

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
COLUMNS += ["target_low", "target_high", "verdict", "p", "p_holm", "needed", "weak"]


def claim(**changed) -> dict:
    said = {"id": "fuzzy", "source": "§1", "claim": "It is so", "quantity": "vote-gain", "measured": "the gain"}
    return said | {"target": [0, None], "paper": "1"} | changed


def evidence(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame([(*row, "")[:7] for row in rows], columns=EVIDENCE)


def test_a_row_says_what_is_claimed_what_was_found_and_whether_that_holds():
    made = findings([claim(target=(0.0, inf))], evidence(("vote-gain", "ddpm, pgd", 0.2, 0.1, 0.3, 7)))
    assert list(made.columns) == COLUMNS
    assert made.iloc[0].tolist()[:13] == [
        *("fuzzy", "§1", "It is so", "the gain", "1"),
        *("ddpm, pgd", 0.2, 0.1, 0.3, 7, 0.0, inf, HOLDS),
    ]
    # 2 P(t₆ > .2/(.1/t₆(.975))), alone in its family
    assert made.iloc[0]["p"] == made.iloc[0]["p_holm"] == pytest.approx(2 * student.sf(2 * student.ppf(0.975, 6), 6))
    assert np.isnan(made.iloc[0]["needed"]) and made.iloc[0]["weak"] == ""


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
    assert list(found.columns) == EVIDENCE
    assert list(found["case"]) == ["1", "2", "3"] and list(found.index) == [0, 1, 2]
    assert gathered([]).empty and list(gathered([]).columns) == list(found.columns)


# A family of claims.

ABOVE = [claim(target=(0.0, inf))]


def cases(*intervals: tuple[float, float], n=50) -> pd.DataFrame:
    made = [("vote-gain", str(k), (low + high) / 2, low, high, n) for k, (low, high) in enumerate(intervals)]
    return findings(ABOVE, evidence(*made))


def test_what_one_of_many_would_say_by_chance_is_undecided():
    """A p of .04 decides alone, and is what one of forty has without any cause."""
    edge = (0.001, 0.2)
    assert cases(edge)["verdict"].tolist() == [HOLDS]
    among = cases(edge, *[(-0.1, 0.1)] * 39)
    assert set(among["verdict"]) == {OPEN} and among["p"].iloc[0] > 0.05
    assert (among["p_holm"] >= among["p"] - 1e-12).all()
    clear = cases((0.3, 0.4), *[(-0.1, 0.1)] * 39)
    assert clear["verdict"].tolist() == [HOLDS] + [OPEN] * 39


def test_nothing_that_is_undecided_alone_is_decided_among_others():
    made = cases(*[(0.3, 0.4)] * 10, (-0.001, 0.4), (-0.4, 0.001), (-0.4, -0.3))
    assert made["verdict"].tolist() == [HOLDS] * 10 + [OPEN, OPEN, FAILS]


def test_an_undecided_claim_says_how_many_images_would_decide_it():
    """Four times as many halve the interval; more than that, so that four of five runs decide."""
    made = cases((-0.05, 0.15), (0.3, 0.4))
    assert np.isnan(made["needed"].iloc[1]) and 4 * 50 < made["needed"].iloc[0] < 20 * 50
    assert cases((-0.05, 0.05), (0.3, 0.4))["needed"].iloc[0] == inf
    assert np.isnan(findings(ABOVE, evidence(("vote-gain", "x", 0.1, nan, nan, 1)))["needed"].iloc[0])


def test_a_claim_without_limits_is_measured_and_is_no_test():
    none = claim(claim="So much", quantity="gap", target=(-inf, inf))
    made = findings([*ABOVE, none], evidence(("vote-gain", "a", 0.1, 0.001, 0.2, 50), *[("gap", "b", 1, 0, 2, 9)] * 50))
    assert made["verdict"].tolist() == [HOLDS] + ["measured"] * 50
    assert made["p"].iloc[0] <= 0.05 and made["p"].iloc[1:].isna().all() and made["needed"].isna().all()


def test_a_case_names_the_attacks_it_rests_on_that_have_not_converged():
    found = pd.DataFrame(
        [
            ("vote-gain", "one", 0.2, 0.1, 0.3, 9, "ddpm/pgd/all ddpm/standard/all reverse/pgd/none"),
            ("vote-gain", "two", 0.2, 0.1, 0.3, 9, "ddpm/standard/all"),
            ("vote-gain", "three", 0.2, 0.1, 0.3, 9, nan),
        ],
        columns=EVIDENCE,
    )
    verdicts = pd.DataFrame({"purifier": "ddpm", "attack": ["pgd", "standard"], "knowledge": "all"})
    verdicts["verdict"] = ["not converged", "converged"]
    assert findings(ABOVE, found, known(verdicts))["weak"].tolist() == ["ddpm/pgd/all", "", ""]
    assert findings(ABOVE, found)["weak"].tolist() == ["", "", ""]
