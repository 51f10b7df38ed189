"""What the papers leave open about a purifier (σ, clipping, the first index, steps …), and by how much it matters."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity import stats
from purity.studies.drawing import COLUMN, legend_below, shaded
from purity.studies.records import Record, grouped, per_image

MEASURES = {"alpha": "alpha", "clean-accuracy": "clean_fixed", "robust-accuracy": "robust"}


def sensitivity(varied: list[Record]) -> pd.DataFrame:
    """α of uniform noise, accuracy on clean images and under an attack that knows ξ, of purifiers and their variants.

    A row for each measure: its mean; and, of a variant (`differs` says in what from `variant_of`), change: its mean
    less that of the purifier, image by image under the same ξ, with a 95 % interval low … high.
    """
    by = {keys["purifier"]: members for keys, members in grouped(varied, ("purifier",))}
    rows = []
    for purifier, members in by.items():
        said = {role: members[0].keys.get(role) for role in ("variant_of", "differs")}
        for measure, name in MEASURES.items():
            own = per_image(members, name)
            row = {"purifier": purifier} | said | {"measure": measure, "seed": "all", "seeds": len(members)}
            row |= stats.spread(own)
            if beside := by.get(said["variant_of"]):
                change, low, high = stats.mean_interval(own - per_image(beside, name))
                row |= {"change": change, "low": low, "high": high}
            rows.append(row)
    named = ["purifier", "variant_of", "differs", "measure", "seed", "seeds", "n"]
    return pd.DataFrame(rows, columns=[*named, "mean", "std", "change", "low", "high"])


def draw_sensitivity(table: pd.DataFrame) -> Figure:
    """By how much each variant moves α, clean and robust accuracy; 95 % intervals."""
    table = table.dropna(subset="change")
    table = table.assign(name=table["variant_of"] + ": " + table["differs"])
    names = list(dict.fromkeys(table["name"]))
    figure, ax = plt.subplots(figsize=(COLUMN, 0.28 * len(names) + 1.4))
    labels = dict(zip(MEASURES, ("α of uniform noise", "clean accuracy", "robust accuracy"), strict=True))
    for j, (measure, look) in enumerate(shaded(labels).items()):
        part = table[table["measure"] == measure]
        at = np.array([names.index(name) for name in part["name"]]) + 0.22 * (j - 1)
        error = [part["change"] - part["low"], part["high"] - part["change"]]
        dot = {"fmt": look.marker, "ms": 3.5, "lw": 0.9, "color": look.colour, "label": labels[measure]}
        ax.errorbar(part["change"], at, xerr=error, **dot)
    ax.axvline(0, color="0.4", lw=0.7, ls="--")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set(xlabel="change, 95 % interval", ylabel="what differs")
    legend_below(figure, ax)
    return figure
