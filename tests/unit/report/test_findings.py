"""Claims are read and checked, and held against evidence of which the truth is known."""

import re
from importlib import import_module
from itertools import product
from pathlib import Path
from pkgutil import iter_modules
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from purity import studies
from purity.report.claims import check_claims, read_file
from purity.report.findings import findings, verdict

FILE = Path(__file__).parents[3] / "config/reference/claims.yaml"
STUDIES = [import_module(f"purity.studies.{module.name}") for module in iter_modules(studies.__path__)]
QUANTITIES = [quantity for study in STUDIES for quantity in getattr(study, "QUANTITIES", ())]
CLAIMS = [SimpleNamespace(**claim) for claim in read_file(FILE, QUANTITIES)]
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


# The list of claims.


def test_every_claim_is_shown_by_a_table_of_the_studies():
    tables = {name.replace("_", "-") for study in STUDIES for name in dir(study)}
    assert len(CLAIMS) == 46 and {c.id for c in CLAIMS} <= tables


def test_every_quantity_that_a_study_declares_is_claimed_and_no_other():
    assert {c.quantity for c in CLAIMS} == set(QUANTITIES)


def test_every_claim_says_what_is_claimed_measured_and_printed_and_where():
    for c in CLAIMS:
        for name in ("id", "source", "claim", "quantity", "measured", "paper"):
            text = getattr(c, name)
            assert isinstance(text, str) and text == text.strip() != "" and "\n" not in text, (c.claim, name)
        assert re.match(r"(earlier )?(§|App\. )|stochastic perspective$", c.source), c.source


def test_every_target_is_an_interval_that_leaves_something_out():
    for c in CLAIMS:
        low, high = c.target
        assert low < high and (low, high) != (-inf, inf), c.claim


def test_no_two_claims_are_the_same():
    """The page puts the cases of one (source, claim) together."""
    for of in (lambda c: (c.source, c.claim), lambda c: (c.id, c.measured, c.target, c.paper)):
        named = [of(c) for c in CLAIMS]
        assert len(set(named)) == len(named)


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


# The file of claims.


def written(folder: Path, content) -> Path:
    path = folder / "claims.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("target", "read"), [([0, None], (0.0, inf)), ([None, 0.05], (-inf, 0.05)), ([-0.25, 0.25], (-0.25, 0.25))]
)
def test_a_target_without_a_limit_is_infinite_there(target, read, tmp_path):
    (one,) = read_file(written(tmp_path, [claim(target=target)]), ["vote-gain"])
    assert one == claim(target=read) and all(type(limit) is float for limit in one["target"])


def without(key: str) -> dict:
    return {name: value for name, value in claim().items() if name != key}


WRONG = {
    **{f"has no {key}": without(key) for key in claim()},
    "colour is not known": claim(colour="red"),
    "paper must be a text": claim(paper=0.23),
    "claim must be a text": claim(claim=" "),
    "no study declares the quantity vote-gian": claim(quantity="vote-gian"),
}
TARGETS = ([0], [0, 1, 2], 3, None, "0", [1, 0], [0.5, 0.5], [None, None], ["0", None], [nan, 1], [True, 2])


@pytest.mark.parametrize(
    ("said", "wrong"),
    [*WRONG.items(), *(("target must be", claim(target=target)) for target in TARGETS)],
    ids=lambda value: value if isinstance(value, str) else str(value.get("target")),
)
def test_a_claim_that_is_wrong_is_an_error_that_names_the_file_and_the_claim(said, wrong, tmp_path):
    path = written(tmp_path, [claim(), wrong])
    with pytest.raises(ValueError, match=re.escape(said)) as raised:
        read_file(path, ["vote-gain"])
    message = str(raised.value)
    assert message.startswith(f"{path}: claim 2 (") and "\n" not in message
    assert str(wrong.get("claim")) in message


@pytest.mark.parametrize("content", ["a: 1", "", "just words", "[1, 2", "- 3"])
def test_a_file_that_is_no_list_of_claims_is_an_error_that_names_it(content, tmp_path):
    path = written(tmp_path, content)
    with pytest.raises(ValueError, match=re.escape(str(path))) as raised:
        read_file(path, ["vote-gain"])
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        read_file(tmp_path / "nowhere.yaml", [])


def test_two_studies_that_yield_one_quantity_are_an_error_that_names_all_three():
    check_claims([], {"one": ("a", "b"), "other": ("c",)})
    with pytest.raises(ValueError, match="one and other both yield the quantity b"):
        check_claims([], {"one": ("a", "b"), "other": ("c", "b")})


def test_the_claims_of_several_files_are_checked_against_all_studies(tmp_path):
    path = written(tmp_path, [claim()])
    check_claims([str(FILE), str(path)], {"all": QUANTITIES})
    with pytest.raises(ValueError, match=re.escape(str(path))):
        check_claims([str(path)], {"all": ("another",)})
