"""Where a result comes from: a record of every job beside its log, and the trail of them that leads to a file.

    python -m purity.run.lineage results/digits/figures/robustness.png        make provenance OF=…

A record says what made which files of which: rule, spec, digest of the code, commit, versions, device, seeds, and the
SHA-256 of what went in and came out. The trail follows it back to the data, and says where a file is no longer the one
that was recorded.
"""

import argparse
import hashlib
import json
import logging
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from textwrap import shorten

from purity.run import content, store
from purity.run.codehash import installed_version

ROOT = Path(__file__).parents[2]
PACKAGES = ("torch", "torchvision", "diffusers", "robustbench", "timm", "numpy", "pandas", "zarr", "snakemake")


def sha256(path: str | Path) -> str | None:
    """Of a file, or of all files of a folder and their names; None if there is neither."""
    path = Path(path)
    if path.is_dir():
        listed = sorted(p for p in path.rglob("*") if p.is_file())
        text = "".join(f"{p.relative_to(path)} {sha256(p)}\n" for p in listed)
        return hashlib.sha256(text.encode()).hexdigest()
    return content.sha256(path) if path.is_file() else None


def digests(paths: Iterable[str]) -> dict[str, str | None]:
    return {str(path): sha256(path) for path in paths}


def commit() -> dict:
    """The project's commit, and whether its files differ from it; nothing where it is no git checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {
            "commit": git("rev-parse", "HEAD"),
            "edited": bool(git("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.CalledProcessError):
        return {}


def surroundings() -> dict:
    """Of this process: commit, versions, machine."""
    loaded = [name for name in PACKAGES if name in sys.modules]
    versions = {"python": platform.python_version()} | {name: installed_version(name) for name in loaded}
    slurm = os.environ.get("SLURM_JOB_ID")
    return {**commit(), "versions": versions, "host": socket.gethostname(), **({"slurm": slurm} if slurm else {})}


def usage(made: Iterable[dict]) -> list[dict]:
    """What jobs took, a row for each record: memory at its most, images that networks saw, time for each of them.

    Of the process that finished: a job that went on where another was killed counts its own part.
    """
    rows = []
    for said in made:
        evaluations = said["evaluations"].get("diffusion", 0)
        rows.append(
            {
                "rule": said["rule"],
                "output": next(iter(said["outputs"])),
                "device": said["device"],
                "batch": said["batch"],
                "seconds": said["seconds"],
                "evaluations": evaluations,
                "classifications": said["evaluations"].get("classifier", 0),
                "ms_per_evaluation": 1000 * said["seconds"] / evaluations if evaluations else None,
                "device_mib": said.get("device_mib"),
                "host_mib": said["host_mib"],
            }
        )
    return rows


def record(path: str | Path, **said) -> None:
    """Write a job's record. It holds at least what, outputs and inputs (path: SHA-256)."""
    store.save_text(path, json.dumps(said, indent=1, sort_keys=True) + "\n")


def record_of(log: str | Path) -> Path:
    """Where the record of the job with this log is."""
    return Path(log).with_suffix(".json")


def read_record(path: Path) -> dict | None:
    """None if there is none. ValueError in one line if it is damaged, or no record."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); delete it") from error
    said = {"inputs": {}, **said} if isinstance(said, dict) else {}
    if any(not isinstance(said.get(key), dict) for key in ("outputs", "inputs")):
        raise ValueError(f"{path} is no record of a job; move it elsewhere")
    return said


def records(results: Path = Path("results")) -> dict[str, dict]:
    """The records there are, by each file that they say was made. What is damaged or foreign is named and left out."""
    found: dict[str, dict] = {}
    for path in sorted(results.glob("*/logs/**/*.json")):
        try:
            said = read_record(path) or {}
            found |= dict.fromkeys(said.get("outputs", ()), said)
        except ValueError as fault:
            logging.warning("%s; it is left out", fault)
    return found


def short(paths: Iterable[str]) -> list[tuple[str, str, str, str]]:
    """(file, beginning of its SHA-256, of the digest of its code, of the commit) of files, as far as records say it."""
    known = records()
    rows = []
    for path in paths:
        said = known.get(path, {})
        digest = said.get("outputs", {}).get(path) or sha256(path) or ""
        rows.append((path, digest[:12], str(said.get("code") or "")[:12], str(said.get("commit") or "")[:12]))
    return rows


def made_otherwise(log: str | Path, spec: object, code: str) -> str | None:
    """What of the spec or the code is other today than in the record of the job with this log: `a.b: 1 → 2`. None if
    nothing is, or if there is no record that says it."""
    try:
        said = read_record(record_of(log))
    except ValueError:
        return None  # named where records are read; what Snakemake knows decides
    if said is None or "code" not in said:
        return None
    spec = json.loads(json.dumps(spec))
    accepted = said.get("accepted", {})
    if (said.get("spec"), said["code"]) == (spec, code) or (accepted.get("spec"), accepted.get("code")) == (spec, code):
        return None
    return _difference(said.get("spec"), spec, "spec") or "its code"


def _difference(then: object, now: object, key: str) -> str | None:
    """The first difference, in the order of keys."""
    if then == now:
        return None
    if isinstance(then, dict) and isinstance(now, dict):
        found = (_difference(then.get(name), now.get(name), f"{key}.{name}") for name in sorted({*then, *now}))
        return next(filter(None, found), f"{key}: other keys")
    return f"{key}: {shorten(json.dumps(then), 60)} → {shorten(json.dumps(now), 60)}"


def accept(log: str | Path, spec: object, code: str) -> None:
    """Note in a job's record that what it made counts as made by this spec and code: somebody has said --touch."""
    said = read_record(record_of(log))
    if said is not None:
        record(record_of(log), **said | {"accepted": {"spec": spec, "code": code}})


