"""Repairs of libraries that do not import as they are, or not in silence; each says what it mends, and when to go.

robustbench 1.1.1
    Its `loaders` imports `pkg_resources`, which setuptools dropped in version 81, for `resource_filename` alone. Its
    `eval` imports `autoattack`, which is not on PyPI; `pyautoattack`, which RobustBench requires, is that package
    under another name. Both are put in place for the import only, and only where the real one is missing. To go when
    a release of RobustBench imports neither.

torch 2.15
    Its rules for `jvp` are written in TorchScript, of which it warns by itself when the first `jvp` imports them. To go
    when they are written otherwise.
"""

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources, util
from types import ModuleType


def robustbench() -> ModuleType:
    """The package `robustbench`, imported; its parts (`utils`, `model_zoo`, …) hang on it."""
    modules = {}
    if _missing("pkg_resources"):
        modules["pkg_resources"] = ModuleType("pkg_resources")
        modules["pkg_resources"].resource_filename = _resource_filename
    if _missing("autoattack"):
        for name in ("", ".state"):  # the submodule too, or a second copy of it would be made
            modules["autoattack" + name] = importlib.import_module("pyautoattack" + name)
    with _in_place(modules), warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning):  # timm's, of the names by which RobustBench knows it
            warnings.simplefilter("ignore", category)
        return importlib.import_module("robustbench")


def advertorch() -> ModuleType:
    """The package `advertorch`, imported, with its `attacks` and `bpda`."""
    gradcheck = importlib.import_module("torch.autograd.gradcheck")  # the attribute of that name is a function
    if hasattr(gradcheck, "zero_gradients") or "advertorch" in sys.modules:
        package = importlib.import_module("advertorch")
    else:
        gradcheck.zero_gradients = _zero_gradients
        try:
            package = importlib.import_module("advertorch")
        finally:
            del gradcheck.zero_gradients
    importlib.import_module("advertorch.bpda")
    return package


def forward_differentiation() -> None:
    """torch's rules for `jvp`, imported as its first dual tensor does: not where TorchScript is off (PYTORCH_JIT=0)."""
    torch = importlib.import_module("torch")
    with warnings.catch_warnings(), torch.autograd.forward_ad.dual_level():
        warnings.simplefilter("ignore", FutureWarning)
        torch.autograd.forward_ad.make_dual(torch.zeros(()), torch.zeros(()))


def _zero_gradients(x) -> None:
    """As torch 1.8 had it, for one tensor."""
    if x.grad is not None:
        x.grad.detach_()
        x.grad.zero_()


def _missing(name: str) -> bool:
    return name not in sys.modules and util.find_spec(name) is None


def _resource_filename(module: str, resource: str) -> str:
    """Path of a file that lies beside a module, as pkg_resources gives it."""
    return str(resources.files(util.find_spec(module).parent) / resource)


@contextmanager
def _in_place(modules: dict[str, ModuleType]) -> Iterator[None]:
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]
