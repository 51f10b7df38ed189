"""Claims are data: a file of them is read and checked, and each rests on what one study measures."""

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from purity import studies
from purity.report.claims import check_claims, read, read_file

FILE = Path(__file__).parents[3] / "config/reference/claims.yaml"
STUDIES = [import_module(f"purity.studies.{module.name}") for module in iter_modules(studies.__path__)]
QUANTITIES = [quantity for study in STUDIES for quantity in getattr(study, "QUANTITIES", ())]
CLAIMS = [SimpleNamespace(**claim) for claim in read_file(FILE, QUANTITIES)]
inf, nan = np.inf, np.nan


# The list of claims.


def test_every_claim_is_shown_by_a_table_of_the_studies():
    tables = {name.replace("_", "-") for study in STUDIES for name in dir(study)}
    assert len(CLAIMS) == 84 and {c.id for c in CLAIMS} <= tables


def test_every_quantity_that_a_study_declares_is_claimed_and_no_other():
    assert {c.quantity for c in CLAIMS} == set(QUANTITIES)


def test_every_claim_says_what_is_claimed_measured_and_printed_and_where():
    for c in CLAIMS:
        for name in ("id", "source", "claim", "quantity", "measured", "paper"):
            text = getattr(c, name)
            assert isinstance(text, str) and text == text.strip() != "" and "\n" not in text, (c.claim, name)
        places = r"(earlier )?(§|App\. )|stochastic perspective( \(our control\))?$|(Carlini|Athalye) et al\. 20\d\d"
        assert re.match(places, c.source), c.source


def test_every_limit_is_a_direction_or_is_said_with_where_it_comes_from():
    for c in CLAIMS:
        limits = {abs(limit) for limit in c.target if np.isfinite(limit)} - {0, 1}
        assert c.target[0] < c.target[1] and len(limits) <= 1, c.claim
        for limit in limits:
            assert f"{limit:g}".lstrip("0") in c.measured or (limit == 0.5 and "½" in c.measured), c.claim
            assert re.search("paper|most|guess", c.measured), c.claim


def test_no_two_claims_are_the_same():
    """The page puts the cases of one (source, claim) together."""
    for of in (lambda c: (c.source, c.claim), lambda c: (c.id, c.measured, c.target, c.paper)):
        named = [of(c) for c in CLAIMS]
        assert len(set(named)) == len(named)


# The file of claims.


def claim(**changed) -> dict:
    said = {"id": "fuzzy", "source": "§1", "claim": "It is so", "quantity": "vote-gain", "measured": "the gain"}
    return said | {"target": [0, None], "paper": "1"} | changed


def written(folder: Path, content) -> Path:
    path = folder / "claims.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("target", "read"),
    [([0, None], (0.0, inf)), ([None, 0.05], (-inf, 0.05)), ([-0.25, 0.25], (-0.25, 0.25)), (None, (-inf, inf))],
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
TARGETS = ([0], [0, 1, 2], 3, "0", [1, 0], [0.5, 0.5], [None, None], ["0", None], [nan, 1], [True, 2])


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


# Several files, several studies.


def test_claims_of_several_files_come_in_the_order_of_the_files(tmp_path):
    paths = []
    for name in ("papers", "mine"):
        (tmp_path / name).mkdir()
        paths.append(str(written(tmp_path / name, [claim(claim=f"{name} {k}") for k in range(2)])))
    assert [one["claim"] for one in read(paths)] == ["papers 0", "papers 1", "mine 0", "mine 1"]
    assert [one["claim"] for one in read(reversed(paths))] == ["mine 0", "mine 1", "papers 0", "papers 1"]
    assert read([]) == []


def test_what_was_checked_before_may_be_of_any_quantity(tmp_path):
    assert read_file(written(tmp_path, [claim(quantity="of-nobody")]))[0]["quantity"] == "of-nobody"


def test_a_claim_may_rest_on_any_study_and_not_every_quantity_needs_one(tmp_path):
    path = str(written(tmp_path, [claim(quantity="vote-gain"), claim(quantity="mine")]))
    check_claims([path], {"fuzzy": ["vote-gain", "another"], "my-study": ("mine",), "silent": ()})
    check_claims([], {"fuzzy": ["vote-gain"]})


def test_a_claim_about_what_no_study_yields_names_file_claim_and_quantity(tmp_path):
    paths = []
    for name, quantity in (("papers", "vote-gain"), ("mine", "vote-gian")):
        (tmp_path / name).mkdir()
        paths.append(str(written(tmp_path / name, [claim(claim=name, quantity=quantity)])))
    with pytest.raises(ValueError) as raised:
        check_claims(paths, {"fuzzy": ["vote-gain"]})
    assert str(raised.value) == f"{paths[1]}: claim 1 (mine): no study declares the quantity vote-gian"


def test_two_studies_that_yield_the_same_quantity_are_both_named():
    with pytest.raises(ValueError, match=r"^studies fuzzy and my-study both yield the quantity vote-gain$"):
        check_claims([], {"fuzzy": ["vote-gain"], "law": ["law-misfit"], "my-study": ["vote-gain"]})
