"""The conda environments that rules name agree with uv.lock, and hold what their scripts import."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from planned import declared

from purity.run.codehash import Project, installed_version

ROOT = Path(__file__).parents[2]
PYTHON = {"python_full_version": "3.11.9", "python_version": "3.11", "sys_platform": "linux"}


def locked() -> dict[str, str]:
    """Version of each package that uv.lock gives Python 3.11 on Linux."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    return {
        p["name"]: p["version"]
        for p in packages
        if "version" in p
        and any(Marker(m).evaluate(PYTHON) for m in p.get("resolution-markers", ["python_version > '3'"]))
    }


def pins(name: str) -> dict[str, str]:
    environment = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())
    assert "python =3.11" in environment["dependencies"]
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    return dict(re.fullmatch(r"(\S+) ==(\S+)", line).groups() for line in pip)


@pytest.mark.parametrize("name", ["gpu", "tables"])
def test_every_pin_is_the_locked_version(name):
    lock = locked()
    assert pins(name) == {package: lock[package] for package in pins(name)}


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
