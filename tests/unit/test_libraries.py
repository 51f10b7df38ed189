"""Attacks of libraries: whose ξ a query meets, where random starts come from, and that they are the libraries' own."""

import random
import threading

import foolbox as fb
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from purity import attacks, purifiers, repairs
from purity.defence import ATTACKER, FIXED, Defence
from purity.geometry import linf_norm
from purity.libraries import advertorch, foolbox, foolbox_budgets
from purity.lockstep import each_alone
from purity.noise import Noise

N, EPSILON = 6, 0.06
IDS = torch.tensor([7, 3, 900, 0, 41, 12])
XI = Noise(5, IDS)

# An attack of each kind: gradients of a fixed ball, of the smallest perturbation, random starts, no gradient at all.
FOOLBOX = {
    "LinfPGD": {"epsilon": EPSILON, "steps": 3},
    "LinfDeepFoolAttack": {"epsilon": EPSILON, "steps": 3, "candidates": 3},
    "L2CarliniWagnerAttack": {"epsilon": 0.4, "steps": 3, "binary_search_steps": 2},
    "L2AdditiveGaussianNoiseAttack": {"epsilon": 0.4},
}
ADVERTORCH = {
    "LinfPGDAttack": {"epsilon": EPSILON, "nb_iter": 3},
    "LinfMomentumIterativeAttack": {"epsilon": EPSILON, "nb_iter": 3},
    "CarliniWagnerL2Attack": {"epsilon": 0.4, "norm": "l2", "max_iterations": 3, "binary_search_steps": 2},
    "FABAttack": {"epsilon": EPSILON, "n_iter": 3},
}
EVERY = [*[(foolbox, name) for name in FOOLBOX], *[(advertorch, name) for name in ADVERTORCH]]


@pytest.fixture(scope="module")
def x(images):
    return images[:N]


@pytest.fixture(scope="module")
def y(cnn, x):
    return cnn(x).argmax(1)


@pytest.fixture(scope="module")
def purify(unet):
    return purifiers.one_step(unet, t=50, clip=True, recompute=False)


def options_of(library, name):
    return {"attack": name, **(FOOLBOX if library is foolbox else ADVERTORCH)[name]}


# What the libraries find.


def test_foolboxs_pgd_is_ours(cnn, purify, x, y):
    """From the image itself, in float32: a sign may hang on rounding, and turns one pixel of its image's path."""
    defence = Defence(cnn, purify, XI)
    options = {"epsilon": EPSILON, "steps": 4}
    theirs = foolbox(defence, x, y, XI, attack="LinfPGD", random_start=False, rel_stepsize=0.3, **options)
    ours = attacks.pgd(defence, x, y, XI, random_start=False, relative_step=0.3, **options)
    assert ((theirs - ours).abs() < 1e-5).double().mean() > 0.99
    assert (theirs - x).abs().max() == pytest.approx(EPSILON, rel=1e-5)


def test_advertorchs_pgd_is_ours_and_its_bpda_is_our_bpda(cnn, x, y):
    def quantise(images, xi):
        return (5 * images).round() / 5

    options = {"epsilon": EPSILON, "nb_iter": 4, "eps_iter": 0.3 * EPSILON, "rand_init": False}
    ours = {"epsilon": EPSILON, "steps": 4, "relative_step": 0.3, "random_start": False}
    plain = Defence(cnn, purifiers.identity(), XI)
    theirs = advertorch(plain, x, y, XI, attack="LinfPGDAttack", **options)
    torch.testing.assert_close(theirs, attacks.pgd(plain, x, y, XI, **ours), atol=1e-5, rtol=0)

    wrapped = repairs.advertorch().bpda.BPDAWrapper(forward=lambda images: quantise(images, XI))
    through = Defence(lambda images: cnn(wrapped(images)), purifiers.identity(), XI)
    theirs = advertorch(through, x, y, XI, attack="LinfPGDAttack", **options)
    torch.testing.assert_close(theirs, attacks.bpda(Defence(cnn, quantise, XI), x, y, XI, **ours), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["LinfDeepFoolAttack", "L2CarliniWagnerAttack"])
def test_without_a_purifier_it_is_the_library_called_on_each_image(cnn, x, y, name):
    options = FOOLBOX[name] | {}
    epsilon = options.pop("epsilon")
    attack = getattr(fb.attacks, name)(**options)
    model = fb.PyTorchModel(cnn, bounds=(0, 1), device="cpu")
    expected = torch.cat([attack(model, x[i : i + 1], y[i : i + 1], epsilons=epsilon)[1] for i in range(N)])
    found = foolbox(Defence(cnn, purifiers.identity(), XI), x, y, XI, attack=name, epsilon=epsilon, **options)
    torch.testing.assert_close(found, expected.clamp(0, 1), atol=1e-4, rtol=0)


