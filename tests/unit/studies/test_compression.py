"""Compression rates from small records whose answers are known."""

import numpy as np
import pytest
from made_up import experiment, keys, only

from purity.studies import compression as study
from purity.studies.records import Record


def measured(purifier="ddpm", attack="pgd", knowledge="all", seed=0, **arrays) -> Record:
    return Record(keys(purifier, attack, knowledge, seed), {name: np.array(value) for name, value in arrays.items()})


def test_compression_is_split_by_outcome():
    records = [
        measured(seed=0, alpha=[1.0, 2.0, 3.0], correct_fixed=np.array([1, 1, 0], bool)),
        measured(seed=1, alpha=[4.0, 5.0, 6.0], correct_fixed=np.array([0, 0, 0], bool)),
    ]
    made = study.compression(records)
    means = {o: only(made, measure="alpha", outcome=o, seed="all")["mean"] for o in ("any", "robust", "fooled")}
    assert means == {"any": 3.5, "robust": 1.5, "fooled": 4.5}
    nobody = only(made, measure="alpha", outcome="robust", seed=1)
    assert nobody["n"] == 0 and np.isnan(nobody["mean"])
    assert only(made, measure="alpha", outcome="robust", seed="all")["n"] == 2
    assert only(made, measure="accuracy", seed="all")["mean"] == pytest.approx(1 / 3)


def test_the_outcomes_together_are_all_images():
    made = study.compression(experiment({"ddpm": {"pgd": ["all"]}}, [0, 1])["measured"])
    for seed in (0, 1, "all"):
        row = {o: only(made, measure="alpha", outcome=o, seed=seed) for o in ("any", "robust", "fooled")}
        assert row["any"]["n"] == row["robust"]["n"] + row["fooled"]["n"]
        total = sum(row[o]["n"] * row[o]["mean"] for o in ("robust", "fooled"))
        assert row["any"]["n"] * row["any"]["mean"] == pytest.approx(total)


def test_what_does_not_know_the_randomness_is_not_split_and_clean_images_have_no_rate():
    made = study.compression(experiment({"ddpm": {"uniform": ["none"], "pgd": ["none"]}}, [0])["measured"])
    assert set(made["outcome"]) == {"any"} and set(made["attack"]) == {"uniform", "pgd"}
    assert dict(zip(made["attack"], made["blind"], strict=True)) == {"uniform": True, "pgd": False}
