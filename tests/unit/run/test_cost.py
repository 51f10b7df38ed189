"""What a run is said to cost is what it does: counts against closed forms and against a real attack's own calls."""

import numpy as np
import pytest
import torch

from purity import attacks, calibration, purifiers
from purity.autoattack import autoattack
from purity.defence import Defence
from purity.noise import Noise
from purity.run import cost

X = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
OPTIONS = {"sigma": "large", "clip": True}


@pytest.mark.parametrize(
    ("make", "options", "evaluations", "side"),
    [
        (purifiers.ddpm, {"t": 100, "steps": 7, "forward": "iterated", **OPTIONS}, 7, 8),
        (purifiers.ddpm, {"t": 30, "steps": 30, "forward": "one-step", "side": 16, **OPTIONS}, 30, 16),
        (purifiers.reverse, {"t": 12, "steps": 12, **OPTIONS}, 12, 8),
        (purifiers.ddim, {"t": 9, "steps": 9, "clip": False, "forward": "one-step"}, 9, 8),
        (purifiers.one_step, {"t": 100, "clip": True}, 1, 8),
    ],
)
def test_evaluations_of_a_purification_are_counted(make, options, evaluations, side, unet):
    asked = []

    def network(z, index):
        asked.append(z)
        return unet(z, index)

    n, z = calibration.evaluations(make, options, network, X)
    assert (n, z.shape) == (evaluations, (1, 1, side, side))
    assert len(asked) == 1  # the rest is a stand-in: counting takes no time


def test_a_network_that_gives_the_variance_too_is_counted(unet):
    both = lambda z, index: torch.cat([unet(z, index)] * 2, dim=1)  # noqa: E731
    options = {"t": 5, "steps": 5, "sigma": "learned", "clip": True, "forward": "one-step"}
    assert calibration.evaluations(purifiers.ddpm, options, both, X)[0] == 5


def test_a_purifier_without_a_network_evaluates_none():
    assert calibration.evaluations(purifiers.gaussian, {"sigma": 0.1}, None, X)[0] == 0


PGD = {"epsilon": 0.1, "steps": 6, "relative_step": 0.1}


@pytest.mark.parametrize("draws", [1, 4])
def test_calls_of_pgd_and_bpda_are_steps_times_draws(draws):
    options = PGD | {"draws": draws}
    n = 6 * draws
    zero = {"purify": 0, "purify_gradient": 0, "classify": 0, "classify_gradient": 0}
    assert calibration.calls(attacks.pgd, options, X, 10) == zero | {"purify_gradient": n, "classify_gradient": n}
    assert calibration.calls(attacks.bpda, options, X, 10) == zero | {"purify": n, "classify_gradient": n}


def test_calls_of_any_attack_are_those_it_makes_on_an_image_that_resists():
    """Counted at the real thing: a classifier that is right whatever it sees."""
    options = {"epsilon": 0.05, "steps": 4, "queries": 20}
    seen = {"purify": 0, "purify_gradient": 0}

    def purify(z, xi):
        seen["purify_gradient" if z.requires_grad and torch.is_grad_enabled() else "purify"] += len(z)
        return z * 1

    right = torch.eye(10)[:1]
    xi = Noise(0, torch.arange(1))
    defence = Defence(lambda z: right + 0 * z.flatten(1).sum(1, keepdim=True), purify, xi, "all")
    autoattack(defence, X, torch.zeros(1, dtype=torch.long), xi, **options)
    found = calibration.calls(autoattack, options, X, 10)
    assert {kind: found[kind] for kind in seen} == seen and found["purify_gradient"] > 0


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("most", [1, 5, 16])
def test_batches_grow_to_the_most_or_until_one_takes_long(gradient, most):
    sizes = []

    def f(x):
        sizes.append(len(x))
        assert x.requires_grad == gradient
        return x * 2

    took = calibration.seconds(f, X, gradient, most, enough=60)
    assert took > 0 and max(sizes) == most and sizes == sorted(sizes)
    sizes.clear()
    calibration.seconds(f, X, gradient, most, enough=0)
    assert set(sizes) == {1}


CALIBRATION = {
    "device": "a device",
    "pixels": 64,
    "start": 5.0,
    "classify": {"forward": 1.0, "gradient": 3.0},
    "purifiers": {"ddpm": {"evaluations": 10, "forward": 100.0, "gradient": 300.0}},
    "attacks": {"pgd": {"purify": 0, "purify_gradient": 40, "classify": 0, "classify_gradient": 40}},
}


