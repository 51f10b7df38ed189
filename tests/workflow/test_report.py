"""The report opens to the comparison, then to every figure by section, each with a caption of its own."""

import json
import re

import pytest

R = "results/tiny"


@pytest.fixture(scope="module")
def page(studied):
    """report.html of the tiny experiment and the README's study."""
    return (studied.path / "report.html").read_text(encoding="utf-8")


def data(page: str, name: str) -> dict:
    return json.JSONDecoder().raw_decode(page[re.search(rf"\b{name} = (?={{)", page).end() :])[0]


def test_the_comparison_comes_first_and_every_figure_has_its_section(page, studied):
    sections = {
        section: [path for paths in groups.values() for path in paths]
        for section, groups in data(page, "categories").items()
    }
    assert sorted(sections["1 Comparison with the papers"]) == [f"{R}/comparison.html", f"{R}/tables/findings.csv"]
    assert min(sections).startswith("1 ")
    shown = {path for paths in sections.values() for path in paths}
    drawn = {str(path.relative_to(studied.path)) for path in (studied.path / "results").rglob("*.png")}
    tables = {str(path.relative_to(studied.path)) for path in (studied.path / R / "tables").glob("*.csv")}
    assert shown == drawn | tables | {f"{R}/comparison.html"}
    assert "Other" not in sections
    assert sorted(sections["9 Studies of your own"]) == [f"{R}/figures/flips.png", f"{R}/tables/flips.csv"]


def test_every_figure_has_a_caption_of_its_own(page, studied):
    captions = {path: re.sub(r"<[^>]+>|\s+", " ", of["caption"]).strip() for path, of in data(page, "results").items()}
    figures = {path: text.partition("Made by")[0].strip() for path, text in captions.items() if "/figures/" in path}
    assert len(figures) == len(list((studied.path / R / "figures").glob("*.png"))) > 20
    assert all(len(text) > 60 for text in figures.values()), min(figures, key=lambda path: len(figures[path]))
    assert len(set(figures.values())) == len(figures)
    assert not [path for path, text in captions.items() if "{" in text or "Undefined" in text]
    law = captions[f"{R}/tables/law.csv"]
    assert f"{R}/tables/law-fit.csv" in law and "purity.studies.law:law_fit" in law
    assert "on its way through ddpm" in figures[f"{R}/figures/gallery.png"]


def test_a_caption_says_what_made_the_figure(page):
    caption = data(page, "results")[f"{R}/figures/law.png"]["caption"]
    assert "purity.studies.law:draw_law" in caption and f"{R}/tables/law-fit.csv" in caption
