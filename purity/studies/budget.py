"""The undefended classifier under the budget ε·α, beside purifiers that compress by α (Liu & Wei §5, Fig. 3c)."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity import stats
from purity.studies.drawing import COLUMN, all_seeds, legend_below, parts_of
from purity.studies.law import plot_law
from purity.studies.records import (
    Evidence,
    Record,
    accuracy_rows,
    grouped,
    images_drawn,
    per_image,
    points_under_attack,
    rests_on,
)


def budget(budgets: list[Record]) -> pd.DataFrame:
    """Accuracy of the undefended classifier under an attack of budget ε·α, against α (Fig. 3c)."""
    rows = []
    for keys, members in grouped(budgets, ("attack",)):
        for j, scale in enumerate(members[0].arrays["scale"]):
            at = {"scale": float(scale), "epsilon": float(members[0].arrays["epsilon"][j])}
            chosen = [Record(r.keys, {"robust": r.arrays["robust"][j]}) for r in members]
            rows += accuracy_rows(keys | at, chosen, "robust")
    return pd.DataFrame(rows)


def draw_budget(table: pd.DataFrame, points: pd.DataFrame, fit: pd.DataFrame) -> Figure:
    """The undefended classifier under the budget ε·α, on the axes of the law."""
    figure, ax = plt.subplots(figsize=(COLUMN, 3.3))
    plot_law(ax, points, fit, quiet=True)
    for look, attack, part in parts_of(all_seeds(table).sort_values("scale", kind="stable"), "attack"):
        ax.plot(
            part["scale"],
            part["mean"],
            color=look.colour,
            ls=look.line,
            lw=1.2,
            marker=look.marker,
            ms=3,
            label=f"classifier alone, {attack} with ε·α",
        )
        ax.fill_between(part["scale"], part["low"], part["high"], color=look.colour, alpha=0.2, lw=0)
    ax.plot([], [], "o", ms=3.5, color="0.55", label="purifiers")
    ax.set(xlabel="compression rate α of a purifier, or share α of the budget", ylabel="robust accuracy")
    legend_below(figure, ax, ncols=1)
    return figure


QUANTITIES = ("budget-gap",)


def evidence(budgets: list[Record], probes: list[Record]) -> Iterator[Evidence]:
    """Accuracy of the undefended classifier at ε·α − of the purifier of that α, image by image: root mean square over
    the purifiers, less what chance adds. They are the points of the law."""
    points = [members for _, members in points_under_attack(probes)]
    if not points:
        return
    alpha = [np.nanmean(per_image(of_point, "alpha")) for of_point in points]
    purified = np.stack([per_image(of_point, "robust") for of_point in points])  # (points, n)
    for keys, members in grouped(budgets, ("attack",)):
        order = np.argsort(members[0].arrays["scale"])
        scale = members[0].arrays["scale"][order]
        alone = np.mean([r.arrays["robust"][order] for r in members], axis=0)  # (S, n)
        at_alpha = np.stack([np.interp(alpha, scale, of_image) for of_image in alone.T], axis=1)  # (points, n)
        gap = at_alpha - purified
        draws = np.stack([gap[:, rows].mean(axis=1) for rows in images_drawn(gap.shape[1])])
        found = stats.misfit_interval(gap.mean(axis=1), draws)
        under = rests_on(r for of_point in points for r in of_point)
        yield Evidence("budget-gap", f"{keys['attack']}, ε·α, {len(points)} purifiers", *found, gap.shape[1], under)
