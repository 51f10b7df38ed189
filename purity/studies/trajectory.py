"""How far from the clean image each state is, on the way through a purifier (Liu & Wei §3.1, App. C.2)."""

from collections.abc import Iterator
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity import stats
from purity.studies.drawing import COLUMN, KNOWN_LINES, NAMES, label_of, legend_below, look_of
from purity.studies.records import (
    ATTACKED,
    Evidence,
    Record,
    attacks,
    grouped,
    images_drawn,
    of_mean,
    per_image,
    with_diffusion,
)


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
    size = (COLUMN, 1.25 * len(purifiers) + 0.9)
    figure, axes = plt.subplots(len(purifiers), 2, figsize=size, sharex="row", sharey="col", squeeze=False)
    for (i, purifier), (j, distance) in product(enumerate(purifiers), enumerate(("l2", "linf"))):
        ax = axes[i, j]
        part = table[(table["purifier"] == purifier) & (table["distance"] == distance)]
        for (attack, knowledge), way in part.groupby(["attack", "knowledge"], sort=False):
            look = look_of(attack)
            time, mean = _joined(way["time"].to_numpy(float), way["mean"].to_numpy())
            drawn = {"ls": KNOWN_LINES[knowledge], "lw": 1, "marker": look.marker, "ms": 2.5, "mew": 0.6}
            drawn |= {"mfc": look.colour if knowledge == "none" else "white", "label": label_of(way.iloc[0])}
            ax.plot(time, mean, color=look.colour, **drawn)
            ax.axhline(way["mean"].iloc[0], color=look.colour, lw=0.5, ls=":")
        ax.set_title(f"{purifier}: {NAMES[distance]}")
    for ax in axes[-1]:
        ax.set(ylim=(0, None), xlabel="time: noise, then back")
    legend_below(figure, *axes.flat)
    return figure


def _joined(time: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with a gap wherever more than a quarter of the way lies between two states: nothing was there to be seen, so
    no line is drawn."""
    jumps = np.flatnonzero(np.diff(time) > np.ptp(time) / 4) + 1
    return np.insert(time, jumps, np.nan), np.insert(mean, jumps, np.nan)


QUANTITIES = ("small-noise-l2-change", "large-noise-l2-change", "path-difference")


def evidence(purified: list[Record], measured: list[Record]) -> Iterator[Evidence]:
    """ℓ2 to the clean image after − before purification, of the smallest and of the largest blind noise.

    path-difference: of the ways of an attack and of that noise through a purifier, root mean square over its states of
    the relative difference of their ℓ2 to the clean image, less what chance adds.
    """
    yield from _ways_apart(purified, measured)
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


def _ways_apart(purified: list[Record], measured: list[Record]) -> Iterator[Evidence]:
    """Each attack beside the smallest noise on the same purifier; those that the ball of the attack holds."""
    largest = {c: max(r.arrays["l2_before"].mean() for r in m) for c, m in _by_cell(measured).items()}
    ways = _by_cell(with_diffusion(purified))
    for (purifier, attack, knowledge), members in ways.items():
        noises = [c for c, m in ways.items() if c[0] == purifier and m[0].keys.get("blind") and c in largest]
        if members[0].keys.get("blind") or attack == "clean" or not noises:
            continue
        noise = min(noises, key=lambda cell: largest[cell])
        way, other = (np.mean([r.arrays["path_l2"] for r in ms], axis=0) for ms in (members, ways[noise]))  # (S, n)
        level = other.mean(axis=1)
        apart = (way - other) / level[:, None]
        draws = np.stack([apart[:, rows].mean(axis=1) for rows in images_drawn(apart.shape[1])])
        found = stats.misfit_interval(apart.mean(axis=1), draws)
        case = f"{purifier}, {attack}, knows {knowledge}"
        yield Evidence("path-difference", case, *found, apart.shape[1])


def _by_cell(records: list[Record]) -> dict[tuple, list[Record]]:
    return {tuple(keys.values()): members for keys, members in grouped(records, ATTACKED)}
