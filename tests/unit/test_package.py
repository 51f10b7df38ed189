"""`pip install .`: what it brings is the package, and what it asks for is enough for the science."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ASKED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SCIENCE = (
    "noise",
    "purifiers",
    "intercepted",
    "defence",
    "attacks",
    "data",
    "networks",
    "training",
    "metrics",
    "stats",
)

ONLY_SCIENCE = """
import importlib, sys
for name in {blocked!r}:
    sys.modules[name] = None  # importing it raises ImportError
for name in {rooms!r}:
    importlib.import_module("purity." + name)
importlib.import_module("purity.run.checkpoints")
"""


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", requirement)[0] for requirement in requirements}


def test_the_science_starts_without_what_only_the_workflow_needs():
    imported = {"pillow": "PIL", "pyyaml": "yaml", "pyautoattack": "autoattack", "pytorch-fid": "pytorch_fid"}
    workflow = names(ASKED["dependency-groups"]["workflow"])
    blocked = sorted(imported.get(name, name.replace("-", "_")) for name in workflow)
    assert {"snakemake", "zarr", "pandas", "PIL"} <= set(blocked)
    code = ONLY_SCIENCE.format(blocked=blocked, rooms=SCIENCE)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_lock_answers_the_groups_too():
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    purity = next(p for p in lock["package"] if p["name"] == "purity")
    for group, wanted in ASKED["dependency-groups"].items():
        assert {d["name"] for d in purity["dev-dependencies"][group]} == names(wanted)


def test_a_wheel_holds_every_module_and_nothing_else(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    source = tmp_path / "source"
    ignore = shutil.ignore_patterns("__pycache__")
    for part in ("purity", "workflow", "tests", "config"):
        shutil.copytree(ROOT / part, source / part, ignore=ignore)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / file, source)
    build = f"import setuptools.build_meta as b; b.build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("purity-*.whl")
    modules = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "purity").rglob("*.py")}
    assert modules == files | {"purity/py.typed"}  # type checkers read its annotations
