"""What a job is given: parts that were tried on a few images first, and are protected for all of it."""

import importlib
import sys
from types import SimpleNamespace

import broken_parts as parts
import numpy as np
import pytest
import torch
from jobs import job

from purity import attacks, data
from purity.run.progress import Done
from purity.stages import arguments
from purity.stages.arguments import Blind, Sighted

X, Y, IDS = data.digits("test", 6)
ARRAYS = {"x0": X, "y": Y, "ids": IDS}
NOISE = {"seed": 0, "seeding": "address"}
CNN = {"network": "purity.networks:cnn", "options": {"width": 8, "features": 8}}
NOISY = {"name": "noisy", "make": "broken_parts:made", "options": {"part": "noisy"}, "diffusion": None}


class Inputs(SimpleNamespace):
    def get(self, name):
        return getattr(self, name, None)


def sighted() -> Sighted:
    return Sighted(Inputs(classifier=[]), job())


def spec(run: str, options: dict, **more) -> dict:
    attack = {"run": run, "options": options}
    return {"attack": attack, "keys": {"attack": "mine"}, "noise": NOISE, "classifier": CNN} | more


def refusal(given, name: str, of: dict, *words: str) -> None:
    with pytest.raises(ValueError) as error:
        given(name, of, ARRAYS)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(("name", "rule"), [("own_start", "#repeats"), ("of_the_whole_batch", "#rows")])
def test_an_attack_of_ones_own_is_tried_before_a_job_begins(name, rule):
    """Where no single call tells."""
    mine = spec(f"broken_parts:{name}", {"epsilon": 0.15}, purifier=NOISY)
    refusal(sighted(), "attack", mine, "attack 'mine'", rule)


def test_an_attack_on_the_classifier_alone_is_tried_on_it():
    refusal(sighted(), "attack", spec("broken_parts:of_the_whole_batch", {"epsilon": 0.15}), "attack 'mine'", "#rows")


def test_a_blind_attack_is_tried_without_a_defence():
    refusal(Blind(), "attack", spec("broken_parts:own_start", {"epsilon": 0.15}), "attack 'mine'", "#repeats")


def test_an_attack_that_works_on_whole_batches_may_depend_on_them():
    mine = spec("broken_parts:of_the_whole_batch", {"epsilon": 0.15}, purifier=NOISY, batch=4)
    assert sighted()("attack", mine, ARRAYS).options == {"epsilon": 0.15}


def test_an_attack_is_tried_once_with_few_steps_and_run_with_all(monkeypatch):
    seen = []

    def slow(defence, x, y, noise, progress, *, steps):
        seen.append(steps)
        return x

    monkeypatch.setattr(parts, "slow", slow, raising=False)
    given, mine = Blind(), spec("broken_parts:slow", {"steps": 40})
    for _ in range(2):  # two parts of a store
        attack = given("attack", mine, ARRAYS)
    assert set(seen) == {2} and len(seen) == 3 and attack.options == {"steps": 40}


def test_an_attack_of_the_package_is_not_tried_again(monkeypatch):
    monkeypatch.setattr(arguments.contract, "check_attack", lambda *given, **options: pytest.fail("it is tried"))
    options = {"epsilon": 0.1, "steps": 2, "relative_step": 0.5}
    made = sighted()("attack", spec("purity.attacks:pgd", options, purifier=NOISY), ARRAYS)
    assert made.options == options and made.run is not attacks.pgd  # but protected


def test_parts_that_change_while_a_job_runs_are_refused_at_its_end_and_what_it_did_is_forgotten(monkeypatch, tmp_path):
    """Even if it is gone on with: what lies there hangs on the time."""
    tired = parts.Tiring(10**9)
    monkeypatch.setattr(parts, "tired", tired, raising=False)
    mine = {"purifier": NOISY | {"options": {"part": "tired"}}, "noise": NOISE}
    done = Done(tmp_path / "made", {})
    given = Sighted(Inputs(classifier=[]), job(done=done))
    given("purify", mine, ARRAYS)
    given.end()
    done.add(np.arange(2), {"x": X[:2]})
    assert list(done.parts())
    tired.calls = 0
    with pytest.raises(ValueError, match=r"purifier 'noisy' differs when repeated.*#repeats"):
        given.end()
    assert not list(done.parts())


