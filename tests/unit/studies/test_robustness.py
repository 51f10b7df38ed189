"""Accuracies by purifier, attack and knowledge from small records whose answers are known."""

import numpy as np
import pytest
from made_up import answers, keys, only

from purity import stats
from purity.studies import robustness as study
from purity.studies.drawing import label_of
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


# Gradients that vanish.


def seen(zero: list[float], fixed: list[int], seed=0, asked=2, non_finite=0.0, **named) -> Record:
    n = len(zero)
    of_gradients = {"gradients": [asked] * n, "zero_gradients": zero, "non_finite_gradients": [non_finite] * n}
    right = outcomes(seed, fixed, [fixed], **named)
    return right._replace(arrays=dict(right.arrays) | {name: np.array(value) for name, value in of_gradients.items()})


def test_images_that_are_right_because_the_attack_did_not_see_them_are_no_robustness():
    """40 images, 30 of them right, of 20 of these the gradients vanish: 50 % unseen, and 25 % left, far below the
    interval of 75 %. Where they vanish for fooled images, nothing is in doubt."""
    fixed = [1] * 30 + [0] * 10
    masked = only(study.robustness([seen([1.0] * 20 + [0.0] * 20, fixed)]), seed="all")
    assert masked["zero_gradients"] == 0.5 and masked["unseen"] == 0.5 and not masked["trustworthy"]
    fooled = only(study.robustness([seen([0.0] * 30 + [1.0] * 10, fixed)]), seed="all")
    assert fooled["zero_gradients"] == 0.25 and fooled["unseen"] == 0 and fooled["trustworthy"]


@pytest.mark.parametrize(("share", "non_finite", "lost"), [(0.5, 0.0, 0), (0.51, 0.0, 1), (0.3, 0.3, 1), (0.1, 0.3, 0)])
def test_an_image_is_unseen_if_more_than_half_of_its_gradients_is_of_no_use(share, non_finite, lost):
    row = only(study.robustness([seen([share] * 4, [1] * 4, non_finite=non_finite)]), seed="all")
    assert row["unseen"] == lost and row["trustworthy"] == (not lost)


def test_attacks_that_ask_for_no_gradients_say_nothing_about_them():
    made = study.robustness(
        [seen([np.nan] * 4, [1] * 4, asked=0, non_finite=np.nan), outcomes(0, [1], [[1]], attack="uniform")]
    )
    assert "unseen" not in made and "trustworthy" not in made


def test_the_evidence_has_the_worst_case_of_each_purifier_also_of_one_without_diffusion():
    records = [
        seen([0.0] * 4, [1] * 4, purifier="rounding", attack="bpda"),
        seen([1.0] * 4, [1, 1, 1, 0], purifier="rounding", attack="pgd"),
        seen([0.0] * 4, [1] * 4, purifier="ddpm"),
    ]
    found = [e for e in study.evidence(records) if e.quantity == "unseen-share"]
    assert [(e.case, e.mean) for e in found] == [("rounding, pgd, knows all", 0.75), ("ddpm, pgd, knows all", 0)]


def test_a_papers_attack_is_marked_as_one_and_says_so_in_the_figure():
    papers = answers(attack="pgd", knowledge="all", protocol=True)
    made = study.robustness([answers(attack="clean", knowledge="none"), answers(attack="standard"), papers])
    assert made.groupby("attack")["protocol"].unique().map(list).to_dict() == {
        "clean": [False],
        "standard": [False],
        "pgd": [True],
    }
    assert label_of(only(made, attack="pgd", seed="all")) == "pgd, knows all (protocol)"
    assert label_of(only(made, attack="standard", seed="all")) == "standard, knows all"


def test_what_knowing_is_worth_is_beside_the_same_attack_or_else_its_eot_variant():
    known = answers(attack="pgd", knowledge="all", fixed=[0, 0, 1])
    eot = answers(attack="pgd-eot", knowledge="none", fresh=[[1, 0, 1]])
    own = answers(attack="pgd", knowledge="none", fresh=[[1, 1, 1]])

    def gaps(*records):
        return [e.mean for e in study.evidence(list(records)) if e.quantity == "knowing-gap"]

    assert gaps(known, eot) == [pytest.approx(1 / 3)] and gaps(known, eot, own) == [pytest.approx(2 / 3)]
    assert gaps(known) == gaps(known, answers(purifier="ddim", attack="pgd-eot", knowledge="none")) == []
