"""AutoAttack against the package itself, whose ξ each of its queries meets, its groups, and what it leaves alone."""

import random
import sys

import numpy as np
import pyautoattack
import pytest
import torch
from jobs import job
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from pyautoattack.fab_pt import FABAttack_PT

from purity import purifiers
from purity.attacks import Attack
from purity.autoattack import autoattack
from purity.defence import ATTACKER, FIXED, Defence
from purity.geometry import BALLS, linf_norm
from purity.noise import Noise
from purity.stages.attack import attack

EPSILON = {"linf": 0.06, "l2": 0.4}
PACKAGES_NAME = {"linf": "Linf", "l2": "L2"}
CHEAP = {"standard": {"steps": 6, "queries": 15}, "rand": {"steps": 6, "draws": 2}}
XI = Noise(5, torch.arange(12) + 40)


@pytest.fixture(scope="module")
def x(images):
    return images[:12]


@pytest.fixture(scope="module")
def y(cnn, x):
    return cnn(x).argmax(1)


def blur(images, xi):
    """A purifier whose ξ turns many an answer."""
    return purifiers.gaussian(0.3)(images, xi)


# The package as oracle.


def of_package(classify, x, y, norm, version, seed, targets=9):
    """The package's own images at the cheap settings, its attacks made anew with them."""
    settings = {"norm": PACKAGES_NAME[norm], "eps": EPSILON[norm], "seed": seed, "device": "cpu"}
    attack = pyautoattack.AutoAttack(classify, version=version, **settings)
    settings |= {"n_iter": CHEAP[version]["steps"], "logger": attack.logger}
    attack.apgd = APGDAttack(classify, eot_iter=CHEAP[version].get("draws", 1), **settings)
    attack.apgd_targeted = APGDAttack_targeted(classify, n_target_classes=targets, **settings)
    del settings["logger"]
    attack.fab = FABAttack_PT(classify, n_target_classes=targets, **settings)
    attack.square.n_queries = CHEAP[version].get("queries")
    with torch.random.fork_rng(devices=[]):
        return attack.run_standard_evaluation(x, y)[0]


@pytest.fixture
def seeds(monkeypatch):
    """The seeds that the package is given, in order."""
    given, make = [], pyautoattack.AutoAttack.__init__

    def noted(self, *args, seed, **options):
        given.append(seed)
        make(self, *args, seed=seed, **options)

    monkeypatch.setattr(pyautoattack.AutoAttack, "__init__", noted)
    return given


@pytest.mark.parametrize("n", [12, 1])
@pytest.mark.parametrize("version", CHEAP)
@pytest.mark.parametrize("norm", EPSILON)
def test_without_a_purifier_it_is_the_packages(cnn, x, y, seeds, norm, version, n):
    """The same images, by the same number of queries and the one that counts the classes."""
    asked = []

    def classify(images):
        asked.append(len(images))
        return cnn(images)

    undefended = Defence(classify, purifiers.identity(), XI.rows(torch.arange(n)))
    options = {"epsilon": EPSILON[norm], "norm": norm, "version": version, **CHEAP[version]}
    found = autoattack(undefended, x[:n], y[:n], undefended.xi, **options)
    (seed,), ours = seeds, list(asked)
    asked.clear()
    assert torch.equal(found, of_package(classify, x[:n], y[:n], norm, version, seed))
    assert ours == [1, *asked]
    if n > 1:
        assert 0 < ((found - x) != 0).flatten(1).any(1).sum() < n  # it fools some and not all


def test_fewer_classes_have_fewer_targets(cnn, x, seeds, caplog):
    def five(images):
        return cnn(images)[:, :5]

    y = five(x).argmax(1)
    options = {"epsilon": EPSILON["linf"], **CHEAP["standard"]}
    found = autoattack(Defence(five, purifiers.identity(), XI), x, y, XI, **options)
    assert "classes" not in caplog.text  # the package's complaint
    assert torch.equal(found, of_package(five, x, y, "linf", "standard", seeds[0], targets=4))


@pytest.mark.parametrize("version", CHEAP)
def test_what_is_not_asked_for_stays_the_packages_own(cnn, x, y, monkeypatch, version):
    made = []

    def caught(self, images, labels, **options):
        made.append(self)
        return images, labels

    monkeypatch.setattr(pyautoattack.AutoAttack, "run_standard_evaluation", caught)
    autoattack(Defence(cnn, purifiers.identity(), XI), x, y, XI, epsilon=0.06, version=version)
    (ours,) = made
    theirs = pyautoattack.AutoAttack(ours.model, eps=0.06, seed=ours.seed, version=version, device=x.device)
    assert ours.attacks_to_run == theirs.attacks_to_run
    for part in ("apgd", "apgd_targeted", "fab", "square"):
        settings = {k: v for k, v in vars(getattr(ours, part)).items() if k != "attack_single_run"}
        assert settings == vars(getattr(theirs, part))


