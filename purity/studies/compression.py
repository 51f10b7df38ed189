"""The compression rate α of noise and of attacks (Liu & Wei §5, Table 6)."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity.studies.drawing import COLUMN, all_seeds, dots_of, height_of_dots, label_of
from purity.studies.records import (
    ATTACKED,
    Evidence,
    Record,
    accuracy_rows,
    attacks,
    fooled_minus_robust,
    grouped,
    of_mean,
    of_process,
    per_image,
    spread_rows,
)


def compression(measured: list[Record]) -> pd.DataFrame:
    """Compression rate α by purifier and perturbation, attacks of knowledge all split by outcome (Liu & Wei Table 6).

    measure alpha: outcome robust (still classified right), fooled, or any. measure accuracy: robust accuracy.
    blind: the perturbation looked at no defence.
    """
    rows = []
    for keys, members in grouped((r for r in measured if r.keys["attack"] != "clean"), ATTACKED):
        keys["blind"] = bool(members[0].keys.get("blind"))
        rows += spread_rows(keys | {"measure": "alpha", "outcome": "any"}, members, "alpha")
        if keys["knowledge"] == "all":
            for outcome, wanted in (("robust", True), ("fooled", False)):
                chosen = [
                    Record(r.keys, {"alpha": r.arrays["alpha"][r.arrays["correct_fixed"] == wanted]}) for r in members
                ]
                rows += spread_rows(keys | {"measure": "alpha", "outcome": outcome}, chosen, "alpha")
            rows += accuracy_rows(keys | {"measure": "accuracy", "outcome": "any"}, members, "correct_fixed")
    return pd.DataFrame(rows)


def draw_compression(table: pd.DataFrame) -> Figure:
    """α of perturbations by purifier; 1 is neither compression nor expansion."""
    alpha = all_seeds(table[table["measure"] == "alpha"])
    alpha = alpha[(alpha["outcome"] != "any") | alpha["blind"].astype(bool)].dropna(subset="mean")
    alpha = alpha.sort_values("blind", ascending=False, kind="stable")
    alpha["perturbation"] = alpha.apply(
        lambda r: r["attack"] if r["outcome"] == "any" else f"{label_of(r)}: {r['outcome']}", axis=1
    )
    alpha["filling"] = alpha["outcome"].map({"fooled": "none"}).fillna("full")
    figure, ax = plt.subplots(figsize=(COLUMN, height_of_dots(alpha)))
    dots_of(ax, alpha, "perturbation", "filling")
    ax.axvline(1, color="0.4", lw=0.7, ls="--")
    ax.set_xlabel("compression rate α,\nmean ± std over images and seeds", loc="right")
    return figure


QUANTITIES = ("noise-alpha", "attack-alpha-gap", "fooled-alpha-gap", "reverse-alpha-gap")


def evidence(measured: list[Record]) -> Iterator[Evidence]:
    """noise-alpha: α of blind noise. attack-alpha-gap: α of the attack that knows ξ − of the smallest noise on the same
    purifier. fooled-alpha-gap: α of the images that it fools − of the robust ones. reverse-alpha-gap: α of noise,
    reverse − ddpm."""
    noises = attacks(measured, blind=True)
    for (purifier, attack, _), members in noises.items():
        yield of_mean("noise-alpha", f"{purifier}, {attack}", per_image(members, "alpha"))
    for case, members, others in of_process(noises, "reverse", "none"):
        if others[0].keys.get("process") == "ddpm":
            yield of_mean("reverse-alpha-gap", case, per_image(members, "alpha") - per_image(others, "alpha"))
    for (purifier, attack, knowledge), members in attacks(measured).items():
        if knowledge != "all":
            continue
        case = f"{purifier}, {attack}"
        beside = [m for (p, _, _), m in noises.items() if p == purifier]
        if beside:
            noise = min(beside, key=lambda m: per_image(m, "l2_before").mean())
            yield of_mean("attack-alpha-gap", case, per_image(members, "alpha") - per_image(noise, "alpha"), members)
        alpha = np.stack([r.arrays["alpha"] for r in members])  # NaN where the attack did not move the image
        right = np.stack([r.arrays["correct_fixed"] for r in members])
        yield fooled_minus_robust("fooled-alpha-gap", case, alpha, right, members)
