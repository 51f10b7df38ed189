"""The conda environments that rules name agree with uv.lock, and hold what their scripts import."""

import importlib.util
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from planned import declared

from purity.run.codehash import Project, installed_version

ROOT = Path(__file__).parents[2]


def lock_module():
    """envs/lock.py, which writes the environments."""
    spec = importlib.util.spec_from_file_location("lock", ROOT / "envs/lock.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LOCK = tomllib.loads((ROOT / "uv.lock").read_text())


def pins(name: str) -> dict[str, str]:
    environment = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())
    assert "python =3.11" in environment["dependencies"]
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    return dict(re.fullmatch(r"(\S+) ==(\S+)", line).groups() for line in pip)


@pytest.mark.parametrize("name", ["gpu", "tables"])
def test_an_environment_is_what_the_lock_makes_it(name):
    """Else: python envs/lock.py"""
    assert (ROOT / f"envs/{name}.yaml").read_text(encoding="utf-8") == lock_module().environment(name, LOCK)


@pytest.mark.parametrize("name", ["gpu", "tables"])
def test_every_package_of_an_environment_has_what_it_says_it_needs(name):
    """By what the installed packages say themselves, not by the lock. Those for CUDA are not installed everywhere."""
    named = {canonicalize_name(package) for package in pins(name)}
    for package in named:
        try:
            required = map(Requirement, metadata.requires(package) or [])
        except metadata.PackageNotFoundError:
            continue
        here = {canonicalize_name(r.name) for r in required if r.marker is None or r.marker.evaluate({"extra": ""})}
        assert here <= named, package


def steps(name: str) -> list[str]:
    """Commands that a recipe of a container runs."""
    text = (ROOT / f"envs/{name}").read_text()
    return [
        line.strip().removeprefix("RUN ") for line in text.splitlines() if re.match(r"(RUN|    (apt-get|pip)) ", line)
    ]


def test_both_recipes_of_containers_take_the_same_steps_from_files_that_are_there():
    docker, apptainer = steps("Dockerfile"), steps("purity.def")
    assert docker == apptainer and len(docker) == 2
    for command in docker:
        subprocess.run(["sh", "-n", "-c", command], check=True)
    assert "uv sync --frozen --no-group dev" in docker[1]
    recipes = {name: (ROOT / f"envs/{name}").read_text() for name in ("Dockerfile", "purity.def")}
    for recipe in recipes.values():
        assert "python:3.11-slim-bookworm" in recipe and "/opt/venv/bin:$PATH" in recipe
        copied = set(re.findall(r"(?<![/\w])(pyproject\.toml|uv\.lock)", recipe))
        assert copied == {"pyproject.toml", "uv.lock"} and all((ROOT / name).exists() for name in copied)
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert {"workflow", "dev"} == set(groups)


def of_studies() -> list[str]:
    """Functions of the tables, evidence and figures of every study of the rules files."""
    return [
        function
        for study in declared(ROOT)
        for function in (*study.functions(), *(f.draw for f in study.figures.values()))
    ]


@pytest.mark.parametrize("name", ["gpu", "tables"])
def test_an_environment_holds_what_its_scripts_can_reach(name):
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    blocks = re.split(r"\n(?=\s*rule\b)", rules)
    scripts = {
        re.search(r'"../scripts/(\w+)\.py"', b)[1] for b in blocks if re.search(rf"conda:\s+CONDA_{name.upper()}\s", b)
    }
    assert scripts
    roots = {
        "gpu": [
            *(
                "purity.stages.attack:attack",
                "purity.stages.purify:purify_and_judge",
                "purity.stages.cap:adversarial_cap",
            ),
            *("purity.stages.probe:probe", "purity.stages.paths:attack_paths", "purity.stages.pca:ball_spectrum"),
            *("purity.data:digits", "purity.data:imagenet", "purity.data:torchvision"),
            *("purity.networks:unet", "purity.unets:guided", "purity.inception:inception"),
            *("purity.classifiers:robustbench", "purity.classifiers:torchvision_model"),
            *("purity.purifiers:ddpm", "purity.attacks:bpda", "purity.autoattack:autoattack"),
            *("purity.libraries:foolbox", "purity.libraries:advertorch"),
        ],
        "tables": [*of_studies(), "purity.metrics:judged", "purity.metrics:ball"],
    }[name]
    distributions = {
        "sklearn": "scikit-learn",
        "mpl_toolkits": "matplotlib",
        "PIL": "pillow",
        "yaml": "pyyaml",
        "pytorch_fid": "pytorch-fid",
    }
    for script in scripts:
        packages = Project(ROOT).packages(ROOT / f"workflow/scripts/{script}.py", *roots)
        third_party = {distributions.get(p, p) for p in packages if installed_version(p)}
        assert third_party <= set(pins(name)), script


def test_the_lock_is_up_to_date():
    """uv.lock answers pyproject.toml: what the Makefile installs is what pyproject asks for."""
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {re.match(r"[\w.-]+", d)[0] for d in asked["project"]["dependencies"]}
    purity = next(p for p in tomllib.loads((ROOT / "uv.lock").read_text())["package"] if p["name"] == "purity")
    assert {d["name"] for d in purity["dependencies"]} == wanted
