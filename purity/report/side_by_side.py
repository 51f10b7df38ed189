"""Two experiments side by side, paired by image: what an option, a network or a purifier changes."""

import numpy as np
import pandas as pd

from purity import stats
from purity.run.experiment import Cell
from purity.studies.records import ATTACKED, JUDGED, Record, grouped, in_doubt, per_image

# what is compared of a cell: the array of a measure, and its name; of clean images only the first
MEASURES = {
    "alpha": "compression rate α",
    "l2_after": "ℓ2 to clean after purification",
    "linf_after": "ℓ∞ to clean after purification",
    "ssim_after": "SSIM with clean after purification",
}


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
