"""Why robustness is off the law at long strengths: clean images are lost, or gradients are masked (Liu & Wei §5)."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from purity.studies.drawing import ALPHA, COLUMN, all_seeds, legend_below, look_of, parts_of
from purity.studies.law import Sigmoid, fit
from purity.studies.records import (
    ATTACKED,
    Evidence,
    Record,
    accuracy_rows,
    grouped,
    images_drawn,
    of_mean,
    per_image,
    points_under_attack,
    rests_on,
)

RESAMPLES = 100

Point = dict[str, NDArray[np.float64]]  # alpha, robust, clean, held (n,): held, both clean and attacked are right


def _points(probes: list[Record]) -> dict[tuple[str, int], Point]:
    """The points of the law by purifier and t, image by image, means over seeds."""
    points = {}
    for keys, members in points_under_attack(probes):
        point = {name: per_image(members, name) for name in ("alpha", "robust")} | {
            "clean": per_image(members, "clean_fixed"),
            "held": np.mean([r.arrays["robust"] & r.arrays["clean_fixed"] for r in members], axis=0),
        }
        points[keys["purifier"], keys["t"]] = point
    return points


def _long(tried: list[Record]) -> list[tuple[str, int]]:
    return list(dict.fromkeys((r.keys["of"], r.keys["strength"]) for r in tried))


def _split(probes: list[Record], tried: list[Record]) -> tuple[dict, dict]:
    """Points at long strengths, and the others."""
    points, ts = _points(probes), {t for _, t in _long(tried)}
    long = {key: points[key] for key in _long(tried) if key in points}
    return long, {key: point for key, point in points.items() if key[1] not in ts}


def third_regime(probes: list[Record], tried: list[Record]) -> pd.DataFrame:
    """Purifiers at long strengths beside the law through all others.

    accuracy: of who knows ξ; law: what the sigmoid of the others says at this α; gap: accuracy − law. accuracy_held,
    law_held, gap_held: the same among images that are recognised clean, in the points of the law too. explained:
    |gap| − |gap_held|. Intervals (95 %) are from resampled images. clean, clean_others: accuracy, there and best of the
    others.
    """
    long, others = _split(probes, tried)
    rows = []
    if long:
        n = len(next(iter(long.values()))["alpha"])
        whole, laws = _gaps(long, others, np.arange(n))
        draws = [_gaps(long, others, some, laws)[0] for some in images_drawn(n, RESAMPLES)]
        best = max(point["clean"].mean() for point in others.values())
        for key, (purifier, t) in enumerate(long):
            row = {"purifier": purifier, "t": t, "n": n, "points": len(others), "clean_others": best}
            for name, value in whole[key].items():
                row[name] = value
                if name in ("gap", "gap_held", "explained"):
                    low, high = np.nanquantile([draw[key][name] for draw in draws], (0.025, 0.975))
                    row |= {f"{name}_low": low, f"{name}_high": high}
            rows.append(row)
    return pd.DataFrame(rows)


Laws = tuple[Sigmoid | None, Sigmoid | None]  # of all images, and of those that are recognised


def _gaps(long: dict, others: dict, rows: np.ndarray, near: Laws = (None, None)) -> tuple[list[dict[str, float]], Laws]:
    """Of each purifier at a long strength, by these images; and the laws, which should be near those given."""

    def means(points: dict) -> tuple[np.ndarray, ...]:
        alpha, robust, clean, held = (
            np.array([np.nanmean(point[name][rows]) for point in points.values()])
            for name in ("alpha", "robust", "clean", "held")
        )
        return alpha, robust, held / np.maximum(clean, 1 / len(rows)), clean

    alpha, robust, held, _ = means(others)
    law, law_held = (fit(alpha, y, len(rows), start) for y, start in zip((robust, held), near, strict=True))
    found = []
    for a, r, h, c in zip(*means(long), strict=True):
        gap, gap_held = float(r - law(a)), float(h - law_held(a))
        said = {"alpha": a, "clean": c, "accuracy": r, "law": float(law(a)), "gap": gap}
        said |= {"accuracy_held": h, "law_held": float(law_held(a)), "gap_held": gap_held}
        found.append(said | {"explained": abs(gap) - abs(gap_held)})
    return found, (law, law_held)


def third_regime_attacks(probes: list[Record], tried: list[Record], long: list[Record]) -> pd.DataFrame:
    """Accuracy under the sweep's attack at long strengths, under larger budgets (scale), and under other attacks.

    gradients: how many an attack asked for an image; zero_gradients: which share of their entries was zero.
    """
    rows = []
    for (purifier, t), swept in _swept(probes, tried).items():
        crafted = _crafted(long, tried, purifier, t)
        keys = {"purifier": purifier, "t": t, "attack": swept[0].keys["attack"], "scale": 1.0}
        rows += accuracy_rows(keys | _gradients(crafted), swept, "robust")
        of_this = [r for r in tried if (r.keys["of"], r.keys["strength"]) == (purifier, t)]
        for keys, members in grouped(of_this, ATTACKED):
            said = {"purifier": purifier, "t": t, "attack": keys["attack"], "scale": members[0].keys["scale"]}
            rows += accuracy_rows(said | _gradients(members), members, "robust")
    return pd.DataFrame(rows)


def _swept(probes: list[Record], tried: list[Record]) -> dict[tuple[str, int], list[Record]]:
    """Probes under the sweep's attack at long strengths, of the seeds that the others were made for."""
    seeds = {r.keys["seed"] for r in tried}
    points = {(keys["purifier"], keys["t"]): members for keys, members in points_under_attack(probes)}
    return {key: [r for r in points[key] if r.keys["seed"] in seeds] for key in _long(tried) if key in points}


