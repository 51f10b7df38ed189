"""A table in, a figure out. One look for all: colour-blind safe, readable in a column of a two-column page."""

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

COLUMN, PAGE = 3.4, 7.0  # inches

NAMES = {
    "l2": "ℓ2 to clean",
    "linf": "ℓ∞ to clean",
    "ssim": "SSIM with clean",
    "frechet-classifier": "Fréchet distance,\nclassifier features",
    "fid": "FID,\n768 features",
    "initial": "inputs",
    "input": "input varies, ξ fixed",
    "xi": "ξ varies, input fixed",
    "both": "both vary",
}


@contextmanager
def style() -> Iterator[None]:
    """The look of every figure."""
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
    return sns.color_palette("colorblind", n) if n <= 10 else sns.color_palette("husl", n)


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


def trajectory(table: pd.DataFrame) -> Figure:
    """ℓ2 and ℓ∞ to the clean image along the way through each purifier that shows its way."""
    table = table[table["attack"] != "clean"]
    long = table.groupby("purifier")["step"].max()
    purifiers = list(dict.fromkeys(table["purifier"]))
    purifiers = [p for p in purifiers if long[p] > 1] or purifiers
    labels = list(dict.fromkeys(table.apply(label_of, axis=1)))
    colours = dict(zip(labels, palette(len(labels)), strict=True))
    figure, axes = plt.subplots(2, len(purifiers), figsize=(PAGE, 3.6), sharex="col", sharey="row", squeeze=False)
    for (i, distance), (j, purifier) in ((a, b) for a in enumerate(("l2", "linf")) for b in enumerate(purifiers)):
        ax = axes[i, j]
        part = table[(table["purifier"] == purifier) & (table["distance"] == distance)]
        for _, line in part.groupby(["attack", "knowledge"], sort=False):
            label = label_of(line.iloc[0])
            ax.plot(line["time"], line["mean"], color=colours[label], label=label, lw=1.1)
            ax.axhline(line["mean"].iloc[0], color=colours[label], lw=0.5, ls=":")
        ax.set_ylim(bottom=0)
        if i == 0:
            ax.set_title(purifier)
        if i == 1:
            ax.set_xlabel("time: noise, then back")
    axes[0, 0].set_ylabel(NAMES["l2"])
    axes[1, 0].set_ylabel(NAMES["linf"])
    handles = {h.get_label(): h for ax in axes.flat for h in ax.get_legend_handles_labels()[0]}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5)
    return figure


def distances(table: pd.DataFrame) -> Figure:
    """ℓ2, ℓ∞, SSIM and Fréchet distance before and after, by purifier, under the attack that knows ξ."""
    table = all_seeds(table)
    table = table[table["knowledge"] == ("all" if (table["knowledge"] == "all").any() else "none")]
    attack = table["attack"].mode()[0]
    table = table[table["attack"] == attack]
    measures = list(dict.fromkeys(table["measure"]))
    figure, axes = plt.subplots(1, len(measures), figsize=(PAGE, 2.0), squeeze=False)
    for ax, measure in zip(axes[0], measures, strict=True):
        bars_of(ax, table[table["measure"] == measure], x="purifier", hue="when")
        ax.set_title(NAMES.get(measure, measure))
        ax.tick_params(axis="x", rotation=35)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, [f"{label} purification" for label in labels], loc="outside lower center", ncols=2)
    known = "attacker knows ξ" if (table["knowledge"] == "all").any() else "attacker does not know ξ"
    figure.suptitle(f"{attack}, {known}; mean ± std over images", fontsize=8)
    return figure


def robustness(table: pd.DataFrame) -> Figure:
    """Accuracy with 95 % intervals, by purifier, attack and knowledge."""
    table = all_seeds(table)
    table = table[(table["attack"] != "clean") | (table["judged"] == "fresh")]
    table["attacked by"] = table.apply(label_of, axis=1)
    clean_first = table.sort_values("attack", key=lambda a: a != "clean", kind="stable")
    figure, ax = plt.subplots(figsize=(PAGE, 2.6))
    bars_of(ax, clean_first, "purifier", "attacked by", "low", "high")
    ax.set_ylim(0, 1)
    ax.set_ylabel("accuracy")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right upper", title="attack")
    return figure


