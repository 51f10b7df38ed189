"""AutoAttack against the package itself, whose ξ each of its queries meets, honest judgings, what it leaves alone."""

import random
import sys

import numpy as np
import pyautoattack
import pytest
import torch
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from pyautoattack.fab_pt import FABAttack_PT
from torch.distributions import Normal

from purity import purifiers
from purity.autoattack import autoattack
from purity.defence import ATTACKER, FIXED, Defence
from purity.geometry import BALLS, linf_norm
from purity.noise import Noise

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
    """The seeds that the package is given, one an image, in order."""
    given, make = [], pyautoattack.AutoAttack.__init__

    def noted(self, *args, seed, **options):
        given.append(seed)
        make(self, *args, seed=seed, **options)

    monkeypatch.setattr(pyautoattack.AutoAttack, "__init__", noted)
    return given


@pytest.mark.parametrize("version", CHEAP)
@pytest.mark.parametrize("norm", EPSILON)
def test_without_a_purifier_it_is_the_packages(cnn, x, y, seeds, norm, version):
    """On each image alone."""
    undefended = Defence(cnn, purifiers.identity(), XI)
    options = {"epsilon": EPSILON[norm], "norm": norm, "version": version, **CHEAP[version]}
    found = autoattack(undefended, x, y, XI, **options)
    of_images = list(seeds)
    assert len(set(of_images)) == 12
    for i, seed in enumerate(of_images):
        expected = of_package(cnn, x[i : i + 1], y[i : i + 1], norm, version, seed)
        torch.testing.assert_close(found[i : i + 1], expected, atol=1e-5, rtol=0)
    assert 0 < ((found - x) != 0).flatten(1).any(1).sum() < 12  # it fools some and not all


