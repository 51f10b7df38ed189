"""How far from the clean image each state is, on the way through a purifier (Liu & Wei §3.1, App. C.2)."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity import stats
from purity.studies.drawing import NAMES, PAGE, label_of, palette
from purity.studies.records import ATTACKED, Evidence, Record, attacks, grouped, of_mean, per_image


def trajectory(purified: list[Record]) -> pd.DataFrame:
    """ℓ2 and ℓ∞ to x₀ at every state between x and f_ξ(x) (Liu & Wei Fig. 1c, Tables S2-S4)."""
    rows = []
    for keys, members in grouped((r for r in purified if r.keys["attack"] != "clean"), ATTACKED):
        for distance, name in (("l2", "path_l2"), ("linf", "path_linf")):
            for step, time in enumerate(members[0].arrays["path_time"]):
                together = np.concatenate([r.arrays[name][step] for r in members])
                row = {"distance": distance, "step": step, "time": int(time), "seed": "all", "seeds": len(members)}
                rows.append(keys | row | stats.spread(together))
    return pd.DataFrame(rows)


def draw_trajectory(table: pd.DataFrame) -> Figure:
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


QUANTITIES = ("small-noise-l2-change", "large-noise-l2-change")


def evidence(measured: list[Record]) -> Iterator[Evidence]:
    """ℓ2 to the clean image after − before purification, of the smallest and of the largest blind noise."""
    by_purifier: dict[str, dict[str, list[Record]]] = {}
    for (purifier, attack, _), members in attacks(measured, blind=True).items():
        by_purifier.setdefault(purifier, {})[attack] = members
    for purifier, noises in by_purifier.items():
        ordered = sorted(noises, key=lambda attack: per_image(noises[attack], "l2_before").mean())
        chosen = {"small-noise-l2-change": ordered[0]}
        if len(ordered) > 1:
            chosen["large-noise-l2-change"] = ordered[-1]
        for quantity, attack in chosen.items():
            change = per_image(noises[attack], "l2_after") - per_image(noises[attack], "l2_before")
            yield of_mean(quantity, f"{purifier}, {attack}", change)
