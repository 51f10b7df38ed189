"""The papers' tables: records of measures in, one tidy frame out, a row for each measured thing.

Keys name what was measured (purifier, attack, knowledge, seed, …). Rows of one base seed have that seed; rows with
seed "all" sum up all of them, `seeds` says how many. n counts images. `std` is over images, or, for accuracies and
Fréchet distances of seed "all", over seeds. low, high: 95 % interval of an accuracy (purity.stats).
"""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from purity import stats
from purity.metrics import correlation


class Record(NamedTuple):
    """What one stage left behind: keys (purifier, attack, knowledge, seed, …) and named arrays."""

    keys: dict
    arrays: Mapping[str, np.ndarray]


Keys = tuple[str, ...]


def grouped(records: Iterable[Record], by: Keys) -> list[tuple[dict, list[Record]]]:
    """Records that share the keys `by`, in order of first appearance; within a group by seed."""
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record.keys[key] for key in by), []).append(record)
    return [
        (dict(zip(by, group, strict=True)), sorted(members, key=lambda r: r.keys["seed"]))
        for group, members in groups.items()
    ]


def spread_rows(keys: dict, members: list[Record], name: str) -> list[dict]:
    """A row per seed and one for all, of one per-image array."""
    rows = [keys | {"seed": r.keys["seed"], "seeds": 1} | stats.spread(r.arrays[name]) for r in members]
    together = np.concatenate([r.arrays[name].ravel() for r in members])
    return [*rows, keys | {"seed": "all", "seeds": len(members)} | stats.spread(together)]


def accuracy_rows(keys: dict, members: list[Record], name: str) -> list[dict]:
    """A row per seed and one for all, of one array of outcomes (n,) or (R, n)."""
    outcomes = [np.atleast_2d(r.arrays[name]) for r in members]
    rows = [
        keys | {"seed": r.keys["seed"], "seeds": 1} | stats.accuracy(correct)
        for r, correct in zip(members, outcomes, strict=True)
    ]
    summary = stats.accuracy(np.concatenate(outcomes))
    per_seed = np.array([correct.mean() for correct in outcomes])
    summary["std"] = float(per_seed.std(ddof=1)) if len(per_seed) > 1 else float("nan")
    return [*rows, keys | {"seed": "all", "seeds": len(members)} | summary]


def per_image(members: list[Record], name: str) -> np.ndarray:
    """(n,) mean over seeds (and fresh draws)."""
    return np.mean([np.atleast_2d(r.arrays[name]).mean(axis=0) for r in members], axis=0)


ATTACKED = ("purifier", "attack", "knowledge")

# What an attacker knows → under which ξ his attack is judged, and the array that says whether it failed: a fresh ξ, the
# fixed one, or one that has the part he knows and is fresh in the rest.
JUDGED = {
    "none": ("fresh", "correct_varying"),
    "all": ("fixed", "correct_fixed"),
    "forward": ("rest-fresh", "correct_partly"),
    "reverse": ("rest-fresh", "correct_partly"),
}


def trajectory(purified: list[Record]) -> pd.DataFrame:
    """ℓ2 and ℓ∞ to x₀ at every state between x and f_ξ(x) (Liu & Wei Fig. 1c, Tables S2-S4)."""
    rows = []
    for keys, members in grouped(purified, ATTACKED):
        for distance, name in (("l2", "path_l2"), ("linf", "path_linf")):
            for step, time in enumerate(members[0].arrays["path_time"]):
                together = np.concatenate([r.arrays[name][step] for r in members])
                row = {"distance": distance, "step": step, "time": int(time), "seed": "all", "seeds": len(members)}
                rows.append(keys | row | stats.spread(together))
    return pd.DataFrame(rows)


def distances(measured: list[Record]) -> pd.DataFrame:
    """ℓ2, ℓ∞, SSIM and Fréchet distance to the clean images before and after purification (Liu & Wei Table 1).

    The Fréchet distance is called `fid`, or as the experiment's features are; `frechet-classifier` on the classifier's.
    """
    rows = []
    for keys, members in grouped(measured, ATTACKED):
        for measure, when in product(("l2", "linf", "ssim"), ("before", "after")):
            rows += spread_rows(keys | {"measure": measure, "when": when}, members, f"{measure}_{when}")
        with_features = [r for r in members if "frechet_after" in r.arrays]
        for when in ("before", "after") if with_features else ():
            name = with_features[0].keys.get("features", "frechet-classifier")
            of_all = spread_rows(keys | {"measure": name, "when": when}, with_features, f"frechet_{when}")
            rows += [row | {"n": len(members[0].arrays["l2_before"])} for row in of_all]
    return pd.DataFrame(rows)


