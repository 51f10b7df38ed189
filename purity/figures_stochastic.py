"""Figures about the stochastic perspective (Liu et al., ICLR 2025), in the look of purity.figures."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from purity.figures import PAGE, all_seeds, bars_of, palette

KNOWS = {
    "none": "nothing (white-box EOT)",
    "forward": "forward noise",
    "reverse": "reverse noise",
    "all": "all of ξ (DW-box)",
}


def dw_box(table: pd.DataFrame) -> Figure:
    """Accuracy with 95 % intervals by what the attacker knows of ξ; a panel for each family of attacks."""
    table = all_seeds(table)
    families = [family for family in dict.fromkeys(table["family"]) if family != "clean"]
    figure, axes = plt.subplots(1, len(families), figsize=(PAGE, 2.6), sharey=True, squeeze=False)
    for ax, family in zip(axes[0], families, strict=True):
        part = table[table["family"] == family]
        part = part.assign(knows=pd.Categorical(part["knowledge"].map(KNOWS), list(KNOWS.values())))
        place = {purifier: k for k, purifier in enumerate(dict.fromkeys(part["purifier"]))}
        part = part.assign(place=part["purifier"].map(place)).sort_values(["place", "knows"])
        bars_of(ax, part.assign(knows=part["knows"].astype(str)), "purifier", "knows", "low", "high")
        clean = table[(table["family"] == "clean") & (table["judged"] == "fresh")].set_index("purifier")["mean"]
        for purifier, k in place.items():
            if purifier in clean:
                ax.hlines(clean[purifier], k - 0.45, k + 0.45, color="0.4", lw=0.8, ls="--")
        ax.set_title(family)
        ax.set_ylim(0, 1)
    axes[0, 0].set_ylabel("accuracy (dashed: clean)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, title="the attacker knows")
    return figure


def addt(table: pd.DataFrame) -> Figure:
    """Left: accuracy of vanilla and fine-tuned purifiers. Right: what is gained over vanilla. 95 % intervals."""
    table = all_seeds(table)
    table["under"] = table["attack"].where(table["attack"] == "clean", table["knowledge"])
    table["under"] = table["under"].map({"clean": "clean", "none": "white-box EOT", "all": "DW-box"})
    unders = ["clean", "white-box EOT", "DW-box"]
    purifiers = list(dict.fromkeys(table["purifier"]))
    place = {purifier: k for k, purifier in enumerate(purifiers)}
    order = table["purifier"].map(place) * len(unders) + table["under"].map(unders.index)
    table = table.assign(order=order).sort_values("order")
    figure, (left, right) = plt.subplots(1, 2, figsize=(PAGE, 2.9), width_ratios=[1.5, 1])
    bars_of(left, table[table["measure"] == "accuracy"], "purifier", "under", "low", "high")
    left.set_ylim(0, 1)
    left.set_ylabel("accuracy")
    left.tick_params(axis="x", rotation=30)
    gains = table[table["measure"] == "gain"]
    tuned = list(dict.fromkeys(gains["purifier"]))
    for j, (under, colour) in enumerate(zip(unders, palette(3), strict=True)):
        part = gains[gains["under"] == under]
        at = part["purifier"].map(tuned.index) + 0.2 * (j - 1)
        error = [part["mean"] - part["low"], part["high"] - part["mean"]]
        right.errorbar(part["mean"], at, xerr=error, fmt="o", ms=3, lw=0.9, color=colour)
    right.set_yticks(range(len(tuned)), tuned)
    right.invert_yaxis()
    right.axvline(0, color="0.4", lw=0.7, ls="--")
    right.set_xlabel("accuracy gained over vanilla")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


LOOKS = {
    "white-box": {"lw": 0.6, "ms": 1.2, "alpha": 0.7},
    "white-box EOT": {"lw": 0.6, "ms": 1.2, "alpha": 0.7},
    "DW-box": {"lw": 1.4, "ms": 2.2},
}


def attack_paths(table: pd.DataFrame) -> Figure:
    """Paths of three attackers from one image, the loss under the fixed ξ as height; a panel for each purifier.

    Of one seed, and of the image that DW-box does middling harm to. Horizontal: the two principal components of all
    places of the paths shown, about x₀.
    """
    purifiers = list(dict.fromkeys(table["purifier"]))
    colours = dict(zip(LOOKS, palette(3), strict=True))
    size = (PAGE / 2 * len(purifiers), 3.3)
    figure, axes = plt.subplots(1, len(purifiers), figsize=size, squeeze=False, subplot_kw={"projection": "3d"})
    of_image, image = _middle(table)
    for ax, purifier in zip(axes[0], purifiers, strict=True):
        part = of_image[of_image["purifier"] == purifier]
        for (kind, _), way in part.groupby(["kind", "repeat"], sort=False):
            ax.plot(way["u"], way["v"], way["loss"], "-o", color=colours[kind], label=kind, **LOOKS[kind])
        ax.set_zlim(0, _top(of_image["loss"].max()))
        ax.set_title(f"{purifier}: {part['kept'].iloc[0]:.0%} of squared length in the plane")
        ax.set(xlabel="component 1, ℓ2", ylabel="component 2, ℓ2", zlabel="loss under the fixed ξ")
        _quiet(ax)
    handles = {h.get_label(): h for ax in axes[0] for h in ax.get_legend_handles_labels()[0]}
    figure.suptitle(f"image {image}", fontsize=8)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
    return figure


def _middle(table: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Paths from one image, and which: that of the middle loss at the end of DW-box on the first purifier."""
    known = table[(table["kind"] == "DW-box") & (table["purifier"] == table["purifier"].iloc[0])]
    last = known[known["step"] == known["step"].max()].sort_values("loss", kind="stable")
    image = last["image"].iloc[(len(last) - 1) // 2]
    return table[table["image"] == image], image


def landscape(table: pd.DataFrame, paths: pd.DataFrame) -> Figure:
    """Mean loss under the fixed ξ over the DW-box direction and the residual direction of the EOT perturbation.

    With the mean paths of both attacks; a panel for each purifier, all on one scale. One seed.
    """
    purifiers = list(dict.fromkeys(table["purifier"]))
    top = max(table["mean"].max(), paths["loss"].max())
    size = (PAGE / 2 * len(purifiers), 3.3)
    figure, axes = plt.subplots(1, len(purifiers), figsize=size, squeeze=False, subplot_kw={"projection": "3d"})
    colours = dict(zip(LOOKS, palette(3), strict=True))
    for ax, purifier in zip(axes[0], purifiers, strict=True):
        surface = table[table["purifier"] == purifier].pivot(index="a", columns="b", values="mean")
        a, b = surface.index.to_numpy()[:, None], surface.columns.to_numpy()[None, :]
        ax.computed_zorder = False  # the paths lie on the surface
        ax.plot_surface(a, b, surface.to_numpy(), cmap="viridis", vmin=0, vmax=top, alpha=0.75, lw=0, zorder=1)
        for kind, way in paths[paths["purifier"] == purifier].groupby("kind", sort=False):
            look = {"color": colours[kind], "label": kind, "lw": 1.3, "ms": 2, "zorder": 2}
            ax.plot(way["a"], way["b"], way["loss"], "-o", **look)
        ax.set_zlim(0, _top(top))
        ax.set_title(purifier)
        ax.set(xlabel="DW-box direction", ylabel="residual of EOT", zlabel="loss under the fixed ξ")
        _quiet(ax)
    handles = {h.get_label(): h for ax in axes[0] for h in ax.get_legend_handles_labels()[0]}
    n = int(table["n"].max())
    figure.suptitle(f"mean over {n} image{'s' if n > 1 else ''}; 1 is the whole perturbation", fontsize=8)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2)
    return figure


def _top(highest: float) -> float:
    """Of the axis of losses; they may all be 0."""
    return 1.02 * highest or 1.0


def _quiet(ax) -> None:
    """Few ticks, and room for the labels of a small 3-D panel."""
    ax.locator_params(nbins=5)
    ax.tick_params(labelsize=6, pad=-2)
    ax.xaxis.labelpad = ax.yaxis.labelpad = ax.zaxis.labelpad = -4
    ax.view_init(elev=24, azim=-58)
    ax.set_box_aspect((1, 1, 0.8), zoom=0.97)
