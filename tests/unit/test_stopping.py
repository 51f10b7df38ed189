"""Stop on success: images leave when they are fooled, the others do not notice."""

from dataclasses import replace

import pytest
import torch

from purity import attacks, purifiers
from purity.defence import Defence
from purity.losses import margin
from purity.noise import Noise
from purity.stopping import until_fooled

N = 12
PGD = {"epsilon": 0.15, "steps": 8, "relative_step": 0.25}
OPTIONS = {"pgd": PGD, "bpda": PGD, "apgd": {"epsilon": 0.15, "steps": 8}}


@pytest.fixture(scope="module")
def setting(unet64, cnn64, images):
    """Defence, images, the labels that the purified ones are given, noise; float64: signs do not turn on roundings."""
    purify = purifiers.one_step(unet64, t=30, clip=True)
    xi = Noise(0, torch.arange(N) + 50)
    x = images[:N].double()
    defence = Defence(cnn64, purify, xi, "all")
    return defence, x, defence(x).argmax(dim=1), xi


class Asked:
    """A purifier that remembers how many images it was shown with a gradient."""

    def __init__(self, purify):
        self.purify, self.sizes = purify, []

    def __call__(self, x, xi):
        if x.requires_grad:
            self.sizes.append(len(x))
        return self.purify(x, xi)


def iterates(attack, defence, x, y, xi):
    """What the attack by itself asks gradients at, in order, and what it returns."""
    seen = []

    class Watching(Defence):
        def slope(self, x, y, k=0, loss=None):
            seen.append(x.clone())
            return super().slope(x, y, k, loss)

    watched = Watching(defence.classify, defence.purify, defence.xi, defence.knowledge)
    return seen, attacks.PARTS[attack](watched, x, y, xi, **OPTIONS[attack])


@pytest.mark.parametrize("attack", ["pgd", "apgd"])
def test_what_comes_back_is_the_first_iterate_that_fools_or_else_what_the_attack_returns(attack, setting):
    """The attack's own iterates, one after the other, are the oracle. Rows alone are rows among others to 1e-9."""
    defence, x, y, xi = setting
    seen, last = iterates(attack, defence, x, y, xi)
    margins = torch.stack([margin(defence(z), y) for z in seen])
    expected = last.clone()
    for i in range(N):
        first = (margins[:, i] > 0).nonzero().flatten()
        if len(first):
            expected[i] = seen[first[0]][i]
    fooled = (margins > 0).any(dim=0)
    assert 0 < fooled.sum() < N
    made = until_fooled(defence, x, y, xi, attack=attack, **OPTIONS[attack])
    torch.testing.assert_close(made, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("attack", OPTIONS)
def test_accuracy_is_never_higher_than_the_attacks_own_at_its_gradients(attack, setting):
    defence, x, y, xi = setting
    own = attacks.PARTS[attack](defence, x, y, xi, **OPTIONS[attack])
    made = until_fooled(defence, x, y, xi, attack=attack, **OPTIONS[attack])
    right, right_own = ((margin(defence(z), y) <= 0) for z in (made, own))
    assert right.sum() <= right_own.sum()
    assert (made - x).abs().max() <= 0.15 + 1e-9 and made.min() >= 0 and made.max() <= 1


def test_images_that_are_fooled_are_asked_about_no_more(setting):
    defence, x, y, xi = setting
    asked = Asked(defence.purify)
    until_fooled(replace(defence, purify=asked), x, y, xi, attack="pgd", **PGD)
    assert asked.sizes[0] == N and asked.sizes == sorted(asked.sizes, reverse=True) and asked.sizes[-1] < N
    wrong = (y + 1) % 3
    asked.sizes.clear()
    until_fooled(replace(defence, purify=asked), x, wrong, xi, attack="pgd", **PGD | {"random_start": False})
    assert asked.sizes == [N]  # all are fooled as they are


def test_those_that_resist_are_what_they_are_without_those_that_left(setting):
    """Rows alone have the bits of rounding of rows among others."""
    defence, x, y, xi = setting
    made = until_fooled(defence, x, y, xi, attack="pgd", **PGD)
    rows = torch.tensor([7, 2, 9])
    few = until_fooled(defence.rows(rows), x[rows], y[rows], xi.rows(rows), attack="pgd", **PGD)
    torch.testing.assert_close(few, made[rows], atol=1e-9, rtol=0)


def test_the_images_given_stay_as_they_are(setting):
    defence, x, y, xi = setting
    before = x.clone()
    until_fooled(defence, x, y, xi, attack="apgd", **OPTIONS["apgd"])
    assert torch.equal(x, before)


@pytest.mark.parametrize("knowledge", ["none", "forward", "reverse"])
def test_it_is_refused_where_something_is_fresh(knowledge, setting):
    defence, x, y, xi = setting
    with pytest.raises(ValueError, match="knowledge `all`"):
        until_fooled(replace(defence, knowledge=knowledge), x, y, xi, attack="pgd", **PGD)
    with pytest.raises(ValueError, match="one draw"):
        until_fooled(defence, x, y, xi, attack="pgd", **PGD, draws=2)
    with pytest.raises(ValueError, match="there are pgd, bpda, apgd"):
        until_fooled(defence, x, y, xi, attack="worst_of", epsilon=0.1)
