"""CONTRIBUTING.md, followed to the letter in a copy of the project: what its steps add is planned."""

import re
import shutil

import pytest
from workspace import ROOT, Workspace

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```\w*\n# ([\w/.-]+)(?:, (above|below): ([^\n]*))?\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The project with the embedded config, and every block of the page where its first line says."""
    workspace = Workspace.fresh(tmp_path_factory.mktemp("contributing") / "copy")
    shutil.copy2(ROOT / "config/config.yaml", workspace.path / "config")
    for name, where, line, text in BLOCK.findall(PAGE):
        path = workspace.path / name
        if not where:
            assert not path.exists(), name
            path.write_text(text, encoding="utf-8")
            continue
        lines = path.read_text(encoding="utf-8").split("\n")
        assert lines.count(line) == 1, f"{line!r} is {lines.count(line)} times in {name}"
        lines.insert(lines.index(line) + (where == "below"), text.removesuffix("\n"))
        path.write_text("\n".join(lines), encoding="utf-8")
    return workspace


def test_every_block_of_the_page_says_where_it_goes():
    assert len(BLOCK.findall(PAGE)) == PAGE.count("```") / 2 > 15


def test_what_was_added_is_planned(followed):
    printed = followed.run("-n", "--config", "run=[digits,upside-down]")
    planned = set(re.findall(r"^    output: ([^,\n]+)", printed, re.MULTILINE))
    for expected in (
        "results/digits/adversarial/contrast/pgd/all/images-00000-00099.zarr.zip",
        "results/digits/adversarial/gaussian-wide/sign/all/images-00000-00099.zarr.zip",
        "results/digits/purified/contrast/attacked/images-00000-00099.zarr.zip",
        "results/upside-down/data/images-00000-00019.zarr.zip",
        "results/upside-down/tables/robustness.csv",
        "results/digits/brightness/ddpm.zarr.zip",
        "results/digits/tables/brightness.csv",
        "results/digits/figures/brightness.png",
    ):
        assert expected in planned, expected
    assert "results/upside-down/brightness/ddpm.zarr.zip" not in planned
