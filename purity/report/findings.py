"""The papers' claims, each held against what was measured: the evidence with its interval, and whether it holds.

A claim says where a quantity should lie. It `holds` if the whole 95 % interval of what was measured lies there, `does
not hold` if none of it does, and is `undecided` in between.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd


def verdict(low: float, high: float, target: tuple[float, float]) -> str:
    """holds, does not hold or undecided, by the interval low … high and where it should lie."""
    if np.isnan(low) or np.isnan(high) or (low == high and low in target):
        return "undecided"
    if target[0] <= low and high <= target[1]:
        return "holds"
    return "does not hold" if high < target[0] or low > target[1] else "undecided"


def findings(claims: list[dict], evidence: pd.DataFrame) -> pd.DataFrame:
    """A row for each claim and case that there is evidence for: claims in their order, cases as the study yields them.

    claims: as of purity.report.claims.read. evidence: quantity, case, mean, low, high, n. The column quantity is
    in words.
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
    columns = ["id", "source", "claim", "quantity", "paper"]
    columns += ["case", "mean", "low", "high", "n", "target_low", "target_high", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def gathered(evidence: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The evidence of several studies as one table."""
    columns = ["quantity", "case", "mean", "low", "high", "n"]
    return pd.concat([pd.DataFrame(columns=columns), *(table for table in evidence if len(table))], ignore_index=True)
