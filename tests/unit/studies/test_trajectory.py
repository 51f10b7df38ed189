"""Trajectories from small records whose answers are known."""

import numpy as np
import pytest
from made_up import (
    keys,
)

from purity.studies import trajectory as study
from purity.studies.records import Record


def measured(purifier="ddpm", attack="pgd", knowledge="all", seed=0, **arrays) -> Record:
    return Record(keys(purifier, attack, knowledge, seed), {name: np.array(value) for name, value in arrays.items()})


def test_a_trajectory_has_a_row_for_each_state_over_all_seeds():
    record = lambda seed, shift: measured(  # noqa: E731
        seed=seed,
        path_time=[0, 50, 100],
        path_l2=np.array([[1, 3], [4, 6], [2, 2]]) + shift,
        path_linf=np.zeros((3, 2)),
    )
    made = study.trajectory([record(0, 0), record(1, 2)])
    l2 = made[made["distance"] == "l2"]
    assert l2["time"].tolist() == [0, 50, 100] and l2["step"].tolist() == [0, 1, 2]
    assert l2["mean"].tolist() == [3, 6, 3]  # of (1, 3, 3, 5), (4, 6, 6, 8), (2, 2, 4, 4)
    assert l2["n"].tolist() == [4, 4, 4] and set(l2["seeds"]) == {2}
    assert l2["std"].iloc[2] == pytest.approx(np.std([2, 2, 4, 4], ddof=1))


def ways(attack: str, l2: np.ndarray, blind=False, knowledge="none") -> list[Record]:
    """A way through ddpm, l2 (S, n), as its purified images and as its measures have it."""
    record = measured(attack=attack, knowledge=knowledge, path_l2=l2, l2_before=l2[0], l2_after=l2[-1])
    return [Record(record.keys | {"blind": blind}, record.arrays)]


def path_difference(pgd: np.ndarray, noise: np.ndarray):
    made = [*ways("uniform", noise, blind=True), *ways("uniform-x4", 4 * noise, blind=True), *ways("pgd", pgd)]
    (found,) = [e for e in study.evidence(made, made) if e.quantity == "path-difference"]
    return found


def test_ways_differ_by_what_is_left_of_them_at_every_state_and_not_in_the_mean():
    """Two tenths above, then two tenths below that of the smallest noise: a mean would see no difference."""
    noise = np.tile(np.array([[1.0], [8.0], [4.0], [4.0]]), (1, 40))
    found = path_difference(noise * np.array([[1.2], [0.8], [1.2], [0.8]]), noise)
    assert (found.mean, found.low, found.high) == pytest.approx((0.2, 0.2, 0.2))
    assert (found.case, found.n) == ("ddpm, pgd, knows none", 40)


def test_ways_that_differ_by_chance_alone_are_the_same():
    generator = np.random.default_rng(0)
    noise, other = 5 + 0.5 * generator.standard_normal((2, 12, 100))
    found = path_difference(other, noise)
    assert found.low == 0 and found.high < 0.027