def robustness(measured: list[Record]) -> pd.DataFrame:
    """Accuracy by purifier, attack and what the attacker knows (Liu & Wei Tables 2, 3).

    Attacks are judged as their knowledge means it (JUDGED), clean images under a fresh ξ and under the fixed one.
    """
    rows = []
    for keys, members in grouped(measured, ATTACKED):
        for knowledge in ("none", "all") if keys["attack"] == "clean" else (keys["knowledge"],):
            judged, name = JUDGED[knowledge]
            rows += accuracy_rows(keys | {"judged": judged}, members, name)
    return pd.DataFrame(rows)


def transfer(measured: list[Record], crafted: list[Record], subset: list[Record]) -> pd.DataFrame:
    """Attacks crafted under one ξ and judged under another (Liu & Wei Table 4), and how alike they are (Table 5).

    measure accuracy: knowledge all judged `fixed` and `fresh` (the transfer), knowledge none judged fresh.
    measure correlation: of the perturbations of two attacks on the same image, over all pairs of different base seeds
    (`other`: the second attack and its knowledge), so that they share neither ξ nor random start.
    crafted: the attacks' images x. subset: the clean ones.
    """
    rows, x0 = [], subset[0].arrays["x"]
    for keys, members in grouped((r for r in measured if r.keys["attack"] != "clean"), ATTACKED):
        if keys["knowledge"] == "all":
            rows += accuracy_rows({"measure": "accuracy"} | keys | {"judged": "fixed"}, members, "correct_fixed")
        if keys["knowledge"] in ("all", "none"):
            rows += accuracy_rows({"measure": "accuracy"} | keys | {"judged": "fresh"}, members, "correct_varying")
    for _, of_purifier in grouped(crafted, ("purifier",)):
        groups = grouped(of_purifier, ATTACKED)
        for (keys, first), (other, second) in product(groups, groups):
            if other["knowledge"] != "all":
                continue
            pairs = [(a, b) for a, b in product(first, second) if a.keys["seed"] != b.keys["seed"]]
            if keys == other:
                pairs = [(a, b) for a, b in pairs if a.keys["seed"] < b.keys["seed"]]
            if pairs:
                values = np.concatenate([correlation(a.arrays["x"] - x0, b.arrays["x"] - x0) for a, b in pairs])
                name = {"other": other["attack"], "other_knowledge": other["knowledge"]}
                of_what = {"measure": "correlation"} | keys | name | {"seed": "pairs", "seeds": len(pairs)}
                rows.append(of_what | stats.spread(values))
    # the last two columns are there even where no attacks can be compared
    first = list(dict.fromkeys(key for row in rows for key in row))
    return pd.DataFrame(rows, columns=list(dict.fromkeys((*first, "other", "other_knowledge"))))


def compression(measured: list[Record]) -> pd.DataFrame:
    """Compression rate α by purifier and perturbation, attacks of knowledge all split by outcome (Liu & Wei Table 6).

    measure alpha: outcome robust (still classified right), fooled, or any. measure accuracy: robust accuracy.
    blind: the perturbation looked at no defence.
    """
    rows = []
    for keys, members in grouped((r for r in measured if r.keys["attack"] != "clean"), ATTACKED):
        keys["blind"] = members[0].keys["blind"]
        rows += spread_rows(keys | {"measure": "alpha", "outcome": "any"}, members, "alpha")
        if keys["knowledge"] == "all":
            for outcome, wanted in (("robust", True), ("fooled", False)):
                chosen = [
                    Record(r.keys, {"alpha": r.arrays["alpha"][r.arrays["correct_fixed"] == wanted]}) for r in members
                ]
                rows += spread_rows(keys | {"measure": "alpha", "outcome": outcome}, chosen, "alpha")
            rows += accuracy_rows(keys | {"measure": "accuracy", "outcome": "any"}, members, "correct_fixed")
    return pd.DataFrame(rows)


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
