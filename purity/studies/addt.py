"""Purifiers fine-tuned by ADDT beside the vanilla ones (Liu et al., ICLR 2025)."""

from collections.abc import Iterator, Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity import stats
from purity.studies.drawing import COLUMN, all_seeds, bars_of, legend_below, shaded
from purity.studies.records import (
    ATTACKED,
    JUDGED,
    Evidence,
    Record,
    grouped,
    in_doubt,
    is_protocol,
    judged_rows,
    per_image,
    with_diffusion,
)


def addt(measured: list[Record]) -> pd.DataFrame:
    """Fine-tuned purifiers beside the vanilla ones: clean, under white-box EOT and under DW-box.

    measure accuracy: as in `robustness`. measure gain: accuracy less that of the vanilla purifier (column `vanilla`),
    image by image, mean over images and its 95 % interval. trainings: how many the gain rests on, each with a vanilla
    purifier of its own; the interval covers images and trainings. ablation: whether a part of ADDT is left out.
    again_of: the purifier of which this one is another training.
    """
    rows = []
    by = {tuple(keys.values()): members for keys, members in grouped(measured, ATTACKED)}
    for (purifier, attack, knowledge), members in by.items():
        said = {role: members[0].keys.get(role) for role in ("vanilla", "again_of")}
        said["ablation"] = members[0].keys.get("ablation", False)
        judged, name = JUDGED[knowledge]
        keys = dict(zip(ATTACKED, (purifier, attack, knowledge), strict=True)) | said | {"judged": judged}
        keys |= is_protocol(members)
        rows += judged_rows({"measure": "accuracy"} | keys, members, name)
        gains = [] if said["again_of"] else _gains(by, purifier, attack, knowledge)
        if gains:
            mean, low, high = stats.crossed_interval(np.stack(gains))
            of_all = {"seed": "all", "seeds": len(members), "n": len(gains[0]), "trainings": len(gains)}
            rows.append({"measure": "gain"} | keys | of_all | {"mean": mean, "low": low, "high": high})
    return pd.DataFrame(rows)


def _gains(by: Mapping[tuple, list[Record]], purifier: str, attack: str, knowledge: str) -> list[np.ndarray]:
    """Accuracy less that of the vanilla purifier, (n,), of a purifier and of its other trainings."""
    name, found = JUDGED[knowledge][1], []
    for (tuned, a, k), members in by.items():
        if (a, k) == (attack, knowledge) and purifier in (tuned, members[0].keys.get("again_of")):
            vanilla = by.get((members[0].keys.get("vanilla"), attack, knowledge))
            if vanilla:
                found.append(per_image(members, name) - per_image(vanilla, name))
    return found


def draw_addt(table: pd.DataFrame) -> Figure:
    """Above: accuracy of vanilla and fine-tuned purifiers. Below: what is gained over vanilla. 95 % intervals. By the
    first attack; other trainings are in the intervals below only."""
    table = _first_attack(_first_training(all_seeds(table)))
    table["under"] = table["attack"].where(table["attack"] == "clean", table["knowledge"])
    table["under"] = table["under"].map({"clean": "clean", "none": "white-box EOT", "all": "DW-box"})
    unders = ["clean", "white-box EOT", "DW-box"]
    purifiers = list(dict.fromkeys(table["purifier"]))
    place = {purifier: k for k, purifier in enumerate(purifiers)}
    order = table["purifier"].map(place) * len(unders) + table["under"].map(unders.index)
    table = table.assign(order=order).sort_values("order")
    figure, (above, below) = plt.subplots(2, 1, figsize=(COLUMN, 4.4), height_ratios=[1.4, 1])
    bars_of(above, table[table["measure"] == "accuracy"], "purifier", "under", "low", "high")
    above.set_ylim(0, 1)
    above.set_ylabel("accuracy")
    above.tick_params(axis="x", rotation=30)
    gains = table[table["measure"] == "gain"]
    tuned = list(dict.fromkeys(gains["purifier"]))
    for j, (under, look) in enumerate(shaded(unders).items()):
        part = gains[gains["under"] == under]
        at = part["purifier"].map(tuned.index) + 0.2 * (j - 1)
        error = [part["mean"] - part["low"], part["high"] - part["mean"]]
        below.errorbar(part["mean"], at, xerr=error, fmt=look.marker, ms=3.5, lw=0.9, color=look.colour)
    below.set_yticks(range(len(tuned)), tuned)
    below.invert_yaxis()
    below.axvline(0, color="0.4", lw=0.7, ls="--")
    below.set_xlabel("accuracy gained over vanilla")
    legend_below(figure, above, ncols=3)
    return figure


def _first_training(table: pd.DataFrame) -> pd.DataFrame:
    """Without other trainings and the vanilla purifiers that only they are compared with."""
    again = table["again_of"].notna()
    only_theirs = set(table.loc[again, "vanilla"]) - set(table.loc[~again, "vanilla"])
    return table[~again & ~table["purifier"].isin(only_theirs)]


def _first_attack(table: pd.DataFrame) -> pd.DataFrame:
    """Of the attacks of each knowledge the first."""
    attacked = table[table["attack"] != "clean"]
    first = attacked.groupby("knowledge")["attack"].transform("first")
    return table[(table["attack"] == "clean") | table.index.isin(attacked.index[attacked["attack"] == first])].copy()


# quantity: what the attacker knows
GAINS = {"addt-gain-eot": "none", "addt-gain-dw-box": "all"}
QUANTITIES = ("addt-gain-eot", "addt-gain-dw-box")


def evidence(measured: list[Record], addt: pd.DataFrame) -> Iterator[Evidence]:
    """Accuracy of fine-tuned purifiers − of vanilla ones under attack, ablations left out."""
    asked = {r.keys["purifier"] for r in with_diffusion(measured)}
    gained = addt[(addt["measure"] == "gain") & (addt["attack"] != "clean") & addt["purifier"].isin(asked)]
    gained = gained[~gained["ablation"].astype(bool)]
    for quantity, knowledge in GAINS.items():
        for _, row in gained[gained["knowledge"] == knowledge].iterrows():
            n = int(row["n"])
            limits = in_doubt(row["mean"], row["low"], row["high"], n)
            yield Evidence(quantity, f"{row['purifier']}, {row['attack']}", row["mean"], *limits, n)
