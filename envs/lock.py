"""Write envs/*.yaml anew from uv.lock: `python envs/lock.py`, after what an environment asks for or the lock changed.

Every package that is asked for, and every one that these need, at its locked version: for Python 3.11 on x86-64 Linux.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).parents[1]
ASKED = {
    "gpu": (
        "Jobs that work on tensors",
        "advertorch diffusers foolbox numpy optuna pandas pillow pyautoattack pytorch-fid robustbench safetensors "
        "scikit-learn scipy timm torch torchvision zarr",
    ),
    "tables": ("Measures, tables and figures", "matplotlib numpy pandas pyyaml scipy seaborn zarr"),
}
PLATFORM = {
    "python_full_version": "3.11.9",
    "python_version": "3.11",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "implementation_name": "cpython",
    "os_name": "posix",
}


def holds(marker: str) -> bool:
    return Marker(marker).evaluate(PLATFORM)


def locked(lock: dict) -> dict[str, dict]:
    """The entry of each package that the lock gives this platform."""
    return {
        p["name"]: p
        for p in lock["package"]
        if "version" in p and ("resolution-markers" not in p or any(map(holds, p["resolution-markers"])))
    }


def needed(asked: list[str], packages: dict[str, dict]) -> list[str]:
    """Names of these packages and of all that they need, in the order of the alphabet."""
    found: set[str] = set()
    waiting = [(name, "") for name in asked]
    seen = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        found.add(name)
        for wanted in _dependencies(packages[name], extra):
            if wanted not in seen:
                seen.add(wanted)
                waiting.append(wanted)
    return sorted(found)


def _dependencies(package: dict, extra: str) -> Iterator[tuple[str, str]]:
    """(name, extra) of what a package, or an extra of it, needs here."""
    listed = package.get("optional-dependencies", {}).get(extra, []) if extra else package.get("dependencies", [])
    for dependency in listed:
        if "marker" not in dependency or holds(dependency["marker"]):
            yield dependency["name"], ""
            yield from ((dependency["name"], other) for other in dependency.get("extra", []))


def environment(name: str, lock: dict) -> str:
    """The text of envs/<name>.yaml."""
    packages = locked(lock)
    about, asked = ASKED[name][0], ASKED[name][1].split()
    rest = [other for other in needed(asked, packages) if other not in asked]
    pin = lambda package: f"      - {package} =={packages[package]['version']}"  # noqa: E731
    return "\n".join(
        [
            f"# {about}. Written by envs/lock.py from uv.lock; tests/unit/test_environments.py holds the two together.",
            *("channels:", "  - conda-forge", "  - nodefaults"),
            *("dependencies:", "  - python =3.11", "  - pip", "  - pip:"),
            *map(pin, asked),
            "      # what these need",
            *map(pin, rest),
            "",
        ]
    )


if __name__ == "__main__":
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    for name in ASKED:
        (ROOT / f"envs/{name}.yaml").write_text(environment(name, lock), encoding="utf-8")
