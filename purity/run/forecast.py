"""How long a run will take here, said before its first job.

What each job of the embedded experiment took on another machine is recorded in config/recorded.yaml
(benchmarks/overhead.py writes it). A fixed piece of work, timed there and here, says how fast this machine is.

    python -m purity.run.forecast        the seconds of that piece of work on this machine, now
"""

import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import yaml

RECORDED = "config/recorded.yaml"
WORTHWHILE = 60.0  # seconds of CPU; below that the forecast costs more than it tells


class Recorded(NamedTuple):
    """What a run took. machine, date, command: of it. workload: seconds of `workload` there. start: CPU seconds that a
    job needs beside its work, to start and to be scheduled. jobs: CPU seconds of its work, by its first output."""

    machine: str
    date: str
    command: str
    workload: float
    start: float
    jobs: dict[str, float]


def read(path: str | Path) -> Recorded:
    """The record of a run. ValueError naming the file if it is none."""
    try:
        return Recorded(**yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except (OSError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error


def workload(rounds: int = 7) -> float:
    """Median seconds of convolutions forward and backward on one thread, as the embedded networks do. By the clock: a
    machine that is busy with something else is slower."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(1)
    x = torch.linspace(-1, 1, 64 * 16 * 8 * 8).view(64, 16, 8, 8).requires_grad_()
    w = torch.linspace(-1, 1, 16 * 16 * 9).view(16, 16, 3, 3)
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        for _ in range(30):
            torch.autograd.grad(F.conv2d(x, w, padding=1).square().sum(), x)
        times.append(time.perf_counter() - started)
    return median(times[1:])  # the first one sets up what the others find


def start(*modules: str) -> float:
    """Seconds by the clock before a job's work begins here: of processes that import these, one after the other. One
    that is not there (Snakemake, in a job's own environment) takes no time."""
    began = time.perf_counter()
    for module in modules:
        command = [sys.executable, "-c", f"import {module}"]
        subprocess.run(command, capture_output=True, cwd=Path(__file__).parents[2], check=False)
    return time.perf_counter() - began


def expected(outputs: Iterable[str], recorded: Recorded, speed: float, cores: int) -> float:
    """Seconds of a run of the jobs that make these first outputs.

    speed: seconds here for one there. The jobs share the cores evenly, at best; a run is no shorter than its longest
    job. A job that was not recorded counts its start only.
    """
    took = [recorded.start + recorded.jobs.get(output, 0.0) for output in outputs]
    return speed * max(sum(took) / cores, max(took, default=0.0))


def said(outputs: list[str], recorded: Recorded, cores: int) -> str | None:
    """What to tell before these jobs run on so many cores; None if they are too short to be worth it, or if this Python
    cannot do the piece of work."""
    if expected(outputs, recorded, 1.0, 1) < WORTHWHILE:
        return None
    command = [sys.executable, "-m", "purity.run.forecast"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    if done.returncode:
        return None
    minutes = expected(outputs, recorded, float(done.stdout) / recorded.workload, cores) / 60
    there = f"{recorded.machine} ({recorded.date})"
    return (
        f"{len(outputs)} jobs: about {max(1, round(minutes))} min on {cores} cores, if this machine stays as busy as "
        f"it is now.\nEstimated from what each job took on {there}, and a trial of a second here."
    )


if __name__ == "__main__":
    print(workload())
