"""What figures share: one look for all, colour-blind safe, readable in a column of a two-column page."""

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
import pandas as pd

COLUMN, PAGE = 3.4, 7.0  # inches

NAMES = {
    "l2": "ℓ2 to clean",
    "linf": "ℓ∞ to clean",
    "ssim": "SSIM with clean",
    "frechet-classifier": "Fréchet distance,\nclassifier features",
    "fid": "FID,\n768 features",
}
ALPHA = "compression rate α of uniform noise"


@contextmanager
def style() -> Iterator[None]:
    """The look of every figure."""
    import seaborn as sns  # here: tables, which are drawn by nobody, start sooner without it

    rc = {
        "figure.constrained_layout.use": True,
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 8,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "legend.fontsize": 7,
        "legend.frameon": False,
        "legend.title_fontsize": 7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "pdf.fonttype": 42,
        "savefig.dpi": 300,
    }
    with sns.axes_style("ticks"), sns.color_palette("colorblind"), mpl.rc_context(rc):
        yield


def palette(n: int) -> list:
    """n different colours; beyond ten, colour-blind safe ones run out."""
    import seaborn as sns

    return sns.color_palette("colorblind", n) if n <= 10 else sns.color_palette("husl", n)


def coloured(table: pd.DataFrame, column: str) -> list[tuple[tuple, str, pd.DataFrame]]:
    """(colour, name, part) of each value of a column, in order of appearance."""
    names = list(dict.fromkeys(table[column]))
    return [(c, n, table[table[column] == n]) for c, n in zip(palette(len(names)), names, strict=True)]


def label_of(row: pd.Series) -> str:
    return row["attack"] if row["knowledge"] == "none" else f"{row['attack']}, knows {row['knowledge']}"


def all_seeds(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["seed"].astype(str) == "all"].copy()


def bars_of(ax, table: pd.DataFrame, x: str, hue: str, low: str | None = None, high: str | None = None) -> None:
    """Groups of bars of `mean` side by side, only those there are, with error bars low … high or ± std."""
    groups, hues = list(dict.fromkeys(table[x])), list(dict.fromkeys(table[hue]))
    width = 0.85 / table.groupby(x).size().max()
    colours = dict(zip(hues, palette(len(hues)), strict=True))
    for i, group in enumerate(groups):
        bars = table[table[x] == group]
        at = i + (np.arange(len(bars)) - (len(bars) - 1) / 2) * width
        down = bars["mean"] - bars[low] if low else bars["std"]
        up = bars[high] - bars["mean"] if high else bars["std"]
        ax.bar(at, bars["mean"], width * 0.9, color=[colours[value] for value in bars[hue]])
        ax.errorbar(at, bars["mean"], [down, up], fmt="none", ecolor="0.25", elinewidth=0.7)
    for value in hues:
        ax.bar(np.nan, np.nan, color=colours[value], label=value)
    ax.set_xticks(np.arange(len(groups)), groups)
    ax.tick_params(axis="x", length=0)


def plot_law(ax, points: pd.DataFrame, fit: pd.DataFrame, quiet: bool) -> None:
    """Points, hollow where clean images are no longer recognised, and the sigmoid through the others if it was made."""
    best = "recognised" if (fit["through"] == "recognised").any() else "all"
    for through, line in (("all", "--"), ("recognised", "-")):
        curve = fit[(fit["quantity"] == "curve") & (fit["through"] == through)]
        if len(curve):
            name = "sigmoid through all" if through == "all" else "sigmoid through filled points"
            ax.plot(curve["alpha"], curve["mean"], line, color="0.25", lw=1.2 if through == best else 0.8, label=name)
        if through == best:
            ax.fill_between(curve["alpha"], curve["low"], curve["high"], color="0.25", alpha=0.15, lw=0)
    for colour, purifier, part in coloured(points, "purifier"):
        shade: str | tuple = "0.55" if quiet else colour
        for recognised, fill in ((True, shade), (False, "white")):
            some = part[part["recognised"].astype(bool) == recognised]
            error = [some["accuracy"] - some["low"], some["high"] - some["accuracy"]]
            look = {"color": shade, "mfc": fill, "ms": 3.5, "elinewidth": 0.7}
            ax.errorbar(some["alpha"], some["accuracy"], error, fmt="o", **look)
        if not quiet:
            ax.plot([], [], "o", color=shade, ms=3.5, label=purifier)
    ax.set(xlim=(-0.02, None), ylim=(0, 1), xlabel=ALPHA, ylabel="robust accuracy,\nattacker knows ξ")