# Whose ξ a query meets.


class Tagged:
    """Twelve images that say who they are in their first pixel, which the classifier does not see.

    Gradients are 0 there, so no attack moves it but by its random start, less than half the step between two tags.
    """

    epsilon = 0.04

    def __init__(self, cnn, images, ids, knowledge):
        self.cnn, self.ids = cnn, ids
        self.x = images[:12].clone()
        self.x[:, 0, 0, 0] = torch.arange(12) / 11
        self.xi = Noise(5, ids)
        self.defence = Defence(self.classify, self.purify, self.xi, knowledge)
        self.asked, self.draws, self.farthest = [], [], 0.0

    def classify(self, images):
        masked = images.clone()
        masked[:, 0, 0, 0] = 0
        return self.cnn(masked)

    def purify(self, images, xi):
        rows = (images[:, 0, 0, 0].detach() * 11).round().long()
        assert torch.equal(xi.ids, self.ids[rows])
        self.asked.append(rows)
        self.draws.append((xi.forward_draw, xi.reverse_draw))
        self.farthest = max(self.farthest, linf_norm(images.detach() - self.x[rows]).max().item())
        return blur(images, xi)

    def attacked(self, norm, version):
        y = self.classify(blur(self.x, self.xi)).argmax(1)
        y[[1, 8]] = (y[[1, 8]] + 1) % 10  # wrong from the start
        options = {"epsilon": self.epsilon, "norm": norm, "version": version, **CHEAP[version]}
        return autoattack(self.defence, self.x, y, self.xi, **options)


ORDERS = {"in order": torch.arange(12) + 40, "shuffled": torch.tensor([7, 3, 11, 0, 900, 5, 1, 10, 2, 8, 4, 6])}


@pytest.mark.parametrize("ids", ORDERS.values(), ids=ORDERS.keys())
@pytest.mark.parametrize("knowledge", ["none", "all"])
@pytest.mark.parametrize(("norm", "version"), [("linf", "standard"), ("l2", "standard"), ("linf", "rand")])
def test_every_query_meets_the_noise_of_its_own_image(cnn, images, norm, version, knowledge, ids):
    tagged = Tagged(cnn, images, ids, knowledge)
    tagged.attacked(norm, version)
    assert len({tuple(rows.tolist()) for rows in tagged.asked}) > 3, "no rows got lost on the way"
    if version == "standard":
        assert tagged.farthest > 4 * tagged.epsilon, "FAB left no ball"
    if knowledge == "all":
        assert set(tagged.draws) == {(FIXED, FIXED)}
    else:
        assert tagged.draws == [(ATTACKER + k, ATTACKER + k) for k in range(len(tagged.draws))]


def test_a_run_of_fab_that_loses_rows_is_an_error_and_no_guess(cnn, x, y, monkeypatch):
    ask = FABAttack_PT.get_diff_logits_grads_batch_targeted
    monkeypatch.setattr(
        FABAttack_PT, "get_diff_logits_grads_batch_targeted", lambda self, a, b, c: ask(self, a[1:], b[1:], c[1:])
    )
    with pytest.raises(RuntimeError, match="FAB asked for"):
        autoattack(Defence(cnn, purifiers.identity(), XI), x, y, XI, epsilon=0.001, **CHEAP["standard"])


def test_images_outside_the_unit_cube_are_refused_and_not_guessed(cnn, x, y):
    """The package cuts them to [0, 1], away from themselves."""
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        autoattack(Defence(cnn, purifiers.identity(), XI), 2 * x, y, XI, epsilon=0.06, **CHEAP["standard"])


# Images too near to each other.


@pytest.fixture(scope="module")
def crowd(x):
    """Twelve images: six, three copies of the first, one of the second, two near the third but not at it."""
    near = x[2:3] + 0.1 * torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
    return torch.cat([x[:6], x[:1], x[:1], x[:1], x[1:2], near.clamp(0, 1)])


GROUPS = [[0, 1, 2, 3, 4, 5], [6, 9, 10], [7, 11], [8]]  # of crowd, at ε = 0.11: row 2 is within 0.1 of 10 and 11