def _crafted(long: list[Record], tried: list[Record], of: str, t: int) -> list[Record]:
    """The images of the sweep's attack on the purifier that another one is at strength t, by the name it has there."""
    names = {r.keys["purifier"] for r in tried if (r.keys["of"], r.keys["strength"]) == (of, t)}
    return [r for r in long if r.keys["purifier"] in names]


def _gradients(members: list[Record]) -> dict[str, float]:
    return {
        name: float(np.nanmean([r.arrays[name] for r in members]))
        for name in ("gradients", "zero_gradients")
        if members and all(name in r.arrays for r in members)
    }


def draw_third_regime(table: pd.DataFrame, attacks: pd.DataFrame, law: pd.DataFrame) -> Figure:
    """Left: points of the law (grey) and those at long strengths, with what the law of the others says of these. Right:
    what is left of these by attacks with more steps, a larger budget, or other gradients."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(COLUMN, 2.7), width_ratios=(1, 1.1))
    left.plot(law["alpha"], law["accuracy"], "o", color="0.7", ms=2.5, label="points of the law")
    for look, purifier, part in parts_of(table, "purifier"):
        left.plot(part["alpha"], part["accuracy"], look.marker, color=look.colour, ms=4, label=purifier)
        left.plot(part["alpha"], part["accuracy_held"], look.marker, color=look.colour, mfc="white", ms=4)
        for _, row in part.iterrows():
            left.plot([row["alpha"]] * 2, [row["law"], row["accuracy"]], color=look.colour, lw=0.8)
            left.annotate(f"{row['t']:.0f}", (row["alpha"], row["accuracy"]), (3, 2), textcoords="offset points")
    left.plot([], [], "o", color="0.25", mfc="white", ms=4, label="of recognised images")
    left.set(xlabel=ALPHA.replace(" of", "\nof"), ylim=(0, 1), ylabel="robust accuracy,\nattacker knows ξ")
    shown = all_seeds(attacks)
    ways = list(dict.fromkeys(map(_way, shown.to_dict("records"))))
    for row in shown.to_dict("records"):
        look, at = look_of(row["purifier"]), ways.index(_way(row))
        error = [[row["mean"] - row["low"]], [row["high"] - row["mean"]]]
        right.errorbar(row["mean"], at, xerr=error, fmt=look.marker, color=look.colour, ms=3.5, elinewidth=0.7)
    right.set_yticks(range(len(ways)), ways)
    right.invert_yaxis()
    right.set(xlim=(-0.02, 1), xlabel="accuracy, attacker knows ξ")
    legend_below(figure, left, ncols=2)
    return figure


def _way(row: dict) -> str:
    scale = float(row["scale"]) if row["scale"] is not None else np.nan
    attack = str(row["attack"]).partition("@")[0]
    return attack if np.isnan(scale) or scale == 1 else f"{attack},\nε × {scale:g}"


QUANTITIES = ("regime-gap", "regime-explained", "regime-harder", "regime-large-budget", "regime-bpda", "regime-zero")


def evidence(
    third_regime: pd.DataFrame, probes: list[Record], tried: list[Record], long: list[Record]
) -> Iterator[Evidence]:
    """regime-gap, regime-explained: as of the table. Accuracy under the sweep's attack − under one that is no BPDA
    (regime-harder) and − under a BPDA twin (regime-bpda). regime-large-budget: accuracy under the largest one.
    regime-zero: share of zeros in the gradients of the sweep's attack."""
    for row in third_regime.to_dict("records"):
        case = f"{row['purifier']}, t = {row['t']:.0f}"
        members = _swept(probes, tried).get((row["purifier"], row["t"]), [])
        for quantity, name in (("regime-gap", "gap"), ("regime-explained", "explained")):
            said = row[name], row[f"{name}_low"], row[f"{name}_high"]
            yield Evidence(quantity, case, *said, int(row["n"]), rests_on(members))
    for (purifier, t), swept in _swept(probes, tried).items():
        case, left = f"{purifier}, t = {t}", per_image(swept, "robust")
        others = grouped([r for r in tried if (r.keys["of"], r.keys["strength"]) == (purifier, t)], ATTACKED)
        scales = {members[0].keys["scale"]: members for _, members in others if members[0].keys["scale"] is not None}
        for keys, members in others:
            if members[0].keys["scale"] is None:
                quantity = "regime-bpda" if members[0].keys.get("twin_of") else "regime-harder"
                lost = left - per_image(members, "robust")
                yield of_mean(quantity, f"{case}, {keys['attack']}", lost, members)
        if scales:
            largest = scales[max(scales)]
            found = per_image(largest, "robust")
            yield of_mean("regime-large-budget", f"{case}, ε × {max(scales):g}", found, largest)
        crafted = _crafted(long, tried, purifier, t)
        if crafted and all("zero_gradients" in r.arrays for r in crafted):
            zero = np.nanmean([r.arrays["zero_gradients"] for r in crafted], axis=0)
            yield of_mean("regime-zero", case, zero, crafted)
