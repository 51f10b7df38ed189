"""Pages to read in a browser: the papers' claims with the evidence, and their numbers beside ours; two experiments."""

from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .25rem .6rem; vertical-align: top; }
th { font-weight: 600; border-bottom: 1px solid #999; } td { border-bottom: 1px solid #eee; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.claim td { border-bottom: none; padding-top: .9rem; font-weight: 600; } .claim small { font-weight: 400; color: #555; }
.holds { color: #0072b2; } .not { color: #d55e00; } .undecided { color: #777; }
"""
_MARKS = {"holds": ("holds", "✓ holds"), "does not hold": ("not", "✗ does not hold")}


def comparison(
    findings: pd.DataFrame,
    compared: dict[str, pd.DataFrame],
    title: str,
    accuracies: Mapping[str, pd.DataFrame] | None = None,
) -> str:
    """HTML. findings: of purity.report.findings; compared: by id, tables of purity.report.comparison (none for an
    experiment whose setting is not the papers'); accuracies: by id, tables that say which are not trustworthy."""
    parts = [f"<h1>{escape(title)}: the papers' claims, and what was measured</h1>", _summary(findings)]
    parts += [_not_trustworthy(table, name) for name, table in (accuracies or {}).items()]
    if compared:
        parts += ["<h2>The papers' numbers beside ours</h2>"]
        parts += [f"<h3>{escape(name)}</h3>\n{_numbers(table)}" for name, table in compared.items() if len(table)]
        if not any(len(table) for table in compared.values()):
            parts += ["<p>None: no purifier and attack has the papers' options (config/reference/settings.yaml).</p>"]
    parts += ["<h2>Claim by claim</h2>", _claims(findings)]
    return _page(title, parts)


def _page(title: str, parts: list[str]) -> str:
    """One file that needs no other."""
    head = f'<meta charset="utf-8"><title>{escape(title)}</title>\n<style>{_STYLE}</style>'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en">{head}\n{body}\n</html>\n'


def _summary(findings: pd.DataFrame) -> str:
    counts = findings["verdict"].value_counts()
    said = ", ".join(f"{counts.get(v, 0)} {text}" for v, text in _COUNTED.items())
    strictly = int(((findings["p_holm"] <= 0.05) & findings["verdict"].isin(_MARKS)).sum())
    return (
        f"<p>{len(findings.groupby(['source', 'claim']))} claims, {len(findings)} cases: {said}. A claim holds if the "
        "whole 95 % interval of what was measured lies where the claim puts it, does not hold if none of it does, is "
        "undecided in between. A limit is 0, a paper's own number or the paper's own word (most: ½); where there is "
        "none, the interval stands alone. All cases are one family: of those that are decided at most 5 % are wrong "
        f"on average (Benjamini and Hochberg). By Holm's rule, for no wrong one in 95 % of such pages, {strictly} "
        "would be decided. n counts images, or what the quantity names; an undecided claim says how many would decide "
        "it in four of five runs, if mean and spread are what they seem. ⚠: it rests on attacks that have not "
        "converged, <i>purifier/attack/what the attacker knows</i>: one of ten times the budget fools more images.</p>"
    )


def _not_trustworthy(table: pd.DataFrame, name: str) -> str:
    """A warning that lists accuracies which are owed to gradients that vanish; nothing if there are none."""
    if "trustworthy" not in table:
        return ""
    doubted = table[(table["trustworthy"].astype(str) == "False") & (table["seed"].astype(str) == "all")]
    cells = "".join(
        f"<li>{escape(row.purifier)} under {escape(row.attack)}, which knows {escape(row.knowledge)}: "
        f"{number(row.mean)}, of which {number(row.unseen)} is owed to images whose gradients vanish</li>"
        for row in doubted.itertuples()
    )
    if not cells:
        return ""
    return (
        f'<p class="not">Not trustworthy (table {escape(name)}): the attack saw too little of these defences, since '
        "most of its gradients were zero or no numbers. Attack them by BPDA, or by one that needs no gradient.</p>"
        f"<ul>{cells}</ul>"
    )


_COUNTED = {
    "holds": "hold",
    "does not hold": "do not hold",
    "undecided": "are undecided",
    "measured": "are measured only",
}


def _claims(findings: pd.DataFrame) -> str:
    rows = []
    for (source, claim), cases in findings.groupby(["source", "claim"], sort=False):
        first = cases.iloc[0]
        rows.append(
            f'<tr class="claim"><td colspan="4">{escape(claim)} <small>({escape(source)}; table {escape(first["id"])}; '
            f"{escape(first['quantity'])}; papers: {escape(first['paper'])})</small></td></tr>"
        )
        for _, case in cases.iterrows():
            kind, mark = _MARKS.get(case["verdict"], ("undecided", f"– {case['verdict']}"))
            mark += _decidable(case["needed"]) + _warning(case["weak"])
            interval = f"{number(case['mean'])} [{number(case['low'])}, {number(case['high'])}]"
            rows.append(
                f'<tr><td>{escape(str(case["case"]))}</td><td class="number">{interval}</td>'
                f'<td class="number">n = {int(case["n"])}</td><td class="{kind}">{mark}</td></tr>'
            )
    return "<table>" + "\n".join(rows) + "</table>"


def _decidable(needed: float) -> str:
    if pd.isna(needed):
        return ""
    return f" (n ≈ {needed:,.0f} would decide it)" if np.isfinite(needed) else " (no n would decide it)"


def _warning(weak: object) -> str:
    return f" <small>⚠ {escape(weak)}</small>" if isinstance(weak, str) and weak else ""


def _numbers(table: pd.DataFrame) -> str:
    head = "".join(f"<th>{h}</th>" for h in ("where", "paper", "ours", "95 % interval", "n", "remark"))
    rows = []
    for _, row in table.iterrows():
        where = ", ".join(str(row[c]) for c in ("source", "table", "row", "column") if pd.notna(row[c]))
        paper = number(row["paper"]) + (f" ± {number(row['paper_std'])}" if pd.notna(row["paper_std"]) else "")
        cells = (where, paper, number(row["ours"]), f"{number(row['low'])} … {number(row['high'])}", str(int(row["n"])))
        remark = "" if pd.isna(row["remark"]) else str(row["remark"])
        rows.append("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in (*cells, remark)) + "</tr>")
    return f"<table><tr>{head}</tr>" + "\n".join(rows) + "</table>"


def side_by_side(table: pd.DataFrame, differences: list[tuple[str, str, str]], one: str, other: str) -> str:
    """HTML. table: of purity.report.side_by_side.paired; differences: key, value of `one`, value of `other`."""
    parts = [
        f"<h1>{escape(one)} and {escape(other)}, image by image</h1>",
        f"<p>Differences are {escape(other)} − {escape(one)} on the same images, 95 % intervals of the mean over "
        "n images; seeds and fresh draws are averaged before. Bold: the interval leaves out 0.</p>",
        "<h2>What differs in the config</h2>",
    ]
    if differences:
        head = "".join(f"<th>{escape(h)}</th>" for h in ("key", one, other))
        rows = ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in differences]
        parts += [f"<table><tr>{head}</tr>" + "\n".join(rows) + "</table>"]
    else:
        parts += ["<p>Nothing: they differ by chance at most, if a network or code is another one.</p>"]
    for measure, of_measure in table.groupby("measure", sort=False):
        parts += [f"<h2>{escape(str(measure))}</h2>", _paired(of_measure, one, other)]
    return _page(f"{one} and {other}", parts)


def _paired(table: pd.DataFrame, one: str, other: str) -> str:
    head = "".join(f"<th>{escape(h)}</th>" for h in ("purifier", "attack, who knows", one, other, "difference", "n"))
    rows = []
    for _, row in table.iterrows():
        attack = row["attack"] if row["attack"] == "clean" else f"{row['attack']}, {row['knowledge']}"
        said = f"{number(row['difference'])} [{number(row['low'])}, {number(row['high'])}]"
        said = f"<b>{said}</b>" if row["low"] > 0 or row["high"] < 0 else said
        names = "".join(f"<td>{escape(text)}</td>" for text in (row["purifier"], attack))
        cells = (number(row["one"]), number(row["other"]), said, str(row["n"]))
        rows.append(f"<tr>{names}" + "".join(f'<td class="number">{cell}</td>' for cell in cells) + "</tr>")
    return f"<table><tr>{head}</tr>" + "\n".join(rows) + "</table>"


def number(value: float) -> str:
    """Three significant digits, with an exponent below .001 and from 10,000 on; – for what is missing."""
    if pd.isna(value):
        return "–"
    if 999.5 <= abs(value) < 1e4:
        return f"{value:.0f}"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.2e}"
