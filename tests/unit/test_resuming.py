"""A computation that is stopped anywhere and taken up again comes to the same bits, and does nothing twice but a step."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import Stopped, job

from purity import attacks, purifiers
from purity.attacks import Attack
from purity.defence import Defence
from purity.noise import Noise
from purity.resuming import Resumable, resumable
from purity.run.progress import Done
from purity.stages.attack import attack

ROOT = Path(__file__).parents[2]


def kept(saved: dict | None, into: list, **given) -> Resumable:
    """Keeps every step, as written to a file."""
    return Resumable(save=lambda reached: into.append(copied(reached)), due=lambda: True, saved=saved, **given)


def copied(value):
    """As another process would read it."""
    if isinstance(value, dict):
        return {key: copied(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(copied, value))
    return value.clone() if isinstance(value, torch.Tensor) else value


def nested(progress: Resumable, calls: list, stop: int | None = None) -> tuple:
    """Two loops one after the other; in each step of them a loop of draws; the second starts from the first one's end.
    Stopped in a call, or never."""

    def draw(i: int, *total: float) -> tuple:
        if len(calls) == stop:
            raise Stopped
        calls.append(i)
        return (sum(total) * 1.5 + i,)

    def step(k: int, a: float) -> tuple:
        return (a / 3 + progress.fold(range(3), draw, tuple)[0] + k,)

    (a,) = progress.fold(range(2), step, lambda: progress.fold(range(4), draw, tuple))
    return progress.fold(range(3), step, lambda: (a,), end=lambda last: (last, a))


def test_loops_that_are_stopped_in_any_call_end_as_if_they_were_not_and_repeat_no_call():
    whole: list = []
    wanted = nested(Resumable(), whole)
    assert len(whole) == 4 + 5 * 3
    for stop in range(len(whole)):
        states: list = []
        first, second = [], []
        with pytest.raises(Stopped):
            nested(kept(None, states), first, stop)
        found = nested(kept(states[-1] if states else None, []), second)
        assert found == wanted and first + second == whole


def test_counters_go_on_with_the_loops():
    def counted(progress, counter, stop=None):
        def step(k, a):
            if k == stop:
                raise Stopped
            counter.add_(k)
            return (a + 1,)

        return progress.fold(range(6), step, lambda: (0,))

    states: list = []
    counter = torch.zeros(2)
    with pytest.raises(Stopped):
        counted(kept(None, states, counters=[counter]), counter, stop=4)
    again = torch.zeros(2)
    assert counted(kept(states[-1], [], counters=[again]), again) == (6,)
    assert torch.equal(again, torch.full((2,), 15.0))


def test_a_loop_over_other_items_begins_anew():
    states: list = []
    kept(None, states).fold(range(4), lambda k, a: (a + k,), lambda: (0,))
    found = kept(states[1], []).fold(range(5), lambda k, a: (a + k,), lambda: (100,))
    assert found == (110,)


def test_nothing_is_kept_until_it_is_due_and_what_is_reported_is_what_is_left():
    states, told = [], []
    moments = iter([False, True, False, True])

    def report(items):
        told.append(list(items))
        return iter(items)

    def run(saved, due):
        given = Resumable(report, states.append, due, saved)
        return given.fold(range(4), lambda k, a: (a + k,), lambda: (0,))

    run(None, lambda: next(moments))
    assert len(states) == 2
    run({"loops": [{"items": "range(0, 4)", "at": 3, "state": (3,), "inside": [], "end": None}], "counters": []}, bool)
    assert told == [[0, 1, 2, 3], [3]]


def test_a_plain_progress_is_wrapped_and_a_resumable_one_is_itself():
    one = Resumable()
    assert resumable(one) is one and list(resumable(reversed)([1, 2])) == [2, 1]


# The attacks.

N, XI = 6, Noise(3, torch.arange(6) + 40)
PGD = {"epsilon": 0.1, "steps": 3, "relative_step": 0.4}
APGD = {"epsilon": 0.1, "steps": 6}
PARTS = [
    {"run": "pgd", "steps": 1, "relative_step": 0.01},
    {"run": "apgd", "steps": 3, "draws": 2},
    {"run": "apgd_targeted", "steps": 2, "targets": 2, "draws": 2},
]
ATTACKS = {
    "pgd": partial(attacks.pgd, **PGD),
    "pgd-eot": partial(attacks.pgd, draws=3, momentum=0.9, **PGD),
    "bpda-eot": partial(attacks.bpda, draws=2, **PGD),
    "apgd": partial(attacks.apgd, draws=2, random_start=True, **APGD),
    "apgd-targeted": partial(attacks.apgd_targeted, targets=2, epsilon=0.02, steps=3),
    "worst-of": partial(attacks.worst_of, epsilon=0.03, attacks=PARTS, judgings=2),
}


class Counting:
    """A purifier that is stopped in a call; calls with a gradient are counted in `gradients`."""

    def __init__(self, purify, stop: int | None = None):
        self.purify, self.stop, self.calls, self.gradients = purify, stop, 0, 0

    def __call__(self, x, xi):
        if self.calls == self.stop:
            raise Stopped
        self.calls += 1
        self.gradients += x.requires_grad and torch.is_grad_enabled()
        return self.purify(x, xi)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_that_is_stopped_in_any_call_ends_in_the_same_bits(name, images, cnn64):
    """And asks for no gradient twice but the one that it was stopped in, with those that were asked for together. Where
    the purifier is not differentiated, calls count."""
    x = images[:N].double()
    y = cnn64(x).argmax(1)

    def run(purify, saved=None):
        states: list = []
        progress = kept(saved, states)
        try:
            made = ATTACKS[name](Defence(cnn64, purify, XI, "none"), x, y, XI, progress)
        except Stopped:
            made = None
        return made, states[-1] if states else saved

    whole = Counting(purifiers.gaussian(0.3))
    wanted, _ = run(whole)
    for stop in range(1, whole.calls, 1 + whole.calls // 12):
        first, second = Counting(whole.purify, stop), Counting(whole.purify)
        nothing, saved = run(first)
        assert nothing is None
        found, _ = run(second, saved)
        assert torch.equal(found, wanted)
        assert first.gradients + second.gradients == whole.gradients


def stage(purify, classify, done, every, batch=4) -> dict[str, np.ndarray]:
    """Two draws a step, three steps: the batch of four asks for 6 gradients, that of two for 3, both draws at once."""
    given = job(batch, done)
    given.keep_every = every
    x = torch.linspace(0, 1, N * 64, dtype=torch.float64).view(N, 1, 8, 8).numpy()
    made = Attack(attacks.pgd, PGD | {"draws": 2})
    y = np.arange(N) % 10
    return attack(x, y, XI, job=given, attack=made, classify=classify, purify=purify, knowledge="none")


def same(found: dict, wanted: dict) -> bool:
    """Images, and what was counted on the way."""
    return found.keys() == wanted.keys() and all(np.array_equal(found[name], wanted[name]) for name in wanted)


def done(folder: Path, code: str = "a digest") -> Done:
    return Done(folder / "out.zarr.zip", {"code": code})


def test_a_job_goes_on_within_a_batch_and_a_done_batch_leaves_nothing_of_its_steps(tmp_path, cnn64):
    wanted = stage(Counting(purifiers.gaussian(0.3)), cnn64, None, 1e9)
    with pytest.raises(Stopped):  # in the last gradient of the second batch
        stage(Counting(purifiers.gaussian(0.3), stop=8), cnn64, done(tmp_path), 0)
    (steps,) = tmp_path.glob("*.progress/*/steps-*")
    assert steps.name == "steps-00004-00005.pt"
    second = Counting(purifiers.gaussian(0.3))
    assert same(stage(second, cnn64, done(tmp_path), 0), wanted)
    assert second.gradients == 3 - 2
    assert not list(tmp_path.glob("*.progress/*/steps-*"))


def test_nothing_is_kept_within_a_batch_before_its_time(tmp_path, cnn64):
    with pytest.raises(Stopped):
        stage(Counting(purifiers.gaussian(0.3), stop=5), cnn64, done(tmp_path), 1e9)
    assert not list(tmp_path.glob("*.progress/*/*"))


@pytest.mark.parametrize("how", ["another code", "another batch", "cut", "flipped"])
def test_steps_of_something_else_and_damaged_ones_are_not_gone_on_from(how, tmp_path, cnn64):
    with pytest.raises(Stopped):
        stage(Counting(purifiers.gaussian(0.3), stop=5), cnn64, done(tmp_path), 0)
    (steps,) = tmp_path.glob("*.progress/*/steps-*")
    content = bytearray(steps.read_bytes())
    if how == "cut":
        steps.write_bytes(content[: len(content) // 2])
    if how == "flipped":
        content[len(content) // 3] ^= 0xFF
        steps.write_bytes(content)
    batch = 3 if how == "another batch" else 4
    wanted = stage(Counting(purifiers.gaussian(0.3)), cnn64, None, 1e9, batch)
    again = Counting(purifiers.gaussian(0.3))
    found = stage(again, cnn64, done(tmp_path, "other" if how == "another code" else "a digest"), 0, batch)
    assert same(found, wanted)
    assert again.gradients == (12 if batch == 3 else 9)


KILLED = """
import os, signal, sys, torch
sys.path[:0] = [{tests!r}, {unit!r}]
from pathlib import Path
import test_resuming as t
from purity import purifiers
from conftest import randomised

class Killed(t.Counting):
    def __call__(self, x, xi):
        if self.calls == self.stop:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(x, xi)

torch.set_num_threads(1)
cnn = randomised("purity.networks:cnn", {{"width": 8, "features": 16}}, seed=1, gain=2.0).double()
purify = Killed(purifiers.gaussian(0.3), {stop})
t.np.savez({made!r}, **t.stage(purify, cnn, t.done(Path({folder!r})), 0))
print(purify.gradients)
"""


def test_a_process_that_is_killed_within_a_batch_goes_on_there(tmp_path):
    def process(stop, folder):
        given = {"tests": str(ROOT / "tests"), "unit": str(ROOT / "tests/unit"), "folder": str(tmp_path / folder)}
        code = KILLED.format(stop=stop, made=str(tmp_path / f"{folder}.npz"), **given)
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=600
        )

    killed = process(4, "a")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again, undisturbed = process(None, "a"), process(None, "b")
    assert (again.stdout, undisturbed.stdout) == ("5\n", "9\n"), again.stderr
    assert same(dict(np.load(tmp_path / "a.npz")), dict(np.load(tmp_path / "b.npz")))
