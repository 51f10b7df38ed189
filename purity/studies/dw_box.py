"""Accuracy by what the attacker knows of ξ: nothing, a part, all (DW-box; Liu et al., ICLR 2025)."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from purity.studies.drawing import COLUMN, all_seeds, bars_of, legend_below
from purity.studies.records import Evidence, Record, attacks, beside_eot, family, of_mean, per_image
from purity.studies.robustness import robustness


def dw_box(measured: list[Record]) -> pd.DataFrame:
    """Accuracy by what the attacker knows of ξ: nothing, its forward or its reverse part, all (DW-box).

    Columns as of `robustness`, and family: the attack, or the one that it is the EOT variant of; one for all that it is
    compared with.
    """
    table = robustness(measured)
    families = {r.keys["attack"]: family([r]) for r in measured}
    table.insert(table.columns.get_loc("attack") + 1, "family", table["attack"].map(families))
    return table


KNOWS = {
    "none": "nothing (white-box EOT)",
    "forward": "forward noise",
    "reverse": "reverse noise",
    "all": "all of ξ (DW-box)",
}


def draw_dw_box(table: pd.DataFrame) -> Figure:
    """Accuracy with 95 % intervals by what the attacker knows of ξ; a panel for each family of attacks."""
    table = all_seeds(table)
    families = [name for name in dict.fromkeys(table["family"]) if name != "clean"]
    figure, axes = plt.subplots(len(families), 1, figsize=(COLUMN, 1.6 * len(families) + 0.7), squeeze=False)
    for ax, name in zip(axes[:, 0], families, strict=True):
        part = table[table["family"] == name]
        part = part.assign(knows=pd.Categorical(part["knowledge"].map(KNOWS), list(KNOWS.values())))
        place = {purifier: k for k, purifier in enumerate(dict.fromkeys(part["purifier"]))}
        part = part.assign(place=part["purifier"].map(place)).sort_values(["place", "knows"])
        bars_of(ax, part.assign(knows=part["knows"].astype(str)), "purifier", "knows", "low", "high")
        clean = table[(table["family"] == "clean") & (table["judged"] == "fresh")].set_index("purifier")["mean"]
        for purifier, k in place.items():
            if purifier in clean:
                ax.hlines(clean[purifier], k - 0.45, k + 0.45, color="0.4", lw=0.8, ls="--")
        ax.set_title(f"{name} (protocol)" if part["protocol"].any() else name)
        ax.set(ylim=(0, 1), ylabel="accuracy (dashed: clean)")
    legend_below(figure, axes[0, 0], title="the attacker knows")
    return figure


QUANTITIES = ("dw-box-gap", "forward-gap", "reverse-gap", "part-minus-all")


def evidence(measured: list[Record]) -> Iterator[Evidence]:
    """dw-box-gap: accuracy under white-box EOT − under the same attack that knows all of ξ (DW-box). forward-gap,
    reverse-gap: white-box EOT − who knows that part. part-minus-all: who knows a part − who knows all."""
    made = attacks(measured)
    for case, known, eot in beside_eot(made, "all"):
        gap = per_image(eot, "correct_varying") - per_image(known, "correct_fixed")
        yield of_mean("dw-box-gap", case, gap, [*known, *eot])
        for part in ("forward", "reverse"):
            # where the part leaves nothing fresh, there is nothing to average over
            names = (eot[0].keys["attack"], known[0].keys["attack"])
            cells = [(known[0].keys["purifier"], name, part) for name in names]
            members = next((made[cell] for cell in cells if cell in made), None)
            if members:
                partly = per_image(members, "correct_partly")
                less = per_image(eot, "correct_varying") - partly
                yield of_mean(f"{part}-gap", case, less, [*eot, *members])
                more = partly - per_image(known, "correct_fixed")
                yield of_mean("part-minus-all", f"{case}, knows {part}", more, [*members, *known])
