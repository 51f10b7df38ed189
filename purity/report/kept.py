"""A run kept with the project: its tables, figures and page, and what made them."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from purity.run import lineage, store

ENDINGS = (".csv", ".png", ".html")  # of tables, figures and pages


def keep(results: Path, made: Iterable[str], known: Mapping[str, dict], now: dict, into: Path) -> None:
    """Copy tables, figures and pages among `made` (paths below `results`) to the folder `into`, with run.json and an
    index. What lay there is taken away first.

    known: records by the file they tell of; now: commit and whether files differ from it (purity.run.lineage). Nothing
    is copied and ValueError names the file if one is not what its record says was made, or has no record; or if the
    project's files differ from the commit.
    """
    if now.get("edited", True):
        raise ValueError("the project's files differ from its last commit: commit them, run again, then keep the run")
    chosen = sorted(path for path in made if path.startswith(f"{results}/") and path.endswith(ENDINGS))
    for path in chosen:
        if path not in known:
            raise ValueError(f"{path}: no record says what made it; run the workflow that makes it")
        if lineage.sha256(path) != known[path]["outputs"][path]:
            raise ValueError(f"{path} is not what its record says was made; delete it and run again")
    shutil.rmtree(into, ignore_errors=True)
    for path in chosen:
        copy = into / Path(path).relative_to(results)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    of_run = {path: said for path, said in known.items() if path.startswith((f"{results}/", "results/models/"))}
    run = summary(of_run.values(), now)
    store.save_text(into / "run.json", json.dumps(run, indent=1) + "\n")
    store.save_text(into / "README.md", index(results.name, [str(Path(p).relative_to(results)) for p in chosen], run))


def summary(records: Iterable[dict], now: dict) -> dict:
    """What a run took and was made with: jobs and hours by rule, devices, versions, the commits its jobs ran at, and
    SHA-256 of the networks that were trained for it, by which two runs know whether they have the same."""
    jobs = list({json.dumps(sorted(said["outputs"])): said for said in records}.values())
    hours: Counter[str] = Counter()
    versions: dict[str, set[str]] = {}
    for said in jobs:
        hours[said["rule"]] += said["seconds"] / 3600
        for name, version in said["versions"].items():
            versions.setdefault(name, set()).add(version)
    return {
        "kept_at_commit": now["commit"],
        "commits": dict(Counter(said.get("commit", "unknown") for said in jobs)),
        "jobs": len(jobs),
        "devices": dict(Counter(said["device"] for said in jobs)),
        "versions": {name: sorted(found) for name, found in sorted(versions.items())},
        "networks": {
            f"{Path(path).parent.name}/{Path(path).stem}": digest
            for said in jobs
            for path, digest in said["outputs"].items()
            if path.endswith(".safetensors")
        },
        "hours": {"all": round(sum(hours.values()), 3)} | {rule: round(hours[rule], 3) for rule in sorted(hours)},
    }


def index(name: str, files: list[str], run: dict) -> str:
    """Markdown: the run in a few lines, every figure, a list of tables and pages."""
    devices = ", ".join(run["devices"])
    lines = [f"# {name}: a run as it was", ""]
    lines += [f"{run['jobs']} jobs, {run['hours']['all']:.1f} hours of one worker, on {devices}; kept at commit"]
    lines += [f"{run['kept_at_commit'][:12]}. [run.json](run.json) has versions and hours by rule.", ""]
    lines += [f"- [{file}]({file})" for file in files if not file.endswith(".png")]
    for file in files:
        if file.endswith(".png"):
            lines += ["", f"## {Path(file).stem}", "", f"![{Path(file).stem}]({file})"]
    return "\n".join(lines) + "\n"
