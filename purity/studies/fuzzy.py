"""Fuzzy robustness: how often, not whether, an image fools a random defence (earlier version §4).

predictions (r, n): the class that each of r judgings under fresh ξ gave to each of n images; y (n,) the labels.
"""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from purity import stats
from purity.stats import majority_vote, worst_of
from purity.studies.drawing import COLUMN, legend_below, look_of, plain_numbers
from purity.studies.records import ATTACKED, Evidence, Record, grouped, is_protocol, of_mean, with_diffusion

Array = NDArray[np.float64]
Labels = NDArray[np.integer]


def grades(predictions: Labels, y: Labels) -> Array:
    """m(x) = P(s(x) ≠ y) (Definition 1), the frequency over the judgings: (n,) in [0, 1]."""
    return (predictions != y).mean(axis=0)


def robustness(m: Array, alpha: float) -> NDArray[np.bool_]:
    """Which images are no α-fuzzy adversarial examples, m < α (Definition 2): bool of m's shape. The mean over images
    is the cumulative fuzzy robustness at α (CFR, §4.2)."""
    return m < alpha


REPEATS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1000)


def _share_row(values: list[np.ndarray]) -> dict[str, float]:
    """n, mean and interval of per-image shares, one array (n,) a seed; std over seeds."""
    return stats.accuracy(np.stack(values).astype(np.float64))


def fuzzy(judgings: list[Record]) -> pd.DataFrame:
    """Robustness of a random defence by repeated judging (earlier version, Tables 1, 2). attack clean is the control.

    measure: standard, the accuracy of one judging (std over judgings, as there); never-fools and always-fools, the
    shares of images of grade m = 0 and m = 1; half, of m < ½; vote, the accuracy of a majority vote of k; worst-of, of
    images that are right in each of k resubmissions.
    """
    rows = []
    for keys, members in grouped(judgings, ATTACKED):
        predictions = [r.arrays["predictions"] for r in members]
        labels = [r.arrays["y"] for r in members]
        pairs = list(zip(predictions, labels, strict=True))
        graded = [grades(p, y) for p, y in pairs]
        r = min(len(p) for p in predictions)
        keys |= is_protocol(members) | {"seed": "all", "seeds": len(members), "judgings": r}
        each = np.concatenate([(p == y).mean(axis=1) for p, y in pairs])
        std = float(each.std(ddof=1)) if len(each) > 1 else float("nan")
        rows.append(keys | {"measure": "standard", "k": 1} | _share_row([1 - m for m in graded]) | {"std": std})
        rows.append(keys | {"measure": "never-fools", "k": r} | _share_row([m == 0 for m in graded]))
        rows.append(keys | {"measure": "always-fools", "k": r} | _share_row([m == 1 for m in graded]))
        rows.append(keys | {"measure": "half", "k": r} | _share_row([robustness(m, 0.5) for m in graded]))
        for measure, share in (("vote", majority_vote), ("worst-of", worst_of)):
            for k in (k for k in REPEATS if k <= r):
                rows.append(keys | {"measure": measure, "k": k} | _share_row([share(p, y, k) for p, y in pairs]))
    return pd.DataFrame(rows)


def fuzzy_grades(judgings: list[Record]) -> pd.DataFrame:
    """Distribution of grades (earlier version, Fig. 3b) and the CFR curve (Fig. 3c).

    share: of images of that grade. cfr: of images below it, with its 95 % interval low … high.
    """
    rows = []
    for keys, members in grouped(judgings, ATTACKED):
        r = min(len(m.arrays["predictions"]) for m in members)
        graded = np.stack([grades(m.arrays["predictions"][:r], m.arrays["y"]) for m in members])  # (S, n)
        fooled = np.rint(graded * r)
        for j in range(r + 1):
            row = {"seed": "all", "seeds": len(members), "grade": j / r, "share": float((fooled == j).mean())}
            summary = stats.accuracy(fooled < j)
            low_high = {"cfr": summary["mean"], "low": summary["low"], "high": summary["high"], "n": summary["n"]}
            rows.append(keys | row | low_high)
    return pd.DataFrame(rows)


