"""Figures of the earlier version's questions (fuzzy robustness, caps, margins), in the look of purity.figures."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from purity.figures import PAGE, palette


def fuzzy(table: pd.DataFrame, grades: pd.DataFrame) -> Figure:
    """Left: how often each image fools the defence. Middle: the share of images below a grade (CFR). Right: accuracy by
    a vote over k judgings (solid), and of k submissions that must all be right (dashed). Of the first purifier."""
    purifier = grades["purifier"].iloc[0]
    table, grades = table[table["purifier"] == purifier], grades[grades["purifier"] == purifier]
    attacks = list(dict.fromkeys(grades["attack"]))
    colours = dict(zip(attacks, palette(len(attacks)), strict=True))
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(PAGE, 2.4))
    edges = np.linspace(0, 1, 11)
    tenth = np.floor(grades["grade"] * 10 + 1e-9).clip(upper=9)  # rounding must not push a grade below its bin
    grades = grades.assign(tenth=tenth)
    for attack in attacks:
        part = grades[grades["attack"] == attack]
        counts = part.groupby("tenth")["share"].sum().reindex(range(10), fill_value=0.0).to_numpy()
        left.stairs(counts, edges, color=colours[attack], lw=1.1, label=attack)
        middle.plot(part["grade"], part["cfr"], color=colours[attack], lw=1.1)
        middle.fill_between(part["grade"], part["low"], part["high"], color=colours[attack], alpha=0.12, lw=0)
        repeated = table[table["attack"] == attack]
        for measure, line in (("vote", "-"), ("worst-of", "--")):
            of = repeated[repeated["measure"] == measure]
            right.plot(of["k"], of["mean"], line, color=colours[attack], lw=1.1)
    left.set(xlabel="grade m: P(fooled)", ylabel="share of images", yscale="log")
    middle.set(xlabel="threshold on the grade", ylabel="CFR: share of images below", ylim=(0, 1))
    right.set(xlabel="k", ylabel="accuracy", xscale="log", ylim=(0, 1))
    right.plot([], [], "-", color="0.3", lw=1.1, label="vote of k")
    right.plot([], [], "--", color="0.3", lw=1.1, label="all of k right")
    right.legend(loc="lower left")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=min(6, len(attacks)))
    figure.suptitle(f"{purifier}; every attack judged under {table['judgings'].iloc[0]} fresh ξ", fontsize=8)
    return figure


PLANES = {"random": "a random direction", "adversarial": "another attack's direction"}


def cap(images: pd.DataFrame, transition: pd.DataFrame, slices: pd.DataFrame) -> Figure:
    """Above: planes through a clean image (○), adversarial points dark, and the slopes of the decision. Below: the mean
    transition, the critical thresholds, and the volume of the cap."""
    figure, axes = plt.subplots(2, 3, figsize=(PAGE, 4.3))
    planes = [p for p in PLANES if (slices["plane"] == p).any()]
    for ax, plane in zip(axes[0], planes, strict=False):
        part = slices[slices["plane"] == plane]
        part = part[part["image"] == part["image"].iloc[0]]
        square = part.pivot(index="across", columns="along", values="correct").astype(float)
        reach = part["along"].max() * len(square) / (len(square) - 1)  # pixels are centred on the lattice
        look = {"origin": "lower", "extent": (-reach, reach) * 2, "cmap": ListedColormap(["#0072b2", "0.92"])}
        ax.imshow(square, vmin=0, vmax=1, interpolation="nearest", **look)
        ax.plot(0, 0, "o", mfc="white", mec="black", ms=4)
        ax.set(xlabel="adversarial direction, ℓ2", ylabel=PLANES[plane])
    for ax in axes[0, len(planes) : 2]:
        ax.set_axis_off()
    if images.empty:  # nothing is classified right, or nothing was moved
        for ax in axes.flat:
            ax.set_axis_off()
        return figure
    slope = images["slope"].dropna()
    edges = np.arange(0, 32, 2.0)
    axes[0, 2].hist(slope.clip(0, edges[-1]), edges, color="0.45")
    axes[0, 2].axvline(6, color="0.1", lw=0.8, ls="--")
    axes[0, 2].set(xlabel=f"slope (last bin: {edges[-2]:.0f} and more)", ylabel="images")
    axes[0, 2].set_title(f"first bin: below {edges[1]:.0f}")
    left, middle, right = axes[1]
    fitted, seen = transition.dropna(subset="fitted"), transition[transition["n"] > 20]
    if len(fitted):
        left.plot(fitted["offset"], fitted["fitted"], color="0.1", lw=1.2, label="fitted")
    if len(seen):
        left.plot(seen["offset"], seen["observed"], "o", ms=2, color=palette(1)[0], label="observed")
    left.set(xlabel="projection − threshold, ℓ2", ylabel="P(adversarial)", ylim=(0, 1))
    if len(fitted) or len(seen):
        left.legend()
    radius = images["radius"].iloc[0]
    middle.hist(images["threshold"].clip(upper=radius), np.linspace(0, radius, 25), color="0.45")
    middle.set(xlabel="critical threshold γ, ℓ2 (last bin: beyond)", ylabel="images")
    share = np.log10(images["volume_ratio"].clip(lower=1e-12))
    right.hist(share, np.linspace(min(-4.0, share.min()), 0, 25), color="0.45")
    right.set(xlabel=f"log₁₀ of cap over ball of radius {radius:g}", ylabel="images")
    return figure


SCORES = {"threshold": "critical threshold", "length": "length of purified attack", "attack_length": "length of attack"}


def margins(images: pd.DataFrame, roc: pd.DataFrame) -> Figure:
    """By purifier: the critical threshold and the length of the purified attack, of robust and of fooled images; and
    how well each tells them apart."""
    purifiers = list(dict.fromkeys(images["purifier"]))
    robust, fooled = palette(2)
    if images.empty:  # no anchor is classified right
        return plt.figure(figsize=(PAGE, 1))
    figure, axes = plt.subplots(len(purifiers), 3, figsize=(PAGE, 1.5 * len(purifiers) + 0.7), squeeze=False)
    finite = images["threshold"][np.isfinite(images["threshold"])]
    reach = {"threshold": finite.quantile(0.98) if len(finite) else 1.0, "length": images["length"].max()}
    for line, purifier in zip(axes, purifiers, strict=True):
        part = images[images["purifier"] == purifier]
        for ax, score in zip(line, ("threshold", "length"), strict=False):
            edges = np.linspace(0, reach[score], 26)
            for outcome, colour in (("robust", robust), ("fooled", fooled)):
                values = part.loc[part["outcome"] == outcome, score].clip(upper=edges[-1])
                ax.hist(values, edges, color=colour, alpha=0.6, label=outcome if len(values) else None)
            ax.set_ylabel("images")
        line[0].set_title(purifier, loc="left")
        for (score, name), colour in zip(SCORES.items(), ("0.1", "0.5", "0.75"), strict=True):
            curve = roc[(roc["purifier"] == purifier) & (roc["score"] == score)]
            if curve.empty:  # all are robust, or all fooled
                continue
            line[2].plot(curve["false_positive"], curve["true_positive"], color=colour, lw=1.1, label=name)
        line[2].plot([0, 1], [0, 1], color="0.8", lw=0.6, ls="--")
        line[2].set(ylabel="robust found", xlim=(0, 1), ylim=(0, 1.02))
    axes[-1, 0].set_xlabel("critical threshold γ from f(x₀)\n(last bin: beyond)")
    axes[-1, 1].set_xlabel("length of the purified attack, ℓ2")
    axes[-1, 2].set_xlabel("fooled taken for robust")
    for roc_axis in axes[:, 2]:
        if roc_axis.get_legend_handles_labels()[0]:
            roc_axis.legend(loc="lower right", fontsize=6)
            break
    handles = {h.get_label(): h for ax in axes[:, 0] for h in ax.get_legend_handles_labels()[0]}
    figure.legend(handles.values(), handles.keys(), loc="outside lower left", ncols=2)
    return figure
