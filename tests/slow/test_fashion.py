"""The benchmark of 28 × 28: all of it is planned, and a small run reaches its end on the real images."""

from pathlib import Path

import pytest
import yaml
from workspace import ROOT, Workspace

from purity.idx import fashion_mnist

CONFIG = ("--configfile", "config/fashion.yaml")


@pytest.fixture
def workspace(tmp_path):
    try:
        fashion_mnist("test", 1, download=False)
    except ValueError as missing:
        pytest.skip(str(missing))
    return Workspace.fresh(tmp_path / "fashion")


def test_a_small_run_reaches_its_end(workspace):
    """Networks trained and fine-tuned for a moment, real images; other figures are those that other small runs make."""
    made = [f"results/fashion-mnist-small/figures/{name}.png" for name in ("samples", "gallery")]
    made += ["results/models/diffusions/fashion-addt-small.safetensors"]
    workspace.run(*made, *CONFIG, "--config", "small=True")
    assert all((workspace.path / file).exists() for file in made)
    assert not (workspace.path / "results/fashion-mnist").exists()


def test_all_of_it_is_planned(workspace):
    """Its networks and every study of the embedded experiment."""
    planned = {rule for rule, _ in workspace.pending(*CONFIG)}
    assert {"train_classifier", "train_diffusion", "fine_tune", "findings", "comparison_page"} <= planned
    of_digits = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))["experiments"]["digits"]
    of_fashion = yaml.safe_load((ROOT / "config/fashion.yaml").read_text(encoding="utf-8"))["experiments"]
    assert of_digits.keys() <= of_fashion["fashion-mnist"].keys()


def test_who_averages_longer_meets_the_same_networks(workspace):
    """And needs none that is fine-tuned."""
    planned = {rule for rule, _ in workspace.pending(*CONFIG, "--config", "run=[fashion-eot]")}
    assert {"train_classifier", "train_diffusion", "strength_tables"} <= planned and "fine_tune" not in planned


def test_nothing_is_kept_before_it_is_there(workspace):
    printed = workspace.run("keep", *CONFIG, fails=True)
    assert "keep: results are missing" in printed and not Path(workspace.path / "results/fashion-mnist/data").exists()
