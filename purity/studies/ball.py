"""What purification does to a ball of inputs: directions, distances to the centroid, variances (Liu & Wei §3.2)."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity.studies.drawing import COLUMN, all_seeds, bars_of, legend_below, parts_of, shaded
from purity.studies.records import Evidence, Record, grouped, of_mean, spread_rows, with_diffusion


def directions(balls: list[Record]) -> pd.DataFrame:
    """Correlation of purification directions f(x) − x (Liu & Wei Fig. 2d, e).

    varied: `xi` is one input under many ξ, `input` is many inputs of the ball under one ξ.
    """
    rows = []
    for keys, members in grouped(balls, ("purifier",)):
        for varied in ("xi", "input"):
            rows += spread_rows(keys | {"varied": varied}, members, f"directions_{varied}")
    return pd.DataFrame(rows)


def directions_matrix(balls: list[Record]) -> pd.DataFrame:
    """The correlation matrices behind `directions` of the first image and first seed: a row for each entry."""
    rows = []
    for keys, members in grouped(balls, ("purifier",)):
        for varied in ("xi", "input"):
            matrix = members[0].arrays[f"matrix_{varied}"]
            for i, j in np.ndindex(matrix.shape):
                row = {"varied": varied, "seed": members[0].keys["seed"], "i": i, "j": j, "correlation": matrix[i, j]}
                rows.append(keys | row)
    return pd.DataFrame(rows)


VARIED = ("initial", "input", "xi", "both")
VARIED_NAMES = {
    "initial": "inputs",
    "input": "input varies, ξ fixed",
    "xi": "ξ varies, input fixed",
    "both": "both vary",
}


def centroids(balls: list[Record]) -> pd.DataFrame:
    """ℓ2 to the centroid: inputs, and purified points with input, ξ or both varied (Liu & Wei Fig. 2f, Table S6).

    mean and std are of the distances averaged image by image.
    """
    rows = []
    for keys, members in grouped(balls, ("purifier",)):
        for varied in VARIED:
            distances = [(r.keys, r.arrays[f"centroid_{varied}"]) for r in members]
            per_image = [Record(k, {"mean": d.reshape(len(d), -1).mean(axis=1)}) for k, d in distances]
            rows += spread_rows(keys | {"varied": varied}, per_image, "mean")
    return pd.DataFrame(rows)


def centroids_histogram(balls: list[Record], bins: int = 60) -> pd.DataFrame:
    """Histogram of all those distances, over seeds: a row for each bin, `density` integrates to 1."""
    rows = []
    for keys, members in grouped(balls, ("purifier",)):
        values = {
            varied: np.concatenate([r.arrays[f"centroid_{varied}"].ravel() for r in members]) for varied in VARIED
        }
        edges = np.linspace(0, max(v.max() for v in values.values()), bins + 1)
        for varied, v in values.items():
            density, _ = np.histogram(v, edges, density=True)
            rows += [
                keys | {"varied": varied, "left": a, "right": b, "density": d, "n": len(v)}
                for a, b, d in zip(edges[:-1], edges[1:], density, strict=True)
            ]
    return pd.DataFrame(rows)


def variance(balls: list[Record]) -> pd.DataFrame:
    """Law of total variance per pixel and SNR (Liu & Wei eq. 7, 11, Table S5)."""
    rows = []
    for keys, members in grouped(balls, ("purifier",)):
        for component in ("variance_total", "variance_input", "variance_internal", "snr"):
            rows += spread_rows(keys | {"component": component}, members, component)
    return pd.DataFrame(rows)


def draw_directions(table: pd.DataFrame, matrix: pd.DataFrame) -> Figure:
    """Above: correlation matrices of one image's purification directions. Below: their means over images."""
    purifiers = list(dict.fromkeys(matrix["purifier"]))
    figure = plt.figure(figsize=(COLUMN, 4.2))
    above, below = figure.subfigures(2, 1, height_ratios=[1.3, 1])
    axes = above.subplots(2, len(purifiers), squeeze=False)
    for j, purifier in enumerate(purifiers):
        for i, varied in enumerate(("xi", "input")):
            part = matrix[(matrix["purifier"] == purifier) & (matrix["varied"] == varied)]
            square = part.pivot(index="i", columns="j", values="correlation")
            image = axes[i, j].imshow(square, vmin=-1, vmax=1, cmap="RdBu_r")
            axes[i, j].set(xticks=[], yticks=[])
        axes[0, j].set_title(purifier)
    axes[0, 0].set_ylabel("ξ varies,\ninput fixed")
    axes[1, 0].set_ylabel("input varies,\nξ fixed")
    above.colorbar(image, ax=axes, label="correlation", shrink=0.7)
    ax = below.subplots()
    means = all_seeds(table)
    means["varied"] = means["varied"].map(VARIED_NAMES)
    bars_of(ax, means, "purifier", "varied")
    ax.set_ylim(min(0, ax.get_ylim()[0]), 1)
    ax.set_ylabel("mean correlation")
    below.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def draw_centroids(histogram: pd.DataFrame) -> Figure:
    """Distances to the centroid: fixed ξ compresses the ball, varying ξ expands it."""
    purifiers = list(dict.fromkeys(histogram["purifier"]))
    size = (COLUMN, 0.9 * len(purifiers) + 0.8)
    figure, axes = plt.subplots(len(purifiers), 1, figsize=size, sharex=True, squeeze=False)
    for ax, purifier in zip(axes[:, 0], purifiers, strict=True):
        part = histogram[histogram["purifier"] == purifier]
        for look, (varied, bars) in zip(shaded(VARIED).values(), part.groupby("varied", sort=False), strict=True):
            edges = np.append(bars["left"], bars["right"].iloc[-1])
            heights = bars["density"] / bars["density"].max()
            ax.stairs(heights, edges, color=look.colour, fill=True, alpha=0.25)
            ax.stairs(heights, edges, color=look.colour, ls=look.line, lw=1.2, label=VARIED_NAMES[varied])
        ax.set_yticks([])
        ax.set_title(purifier, loc="left")
    axes[-1, 0].set_xlabel("ℓ2 to the centroid")
    legend_below(figure, axes[0, 0])
    return figure


