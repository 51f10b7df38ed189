"""Whether an attack made for one ξ works under another, and how alike attacks are (Liu & Wei §4, Tables 4, 5)."""

from collections.abc import Iterator
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity import stats
from purity.metrics import correlation
from purity.studies.drawing import COLUMN, SMALL, all_seeds, bars_of, legend_below, look_of
from purity.studies.records import (
    ATTACKED,
    Evidence,
    Record,
    accuracy_rows,
    attacks,
    beside_eot,
    family,
    grouped,
    of_mean,
    per_image,
)


def _correlations(first: list[Record], second: list[Record], x0: np.ndarray) -> np.ndarray:
    """(pairs, n) correlation of the perturbations of two attacks, over all pairs of different base seeds.

    Such pairs share neither ξ nor random start. The pairs of an attack with itself are counted once.
    """
    pairs = [(a, b) for a, b in product(first, second) if a.keys["seed"] != b.keys["seed"]]
    if first is second:
        pairs = [(a, b) for a, b in pairs if a.keys["seed"] < b.keys["seed"]]
    found = [correlation(a.arrays["x"] - x0, b.arrays["x"] - x0) for a, b in pairs]
    return np.stack(found) if found else np.empty((0, len(x0)))


def transfer(measured: list[Record], crafted: list[Record], subset: list[Record]) -> pd.DataFrame:
    """Attacks crafted under one ξ and judged under another (Liu & Wei Table 4), and how alike they are (Table 5).

    measure accuracy: knowledge all judged `fixed` and `fresh` (the transfer), knowledge none judged fresh. family: the
    attack, or the one that it is the EOT variant of.
    measure correlation: of the perturbations of two attacks on the same image, over all pairs of different base seeds
    (`other`: the second attack and its knowledge).
    crafted: the attacks' images x. subset: the clean ones.
    """
    rows, x0 = [], subset[0].arrays["x"]
    for keys, members in grouped((r for r in measured if r.keys["attack"] != "clean"), ATTACKED):
        keys |= {"family": family(members)}
        if keys["knowledge"] == "all":
            rows += accuracy_rows({"measure": "accuracy"} | keys | {"judged": "fixed"}, members, "correct_fixed")
        if keys["knowledge"] in ("all", "none"):
            rows += accuracy_rows({"measure": "accuracy"} | keys | {"judged": "fresh"}, members, "correct_varying")
    for _, of_purifier in grouped(crafted, ("purifier",)):
        groups = grouped(of_purifier, ATTACKED)
        for (keys, first), (other, second) in product(groups, groups):
            if other["knowledge"] != "all":
                continue
            values = _correlations(first, second, x0)
            if len(values):
                name = {"other": other["attack"], "other_knowledge": other["knowledge"]}
                of_what = {"measure": "correlation"} | keys | name | {"seed": "pairs", "seeds": len(values)}
                rows.append(of_what | stats.spread(values))
    # the last two columns are there even where no attacks can be compared
    first = list(dict.fromkeys(key for row in rows for key in row))
    return pd.DataFrame(rows, columns=list(dict.fromkeys((*first, "other", "other_knowledge"))))


def draw_transfer(table: pd.DataFrame) -> Figure:
    """Above: an attack that knows ξ, judged under that ξ and under another, beside one that knows nothing. Below: how
    alike the perturbations are."""
    accuracy = all_seeds(table[table["measure"] == "accuracy"])
    accuracy["how"] = accuracy["knowledge"].map({"all": "knows ξ", "none": "knows nothing"}) + accuracy["judged"].map(
        {"fixed": ", judged under it", "fresh": ", judged under another"}
    ).where(accuracy["knowledge"] == "all", "")
    # who knows nothing attacks in the same way if that was made, else by the EOT variant
    same = accuracy["attack"] == accuracy["family"]
    of_case = [accuracy["purifier"], accuracy["family"]]
    accuracy = accuracy[same | ~(same & (accuracy["knowledge"] == "none")).groupby(of_case).transform("any")]
    both = accuracy.groupby(["purifier", "family"])["knowledge"].transform("nunique") == 2
    accuracy["case"] = accuracy["purifier"] + "\n" + accuracy["family"]
    pairs = table[table["measure"] == "correlation"]
    pairs = pairs[pairs["other"] == pairs["other"].mode()[0]] if len(pairs) else pairs
    sizes = [2.0, max(0.5, 0.13 * len(pairs) + 0.35)]
    figure, (above, below) = plt.subplots(2, 1, figsize=(COLUMN, sum(sizes) + 0.7), height_ratios=sizes)
    bars_of(above, accuracy[both].sort_values("how", kind="stable"), "case", "how", "low", "high")
    above.set_ylim(0, 1)
    above.set_ylabel("accuracy, 95 % interval")
    above.tick_params(axis="x", rotation=90, labelsize=SMALL)
    legend_below(figure, above, ncols=1, title="attacker")
    if pairs.empty:  # one seed, or nobody who knows ξ
        below.set_axis_off()
        return figure
    star = pairs["knowledge"].map({"all": "*"}).fillna("")
    names = pairs["purifier"] + ": " + pairs["attack"] + star + " with " + pairs["other"] + "*"
    for at, (_, pair) in enumerate(pairs.iterrows()):
        look = look_of(pair["attack"])
        filling = "none" if pair["knowledge"] == "all" else "full"
        dot = {"fmt": look.marker, "ms": 3.5, "lw": 0.8, "color": look.colour, "fillstyle": filling}
        below.errorbar(pair["mean"], at, xerr=pair["std"], **dot)
    below.set_yticks(range(len(pairs)), names, fontsize=SMALL)
    below.set_xlim(min(0, below.get_xlim()[0]), 1)
    below.invert_yaxis()
    below.axvline(0, color="0.7", lw=0.6)
    below.set_xlabel(
        "correlation of perturbations (* knows ξ),\nmean ± std over images and pairs of seeds", loc="right"
    )
    return figure


QUANTITIES = ("transfer-gap", "perturbation-correlation", "eot-correlation-gap")


def evidence(measured: list[Record], crafted: list[Record], subset: list[Record]) -> Iterator[Evidence]:
    """transfer-gap: accuracy under a fresh ξ − under the ξ that the attacker knew.

    perturbation-correlation: of attacks that know different ξ. eot-correlation-gap: of EOT with them − of them.
    """
    for (purifier, attack, knowledge), members in attacks(measured).items():
        if knowledge == "all":
            gap = per_image(members, "correct_varying") - per_image(members, "correct_fixed")
            yield of_mean("transfer-gap", f"{purifier}, {attack}", gap, members)
    if not subset:
        return
    made, x0 = attacks(crafted), subset[0].arrays["x"]
    for (purifier, attack, knowledge), members in made.items():
        if knowledge == "all":
            alike = _alike(members, members, x0)
            yield of_mean("perturbation-correlation", f"{purifier}, {attack}", alike, members)
    for case, members, eot in beside_eot(made, "all"):
        gap = _alike(eot, members, x0) - _alike(members, members, x0)
        yield of_mean("eot-correlation-gap", case, gap, [*members, *eot])


def _alike(first: list[Record], second: list[Record], x0: np.ndarray) -> np.ndarray:
    """(n,) correlation of perturbations, mean over pairs of different seeds; NaN where there is no pair."""
    found = _correlations(first, second, x0)
    return found.mean(axis=0) if len(found) else np.full(len(x0), np.nan)
