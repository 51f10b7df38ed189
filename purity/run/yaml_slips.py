"""Slips of YAML that end in another config than was written: keys given twice, and numbers that are none.

YAML 1.1, which Snakemake reads, takes the last of two equal keys, `1:30` for 90 and `010` for 8, and leaves `5e-3` and
`8/255` text. Files are looked at as they are written (`refuse_slips`), the loaded config is put right (`as_numbers`).
"""

import datetime
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from purity.run.rules import broken

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_EXPONENT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+")
_FRACTION = re.compile(rf"\s*({_NUMBER})\s*/\s*({_NUMBER})\s*")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")

# Text under these keys is never a number: names of files, of revisions and digests, all digits or with an e among them.
TEXT = {"sha256", "md5", "revision", "url", "file", "files", "hub", "weights", "classes", "root", "name"}


def refuse_slips(paths: Iterable[str | Path]) -> None:
    """ValueError in one line with file, key and lines: a key twice in one mapping, `1:30` or `010` as a number.

    A file that is no YAML is left to whoever loads it. JSON is YAML too.
    """
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                root = yaml.compose(file, Loader=yaml.SafeLoader)
        except (yaml.YAMLError, UnicodeDecodeError):
            continue
        for keys, key, node, others in _entries(root, (), set()):
            where = ".".join((*keys, key))
            if others:
                lines = " and ".join(str(other.start_mark.line + 1) for other in (*others, node))
                raise broken(f"{path}: {where} is there twice, in lines {lines}; the last would win", "keys")
        for keys, node in _scalars(root, (), set()):
            _refuse_other_bases(path, ".".join(keys), node)


