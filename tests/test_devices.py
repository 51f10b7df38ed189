"""Jobs of one machine never share a device, however they end."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from purity.run import devices

ROOT = Path(__file__).parents[1]

# A job: when told, claims a device by a lock in argv[1], notes (device, from, to) as one line in argv[2], holding it for argv[3] seconds.
JOB = """
import json, os, sys, time
from purity.run.devices import claimed
print("ready", flush=True)
sys.stdin.readline()
with claimed(1, folder=sys.argv[1], wait=0.01) as device:
    begin = time.monotonic()  # one clock for all processes of a machine
    print("claimed", flush=True)
    time.sleep(float(sys.argv[3]))
    line = json.dumps([device, os.environ["CUDA_VISIBLE_DEVICES"], begin, time.monotonic()]) + "\\n"
    note = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(note, line.encode())
"""


def start(folder: Path, seconds: float, visible: str) -> subprocess.Popen:
    environment = {k: v for k, v in os.environ.items() if k != "SLURM_JOB_ID"}
    environment |= {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": visible}
    command = [sys.executable, "-c", JOB, str(folder / "locks"), str(folder / "notes"), str(seconds)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def go(*jobs: subprocess.Popen) -> None:
    """All at once, when all are there."""
    assert all(job.stdout.readline() == b"ready\n" for job in jobs)
    for job in jobs:
        job.stdin.write(b"\n")
        job.stdin.flush()


def notes(folder: Path) -> list[list]:
    return [json.loads(line) for line in (folder / "notes").read_text().splitlines()]


@pytest.fixture(autouse=True)
def nowhere_in_particular(monkeypatch):
    """Outside SLURM; and CUDA_VISIBLE_DEVICES, which a claim sets, is put back."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_nine_jobs_on_three_devices_never_overlap_on_one_and_all_finish(tmp_path):
    jobs = [start(tmp_path, 0.2, "0,1,2") for _ in range(9)]
    go(*jobs)
    for job in jobs:
        job.communicate(timeout=60)
    assert [job.returncode for job in jobs] == [0] * 9
    held = notes(tmp_path)
    assert len(held) == 9 and {device for device, *_ in held} == {"cuda"}
    by_device: dict[str, list] = {}
    for _, visible, begin, end in held:
        by_device.setdefault(visible, []).append((begin, end))
    assert set(by_device) == {"0", "1", "2"}  # all are used
    for spans in by_device.values():
        spans.sort()
        assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))


def test_a_killed_job_gives_its_device_back(tmp_path):
    first = start(tmp_path, 60, "0")
    go(first)
    assert first.stdout.readline() == b"claimed\n"
    second = start(tmp_path, 0, "0")
    go(second)
    time.sleep(0.3)
    assert second.poll() is None  # waits while the first one lives
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second.communicate(timeout=30)
    assert second.returncode == 0 and len(notes(tmp_path)) == 1


def test_a_failed_job_gives_its_device_back(tmp_path, monkeypatch):
    for _ in range(2):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
        with pytest.raises(KeyError), devices.claimed(1, folder=tmp_path / "locks"):
            raise KeyError("a bug")


def test_a_job_sees_only_the_device_it_has_claimed(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", " GPU-a1b2 , GPU-c3d4 ")
    with devices.claimed(1, folder=tmp_path / "locks") as device:
        assert (device, os.environ["CUDA_VISIBLE_DEVICES"]) == ("cuda", "GPU-a1b2")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a1b2,GPU-c3d4")  # as another job starts with
        with devices.claimed(1, folder=tmp_path / "locks"):
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-c3d4"


def test_a_slice_of_a_device_can_be_claimed(tmp_path, monkeypatch):
    """Slices have such names under older drivers."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-GPU-a1b2/1/0")
    with devices.claimed(1, folder=tmp_path / "locks"):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "MIG-GPU-a1b2/1/0"


def test_under_slurm_no_lock_is_taken_and_no_device_is_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    for _ in range(2):
        with (
            devices.claimed(1, folder=tmp_path / "locks") as one,
            devices.claimed(1, folder=tmp_path / "locks") as other,
        ):
            assert one == other == "cuda" and os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    assert not (tmp_path / "locks").exists()


def test_in_an_allocation_of_several_devices_jobs_share_them_out(tmp_path, monkeypatch):
    """`salloc --gres=gpu:2`, then Snakemake with its local executor inside: nobody else hands out the two."""
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    with devices.claimed(1, folder=tmp_path / "locks"):
        first = os.environ["CUDA_VISIBLE_DEVICES"]
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")  # as another job of the allocation finds it
        with devices.claimed(1, folder=tmp_path / "locks"):
            assert {first, os.environ["CUDA_VISIBLE_DEVICES"]} == {"2", "3"}


@pytest.mark.parametrize("visible", ["", "0,1"])
def test_without_gpus_a_job_runs_on_the_processor_and_takes_no_lock(visible, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with devices.claimed(0, folder=tmp_path / "locks") as device:
        assert device == "cpu" and os.environ["CUDA_VISIBLE_DEVICES"] == visible
    assert not (tmp_path / "locks").exists()


@pytest.mark.parametrize("visible", ["", " ", "-1", "NoDevFiles"])  # the last two are said to mean none, too
def test_no_device_is_said_in_one_line_with_what_to_do(visible, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(ValueError, match="device: cpu") as error, devices.claimed(1, folder=tmp_path / "locks"):
        pass
    assert "\n" not in str(error.value)


def smi(folder: Path, script: str, monkeypatch) -> None:
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")


def test_devices_are_counted_where_nothing_names_them(tmp_path, monkeypatch):
    listing = "echo 'GPU 0: NVIDIA (UUID: GPU-1)'; echo '  MIG 1g: (UUID: MIG-1)'; echo 'GPU 1: NVIDIA (UUID: GPU-2)'"
    smi(tmp_path, listing, monkeypatch)
    assert devices.visible() == ["0", "1"]


@pytest.mark.parametrize("script", ["echo 'NVIDIA-SMI has failed' >&2; exit 9", "exit 0"])
def test_a_machine_without_devices_or_driver_shows_none(script, tmp_path, monkeypatch):
    smi(tmp_path, script, monkeypatch)
    assert devices.visible() == []


def test_a_machine_without_the_tool_shows_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert devices.visible() == []
