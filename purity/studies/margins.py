"""What tells robust from fooled images: the critical threshold, or the attack's length (earlier version §6, Fig. 6)."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity import stats
from purity.studies.drawing import COLUMN, legend_below, shaded
from purity.studies.records import ATTACKED, Evidence, Record, with_diffusion


def margins_images(thresholds: list[Record]) -> pd.DataFrame:
    """How far each image's purified attack went, and how far the decision was (earlier version, Fig. 6): a row each.

    Images whose anchor f_ξ(x₀) is classified right. outcome: robust or fooled. length: ‖f_ξ(x) − f_ξ(x₀)‖; threshold: γ
    from the anchor in that direction, inf beyond reach; attack_length: ‖x − x₀‖.
    """
    tables = []
    for r in thresholds:
        a, usable = r.arrays, r.arrays["usable"]
        of_image = {
            "image": a["ids"][usable],
            "outcome": np.where(a["robust"][usable], "robust", "fooled"),
            "length": a["length"][usable],
            "threshold": a["threshold"][usable],
            "attack_length": a["attack_length"][usable],
            "changes": a["changes"][usable],
        }
        tables.append(pd.DataFrame({key: r.keys[key] for key in (*ATTACKED, "seed")} | of_image))
    return pd.concat(tables, ignore_index=True)


# Which way each score speaks for a robust image.
SCORES = {"threshold": 1, "length": -1, "attack_length": -1}


def margins(margins_images: pd.DataFrame) -> pd.DataFrame:
    """Robust against fooled images (earlier version §6, Fig. 6): means by outcome, and the AUC of each score.

    measure: length, threshold (the finite ones; `beyond` is the share that is not), attack_length, by outcome; auc-*:
    P(a robust image has the higher threshold, the shorter length), with a 95 % interval over n images.
    """
    rows = []
    for values, group in margins_images.groupby(list(ATTACKED), sort=False):
        keys = dict(zip(ATTACKED, values, strict=True)) | {"seed": "all", "seeds": group["seed"].nunique()}
        for outcome in ("robust", "fooled"):
            chosen = group[group["outcome"] == outcome]
            for measure in ("length", "threshold", "attack_length"):
                beyond = float(np.isinf(chosen[measure]).mean()) if len(chosen) else float("nan")
                row = {"outcome": outcome, "measure": measure} | stats.spread(chosen[measure])
                rows.append(keys | row | {"beyond": beyond})
        for score, sign in SCORES.items():
            robust, fooled = _scores(group, score, sign)
            right = group["outcome"] == "robust"
            clusters = (group.loc[right, "image"], group.loc[~right, "image"])
            area, low, high = stats.auc(robust, fooled, clusters=clusters)
            n = group["image"].nunique()
            row = {"outcome": "any", "measure": f"auc-{score}", "n": n, "mean": area, "low": low, "high": high}
            rows.append(keys | row)
    columns = [*ATTACKED, "seed", "seeds", "outcome", "measure", "n", "mean", "std", "beyond", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def margins_roc(margins_images: pd.DataFrame) -> pd.DataFrame:
    """The ROC curves behind those AUCs: robust images are the positives."""
    rows = []
    for values, group in margins_images.groupby(list(ATTACKED), sort=False):
        keys = dict(zip(ATTACKED, values, strict=True))
        for score, sign in SCORES.items():
            robust, fooled = _scores(group, score, sign)
            if len(robust) and len(fooled):
                false, true = stats.roc(robust, fooled)
                curve = {"score": score, "false_positive": false, "true_positive": true}
                rows.append(pd.DataFrame(keys | curve))
    columns = [*ATTACKED, "score", "false_positive", "true_positive"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def _scores(group: pd.DataFrame, score: str, sign: int) -> tuple[np.ndarray, np.ndarray]:
    robust = group["outcome"] == "robust"
    return sign * group.loc[robust, score].to_numpy(), sign * group.loc[~robust, score].to_numpy()


SCORE_NAMES = {
    "threshold": "critical threshold",
    "length": "length of purified attack",
    "attack_length": "length of attack",
}


def draw_margins(images: pd.DataFrame, roc: pd.DataFrame) -> Figure:
    """By purifier: the critical threshold and the length of the purified attack, of robust and of fooled images; and
    how well each tells them apart."""
    purifiers = list(dict.fromkeys(images["purifier"]))
    if images.empty:  # no anchor is classified right
        return plt.figure(figsize=(COLUMN, 1))
    figure, axes = plt.subplots(len(purifiers), 3, figsize=(COLUMN, 1.35 * len(purifiers) + 1.1), squeeze=False)
    finite = images["threshold"][np.isfinite(images["threshold"])]
    reach = {"threshold": finite.quantile(0.98) if len(finite) else 1.0, "length": images["length"].max()}
    for line, purifier in zip(axes, purifiers, strict=True):
        part = images[images["purifier"] == purifier]
        for ax, score in zip(line, ("threshold", "length"), strict=False):
            edges = np.linspace(0, reach[score], 26)
            for outcome, look in shaded(("robust", "fooled")).items():
                values = part.loc[part["outcome"] == outcome, score].clip(upper=edges[-1])
                ax.hist(
                    values, edges, color=look.colour, alpha=0.75, label=f"{outcome} images" if len(values) else None
                )
            ax.set_ylabel("images")
        line[0].set_title(purifier, loc="left")
        for (score, name), dashes in zip(SCORE_NAMES.items(), ("-", "--", ":"), strict=True):
            curve = roc[(roc["purifier"] == purifier) & (roc["score"] == score)]
            if curve.empty:  # all are robust, or all fooled
                continue
            line[2].plot(curve["false_positive"], curve["true_positive"], color="0.1", ls=dashes, lw=1.1, label=name)
        line[2].plot([0, 1], [0, 1], color="0.8", lw=0.6)
        line[2].set(ylabel="robust found", xlim=(0, 1), ylim=(0, 1.02))
    axes[-1, 0].set_xlabel("threshold γ from f(x₀)\n(last bin: beyond)")
    axes[-1, 1].set_xlabel("length of the\npurified attack, ℓ2")
    axes[-1, 2].set_xlabel("fooled taken\nfor robust")
    legend_below(figure, *axes.flat)
    return figure


QUANTITIES = ("auc-threshold", "auc-length")


def evidence(thresholds: list[Record], margins: pd.DataFrame) -> Iterator[Evidence]:
    """The AUC of two scores, of purifiers with a diffusion model."""
    asked = {r.keys["purifier"] for r in with_diffusion(thresholds)}
    rows = margins[margins["measure"].isin(QUANTITIES) & margins["purifier"].isin(asked)]
    for _, row in rows.iterrows():
        case = f"{row['purifier']}, {row['attack']}"
        cell = "/".join(row[key] for key in ATTACKED)
        yield Evidence(row["measure"], case, row["mean"], row["low"], row["high"], int(row["n"]), cell)