def transfer(table: pd.DataFrame) -> Figure:
    """Left: an attack that knows ξ, judged under that ξ and under another, beside one that knows nothing. Right: how
    alike the perturbations are."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(PAGE, 2.9), width_ratios=[1.4, 1])
    accuracy = all_seeds(table[table["measure"] == "accuracy"])
    accuracy["how"] = accuracy["knowledge"].map({"all": "knows ξ", "none": "knows nothing"}) + accuracy["judged"].map(
        {"fixed": ", judged under it", "fresh": ", judged under another"}
    ).where(accuracy["knowledge"] == "all", "")
    both = accuracy.groupby(["purifier", "attack"])["knowledge"].transform("nunique") == 2
    accuracy["case"] = accuracy["purifier"] + "\n" + accuracy["attack"]
    bars_of(left, accuracy[both].sort_values("how", kind="stable"), "case", "how", "low", "high")
    left.set_ylim(0, 1)
    left.set_ylabel("accuracy")
    left.tick_params(axis="x", rotation=30)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=1)
    pairs = table[table["measure"] == "correlation"]
    if pairs.empty:  # one seed, or nobody who knows ξ
        right.set_axis_off()
        return figure
    pairs = pairs[pairs["other"] == pairs["other"].mode()[0]]
    star = pairs["knowledge"].map({"all": "*"}).fillna("")
    names = pairs["purifier"] + ": " + pairs["attack"] + star + " with " + pairs["other"] + "*"
    right.errorbar(pairs["mean"], range(len(pairs)), xerr=pairs["std"], fmt="o", ms=3, lw=0.8, color="0.2")
    right.set_yticks(range(len(pairs)), names, fontsize=6)
    right.set_xlim(min(0, right.get_xlim()[0]), 1)
    right.invert_yaxis()
    right.axvline(0, color="0.7", lw=0.6)
    right.set_xlabel("correlation of perturbations (* knows ξ)")
    return figure


def compression(table: pd.DataFrame) -> Figure:
    """α of perturbations by purifier; 1 is neither compression nor expansion."""
    alpha = all_seeds(table[table["measure"] == "alpha"])
    alpha = alpha[(alpha["outcome"] != "any") | alpha["blind"].astype(bool)].dropna(subset="mean")
    alpha = alpha.sort_values("blind", ascending=False, kind="stable")
    alpha["perturbation"] = alpha.apply(
        lambda r: r["attack"] if r["outcome"] == "any" else f"{label_of(r)}: {r['outcome']}", axis=1
    )
    figure, ax = plt.subplots(figsize=(COLUMN * 1.5, 2.5))
    bars_of(ax, alpha, "purifier", "perturbation")
    ax.axhline(1, color="0.4", lw=0.7, ls="--")
    ax.set_ylabel("compression rate α")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def directions(table: pd.DataFrame, matrix: pd.DataFrame) -> Figure:
    """Above: correlation matrices of one image's purification directions. Below: their means over images."""
    purifiers = list(dict.fromkeys(matrix["purifier"]))
    figure = plt.figure(figsize=(PAGE * 0.75, 4.7))
    above, below = figure.subfigures(2, 1, height_ratios=[1.9, 1])
    axes = above.subplots(2, len(purifiers), squeeze=False)
    for j, purifier in enumerate(purifiers):
        for i, varied in enumerate(("xi", "input")):
            part = matrix[(matrix["purifier"] == purifier) & (matrix["varied"] == varied)]
            square = part.pivot(index="i", columns="j", values="correlation")
            image = axes[i, j].imshow(square, vmin=-1, vmax=1, cmap="RdBu_r")
            axes[i, j].set(xticks=[], yticks=[])
        axes[0, j].set_title(purifier)
    axes[0, 0].set_ylabel("ξ varies,\ninput fixed")
    axes[1, 0].set_ylabel("input varies,\nξ fixed")
    above.colorbar(image, ax=axes, label="correlation", shrink=0.7)
    ax = below.subplots()
    means = all_seeds(table)
    means["varied"] = means["varied"].map(NAMES)
    bars_of(ax, means, "purifier", "varied")
    ax.set_ylim(min(0, ax.get_ylim()[0]), 1)
    ax.set_ylabel("mean correlation")
    below.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def centroids(histogram: pd.DataFrame) -> Figure:
    """Distances to the centroid: fixed ξ compresses the ball, varying ξ expands it."""
    purifiers = list(dict.fromkeys(histogram["purifier"]))
    size = (COLUMN * 1.4, 1.1 * len(purifiers) + 0.5)
    figure, axes = plt.subplots(len(purifiers), 1, figsize=size, sharex=True, squeeze=False)
    for ax, purifier in zip(axes[:, 0], purifiers, strict=True):
        part = histogram[histogram["purifier"] == purifier]
        for colour, (varied, bars) in zip(sns.color_palette("colorblind"), part.groupby("varied", sort=False)):  # noqa: B905
            edges = np.append(bars["left"], bars["right"].iloc[-1])
            look = {"alpha": 0.55, "fill": True} if varied != "both" else {}
            ax.stairs(bars["density"] / bars["density"].max(), edges, color=colour, label=NAMES[varied], **look)
        ax.set_yticks([])
        ax.set_title(purifier, loc="left")
    axes[-1, 0].set_xlabel("ℓ2 to the centroid")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def variance(table: pd.DataFrame) -> Figure:
    """Variance per pixel by its source, and the signal-to-noise ratio."""
    table = all_seeds(table)
    figure, (left, right) = plt.subplots(1, 2, figsize=(PAGE * 0.8, 2.2), width_ratios=[1.6, 1])
    parts = table[table["component"] != "snr"].copy()
    sources = {"variance_total": "total", "variance_input": "by the input", "variance_internal": "by ξ"}
    parts["source"] = parts["component"].map(sources)
    parts[["mean", "std"]] *= 1e3
    bars_of(left, parts, "purifier", "source")
    left.set_ylabel("variance per pixel, ×10⁻³")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=3)
    snr = table[table["component"] == "snr"]
    right.errorbar(snr["purifier"], snr["mean"], snr["std"], fmt="o", ms=4, lw=0.9, color="0.2")
    right.set_yscale("log")
    right.axhline(1, color="0.4", lw=0.7, ls="--")
    right.set_ylabel("SNR: input over ξ")
    return figure