def test_fewer_classes_have_fewer_targets(cnn, x, seeds, caplog):
    def five(images):
        return cnn(images)[:, :5]

    x = x[:3]
    y, xi = five(x).argmax(1), XI.rows(torch.arange(3))
    options = {"epsilon": EPSILON["linf"], **CHEAP["standard"]}
    found = autoattack(Defence(five, purifiers.identity(), xi), x, y, xi, **options)
    assert "classes" not in caplog.text  # the package's complaint
    for i, seed in enumerate(list(seeds)):
        expected = of_package(five, x[i : i + 1], y[i : i + 1], "linf", "standard", seed, targets=4)
        torch.testing.assert_close(found[i : i + 1], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("version", CHEAP)
def test_what_is_not_asked_for_stays_the_packages_own(cnn, x, y, monkeypatch, version):
    made = []

    def caught(self, images, labels, **options):
        made.append(self)
        return images, labels

    monkeypatch.setattr(pyautoattack.AutoAttack, "run_standard_evaluation", caught)
    autoattack(Defence(cnn, purifiers.identity(), XI), x, y, XI, epsilon=0.06, version=version)
    assert len(made) == 12
    ours = made[0]
    theirs = pyautoattack.AutoAttack(ours.model, eps=0.06, seed=ours.seed, version=version, device=x.device)
    assert ours.attacks_to_run == theirs.attacks_to_run
    for part in ("apgd", "apgd_targeted", "fab", "square"):
        settings = {k: v for k, v in vars(getattr(ours, part)).items() if k not in ("model", "predict", "logger")}
        assert settings == {k: vars(getattr(theirs, part))[k] for k in settings}


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
        self.asked, self.draws, self.farthest = [], {}, 0.0

    def classify(self, images):
        masked = images.clone()
        masked[:, 0, 0, 0] = 0
        return self.cnn(masked)

    def purify(self, images, xi):
        rows = (images[:, 0, 0, 0].detach() * 11).round().long()
        assert torch.equal(xi.ids, self.ids[rows])
        self.asked.append(rows)
        assert torch.equal(torch.as_tensor(xi.forward_draw), torch.as_tensor(xi.reverse_draw))
        for row, draw in zip(rows.tolist(), torch.as_tensor(xi.forward_draw).expand(len(rows)).tolist(), strict=True):
            self.draws.setdefault(row, []).append(draw)
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
    ways = {tuple(rows.tolist()) for rows in tagged.asked}
    assert len(ways) >= 3, "besides all and those that were right, none that resisted longer than others"
    if version == "standard":
        assert tagged.farthest > 4 * tagged.epsilon, "FAB left no ball"
    for draws in tagged.draws.values():
        assert draws == ([FIXED] * len(draws) if knowledge == "all" else [ATTACKER + k for k in range(len(draws))])


def test_images_outside_the_unit_cube_are_refused_and_not_guessed(cnn, x, y):
    """The package cuts them to [0, 1], away from themselves."""
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        autoattack(Defence(cnn, purifiers.identity(), XI), 2 * x, y, XI, epsilon=0.06, **CHEAP["standard"])


# Any batch, any order; copies too.


@pytest.mark.parametrize("version", CHEAP)
def test_it_gives_the_same_images_in_any_batch_copies_included(cnn, x, version):
    """In float32 a comparison may hang on rounding: of twelve images one may go another way."""
    x = torch.cat([x[:9], x[:2], x[:1]])
    y = cnn(blur(x, XI)).argmax(1)  # right under its own ξ, so that each is attacked

    def of(rows):
        xi = XI.rows(rows)
        return autoattack(Defence(cnn, blur, xi), x[rows], y[rows], xi, epsilon=0.06, version=version, **CHEAP[version])

    together = of(torch.arange(12))
    parts = torch.cat([of(rows) for rows in torch.arange(12).split(5)])
    assert ((together - parts).abs() < 1e-3).flatten(1).all(1).sum() >= 11
    assert len({image.numpy().tobytes() for image in together[[0, 9, 11]]}) > 1  # copies, but each with a ξ of its own


def test_images_come_back_fooled_under_their_own_noise_or_as_they_were(cnn, unet, x):
    purify = purifiers.one_step(unet, t=50, clip=True, recompute=False)
    y = cnn(purify(x, XI)).argmax(1)
    found = autoattack(Defence(cnn, purify, XI), x, y, XI, epsilon=0.11, **CHEAP["standard"])
    logits = cnn(purify(found, XI))
    others = logits.scatter(1, y[:, None], -torch.inf).amax(1)
    margin = logits.gather(1, y[:, None])[:, 0] - others
    changed = ((found - x) != 0).flatten(1).any(1)
    assert 0 < changed.sum() < 12
    assert (margin[changed] < 1e-4).all()  # logits of other batches differ by rounding, 1e-6 of some tens
    assert (margin[~changed] > 0).all()


# A random defence.

SIGMA, SHIFT = 0.1, 0.4  # noise per pixel; the clean margin, half a standard deviation of 64 pixels' noise


def wavering(x):
    """Four classes of grey images behind noise of σ: class 0 with a margin of .4 + 64 times the mean's way from ½."""
    z = (x - 0.5).flatten(1).sum(1)
    return torch.stack([z + SHIFT, 0 * z, 0 * z - 0.1, 0 * z - 0.2], dim=1)


def chance_right(x):
    """Φ(margin / 8σ): the noise is not cut at images in the middle of the range."""
    return Normal(0.0, 8 * SIGMA).cdf((x - 0.5).flatten(1).sum(1) + SHIFT)


@pytest.mark.parametrize("version", CHEAP)
def test_a_lucky_judging_ends_no_attack_that_is_judged_by_several(version):
    """Every image that is attacked at all is lost: ε moves the margin by 4 standard deviations. Clean ones are wrong in
    31 %, which is where the package stops."""
    n = 30
    x, y, xi = torch.full((n, 1, 8, 8), 0.5), torch.zeros(n, dtype=torch.int64), Noise(0, torch.arange(n))
    defence = Defence(wavering, purifiers.gaussian(SIGMA), xi, "none")
    options = {"epsilon": 0.05, "version": version, **CHEAP[version]}
    by_package = autoattack(defence, x, y, xi, **options)
    honest = autoattack(defence, x, y, xi, judgings=20, **options)
    assert chance_right(honest).mean() < 0.01
    assert chance_right(by_package).mean() > 0.1


def test_by_judgings_an_image_is_at_least_as_often_wrong_as_left_alone(cnn, x, y):
    defence = Defence(cnn, blur, XI, "none")
    found = autoattack(defence, x, y, XI, epsilon=0.1, version="rand", judgings=5, **CHEAP["rand"])
    assert found.min() >= 0 and found.max() <= 1 and linf_norm(found - x).max() <= 0.1 + 1e-6

    def wrong(images):
        fresh = [cnn(blur(images, XI.at(draw))).argmax(1) != y for draw in range(1, 41)]
        return torch.stack(fresh).double().mean()

    assert wrong(found) > wrong(x)


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
    assert len(set(seeds)) == 12 + 12 + 1  # eleven of the last twelve ids are among the first, with the same base seed


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