def draw_variance(table: pd.DataFrame) -> Figure:
    """Variance per pixel by its source, and the signal-to-noise ratio."""
    table = all_seeds(table)
    figure, (left, right) = plt.subplots(1, 2, figsize=(COLUMN, 2.3), width_ratios=[1.4, 1])
    parts = table[table["component"] != "snr"].copy()
    sources = {"variance_total": "total", "variance_input": "by the input", "variance_internal": "by ξ"}
    parts["source"] = parts["component"].map(sources)
    parts[["mean", "std"]] *= 1e3
    bars_of(left, parts, "purifier", "source")
    left.set_ylabel("variance per pixel, ×10⁻³")
    left.tick_params(axis="x", rotation=35)
    right.tick_params(axis="x", rotation=35)
    legend_below(figure, left, ncols=3)
    snr = table[table["component"] == "snr"]
    for look, purifier, part in parts_of(snr, "purifier"):
        right.errorbar([purifier], part["mean"], part["std"], fmt=look.marker, ms=4, lw=0.9, color=look.colour)
    right.set_yscale("log")
    right.axhline(1, color="0.4", lw=0.7, ls="--")
    right.set_ylabel("SNR: input over ξ")
    return figure


QUANTITIES = ("direction-gap", "radius-input", "radius-xi", "radius-both", "snr")


def evidence(balls: list[Record]) -> Iterator[Evidence]:
    """direction-gap: correlation of directions across inputs − across ξ. radius-*: distance to the centroid where that
    varies, relative to that of the inputs; radius-both: where both vary, relative to where ξ varies, − 1. snr: variance
    by the input over that by ξ."""
    for keys, members in grouped(with_diffusion(balls), ("purifier",)):
        found = {
            "direction-gap": [r.arrays["directions_input"] - r.arrays["directions_xi"] for r in members],
            "radius-input": [_radius(r, "input") for r in members],
            "radius-xi": [_radius(r, "xi") for r in members],
            "radius-both": [_radius(r, "both") / _radius(r, "xi") - 1 for r in members],
            "snr": [r.arrays["snr"] for r in members],
        }
        for quantity, values in found.items():
            yield of_mean(quantity, keys["purifier"], np.mean(values, axis=0))


def _radius(r: Record, varied: str) -> np.ndarray:
    """(n,) mean distance to the centroid over that of the inputs to the centre of their ball.

    A centroid of m points is nearer to them than the true one, by √(1 − 1/m); so is the centre made for this.
    """
    distances = r.arrays[f"centroid_{varied}"]  # (n, P, Ξ)
    m = {"input": distances.shape[1], "xi": distances.shape[2], "both": distances[0].size}[varied]
    return _rows_mean(distances) / (np.sqrt(1 - 1 / m) * _rows_mean(r.arrays["centroid_initial"]))


def _rows_mean(a: np.ndarray) -> np.ndarray:
    return a.reshape(len(a), -1).mean(axis=1)
