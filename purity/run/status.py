"""What runs now, and how long it will take: read from small files that jobs and Snakemake keep while they work.

    python -m purity.run.status        make status, from any terminal

A job keeps `<its log>.running` beside its log, a run keeps the list of its jobs in results/logs/run.jobs.
"""

import json
import os
import socket
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from statistics import mean

from purity.run import store
from purity.run.forecast import Recorded
from purity.run.progress import duration

RUN = "results/logs/run.jobs"
SILENT = 1800.0  # seconds without a word from another machine, after which that is said


class Running:
    """The file in which a job says that it runs, and how far it is."""

    def __init__(self, log: Path, what: str):
        self.path = log.with_suffix(".running")
        self.said = {"what": what, **_process(), "log": str(log)}

    def says(self, at: str = "", share: float = 0.0, left: float | None = None) -> None:
        """at: where in its loops it is. share: of its work that is done. left: seconds. A full disk stops no job."""
        said = self.said | {"at": at, "share": share, "left": left, "said": time.time()}
        with suppress(OSError):
            store.save_text(self.path, json.dumps(said) + "\n")

    def ends(self) -> None:
        self.path.unlink(missing_ok=True)


def _process() -> dict:
    return {"host": socket.gethostname(), "pid": os.getpid(), "began": time.time()}


def _lives(said: dict) -> bool:
    """Whether the process that said something runs; of one on another machine that is not known."""
    if said["host"] != socket.gethostname():
        return True
    try:
        os.kill(said["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _read(path: Path) -> dict | None:
    """None if it is gone meanwhile, or damaged."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def begins(
    jobs: Iterable[tuple[str, str, str]], recorded: Recorded | None = None, cores: int | None = None, path: str = RUN
) -> None:
    """Write down the jobs of a run: rule, first output and log of each. recorded: what they took elsewhere."""
    took = {output: recorded.start + seconds for output, seconds in recorded.jobs.items()} if recorded else {}
    listed = [{"rule": rule, "output": output, "log": log, "took": took.get(output)} for rule, output, log in jobs]
    store.save_text(path, json.dumps(_process() | {"cores": cores or 1, "jobs": listed}) + "\n")


def ends(path: str = RUN) -> None:
    Path(path).unlink(missing_ok=True)


def running(results: Path = Path("results")) -> list[dict]:
    """What the jobs say that run, longest at work first; jobs that were killed on this machine are left out."""
    found = (_read(path) for path in sorted(results.glob("**/*.running")))
    return sorted((said for said in found if said and _lives(said)), key=lambda said: said["began"])


def left(run: dict, at_work: list[dict]) -> tuple[int, float | None]:
    """How many of a run's jobs are done, and seconds until all are; None while nothing tells.

    A job that runs says what it needs itself. Another one takes what it took elsewhere, times how much longer such jobs
    took here; else what it took when it was last made; else what its rule's jobs take, or all that write a store as it
    does, or none as it does: of tables and figures attacks tell nothing. As many go on at once as now.
    """
    jobs, began = run["jobs"], run["began"]
    done = [job for job in jobs if _made(job["output"], began)]
    waiting = {job["output"]: job for job in jobs}
    for job in done:
        del waiting[job["output"]]
    here = {job["output"]: seconds for job in jobs if (seconds := _seconds(job["log"])) is not None}
    known = [(here[job["output"]], job["took"]) for job in done if job["output"] in here and job["took"]]
    slower = sum(a for a, _ in known) / sum(b for _, b in known) if known else 1.0
    alike = defaultdict(list)
    for job in jobs:
        if job["output"] in here:
            for kind in _kinds(job):
                alike[kind].append(here[job["output"]])

    def takes(job: dict) -> float | None:
        if job["took"]:
            return slower * job["took"]
        for kind in _kinds(job):
            if kind in alike:
                return mean(alike[kind])
        return 0.0 if here and not _is_long(job) else None  # until the first table tells

    logs = {said["log"]: said for said in at_work}
    needed: list[float] = []
    for job in waiting.values():
        said = logs.get(job["log"])
        seconds = said["left"] if said and said["left"] is not None else takes(job)
        if seconds is None:
            return len(done), None
        needed.append(seconds)
    return len(done), max(sum(needed) / (len(at_work) or run["cores"]), max(needed, default=0.0))


def _kinds(job: dict) -> tuple[str, str, bool]:
    """Whose seconds tell how long a job takes, best first: its own, its rule's, those that are as long or short."""
    return job["output"], job["rule"], _is_long(job)


def _is_long(job: dict) -> bool:
    """Whether a job may take long: it writes a store, or weights."""
    return job["output"].endswith((".zarr.zip", ".safetensors"))


def _made(output: str, began: float) -> bool:
    """Since the run began, with a second for clocks of other machines."""
    try:
        return os.stat(output).st_mtime >= began - 1
    except OSError:
        return False


def _seconds(log: str) -> float | None:
    """What a job took when it was last made."""
    said = _read(Path(log).with_suffix(".json")) or {}
    return said.get("seconds")


def lines(results: Path = Path("results"), path: str = RUN) -> Iterator[str]:
    """What runs, a line for each job, and how far the run is."""
    at_work = running(results)
    for said in at_work:
        yield _line(said)
    run = _read(Path(path))
    if run is None:
        if not at_work:
            yield "Nothing runs."
        return
    done, seconds = left(run, at_work)
    far = f"{done} of {len(run['jobs'])} jobs done"
    if not _lives(run):
        yield f"{far}. The run was stopped; the same command goes on with it."
    else:
        yield f"{far}, {len(at_work)} at work" + ("" if seconds is None else f", about {duration(seconds)} left")


def _line(said: dict) -> str:
    left_of_it = "" if said["left"] is None else f"about {duration(said['left'])} left"
    where = ", ".join(filter(None, [said["at"], left_of_it]))
    silent = time.time() - said["said"]
    heard = f"; nothing heard for {duration(silent)}" if silent > SILENT else ""
    return f"{said['what']}: {where or 'no word yet'}, at work for {duration(time.time() - said['began'])}{heard}"


def _print(line: str) -> None:
    print(line, flush=True)


def watch(say: Callable[[str], object] = _print, every: float = 60.0) -> Callable[[], None]:
    """Say in a line what the run does, every so many seconds, until this process ends or what is returned is called."""
    stopped = threading.Event()

    def work() -> None:
        while not stopped.wait(every):
            *jobs, run = lines()
            say(f"{time.strftime('%H:%M')} {run}" + (f": {'; '.join(jobs)}" if jobs else ""))

    threading.Thread(target=work, daemon=True).start()
    return stopped.set


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines())
