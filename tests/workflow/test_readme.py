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
    """First after `make`, by the README's command; then after `make all`."""
    (command,) = re.findall(
        r"^uv run snakemake (.*--configfile mine\.yaml)\n```\n\nAfter `make`,", README, re.MULTILINE
    )
    target, *options = command.replace(" --cores all", "").split()
    assert target == "foundation"

    def run(*arguments: str) -> set[str]:
        printed = workspace.run(*arguments)
        return {rule for rule in workspace.done(printed) if not rule.endswith(("_tables", "_figure"))}

    before = workspace.parts()
    assert run(target, *options) == {"attack", "purify", "measure", "gallery", "foundation"}
    assert run(*options) == {"probe", "usage", "findings", "comparison_page", "all"}
    after = workspace.parts()
    assert {part: after[part] for part in before} == before
    assert all("/blur/" in path for path, _ in after.keys() - before.keys())
    (x,) = load(workspace.path / f"{R}/adversarial/blur/sign-step/all/{BLOCK}", "x", part="seed-0")
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


def test_the_image_is_purified_as_the_workflow_does(finished, monkeypatch):
    """To rounding: here alone, there in a batch."""
    monkeypatch.chdir(finished.path)
    shown: dict = {}
    exec(block(README, "python", "import torch, yaml").replace("digits-unet", "small"), shown)
    path = f"{R}/purified/ddpm/attacked/{BLOCK}"
    (stored,) = load(path, "fixed", part="clean/none/seed-0")
    assert shown["purified"].numpy() == pytest.approx(stored[:1], abs=1e-5)


def test_the_targets_that_are_named_are_asked_for_before_the_config(workspace):
    """And one figure needs no other."""
    commands = re.findall(r"^uv run snakemake .*--configfile.*$", README, re.MULTILINE)
    assert commands
    for command in commands:
        assert re.fullmatch(r"[^-].*(--configfile \S+)( --?[a-z].*)?", command), command
    (figure,) = re.findall(r"^uv run snakemake --cores all results/digits/(figures/\S+)$", README, re.MULTILINE)
    assert workspace.pending(f"{R}/{figure}") == []
    (workspace.path / f"{R}/{figure}").unlink()
    assert [rule for rule, _ in workspace.pending(f"{R}/{figure}")] == ["pca_figure"]


def test_every_file_and_figure_the_readme_names_exists(finished):
    for link in re.findall(r"\]\(([^)#:]+)", README):
        assert (ROOT / link).exists(), link
    shown = README.partition("## What it shows")[2].partition("Each table says")[0]
    cells = re.findall(r"^\| ([^|]+) \|", shown, re.MULTILINE)  # the first of each row
    figures = set(re.findall(r"`([a-z-]+)`", " ".join(cells)))
    drawn = {path.stem for path in (finished.path / f"{R}/figures").glob("*.png")}
    assert figures == drawn
