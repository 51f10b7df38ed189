"""Faults, by causing them: each ends in one clear line and a non-zero exit, and leaves nothing half-written.

What a config may say is tested in tests/unit/run/test_config.py, kills in tests/workflow/test_kills.py.
"""

import os
import shutil

import numpy as np
import pytest
from workspace import Workspace

from purity.run import store

R = "results/tiny"
BLOCK = "images-00000-00005.zarr.zip"
MEASURES = f"{R}/measures/ddpm/attacked.zarr.zip"


def said(printed: str) -> list[str]:
    """The lines in which a script says what went wrong."""
    return [line for line in printed.splitlines() if line.startswith("ERROR ")]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda c: c["experiments"]["tiny"]["attacked"].update(ddmp={"pgd": ["all"]}),
            "experiments.tiny.attacked.ddmp: there is no purifier 'ddmp'",
        ),
        (
            lambda c: c.update(studies={"mine": {"reads": {"m": "mesures"}, "tables": {"t": "mine:t"}}}),
            "studies.mine.reads.m: there are no records 'mesures'; there are data, adversarial,",
        ),
    ],
    ids=["unknown preset", "unknown records"],
)
def test_an_impossible_config_is_one_line_before_any_job(tmp_path, change, line):
    workspace = Workspace.fresh(tmp_path / "fresh")
    workspace.configure(change)
    printed = workspace.run(fails=True)
    assert [text for text in printed.splitlines() if text.startswith("config: ")] == [
        text for text in printed.splitlines() if line in text
    ]
    assert f"config: {line}" in printed
    assert "rule " not in printed and "Traceback" not in printed


def test_a_slip_of_yaml_is_one_line_before_any_job(tmp_path):
    """A key that is there twice cannot be told from the loaded config; `8/255` and `5e-3` are taken as numbers."""
    workspace = Workspace.fresh(tmp_path / "fresh")
    (workspace.path / "mine.yaml").write_text("attacks: {pgd: {options: {epsilon: 8/255}}}\nbatch: 4\nbatch: 6\n")
    printed = workspace.run("-n", "--configfile", "mine.yaml", fails=True)
    assert [text for text in printed.splitlines() if "mine.yaml: batch is there twice, in lines 2 and 3" in text]
    assert "Traceback" not in printed
    workspace.edit("mine.yaml", "batch: 6\n", "")
    assert "rule attack:" in workspace.run("-n", "--configfile", "mine.yaml")


def test_a_purifier_that_returns_no_images_is_named(workspace):
    (workspace.path / "mine.py").write_text("def bad():\n    return lambda x, xi: x[:, :, 1:]\n")
    workspace.configure(lambda c: c["purifiers"].update(mine={"make": "mine:bad"}))
    workspace.configure(lambda c: c["experiments"]["tiny"]["attacked"].update(mine={"pgd": ["all"]}))
    target = f"{R}/adversarial/mine/pgd/all/{BLOCK}"
    (line,) = said(workspace.run(target, fails=True))  # tried on three images before the attack
    assert "purifier 'mine' returned shape (3, 1, 7, 8) for images of (3, 1, 8, 8) (docs/contract.md#image)" in line
    assert not (workspace.path / target).exists()


def test_truncated_files_are_named_and_made_again_when_they_are_deleted(workspace):
    damaged = workspace.path / f"{R}/adversarial/ddpm/pgd/all/{BLOCK}"
    weights = workspace.path / "results/models/classifiers/small.safetensors"
    whole, made = workspace.files(), weights.stat()
    for path in (damaged, damaged.with_name(f".{damaged.name}"), weights):  # a store and its second name are one file
        path.write_bytes(path.read_bytes()[:-200])
    targets = (MEASURES, f"{R}/budget/pgd/{BLOCK}")
    os.utime(weights, ns=(made.st_atime_ns, made.st_mtime_ns))  # else the attack runs anew and looks at no store
    lines = said(workspace.run(*targets, "--forcerun", "budget", fails=True))
    assert any(f"{R}/adversarial/ddpm/pgd/all/{BLOCK} is damaged" in line for line in lines)
    assert any("small.safetensors is not what it was when it was recorded" in line for line in lines)
    for path in (damaged, weights):
        path.unlink()  # as the messages say
    workspace.run(*targets)
    again = workspace.files()
    assert again == whole


def test_a_checkpoint_of_ones_own_is_used_and_must_fit(workspace):
    trained = workspace.path / "results/models/classifiers/small.safetensors"
    (workspace.path / "mine.safetensors").write_bytes(trained.read_bytes())

    def own(c, width):
        options = {"channels": 1, "classes": 10, "width": width, "features": 8}
        c["classifiers"]["mine"] = {"network": "purity.networks:cnn", "options": options, "weights": "mine.safetensors"}
        c["experiments"]["tiny"]["classifier"] = "mine"

    target = f"{R}/adversarial/identity/pgd/none/{BLOCK}"
    (before,) = store.load(workspace.path / target, "x", part="seed-0")
    workspace.configure(lambda c: own(c, 8))
    workspace.run("--force", target)
    (after,) = store.load(workspace.path / target, "x", part="seed-0")  # its spec has the digest of the weights besides
    assert np.array_equal(before, after)
    workspace.configure(lambda c: own(c, 16))
    (line,) = said(workspace.run("--force", target, fails=True))
    assert "mine.safetensors does not fit purity.networks:cnn" in line


