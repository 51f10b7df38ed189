"""`snakemake check`: a line for each part, no training, and no result where one is refused."""

import pytest
from workspace import Workspace

R = "results/tiny"

MINE = """import os
import random

import torch
from purity.data import digits


def own_randomness():
    return lambda x, xi: (x + 0.1 * torch.randn_like(x)).clamp(0, 1)


def of_this_process(split, n=None):
    \"\"\"Shuffled once in each process, where no process can see it by itself.\"\"\"
    x, y, ids = digits(split)
    order = list(range(len(x)))
    random.Random(os.getpid()).shuffle(order)
    return x[order][:n], y[order][:n], ids[order][:n]
"""


@pytest.fixture
def workspace(tmp_path):
    """No network is trained, no results are there."""
    made = Workspace.fresh(tmp_path / "fresh")
    (made.path / "mine.py").write_text(MINE, encoding="utf-8")
    return made


def lines(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if line.startswith("tiny: ")]


def test_every_part_is_tried_before_anything_is_trained(workspace):
    printed = workspace.run("check")
    assert set(workspace.done(printed)) == {"check_parts", "check"}
    parts = [line.removeprefix("tiny: ok ").partition(" (")[0] for line in lines(printed)]
    assert parts[:3] == ["data set digits, test", "data set digits, train", "classifier small"]
    assert {"purifier identity", "purifier ddpm", "purifier ddpm-addt", "attack uniform", "attack pgd on ddpm"} < set(
        parts
    )
    assert not (workspace.path / "results/models").exists()
    assert "igures are in" not in printed and "ables are in" not in printed

    def wrong(config):
        config["purifiers"]["mine"] = {"make": "mine:own_randomness"}
        config["experiments"]["tiny"]["attacked"]["mine"] = {"pgd": ["all"]}

    workspace.configure(wrong)
    printed = workspace.run("check", fails=True)
    (refused,) = [line for line in lines(printed) if "REFUSED" in line]
    assert "purifier 'mine' draws from torch's global generator" in refused and "docs/contract.md#generators" in refused
    assert any("ok attack pgd on identity" in line for line in lines(printed))
    assert "parts are refused: purifier mine" in printed and "Traceback" not in printed
    assert not (workspace.path / f"{R}/data").exists()


def test_a_loader_that_gives_other_images_to_another_job_is_refused(workspace):
    workspace.configure(lambda c: c["datasets"].update(digits={"load": "mine:of_this_process"}))
    workspace.configure(lambda c: c.update(block=3))
    first, second = (f"{R}/data/images-{block}.zarr.zip" for block in ("00000-00002", "00003-00005"))
    printed = workspace.run(second, fails=True)
    (line,) = [line for line in printed.splitlines() if line.startswith("ERROR ")]
    assert "dataset 'digits': other images than in the job of the first block" in line
    assert "docs/contract.md#same-images" in line
    assert (workspace.path / first).exists() and not (workspace.path / second).exists()