@pytest.mark.parametrize("knowledge", ["none", "all"])
def test_copies_and_neighbours_are_attacked_apart_and_as_if_alone(cnn, crowd, knowledge):
    asked, groups = [], []

    def purify(images, xi):
        asked.append(set((xi.ids - 40).tolist()))
        return blur(images, xi)

    def progress(items):
        groups.extend(rows.tolist() for rows in items)
        return iter(items)

    defence = Defence(cnn, purify, XI, knowledge)
    y = cnn(blur(crowd, XI)).argmax(1)
    options = {"epsilon": 0.11, **CHEAP["standard"]}
    found = autoattack(defence, crowd, y, XI, progress, **options)
    assert groups == GROUPS
    assert all(any(rows <= set(group) for group in GROUPS) for rows in asked)
    for group in map(torch.tensor, GROUPS):
        alone = autoattack(defence.rows(group), crowd[group], y[group], XI.rows(group), **options)
        assert torch.equal(found[group], alone)
    assert len({image.numpy().tobytes() for image in found[[0, 6, 7, 8]]}) > 1  # copies, but each with a ξ of its own


def test_copies_are_fooled_under_their_own_noise(cnn, unet, crowd):
    """Rows that come back changed are wrong under the ξ that was attacked; the others came back as they were."""
    purify = purifiers.one_step(unet, t=50, clip=True, recompute=False)
    y = cnn(purify(crowd, XI)).argmax(1)
    run = Attack(autoattack, {"epsilon": 0.11, **CHEAP["standard"]})
    given = {"job": job(12), "attack": run, "classify": cnn, "purify": purify, "knowledge": "all"}
    found = torch.from_numpy(attack(crowd.numpy(), y.numpy(), XI, **given)["x"])
    logits = cnn(purify(found, XI))
    others = logits.scatter(1, y[:, None], -torch.inf).amax(1)
    margin = logits.gather(1, y[:, None])[:, 0] - others
    changed = ((found - crowd) != 0).flatten(1).any(1)
    assert 0 < changed.sum() < 12
    assert (margin[changed] < 1e-4).all()  # logits of other batches differ by rounding, 1e-6 of some tens
    assert (margin[~changed] > 0).all()


# What it keeps to, and what it leaves alone.


@pytest.mark.parametrize("version", CHEAP)
@pytest.mark.parametrize("norm", EPSILON)
def test_it_stays_in_its_ball_and_in_the_image_range_and_prints_nothing(cnn, images, capsys, norm, version):
    x, xi = images[:40], Noise(0, torch.arange(40))
    y = cnn(blur(x, xi)).argmax(1)
    options = {"epsilon": EPSILON[norm], "norm": norm, "version": version, **CHEAP[version]}
    found = autoattack(Defence(cnn, blur, xi, "none"), x, y, xi, **options)
    assert found.shape == x.shape and found.dtype == x.dtype
    assert found.min() >= 0 and found.max() <= 1
    distance = BALLS[norm].norm(found - x)
    assert distance.max() > 0.9 * EPSILON[norm]
    assert (distance <= EPSILON[norm] + 1e-6).all()  # float32 rounding of x₀ + δ − x₀
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("version", CHEAP)
def test_it_neither_moves_nor_heeds_the_global_generators_and_repeats_itself(cnn, x, y, version):
    def state():
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()

    def found(xi):
        return autoattack(Defence(cnn, blur, xi, "none"), x, y, xi, epsilon=0.06, version=version, **CHEAP[version])

    before, first = state(), found(XI)
    assert state() == before
    torch.rand(17)
    assert torch.equal(found(XI), first)


def test_another_base_seed_and_other_images_start_elsewhere(cnn, x, y, seeds):
    for xi in (XI, Noise(6, XI.ids), Noise(5, XI.ids + 1)):
        autoattack(Defence(cnn, purifiers.identity(), xi), x, y, xi, epsilon=0.06, **CHEAP["standard"])
    assert len(set(seeds)) == 3


def test_the_tracer_of_a_debugger_stays(cnn, x, y):
    def tracer(frame, event, argument):
        return None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        autoattack(Defence(cnn, purifiers.identity(), XI), x[:1], y[:1], XI.rows(torch.arange(1)), epsilon=0.5, steps=1)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)


# Refusals.


@pytest.mark.parametrize(
    "options",
    [
        {"version": "plus"},
        {"norm": "l1"},
        {"draws": 2},
        {"version": "rand", "queries": 5},
    ],
)
def test_options_that_mean_nothing_are_refused(cnn, x, y, options):
    with pytest.raises(ValueError, match=r"^autoattack"):
        autoattack(Defence(cnn, purifiers.identity(), XI), x, y, XI, epsilon=0.06, **options)


@pytest.mark.parametrize(("version", "fewest"), [("standard", 4), ("rand", 3)])
def test_too_few_classes_are_refused(cnn, x, version, fewest):
    def attacked(classes):
        defence = Defence(lambda images: cnn(images)[:, :classes], purifiers.identity(), XI)
        y = defence(x).argmax(1)
        return autoattack(defence, x, y, XI, epsilon=0.06, version=version, **CHEAP[version])

    attacked(fewest)
    with pytest.raises(ValueError, match=f"the classifier has {fewest - 1}"):
        attacked(fewest - 1)
