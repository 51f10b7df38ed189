"""Variance along the principal components of a ball, before and after purification (earlier version §6, Fig. 5b)."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity import stats
from purity.studies.drawing import COLUMN, legend_below, parts_of, plain_numbers
from purity.studies.records import Evidence, Record, grouped, of_mean, with_diffusion


def pca(spectra: list[Record], shown: int = 50) -> pd.DataFrame:
    """Variance along the principal components of the ball, before and after purification (earlier version, Fig. 5b).

    The first `shown` of them. Mean and std over images and seeds are those of the variance over the mean variance of
    the ball before, so that 1 is neither compression nor expansion. variance: as it is; share: of all variance then.
    """
    rows = []
    for keys, members in grouped(spectra, ("purifier",)):
        before = np.concatenate([r.arrays["before"] for r in members])
        for when in ("before", "after"):
            variance = np.concatenate([r.arrays[when] for r in members])
            relative = variance / before.mean(axis=1, keepdims=True)
            share = variance / variance.sum(axis=1, keepdims=True)
            for c in range(min(shown, variance.shape[1])):
                row = {"when": when, "seed": "all", "seeds": len(members), "component": c + 1}
                also = {"variance": variance[:, c].mean(), "share": share[:, c].mean()}
                rows.append(keys | row | stats.spread(relative[:, c]) | also)
    return pd.DataFrame(rows)


def draw_pca(table: pd.DataFrame) -> Figure:
    """Variance along each principal component over the mean variance of the ball, before and after purification."""
    figure, ax = plt.subplots(figsize=(COLUMN, 2.5 + 0.1 * table["purifier"].nunique()))
    before = table[table["when"] == "before"]
    before = before[before["purifier"] == before["purifier"].iloc[0]]
    ax.plot(before["component"], before["mean"], color="0.3", lw=1.2, ls=(0, (1, 2)), label="before")
    for look, purifier, part in parts_of(table[table["when"] == "after"], "purifier"):
        ax.plot(part["component"], part["mean"], color=look.colour, ls=look.line, lw=1.2, label=f"after {purifier}")
    ax.axhline(1, color="0.4", lw=0.7, ls="--")
    ax.set(yscale="log", xlabel="principal component", ylabel="variance,\nrelative to the ball")
    plain_numbers(ax.yaxis)
    legend_below(figure, ax)
    return figure


QUANTITIES = ("components-shrunk",)


def evidence(spectra: list[Record]) -> Iterator[Evidence]:
    """Share of the components after purification whose variance is below the mean variance of the ball before."""
    for keys, members in grouped(with_diffusion(spectra), ("purifier",)):
        shrunk = [r.arrays["after"] < r.arrays["before"].mean(axis=1, keepdims=True) for r in members]
        yield of_mean("components-shrunk", keys["purifier"], np.mean([s.mean(axis=1) for s in shrunk], axis=0))
