"""Purifiers fine-tuned by ADDT beside the vanilla ones (Liu et al., ICLR 2025)."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
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
    judged_rows,
    per_image,
    with_diffusion,
)


def addt(measured: list[Record]) -> pd.DataFrame:
    """Fine-tuned purifiers beside the vanilla ones: clean, under white-box EOT and under DW-box.

    measure accuracy: as in `robustness`. measure gain: accuracy less that of the vanilla purifier (column `vanilla`),
    image by image, mean over images and its 95 % interval. ablation: whether a part of ADDT is left out.
    """
    rows = []
    by = {tuple(keys.values()): members for keys, members in grouped(measured, ATTACKED)}
    for (purifier, attack, knowledge), members in by.items():
        said = {"vanilla": members[0].keys.get("vanilla"), "ablation": members[0].keys.get("ablation", False)}
        keys = dict(zip(ATTACKED, (purifier, attack, knowledge), strict=True)) | said
        judged, name = JUDGED[knowledge]
        keys["judged"] = judged
        rows += judged_rows({"measure": "accuracy"} | keys, members, name)
        vanilla = by.get((said["vanilla"], attack, knowledge))
        if vanilla:
            mean, low, high = stats.mean_interval(per_image(members, name) - per_image(vanilla, name))
            of_all = {"seed": "all", "seeds": len(members), "n": members[0].arrays[name].shape[-1]}
            rows.append({"measure": "gain"} | keys | of_all | {"mean": mean, "low": low, "high": high})
    return pd.DataFrame(rows)


def draw_addt(table: pd.DataFrame) -> Figure:
    """Above: accuracy of vanilla and fine-tuned purifiers. Below: what is gained over vanilla. 95 % intervals."""
    table = all_seeds(table)
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
