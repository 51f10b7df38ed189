"""The report opens to the comparison, then to every figure by section, each with a caption of its own."""

import json
import re
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
R = "results/tiny"


@pytest.fixture(scope="module")
def page(finished, tmp_path_factory):
    """report.html of the tiny experiment."""
    workspace = finished.copy(tmp_path_factory.mktemp("report") / "copy")
    workspace.run("--report", "report.zip")
    with zipfile.ZipFile(workspace.path / "report.zip") as archive:
        return archive.read("report/report.html").decode()


def data(page: str, name: str) -> dict:
    return json.JSONDecoder().raw_decode(page[re.search(rf"\b{name} = (?={{)", page).end() :])[0]


def test_the_comparison_comes_first_and_every_figure_has_its_section(page, finished):
    sections = {
        section: [path for paths in groups.values() for path in paths]
        for section, groups in data(page, "categories").items()
    }
    assert sections[min(sections)] == [f"{R}/comparison.html"]
    shown = {path for paths in sections.values() for path in paths}
    drawn = {str(path.relative_to(finished.path)) for path in (finished.path / "results").rglob("*.png")}
    assert shown == drawn | {f"{R}/comparison.html"}
    assert "Other" not in sections


def test_every_result_has_a_caption_of_its_own(page):
    captions = {path: re.sub(r"<[^>]+>|\s+", " ", of["caption"]).strip() for path, of in data(page, "results").items()}
    figures = {path: text.partition("Made by")[0].strip() for path, text in captions.items() if "/figures/" in path}
    assert len(figures) == 23
    assert all(len(text) > 60 for text in figures.values()), min(figures, key=lambda path: len(figures[path]))
    assert len(set(figures.values())) == len(figures)
    assert not [path for path, text in captions.items() if "{" in text or "Undefined" in text]


def test_a_caption_says_what_made_the_figure(page):
    caption = data(page, "results")[f"{R}/figures/law.png"]["caption"]
    assert "purity.figures_compression:law" in caption and f"{R}/tables/law-fit.csv" in caption
