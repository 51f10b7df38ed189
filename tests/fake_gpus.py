"""Devices that a machine without any only claims to have: who held which, and from when to when."""

import json
from itertools import pairwise

from workspace import Workspace

# Put after purity/run/devices.py of a workspace. An attack notes the device it was given, works on the CPU, and holds the
# device until four of them have been seen at work: else a short one is over before another has begun. One whose name
# is among faults/ fails, or hangs at its first attempt.
FAKE = """

import json

import __main__

given = claimed


@contextmanager
def claimed(gpus: int, *rest) -> Iterator[str]:
    with given(gpus, *rest):
        job = getattr(__main__, "snakemake", None)
        if not gpus or job.rule != "attack":
            yield "cpu"
            return
        node, device = os.environ.get("SLURMD_NODENAME"), os.environ["CUDA_VISIBLE_DEVICES"]
        said = {"output": job.output[0], "node": node, "device": device, "slurm": os.environ.get("SLURM_JOB_ID")}
        _note(said, "begin")
        _fault(Path("faults") / job.output[0].replace("/", "-"))
        deadline = time.monotonic() + 60
        while len(Path("notes").read_text().splitlines()) < 4 and time.monotonic() < deadline:
            time.sleep(0.1)
        yield "cpu"
        _note(said, "end")


def _note(said: dict, what: str) -> None:
    line = json.dumps({**said, "what": what, "at": time.monotonic()}) + "\\n"  # one clock for all of this machine
    file = os.open("notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)


def _fault(file: Path) -> None:
    kind = file.read_text() if file.exists() else None
    if kind == "hang":
        file.unlink()
        time.sleep(600)
    elif kind == "fail":
        raise ValueError("broken for the test")
"""


def fake(workspace: Workspace) -> Workspace:
    """The same, computing on a CPU what it believes to be on a device."""
    with open(workspace.path / "purity/run/devices.py", "a", encoding="utf-8") as module:
        module.write(FAKE)
    workspace.configure(lambda c: c.update(device="cuda"))
    # attacks like the others, only more of them, and what asks for them
    for part in ("sweep", "sensitivity", "search", "third-regime", "elsewhere", "budget"):
        workspace.configure(lambda c, part=part: c["experiments"]["tiny"].pop(part))
    return workspace


def fail(workspace: Workspace, output: str, kind: str) -> None:
    faults = workspace.path / "faults"
    faults.mkdir(exist_ok=True)
    (faults / output.replace("/", "-")).write_text(kind)


def notes(workspace: Workspace, what: str = "begin") -> list[dict]:
    """Attempts that have begun, or that have ended well."""
    file = workspace.path / "notes"
    lines = file.read_text().splitlines() if file.exists() else []
    return [note for note in map(json.loads, lines) if note["what"] == what]


def spans(workspace: Workspace) -> list[tuple[str, float, float]]:
    """(device, begin, end) of each job that has ended well, a job's last attempt."""
    begun = {(note["output"], note["slurm"]): note for note in notes(workspace)}
    return [
        (f"{note['node']} {note['device']}", begun[note["output"], note["slurm"]]["at"], note["at"])
        for note in notes(workspace, "end")
    ]


def overlapping(held: list[tuple[str, float, float]]) -> list[tuple]:
    """Jobs that held the same device at once."""
    pairs = pairwise(sorted(held))
    return [(one, other) for one, other in pairs if one[0] == other[0] and other[1] < one[2]]


def at_once(held: list[tuple[str, float, float]]) -> int:
    """The most jobs at work at a time."""
    return max(sum(begin <= moment < end for _, begin, end in held) for _, moment, _ in held)