def draw_fuzzy(table: pd.DataFrame, grades: pd.DataFrame) -> Figure:
    """Above: how often each image fools the defence, and the share of images below a grade (CFR). Below: accuracy by a
    vote over k judgings (solid), and of k submissions that must all be right (dashed). Of the first purifier."""
    purifier = grades["purifier"].iloc[0]
    table, grades = table[table["purifier"] == purifier], grades[grades["purifier"] == purifier]
    attacks = list(dict.fromkeys(grades["attack"]))
    figure, ((left, middle), (right, key)) = plt.subplots(2, 2, figsize=(COLUMN, 3.9))
    key.set_axis_off()
    edges = np.linspace(0, 1, 11)
    tenth = np.floor(grades["grade"] * 10 + 1e-9).clip(upper=9)  # rounding must not push a grade below its bin
    grades = grades.assign(tenth=tenth)
    for attack in attacks:
        part, look = grades[grades["attack"] == attack], look_of(attack)
        line = {"color": look.colour, "lw": 1.1}
        counts = part.groupby("tenth")["share"].sum().reindex(range(10), fill_value=0.0).to_numpy()
        left.stairs(counts, edges, ls=look.line, label=attack, **line)
        middle.plot(part["grade"], part["cfr"], ls=look.line, **line)
        middle.fill_between(part["grade"], part["low"], part["high"], color=look.colour, alpha=0.12, lw=0)
        repeated = table[table["attack"] == attack]
        for measure, dashes in (("vote", "-"), ("worst-of", "--")):
            curve = repeated[repeated["measure"] == measure]
            right.plot(curve["k"], curve["mean"], ls=dashes, marker=look.marker, ms=2.5, markevery=0.25, **line)
    left.set(xlabel="grade m: P(fooled)", ylabel="share of images", yscale="log")
    middle.set(xlabel="threshold on the grade", ylabel="CFR: share of images below", ylim=(0, 1))
    right.set(xlabel="k", ylabel="accuracy", xscale="log", ylim=(0, 1))
    plain_numbers(right.xaxis, left.yaxis)
    right.plot([], [], "-", color="0.3", lw=1.1, label="vote of k")
    right.plot([], [], "--", color="0.3", lw=1.1, label="all of k right")
    key.legend(*right.get_legend_handles_labels(), loc="center left", title="lower left panel")
    legend_below(figure, left, ncols=3)
    figure.suptitle(f"{purifier}; every attack judged under {table['judgings'].iloc[0]} fresh ξ")
    return figure


RESUBMITTED = 10


def _is_fuzzy(predictions: Labels, y: Labels) -> Array:
    m = grades(predictions, y)
    return ((m > 0) & (m < 1)).astype(np.float64)


def _vote_gain(predictions: Labels, y: Labels) -> Array:
    return majority_vote(predictions, y, len(predictions)) - (predictions == y).mean(axis=0)


def _resubmission_loss(predictions: Labels, y: Labels) -> Array:
    return (predictions == y).mean(axis=0) - worst_of(predictions, y, min(RESUBMITTED, len(predictions)))


# quantity: what it is of an image, by its judgings (r, n) and labels (n,)
OF_ATTACKED = {"fuzzy-share": _is_fuzzy, "vote-gain": _vote_gain}
OF_CLEAN = {"resubmission-loss": _resubmission_loss}
QUANTITIES = ("fuzzy-share", "vote-gain", "resubmission-loss")


def evidence(judgings: list[Record]) -> Iterator[Evidence]:
    """fuzzy-share: of attacked images with grade 0 < m < 1. vote-gain: accuracy of a vote of all judgings − of one.
    resubmission-loss: accuracy of one judging of clean images − of RESUBMITTED that must all be right."""
    for keys, members in grouped(with_diffusion(judgings), ATTACKED):
        case = f"{keys['purifier']}, {keys['attack']}"
        asked = OF_CLEAN if keys["attack"] == "clean" else OF_ATTACKED
        for quantity, measure in asked.items():
            values = [measure(r.arrays["predictions"], r.arrays["y"]) for r in members]
            yield of_mean(quantity, case, np.mean(values, axis=0), members)
