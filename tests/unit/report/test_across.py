"""Claims of two experiments side by side."""

import pandas as pd

from purity.report.across import across, markdown


def findings(**verdicts):
    rows = [
        {"id": "law", "source": "§5", "claim": claim, "paper": "α .2", "mean": mean, "verdict": verdict}
        for claim, cases in verdicts.items()
        for mean, verdict in cases
    ]
    return pd.DataFrame(rows)


def test_each_claim_has_the_verdicts_of_each_experiment():
    digits = findings(one=[(0.1, "holds"), (0.3, "holds"), (0.2, "undecided")], two=[(0.5, "does not hold")])
    fashion = findings(two=[(0.25, "holds")], three=[(float("nan"), "undecided")])
    made = across({"digits": digits, "fashion": fashion}).set_index("claim")
    assert list(made.index) == ["one", "two", "three"]
    assert made.loc["one", "digits"] == "2 holds, 1 undecided (0.1 to 0.3)"
    assert made.loc["one", "fashion"] == "not measured"
    assert made.loc["two", "digits"] == "1 does not hold (0.5)" and made.loc["two", "fashion"] == "1 holds (0.25)"
    assert made.loc["three", "fashion"] == "1 undecided"


def test_markdown_has_a_line_for_each_claim_and_keeps_its_columns():
    text = markdown(across({"digits": findings(**{"a|b": [(1.0, "holds")]})}))
    head, rule, line = text.strip().split("\n")
    assert head == "| source | claim | digits | the papers |" and rule == "|---|---|---|---|"
    assert line == "| §5 | a\\|b | 1 holds (1) | α .2 |"
