"""The papers' claims, each held against what was measured: the evidence with its interval, and whether it holds.

A claim says where a quantity should lie. It `holds` if the whole 95 % interval of what was measured lies there, `does
not hold` if none of it does, and is `undecided` in between; a claim that sets no limit is only `measured`. All claims
of an experiment are one family: what the rule of Benjamini and Hochberg does not decide is undecided.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from purity import stats

LEVEL = 0.95


def verdict(low: float, high: float, target: tuple[float, float]) -> str:
    """holds, does not hold or undecided, by the interval low … high and where it should lie; one claim alone."""
    if np.isnan(low) or np.isnan(high) or (low == high and low in target):
        return "undecided"
    if target[0] <= low and high <= target[1]:
        return "holds"
    return "does not hold" if high < target[0] or low > target[1] else "undecided"


EVIDENCE = ["quantity", "case", "mean", "low", "high", "n", "cells"]


def findings(claims: list[dict], evidence: pd.DataFrame, converged: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A row for each claim and case that there is evidence for: claims in their order, cases as the study yields them.

    claims: as of purity.report.claims.read. evidence: quantity, case, mean, low, high, n, cells. converged: what is
    known of attacks, by <purifier>/<attack>/<knowledge>. The column quantity is in words. p: of the verdict, adjusted
    for all claims by Benjamini & Hochberg; p_holm: by Holm. needed: so many n decide an undecided claim in four of five
    runs, if mean and spread are what they seem. weak: attacks that it rests on and that have not converged.
    """
    rows = []
    for claim in claims:
        said = {name: claim[name] for name in ("id", "source", "claim")}
        said |= {"quantity": claim["measured"], "paper": claim["paper"]}
        low, high = claim["target"]
        for found in evidence[evidence["quantity"] == claim["quantity"]].to_dict("records"):
            measured = {name: found[name] for name in ("case", "mean", "low", "high", "n")}
            limits = {"target_low": low, "target_high": high}
            rows.append(said | measured | limits | {"weak": _weak(found.get("cells"), converged or {})})
    columns = ["id", "source", "claim", "quantity", "paper", "case", "mean", "low", "high", "n"]
    columns += ["target_low", "target_high", "verdict", "p", "p_holm", "needed", "weak"]
    return pd.DataFrame([row | decided for row, decided in zip(rows, _decided(rows), strict=True)], columns=columns)


def _weak(cells: object, converged: Mapping[str, str]) -> str:
    """Which of the attacks a case rests on are known not to have converged."""
    named = cells.split() if isinstance(cells, str) else []
    return ", ".join(cell for cell in named if converged.get(cell) == "not converged")


def _decided(rows: list[dict]) -> list[dict]:
    """verdict, p, p_holm and needed of each row, all of them one family."""
    limited = [np.isfinite([row["target_low"], row["target_high"]]).any() for row in rows]
    tests = [_test(row) for row in rows]
    p, p_holm = (
        np.array([p for _, p in stats.verdicts(tests, LEVEL, adjust)])
        for adjust in (stats.benjamini_hochberg, stats.holm)
    )
    # what the next claim to be decided needs: Benjamini and Hochberg's limit for one more
    level = 1 - (1 - LEVEL) * min(1.0, (np.sum(p <= 1 - LEVEL) + 1) / max(np.isfinite(p).sum(), 1))
    decided = []
    for row, test, asked, adjusted, holm in zip(rows, tests, limited, p, p_holm, strict=True):
        alone = verdict(row["low"], row["high"], (row["target_low"], row["target_high"]))
        said = "measured" if not asked else alone if adjusted <= 1 - LEVEL else "undecided"
        needed = stats.images_needed(*test, level=level) if said == "undecided" else float("nan")
        decided.append({"verdict": said, "p": adjusted, "p_holm": holm, "needed": needed})
    return decided


def _test(row: dict) -> tuple[float, float, float, float, tuple[float, float]]:
    """As purity.stats.verdicts takes it; without limits there is nothing to test."""
    target = (row["target_low"], row["target_high"])
    measured = (row["mean"], row["low"], row["high"]) if np.isfinite(target).any() else (float("nan"),) * 3
    return (*measured, row["n"], target)


def gathered(evidence: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The evidence of several studies as one table."""
    tables = [pd.DataFrame(columns=EVIDENCE), *(table for table in evidence if len(table))]
    return pd.concat(tables, ignore_index=True)


def known(verdicts: pd.DataFrame) -> dict[str, str]:
    """Of the table strength-verdicts: whether an attack has converged, by <purifier>/<attack>/<knowledge>."""
    cells = verdicts["purifier"] + "/" + verdicts["attack"] + "/" + verdicts["knowledge"]
    return dict(zip(cells, verdicts["verdict"], strict=True))
