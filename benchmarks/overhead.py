"""What the workflow costs beside the work: Snakemake's planning at paper scale, and what a job needs before it begins.

    uv run python benchmarks/overhead.py [--configfile config/cifar10.yaml] [--rounds 3]

`dry run`: planning every job from nothing. `nothing to do`: the same with all outputs there (empty files, marked as
done with --touch). `start of …`: a Python that imports what that script imports, beside one that imports nothing.
"""

import argparse
import ast
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
SCRIPTS = ("table", "measure", "attack")


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configfile", default="config/cifar10.yaml")
    parser.add_argument("--rounds", type=int, default=3)
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # absolute: Snakemake looks for it in --directory
        config = str((ROOT / a.configfile).resolve())
        snakemake = [sys.executable, "-m", "snakemake", "--directory", folder, "--configfile", config, "--cores", "1"]
        planning, printed = seconds([*snakemake, "-n"], a.rounds)
        outputs = re.findall(r"^    output: (.+)$", printed, re.MULTILINE)
        jobs = int(re.search(r"^total +(\d+)", printed, re.MULTILINE)[1])
        for path in (Path(folder) / path for listed in outputs for path in listed.split(", ")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        seconds([*snakemake, "--touch", "--quiet"], 1)
        idle, printed = seconds(snakemake, a.rounds)
        if "Nothing to be done" not in printed:
            sys.exit("not everything was marked as done")
    print(f"{a.configfile}: {jobs} jobs")
    print(f"dry run        {planning:6.2f} s   {1000 * planning / jobs:5.1f} ms a job")
    print(f"nothing to do  {idle:6.2f} s   {1000 * idle / jobs:5.1f} ms a job")
    bare, _ = seconds([sys.executable, "-c", "pass"], a.rounds)
    for script in SCRIPTS:
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{imports(script)}"
        took, _ = seconds([sys.executable, "-c", code], a.rounds)
        print(f"start of {script:8}{took:4.2f} s   {took / bare:5.1f} × bare Python")


if __name__ == "__main__":
    main()
