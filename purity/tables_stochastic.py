"""Tables about the stochastic perspective (Liu et al., ICLR 2025), in the form of purity.tables.

Attacks called <name>-eot average over fresh ξ, those called <name> follow single gradients.
"""

import numpy as np
import pandas as pd

from purity import stats
from purity.landscape import principal_plane
from purity.tables import ATTACKED, JUDGED, Record, accuracy_rows, grouped, per_image, robustness

EOT = "-eot"


def dw_box(measured: list[Record]) -> pd.DataFrame:
    """Accuracy by what the attacker knows of ξ: nothing, its forward or its reverse part, all (DW-box).

    Columns as of `robustness`, and family: the attack's name without -eot, one for all that it is compared with.
    """
    table = robustness(measured)
    table.insert(table.columns.get_loc("attack") + 1, "family", table["attack"].str.removesuffix(EOT))
    return table


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
        rows += accuracy_rows({"measure": "accuracy"} | keys, members, name)
        vanilla = by.get((said["vanilla"], attack, knowledge))
        if vanilla:
            mean, low, high = stats.mean_interval(per_image(members, name) - per_image(vanilla, name))
            of_all = {"seed": "all", "seeds": len(members), "n": members[0].arrays[name].shape[-1]}
            rows.append({"measure": "gain"} | keys | of_all | {"mean": mean, "low": low, "high": high})
    return pd.DataFrame(rows)


KINDS = {"white_box": "white-box", "eot": "white-box EOT", "dw_box": "DW-box"}


def attack_paths(paths: list[Record]) -> pd.DataFrame:
    """Places of three attackers' steps in a plane, with the loss under the fixed ξ as height.

    u, v: coordinates of x − x₀ along the two principal components of all places of all paths of that image (about x₀,
    uncentred), signs such that the DW-box path ends where neither is negative. kept: the share of their squared length
    that lies in the plane.
    """
    rows = []
    for record in paths:
        places = {kind: record.arrays[kind].astype(np.float64) for kind in KINDS}
        for i, image in enumerate(record.arrays["ids"].tolist()):
            moved = {kind: _flat(of[i] - of[i, :, :1]) for kind, of in places.items()}  # (R, S + 1, d)
            together = np.concatenate([of.reshape(-1, of.shape[-1]) for of in moved.values()])
            axes, kept = principal_plane(together, moved["dw_box"][0, -1])
            for kind, of in moved.items():
                height = record.arrays[f"{kind}_loss"][i]
                for repeat, step in np.ndindex(of.shape[:2]):
                    u, v = axes @ of[repeat, step]
                    at = {"kind": KINDS[kind], "repeat": repeat, "step": step, "u": u, "v": v}
                    keys = {"purifier": record.keys["purifier"], "seed": record.keys["seed"], "image": image}
                    rows.append(keys | at | {"loss": float(height[repeat, step]), "kept": kept})
    return pd.DataFrame(rows)


def _flat(of: np.ndarray) -> np.ndarray:
    return of.reshape(*of.shape[:2], -1)


def landscape(landscapes: list[Record]) -> pd.DataFrame:
    """Loss under the fixed ξ, mean over images, each in its own plane.

    a: along the DW-box perturbation; b: along what the EOT perturbation has beside it; in lengths of these.
    """
    rows = []
    for record in landscapes:
        at, lost = record.arrays["at"], record.arrays["loss"]
        keys = {"purifier": record.keys["purifier"], "seed": record.keys["seed"]}
        for j, k in np.ndindex(lost.shape[1:]):
            rows.append(keys | {"a": at[j], "b": at[k]} | stats.spread(lost[:, j, k]))
    return pd.DataFrame(rows)


def landscape_paths(landscapes: list[Record], paths: list[Record]) -> pd.DataFrame:
    """The two attacks on that surface, step by step: means over images of their coordinates a, b and of their loss."""
    rows = []
    of_purifier = {r.keys["purifier"]: r for r in paths}
    for record in landscapes:
        purifier = record.keys["purifier"]
        for kind in ("eot", "dw_box"):
            height = of_purifier[purifier].arrays[f"{kind}_loss"][:, 0].mean(axis=0)
            way = record.arrays[kind].mean(axis=0)
            for step, ((a, b), lost) in enumerate(zip(way, height, strict=True)):
                keys = {"purifier": purifier, "seed": record.keys["seed"], "kind": KINDS[kind], "step": step}
                rows.append(keys | {"a": a, "b": b, "loss": float(lost), "n": len(record.arrays[kind])})
    return pd.DataFrame(rows)