def loss(table: pd.DataFrame) -> Figure:
    """Training loss, with a running mean when it is noisy."""
    figure, ax = plt.subplots(figsize=(COLUMN, 2.0))
    every = max(1, len(table) // 100)
    if every > 1:
        ax.plot(table["step"], table["loss"], lw=0.3, color="0.75")
    ax.plot(table["step"], table["loss"].rolling(every, min_periods=1).mean(), lw=1.1)
    ax.set(xlabel="epoch" if every == 1 else "step", ylabel="loss", yscale="log")
    return figure


def gallery(rows: dict[str, np.ndarray], time: np.ndarray, states: np.ndarray, walked: str) -> Figure:
    """Rows of images (n, C, H, W) by name above; below one image on its way (S, C, H, W) through `walked`."""
    n = len(next(iter(rows.values())))
    shown = np.unique(np.linspace(0, len(states) - 1, min(len(states), 11)).round().astype(int))
    cell = 0.6  # inches an image
    figure = plt.figure(figsize=(max(cell * (n + 1.6), cell * len(shown)), cell * (len(rows) + 2)))
    above, below = figure.subfigures(2, 1, height_ratios=[len(rows), 2])
    axes = above.subplots(len(rows), n, squeeze=False)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        for ax, image in zip(line, images, strict=True):
            _show(ax, image)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    axes = below.subplots(1, len(shown), squeeze=False)[0]
    for ax, step in zip(axes, shown, strict=True):
        _show(ax, states[step].clip(0, 1))
        ax.set_xlabel(f"t = {time[step]}", fontsize=6)
    above.suptitle("each purifier on the attack made for it", fontsize=8)
    below.suptitle(f"the first image on its way through {walked}", fontsize=8)
    return figure


def _show(ax, image: np.ndarray) -> None:
    grey = image.shape[0] == 1
    ax.imshow(image[0] if grey else image.transpose(1, 2, 0), cmap="gray" if grey else None, vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
