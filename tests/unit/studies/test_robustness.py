"""Accuracies by purifier, attack and knowledge from small records whose answers are known."""

import numpy as np
import pytest
from made_up import keys, only

from purity import stats
from purity.studies import robustness as study
from purity.studies.records import Record


def measured(purifier="ddpm", attack="pgd", knowledge="all", seed=0, **arrays) -> Record:
    return Record(keys(purifier, attack, knowledge, seed), {name: np.array(value) for name, value in arrays.items()})


def outcomes(seed: int, fixed: list[int], varying: list[list[int]], **named) -> Record:
    right = {"correct_fixed": fixed, "correct_varying": varying}
    right |= {"correct_partly": named.pop("partly")} if "partly" in named else {}
    return measured(seed=seed, **named, **{name: np.array(of, bool) for name, of in right.items()})


def test_an_accuracy_is_the_share_of_right_answers_per_seed_and_over_all():
    made = study.robustness([outcomes(0, [1, 1, 0, 0], [[1, 1, 1, 1]]), outcomes(1, [1, 0, 0, 0], [[0, 0, 0, 0]])])
    assert [only(made, seed=seed)["mean"] for seed in (0, 1, "all")] == [0.5, 0.25, 0.375]
    together = only(made, seed="all")
    assert (together["n"], together["seeds"]) == (4, 2)
    assert together["std"] == pytest.approx(0.25 / np.sqrt(2))  # over the two seeds
    stacked = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool)
    assert (together["low"], together["high"]) == stats.share_interval(stacked)


def test_fresh_draws_of_one_seed_are_counted_together_and_the_spread_is_over_seeds():
    records = [
        outcomes(0, [1, 1], [[1, 1], [1, 0]], knowledge="none"),
        outcomes(1, [1, 1], [[0, 0], [1, 0]], knowledge="none"),
    ]
    together = only(study.robustness(records), seed="all")
    assert together["mean"] == 0.5 and together["std"] == pytest.approx(0.5 / np.sqrt(2))  # of .75 and .25
    assert only(study.robustness(records), seed=0)["mean"] == 0.75


@pytest.mark.parametrize(
    ("attack", "knowledge", "judged"),
    [
        ("clean", "none", {"fresh", "fixed"}),
        ("pgd", "none", {"fresh"}),
        ("pgd", "all", {"fixed"}),
        ("pgd", "forward", {"rest-fresh"}),
        ("pgd", "reverse", {"rest-fresh"}),
    ],
)
def test_an_attack_is_judged_as_its_knowledge_means_it(attack, knowledge, judged):
    right = outcomes(0, [1, 1], [[0, 0]], partly=[[0, 1]], attack=attack, knowledge=knowledge)
    made = study.robustness([right])
    assert set(made["judged"]) == judged
    assert {(j, m) for j, m in zip(made["judged"], made["mean"], strict=True)} <= {
        ("fixed", 1.0),
        ("fresh", 0.0),
        ("rest-fresh", 0.5),
    }


def test_one_seed_has_no_spread():
    made = study.robustness([outcomes(0, [1, 0], [[1, 0]])])
    assert np.isnan(only(made, seed="all")["std"]) and only(made, seed="all")["seeds"] == 1
