"""What the papers claim, as data: config/reference/claims.yaml, and files of studies of the user's own."""

import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import yaml

TEXTS = ("id", "source", "claim", "quantity", "measured", "paper")


def check_claims(paths: Iterable[str], quantities: Mapping[str, Collection[str]]) -> None:
    """ValueError if a file holds what is no claim, or one about a quantity that no study yields, or if two studies
    yield the same. quantities: by study, what its evidence measures."""
    owner: dict[str, str] = {}
    for study, declared in quantities.items():
        for quantity in declared:
            if quantity in owner:
                raise ValueError(f"studies {owner[quantity]} and {study} both yield the quantity {quantity}")
            owner[quantity] = study
    for path in paths:
        read_file(path, owner)


def read(paths: Iterable[str]) -> list[dict]:
    """The claims of several files, in their order."""
    return [claim for path in paths for claim in read_file(path)]


def read_file(path: str | Path, quantities: Collection[str] | None = None) -> list[dict]:
    """The claims of a file, in its order; target becomes two floats, infinite where the file says null. Both are if it
    says null for the whole: what is measured is then shown with its interval, and nothing is decided.

    quantities: those that studies yield; None if that was checked before. ValueError naming the file, and the claim, if
    it is no list of claims, or if one lacks a key, has an unknown one, a text that is none or empty, a target that is
    no interval, or a quantity that no study yields.
    """
    try:
        claims = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(claims, list):
        raise ValueError(f"{path}: it is no list of claims")
    return [_checked(f"{path}: claim {number}", claim, quantities) for number, claim in enumerate(claims, start=1)]


def _checked(where: str, claim: dict, quantities: Collection[str] | None) -> dict:
    if not isinstance(claim, dict):
        raise ValueError(f"{where} is no mapping")
    where += f" ({claim.get('claim')})"
    wanted = {*TEXTS, "target"}
    for key in [*TEXTS, "target"]:
        if key not in claim:
            raise ValueError(f"{where} has no {key}")
    for key in claim:
        if key not in wanted:
            raise ValueError(f"{where}: {key} is not known")
    for key in TEXTS:
        if not isinstance(claim[key], str) or not claim[key].strip():
            raise ValueError(f"{where}: {key} must be a text")
    if quantities is not None and claim["quantity"] not in quantities:
        raise ValueError(f"{where}: no study declares the quantity {claim['quantity']}")
    return claim | {"target": _interval(where, claim["target"])}


def _interval(where: str, target: list | None) -> tuple[float, float]:
    if target is None:
        return -math.inf, math.inf
    numbers = isinstance(target, list) and all(type(limit) in (int, float, type(None)) for limit in target)
    if numbers and len(target) == 2:
        low, high = (-math.inf if target[0] is None else target[0]), (math.inf if target[1] is None else target[1])
        if low < high and (low, high) != (-math.inf, math.inf):
            return float(low), float(high)
    raise ValueError(f"{where}: target must be [low, high] with low < high, null for no limit, not both; or null")
