"""A copy of the project in which a test may edit, break and run the real Snakemake."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from purity.run import store

ROOT = Path(__file__).parents[1]
# For runs of many jobs, as in the Makefile: else Snakemake looks for work again and again while jobs wait.
PATIENT = ("--max-jobs-per-timespan", "300/3s")
PARTS = ("Snakefile", "workflow", "purity", "config", "profiles", "envs")


class Workspace:
    """A folder with the project's files and the tiny config in the place of the shipped one."""

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def fresh(cls, path: Path) -> "Workspace":
        path.mkdir(parents=True)
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, path / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, path / part)
        shutil.copy2(ROOT / "tests/tiny/config.yaml", path / "config/config.yaml")
        return cls(path)

    def copy(self, path: Path) -> "Workspace":
        """The same with its results, and with what Snakemake knows of them."""
        shutil.copytree(self.path, path, symlinks=True)
        return Workspace(path)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen:
        cores = [] if {"--cores", "--workflow-profile"} & {*arguments} else ["--cores", "2"]
        command = [sys.executable, "-m", "snakemake", *cores, "--nocolor", *arguments]
        environment = {**os.environ, "PYTHONPATH": "", **environment}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=self.path, env=environment, start_new_session=True, **pipes)

    def run(self, *arguments: str, fails: bool = False, timeout: int = 1800, **environment: str) -> str:
        """What Snakemake prints; its exit status is asserted. timeout: in seconds, of a run that hangs."""
        process = self.start(*arguments, **environment)
        printed = process.communicate(timeout=timeout)[0]
        assert (process.returncode != 0) == fails, printed[-6000:]
        return printed

    def pending(self, *targets: str) -> list[tuple[str, str]]:
        """(rule, first output) of every job that a dry run lists, but for the target rule itself."""
        printed = self.run("-n", *targets)
        jobs = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", printed, re.MULTILINE)
        outputs = [(rule, re.search(r"    output: ([^,\n]+)", body)) for rule, body in jobs]
        return sorted((rule, output[1]) for rule, output in outputs if output)

    def outputs(self, rule: str) -> list[str]:
        """First outputs of all jobs of a rule, done or not."""
        return [output for of, output in self.pending("--forceall") if of == rule]

    def done(self, printed: str) -> list[str]:
        """Rules of the jobs that a real run has started."""
        return sorted(re.findall(r"^(?:local)?rule (\w+):$", printed, re.MULTILINE))

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.path / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def configure(self, change) -> None:
        """Apply `change` to the parsed config and write it back."""
        path = self.path / "config/config.yaml"
        config = yaml.safe_load(path.read_text())
        change(config)
        path.write_text(yaml.safe_dump(config, sort_keys=False))

    def keep_attacks(self, attacked: dict) -> None:
        """Leave of the tiny experiment its main findings, under these attacks."""
        main = ["dataset", "images", "classifier", "seeds", "seeding", "fresh_draws", "gallery"]

        def change(config):
            tiny = config["experiments"]["tiny"]
            config["experiments"]["tiny"] = {key: tiny[key] for key in main} | {"attacked": attacked}

        self.configure(change)

    def parts(self, below: str = "results/tiny") -> dict[tuple[str, str], list[str]]:
        """(store, part): the digest of its arrays, for each store of a folder."""
        found = sorted(p for p in (self.path / below).rglob("*.zarr.zip") if not p.name.startswith("."))
        return {(str(p.relative_to(self.path)), part.part): part.content for p in found for part in store.parts(p)}

    def log(self, output: str) -> str:
        """What the job said that made a store."""
        path = output.replace("results/tiny/", "results/tiny/logs/").replace(".zarr.zip", ".log")
        return (self.path / path).read_text(encoding="utf-8")

    def files(self) -> dict[str, bytes]:
        """Everything under results/ but logs, and second names of stores, by its path."""
        listed = (p for p in (self.path / "results").rglob("*") if p.is_file() and "logs" not in p.parts)
        found = sorted(p for p in listed if not p.name.startswith("."))
        return {str(p.relative_to(self.path)): p.read_bytes() for p in found}


def once(factory, name: str, make: Callable[[Path], object]) -> Workspace:
    """What `make` leaves in a folder that all workers of this test run share: the first one makes it, others wait.

    factory: pytest's tmp_path_factory.
    """
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared" / name
    folder.parent.mkdir(exist_ok=True)
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file is closed, however this ends
        made = Path(f"{folder}.made")
        if folder.exists() and not made.exists():
            raise RuntimeError(f"{folder} could not be made; the test that tried first says why")
        if not made.exists():
            make(folder)
            made.touch()
    return Workspace(folder)


def block(text: str, language: str, first_line: str) -> str:
    """The one fenced block of a page in Markdown that begins with a line."""
    (found,) = [b for b in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) if b.startswith(f"{first_line}\n")]
    return found
