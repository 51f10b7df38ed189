"""A search for purifiers that compress: what the law predicts of its candidates (Liu & Wei, the conclusion)."""

import json
from typing import NamedTuple

import numpy as np
import pandas as pd

from purity import search as searching
from purity import stats
from purity.studies.law import Sigmoid, fit
from purity.studies.records import Record, images_drawn, points_under_attack


class Prediction(NamedTuple):
    """The law as a predictor: its sigmoid, those of resampled images, and what the points lie off it."""

    sigmoid: Sigmoid
    again: list[Sigmoid]
    misfit: float

    def __call__(self, alpha: np.ndarray, error: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Robust accuracy at α (N,) with its standard error (N,), and the 95 % interval of what n images will show."""
        mean = self.sigmoid(alpha)
        of_fit = np.var([s(alpha) for s in self.again], axis=0)
        slope = (self.sigmoid(alpha + 1e-3) - self.sigmoid(alpha - 1e-3)) / 2e-3
        of_images = mean * (1 - mean) / n
        spread = np.sqrt(of_fit + self.misfit**2 + (slope * error) ** 2 + of_images)
        return mean, np.clip(mean - 1.96 * spread, 0, 1), np.clip(mean + 1.96 * spread, 0, 1)


def predictor(alpha: np.ndarray, robust: np.ndarray) -> Prediction:
    """The law through points (P, n), image by image; the misfit is what is left beyond their own spread."""
    points, n = alpha.shape
    whole = fit(alpha.mean(axis=1), robust.mean(axis=1), n)
    again = [fit(alpha[:, rows].mean(axis=1), robust[:, rows].mean(axis=1), n, whole) for rows in images_drawn(n, 60)]
    off = whole(alpha.mean(axis=1)) - robust.mean(axis=1)
    own = np.mean(robust.mean(axis=1) * (1 - robust.mean(axis=1))) / n
    misfit = np.sqrt(max(0.0, np.sum(off**2) / max(1, points - 3) - own))
    return Prediction(whole, again, float(misfit))


def law_points(probes: list[Record]) -> tuple[np.ndarray, np.ndarray]:
    """α and robustness (P, n) of purifiers that were attacked by who knows ξ, means over seeds."""
    members = [of_point for _, of_point in points_under_attack(probes)]
    alpha, robust = (
        np.stack([np.mean([r.arrays[name] for r in of_point], axis=0) for of_point in members])
        for name in ("alpha", "robust")
    )
    return alpha, robust


def search(found: list[Record], probes: list[Record]) -> pd.DataFrame:
    """Every candidate, what was measured of it, what the law predicts, and the place of those that are verified.

    clean and alpha are means over the n images asked about, of one half of all; predicted is the accuracy of who knows
    ξ, with an interval that covers images, the fit and what purifiers lie off the law. front: nobody beats it.
    """
    alpha, robust = law_points(probes)
    predict = predictor(alpha, robust)
    rows = []
    for record in found:
        members = json.loads(bytes(np.asarray(record.arrays["members"], np.uint8)))
        of_island = [
            searching.Candidate(options, int(rung), float(clean), float(a))
            for options, rung, clean, a in zip(
                members, record.arrays["rung"], record.arrays["clean"], record.arrays["alpha"], strict=True
            )
        ]
        right, alphas = np.asarray(record.arrays["right"]), np.asarray(record.arrays["alphas"])
        for k, candidate in enumerate(of_island):
            asked = np.isfinite(right[k])
            clean = stats.accuracy(right[k][asked][None])
            row = {"island": record.keys["island"], "number": k + 1, "options": json.dumps(candidate.options)}
            row |= {"sampler": candidate.options["sampler"], "t": candidate.options["t"], "rung": candidate.rung}
            row |= {
                "n": int(asked.sum()),
                "clean": clean["mean"],
                "clean_low": clean["low"],
                "clean_high": clean["high"],
            }
            row |= {"alpha": candidate.alpha, "alpha_error": alphas[k][asked].std(ddof=1) / np.sqrt(asked.sum())}
            rows.append(row)
    table = pd.DataFrame(rows)
    together = [
        searching.Candidate(json.loads(row.options), row.rung, row.clean, row.alpha) for row in table.itertuples()
    ]
    mean, low, high = predict(table["alpha"].to_numpy(), table["alpha_error"].to_numpy(), robust.shape[1])
    table = table.assign(predicted=mean, predicted_low=low, predicted_high=high, front=False)
    table.loc[searching.front(together), "front"] = True
    return _placed(table, [int(count) for count in found[0].arrays["wanted"]])


def _placed(table: pd.DataFrame, wanted: list[int]) -> pd.DataFrame:
    """role and place of the candidates that are verified: the best predicted of the front (then of all that were
    measured on all images), some others by chance, and those that the law calls poorest."""
    single = table.drop_duplicates("options")
    finished = single[single["rung"] == table["rung"].max()]
    of_front = finished.sort_values(["front", "predicted"], ascending=False, kind="stable").index[: wanted[0]]
    left = finished.index.difference(of_front)
    others = np.random.default_rng(0).permutation(left)[: wanted[1]]
    rest = single.drop(index=[*of_front, *others]).sort_values("predicted", kind="stable").index[: wanted[2]]
    of_roles = of_front, others, rest
    chosen = [row for rows in of_roles for row in rows]
    table = table.assign(role=None, place=np.nan)
    table.loc[chosen, "role"] = np.repeat(searching.ROLES, [len(rows) for rows in of_roles])
    table.loc[chosen, "place"] = range(len(chosen))
    return table
