"""Purifiers fine-tuned by ADDT beside the vanilla ones (Liu et al., ICLR 2025)."""

from collections.abc import Iterator, Mapping
from itertools import product

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
    of_mean,
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
        at = np.array([tuned.index(name) for name in part["purifier"]]) + 0.2 * (j - 1)
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


# by what the attacker knows: how quantities are called
SETTINGS = {"none": "eot", "all": "dw-box"}
# what an ablation lacks, by what its perturbations were instead
LACKS: dict[str, dict[str, object]] = {
    "rbgm": {"perturbation": "bounded"},
    "guide": {"objective": "prediction"},
    "perturbation": {"perturbed": False},
}
QUANTITIES = (
    "addt-gain-eot",
    "addt-gain-dw-box",
    "rbgm-gain-eot",
    "rbgm-gain-dw-box",
    "guide-gain-eot",
    "guide-gain-dw-box",
    "perturbation-gain-eot",
    "perturbation-gain-dw-box",
)


def evidence(measured: list[Record], addt: pd.DataFrame) -> Iterator[Evidence]:
    """Accuracy of fine-tuned purifiers − of vanilla ones under attack, ablations left out; and − of the ablation that
    lacks RBGM, the guidance of a classifier, or any perturbation."""
    asked = {r.keys["purifier"] for r in with_diffusion(measured)}
    gained = addt[(addt["measure"] == "gain") & (addt["attack"] != "clean") & addt["purifier"].isin(asked)]
    gained = gained[~gained["ablation"].astype(bool)]
    for knowledge, setting in SETTINGS.items():
        for _, row in gained[gained["knowledge"] == knowledge].iterrows():
            n = int(row["n"])
            limits = in_doubt(row["mean"], row["low"], row["high"], n)
            of = " ".join("/".join((p, row["attack"], knowledge)) for p in (row["purifier"], row["vanilla"]))
            yield Evidence(f"addt-gain-{setting}", f"{row['purifier']}, {row['attack']}", row["mean"], *limits, n, of)
    yield from _beside_ablations(with_diffusion(measured))


def _beside_ablations(measured: list[Record]) -> Iterator[Evidence]:
    """ADDT as it is − without one part of it, image by image."""
    made = grouped((r for r in measured if r.keys["attack"] != "clean" and r.keys.get("vanilla")), ATTACKED)
    for (keys, members), (other, without) in product(made, made):
        full, less = members[0].keys, without[0].keys
        alike = all(full[key] == less[key] for key in ("attack", "knowledge", "vanilla"))
        if full["ablation"] or not less["ablation"] or not alike:
            continue
        for lacking, instead in LACKS.items():
            alone = {k: less.get(k) for k in KINDS} == {k: full.get(k) for k in KINDS} | instead
            if alone and any(full.get(k) != v for k, v in instead.items()):
                name = JUDGED[keys["knowledge"]][1]
                gain = per_image(members, name) - per_image(without, name)
                case = f"{keys['purifier']} beside {other['purifier']}, {keys['attack']}"
                quantity = f"{lacking}-gain-{SETTINGS[keys['knowledge']]}"
                yield of_mean(quantity, case, gain, [*members, *without])


KINDS = ("perturbation", "objective", "perturbed")
