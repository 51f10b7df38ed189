"""Importable functions by name, `package.module:function`: how a config names a purifier, an attack, a network."""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

from purity.run.codehash import own_folders
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
    """Whether 'module:function' is somebody's own: neither installed nor this package's."""
    top = name.partition(":")[0].partition(".")[0]
    return top != __package__.partition(".")[0] and bool(own_folders(top))


@contextmanager
def imported_anew() -> Iterator[None]:
    """Inside, somebody's own modules are imported once more, as another process does; then they are what they were."""
    kept = _own_modules()
    for name in kept:
        del sys.modules[name]
    try:
        yield
    finally:
        for name in _own_modules():
            del sys.modules[name]
        sys.modules.update(kept)


def _own_modules() -> dict[str, ModuleType]:
    tops = {top for top in {name.partition(".")[0] for name in sys.modules} if own(top)}
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in tops}


def parameters(function: Callable) -> dict[str, bool]:
    """Names of a function's arguments, and whether it needs them (has no default)."""
    listed = inspect.signature(function).parameters.values()
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: p.default is inspect.Parameter.empty for p in listed if p.kind not in kinds}
