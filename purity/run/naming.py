"""Importable functions by name, `package.module:function`: how a config names a purifier, an attack, a network."""

import importlib
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from purity.run.rules import broken


def resolve(name: str) -> Callable:
    """The function of that name. ValueError in one line when there is none, or when it is Python's own."""
    module, _, function = name.partition(":")
    if standard(name):
        raise broken(f"'{name}' is of Python's standard library", "code")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot import '{name}': {error}") from error
    if not callable(found):
        raise ValueError(f"'{name}' is not a function")
    # what another module has imported of it; a partial is none, whatever it is made by
    if (inspect.isroutine(found) or inspect.isclass(found)) and standard(f"{found.__module__}:{function}"):
        raise broken(f"'{name}' is of Python's standard library: {found.__module__}.{found.__name__}", "code")
    return found


def standard(name: str) -> bool:
    """Whether 'module:function' is of Python's standard library."""
    top = name.partition(":")[0].partition(".")[0]
    return top in sys.stdlib_module_names or top in sys.builtin_module_names


def own(name: str) -> bool:
    """Whether the module of 'module:function' is somebody's own: neither installed nor this package's."""
    module = name.partition(":")[0]
    importlib.import_module(module)
    return _is_own(module)


def _is_own(module: str) -> bool:
    top = module.partition(".")[0]
    if top in (__package__.partition(".")[0], "__main__") or standard(top) or top not in sys.modules:
        return False
    found = sys.modules[top]
    places = [getattr(found, "__file__", None), *getattr(found, "__path__", ())]
    place = next(filter(None, places), None)
    if place is None:
        return False
    return not place.startswith(sysconfig.get_path("stdlib")) and not any(of in place for of in _INSTALLED)


_INSTALLED = ("site-packages", "dist-packages")


@contextmanager
def imported_anew() -> Iterator[None]:
    """Inside, somebody's own modules are imported once more, as another process does; then they are what they were."""
    kept = {name: module for name, module in sys.modules.items() if _is_own(name)}
    for name in kept:
        del sys.modules[name]
    try:
        yield
    finally:
        for name in [name for name in sys.modules if _is_own(name)]:  # all of them are judged before the first goes
            del sys.modules[name]
        sys.modules.update(kept)


def parameters(function: Callable) -> dict[str, bool]:
    """Names of a function's arguments, and whether it needs them (has no default)."""
    listed = inspect.signature(function).parameters.values()
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: p.default is inspect.Parameter.empty for p in listed if p.kind not in kinds}