def trail(path: str, known: dict[str, dict]) -> Iterator[str]:
    """Lines from a file back to the data: a paragraph for each rule, nearest to the file first.

    ValueError if there is no record of the file.
    """
    if path not in known:
        raise ValueError(f"{path}: no record says what made it; run the workflow that makes it")
    behind: dict[str, dict[str, str]] = {}
    todo = [path]
    while todo:
        file = todo.pop()
        if file not in behind:
            behind[file] = known[file]["inputs"] if file in known else {}
            todo += behind[file]
    # how many steps lie between a file and the one asked for: the most, so that what is read late comes late
    steps = dict.fromkeys(behind, 0)
    for file in reversed(list(TopologicalSorter(behind).static_order())):
        for source in behind[file]:
            steps[source] = max(steps[source], steps[file] + 1)
    by_rule: dict[str, list[str]] = {}
    for file in sorted(behind, key=lambda file: (steps[file], file)):
        by_rule.setdefault(known[file]["rule"] if file in known else "given", []).append(file)
    for rule in sorted(by_rule, key=lambda rule: (max(steps[file] for file in by_rule[rule]), rule == "given")):
        yield from _paragraph(rule, by_rule[rule], known)


def _paragraph(rule: str, files: list[str], known: dict[str, dict]) -> Iterator[str]:
    yield f"{rule}: {files[0]}" + (f" and {len(files) - 1} more" if len(files) > 1 else "")
    made = [known[file] for file in files if file in known]
    for what, read in SAID.items():
        if values := dict.fromkeys(value for said in made if (value := read(said)) is not None):
            yield f"    {what}: {', '.join(map(str, values))}"
    if made and made[0]["spec"]:
        yield f"    spec{' of the first' * (len(files) > 1)}: {json.dumps(made[0]['spec'], ensure_ascii=False)}"
    if any("accepted" in said for said in made):
        yield "    ! somebody has said --touch: another spec or other code made it than today's"
    for file in files:
        if file in known and sha256(file) != known[file]["outputs"][file]:
            yield f"    ! {file} is not what was made then"
        for source, digest in known[file]["inputs"].items() if file in known else ():
            if source in known and known[source]["outputs"][source] != digest:
                yield f"    ! {file} was made of an earlier {source}"


def _commit(said: dict) -> str:
    return said.get("commit", "unknown")[:12] + (" with edited files" if said.get("edited") else "")


def _seeds(spec: dict | None) -> str | None:
    """Of the parts of a store, or of a training."""
    spec = spec or {}
    said = [part.get("keys", {}) for part in spec.get("parts", {}).values()]
    said += [spec.get(part, {}) for part in ("keys", "noise", "training", "fine_tuning")]
    seeds = dict.fromkeys(part["seed"] for part in said if "seed" in part)
    return ", ".join(map(str, seeds)) or None


# what a paragraph says of the jobs of a rule, every different value once
SAID = {
    "commit": _commit,
    "code": lambda said: said["code"],
    "versions": lambda said: " ".join(f"{name} {version}" for name, version in said["versions"].items()),
    "device": lambda said: said["device"],
    "seed": lambda said: _seeds(said["spec"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m purity.run.lineage", description="What made a result, back to its data."
    )
    parser.add_argument("file", help="a file under results/")
    parser.add_argument("--json", action="store_true", help="the record of the file itself")
    given = parser.parse_args()
    path = os.path.relpath(given.file)
    known = records()
    try:
        if given.json and path in known:
            print(json.dumps(known[path], indent=1))
        else:
            print("\n".join(trail(path, known)))
    except ValueError as mistake:
        sys.exit(str(mistake))


if __name__ == "__main__":
    main()
