"""Whether the law, fitted with one classifier, says how robust purifiers are before another one."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity import stats
from purity.studies.drawing import ALPHA, COLUMN, legend_below, parts_of
from purity.studies.law import plot_law
from purity.studies.records import Evidence, Record, grouped, of_mean, per_image, points_under_attack, rests_on
from purity.studies.search import law_points, predictor

OF = ("of", "strength")


def elsewhere(probes: list[Record], tried: list[Record]) -> pd.DataFrame:
    """Purifiers before another classifier, under the attack that the law is of: what it predicts by their α, with an
    interval as of the search's candidates, and what is left. here: accuracy before the classifier that it was fitted
    with, same purifier and seeds; clean and clean_here likewise, without an attack."""
    alpha, robust = law_points(probes)
    predict, points = predictor(alpha, robust), {tuple(k.values()): m for k, m in points_under_attack(probes)}
    rows = []
    for keys, members in grouped(tried, OF):
        right, a = per_image(members, "robust"), per_image(members, "alpha")
        mean, low, high = predict(np.array([np.nanmean(a)]), np.array([0.0]), len(right))
        accuracy = stats.accuracy(np.stack([r.arrays["robust"] for r in members]))
        row = {"purifier": keys["of"], "t": keys["strength"], "seeds": len(members), "n": len(right)}
        row |= {"alpha": float(np.nanmean(a)), "predicted": mean[0], "predicted_low": low[0], "predicted_high": high[0]}
        row |= {"accuracy": accuracy["mean"], "low": accuracy["low"], "high": accuracy["high"]}
        row |= {"within": bool(low[0] <= accuracy["mean"] <= high[0])}
        row |= {"clean": float(per_image(members, "clean").mean())}
        seeds = {r.keys["seed"] for r in members}
        here = [r for r in points.get(tuple(keys.values()), []) if r.keys["seed"] in seeds]
        for name, array in (("here", "robust"), ("clean_here", "clean_fixed")):
            row[name] = float(per_image(here, array).mean()) if here else float("nan")
        rows.append(row)
    return pd.DataFrame(rows)


def draw_elsewhere(table: pd.DataFrame, law: pd.DataFrame, fit: pd.DataFrame) -> Figure:
    """The law with its points (grey), and purifiers before another classifier, with 95 % intervals."""
    figure, ax = plt.subplots(figsize=(COLUMN, 3.0))
    plot_law(ax, law, fit, quiet=True)
    for look, purifier, part in parts_of(table, "purifier"):
        error = [part["accuracy"] - part["low"], part["high"] - part["accuracy"]]
        given = {"fmt": look.marker, "color": look.colour, "ms": 3.5, "elinewidth": 0.7}
        ax.errorbar(part["alpha"], part["accuracy"], error, label=f"{purifier}, other classifier", **given)
    ax.set(xlabel=ALPHA, ylabel="robust accuracy,\nattacker knows ξ")
    legend_below(figure, ax)
    return figure


QUANTITIES = ("elsewhere-calibration", "elsewhere-gap", "elsewhere-rank")


def evidence(elsewhere: pd.DataFrame, tried: list[Record]) -> Iterator[Evidence]:
    """Share of accuracies in their intervals; accuracy − predicted, mean over purifiers; rank correlation with α."""
    if elsewhere.empty:
        return
    under, count = rests_on(tried), len(elsewhere)
    share = float(elsewhere["within"].mean())
    yield Evidence("elsewhere-calibration", f"{count} purifiers", share, *stats.wilson(share, count), count, under)
    off = [
        per_image(members, "robust") - row["predicted"]
        for (_, members), row in zip(grouped(tried, OF), elsewhere.to_dict("records"), strict=True)
    ]
    yield of_mean("elsewhere-gap", f"{count} purifiers", np.mean(off, axis=0), tried)
    rho = stats.spearman(elsewhere["alpha"].to_numpy(), elsewhere["accuracy"].to_numpy())
    yield Evidence("elsewhere-rank", f"{count} purifiers", *rho, count, under)