def test_features_are_tried_and_protected(monkeypatch):
    features = {"network": "broken_parts:made", "options": {"part": "reading"}}
    monkeypatch.setattr(parts, "reading", lambda x: x.sub_(0.1).flatten(1), raising=False)
    refusal(sighted(), "features", {"features": features}, "changes the images", "#copies")
    monkeypatch.setattr(parts, "reading", lambda x: x.flatten(1), raising=False)
    made = sighted()("features", {"features": features}, ARRAYS)
    assert np.array_equal(made(torch.from_numpy(X)), X.reshape(6, -1))
    assert sighted()("features", {"features": None}, ARRAYS) is None


def test_what_a_function_raises_when_it_makes_a_part_is_one_line_that_names_it():
    broken = NOISY | {"make": "broken_parts:cannot_be_made", "options": {}}
    refusal(
        sighted(), "purify", {"purifier": broken, "noise": NOISE}, "purifier 'noisy' cannot be made: KeyError", "#made"
    )


DRAWN = """
import numpy as np
import torch
from torch.nn import functional as F

SHIFT = torch.from_numpy(np.random.default_rng({seed}).uniform(0, 0.1, (1, 8, 8)).astype("float32"))


def imported():
    return lambda x, xi: (x + SHIFT).clamp(0, 1)


def made():
    drawn = torch.from_numpy(np.random.default_rng({seed}).uniform(0, 0.1, (1, 8, 8)).astype("float32"))
    return lambda x, xi: (x + drawn).clamp(0, 1)


def logits():
    return lambda x: 100 * F.pad((x - SHIFT).flatten(1)[:, :9], (0, 1))


def attack(defence, x, y, noise, progress, *, epsilon):
    return (x + epsilon * (2 * (SHIFT > 0.05).to(x) - 1)).clamp(0, 1)
"""


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Two modules of somebody's own: draw(seed) writes one that draws and one that imports it from there."""

    def draw(seed):
        (tmp_path / "drawn.py").write_text(DRAWN.format(seed=seed), encoding="utf-8")
        (tmp_path / "of_drawn.py").write_text("from drawn import attack, imported, logits, made\n", encoding="utf-8")
        return "of_drawn"

    monkeypatch.syspath_prepend(tmp_path)
    yield draw
    for name in ("drawn", "of_drawn"):
        sys.modules.pop(name, None)


def asked(name: str, module: str):
    """A part by its kind, from a module of somebody's own."""
    if name in ("imported", "made"):
        mine = {"name": "mine", "make": f"{module}:{name}", "options": {}, "diffusion": None}
        return sighted()("purify", {"purifier": mine, "noise": NOISE}, ARRAYS)
    if name == "logits":
        mine = {"network": f"{module}:logits", "options": {}}
        return sighted()("classify", {"classifier": mine}, ARRAYS)
    return sighted()("attack", spec(f"{module}:attack", {"epsilon": 0.15}, purifier=NOISY), ARRAYS)


@pytest.mark.parametrize("name", ["imported", "made", "logits", "attack"])
def test_a_part_that_draws_when_it_is_made_or_imported_is_refused(name, drawn):
    """No call within one process tells: each job has another one."""
    with pytest.raises(ValueError, match=r"differs when made anew.*contract\.md#anew"):
        asked(name, drawn(""))


@pytest.mark.parametrize("name", ["imported", "made", "logits", "attack"])
def test_a_part_that_draws_from_a_seed_is_the_same_in_every_job(name, drawn):
    module = drawn(3)
    before = importlib.import_module("drawn")
    assert asked(name, module) is not None
    assert sys.modules["drawn"] is before  # modules are what they were


@pytest.mark.parametrize("refusing", ["raise RuntimeError('registered already')", "sys.exit('registered already')"])
def test_what_can_be_imported_once_only_is_not_compared_and_the_log_says_so(refusing, drawn, tmp_path, caplog):
    module = drawn("")
    once = f"import sys\nif hasattr(sys, 'met'):\n    {refusing}\nsys.met = True\n"
    (tmp_path / f"{module}.py").write_text(once + "from drawn import imported\n", encoding="utf-8")
    try:
        with caplog.at_level("INFO"):
            assert asked("imported", module) is not None
    finally:
        del sys.met
    assert f"{module}:imported is not compared with itself made anew: registered already" in caplog.text
