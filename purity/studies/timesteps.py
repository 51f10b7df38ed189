"""What hangs on the strength t of a purifier: α, robust and clean accuracy (Liu & Wei §5, Table 7, App. C.4)."""

from collections.abc import Iterator
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from purity.studies.drawing import ALPHA, COLUMN, all_seeds, legend_below, parts_of
from purity.studies.records import (
    SWEPT,
    Evidence,
    Record,
    accuracy_rows,
    grouped,
    of_mean,
    per_image,
    points_under_attack,
    spread_rows,
    with_diffusion,
)


def timesteps(probes: list[Record]) -> pd.DataFrame:
    """α of uniform noise, and accuracy under an attack that knows ξ, against the strength t (Table 7)."""
    rows = []
    for keys, members in points_under_attack(probes):
        rows += spread_rows(keys | {"measure": "alpha"}, members, "alpha")
        rows += accuracy_rows(keys | {"measure": "robust-accuracy"}, members, "robust")
    return _by_strength(rows)


def clean_t(probes: list[Record]) -> pd.DataFrame:
    """Clean accuracy, under the fixed ξ and under a fresh one, and α of uniform noise against t up to T (Fig. S4)."""
    rows = []
    for keys, members in grouped(probes, SWEPT):
        rows += spread_rows(keys | {"measure": "alpha"}, members, "alpha")
        rows += accuracy_rows(keys | {"measure": "clean-fixed"}, members, "clean_fixed")
        rows += accuracy_rows(keys | {"measure": "clean-fresh"}, members, "clean_fresh")
    return _by_strength(rows)


def _by_strength(rows: list[dict]) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    purifiers = {name: place for place, name in enumerate(dict.fromkeys(table["purifier"]))}
    place = table["purifier"].map(purifiers)
    return table.assign(place=place).sort_values(["place", "t"], kind="stable").drop(columns="place")


def draw_timesteps(table: pd.DataFrame) -> Figure:
    """Above: α of uniform noise against the strength, ± std over images. Below: accuracy when the attacker knows ξ."""
    table = all_seeds(table)
    figure, (above, below) = plt.subplots(2, 1, figsize=(COLUMN, 3.7))
    _against_t(above, table[table["measure"] == "alpha"])
    above.set(ylabel=ALPHA.replace(" of", "\nof"), ylim=(0, None))
    _against_t(below, table[table["measure"] == "robust-accuracy"], "low", "high")
    below.set(ylabel="robust accuracy,\nattacker knows ξ", ylim=(0, 1))
    legend_below(figure, above, below, ncols=3)
    return figure


def draw_clean_t(table: pd.DataFrame) -> Figure:
    """Above: accuracy on clean images against the strength, under the fixed ξ. Below: α of uniform noise, ± std."""
    table = all_seeds(table)
    figure, (above, below) = plt.subplots(2, 1, figsize=(COLUMN, 3.7))
    _against_t(above, table[table["measure"] == "clean-fixed"], "low", "high")
    above.set(ylabel="clean accuracy", ylim=(0, 1))
    _against_t(below, table[table["measure"] == "alpha"])
    below.set(ylabel=ALPHA.replace(" of", "\nof"), ylim=(0, None))
    legend_below(figure, above, below, ncols=3)
    return figure


def _against_t(ax, table: pd.DataFrame, low: str | None = None, high: str | None = None) -> None:
    for look, purifier, part in parts_of(table, "purifier"):
        down = part["mean"] - part[low] if low else part["std"]
        up = part[high] - part["mean"] if high else part["std"]
        line = {"color": look.colour, "marker": look.marker, "ls": look.line, "ms": 3, "lw": 1, "elinewidth": 0.7}
        ax.errorbar(part["t"], part["mean"], [down, up], label=purifier, **line)
    shown: list[int] = []
    for t in sorted(set(table["t"].dropna().astype(int))):
        if not shown or t >= 1.5 * shown[-1]:  # labels must not touch
            shown.append(t)
    _strength_axis(ax)
    ax.set_xticks(shown, shown)


def _strength_axis(ax) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("strength t")


class Change(NamedTuple):
    """Of an array of the probes, from the t nearest to `start` to the one nearest to `end`."""

    array: str
    start: int
    end: int
    process: str | None = None  # asked only of purifiers of this process; None: of all


CHANGES = {
    "alpha-t10-t200": Change("alpha", 10, 200),
    "robust-t10-t200": Change("robust", 10, 200),
    "clean-t10-t1000": Change("clean_fixed", 10, 1000),
    "ddpm-alpha-t200-t1000": Change("alpha", 200, 1000, "ddpm"),
    "reverse-alpha-t200-t700": Change("alpha", 200, 700, "reverse"),
}
QUANTITIES = (
    "alpha-t10-t200",
    "robust-t10-t200",
    "clean-t10-t1000",
    "ddpm-alpha-t200-t1000",
    "reverse-alpha-t200-t700",
)


def evidence(probes: list[Record]) -> Iterator[Evidence]:
    """Changes with the strength t, image by image, of purifiers with more than one t."""
    for quantity, change in CHANGES.items():
        asked = [r for r in with_diffusion(probes) if change.process in (None, r.keys.get("process"))]
        for purifier, values in _strengths(asked, change.array).items():
            first, last = (min(values, key=lambda v: abs(v[0] - t)) for t in (change.start, change.end))
            if first[0] != last[0]:
                yield of_mean(quantity, f"{purifier}, t = {first[0]} → {last[0]}", last[1] - first[1])


def _strengths(probes: list[Record], name: str) -> dict[str, list[tuple[int, np.ndarray]]]:
    """By purifier: (t, per-image values (n,)) in order of t, of the probes that have this array."""
    found: dict[str, list[tuple[int, np.ndarray]]] = {}
    probed = [r for r in probes if name in r.arrays and r.keys["t"] is not None]
    for keys, members in grouped(probed, SWEPT):
        found.setdefault(keys["purifier"], []).append((keys["t"], per_image(members, name)))
    return {p: sorted(values, key=lambda v: v[0]) for p, values in found.items() if len(values) > 1}
