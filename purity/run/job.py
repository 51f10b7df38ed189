"""How a job runs: its device and threads, what it says while it works and when it fails, what is recorded of it."""

import ctypes
import logging
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from purity.run import lineage, loaded, status, store
from purity.run.codehash import strangers
from purity.run.devices import claimed, no_memory
from purity.run.progress import Done, Progress, duration
from purity.run.rules import first_line

_DONE = "done in"  # the last line of a log says so
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@dataclass
class Job:
    """What a script's call is given of its job.

    batch: how many images at once, at most; 0: the best one, which has to be found first (purity.batching). device:
    'cpu' or 'cuda'. progress: wraps a sized iterable, also one inside another, and says in the log now and then how
    long the whole job will take. done: what an earlier job of the same kind has done, to which this one adds; None:
    nothing is remembered. output: the file that it makes; parts: what each part of it depends on (purity.run.parts).
    record: where it is written what made it. inputs: digests of its input files. evaluations: images that networks saw,
    by what they were watched as. chosen: what the config leaves to the program, the batch. keep_every: seconds after
    which it is kept how far an attack is.
    """

    batch: int
    device: str = "cpu"
    progress: Callable[[Collection], Iterator] = iter
    done: Done | None = None
    output: str = ""
    parts: dict[str, str] = field(default_factory=dict)
    record: Path | None = None
    inputs: dict[str, str | None] = field(default_factory=dict)
    evaluations: dict[str, int] = field(default_factory=dict)
    chosen: dict[str, int] = field(default_factory=dict)
    keep_every: float = 180.0

    def with_batch(self, batch: int) -> "Job":
        """This job with the best batch, once that is found."""
        self.chosen["batch"] = batch
        return replace(self, batch=batch)

    def part(self, name: str) -> "Job":
        """This job at one part of its work; what is done of it is remembered apart from the other parts."""
        return replace(self, done=self.done and self.done.within(name))

    def watch(self, what: str, network) -> None:
        """Count the images that a network sees, twice those that are recomputed. Only torch modules can be watched."""
        self.evaluations[what] = 0

        def count(module, arguments) -> None:
            self.evaluations[what] += len(arguments[0])

        if hasattr(network, "register_forward_pre_hook"):
            network.register_forward_pre_hook(count)


@contextmanager
def running(given) -> Iterator[Job]:
    """The surroundings of a script's one call: what it needs of its job, and the record of it (purity.run.lineage).

    given: what Snakemake tells a script. Foreseeable failures (ValueError, OSError, out of memory) end the script with
    one line on stderr and in the log; the traceback goes to the log. Anything else is a bug and shows its traceback.
    """
    loaded.leave_alone()
    what, log = name(given), Path(given.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=[_written(log)], force=True)
    logging.info("%s: begins", what)
    running_file = status.Running(log, what)
    running_file.says()

    def say(at: str, share: float, left: float) -> None:
        logging.info("%s: %s, about %s left", what, at, duration(left))
        running_file.says(at, share, left)

    try:
        refuse_another_clone(given)
        with claimed(getattr(given.resources, "gpu", 0)) as device:
            prepare_torch(given.threads)
            check_driver(device)
            started, cpu_started = time.monotonic(), time.process_time()
            depends = {key: given.params.get(key) for key in ("spec", "code")}
            depends["inputs"] = lineage.digests(given.input)
            output = str(next(iter(given.output), log))
            batch = getattr(given.resources, "batch", 1)
            done, record = Done(output, depends), log.with_suffix(".json")
            told = {"record": record, "inputs": depends["inputs"]}
            job = Job(0 if batch == "auto" else batch, device, Progress(say), done, output, **told)
            yield job
            usage = _usage(device, time.monotonic() - started, time.process_time() - cpu_started)
            usage |= {"evaluations": job.evaluations}
        if given.output:
            made = {"what": what, "rule": given.rule, "outputs": lineage.digests(given.output)}
            made |= {"batch": getattr(given.resources, "batch", None)} | job.chosen
            made |= {"parts": job.parts} if job.parts else {}
            lineage.record(record, **made, **depends, **usage, **lineage.surroundings())
            for path in given.output:
                if str(path).endswith(".zarr.zip"):
                    store.remember(path)
        done.clear()
        logging.info("%s: %s %.1f s", what, _DONE, usage["seconds"])
        store.earlier(log).unlink(missing_ok=True)
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not no_memory(error):
            raise
        first = first_line(error)
        hint = "; lower `batch` in the config" if isinstance(error, MemoryError | RuntimeError) else ""
        logging.exception("%s: %s%s", what, first, hint)
        print(f"ERROR {what}: {first}{hint}", file=sys.stderr, flush=True)
        sys.exit(1)
    finally:
        running_file.ends()


def refuse_another_clone(given) -> None:
    """The code that runs is that of the project which the script lies in, whose digest is recorded."""
    scripts = getattr(given, "scriptdir", None) or ""  # an address, where the workflow comes from the network
    if len(Path(scripts).parents) > 1 and (found := strangers(Path(scripts).parents[1], [str(lineage.ROOT)])):
        said = f"the job would run the `purity` of {found[0]}, not that of {Path(scripts).parents[1]}"
        raise ValueError(f"{said}: unset PYTHONPATH or uninstall it")


def name(given) -> str:
    """What a job is called in messages: its rule, and what it is about."""
    about = [value for key, value in given.wildcards.items() if key != "experiment"]
    return " ".join([given.rule.replace("_", " "), *([", ".join(about)] if about else [])])


def _written(log: Path) -> logging.Handler:
    """The log, gone on with if a job that was stopped has left it. Snakemake removes it before it starts a job: until
    the end it has a second name."""
    if not log.exists() and not _finished(before := store.earlier(log)):
        with suppress(OSError):
            os.link(before, log)
    handler = logging.FileHandler(log, mode="w" if _finished(log) else "a", encoding="utf-8")
    store.remember(log)
    return handler


def _finished(log: Path) -> bool:
    """Whether the job that wrote this log, if there is one, came to its end: one that was stopped is gone on with."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1000))
            return f": {_DONE} " in file.read().decode("utf-8", "replace").splitlines()[-1]
    except (OSError, IndexError):
        return True


def prepare_torch(threads: int) -> None:
    """Repeatable kernels in full precision and memory that is kept, for jobs that load torch at all."""
    torch = sys.modules.get("torch")
    if torch is not None:
        _keep_freed_memory()
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def check_driver(device: str) -> None:
    """ValueError if torch, where it is loaded, cannot work on the device that was claimed."""
    torch = sys.modules.get("torch")
    if torch is not None and device == "cuda":
        try:
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:
            if no_memory(error):
                raise
            said = first_line(error).rstrip(".")
            raise ValueError(
                f"device: cuda is configured, but torch cannot use it ({said}); set device: cpu"
            ) from error


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed. Else every activation goes back to the system and is paged in again: on a CPU a
    third of an attack's time (benchmarks/attack.py)."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _usage(device: str, seconds: float, cpu_seconds: float) -> dict:
    """The device's name, seconds of work by the clock and of all CPU cores, MiB of memory at the most: the host's, and
    the device's if there is one."""
    used = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "host_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
    }
    torch = sys.modules.get("torch")
    if torch is None or device == "cpu":
        return used | {"device": f"CPU ({platform.machine()})"}
    peak = torch.cuda.max_memory_allocated() / 2**20
    return used | {"device": torch.cuda.get_device_name(), "device_mib": peak}
