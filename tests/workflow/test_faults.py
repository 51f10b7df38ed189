"""Faults, by causing them: each ends in one clear line and a non-zero exit, and leaves nothing half-written."""

import os
import signal
import time

import pytest
from workspace import Workspace

R = "results/tiny"
SUBSET = f"{R}/data/images-00000-00005.zarr.zip"


@pytest.fixture
def workspace(finished, tmp_path):
    return finished.copy(tmp_path / "copy")


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
        (lambda c: c["attacks"]["pgd"]["options"].update(epsilon=-0.1), "attacks.pgd.options.epsilon: -0.1 is less"),
        (lambda c: c["purifiers"]["ddpm"]["options"].update(t=1001), "purifiers.ddpm.options.t: 1001 is greater"),
        (
            lambda c: c["classifiers"].update(other={"network": "purity.networks:cnn", "weights": "no/such.pt"}),
            "classifiers.other.weights: there is no file no/such.pt",
        ),
        (lambda c: c["experiments"]["tiny"].update(sedes=[1]), "experiments.tiny.sedes: there is no such key"),
    ],
    ids=["unknown preset", "epsilon", "t", "missing weights", "unknown key"],
)
def test_an_impossible_config_is_one_line_before_any_job(workspace, change, line):
    workspace.configure(change)
    printed = workspace.run(fails=True)
    assert [text for text in printed.splitlines() if text.startswith("config: ")] == [
        text for text in printed.splitlines() if line in text
    ]
    assert f"config: {line}" in printed
    assert "rule " not in printed and "Traceback" not in printed


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("x[:, :, 1:]", "returned shape (6, 1, 7, 8) for images of (6, 1, 8, 8)"),
        ("x * float('nan')", "returned NaN or infinite values"),
        ("x + 1", "outside [0, 1]"),
        ("x.numpy()", "returned ndarray, not a tensor"),
    ],
    ids=["shape", "nan", "range", "type"],
)
def test_a_purifier_that_returns_no_images_is_named(workspace, body, complaint):
    (workspace.path / "mine.py").write_text(f"def bad():\n    return lambda x, xi: {body}\n")
    workspace.configure(lambda c: c["purifiers"].update(mine={"make": "mine:bad"}))
    workspace.configure(lambda c: c["experiments"]["tiny"]["attacked"].update(mine={"pgd": ["all"]}))
    target = f"{R}/adversarial/mine/pgd/all/seed-0/images-00000-00005.zarr.zip"
    printed = workspace.run(target, fails=True)
    (line,) = said(printed)
    assert "purifier 'mine'" in line and complaint in line
    assert not (workspace.path / target).exists()


def test_a_truncated_store_is_named(workspace):
    path = workspace.path / f"{R}/adversarial/ddpm/pgd/all/seed-0/images-00000-00005.zarr.zip"
    path.write_bytes(path.read_bytes()[:-200])
    printed = workspace.run(fails=True)
    assert any(
        f"{R}/adversarial/ddpm/pgd/all/seed-0/images-00000-00005.zarr.zip is damaged" in line for line in said(printed)
    )
    path.unlink()  # as the message says
    workspace.run()
    assert workspace.pending() == []


def test_a_truncated_checkpoint_is_named(workspace):
    path = workspace.path / "results/models/diffusions/small.safetensors"
    path.write_bytes(path.read_bytes()[:-200])
    printed = workspace.run(fails=True)
    assert any("small.safetensors is truncated" in line for line in said(printed))


def test_a_checkpoint_of_ones_own_is_used_and_must_fit(workspace):
    trained = workspace.path / "results/models/classifiers/small.safetensors"
    (workspace.path / "mine.safetensors").write_bytes(trained.read_bytes())

    def own(c, width):
        options = {"channels": 1, "classes": 10, "width": width, "features": 8}
        c["classifiers"]["mine"] = {"network": "purity.networks:cnn", "options": options, "weights": "mine.safetensors"}
        c["experiments"]["tiny"]["classifier"] = "mine"

    target = f"{R}/adversarial/identity/pgd/none/seed-0/images-00000-00005.zarr.zip"
    before = (workspace.path / target).read_bytes()
    workspace.configure(lambda c: own(c, 8))
    workspace.run("--force", target)
    assert (workspace.path / target).read_bytes() == before
    workspace.configure(lambda c: own(c, 16))
    (line,) = said(workspace.run("--force", target, fails=True))
    assert "mine.safetensors does not fit purity.networks:cnn" in line


SLOW = """
import time

def slow():
    def purify(x, xi):
        open("started", "w").close()
        time.sleep(60)
        return x
    return purify
"""


@pytest.mark.parametrize("victim", ["script", "snakemake"])
def test_killed_at_work_nothing_looks_complete_and_the_next_run_goes_on(workspace, victim):
    (workspace.path / "mine.py").write_text(SLOW)
    workspace.configure(lambda c: c["purifiers"].update(mine={"make": "mine:slow"}))
    workspace.configure(lambda c: c["experiments"]["tiny"]["attacked"].update(mine={"pgd": ["all"]}))
    target = f"{R}/adversarial/mine/pgd/all/seed-0/images-00000-00005.zarr.zip"
    process = workspace.start(target)
    deadline = time.monotonic() + 60
    while not (workspace.path / "started").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    if victim == "snakemake":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        for pid in children(process.pid):
            os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not (workspace.path / target).exists()
    workspace.edit("mine.py", "time.sleep(60)", "pass")
    if victim == "snakemake":
        workspace.run("--unlock")
    workspace.run("--rerun-incomplete", target)
    assert (workspace.path / target).exists()


def children(pid: int) -> list[int]:
    """Python processes below a process."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found += [int(entry), *children(int(entry))]
    return found


def test_gpu_jobs_ask_for_a_device_and_others_do_not(workspace):
    workspace.configure(lambda c: c.update(device="cuda"))
    printed = workspace.run("-n", "--forceall", "all", "cost")
    asking = {}
    for block in printed.split("\n["):
        rule = block.partition("rule ")[2].partition(":")[0]
        if "    output: " in block:
            asking.setdefault(rule, set()).add("gpu=1" in block)
    assert {rule for rule, gpu in asking.items() if gpu == {True}} == {
        "train_classifier",
        "train_diffusion",
        "attack",
        "purify",
        "sample_ball",
        "walk",
        "jacobian",
        "ball_spectrum",
        "probe",
        "budget",
        "judge",
        "adversarial_cap",
        "margins",
        "fine_tune",
        "attack_paths",
        "landscape",
        "calibrate",
    }
    assert all(len(gpu) == 1 for gpu in asking.values())


def test_cuda_without_a_device_is_one_line(workspace):
    workspace.configure(lambda c: c.update(device="cuda"))
    target = f"{R}/purified/ddpm/clean/none/seed-0/images-00000-00005.zarr.zip"
    printed = workspace.run("--force", target, fails=True, CUDA_VISIBLE_DEVICES="")
    (line,) = said(printed)
    assert "this machine shows no CUDA device" in line


def test_a_fresh_clone_needs_nothing_but_itself(tmp_path):
    """No results, no .snakemake, another folder: a target far down the chain is made."""
    workspace = Workspace.fresh(tmp_path / "clone")
    workspace.run(f"{R}/measures/ddpm/pgd/all/seed-1.zarr.zip")
    assert (workspace.path / SUBSET).exists()
