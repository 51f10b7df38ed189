"""A search on functions whose fronts are known: it finds them, spends little on the poor, and is what its seed says."""

import numpy as np
import pytest

from purity import search

SPACE = {
    "sampler": ["ancestral", "implicit", "one-step"],
    "t": {"low": 10, "high": 400, "log": True},
    "steps": {"low": 1, "high": 20},
    "eta": {"low": 0.0, "high": 1.0},
    "forward": {"low": 0.0, "high": 1.0, "step": 0.25},
    "clip": True,
}


def toy(options, rung):
    """Both numbers depend on t alone: everyone is on the front, but `one-step` is worse in both."""
    worse = 0.3 * (options["sampler"] == "one-step")
    return 1 - options["t"] / 500 - worse, 1 - options["t"] / 450 + worse


def explored(measure=toy, candidates=40, **given):
    return search.explore(SPACE, measure, **{"candidates": candidates, "rungs": 2, "seed": 0} | given)


def test_the_seed_is_all_the_chance_there_is_and_a_longer_search_begins_like_a_shorter_one():
    short, again, long, other = explored(candidates=15), explored(candidates=15), explored(), explored(seed=1)
    assert short == again == long[:15] and other != long


def test_neither_generator_of_numpy_nor_of_python_is_touched():
    import random

    before = np.random.get_state()[1].copy(), random.getstate()
    explored(candidates=12)
    assert np.array_equal(np.random.get_state()[1], before[0]) and random.getstate() == before[1]


def test_the_poor_are_asked_about_few_images_and_the_front_about_all():
    asked = []

    def measure(options, rung):
        asked.append(rung)
        return toy(options, rung)

    found = explored(measure)
    poor = [c for c in found if c.options["sampler"] == "one-step"]
    assert asked.count(0) == 40 and asked.count(1) == sum(c.rung for c in found) < 40
    assert all(c.rung == 0 for c in poor[3:])  # until there are others to be beaten by
    best = search.front(found)
    assert best and all(found[k].rung == 1 and found[k].options["sampler"] != "one-step" for k in best)


def test_it_learns_where_good_ones_are():
    """Only large t is good in both. A third of uniform proposals in log t lie above 140; of the last ones, most do."""

    def measure(options, rung):
        return options["t"] / 400, 1 - options["t"] / 400

    ts = [c.options["t"] for c in explored(measure, candidates=60)]
    assert np.mean([t > 140 for t in ts[40:]]) > 0.6


@pytest.mark.parametrize(
    "options, same",
    [
        ({"sampler": "implicit", "eta": 0.12345, "scale": 0.5, "sigma": "small"}, {"eta": 0.123}),
        ({"sampler": "ancestral", "eta": 0.3, "scale": 0.5, "sigma": "small"}, {"scale": 0.5, "sigma": "small"}),
        ({"sampler": "ancestral", "scale": 0.0, "sigma": "small"}, {"scale": 0.0}),
        ({"sampler": "one-step", "steps": 9, "spacing": 2.0, "eta": 0.3}, {}),
        ({"sampler": "implicit", "steps": 30, "spacing": 2.0}, {"steps": 20}),
        ({"sampler": "implicit", "steps": 5, "spacing": 2.0}, {"steps": 5, "spacing": 2.0}),
        ({"sampler": "one-step", "mean": 1, "rounds": 2, "vote": 1}, {"rounds": 2}),
    ],
)
def test_a_member_has_one_name(options, same):
    assert search.canonical({"t": 20, **options}) == {"sampler": options["sampler"], "t": 20, **same}


def test_what_does_nothing_is_nothing_in_the_family_either(unet64, images):
    """The options that `canonical` leaves out change no bit of the member."""
    import torch

    from purity import family
    from purity.noise import Noise

    x, xi = images[:2].double(), Noise(0, torch.arange(2))
    for options in (
        {"sampler": "implicit", "t": 20, "steps": 3, "eta": 0.5, "sigma": "large", "scale": 0.5},
        {"sampler": "ancestral", "t": 20, "steps": 20, "spacing": 2.0, "eta": 0.7},
        {"sampler": "one-step", "t": 20, "steps": 7, "spacing": 2.0, "eta": 0.7, "scale": 0.3, "mean": 1, "rounds": 1},
    ):
        whole, bare = (family.member(unet64, **o)(x, xi) for o in (options, search.canonical(options)))
        assert torch.equal(whole, bare), options


def test_the_front_is_of_those_that_nobody_beats():
    def made(clean, alpha, rung=1, t=0):
        return search.Candidate({"t": t}, rung, clean, alpha)

    found = [
        made(0.9, 0.5, t=1),
        made(0.8, 0.3, t=2),
        made(0.8, 0.4, t=3),
        made(0.99, 0.1, rung=0),
        made(0.9, 0.5, t=1),
    ]
    assert search.front(found) == [0, 1]
    assert search.front([]) == []


def test_images_of_the_search_are_half_and_those_of_its_rungs_the_first_of_them():
    rows = search.selected(101)
    assert len(rows) == 51 and not set(rows) & set(np.arange(1, 101, 2))
    assert [len(search.rung_rows(rows, rung, 3)) for rung in range(3)] == [12, 25, 51]
    assert search.rung_rows(np.arange(2), 0, 4).tolist() == [0]
