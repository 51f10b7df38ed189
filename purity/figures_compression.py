"""Figures about the compression of image space, in the look of purity.figures."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from purity.figures import COLUMN, PAGE, all_seeds, bars_of, palette

ALPHA = "compression rate α of uniform noise"


def _by(table: pd.DataFrame, column: str) -> list[tuple[tuple, str, pd.DataFrame]]:
    """(colour, name, part) of each value of a column, in order of appearance."""
    names = list(dict.fromkeys(table[column]))
    return [(c, n, table[table[column] == n]) for c, n in zip(palette(len(names)), names, strict=True)]


def jacobian(spectrum: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Left: singular values by rank, mean and 95 % range over images. Right: the largest, by outcome of an attack."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(PAGE, 2.4), width_ratios=[1.5, 1])
    for colour, purifier, part in _by(spectrum, "purifier"):
        left.plot(part["rank"], part["mean"], color=colour, lw=1.2, label=purifier)
        left.fill_between(part["rank"], part["low"], part["high"], color=colour, alpha=0.2, lw=0)
    for level, name in ((1, "neither compressed nor expanded"), (0.25, "¼")):
        left.axhline(level, color="0.4", lw=0.7, ls="--")
        left.annotate(name, (spectrum["rank"].max(), level), ha="right", va="bottom", fontsize=6, color="0.3")
    left.set(xlabel="rank", ylabel="singular value of the Jacobian", ylim=(0, None))
    left.legend()
    largest = all_seeds(summary[summary["measure"] == "largest"]).dropna(subset="mean")
    bars_of(right, largest, "purifier", "outcome")
    right.axhline(1, color="0.4", lw=0.7, ls="--")
    right.set_ylabel("largest singular value")
    figure.legend(*right.get_legend_handles_labels(), loc="outside right upper", title="images")
    return figure


def pca(table: pd.DataFrame) -> Figure:
    """Variance along each principal component over the mean variance of the ball, before and after purification."""
    figure, ax = plt.subplots(figsize=(COLUMN * 1.3, 2.4))
    before = table[table["when"] == "before"]
    before = before[before["purifier"] == before["purifier"].iloc[0]]
    ax.plot(before["component"], before["mean"], color="0.3", lw=1.2, ls=":", label="before")
    for colour, purifier, part in _by(table[table["when"] == "after"], "purifier"):
        ax.plot(part["component"], part["mean"], color=colour, lw=1.2, label=f"after {purifier}")
    ax.axhline(1, color="0.4", lw=0.7, ls="--")
    ax.set(yscale="log", xlabel="principal component", ylabel="variance, relative to the ball")
    ax.legend()
    return figure


def _strength_axis(ax) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("strength t")


def _against_t(ax, table: pd.DataFrame, low: str | None = None, high: str | None = None) -> None:
    for colour, purifier, part in _by(table, "purifier"):
        down = part["mean"] - part[low] if low else part["std"]
        up = part[high] - part["mean"] if high else part["std"]
        ax.errorbar(
            part["t"], part["mean"], [down, up], color=colour, label=purifier, fmt="o-", ms=3, lw=1, elinewidth=0.7
        )
    shown: list[int] = []
    for t in sorted(set(table["t"].dropna().astype(int))):
        if not shown or t >= 1.5 * shown[-1]:  # labels must not touch
            shown.append(t)
    _strength_axis(ax)
    ax.set_xticks(shown, shown)


def timesteps(table: pd.DataFrame) -> Figure:
    """Left: α of uniform noise against the strength, ± std over images. Right: accuracy when the attacker knows ξ."""
    table = all_seeds(table)
    figure, (left, right) = plt.subplots(1, 2, figsize=(PAGE * 0.9, 2.3))
    _against_t(left, table[table["measure"] == "alpha"])
    left.set(ylabel=ALPHA.replace(" of", "\nof"), ylim=(0, None))
    _against_t(right, table[table["measure"] == "robust-accuracy"], "low", "high")
    right.set(ylabel="robust accuracy,\nattacker knows ξ", ylim=(0, 1))
    right.legend()
    return figure


def clean_t(table: pd.DataFrame) -> Figure:
    """Left: accuracy on clean images against the strength, under the fixed ξ. Right: α of uniform noise, ± std."""
    table = all_seeds(table)
    figure, (left, right) = plt.subplots(1, 2, figsize=(PAGE * 0.9, 2.3))
    _against_t(left, table[table["measure"] == "clean-fixed"], "low", "high")
    left.set(ylabel="clean accuracy", ylim=(0, 1))
    left.legend()
    _against_t(right, table[table["measure"] == "alpha"])
    right.set(ylabel=ALPHA.replace(" of", "\nof"), ylim=(0, None))
    return figure


def _law(ax, points: pd.DataFrame, fit: pd.DataFrame, quiet: bool) -> None:
    """Points, hollow where clean images are no longer recognised, and the sigmoid through the others if it was made."""
    best = "recognised" if (fit["through"] == "recognised").any() else "all"
    for through, line in (("all", "--"), ("recognised", "-")):
        curve = fit[(fit["quantity"] == "curve") & (fit["through"] == through)]
        if len(curve):
            name = "sigmoid through all" if through == "all" else "sigmoid through filled points"
            ax.plot(curve["alpha"], curve["mean"], line, color="0.25", lw=1.2 if through == best else 0.8, label=name)
        if through == best:
            ax.fill_between(curve["alpha"], curve["low"], curve["high"], color="0.25", alpha=0.15, lw=0)
    for colour, purifier, part in _by(points, "purifier"):
        colour = "0.55" if quiet else colour
        for recognised, fill in ((True, colour), (False, "white")):
            of = part[part["recognised"].astype(bool) == recognised]
            error = [of["accuracy"] - of["low"], of["high"] - of["accuracy"]]
            look = {"color": colour, "mfc": fill, "ms": 3.5, "elinewidth": 0.7}
            ax.errorbar(of["alpha"], of["accuracy"], error, fmt="o", **look)
        if not quiet:
            ax.plot([], [], "o", color=colour, ms=3.5, label=purifier)
    ax.set(xlim=(-0.02, None), ylim=(0, 1), xlabel=ALPHA, ylabel="robust accuracy,\nattacker knows ξ")


def law(points: pd.DataFrame, fit: pd.DataFrame) -> Figure:
    """Every purifier and strength as a point, the sigmoid with its 95 % band; at α = 0 the measured clean accuracy."""
    figure, ax = plt.subplots(figsize=(COLUMN * 1.5, 2.7))
    _law(ax, points, fit, quiet=False)
    swept = points.groupby("purifier").filter(lambda part: part["t"].nunique() > 1)
    for _, point in swept.iterrows():
        place = {"xy": (point["alpha"], point["accuracy"]), "xytext": (3, 2), "textcoords": "offset points"}
        ax.annotate(f"{point['t']:.0f}", **place, fontsize=6)
    clean = fit[fit["quantity"] == "clean"].iloc[-1]
    error = [[clean["mean"] - clean["low"]], [clean["high"] - clean["mean"]]]
    ax.errorbar(0, clean["mean"], error, fmt="*", ms=7, color="0.1", elinewidth=0.7, label="their clean accuracy")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right upper")
    return figure


def budget(table: pd.DataFrame, points: pd.DataFrame, fit: pd.DataFrame) -> Figure:
    """The undefended classifier under the budget ε·α, on the axes of the law."""
    figure, ax = plt.subplots(figsize=(COLUMN * 1.4, 2.6))
    _law(ax, points, fit, quiet=True)
    for colour, attack, part in _by(all_seeds(table).sort_values("scale", kind="stable"), "attack"):
        ax.plot(
            part["scale"],
            part["mean"],
            color=colour,
            lw=1.2,
            marker="s",
            ms=3,
            label=f"classifier alone, {attack} with ε·α",
        )
        ax.fill_between(part["scale"], part["low"], part["high"], color=colour, alpha=0.2, lw=0)
    ax.plot([], [], "o", ms=3.5, color="0.55", label="purifiers")
    ax.set(xlabel="compression rate α of a purifier, or share α of the budget", ylabel="robust accuracy")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=1)
    return figure


def predictors(table: pd.DataFrame, rank: pd.DataFrame) -> Figure:
    """Robust accuracy of every purifier and strength against what might predict it; ρ is the rank correlation."""
    labels = {
        "alpha": "compression rate α\nof uniform noise",
        "magnitude": "magnitude of the attack,\nℓ2",
        "frechet": "Fréchet distance of\npurified to clean images",
    }
    names = [name for name in labels if (table["predictor"] == name).any()]
    figure, axes = plt.subplots(1, len(names), figsize=(PAGE, 2.3), sharey=True, squeeze=False)
    purifiers = list(dict.fromkeys(table["purifier"]))
    colours = dict(zip(purifiers, palette(len(purifiers)), strict=True))
    for ax, name in zip(axes[0], names, strict=True):
        part = table[table["predictor"] == name]
        for purifier, points in part.groupby("purifier", sort=False):
            ax.plot(points["value"], points["accuracy"], "o", ms=3.5, color=colours[purifier], label=purifier)
        row = rank[rank["predictor"] == name].iloc[0]
        interval = "" if np.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]"
        ax.set_title("" if np.isnan(row["mean"]) else f"ρ = {row['mean']:.2f}{interval}")
        ax.set(xlabel=labels[name], ylim=(0, 1))
    axes[0, 0].set_ylabel("robust accuracy,\nattacker knows ξ")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=min(6, len(purifiers)))
    return figure