def test_several_radii_in_one_search_are_those_of_several(cnn, purify, x, y):
    defence, options = Defence(cnn, purify, XI), {"attack": "LinfDeepFoolAttack", "steps": 3, "candidates": 3}
    together = foolbox_budgets(defence, x, y, XI, epsilons=[0.02, 0.2, None], **options)
    assert together.shape == (N, 3, *x.shape[1:])
    assert (linf_norm(together[:, 0] - x) <= 0.02 + 1e-6).all()
    for j, epsilon in enumerate([None, 0.2]):
        one = foolbox(defence, x, y, XI, epsilon=epsilon, **options)
        if epsilon is None:  # a search that knows of no limit ends at the smallest perturbation
            torch.testing.assert_close(together[:, 2], one, atol=1e-5, rtol=0)
        assert (linf_norm(one - x) <= (epsilon or 1) + 1e-6).all(), j


@pytest.mark.parametrize(("library", "name"), EVERY)
def test_they_stay_in_their_ball_and_in_the_image_range(cnn, purify, x, y, library, name):
    options = options_of(library, name)
    found = library(Defence(cnn, purify, XI, "none"), x, y, XI, **options)
    assert found.shape == x.shape and found.dtype == x.dtype and not found.requires_grad
    assert found.min() >= 0 and found.max() <= 1
    l2 = "L2" in name
    distance = (found - x).flatten(1).norm(dim=1) if l2 else linf_norm(found - x)
    assert (distance <= options["epsilon"] + 1e-5).all() and distance.max() > 0


# Whose ξ.


class Tagged:
    """Images that say who they are in their first pixel. Attacks that leave the ball or add noise of any size would move
    it by more than half the step between two tags; others do not, as its gradient is 0."""

    def __init__(self, cnn, images, knowledge):
        self.cnn, self.draws = cnn, {}
        self.x = images[:N].clone()
        self.x[:, 0, 0, 0] = torch.arange(N) / (N - 1)
        self.defence = Defence(self.classify, self.purify, XI, knowledge)

    def classify(self, images):
        masked = images.clone()
        masked[:, 0, 0, 0] = 0
        return self.cnn(masked)

    def purify(self, images, xi):
        rows = (images[:, 0, 0, 0].detach() * (N - 1)).round().long()
        assert torch.equal(xi.ids, IDS[rows])
        draws = torch.as_tensor(xi.forward_draw).expand(len(images))
        for i, draw in zip(xi.ids.tolist(), draws.tolist(), strict=True):
            self.draws.setdefault(i, []).append(draw)
        return purifiers.gaussian(0.1)(images, xi)


@pytest.mark.parametrize("knowledge", ["none", "all"])
@pytest.mark.parametrize(("library", "name"), [e for e in EVERY if "Noise" not in e[1] and "FAB" not in e[1]])
def test_every_query_meets_the_noise_of_its_own_image(cnn, images, library, name, knowledge):
    tagged = Tagged(cnn, images, knowledge)
    y = tagged.classify(tagged.x).argmax(1)
    library(tagged.defence, tagged.x, y, XI, **options_of(library, name))
    assert set(tagged.draws) == set(IDS.tolist())
    for draws in tagged.draws.values():
        assert draws == ([FIXED] * len(draws) if knowledge == "all" else [ATTACKER + k for k in range(len(draws))])


@pytest.mark.parametrize("knowledge", ["none", "all"])
@pytest.mark.parametrize(("library", "name"), EVERY)
def test_they_give_the_same_images_in_any_batch_and_order(cnn, purify, x, y, library, name, knowledge):
    """Random starts too. In float32: a sign, or which class is nearest, may hang on rounding; of six images one may go
    another way."""

    def of(rows):
        xi = XI.rows(rows)
        return library(Defence(cnn, purify, xi, knowledge), x[rows], y[rows], xi, **options_of(library, name))

    all_at_once, order = of(torch.arange(N)), torch.tensor([4, 0, 5, 2, 1, 3])
    alone = torch.cat([of(torch.tensor([i])) for i in range(N)])
    for other in (alone, of(order)[order.argsort()]):
        same = ((other - all_at_once).abs() < 1e-3).flatten(1).all(1)
        assert same.sum() >= N - 1


def test_random_starts_belong_to_the_image_and_the_base_seed(cnn, x, y):
    def start(noise, rows):
        defence = Defence(cnn, purifiers.identity(), noise)
        return foolbox(defence, x[rows], y[rows], noise, attack="LinfPGD", epsilon=EPSILON, steps=0) - x[rows]

    all_of_them = start(XI, torch.arange(N))
    two = torch.tensor([2, 4])
    assert torch.equal(start(XI.rows(two), two), all_of_them[two])
    assert len({row.numpy().tobytes() for row in all_of_them}) == N
    assert not torch.equal(start(Noise(6, IDS), torch.arange(N)), all_of_them)


# What they leave alone.


def test_global_generators_are_neither_moved_nor_heeded(cnn, x, y):
    def state():
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()

    def found():
        return foolbox(Defence(cnn, purifiers.identity(), XI), x, y, XI, attack="LinfPGD", epsilon=EPSILON, steps=2)

    before, first = state(), found()
    assert state() == before
    torch.rand(17), np.random.rand(3), random.random()
    assert torch.equal(found(), first)


