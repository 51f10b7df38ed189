"""What the workflow costs beside the work: Snakemake's planning at paper scale, and what a job needs before it begins.

    uv run python benchmarks/overhead.py [--configfile config/cifar10.yaml] [--rounds 3]
    uv run python benchmarks/overhead.py --logs results
    uv run python benchmarks/overhead.py [--record] --run all --cores 2 --quiet

The first times Snakemake's planning and the start of jobs. `dry run`: planning every job from nothing. `nothing to
do`: the same with all outputs there (empty files, marked as done with --touch). `start of …`: a Python that imports
what that script imports, beside one that imports nothing.

The second sums up the records of a finished run: jobs by rule, and their seconds inside the scripts, by the clock and
of the CPU. The third makes such a run in a new folder first (what stands behind --run goes to Snakemake) and says what
share of all CPU seconds is start-up and scheduling. --record: keep it in config/recorded.yaml, from which runs are
forecast.
"""

import argparse
import ast
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import date
from pathlib import Path
from statistics import median

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from purity.run import forecast  # noqa: E402

SCRIPTS = ("tables", "measure", "stage")


def seconds(command: list[str], rounds: int) -> tuple[float, str]:
    """Median seconds of a command in the project's folder, and what it printed the last time."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        times.append(time.perf_counter() - started)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return median(times), done.stdout + done.stderr


def imports(script: str) -> str:
    """The import statements of a script; what it finds by name from its config is not among them."""
    tree = ast.parse((ROOT / f"workflow/scripts/{script}.py").read_text(encoding="utf-8"))
    return "\n".join(ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom))


def jobs_in(results: Path) -> list[dict]:
    """The records of the jobs of a run: rule, seconds, outputs, and cpu_seconds unless they are of an older version."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*/logs/**/*.json"))]


def print_jobs(jobs: list[dict]) -> float:
    """Jobs by rule, longest first; the CPU seconds of all."""
    rules = defaultdict(list)
    for job in jobs:
        rules[job["rule"]].append((job["seconds"], job.get("cpu_seconds", float("nan"))))
    print(f"{'rule':28}{'jobs':>5}{'seconds':>10}{'CPU s':>10}")
    total = [sum(column) for column in zip(*(t for times in rules.values() for t in times), strict=True)]
    for rule, times in sorted(rules.items(), key=lambda item: -sum(t[0] for t in item[1])):
        clock, cpu = (sum(column) for column in zip(*times, strict=True))
        print(f"{rule:28}{len(times):5}{clock:10.1f}{cpu:10.1f}")
    print(f"{'all':28}{len(jobs):5}{total[0]:10.1f}{total[1]:10.1f}")
    return total[1]


def run(arguments: list[str], record: bool) -> None:
    """A run of Snakemake in a new folder: its CPU seconds, and what of them is not work."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "config", Path(folder) / "config")
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", folder]
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        if subprocess.run([*command, *arguments], cwd=ROOT).returncode:
            sys.exit("the run failed")
        took, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        jobs = jobs_in(Path(folder) / "results")
    total = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    work = print_jobs(jobs)
    print(f"whole run: {took:.0f} s by the clock, {total:.0f} s of CPU")
    print(f"start-up and scheduling: {total - work:.0f} s of CPU, {(total - work) / total:.0%}")
    if record:
        said = {
            "machine": f"{machine()}, {os.cpu_count()} cores",
            "date": date.today().isoformat(),
            "command": f"python benchmarks/overhead.py --record --run {' '.join(arguments)}",
            "workload": round(forecast.workload(), 4),
            "start": round((total - work) / len(jobs), 2),
            "jobs": {next(iter(job["outputs"])): round(job["cpu_seconds"], 2) for job in jobs if job["outputs"]},
        }
        header = "# What the jobs of the embedded experiment took, in CPU seconds; see purity/run/forecast.py.\n"
        text = header + yaml.safe_dump(said, sort_keys=False, width=1000)
        (ROOT / forecast.RECORDED).write_text(text, encoding="utf-8")


def machine() -> str:
    """The processor's name."""
    cpu = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", cpu.read_text()) if cpu.exists() else None
    return named[1] if named else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configfile", default="config/cifar10.yaml")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--logs", type=Path, help="a results folder of a finished run")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--run", nargs=argparse.REMAINDER, help="targets and options of Snakemake")
    a = parser.parse_args()
    if a.logs:
        print_jobs(jobs_in(a.logs))
    elif a.run is not None:
        run(a.run, a.record)
    else:
        planning_and_start(a.configfile, a.rounds)


def planning_and_start(configfile: str, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # absolute: Snakemake looks for it in --directory
        config = str((ROOT / configfile).resolve())
        snakemake = [sys.executable, "-m", "snakemake", "--directory", folder, "--configfile", config, "--cores", "1"]
        planning, printed = seconds([*snakemake, "-n"], rounds)
        outputs = re.findall(r"^    output: (.+)$", printed, re.MULTILINE)
        jobs = int(re.search(r"^total +(\d+)", printed, re.MULTILINE)[1])
        for path in (Path(folder) / path for listed in outputs for path in listed.split(", ")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        seconds([*snakemake, "--touch", "--quiet"], 1)
        idle, printed = seconds(snakemake, rounds)
        if "Nothing to be done" not in printed:
            sys.exit("not everything was marked as done")
    print(f"{configfile}: {jobs} jobs")
    print(f"dry run        {planning:6.2f} s   {1000 * planning / jobs:5.1f} ms a job")
    print(f"nothing to do  {idle:6.2f} s   {1000 * idle / jobs:5.1f} ms a job")
    bare, _ = seconds([sys.executable, "-c", "pass"], rounds)
    for script in SCRIPTS:
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{imports(script)}"
        took, _ = seconds([sys.executable, "-c", code], rounds)
        print(f"start of {script:8}{took:4.2f} s   {took / bare:5.1f} × bare Python")


if __name__ == "__main__":
    main()
