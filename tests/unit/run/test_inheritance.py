"""Experiments like another one."""

import copy
from pathlib import Path

import pytest
import yaml

from purity.run.experiment import Experiment
from purity.run.inheritance import inherited, merged, seen_by

ROOT = Path(__file__).parents[3]

BASE = {"images": 6, "seeds": [0, 1], "attacked": {"ddpm": {"pgd": ["all"], "uniform": ["none"]}}}


def whole(**experiments) -> dict:
    return inherited({"experiments": {"base": BASE, **experiments}})["experiments"]


def test_an_experiment_has_all_that_it_does_not_say_itself():
    found = whole(more={"like": "base", "images": 12, "attacked": {"ddpm": {"uniform": None}}})
    assert found["base"] == BASE
    assert found["more"] == {
        "like": "base",
        "images": 12,
        "seeds": [0, 1],
        "attacked": {"ddpm": {"pgd": ["all"], "uniform": None}},
    }


def test_it_may_be_like_one_that_is_like_another():
    found = whole(b={"like": "a", "seeds": [7]}, a={"like": "base", "images": 3})
    assert (found["b"]["images"], found["b"]["seeds"]) == (3, [7])


@pytest.mark.parametrize(
    ("experiments", "line"),
    [
        ({"a": {"like": "nobody"}}, "experiments.a.like: there is no experiment 'nobody'"),
        ({"a": {"like": "a"}}, "experiments.a.like: from 'a' on, they go in a circle"),
        ({"a": {"like": "b"}, "b": {"like": "a"}}, "they go in a circle"),
    ],
)
def test_what_is_like_nothing_is_refused_by_name(experiments, line):
    with pytest.raises(ValueError, match=line):
        whole(**experiments)


def test_merging_changes_neither_side():
    below, above = {"a": {"b": [1]}, "c": 1}, {"a": {"d": [2]}}
    before = copy.deepcopy((below, above))
    found = merged(below, above)
    found["a"]["b"].append(3)
    found["a"]["d"].append(3)
    assert (below, above) == before


@pytest.fixture
def tiny():
    return yaml.safe_load((ROOT / "tests/tiny/config.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def config(tiny):
    said = {"like": "tiny", "presets": {"attacks": {"pgd": {"options": {"epsilon": 0.3}}}}}
    return inherited({**tiny, "experiments": {**tiny["experiments"], "strong": said}})


def test_a_preset_may_be_otherwise_in_one_experiment_only(config):
    of = {name: Experiment(seen_by(config, name), name) for name in ("tiny", "strong")}
    epsilon = {name: e.presets.attack("pgd")["options"]["epsilon"] for name, e in of.items()}
    assert epsilon == {"tiny": 0.14, "strong": 0.3}
    assert config["attacks"]["pgd"]["options"]["epsilon"] == 0.14
    assert of["strong"].purify("identity", "attacked", "00000-00005") == of["tiny"].purify(
        "identity", "attacked", "00000-00005"
    )  # what does not ask for ε is the same


def test_a_preset_that_there_is_not_is_refused(config):
    config["experiments"]["strong"]["presets"]["attacks"]["mine"] = {"options": {}}
    with pytest.raises(ValueError, match=r"experiments.strong.presets.attacks: there is no preset 'mine'"):
        seen_by(config, "strong")
