"""Memory that a graph may take: what its device, or this job's share of the host, has at hand."""

import os
from pathlib import Path

import torch

SHARE = 0.7  # of what is at hand; the rest is room for the classifier behind a purifier and for what kernels work in


def at_hand(device: torch.device) -> int:
    """Bytes that may be filled on a device. On a GPU: what is free there, and what torch holds of it unused."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(SHARE * (free + unused))
    return int(SHARE * of_host(torch.get_num_threads()))


def of_host(threads: int) -> int:
    """Bytes of the host's memory for a job of so many threads: jobs run beside each other, one a processor, so each
    may take the share of its processors, less what it holds already, and no more than is free."""
    total, free = _memory()
    for limit, used in _limits():
        total, free = min(total, limit), min(free, limit - used)
    share = min(1.0, threads / (os.cpu_count() or 1))
    return max(0, int(min(free, share * total - _resident())))


def _memory() -> tuple[int, int]:
    """(bytes of memory, bytes of it that are free) of this machine."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        total, free = (1024 * int(lines[key].split()[0]) for key in ("MemTotal", "MemAvailable"))
        return total, free
    except (OSError, KeyError, ValueError):  # not Linux
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return total, total


def _limits() -> list[tuple[int, int]]:
    """(limit, use) in bytes of every control group around this process (containers, SLURM), version 2."""
    found = []
    try:
        named = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
        own = next(line.removeprefix("0::").lstrip("/") for line in named if line.startswith("0::"))
        root = Path("/sys/fs/cgroup")
        for group in [root / own, *(root / own).parents]:
            if root in (group, *group.parents) and (limit := _number(group / "memory.max")) is not None:
                found.append((limit, _number(group / "memory.current") or 0))
    except (OSError, StopIteration):
        pass
    return found


def _number(path: Path) -> int | None:
    """The number in a file; None if there is no file or it says max."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _resident() -> int:
    """Bytes of memory that this process holds."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
