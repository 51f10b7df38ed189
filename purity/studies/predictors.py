"""What ranks purifiers by their robust accuracy, and what does not (Liu & Wei §5)."""

from collections.abc import Callable, Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity import stats
from purity.metrics import frechet
from purity.studies.drawing import COLUMN, legend_below, parts_of
from purity.studies.law import recognised
from purity.studies.records import Evidence, Record, points_under_attack, rests_on

LEAST = 3  # points, as of a law

# arrays of a probe that a predictor is made of, and how
PREDICTORS: dict[str, tuple[tuple[str, ...], Callable[..., float]]] = {
    "alpha": (("alpha",), np.mean),
    "magnitude": (("magnitude",), np.mean),
    "frechet": (("features", "features_clean"), frechet),
}


def predictors(probes: list[Record]) -> pd.DataFrame:
    """What might predict robust accuracy, purifier by purifier (§5): α of uniform noise; the magnitude ‖x − x₀‖ of the
    attack; the Fréchet distance of purified attacked images to clean ones. recognised: as of the law."""
    rows = []
    points = points_under_attack(probes)
    clean = [np.mean([r.arrays["clean_fixed"] for r in members]) for _, members in points]
    kept = recognised(np.array(clean)).tolist() if points else []
    for (keys, members), known in zip(points, kept, strict=True):
        accuracy = float(np.mean([r.arrays["robust"] for r in members]))
        for predictor, (names, measure) in PREDICTORS.items():
            if all(name in r.arrays for r in members for name in names):
                value = float(np.mean([measure(*(r.arrays[name] for name in names)) for r in members]))
                row = {"seed": "all", "seeds": len(members), "n": len(members[0].arrays["robust"])}
                said = {"predictor": predictor, "value": value, "accuracy": accuracy, "recognised": known}
                rows.append(keys | row | said)
    return pd.DataFrame(rows)


def predictors_rank(predictors: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of each predictor with robust accuracy over the purifiers, with a 95 % interval.

    through: the points of the law, all or the recognised ones. beside: that of `predictor` less that of this one.
    """
    rows = []
    for through, table in (("all", predictors), ("recognised", predictors[predictors["recognised"].astype(bool)])):
        by = {name: points for name, points in table.groupby("predictor", sort=False) if len(points) >= LEAST}
        for predictor, points in by.items():
            found = stats.spearman(points["value"], points["accuracy"])
            rows.append((through, predictor, "", *found, len(points)))
        for other, points in by.items() if "alpha" in by else ():
            both = by["alpha"].merge(points, on=["purifier", "t"], suffixes=("", "_other"))
            if other != "alpha":
                found = stats.spearman_difference(both["value"], both["value_other"], both["accuracy"])
                rows.append((through, "alpha", other, *found, len(both)))
    return pd.DataFrame(rows, columns=["through", "predictor", "beside", "mean", "low", "high", "points"])


def draw_predictors(table: pd.DataFrame, rank: pd.DataFrame) -> Figure:
    """Robust accuracy of every purifier and strength against what might predict it; ρ is the rank correlation."""
    labels = {
        "alpha": "α of uniform\nnoise",
        "magnitude": "ℓ2 of the\nattack",
        "frechet": "Fréchet distance,\npurified to clean",
    }
    names = [name for name in labels if (table["predictor"] == name).any()]
    figure, axes = plt.subplots(1, len(names), figsize=(COLUMN, 2.6), sharey=True, squeeze=False)
    for ax, name in zip(axes[0], names, strict=True):
        part = table[table["predictor"] == name]
        for look, purifier, points in parts_of(part, "purifier"):
            ax.plot(points["value"], points["accuracy"], look.marker, ms=3.5, color=look.colour, label=purifier)
        row = rank[(rank["predictor"] == name) & (rank["through"] == "all")].iloc[0]
        interval = "" if np.isnan(row["low"]) else f"\n[{row['low']:.2f}, {row['high']:.2f}]"
        ax.set_title("" if np.isnan(row["mean"]) else f"ρ = {row['mean']:.2f}{interval}")
        ax.set(xlabel=labels[name], ylim=(0, 1))
    axes[0, 0].set_ylabel("robust accuracy,\nattacker knows ξ")
    legend_below(figure, axes[0, 0], ncols=3)
    return figure


QUANTITIES = ("alpha-rank", "magnitude-rank", "frechet-rank", "alpha-rank-gap")


def evidence(predictors_rank: pd.DataFrame, probes: list[Record]) -> Iterator[Evidence]:
    """Rank correlation of each predictor with robust accuracy, and that of α less another's; n counts points."""
    under = rests_on(r for _, members in points_under_attack(probes) for r in members)
    for row in predictors_rank.fillna({"beside": ""}).to_dict("records"):
        n, beside = int(row["points"]), row["beside"]
        case = f"{n} purifiers: {row['through']}" + (f", beside {beside}" if beside else "")
        quantity = "alpha-rank-gap" if beside else f"{row['predictor']}-rank"
        yield Evidence(quantity, case, row["mean"], row["low"], row["high"], n, under)
