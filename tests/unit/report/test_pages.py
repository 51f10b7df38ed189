"""The page that holds the papers' claims against what was measured, parsed as a browser would."""

import math
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from purity.report import findings as report
from purity.report import pages
from purity.run import store

nan, inf = np.nan, np.inf
VOID = {"meta"}


class Page(HTMLParser):
    """What a page says, tag by tag; AssertionError where a tag is closed that is not the last one opened."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, int]] = []
        self.said: dict[str, list[str]] = {}
        self.classes: dict[str, list[str]] = {}
        self.tables: list[list[list[str]]] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        if tag in VOID:
            return
        self.said.setdefault(tag, []).append("")
        self.open.append((tag, len(self.said[tag]) - 1))
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            assert self.open[-2][0] == "tr" and self.open[-3][0] == "table"
            self.tables[-1][-1].append("")
            self.classes.setdefault(dict(attrs).get("class", ""), []).append("")

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        for tag, i in self.open:
            self.said[tag][i] += data
        if any(tag in ("td", "th") for tag, _ in self.open):
            self.tables[-1][-1][-1] += data


HOLDS, FAILS, OPEN = "holds", "does not hold", "undecided"


def findings(*rows: dict) -> pd.DataFrame:
    whole = {"id": "robustness", "source": "§4", "claim": "It holds", "quantity": "accuracy", "paper": "71.9 %"}
    whole |= {"case": "ddpm, pgd", "mean": 0.25, "low": 0.125, "high": 0.375, "n": 100}
    whole |= {"target_low": 0.0, "target_high": inf, "verdict": HOLDS}
    whole |= {"p": 0.001, "p_holm": 0.01, "needed": nan, "weak": nan}
    return pd.DataFrame([whole | row for row in rows])


def compared(*rows: dict) -> pd.DataFrame:
    whole = {"source": "newest", "table": "Table 2", "row": "DDPM", "column": "PGD", "purifier": "ddpm"}
    whole |= {"paper": 0.719, "paper_std": 0.002, "ours": 0.75, "ours_std": 0.01, "low": 0.7, "high": 0.8, "n": 100}
    return pd.DataFrame([whole | {"difference": 0.031, "remark": nan} | row for row in rows])


FOUND = findings(
    {"claim": "First", "case": "ddpm, pgd"},
    {"claim": "First", "case": "reverse, pgd", "verdict": FAILS, "mean": -0.25, "low": -0.375, "high": -0.125},
    {"claim": "Second", "case": "p1, bpda", "verdict": OPEN, "id": "law", "quantity": "misfit", "paper": "well"},
    {"claim": "First", "source": "earlier §4.2", "case": "p2, bpda", "verdict": OPEN, "n": 3},
    {"claim": "Second", "case": "p3, bpda", "verdict": HOLDS, "id": "law", "quantity": "misfit", "paper": "well"},
)


def of_claims(page: Page) -> list[tuple[list[str], list[list[str]]]]:
    """The rows under each claim."""
    groups: list[tuple[list[str], list[list[str]]]] = []
    for row in page.tables[-1]:
        if len(row) == 1:
            groups.append((row, []))
        else:
            groups[-1][1].append(row)
    return groups


def test_every_claim_and_every_case_is_there_once_in_order():
    groups = of_claims(Page(pages.comparison(FOUND, {}, "digits")))
    assert [re.split(r" \(", heading[0])[0] for heading, _ in groups] == ["First", "Second", "First"]
    assert [[row[0] for row in rows] for _, rows in groups] == [
        ["ddpm, pgd", "reverse, pgd"],
        ["p1, bpda", "p3, bpda"],
        ["p2, bpda"],
    ]


def test_a_claim_says_where_it_stands_what_is_measured_and_what_the_papers_measured():
    first, second, third = (heading[0] for heading, _ in of_claims(Page(pages.comparison(FOUND, {}, "digits"))))
    assert first == "First (§4; table robustness; accuracy; papers: 71.9 %)"
    assert second == "Second (§4; table law; misfit; papers: well)"
    assert third.startswith("First (earlier §4.2;")


def test_a_case_shows_its_mean_interval_number_and_verdict():
    page = Page(pages.comparison(FOUND, {}, "digits"))
    rows = [row for _, rows in of_claims(page) for row in rows]
    assert rows[0] == ["ddpm, pgd", "0.25 [0.125, 0.375]", "n = 100", "✓ holds"]
    assert rows[1] == ["reverse, pgd", "-0.25 [-0.375, -0.125]", "n = 100", "✗ does not hold"]
    assert rows[-1] == ["p2, bpda", "0.25 [0.125, 0.375]", "n = 3", "– undecided"]
    assert {kind: len(page.classes[kind]) for kind in ("holds", "not", "undecided")} == {
        "holds": 2,
        "not": 1,
        "undecided": 2,
    }


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ([HOLDS, HOLDS, FAILS, OPEN], "2 hold, 1 do not hold, 1 are undecided, 0 are measured only"),
        ([OPEN] * 12, "0 hold, 0 do not hold, 12 are undecided, 0 are measured only"),
        ([FAILS], "0 hold, 1 do not hold, 0 are undecided, 0 are measured only"),
    ],
    ids=len,
)
def test_counts_add_up(verdicts, said):
    made = findings(*({"verdict": v, "claim": f"{j % 3}", "case": f"p{j}"} for j, v in enumerate(verdicts)))
    summary = Page(pages.comparison(made, {}, "digits")).said["p"][0]
    assert summary.startswith(f"{min(3, len(verdicts))} claims, {len(verdicts)} cases: {said}.")


def test_how_verdicts_are_controlled_is_said_and_how_many_a_stricter_rule_would_leave():
    made = findings({}, {"p_holm": 0.2}, {"verdict": FAILS}, {"verdict": OPEN})
    summary = Page(pages.comparison(made, {}, "digits")).said["p"][0]
    assert "Benjamini and Hochberg" in summary and "Holm" in summary and " 2 would be decided" in summary


@pytest.mark.parametrize(
    ("needed", "said"),
    [(1234.0, "– undecided (n ≈ 1,234 would decide it)"), (inf, "– undecided (no n would decide it)")],
)
def test_an_undecided_claim_says_how_many_images_would_decide_it(needed, said):
    page = Page(pages.comparison(findings({"verdict": OPEN, "needed": needed}), {}, "digits"))
    assert of_claims(page)[0][1][0][-1] == said


def test_a_case_that_rests_on_an_attack_that_has_not_converged_says_so():
    page = Page(pages.comparison(findings({"weak": "ddpm/pgd/all"}, {}), {}, "digits"))
    assert [row[-1] for row in of_claims(page)[0][1]] == ["✓ holds ⚠ ddpm/pgd/all", "✓ holds"]


def test_what_no_limit_is_set_for_is_measured():
    page = Page(pages.comparison(findings({"verdict": "measured"}), {}, "digits"))
    assert of_claims(page)[0][1][0][-1] == "– measured"


def test_the_same_words_in_two_sections_are_two_claims():
    assert Page(pages.comparison(FOUND, {}, "digits")).said["p"][0].startswith("3 claims, 5 cases: ")


# The papers' numbers.


def test_without_numbers_of_the_papers_there_are_claims_only():
    page = Page(pages.comparison(FOUND, {}, "digits"))
    assert page.said["h2"] == ["Claim by claim"] and "h3" not in page.said and len(page.tables) == 1


def test_every_compared_table_has_its_heading_and_a_row_for_each_number():
    tables = {
        "robustness": compared({}, {"row": "DDIM", "paper": 0.5, "remark": "about"}),
        "variance": compared({"table": nan, "paper": 0.0035, "paper_std": nan, "ours": 12.5, "n": 20.0}),
    }
    page = Page(pages.comparison(FOUND, tables, "digits"))
    assert page.said["h3"] == ["robustness", "variance"] and len(page.tables) == 3
    head, *rows = page.tables[0]
    assert head == ["where", "paper", "ours", "95 % interval", "n", "remark"]
    assert rows[0] == ["newest, Table 2, DDPM, PGD", "0.719 ± 0.002", "0.75", "0.7 … 0.8", "100", ""]
    assert rows[1] == ["newest, Table 2, DDIM, PGD", "0.5 ± 0.002", "0.75", "0.7 … 0.8", "100", "about"]
    assert page.tables[1][1:] == [["newest, DDPM, PGD", "0.0035", "12.5", "0.7 … 0.8", "20", ""]]
    assert len(of_claims(page)) == 3  # as without


def test_a_table_with_nothing_in_common_is_not_shown():
    empty = compared({}).iloc[:0]
    page = Page(pages.comparison(FOUND, {"robustness": empty, "variance": compared({})}, "digits"))
    assert page.said["h3"] == ["variance"] and len(page.tables) == 2


def test_that_nothing_has_the_papers_options_is_said():
    page = Page(pages.comparison(FOUND, {"robustness": compared({}).iloc[:0]}, "digits"))
    assert "h3" not in page.said and len(page.tables) == 1
    assert len(page.said["p"]) == 2 and page.said["p"][1].startswith("None: ") and "settings.yaml" in page.said["p"][1]


def test_missing_intervals_are_dashes():
    missing = {"mean": nan, "low": nan, "high": nan, "n": 0, "verdict": OPEN}
    page = Page(pages.comparison(findings(missing), {"a": compared({"low": nan, "high": nan})}, "digits"))
    assert of_claims(page)[0][1] == [["ddpm, pgd", "– [–, –]", "n = 0", "– undecided"]]
    assert page.tables[0][1][3] == "– … –" and page.tables[0][1][2] == "0.75"
    assert "nan" not in pages.comparison(findings(missing), {}, "digits").lower()


# Names that a page could take for something else.

STRANGE = "<b>&\"'</td></table><script>"


@pytest.mark.parametrize("column", ["claim", "source", "id", "quantity", "paper", "case"])
def test_names_in_findings_are_no_tags(column):
    page = Page(pages.comparison(findings({column: STRANGE}), {}, "digits"))
    assert not {"b", "script"} & page.said.keys()
    heading, rows = of_claims(page)[0]
    assert STRANGE in (rows[0][0] if column == "case" else heading[0])
    assert len(page.tables) == 1 and len(page.tables[0]) == 2


@pytest.mark.parametrize("column", ["source", "table", "row", "column", "remark"])
def test_names_in_compared_tables_are_no_tags(column):
    page = Page(pages.comparison(FOUND, {"robustness": compared({column: STRANGE})}, "digits"))
    assert not {"b", "script"} & page.said.keys() and STRANGE in "".join(page.tables[0][1])
    assert [len(row) for row in page.tables[0]] == [6, 6]


def test_an_experiment_and_a_table_of_strange_names_are_no_tags():
    page = Page(pages.comparison(FOUND, {STRANGE: compared({})}, STRANGE))
    assert not {"b", "script"} & page.said.keys()
    assert page.said["h3"] == [STRANGE] and page.said["title"] == [STRANGE] and page.said["h1"][0].startswith(STRANGE)


# The page as a whole.


def test_a_page_is_a_document_with_one_title():
    text = pages.comparison(FOUND, {"robustness": compared({})}, "digits")
    page = Page(text)
    assert text.startswith("<!doctype html>\n<html") and text.endswith("</html>\n")
    assert len(page.said["html"]) == len(page.said["title"]) == len(page.said["h1"]) == 1
    assert page.said["title"] == ["digits"] and '<meta charset="utf-8">' in text
    assert not re.search(r"(src|href)=", text)  # to be read without a network


def test_equal_findings_give_an_equal_page():
    tables = {"robustness": compared({}, {"row": "DDIM"})}
    again = {"robustness": tables["robustness"].set_index(np.array([7, 3]))}
    text = pages.comparison(FOUND, tables, "digits")
    assert text == pages.comparison(FOUND.copy(), again, "digits")
    assert text == pages.comparison(FOUND.set_index(np.arange(5)[::-1]), tables, "digits")
    assert text != pages.comparison(FOUND.assign(n=7), tables, "digits")


def test_a_page_of_tables_read_back_is_the_same(tmp_path):
    tables = {"found": FOUND.assign(low=[0.1, -inf, nan, 1 / 3, 0.0]), "compared": compared({}, {"remark": "é, „x“"})}
    for name, table in tables.items():
        store.save_table(tmp_path / f"{name}.csv", table)
    found, beside = (store.load_table(tmp_path / f"{name}.csv") for name in tables)
    text = pages.comparison(tables["found"], {"robustness": tables["compared"]}, "digits")
    assert pages.comparison(found, {"robustness": beside}, "digits") == text


def test_an_experiment_without_evidence_has_a_page_too(tmp_path):
    """One whose purifiers have no diffusion model: nothing is asked of them."""
    page = Page(pages.comparison(report.findings([], report.gathered([])), {}, "digits"))
    assert page.said["p"][0].startswith(
        "0 claims, 0 cases: 0 hold, 0 do not hold, 0 are undecided, 0 are measured only."
    )
    store.save_table(tmp_path / "findings.csv", report.findings([], report.gathered([])))
    Page(pages.comparison(store.load_table(tmp_path / "findings.csv"), {}, "digits"))


# Numbers.


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (0.0, "0"),
        (1, "1"),
        (100, "100"),
        (0.123456, "0.123"),
        (-0.123456, "-0.123"),
        (0.25, "0.25"),
        (12.345, "12.3"),
        (0.001, "0.001"),
        (0.00123456, "0.00123"),
        (999.4, "999"),
        (nan, "–"),
        (None, "–"),
        (pd.NA, "–"),
        (np.float64(0.5), "0.5"),
        (np.int64(3), "3"),
        (inf, "inf"),
        (-inf, "-inf"),
    ],
    ids=str,
)
def test_a_number_has_three_digits(value, said):
    assert pages.number(value) == said


@pytest.mark.parametrize("value", [1000, 1234.5, 4321, 9999, 1234])
def test_a_number_up_to_ten_thousand_has_no_exponent(value):
    for sign in (1, -1):
        said = pages.number(sign * value)
        assert "e" not in said and float(said) == pytest.approx(sign * value, rel=5e-3)


@pytest.mark.parametrize("value", [1e-9, 0.0005, -0.0005, 12345, -12345, 1e30, 9.99e-4])
def test_a_number_far_from_one_keeps_three_digits_whatever_its_size(value):
    said = pages.number(value)
    assert float(said) == pytest.approx(value, rel=5e-3) and len(said) <= 9


def test_numbers_are_what_they_were_to_three_digits():
    for value in np.exp(np.random.default_rng(0).uniform(math.log(1e-12), math.log(1e12), 500)):
        assert float(pages.number(value)) == pytest.approx(value, rel=5.1e-3)
        assert pages.number(-value) == f"-{pages.number(value)}"


def test_accuracies_that_are_owed_to_vanishing_gradients_are_named_first(tmp_path):
    """As they come back from a file, where a column may hold gaps."""
    cell = {"purifier": "round<8>", "attack": "pgd", "knowledge": "all", "mean": 0.975, "unseen": 0.95}
    rows = [{"seed": "0", "trustworthy": False}, {"seed": "all", "trustworthy": False}]
    rows += [{"seed": "all", "trustworthy": True, "attack": "bpda"}, {"seed": "all", "trustworthy": nan}]
    store.save_table(tmp_path / "t.csv", pd.DataFrame([cell | row for row in rows]))
    page = Page(pages.comparison(FOUND, {}, "digits", {"robustness": store.load_table(tmp_path / "t.csv")}))
    assert "Not trustworthy (table robustness)" in page.said["p"][1] and "BPDA" in page.said["p"][1]
    (cell,) = page.said["li"]
    assert cell == "round<8> under pgd, which knows all: 0.975, of which 0.95 is owed to images whose gradients vanish"


@pytest.mark.parametrize("table", [{"mean": [0.5]}, {"mean": [0.5], "seed": ["all"], "trustworthy": [True]}], ids=len)
def test_nothing_is_said_where_all_accuracies_can_be_trusted(table):
    page = pages.comparison(FOUND, {}, "digits", {"robustness": pd.DataFrame(table)})
    assert "Not trustworthy" not in page
