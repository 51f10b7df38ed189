"""Distances from small records whose answers are known."""

import numpy as np
import pytest
from made_up import (
    keys,
    only,
)

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
