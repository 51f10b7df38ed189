"""Importable functions by name, `package.module:function`: how a config names a purifier, an attack, a network."""

import importlib
import inspect
from collections.abc import Callable


def resolve(name: str) -> Callable:
    """The function of that name. ValueError in one line when there is none."""
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot import '{name}': {error}") from error
    if not callable(found):
        raise ValueError(f"'{name}' is not a function")
    return found


def parameters(function: Callable) -> dict[str, bool]:
    """Names of a function's arguments, and whether it needs them (has no default)."""
    listed = inspect.signature(function).parameters.values()
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: p.default is inspect.Parameter.empty for p in listed if p.kind not in kinds}
