"""What the repairs mend is broken, is mended, and nothing else changes. Each in a fresh interpreter: imports last."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def python(code: str, *first: Path) -> list[str]:
    """The words that the code prints. first: folders to import from before all others."""
    path = os.pathsep.join(map(str, [*first, ROOT]))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_robustbench_does_not_import_without_the_repair_and_does_with_it_even_then():
    """The first half fails once a release imports by itself; the repair can go then."""
    code = """
import sys
try:
    import robustbench
except ModuleNotFoundError as error:
    print(error.name)
from purity.repairs import robustbench
library = robustbench()
assert robustbench() is library
print(*[name for name in sys.modules if name.split(".")[0] in ("pkg_resources", "autoattack")])

import pyautoattack, pyautoattack.state
from pathlib import Path
assert library.eval.AutoAttack is pyautoattack.AutoAttack
assert library.eval.EvaluationState is pyautoattack.state.EvaluationState
found = library.loaders.pkg_resources.resource_filename("robustbench.loaders", "helper_files/imagenet_test_image_ids.txt")
assert Path(found) == Path(library.__file__).parent / "helper_files/imagenet_test_image_ids.txt"
"""
    assert python(code) == ["pkg_resources"]


def test_the_real_packages_are_preferred_and_stay_and_nothing_warns(tmp_path):
    (tmp_path / "pkg_resources.py").write_text("resource_filename = 'the real one'")
    (tmp_path / "autoattack").mkdir()
    (tmp_path / "autoattack/__init__.py").write_text("AutoAttack = 'the real one'")
    (tmp_path / "autoattack/state.py").write_text("EvaluationState = 'the real one'")
    code = """
import sys, warnings
warnings.simplefilter("error")
from purity.repairs import robustbench
library = robustbench()
assert library.loaders.pkg_resources.resource_filename == "the real one"
assert library.eval.AutoAttack == library.eval.EvaluationState == "the real one"
print(*sorted({"pkg_resources", "autoattack", "autoattack.state"} & set(sys.modules)))
"""
    assert python(code, tmp_path) == ["autoattack", "autoattack.state", "pkg_resources"]


def test_advertorch_does_not_import_without_the_repair_and_does_with_it_and_torch_stays_as_it_is():
    """The first half fails once a release imports by itself; the repair can go then."""
    code = """
try:
    import advertorch
except ImportError as error:
    print("zero_gradients" in str(error))
from purity.repairs import advertorch
library = advertorch()
assert advertorch() is library and library.attacks.FABAttack and library.bpda.BPDAWrapper
import importlib
print(hasattr(importlib.import_module("torch.autograd.gradcheck"), "zero_gradients"))
import torch
x = torch.ones(2, requires_grad=True)
library.attacks.fast_adaptive_boundary.zero_gradients(x)
(x**2).sum().backward()
library.attacks.fast_adaptive_boundary.zero_gradients(x)
print(x.grad.tolist())
"""
    assert python(code) == ["True", "False", "[0.0,", "0.0]"]


@pytest.mark.parametrize("script", ["0", "1"])
def test_forward_differentiation_warns_of_nothing(script, monkeypatch):
    monkeypatch.setenv("PYTORCH_JIT", script)
    code = """
import warnings
warnings.simplefilter("error")
import torch
from purity.stages.jacobian import pushforward
x = torch.linspace(0.1, 1, 4)[None]
assert torch.allclose(pushforward(torch.sigmoid, x)(torch.ones(1, 4)), torch.sigmoid(x) * (1 - torch.sigmoid(x)))
print("silent")
"""
    assert python(code) == ["silent"]