def test_gpu_jobs_ask_for_a_device_and_others_do_not(workspace):
    workspace.configure(lambda c: c.update(device="cuda"))
    printed = workspace.run("-n", "--forceall", "all", "cost")
    asking = {}
    for block in printed.split("\n["):
        rule = block.partition("rule ")[2].partition(":")[0]
        if "    output: " in block:
            asking.setdefault(rule, set()).add("gpu=1" in block)
    networks = {"train_classifier", "train_diffusion", "fine_tune", "calibrate"}
    stages = {
        "attack",
        "purify",
        "sample_ball",
        "states",
        "jacobian",
        "pca",
        "samples",
        "probe",
        "budget",
        "fuzzy",
        "cap",
    }
    stages |= {"margins", "paths", "landscape", "search", "verify", "third_regime", "elsewhere"}
    assert {rule for rule, gpu in asking.items() if gpu == {True}} == networks | stages
    assert all(len(gpu) == 1 for gpu in asking.values())


def test_cuda_without_a_device_is_one_line(workspace):
    workspace.configure(lambda c: c.update(device="cuda"))
    target = f"{R}/purified/identity/attacked/{BLOCK}"
    (line,) = said(workspace.run("--force", target, fails=True, CUDA_VISIBLE_DEVICES=""))
    assert "this machine shows no CUDA device" in line


def test_a_fresh_clone_needs_nothing_but_itself_and_leaves_the_same_bytes(finished, tmp_path):
    """No results, no .snakemake, another folder: a figure and an attack, and all that they rest on."""
    workspace = Workspace.fresh(tmp_path / "clone")
    workspace.run(f"{R}/figures/pca.pdf", f"{R}/adversarial/identity/pgd/none/{BLOCK}")
    whole, again = finished.files(), workspace.files()
    assert len(again) > 9 and f"{R}/tables/pca.csv" in again
    assert {path: again[path] == whole[path] for path in again} == dict.fromkeys(again, True)


@pytest.mark.parametrize(
    "file",
    ["classifiers/nothing.safetensors", "diffusions/small.json", "features/small.json", "features/small-loss.png"],
)
def test_a_model_that_no_rule_makes_is_one_line(file, tmp_path):
    printed = Workspace.fresh(tmp_path / "fresh").run("-n", f"results/models/{file}", fails=True)
    assert f"No rule to produce results/models/{file}" in printed and "Traceback" not in printed


def test_more_images_than_there_are_is_one_line_before_any_job(tmp_path):
    workspace = Workspace.fresh(tmp_path / "fresh")
    workspace.configure(lambda c: c["experiments"]["tiny"].update(images=301))
    printed = workspace.run(fails=True)
    assert "config: experiments.tiny.images: 301 asked for, dataset 'digits' has 300 in its test split" in printed
    assert "rule " not in printed and "Traceback" not in printed


def test_another_clone_on_the_path_is_refused(tmp_path):
    workspace, other = Workspace.fresh(tmp_path / "fresh"), Workspace.fresh(tmp_path / "other")
    printed = workspace.run(fails=True, PYTHONPATH=str(other.path))
    assert f"{other.path} has a `purity` of its own" in printed and "Traceback" not in printed


def test_cuda_without_a_device_to_ask_for_is_one_line_before_any_job(tmp_path):
    workspace = Workspace.fresh(tmp_path / "fresh")
    workspace.configure(lambda c: c.update(device="cuda"))
    for asked in (("--resources", "gpu=0"), ("--set-resources", "attack:gpu=0")):
        printed = workspace.run("-n", *asked, fails=True)
        assert "has gpu=0: jobs would run on the CPU" in printed and "Traceback" not in printed


def test_a_part_that_only_the_working_directory_knows_is_found_by_jobs(tmp_path):
    """Where the project lies elsewhere, as when several people share one."""
    workspace, mine = Workspace.fresh(tmp_path / "fresh"), tmp_path / "mine"
    mine.mkdir()
    (mine / "my_data.py").write_text(
        "from functools import partial\nfrom purity.data import digits\nfew = partial(digits)\n"
    )
    (mine / "mine.yaml").write_text("datasets: {digits: {load: 'my_data:few'}}\n")
    shutil.copytree(workspace.path / "config", mine / "config")
    snakefile = ("--snakefile", str(workspace.path / "Snakefile"), "--directory", str(mine))
    config = ("--configfile", str(mine / "mine.yaml"))
    target = f"{R}/data/{BLOCK}"
    workspace.run(target, *snakefile, *config)
    assert (mine / target).exists()
