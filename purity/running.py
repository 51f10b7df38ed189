"""How a job runs: its device, its threads, what it says while it works and when it fails."""

import ctypes
import logging
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from purity.devices import claimed

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@dataclass(frozen=True)
class Job:
    """device: 'cpu' or 'cuda'. progress: wraps a sized iterable, reports on it in the log now and then."""

    device: str
    progress: Callable[[Iterable], Iterator]


@contextmanager
def running(what: str, log: str, threads: int = 1, gpus: int = 0) -> Iterator[Job]:
    """The surroundings of a script's one call. `what` names the job in messages.

    Foreseeable failures (ValueError, OSError, out of memory) end the script with one line on stderr and in the log;
    the traceback goes to the log. Anything else is a bug and shows its traceback.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    handlers = [logging.FileHandler(log, mode="w", encoding="utf-8")]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=handlers, force=True)
    started = time.monotonic()
    try:
        with claimed(gpus) as device:
            prepare_torch(threads)
            yield Job(device, lambda items: reporting(items, what))
            _report_memory(device)
        logging.info("%s: done in %.1f s", what, time.monotonic() - started)
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "out of memory" not in str(error):
            raise
        first = (str(error) or type(error).__name__).splitlines()[0]
        hint = "; lower `batch` in the config" if isinstance(error, MemoryError | RuntimeError) else ""
        logging.exception("%s: %s%s", what, first, hint)
        print(f"ERROR {what}: {first}{hint}", file=sys.stderr, flush=True)
        sys.exit(1)


def reporting(items: Iterable, what: str, every: float = 10.0) -> Iterator:
    """Passes the items on; now and then logs how many are done and how long is left."""
    total = len(items)
    started = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= every or done in (1, total):
            last = now
            left = (now - started) / done * (total - done)
            logging.info("%s: %d/%d, about %.0f s left", what, done, total, left)


def prepare_torch(threads: int) -> None:
    """Repeatable kernels in full precision and memory that is kept, for jobs that load torch at all."""
    torch = sys.modules.get("torch")
    if torch is not None:
        _keep_freed_memory()
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed. Else every activation goes back to the system and is paged in again: on a CPU a
    third of an attack's time (benchmarks/attack.py)."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _report_memory(device: str) -> None:
    torch = sys.modules.get("torch")
    if torch is not None and device == "cuda":
        logging.info("peak device memory %.0f MiB", torch.cuda.max_memory_allocated() / 2**20)