def rows(*jobs):
    return cost.rows(
        [{"path": f"job {k}", "purifier": "ddpm", "done": False, **job} for k, job in enumerate(jobs)], CALIBRATION
    )


JOBS = (
    {"rule": "attack", "attack": "pgd", "images": 2},
    {"rule": "attack", "attack": "pgd", "images": 3, "done": True},
    {"rule": "purify", "purifications": 9},
    {"rule": "jacobian", "jacobians": 3},
    {"rule": "budget", "attack": "pgd", "images": 5, "purifier": None},
    {"rule": "fine_tune", "updates": 7, "looks": 5},
    {"rule": "others", "purifier": None},
)


def test_hours_are_counts_times_seconds_and_a_start_for_each_job():
    found = cost.table(rows(*JOBS)).set_index("rule")
    seconds = {
        "attack": 5 * 40 * 303.0 + 2 * 5.0,
        "purify": 9 * 101.0 + 5.0,
        "jacobian": 3 * 64 * 300.0 + 5.0,
        "budget": 5 * 40 * 3.0 + 5.0,
        "fine_tune": 7 * (6 * 30.0 + 5 * 3.0) + 5.0,
        "others": 5.0,
    }
    assert found["hours"].drop("all").to_dict() == pytest.approx({k: v / 3600 for k, v in seconds.items()})
    assert found.loc["all", "hours"] == pytest.approx(sum(seconds.values()) / 3600)
    assert found.loc["attack", "hours left"] == pytest.approx((2 * 40 * 303.0 + 5.0) / 3600)
    assert found["jobs"].to_dict() == dict.fromkeys(seconds, 1) | {"attack": 2, "all": 7}
    evaluations = {"attack": 2000, "purify": 90, "jacobian": 1920, "budget": 0, "fine_tune": 42, "others": 0}
    assert found["evaluations"].to_dict() == evaluations | {"all": sum(evaluations.values())}


def test_the_longest_job_of_each_rule_is_named():
    found = cost.table(rows(*JOBS)).set_index("rule")
    assert found.loc["attack", "longest"] == "job 1"
    assert found.loc["attack", "minutes"] == pytest.approx((3 * 40 * 303.0 + 5.0) / 60)
    assert found.loc["purify", "longest"] == "job 2"


def test_what_is_said_names_the_experiment_the_device_and_every_rule():
    said = cost.said(rows({"rule": "purify", "purifications": 3600}), "cifar10", CALIBRATION)
    assert "cifar10: hours on one a device" in said and "36,000" in said and "101" in said
    assert "start of a job, 5.0 s" in said and "nothing was computed" not in said  # that is for `cost` to say
    assert "no figures were made" in cost.FORECAST
    assert "purify  6,060.1  job 0" in said  # minutes: (3600 · 101 + 5) / 60


def test_jobs_whose_work_takes_minutes_count_their_start(tmp_path):
    (tmp_path / "there").touch()
    jobs = list(cost.others([str(tmp_path / "there"), str(tmp_path / "not")]))
    found = cost.table(cost.rows(jobs, CALIBRATION)).set_index("rule").loc["others"]
    assert (found["jobs"], found["done"], found["hours"]) == (2, 1, pytest.approx(10 / 3600))


@pytest.mark.parametrize(("room", "repeated"), [(2**40, 0), (0, 1 / 2)])
def test_a_calibration_measures_every_purifier_and_counts_every_attack(room, repeated, unet, cnn, monkeypatch):
    """Activations that find no room are computed again: one of the two evaluations keeps its own in any case."""
    monkeypatch.setattr(calibration.memory, "at_hand", lambda device: room)
    options = {"t": 10, "steps": 2, "forward": "iterated", **OPTIONS}
    found = calibration.calibrated(
        X.numpy().astype(np.float32),
        classify=cnn,
        purifiers={
            "identity": (purifiers.identity, {}, None),
            "ddpm": (purifiers.ddpm, options, unet),
            "kept": (purifiers.ddpm, options | {"recompute": False}, unet),
            "no gradient": (lambda: lambda x, xi: x.detach().round(), {}, None),
        },
        attacks={"pgd": (attacks.pgd, PGD)},
        batch=2,
    )
    assert found["pixels"] == 64 and found["attacks"]["pgd"]["purify_gradient"] == 6
    assert [found["purifiers"][name]["evaluations"] for name in ("identity", "ddpm", "kept")] == [0, 2, 2]
    once = found["purifiers"]["kept"]
    expected = once["gradient"] + repeated * once["forward"]
    assert found["purifiers"]["ddpm"]["gradient"] == pytest.approx(expected)
