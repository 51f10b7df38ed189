"""The papers' claims, each held against what was measured: the evidence with its interval, and whether it holds.

A claim says where a quantity should lie. It `holds` if the whole 95 % interval of what was measured lies there, `does
not hold` if none of it does, and is `undecided` in between.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

TEXTS = ("id", "source", "claim", "quantity", "measured", "paper")


def verdict(low: float, high: float, target: tuple[float, float]) -> str:
    """holds, does not hold or undecided, by the interval low … high and where it should lie."""
    if np.isnan(low) or np.isnan(high) or (low == high and low in target):
        return "undecided"
    if target[0] <= low and high <= target[1]:
        return "holds"
    return "does not hold" if high < target[0] or low > target[1] else "undecided"


def findings(claims: list[dict], evidence: pd.DataFrame) -> pd.DataFrame:
    """A row for each claim and case that there is evidence for: claims in their order, cases as the study yields them.

    claims: as of `read_claims`. evidence: quantity, case, mean, low, high, n. The column quantity says it in words.
    """
    rows = []
    for claim in claims:
        said = {name: claim[name] for name in ("id", "source", "claim")}
        said |= {"quantity": claim["measured"], "paper": claim["paper"]}
        low, high = claim["target"]
        for found in evidence[evidence["quantity"] == claim["quantity"]].itertuples():
            measured = {name: getattr(found, name) for name in ("case", "mean", "low", "high", "n")}
            limits = {"target_low": low, "target_high": high}
            rows.append(said | measured | limits | {"verdict": verdict(found.low, found.high, (low, high))})
    columns = ("id", "source", "claim", "quantity", "paper")
    columns += ("case", "mean", "low", "high", "n", "target_low", "target_high", "verdict")
    return pd.DataFrame(rows, columns=columns)


def read_claims(path: str | Path, quantities: Collection[str]) -> list[dict]:
    """The claims of a file, in its order; target becomes two floats, infinite where the file says null.

    quantities: those that studies declare. ValueError naming the file, and the claim, if it is no list of claims, or if
    one lacks a key, has an unknown one, a text that is none or empty, a target that is no interval, or a quantity that
    is not declared.
    """
    try:
        claims = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(claims, list):
        raise ValueError(f"{path}: it is no list of claims")
    return [_checked(f"{path}: claim {number}", claim, quantities) for number, claim in enumerate(claims, start=1)]


def _checked(where: str, claim: dict, quantities: Collection[str]) -> dict:
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
    if claim["quantity"] not in quantities:
        raise ValueError(f"{where}: no study declares the quantity {claim['quantity']}")
    return claim | {"target": _interval(where, claim["target"])}


def _interval(where: str, target: list) -> tuple[float, float]:
    numbers = isinstance(target, list) and all(type(limit) in (int, float, type(None)) for limit in target)
    if numbers and len(target) == 2:
        low, high = (-np.inf if target[0] is None else target[0]), (np.inf if target[1] is None else target[1])
        if low < high and (low, high) != (-np.inf, np.inf):
            return float(low), float(high)
    raise ValueError(f"{where}: target must be [low, high] with low < high, null for no limit, not both")
