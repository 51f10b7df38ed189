"""Distances from small records whose answers are known."""

import numpy as np
import pandas as pd
import pytest
from made_up import (
    keys,
    only,
)

from purity import stats
from purity.report.comparison import compare
from purity.studies import distances as study
from purity.studies.records import Record


def measured(purifier="ddpm", attack="pgd", knowledge="all", seed=0, **arrays) -> Record:
    return Record(keys(purifier, attack, knowledge, seed), {name: np.array(value) for name, value in arrays.items()})


def test_distances_are_spread_over_images_before_and_after():
    arrays = {f"{m}_{w}": [1.0, 3.0] for m in ("l2", "linf", "ssim") for w in ("before", "after")}
    arrays["ssim_after"] = [0.5, np.nan]
    made = study.distances([measured(seed=0, **arrays), measured(seed=1, **arrays)])
    row = only(made, measure="l2", when="before", seed="all")
    assert (row["n"], row["mean"]) == (4, 2.0) and row["std"] == pytest.approx(np.std([1, 3, 1, 3], ddof=1))
    assert only(made, measure="ssim", when="after", seed=0)["n"] == 1
    assert not (made["measure"] == "frechet-classifier").any()


def test_a_frechet_distance_is_of_all_images_and_spread_over_seeds():
    arrays = {f"{m}_{w}": [1.0, 3.0, 2.0] for m in ("l2", "linf", "ssim") for w in ("before", "after")}
    of_seed = lambda seed, value: measured(seed=seed, **arrays, frechet_before=[0.0], frechet_after=[value])  # noqa: E731
    made = study.distances([of_seed(0, 1.0), of_seed(1, 2.0)])
    row = only(made, measure="frechet-classifier", when="after", seed="all")
    assert (row["mean"], row["n"], row["seeds"]) == (1.5, 3, 2) and row["std"] == pytest.approx(1 / np.sqrt(2))
    assert np.isnan(only(made, measure="frechet-classifier", when="after", seed=0)["std"])


def test_the_interval_of_a_frechet_distance_is_students_over_seeds_however_many_images_there_are():
    """Also where it is put beside a paper's: not that of as many values as there are images."""
    arrays = {f"{m}_{w}": np.ones(100) for m in ("l2", "linf", "ssim") for w in ("before", "after")}
    of = {0: 1.0, 1: 2.0, 2: 1.5}
    records = [measured(seed=s, **arrays, frechet_before=[0.0], frechet_after=[v]) for s, v in of.items()]
    made = study.distances(records)
    row = only(made, measure="frechet-classifier", when="after", seed="all")
    assert (row["low"], row["high"]) == pytest.approx(stats.mean_interval(np.array(list(of.values())))[1:])
    printed = {"setting": "s", "source": "x", "table": "1", "row": "r", "column": "c", "remark": ""}
    printed |= {"purifier": "ddpm", "attack": "pgd", "knowledge": "all", "measure": "frechet-classifier"}
    reference = pd.DataFrame([printed | {"when": "after", "printed": 1.0, "std": 0.1, "unit": 1}])
    (beside,) = compare(made, reference, "s", ["ddpm"], ["pgd"]).itertuples()
    assert (beside.low, beside.high) == (row["low"], row["high"]) and beside.high - beside.low > 1


def test_what_ddim_brings_closer_is_compared_with_the_others_seed_by_seed():
    def records(purifier, falls):
        return [
            measured(purifier, "pgd", "none", s, frechet_before=[1.0 + s], frechet_after=[1.0 + s - fall], **ONES)
            for s, fall in enumerate(falls)
        ]

    found = list(study.evidence([*records("ddim", [0.5, 0.6, 0.7]), *records("ddpm", [0.1, 0.1, 0.1])]))
    (gap,) = [e for e in found if e.quantity == "ddim-frechet-gap"]
    assert (gap.case, gap.n) == ("ddim beside ddpm, pgd", 3) and gap.mean == pytest.approx(-0.5)
    assert gap.cells == "ddim/pgd/none ddpm/pgd/none"


ONES = {f"{m}_{w}": np.ones(4) for m in ("l2", "linf", "ssim") for w in ("before", "after")}
