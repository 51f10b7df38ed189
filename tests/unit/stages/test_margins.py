"""Margins before a flat boundary, where every number is known."""

import numpy as np
import pytest
from half_spaces import NORMAL, ROUNDING, before_the_plane, directions, half_space, perpendicular
from jobs import job

from purity.stages.margins import margins

COUNT = 30
LENGTH = np.random.default_rng(3).uniform(0.1, 3, COUNT)
MARGIN = np.random.default_rng(4).uniform(0.1, 1.5, COUNT)


def moved(batch: int = 100, reach: float = 5.0, unmoved: tuple = (), wrong: tuple = ()) -> tuple[dict, np.ndarray]:
    """The stage on anchors at distance MARGIN from the plane, moved by LENGTH at various angles to w; and w·u."""
    aside = perpendicular(directions(9, COUNT), np.broadcast_to(NORMAL, (COUNT, 1, 4, 4)))
    cosine = np.linspace(-0.5, 1, COUNT)
    c = cosine.reshape(-1, 1, 1, 1)
    anchor = before_the_plane(MARGIN, seed=8)
    purified = anchor + LENGTH.reshape(-1, 1, 1, 1) * (c * NORMAL + np.sqrt(1 - c**2) * aside)
    purified[list(unmoved)] = anchor[list(unmoved)]
    x0 = directions(10, COUNT)
    x = x0 + np.arange(COUNT).reshape(-1, 1, 1, 1) * directions(11, COUNT)
    y = np.zeros(COUNT, np.int64)
    y[list(wrong)] = 1
    arrays = (a.astype(np.float32) for a in (x, anchor, purified))
    found = margins(x0.astype(np.float32), y, *arrays, job=job(batch), classify=half_space, reach=reach)
    return found, cosine


def test_margins_before_a_plane_are_known():
    """Rounding as above; over w·u, times the distance of up to 5, since the direction has the error too."""
    found, cosine = moved()
    with np.errstate(divide="ignore"):
        wanted = np.where(cosine > 0, MARGIN / cosine, np.inf)
    near_reach = np.abs(wanted - 5) < 0.01
    assert not near_reach.any() and {True, False} == set(wanted < 5)
    wanted = np.where(wanted < 5, wanted, np.inf)
    assert found["threshold"] == pytest.approx(wanted, rel=1e-5)
    assert found["changes"].tolist() == np.isfinite(wanted).astype(int).tolist()
    assert found["length"] == pytest.approx(LENGTH, abs=ROUNDING)
    assert found["attack_length"] == pytest.approx(np.arange(COUNT), rel=1e-6, abs=1e-12)
    assert found["usable"].all()


def test_before_a_plane_an_image_is_robust_exactly_if_it_moved_less_than_its_threshold():
    found, _ = moved()
    assert np.abs(found["length"] - found["threshold"]).min() > 1e-3  # none on the boundary
    assert found["robust"].tolist() == (found["length"] < found["threshold"]).tolist()
    assert 5 < found["robust"].sum() < COUNT - 5


def test_beyond_reach_a_margin_is_infinite():
    near, far = moved(reach=1.0)[0], moved(reach=5.0)[0]
    assert (np.isinf(near["threshold"]) == (far["threshold"] > 1)).all() and np.isfinite(near["threshold"]).any()
    assert near["robust"].tolist() == far["robust"].tolist()


def test_margins_of_a_wrong_anchor_or_an_image_that_did_not_move_are_not_usable():
    found, _ = moved(unmoved=(2, 5), wrong=(7,))
    assert np.flatnonzero(~found["usable"]).tolist() == [2, 5, 7]
    assert found["threshold"][7] == 0 and found["length"][[2, 5]].tolist() == [0, 0]


@pytest.mark.parametrize("batch", [4, 7, 100])
def test_margins_do_not_depend_on_the_batch(batch):
    wanted, _ = moved(batch=COUNT)
    found, _ = moved(batch=batch)
    for key, value in wanted.items():
        assert found[key] == pytest.approx(value, rel=1e-5, abs=ROUNDING) and found[key].dtype == value.dtype, key


@pytest.mark.parametrize("batch", [1, COUNT - 1])
def test_a_block_of_margins_may_hold_a_single_image(batch):
    assert moved(batch=batch)[0]["length"] == pytest.approx(moved(batch=COUNT)[0]["length"], abs=ROUNDING)
