"""Which processor a job works on. Called before torch touches CUDA."""

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path


def visible() -> list[str]:
    """Names of this machine's CUDA devices: CUDA_VISIBLE_DEVICES up to an invalid entry, else nvidia-smi's count."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        names = [name.strip() for name in named.split(",")]
        return list(takewhile(lambda name: name.isdigit() or name.startswith(("GPU-", "MIG-")), names))
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [str(i) for i, line in enumerate(line for line in listed.splitlines() if line.startswith("GPU"))]


@contextmanager
def claimed(gpus: int, folder: str | None = None, wait: float = 0.5) -> Iterator[str]:
    """'cpu' for gpus = 0, else 'cuda' on a device that no other job of this machine has claimed meanwhile.

    Locally nothing assigns devices: a job takes the first free one by a lock file, which the system releases however
    the job ends, and waits if all are taken. Under SLURM the job has been given its device and takes no lock.
    """
    if gpus == 0:
        yield "cpu"
        return
    if "SLURM_JOB_ID" in os.environ:
        yield "cuda"
        return
    devices = visible()
    if not devices:
        raise ValueError("device: cuda is configured, but this machine shows no CUDA device; set device: cpu")
    folder = Path(folder or Path(tempfile.gettempdir()) / f"purity-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    while True:
        for device in devices:
            with open(folder / f"gpu-{device.replace('/', '-')}.lock", "w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                os.environ["CUDA_VISIBLE_DEVICES"] = device
                yield "cuda"
                return
        time.sleep(wait)
