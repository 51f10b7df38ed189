"""What the README shows works as it is written there: its example is cut out of it and run."""

import re
from pathlib import Path

import pytest
import yaml

from purity.run.store import load

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
R = "results/tiny"


def block(language: str, first_line: str) -> str:
    (found,) = [b for b in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if b.startswith(first_line)]
    return found


@pytest.fixture
def workspace(finished, tmp_path):
    """The README's files beside the tiny experiment, which takes the name of the embedded one's place."""
    workspace = finished.copy(tmp_path / "copy")
    (workspace.path / "my_defence.py").write_text(block("python", "# my_defence.py"))
    mine = yaml.safe_load(block("yaml", "# mine.yaml"))
    mine["experiments"] = {"tiny": mine["experiments"]["digits"]}
    (workspace.path / "mine.yaml").write_text(yaml.safe_dump(mine, sort_keys=False))
    return workspace


def test_the_example_runs_and_only_what_is_new_runs(workspace):
    jobs = workspace.pending("--configfile", "mine.yaml")
    assert {rule for rule, _ in jobs} == {
        *("attack", "purify", "measure", "probe", "table", "figure", "gallery", "usage")
    }
    assert all("/blur/" in output for rule, output in jobs if rule in ("attack", "purify", "measure", "probe"))
    workspace.run("--configfile", "mine.yaml")
    (x,) = load(workspace.path / f"{R}/adversarial/blur/fgsm/all/seed-0/images-00000-00005.zarr.zip", "x")
    (x0,) = load(workspace.path / f"{R}/data/images-00000-00005.zarr.zip", "x")
    assert abs(x - x0).max() == pytest.approx(0.15, abs=1e-6)
    assert workspace.pending("--configfile", "mine.yaml") == []


def test_the_example_classifier_classifies(workspace):
    target = f"{R}/measures/identity/clean/none/seed-0.zarr.zip"
    mine = yaml.safe_load((workspace.path / "mine.yaml").read_text())
    mine["experiments"]["tiny"]["classifier"] = "nearest-mean"
    (workspace.path / "mine.yaml").write_text(yaml.safe_dump(mine))
    workspace.run(target, "--configfile", "mine.yaml")
    (correct,) = load(workspace.path / target, "correct_fixed")
    assert correct.mean() > 0.5  # of six images; chance is a tenth


def test_every_file_and_figure_the_readme_names_exists(finished):
    root = Path(__file__).parents[1]
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (root / link).exists(), link
    figures = set(re.findall(r"`([a-z-]+)`", README.partition("## What it shows")[2].partition("Each table says")[0]))
    drawn = {path.stem for path in (finished.path / f"{R}/figures").glob("*.png")}
    assert figures == drawn
