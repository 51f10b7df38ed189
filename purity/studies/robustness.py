"""Accuracy by what the attacker knows of ξ (Liu & Wei §4, Tables 2, 3; earlier version §4.2)."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity.studies.drawing import COLUMN, FILLED, all_seeds, dots_of, height_of_dots, label_of
from purity.studies.records import (
    ATTACKED,
    JUDGED,
    Attacks,
    Evidence,
    Record,
    attacks,
    beside_eot,
    grouped,
    is_protocol,
    judged_rows,
    of_mean,
    of_process,
    per_image,
    unseen_though_right,
    with_diffusion,
)


def robustness(measured: list[Record]) -> pd.DataFrame:
    """Accuracy by purifier, attack and what the attacker knows (Liu & Wei Tables 2, 3).

    Attacks are judged as their knowledge means it (JUDGED), clean images under a fresh ξ and under the fixed one. Of
    attacks that ask for gradients the table says whether these were worth anything (judged_rows). protocol: the attack
    is as the papers have it, to be compared with their numbers.
    """
    rows = []
    for keys, members in grouped(measured, ATTACKED):
        for knowledge in ("none", "all") if keys["attack"] == "clean" else (keys["knowledge"],):
            judged, name = JUDGED[knowledge]
            rows += judged_rows(keys | {"judged": judged} | is_protocol(members), members, name)
    return pd.DataFrame(rows)


def draw_robustness(table: pd.DataFrame) -> Figure:
    """Accuracy with 95 % intervals, by purifier, attack and knowledge."""
    table = all_seeds(table)
    table = table[(table["attack"] != "clean") | (table["judged"] == "fresh")]
    table["attacked by"] = table.apply(label_of, axis=1)
    table["filling"] = table["knowledge"].map(FILLED)
    clean_first = table.sort_values("attack", key=lambda a: a != "clean", kind="stable")
    figure, ax = plt.subplots(figsize=(COLUMN, height_of_dots(table)))
    dots_of(ax, clean_first, "attacked by", "filling", "low", "high")
    ax.set(xlim=(0, 1), xlabel="accuracy, 95 % interval")
    return figure


QUANTITIES = (
    "knowing-gap",
    "clean-gap",
    "eot-gap",
    "knowing-minus-eot",
    "bpda-gap",
    "unseen-share",
    "reverse-robust-gap",
    "ddim-robust-gap",
)


def evidence(measured: list[Record]) -> Iterator[Evidence]:
    """Differences of accuracies, image by image.

    knowing-gap: who knows nothing − who knows ξ, by the same attack or, where that needs to know ξ, by its EOT variant.
    clean-gap: clean images, fresh ξ − fixed ξ. eot-gap: an attack that knows nothing − its EOT variant;
    knowing-minus-eot: the attack that knows ξ − that variant. bpda-gap: BPDA − the same attack with full gradients.
    unseen-share: images that count as robust though the attack's gradients vanished, in the case of each purifier (of
    any kind) where they are the most. reverse-robust-gap: who knows ξ, reverse − ddpm; ddim-robust-gap: ddim − another.
    """
    made = attacks(measured)
    for (purifier, attack, knowledge), known in made.items():
        unknown = made.get((purifier, attack, "none")) or _eot(made, purifier, attack)
        if knowledge == "all" and unknown:
            gap = per_image(unknown, "correct_varying") - per_image(known, "correct_fixed")
            yield of_mean("knowing-gap", f"{purifier}, {attack}", gap, [*known, *unknown])
    for keys, members in grouped(with_diffusion(measured), ATTACKED):
        if keys["attack"] == "clean":
            gap = per_image(members, "correct_varying") - per_image(members, "correct_fixed")
            yield of_mean("clean-gap", keys["purifier"], gap)
    for quantity, knowledge in (("eot-gap", "none"), ("knowing-minus-eot", "all")):
        for case, members, eot in beside_eot(made, knowledge):
            gap = per_image(members, JUDGED[knowledge][1]) - per_image(eot, "correct_varying")
            yield of_mean(quantity, case, gap, [*members, *eot])
    for (purifier, attack, knowledge), members in made.items():
        twin = members[0].keys.get("twin_of")
        if twin and (full := made.get((purifier, twin, knowledge))):
            _, name = JUDGED[knowledge]
            case = f"{purifier}, {attack}, knows {knowledge}"
            # that the twin is weak is what is asked
            yield of_mean("bpda-gap", case, per_image(members, name) - per_image(full, name), full)
    for purifier, case, unseen in _least_seen(measured):
        yield of_mean("unseen-share", f"{purifier}, {case}", unseen)
    for process in ("reverse", "ddim"):
        for case, members, others in of_process(made, process, "all"):
            if process == "ddim" or others[0].keys.get("process") == "ddpm":
                gap = per_image(members, "correct_fixed") - per_image(others, "correct_fixed")
                yield of_mean(f"{process}-robust-gap", case, gap, [*members, *others])


def _least_seen(measured: list[Record]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Of each purifier the attack that saw the fewest of the images that count as robust: purifier, case, (n,)."""
    asking = [r for r in measured if "gradients" in r.arrays and r.arrays["gradients"].any()]
    for of_purifier, records in grouped(asking, ("purifier",)):
        cases = {}
        for keys, members in grouped(records, ("attack", "knowledge")):
            case = f"{keys['attack']}, knows {keys['knowledge']}"
            cases[case] = unseen_though_right(members, JUDGED[keys["knowledge"]][1])
        least = max(cases, key=lambda case: cases[case].mean())
        yield of_purifier["purifier"], least, cases[least]


def _eot(made: Attacks, purifier: str, attack: str) -> list[Record] | None:
    """Records of the attack's EOT variant, which knows nothing of ξ."""
    variants = (
        m for (p, _, k), m in made.items() if (p, k) == (purifier, "none") and m[0].keys.get("eot_of") == attack
    )
    return next(variants, None)
