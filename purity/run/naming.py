"""Importable functions by name, `package.module:function`: how a config names a purifier, an attack, a network."""

import importlib
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