def _entries(
    node: yaml.Node | None, keys: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], str, yaml.Node, list[yaml.Node]]]:
    """Every key of every mapping: the keys above it, itself, its node, and nodes of the same key before it."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))  # an alias is the node of its anchor
    if isinstance(node, yaml.MappingNode):
        before: dict[tuple[str, str], list[yaml.Node]] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "…"
            if isinstance(key, yaml.ScalarNode):
                same = before.setdefault((key.tag, _canonical(key)), [])
                yield keys, name, key, list(same)
                same.append(key)
            yield from _entries(value, (*keys, name), seen)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            yield from _entries(value, (*keys, str(place)), seen)


def _canonical(key: yaml.ScalarNode) -> str:
    """`1` and `0x1` are one key, "a" and a too."""
    try:
        return repr(yaml.safe_load(key.value)) if key.style is None else repr(key.value)
    except yaml.YAMLError:
        return repr(key.value)


def _scalars(
    node: yaml.Node | None, keys: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], yaml.ScalarNode]]:
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield keys, node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "…"
            if isinstance(key, yaml.ScalarNode):
                yield (*keys, name), key
            yield from _scalars(value, (*keys, name), seen)
    else:
        for place, value in enumerate(node.value):
            yield from _scalars(value, (*keys, str(place)), seen)


def _refuse_other_bases(path: str | Path, key: str, node: yaml.ScalarNode) -> None:
    if node.tag not in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
        return
    line, text = node.start_mark.line + 1, node.value
    if ":" in text:
        meant = yaml.safe_load(text)
        said = f'YAML takes {text} for {meant}, in base 60; write {meant}, or "{text}" in quotes if it is text'
        raise broken(f"{path}: {key} (line {line}): {said}", "numbers")
    plain = text.replace("_", "")
    if _OCTAL.fullmatch(text) and int(plain, 8) != int(plain, 10):
        said = f'YAML takes {text} for {int(plain, 8)}, in base 8; write {int(plain, 10)}, or "{text}" in quotes'
        raise broken(f"{path}: {key} (line {line}): {said}", "numbers")


def as_written(config: dict, given: Mapping) -> dict:
    """The config, with what `given` of it on the command line read as in a file; a copy.

    Of `--config experiments={digits: {images: 10}}` Snakemake leaves every number, `true` and `null` text. Text of a
    `TEXT` key and names stay text. ValueError that names the key: `1:30` or `010`.
    """
    return _read_again(config, given, (), set(_keys(config)))


def _read_again(config: dict, given: Mapping, keys: tuple[str, ...], names: set[str]) -> dict:
    read = dict(config)
    for key, value in given.items():
        inside = (*keys, str(key))
        if isinstance(value, Mapping) and isinstance(config.get(key), dict):
            read[key] = _read_again(config[key], value, inside, names)
        elif key in config and key not in TEXT:
            read[key] = _read(value, inside, names)
    return read


def _read(value: object, keys: tuple[str, ...], names: set[str]) -> object:
    if isinstance(value, list):
        return [_read(inner, (*keys, str(place)), names) for place, inner in enumerate(value)]
    if not isinstance(value, str) or value in names:
        return value
    try:
        node = yaml.compose(value, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return value
    if not isinstance(node, yaml.ScalarNode):
        return value
    _refuse_other_bases("--config", ".".join(keys), node)
    return yaml.safe_load(value)


def as_numbers(config: dict) -> dict:
    """The config with text that is a number as a number: `5e-3`, `1.5e3`, `8/255`; a copy, other text as it is.

    Also `true` and `false` at the top, as `--config small=true` leaves them. Text of a `TEXT` key and names (what is a
    key of the config somewhere) stay text. A whole number with an exponent is an int. ValueError that names the key: a
    division by zero, a number that is infinite, a date, bytes or a set, which YAML makes of plain text too.
    """
    names = set(_keys(config))
    said = {"true": True, "false": False}
    config = {key: said.get(value.lower(), value) if isinstance(value, str) else value for key, value in config.items()}
    return _all_numbered(config, (), names)


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


def _all_numbered(values: dict, keys: tuple[str, ...], names: set[str]) -> dict:
    return {key: inner if key in TEXT else _numbered(inner, (*keys, str(key)), names) for key, inner in values.items()}


def _numbered(value: object, keys: tuple[str, ...], names: set[str]) -> object:
    if isinstance(value, dict):
        return _all_numbered(value, keys, names)
    if isinstance(value, list):
        return [_numbered(inner, (*keys, str(place)), names) for place, inner in enumerate(value)]
    if isinstance(value, str) and value not in names:
        return _number(value, ".".join(keys))
    if isinstance(value, datetime.date | bytes | set):
        kind = "a date" if isinstance(value, datetime.date) else type(value).__name__
        raise broken(f"config: {'.'.join(keys)}: YAML makes {kind} of {value!s}; put it in quotes", "numbers")
    return value


def _number(text: str, key: str) -> int | float | str:
    if _EXPONENT.fullmatch(text):
        number = _finite(float(text), text, key)
        return int(number) if number.is_integer() and "." not in text else number
    if fraction := _FRACTION.fullmatch(text):
        above, below = map(float, fraction.groups())
        if below == 0:
            raise broken(f"config: {key}: {text} divides by zero", "numbers")
        return _finite(above / below, text, key)
    return text


def _finite(number: float, text: str, key: str) -> float:
    if not math.isfinite(number):
        raise broken(f"config: {key}: {text} is too large for a number", "numbers")
    return number


def check_epsilon(epsilon: float, norm: str, key: str) -> None:
    """ValueError if an ε is more than all there is between 0 and 1; it says what was probably meant.

    norm: `l2`, where a large ε has its place (up to √d), or another, taken for ℓ∞.
    """
    if norm != "l2" and epsilon > 1:
        meant = f"{epsilon:g}/255 = {epsilon / 255:.4g}" if epsilon <= 255 else "a number below 1"
        raise broken(f"config: {key}: {epsilon:g} in ℓ∞ leaves nothing of an image in [0, 1]; {meant}?", "epsilon")
