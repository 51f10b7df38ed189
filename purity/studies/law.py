"""The relation of robust accuracy and compression rate: a sigmoid through purifiers (Liu & Wei §5, Fig. 3b)."""

from collections.abc import Iterator
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit

from purity import stats
from purity.studies.drawing import ALPHA, COLUMN, SMALL, legend_below, parts_of
from purity.studies.records import Evidence, Record, images_drawn, points_under_attack, rests_on

Array = NDArray[np.float64]


class Sigmoid(NamedTuple):
    """accuracy(α) = top / (1 + e^(steepness (α − middle))): falls from nearly `top`, steepest at `middle`."""

    top: float
    steepness: float
    middle: float

    def __call__(self, alpha: Array | float) -> Array:
        return self.top * expit(-self.steepness * (np.asarray(alpha, np.float64) - self.middle))


def fit(alpha: Array, accuracy: Array, trials: int, start: Sigmoid | None = None) -> Sigmoid:
    """Least squares through points (P,), P ≥ 3, each accuracy weighted by its binomial spread in `trials` images.

    0 ≤ top ≤ 1, steepness ≥ 0. Started from several places, of whose minima the best is taken; from fewer if there is a
    `start` that should be near. ValueError for fewer than three points.
    """
    alpha, accuracy = np.asarray(alpha, np.float64), np.asarray(accuracy, np.float64)
    if len(alpha) < 3:
        raise ValueError(f"a sigmoid has 3 parameters, there are {len(alpha)} points")
    shrunk = (accuracy * trials + 2) / (trials + 4)  # Agresti and Coull: no weight is infinite at 0 and 1
    error = np.sqrt(shrunk * (1 - shrunk) / trials)
    width = max(np.ptp(alpha), 1e-3)

    def residuals(p: Array) -> Array:
        return (Sigmoid(*p)(alpha) - accuracy) / error

    def slopes(p: Array) -> Array:
        top, k, middle = p
        s = expit(-k * (alpha - middle))
        inner = top * s * (1 - s)
        return np.stack([s, -inner * (alpha - middle), inner * k], axis=1) / error[:, None]

    middles = np.quantile(alpha, (0.25, 0.75))
    starts = [(top, k / width, m) for top in (0.8, 1.0) for k in (4, 20) for m in middles]
    if start is not None:
        starts = [start, starts[1], starts[2]]
    bounds = ([0, 0, -10 * width], [1, 1e4 / width, alpha.max() + 10 * width])
    fits = [least_squares(residuals, np.clip(s, bounds[0], bounds[1]), jac=slopes, bounds=bounds) for s in starts]
    return Sigmoid(*min(fits, key=lambda f: f.cost).x)


def law(probes: list[Record]) -> pd.DataFrame:
    """Every purifier and strength as a point: α of uniform noise and accuracy under an attack that knows ξ (Fig. 3b).

    alpha, accuracy and clean (accuracy of clean images under the fixed ξ) are means over images and seeds, alpha_std is
    over them; low … high and clean_low … clean_high are 95 % intervals. recognised: whether clean is at least
    RECOGNISED of the highest. A purifier that loses clean images cannot keep more of the attacked ones, however much it
    compresses: the paper leaves t = 300 out of its figure for that reason.
    """
    rows = []
    for keys, members in points_under_attack(probes):
        alpha = stats.spread(np.concatenate([r.arrays["alpha"] for r in members]))
        robust = stats.accuracy(np.stack([r.arrays["robust"] for r in members]))
        clean = stats.accuracy(np.stack([r.arrays["clean_fixed"] for r in members]))
        row = {"seed": "all", "seeds": len(members), "n": robust["n"]}
        row |= {"alpha": alpha["mean"], "alpha_std": alpha["std"]}
        row |= {"accuracy": robust["mean"], "low": robust["low"], "high": robust["high"]}
        row |= {"clean": clean["mean"], "clean_low": clean["low"], "clean_high": clean["high"]}
        rows.append(keys | row)
    table = pd.DataFrame(rows)
    return table.assign(recognised=recognised(table["clean"].to_numpy()))


RECOGNISED = 0.9


def recognised(clean: np.ndarray) -> np.ndarray:
    return clean >= RECOGNISED * clean.max()


def law_fit(probes: list[Record], steps: int = 41) -> pd.DataFrame:
    """The sigmoid through the points of `law`, with 95 % intervals from resampled images.

    through: all points, or the recognised ones, if there are three. quantity: top, steepness, middle, parameters of
    Sigmoid; at-zero, its value at α = 0; clean, the measured clean accuracy, mean over the purifiers;
    at-zero-minus-clean; misfit, the root mean square distance of the points, less what chance adds to it; and curve,
    its value at each `alpha`.
    """
    members = [of_point for _, of_point in points_under_attack(probes)]
    alpha, robust, clean = (
        np.stack([np.mean([r.arrays[name] for r in of_point], axis=0) for of_point in members])  # (P, n)
        for name in ("alpha", "robust", "clean_fixed")
    )
    kept = recognised(clean.mean(axis=1))
    parts = [_fitted("all", alpha, robust, clean, steps)]
    if kept.sum() >= 3:
        parts.append(_fitted("recognised", alpha[kept], robust[kept], clean[kept], steps))
    return pd.concat(parts, ignore_index=True)


