"""What hangs on the strength t of a purifier: α, robust and clean accuracy (Liu & Wei §5, Table 7, App. C.4)."""

from collections.abc import Iterator
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity import stats
from purity.studies.drawing import ALPHA, COLUMN, all_seeds, legend_below, parts_of, plain_numbers
from purity.studies.records import (
    SWEPT,
    Evidence,
    Record,
    accuracy_rows,
    grouped,
    in_doubt,
    per_image,
    points_under_attack,
    rests_on,
    spread_rows,
    with_diffusion,
)


def timesteps(probes: list[Record]) -> pd.DataFrame:
    """α of uniform noise, and accuracy under an attack that knows ξ, against the strength t (Table 7).

    attack: which one, of accuracies; the sweep's, and where there is one the paper's beside it.
    """
    rows = []
    for keys, members in points_under_attack(probes):
        rows += spread_rows(keys | {"attack": None, "measure": "alpha"}, members, "alpha")
        of_accuracy = keys | {"measure": "robust-accuracy"}
        rows += accuracy_rows(of_accuracy | {"attack": members[0].keys["attack"]}, members, "robust")
        if "robust_protocol" in members[0].arrays:
            rows += accuracy_rows(of_accuracy | {"attack": members[0].keys["beside"]}, members, "robust_protocol")
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
    """Above: α of uniform noise against the strength, ± std over images. Below: accuracy when the attacker knows ξ; the
    paper's attack dotted, with the same marker."""
    table = all_seeds(table)
    accuracies = table[table["measure"] == "robust-accuracy"]
    beside = accuracies[accuracies.duplicated(["purifier", "t"])]  # the second of two attacks
    figure, (above, below) = plt.subplots(2, 1, figsize=(COLUMN, 3.7))
    _against_t(above, table[table["measure"] == "alpha"])
    above.set(ylabel=ALPHA.replace(" of", "\nof"), ylim=(0, None))
    _against_t(below, accuracies.drop(beside.index), "low", "high")
    for look, purifier, part in parts_of(beside, "purifier"):
        label = f"{purifier}, {part['attack'].iloc[0]}"
        below.plot(
            part["t"], part["mean"], ":", color=look.colour, marker=look.marker, ms=3, lw=1, mfc="w", label=label
        )
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
    ax.set(xscale="log", xlabel="strength t")
    plain_numbers(ax.xaxis)
    ax.set_xticks(shown, shown)


class Along(NamedTuple):
    """An array of the probes at all t from the one nearest to `start` to the one nearest to `end`."""

    array: str
    sign: int  # 1: it should rise from each t to the next; −1: fall
    start: int
    end: int
    process: str | None = None  # asked only of purifiers of this process; None: of all


MONOTONE = {
    "alpha-falls": Along("alpha", -1, 10, 200),
    "robust-rises": Along("robust", 1, 10, 200),
    "reverse-robust-falls": Along("robust", -1, 200, 300, "reverse"),
    "clean-falls": Along("clean_fixed", -1, 10, 1000),
    "ddpm-alpha-falls": Along("alpha", -1, 200, 1000, "ddpm"),
    "reverse-alpha-rises": Along("alpha", 1, 200, 700, "reverse"),
    "reverse-alpha-falls-again": Along("alpha", -1, 700, 1000, "reverse"),
}
QUANTITIES = (
    "alpha-falls",
    "robust-rises",
    "reverse-robust-falls",
    "clean-falls",
    "ddpm-alpha-falls",
    "reverse-alpha-rises",
    "reverse-alpha-falls-again",
)


def evidence(probes: list[Record]) -> Iterator[Evidence]:
    """Smallest step from one strength t to the next, image by image, in the direction that is claimed: above 0 if all
    are. Of purifiers with more than one t."""
    for quantity, along in MONOTONE.items():
        asked = [r for r in with_diffusion(probes) if along.process in (None, r.keys.get("process"))]
        for purifier, values in _strengths(asked, along.array).items():
            first, last = (min((t for t, _ in values), key=lambda t: abs(t - end)) for end in (along.start, along.end))
            between = [(t, v) for t, v in values if first <= t <= last]
            if len(between) > 1:
                found = stats.smallest_step(along.sign * np.stack([v for _, v in between]))
                n, case = len(between[0][1]), f"{purifier}, t = {', '.join(str(t) for t, _ in between)}"
                under = rests_on(r for r in asked if r.keys["purifier"] == purifier and along.array == "robust")
                yield Evidence(quantity, case, found[0], *in_doubt(*found, n), n, under)


def _strengths(probes: list[Record], name: str) -> dict[str, list[tuple[int, np.ndarray]]]:
    """By purifier: (t, per-image values (n,)) in order of t, of the probes that have this array."""
    found: dict[str, list[tuple[int, np.ndarray]]] = {}
    probed = [r for r in probes if name in r.arrays and r.keys["t"] is not None]
    for keys, members in grouped(probed, SWEPT):
        found.setdefault(keys["purifier"], []).append((keys["t"], per_image(members, name)))
    return {p: sorted(values, key=lambda v: v[0]) for p, values in found.items() if len(values) > 1}
