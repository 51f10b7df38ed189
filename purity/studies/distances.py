"""How far images are from the clean ones before and after purification (Liu & Wei §3.1, Table 1)."""

from collections.abc import Iterator
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity import stats
from purity.studies.drawing import COLUMN, NAMES, all_seeds, bars_of, legend_below
from purity.studies.records import (
    ATTACKED,
    Evidence,
    Record,
    attacks,
    grouped,
    of_mean,
    of_process,
    per_image,
    rests_on,
    spread_rows,
)


def distances(measured: list[Record]) -> pd.DataFrame:
    """ℓ2, ℓ∞, SSIM and Fréchet distance to the clean images before and after purification (Liu & Wei Table 1).

    The Fréchet distance is called `fid`, or as the experiment's features are; `frechet-classifier` on the classifier's.
    It has its interval over seeds.
    """
    rows = []
    for keys, members in grouped((r for r in measured if r.keys["attack"] != "clean"), ATTACKED):
        for measure, when in product(("l2", "linf", "ssim"), ("before", "after")):
            rows += spread_rows(keys | {"measure": measure, "when": when}, members, f"{measure}_{when}")
        with_features = [r for r in members if "frechet_after" in r.arrays]
        for when in ("before", "after") if with_features else ():
            name = with_features[0].keys.get("features", "frechet-classifier")
            of_all = spread_rows(keys | {"measure": name, "when": when}, with_features, f"frechet_{when}")
            rows += [row | _over_seeds(row) | {"n": len(members[0].arrays["l2_before"])} for row in of_all]
    return pd.DataFrame(rows)


def _over_seeds(row: dict) -> dict[str, float]:
    """Student's interval of a distance that there is one of for each seed, n here."""
    return dict(zip(("low", "high"), stats.summary_interval(row["mean"], row["std"], row["n"])[1:], strict=True))


def draw_distances(table: pd.DataFrame) -> Figure:
    """ℓ2, ℓ∞, SSIM and Fréchet distance before and after, by purifier, under the attack that knows ξ."""
    table = all_seeds(table)
    table = table[table["knowledge"] == ("all" if (table["knowledge"] == "all").any() else "none")]
    attack = table["attack"].mode()[0]
    table = table[table["attack"] == attack]
    measures = list(dict.fromkeys(table["measure"]))
    rows = (len(measures) + 1) // 2
    figure, axes = plt.subplots(rows, 2, figsize=(COLUMN, 1.5 * rows + 0.6), squeeze=False)
    for ax, measure in zip(axes.flat, measures, strict=False):
        part = table[table["measure"] == measure]
        bars_of(ax, part.assign(when=part["when"] + " purification"), x="purifier", hue="when")
        ax.set_title(f"{NAMES.get(measure, measure)}\n{_spread(measure, int(part['seeds'].max()))}")
        ax.tick_params(axis="x", rotation=35)
    for ax in axes.flat[len(measures) :]:
        ax.set_axis_off()
    legend_below(figure, axes[0, 0])
    known = "attacker knows ξ" if (table["knowledge"] == "all").any() else "attacker does not know ξ"
    figure.suptitle(f"{attack}, {known}")
    return figure


def _spread(measure: str, seeds: int) -> str:
    """What the error bars of a panel are. A set of images has one Fréchet distance, of which seeds are repeats."""
    if measure in ("l2", "linf", "ssim"):
        return "mean ± std over\nimages and seeds"
    return f"mean ± std\nover {seeds} seeds" if seeds > 1 else "one seed, no spread"


QUANTITIES = ("l2-change", "linf-change", "ssim-change", "frechet-change", "ddim-frechet-gap")


def evidence(measured: list[Record]) -> Iterator[Evidence]:
    """After − before purification, under attacks that do not know ξ (Table 1); Fréchet distances seed by seed (n counts
    seeds). ddim-frechet-gap: that change of ddim − of another purifier."""
    made = attacks(measured)
    for (purifier, attack, knowledge), members in made.items():
        if knowledge != "none":
            continue
        case = f"{purifier}, {attack}"
        for measure in ("l2", "linf", "ssim"):
            after, before = (per_image(members, f"{measure}_{when}") for when in ("after", "before"))
            yield of_mean(f"{measure}-change", case, after - before, members)
        if _with_features(members):
            change = _frechet_change(members)
            yield Evidence("frechet-change", case, *stats.mean_interval(change), len(change), rests_on(members))
    for case, members, others in of_process(made, "ddim", "none"):
        if _with_features([*members, *others]) and len(members) == len(others):
            gap = _frechet_change(members) - _frechet_change(others)
            of = rests_on([*members, *others])
            yield Evidence("ddim-frechet-gap", case, *stats.mean_interval(gap), len(gap), of)


def _with_features(members: list[Record]) -> bool:
    return all("frechet_after" in r.arrays for r in members)


def _frechet_change(members: list[Record]) -> np.ndarray:
    """(S,) after − before, seed by seed."""
    return np.array([float(r.arrays["frechet_after"][0] - r.arrays["frechet_before"][0]) for r in members])
