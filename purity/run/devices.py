"""Which processor a job works on. Called before torch touches CUDA."""

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

_NO_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED")  # what torch's errors say then


def no_memory(error: BaseException) -> bool:
    """Whether an error says that there was too little memory, of the host or of a device."""
    torch = sys.modules.get("torch")  # whoever never loaded it has none of its errors
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in _NO_MEMORY)


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
    the job ends, and waits if all are taken. A SLURM job that was given one device uses it and takes no lock; in an
    allocation of several, jobs share them out among themselves as elsewhere. ValueError if the machine has none.
    """
    if gpus == 0:
        yield "cpu"
        return
    devices, allocation = visible(), os.environ.get("SLURM_JOB_ID")
    if allocation is not None and len(devices) <= 1:
        yield "cuda"
        return
    if not devices:
        raise ValueError("device: cuda is configured, but this machine shows no CUDA device; set device: cpu")
    owner = "-".join(["purity", str(os.getuid()), *([allocation] if allocation else [])])
    locks = Path(folder or Path(tempfile.gettempdir()) / owner)
    locks.mkdir(exist_ok=True)
    while True:
        for device in devices:
            with open(locks / f"gpu-{device.replace('/', '-')}.lock", "w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                os.environ["CUDA_VISIBLE_DEVICES"] = device
                yield "cuda"
                return
        time.sleep(wait)