def _fitted(through: str, alpha: np.ndarray, robust: np.ndarray, clean: np.ndarray, steps: int) -> pd.DataFrame:
    """Rows of `law_fit` through points (P, n)."""
    grid = np.linspace(0, 1.05 * max(1.0, alpha.mean(axis=1).max()), steps)
    points, n = alpha.shape
    start = fit(alpha.mean(axis=1), robust.mean(axis=1), n)

    def quantities(rows: np.ndarray) -> tuple[dict[tuple[str, float], float], np.ndarray]:
        a, r, c = (values[:, rows].mean(axis=1) for values in (alpha, robust, clean))
        s = fit(a, r, n, start)
        at_zero, measured = float(s(0.0)), float(c.mean())
        found = {"top": s.top, "steepness": s.steepness, "middle": s.middle, "at-zero": at_zero, "clean": measured}
        found |= {"at-zero-minus-clean": at_zero - measured}
        named = {(name, float("nan")): value for name, value in found.items()}
        named |= {("curve", g): v for g, v in zip(grid.tolist(), s(grid).tolist(), strict=True)}
        return named, r - s(a)

    whole, residuals = quantities(np.arange(n))
    again, others = zip(*(quantities(rows) for rows in images_drawn(n)), strict=True)
    low, high = np.quantile([list(values.values()) for values in again], (0.025, 0.975), axis=0)
    found = [(*key, value, lo, hi) for (key, value), lo, hi in zip(whole.items(), low, high, strict=True)]
    before = next(k for k, row in enumerate(found) if row[0] == "curve")
    found.insert(before, ("misfit", float("nan"), *stats.misfit_interval(residuals, np.stack(others))))
    common = {"through": through, "points": points, "n": n}
    return pd.DataFrame(
        common | dict(zip(("quantity", "alpha", "mean", "low", "high"), row, strict=True)) for row in found
    )


HOLLOW = f"hollow: clean accuracy under {100 * RECOGNISED:.0f} % of the best"


def plot_law(ax, points: pd.DataFrame, fit: pd.DataFrame, quiet: bool) -> None:
    """Points, hollow where clean images are no longer recognised, and the sigmoid through the others if it was made."""
    best = "recognised" if (fit["through"] == "recognised").any() else "all"
    for through, line in (("all", "--"), ("recognised", "-")):
        curve = fit[(fit["quantity"] == "curve") & (fit["through"] == through)]
        if len(curve):
            name = "sigmoid through all points" if through == "all" else "sigmoid through filled points"
            name += ", 95 % band" if through == best else ""
            ax.plot(
                curve["alpha"], curve["mean"], ls=line, color="0.25", lw=1.2 if through == best else 0.8, label=name
            )
        if through == best:
            ax.fill_between(curve["alpha"], curve["low"], curve["high"], color="0.25", alpha=0.15, lw=0)
    for look, purifier, part in parts_of(points, "purifier"):
        colour, marker = ("0.55", "o") if quiet else (look.colour, look.marker)
        for recognised, fill in ((True, colour), (False, "white")):
            some = part[part["recognised"].astype(bool) == recognised]
            error = [some["accuracy"] - some["low"], some["high"] - some["accuracy"]]
            dot = {"color": colour, "mfc": fill, "ms": 3.5, "elinewidth": 0.7}
            ax.errorbar(some["alpha"], some["accuracy"], error, fmt=marker, **dot)
        if not quiet:
            ax.plot([], [], marker, color=colour, ms=3.5, label=purifier)
    if not points["recognised"].astype(bool).all():
        ax.plot([], [], "o", color="0.25", mfc="white", ms=3.5, label=HOLLOW)
    ax.set(xlim=(-0.02, None), ylim=(0, 1), xlabel=ALPHA, ylabel="robust accuracy,\nattacker knows ξ")


def draw_law(points: pd.DataFrame, fit: pd.DataFrame) -> Figure:
    """Every purifier and strength t (the small number) as a point, the sigmoid with its 95 % band; at α = 0 the
    measured clean accuracy."""
    figure, ax = plt.subplots(figsize=(COLUMN, 4.2))
    plot_law(ax, points, fit, quiet=False)
    swept = points.groupby("purifier").filter(lambda part: part["t"].nunique() > 1)
    for _, point in swept.iterrows():
        place = {"xy": (point["alpha"], point["accuracy"]), "xytext": (3, 2), "textcoords": "offset points"}
        ax.annotate(f"{point['t']:.0f}", **place, fontsize=SMALL)
    clean = fit[fit["quantity"] == "clean"].iloc[-1]
    error = [[clean["mean"] - clean["low"]], [clean["high"] - clean["mean"]]]
    ax.errorbar(0, clean["mean"], error, fmt="*", ms=7, color="0.1", elinewidth=0.7, label="clean accuracy, measured")
    legend_below(figure, ax)
    return figure


# quantity: that of the table law-fit
FITTED = {"law-misfit": "misfit", "law-at-zero-gap": "at-zero-minus-clean"}
QUANTITIES = ("law-misfit", "law-at-zero-gap")


def evidence(law_fit: pd.DataFrame, probes: list[Record]) -> Iterator[Evidence]:
    """How far the points are from the sigmoid, and its value at α = 0 less the clean accuracy."""
    under = rests_on(r for _, members in points_under_attack(probes) for r in members)
    for quantity, fitted in FITTED.items():
        for _, row in law_fit[law_fit["quantity"] == fitted].iterrows():
            case = f"{row['points']} purifiers: {row['through']}"
            yield Evidence(quantity, case, row["mean"], row["low"], row["high"], int(row["n"]), under)