def test_each_image_has_generators_of_its_own(x, y, cnn):
    """Whenever others draw in between: an image that asks in the meantime goes on with its own numbers."""

    def drawn(model, image, label):
        numbers = []
        for _ in range(3):
            numbers.append([torch.rand(()).item(), np.random.rand(), random.random()])
            model(image)
        return torch.tensor(numbers)[None]

    together = each_alone(drawn, Defence(cnn, purifiers.identity(), XI), x, y, XI)
    for i in range(N):
        rows = torch.tensor([i])
        alone = each_alone(drawn, Defence(cnn, purifiers.identity(), XI.rows(rows)), x[rows], y[rows], XI.rows(rows))
        assert torch.equal(alone[0], together[i])
    assert len(together.flatten().unique()) == together.numel()


# Gradients that go from thread to thread.


@pytest.mark.parametrize("at_once", [1, 4, 100])
def test_gradients_are_those_of_the_defence_however_many_fit_at_once(cnn64, unet64, x, y, at_once):
    """Of several classes of one answer too, as DeepFool asks; some images ask for fewer, and others not at all."""
    purify = purifiers.one_step(unet64, t=50, clip=True, recompute=False)
    defence = Defence(cnn64, purify, XI, max_batch=at_once)
    images = x.double()

    def slopes(model, image, label):
        found = torch.zeros(1, 3, *image.shape[1:], dtype=image.dtype)
        image.requires_grad_()
        logits = model(image)
        for j in range(int(label) % 4):
            (found[:, j],) = torch.autograd.grad(logits[0, j], image, retain_graph=True)
        return found

    made = each_alone(slopes, defence, images, y, XI)
    wanted = images.clone().requires_grad_()
    logits = defence(wanted)
    for j in range(3):
        (gradient,) = torch.autograd.grad(logits[:, j].sum(), wanted, retain_graph=True)
        asked = y % 4 > j
        torch.testing.assert_close(made[asked, j], gradient[asked], atol=1e-12, rtol=1e-9)
        assert (made[~asked, j] == 0).all()


def test_a_loss_goes_through_backward_as_well(cnn, x, y):
    def slope(model, image, label):
        image.requires_grad_()
        F.cross_entropy(model(image), label).backward()
        return image.grad

    defence = Defence(cnn, purifiers.identity(), XI)
    torch.testing.assert_close(each_alone(slope, defence, x, y, XI), defence.gradient(x, y), atol=1e-6, rtol=1e-4)


def test_questions_without_a_gradient_build_no_graph(cnn, x, y):
    def watched(images, xi):
        assert not torch.is_grad_enabled()
        return images

    answers = each_alone(lambda model, image, label: model(image), Defence(cnn, watched, XI), x, y, XI)
    torch.testing.assert_close(answers, cnn(x), atol=1e-5, rtol=0)


def test_what_an_attack_raises_is_raised_and_no_thread_is_left(cnn, x, y):
    def fails(model, image, label):
        model(image)
        if int(label) == int(y[2]):
            raise ValueError("it fails")
        while True:
            model(image)

    before = threading.active_count()
    with pytest.raises(ValueError, match="it fails"):
        each_alone(fails, Defence(cnn, purifiers.identity(), XI), x, y, XI)
    assert threading.active_count() == before


def test_what_a_defence_raises_is_raised_and_no_thread_is_left(cnn, x, y):
    def broken(images, xi):
        raise RuntimeError("out of memory")

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="out of memory"):
        foolbox(Defence(cnn, broken, XI), x, y, XI, attack="LinfPGD", epsilon=EPSILON)
    assert threading.active_count() == before


def test_progress_counts_images(cnn, x, y):
    counted = []

    def progress(items):
        for item in items:
            yield item
            counted.append(item)

    foolbox(Defence(cnn, purifiers.identity(), XI), x, y, XI, progress, attack="LinfPGD", epsilon=EPSILON, steps=1)
    assert counted == list(range(N))


@pytest.mark.parametrize(
    ("library", "options", "said"),
    [
        (foolbox, {"attack": "LinfPDG"}, "foolbox has no attack 'LinfPDG'; its closest names: LinfPGD"),
        (foolbox, {"attack": "LinfPGD", "stepz": 3}, "foolbox's LinfPGD: .*stepz"),
        (advertorch, {"attack": "PGD"}, "advertorch has no attack 'PGD'; its closest names: "),
        (advertorch, {"attack": "LinfPGDAttack", "steps": 3}, "advertorch's LinfPGDAttack: .*steps"),
    ],
)
def test_what_a_library_does_not_have_is_said_in_one_line(cnn, x, y, library, options, said):
    with pytest.raises(ValueError, match=said):
        library(Defence(cnn, purifiers.identity(), XI), x, y, XI, epsilon=EPSILON, **options)
