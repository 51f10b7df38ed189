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
