"""A run is kept whole or not at all."""

import json

import pytest

from purity.report import kept
from purity.run import lineage

NOW = {"commit": "c" * 40, "edited": False}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Results of an experiment, with the records of their jobs: (paths, records)."""
    monkeypatch.chdir(tmp_path)
    made = {"tables/a.csv": "x\n1\n", "figures/a.png": "png", "figures/a.pdf": "pdf", "comparison.html": "<html>"}
    known = {}
    for name, text in made.items():
        path = tmp_path / "results" / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        said = {"rule": "figure", "seconds": 1800, "device": "CPU", "commit": NOW["commit"]}
        said |= {"versions": {"python": "3.12"}, "outputs": lineage.digests([f"results/toy/{name}"])}
        known[f"results/toy/{name}"] = said
    return list(known), known


def keep(run, now=NOW, into="docs/toy"):
    from pathlib import Path

    kept.keep(Path("results/toy"), run[0], run[1], now, Path(into))


def test_tables_figures_and_pages_are_copied_with_the_record_of_the_run(run, tmp_path):
    old = tmp_path / "docs" / "toy" / "gone.csv"
    old.parent.mkdir(parents=True)
    old.write_text("of an earlier run")
    keep(run)
    there = sorted(str(path.relative_to(tmp_path / "docs/toy")) for path in (tmp_path / "docs/toy").rglob("*.*"))
    assert there == ["README.md", "comparison.html", "figures/a.png", "run.json", "tables/a.csv"]
    said = json.loads((tmp_path / "docs/toy/run.json").read_text())
    assert said["jobs"] == 4 and said["hours"] == {"all": 2.0, "figure": 2.0}
    assert said["kept_at_commit"] == NOW["commit"] and said["devices"] == {"CPU": 4}
    assert said["networks"] == {}
    index = (tmp_path / "docs/toy/README.md").read_text()
    assert "![a](figures/a.png)" in index and "[tables/a.csv](tables/a.csv)" in index


def test_the_record_names_the_networks_by_what_they_are(run, tmp_path):
    """Two of one name are two networks."""
    digests = {}
    for kind in ("classifiers", "diffusions"):
        weights = tmp_path / f"results/models/{kind}/small.safetensors"
        weights.parent.mkdir(parents=True)
        weights.write_bytes(kind.encode())
        path = str(weights.relative_to(tmp_path))
        run[1][path] = run[1]["results/toy/tables/a.csv"] | {"rule": "train", "outputs": lineage.digests([path])}
        digests[f"{kind}/small"] = lineage.sha256(path)
    keep(run)
    said = json.loads((tmp_path / "docs/toy/run.json").read_text())
    assert said["networks"] == digests and said["jobs"] == 6


@pytest.mark.parametrize(
    "fault, said",
    [
        ("edited", "commit them"),
        ("changed", r"results/toy/tables/a\.csv is not what its record says"),
        ("unknown", r"results/toy/tables/a\.csv: no record"),
    ],
)
def test_nothing_is_copied_of_what_is_not_what_it_says(run, tmp_path, fault, said):
    if fault == "changed":
        (tmp_path / "results/toy/tables/a.csv").write_text("x\n2\n")
    if fault == "unknown":
        del run[1]["results/toy/tables/a.csv"]
    with pytest.raises(ValueError, match=said):
        keep(run, {"commit": "c" * 40, "edited": fault == "edited"})
    assert not (tmp_path / "docs").exists()


def test_without_git_nothing_is_kept(run):
    with pytest.raises(ValueError, match="commit"):
        keep(run, {})
