"""Importable functions by name, `package.module:function`: how a config names a purifier, an attack, a network."""

import importlib
import inspect
import sys
from collections.abc import Callable

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


def parameters(function: Callable) -> dict[str, bool]:
    """Names of a function's arguments, and whether it needs them (has no default)."""
    listed = inspect.signature(function).parameters.values()
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: p.default is inspect.Parameter.empty for p in listed if p.kind not in kinds}
