"""Singular values of the Jacobian of a purifier (Liu & Wei §5, Fig. 3a; earlier version §6)."""

from collections.abc import Iterator, Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity import stats
from purity.studies.drawing import COLUMN, all_seeds, bars_of, legend_below, parts_of
from purity.studies.records import Evidence, Record, fooled_minus_robust, grouped, of_mean, spread_rows, with_diffusion

QUARTER = 0.25  # a direction with a smaller singular value is compressed strongly


def jacobian(jacobians: list[Record], outcomes: list[Record]) -> pd.DataFrame:
    """Singular values of J_f at clean images: the largest, and what share lies below ¼ (QUARTER) and above 1 (Fig. 3a).

    Where only the largest values were asked for, they are from below, and `largest-at-most` bounds the largest from
    above. outcome: of an attack that knows ξ on the same image (`outcomes`), robust or fooled, or any.
    """
    correct_by = {(r.keys["purifier"], r.keys["seed"]): r.arrays["correct_fixed"] for r in outcomes}
    rows = []
    for keys, members in grouped(jacobians, ("purifier",)):
        summaries = {r.keys["seed"]: _summary(r.arrays) for r in members}
        for outcome, wanted in (("any", None), ("robust", True), ("fooled", False)):
            chosen = []
            for r in members:
                summary = summaries[r.keys["seed"]]
                correct = correct_by.get((r.keys["purifier"], r.keys["seed"]))
                if wanted is not None:
                    n = len(summary["largest"])
                    which = np.zeros(n, bool) if correct is None else correct[:n] == wanted
                    summary = {measure: value[which] for measure, value in summary.items()}
                chosen.append(Record(r.keys, summary))
            for measure in chosen[0].arrays:
                rows += spread_rows(keys | {"outcome": outcome, "measure": measure}, chosen, measure)
    return pd.DataFrame(rows)


def _summary(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    values = arrays["singular_values"]
    if "upper" in arrays:  # some of the values, the largest
        return {"largest": values.max(axis=1), "largest-at-most": arrays["upper"].max(axis=1)}
    return {
        "largest": values.max(axis=1),
        "below-quarter": (values < QUARTER).mean(axis=1),
        "above-one": (values > 1).mean(axis=1),
    }


def jacobian_spectrum(jacobians: list[Record]) -> pd.DataFrame:
    """Singular values by rank: mean, std and 95 % range over images and seeds (Fig. 3a)."""
    rows = []
    for keys, members in grouped(jacobians, ("purifier",)):
        values = np.concatenate([r.arrays["singular_values"] for r in members])
        low, high = np.quantile(values, (0.025, 0.975), axis=0)
        for rank in range(values.shape[1]):
            row = {"seed": "all", "seeds": len(members), "rank": rank + 1}
            rows.append(keys | row | stats.spread(values[:, rank]) | {"low": low[rank], "high": high[rank]})
    return pd.DataFrame(rows)


def draw_jacobian(spectrum: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Above: singular values by rank, mean and 95 % range over images. Below: the largest, by outcome of an attack."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(COLUMN, 4.2), height_ratios=[1.3, 1])
    for look, purifier, part in parts_of(spectrum, "purifier"):
        above.plot(part["rank"], part["mean"], color=look.colour, ls=look.line, lw=1.2, label=purifier)
        above.fill_between(part["rank"], part["low"], part["high"], color=look.colour, alpha=0.2, lw=0)
    for level, name in ((1, "1: neither compressed nor expanded"), (QUARTER, "¼")):
        above.axhline(level, color="0.4", lw=0.7, ls="--" if level == 1 else ":", label=name)
    above.set(xlabel="rank", ylabel="singular value\nof the Jacobian", ylim=(0, None))
    largest = all_seeds(summary[summary["measure"] == "largest"]).dropna(subset="mean")
    bars_of(below, largest.assign(outcome=largest["outcome"].replace("any", "all") + " images"), "purifier", "outcome")
    below.axhline(1, color="0.4", lw=0.7, ls="--")
    below.set_ylabel("largest singular value,\nmean ± std over images")
    legend_below(figure, above, below)
    return figure


QUANTITIES = ("singular-below-quarter", "singular-above-one", "singular-fooled-gap")


def evidence(jacobians: list[Record], outcomes: list[Record]) -> Iterator[Evidence]:
    """Shares of singular values below ¼ and above 1; and the largest one, fooled − robust images, by `outcomes`."""
    correct_by = {(r.keys["purifier"], r.keys["seed"]): r.arrays["correct_fixed"] for r in outcomes}
    for keys, members in grouped(with_diffusion(jacobians), ("purifier",)):
        purifier = keys["purifier"]
        of_seed = {r.keys["seed"]: _summary(r.arrays) for r in members}
        for measure in ("below-quarter", "above-one"):
            values = [summary[measure] for summary in of_seed.values() if measure in summary]
            if values:
                yield of_mean(f"singular-{measure}", purifier, np.mean(values, axis=0))
        known = {seed: correct_by[purifier, seed] for seed in of_seed if (purifier, seed) in correct_by}
        if known:
            largest = np.stack([of_seed[seed]["largest"] for seed in known])
            right = np.stack([correct[: largest.shape[1]] for correct in known.values()])
            of = [r for r in outcomes if r.keys["purifier"] == purifier]
            yield fooled_minus_robust("singular-fooled-gap", purifier, largest, right, of)
