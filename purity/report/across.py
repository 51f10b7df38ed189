"""What carries over from one experiment to another: the papers' claims with the verdict of each.

python -m purity.report.across results/digits docs/fashion-mnist
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from purity.run import store

_COUNTED = ("holds", "does not hold", "undecided")


def across(findings: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """A row for each claim: what the papers measured, and of each experiment by name how many cases hold, do not, or
    are undecided, with the means of them. Claims in the order of the first experiment that has them."""
    keys = ["id", "source", "claim"]
    order = pd.concat([table[[*keys, "paper"]] for table in findings.values()]).drop_duplicates(keys)
    rows = []
    for said in order.to_dict("records"):
        row = dict(said)
        for name, table in findings.items():
            cases = table[(table[keys] == [said[key] for key in keys]).all(axis=1)]
            row[name] = _verdicts(cases)
        rows.append(row)
    return pd.DataFrame(rows)


def _verdicts(cases: pd.DataFrame) -> str:
    counts = cases["verdict"].value_counts()
    parts = [f"{counts[verdict]} {verdict}" for verdict in _COUNTED if counts.get(verdict)]
    parts += [f"{n} {verdict}" for verdict, n in counts.items() if verdict not in _COUNTED]
    if not parts:
        return "not measured"
    means = cases["mean"].dropna()
    low, high = f"{means.min():.3g}", f"{means.max():.3g}"
    return ", ".join(parts) + ("" if means.empty else f" ({low})" if low == high else f" ({low} to {high})")


def markdown(table: pd.DataFrame) -> str:
    """The same as a table in Markdown."""
    named = [name for name in table.columns if name not in ("id", "source", "claim", "paper")]
    head = ["source", "claim", *named, "the papers"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in table.fillna("").to_dict("records"):
        cells = [row["source"], row["claim"], *(row[name] for name in named), row["paper"]]
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m purity.report.across", description="The papers' claims in several experiments, side by side."
    )
    parser.add_argument("folders", nargs="+", help="results of experiments: folders with tables/findings.csv")
    try:
        given = parser.parse_args()
        found = {Path(f).name: store.load_table(Path(f) / "tables" / "findings.csv") for f in given.folders}
        print(markdown(across(found)), end="")
    except (ValueError, OSError) as mistake:
        sys.exit(str(mistake))


if __name__ == "__main__":
    main()
