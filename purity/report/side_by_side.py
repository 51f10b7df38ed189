"""Two experiments side by side, paired by image: what an option, a network or a purifier changes."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from purity import stats
from purity.run.experiment import Cell, Experiment
from purity.studies.records import ATTACKED, JUDGED, Record, grouped, in_doubt, per_image

# what is compared of a cell: the array of a measure, and its name; of clean images only the first
MEASURES = {
    "alpha": "compression rate α",
    "l2_after": "ℓ2 to clean after purification",
    "linf_after": "ℓ∞ to clean after purification",
    "ssim_after": "SSIM with clean after purification",
}


def shared(one: Experiment, other: Experiment) -> list[Cell]:
    """What both attack, in the order of the first: purifier, attack and knowledge of the same names.

    ValueError if they do not show the same images, or share no attacked purifier: then nothing can be paired.
    """
    if one.name == other.name:
        raise ValueError(f"'{one.name}' beside itself: name two experiments")
    first, second = (e.presets.dataset(e.said["dataset"]) for e in (one, other))
    if first != second:
        raise ValueError(
            f"'{one.name}' and '{other.name}' have other images (dataset {one.said['dataset']} and "
            f"{other.said['dataset']}): they cannot be paired"
        )
    cells = [cell for cell in one.cells("attacked") if cell in other.cells("attacked")]
    if all(cell.attack == "clean" for cell in cells):
        raise ValueError(f"'{one.name}' and '{other.name}' have no attacked purifier in common: nothing can be paired")
    return cells


def differences(one: Experiment, other: Experiment) -> list[tuple[str, str, str]]:
    """(key, value here, value there) of all that differs in what both say, and in the presets of what both attack."""
    names: dict[str, set[str]] = {"purifiers": set(), "attacks": set()}
    for cell in shared(one, other):
        names["purifiers"].add(cell.purifier)
        names["attacks"] |= {cell.attack} - {"clean"}
    sides = []
    for e in (one, other):
        said = {key: value for key, value in e.said.items() if key not in ("like", "presets")}
        presets = {group: {name: e.config[group][name] for name in sorted(of)} for group, of in names.items()}
        sides.append(dict(_flat(said | presets)))
    keys = [key for key in dict.fromkeys([*sides[0], *sides[1]]) if sides[0].get(key) != sides[1].get(key)]
    return [(key, str(sides[0].get(key, "–")), str(sides[1].get(key, "–"))) for key in keys]


def _flat(value: dict, above: str = "") -> Iterator[tuple[str, object]]:
    for key, one in value.items():
        if isinstance(one, dict) and one:
            yield from _flat(one, f"{above}{key}.")
        else:
            yield f"{above}{key}", one


def paired(one: list[Record], other: list[Record], cells: list[Cell], images: int) -> pd.DataFrame:
    """A row for each cell and measure: the means of both experiments, and other − one, image by image.

    Of the first `images`, which both have; seeds and fresh draws of each are averaged before. low … high is the 95 %
    interval of the mean difference over images (Student); difference is NaN where no image has both values.
    """
    rows = []
    first, second = ({tuple(k.values()): m for k, m in grouped(records, ATTACKED)} for records in (one, other))
    for cell in cells:
        _, name = JUDGED[cell.knowledge]
        measures = {name: "accuracy"} | (MEASURES if cell.attack != "clean" else {})
        for array, measure in measures.items():
            here, there = (per_image(side[tuple(cell)], array)[:images] for side in (first, second))
            both = np.isfinite(here) & np.isfinite(there)
            mean, low, high = stats.mean_interval((there - here)[both])
            n = int(both.sum())
            if measure == "accuracy":
                low, high = in_doubt(mean, low, high, n)
            row = {"measure": measure, "n": n, "one": _mean(here[both]), "other": _mean(there[both])}
            rows.append(cell._asdict() | row | {"difference": mean, "low": low, "high": high})
    return pd.DataFrame(rows)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
