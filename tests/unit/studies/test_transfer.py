"""Transfer and correlations of attacks from small records whose answers are known."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from made_up import keys, only

from purity.studies import drawing
from purity.studies import transfer as study
from purity.studies.records import Record

X0 = np.full((2, 1, 4, 4), 0.5)


def measured(purifier="ddpm", attack="pgd", knowledge="all", seed=0, **arrays) -> Record:
    return Record(keys(purifier, attack, knowledge, seed), {name: np.array(value) for name, value in arrays.items()})


def outcomes(seed: int, fixed: list[int], varying: list[list[int]], **named) -> Record:
    right = {"correct_fixed": fixed, "correct_varying": varying}
    right |= {"correct_partly": named.pop("partly")} if "partly" in named else {}
    return measured(seed=seed, **named, **{name: np.array(of, bool) for name, of in right.items()})


def perturbed(*eta: np.ndarray, **named) -> Record:
    return Record(keys(**named), {"x": X0 + 0.1 * np.stack(eta)})


def pattern(i: int) -> np.ndarray:
    """Walsh functions: (1, 4, 4), of mean zero, norm 1, orthogonal to one another."""
    signs = np.array([(-1) ** bin(i & j).count("1") for j in range(16)])
    return signs.reshape(1, 4, 4) / 4


def test_correlations_are_over_all_pairs_of_different_seeds():
    """Perturbations that share a pattern with weight c have correlation c."""
    c = 0.3
    mixed = c * pattern(1) + np.sqrt(1 - c**2) * pattern(2)
    fixed = [perturbed(pattern(1), pattern(1), purifier="ddpm", attack="pgd", knowledge="all", seed=0)]
    fixed += [perturbed(mixed, -mixed, purifier="ddpm", attack="pgd", knowledge="all", seed=1)]
    eot = [perturbed(pattern(3), pattern(3), purifier="ddpm", attack="eot", knowledge="none", seed=0)]
    eot += [perturbed(pattern(1), pattern(1), purifier="ddpm", attack="eot", knowledge="none", seed=1)]
    made = study.transfer([], fixed + eot, [Record({}, {"x": X0})])
    same = only(made, attack="pgd", other="pgd")
    assert same["seeds"] == 1 and same["n"] == 2  # one pair of seeds, two images
    assert same["mean"] == pytest.approx(0, abs=1e-12) and same["std"] == pytest.approx(2 * c / np.sqrt(2))  # c and −c
    across = only(made, attack="eot", other="pgd")
    assert across["seeds"] == 2 and across["n"] == 4
    assert across["mean"] == pytest.approx((0 + 0 + 1 + 1) / 4)  # seed 0 with 1: 0, seed 1 with 0: 1
    assert len(made) == 2  # nothing is compared with an attack that does not know ξ


def test_purifiers_are_not_compared_with_each_other():
    records = [
        perturbed(pattern(1), pattern(2), purifier=purifier, attack="pgd", knowledge="all", seed=seed)
        for purifier in ("ddpm", "ddim")
        for seed in (0, 1, 2)
    ]
    made = study.transfer([], records, [Record({}, {"x": X0})])
    assert made["purifier"].tolist() == ["ddpm", "ddim"] and made["seeds"].tolist() == [3, 3]
    assert made["mean"].to_numpy() == pytest.approx([1, 1])


def test_one_seed_has_no_pairs():
    record = perturbed(pattern(1), pattern(2), purifier="ddpm", attack="pgd", knowledge="all", seed=0)
    assert study.transfer([], [record], [Record({}, {"x": X0})]).empty


def test_what_knows_the_randomness_is_judged_under_it_and_under_another():
    records = [outcomes(0, [0, 0], [[1, 1]], knowledge="all"), outcomes(0, [0, 0], [[1, 0]], knowledge="none")]
    records += [outcomes(0, [1, 1], [[1, 1]], attack="clean", knowledge="none")]
    made = study.transfer(records, [], [Record({}, {"x": X0})])
    assert only(made, knowledge="all", judged="fixed", seed="all")["mean"] == 0.0
    assert only(made, knowledge="all", judged="fresh", seed="all")["mean"] == 1.0
    assert only(made, knowledge="none", judged="fresh", seed="all")["mean"] == 0.5
    assert len(made) == 6 and "clean" not in set(made["attack"])


def test_who_knows_nothing_attacks_in_the_same_way_or_else_by_the_eot_variant():
    """Bars are of the attack that knows ξ, and of one that does not: itself, where it was made for both."""
    clean = [Record({}, {"x": X0})]
    known, eot = (
        outcomes(0, [0, 0], [[1, 0]], attack=a, knowledge=k) for a, k in (("pgd", "all"), ("pgd-eot", "none"))
    )
    own = outcomes(0, [0, 0], [[1, 1]], attack="pgd", knowledge="none")
    for records, heights in (([known, eot], [0, 0.5, 0.5]), ([known, eot, own], [0, 0.5, 1])):
        made = study.transfer(records, [], clean)
        assert set(made["family"]) == {"pgd"}
        with drawing.style():
            figure = study.draw_transfer(made)
        bars = [bar.get_height() for bar in figure.axes[0].patches if np.isfinite(bar.get_height())]
        assert sorted(bars) == heights
        plt.close(figure)
