"""What the README shows works as it is written there: its examples are cut out of it and run."""

import re

import pytest
import yaml
from workspace import ROOT, block

from purity.run.store import load

README = (ROOT / "README.md").read_text(encoding="utf-8")
R = "results/tiny"
BLOCK = "images-00000-00005.zarr.zip"


@pytest.fixture
def workspace(workspace):
    """The README's files beside the tiny experiment, which takes the name of the embedded one's place."""
    (workspace.path / "my_defence.py").write_text(block(README, "python", "# my_defence.py"))
    mine = yaml.safe_load(block(README, "yaml", "# mine.yaml"))
    mine["experiments"] = {"tiny": mine["experiments"]["digits"]}
    (workspace.path / "mine.yaml").write_text(yaml.safe_dump(mine, sort_keys=False))
    return workspace


def test_the_example_runs_and_only_what_is_new_runs(workspace):
    before = workspace.parts()
    printed = workspace.run("--configfile", "mine.yaml")
    stages = {"attack", "purify", "measure", "probe", "gallery", "usage", "findings", "comparison_page", "all"}
    assert {rule for rule in workspace.done(printed) if not rule.endswith(("_tables", "_figure"))} == stages
    after = workspace.parts()
    assert {part: after[part] for part in before} == before
    assert all("/blur/" in path for path, _ in after.keys() - before.keys())
    (x,) = load(workspace.path / f"{R}/adversarial/blur/fgsm/all/{BLOCK}", "x", part="seed-0")
    (x0,) = load(workspace.path / f"{R}/data/{BLOCK}", "x")
    assert abs(x - x0).max() == pytest.approx(0.15, abs=1e-6)
    assert "Nothing to be done" in workspace.run("--configfile", "mine.yaml")


def test_the_example_classifier_classifies(workspace):
    target = f"{R}/measures/identity/attacked.zarr.zip"
    mine = yaml.safe_load((workspace.path / "mine.yaml").read_text())
    mine["experiments"]["tiny"]["classifier"] = "nearest-mean"
    (workspace.path / "mine.yaml").write_text(yaml.safe_dump(mine))
    workspace.run(target, "--configfile", "mine.yaml")
    (correct,) = load(workspace.path / target, "correct_fixed", part="clean/none/seed-0")
    assert correct.mean() > 0.5  # of six images; chance is a tenth


def test_every_file_and_figure_the_readme_names_exists(finished):
    for link in re.findall(r"\]\(([^)#:]+)", README):
        assert (ROOT / link).exists(), link
    figures = set(re.findall(r"`([a-z-]+)`", README.partition("## What it shows")[2].partition("Each table says")[0]))
    drawn = {path.stem for path in (finished.path / f"{R}/figures").glob("*.png")}
    assert figures == drawn
