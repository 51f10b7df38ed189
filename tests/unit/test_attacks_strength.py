"""The attacks reach what can be reached, known in closed form; more of an attack never makes a defence more robust."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from pyautoattack.autopgd_base import APGDAttack

from purity import attacks, purifiers
from purity.attacks import apgd, apgd_targeted, pgd, restarted, worst_of
from purity.defence import ATTACKER, FIXED, Defence
from purity.geometry import BALLS
from purity.losses import LOSSES, TARGETED, margin
from purity.noise import Noise

N, EPSILON = 40, 0.1
XI = Noise(0, torch.arange(N) + 40)

# What claims to converge. Targets by the margin, which two classes have as well.
APGD = {"run": "apgd", "steps": 10}
TOWARDS = {"run": "apgd_targeted", "steps": 10, "targets": 9, "loss": "margin"}
CONVERGED = {
    "cosine": partial(pgd, steps=40, relative_step=0.25, schedule="cosine", random_start=False),
    "cosine from the ball": partial(pgd, steps=40, relative_step=0.25, schedule="cosine"),
    "momentum": partial(pgd, steps=40, relative_step=0.25, schedule="cosine", random_start=False, momentum=0.9),
    "quarter steps": partial(pgd, steps=20, relative_step=0.25, random_start=False),
    "auto-PGD": partial(apgd, steps=10),
    "auto-PGD from the ball": partial(apgd, steps=10, random_start=True),
    "standard": partial(worst_of, attacks=[APGD, TOWARDS]),
}


@pytest.fixture(scope="module")
def weights():
    """(64,) with no entry near 0."""
    w = torch.randn(64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return w + 0.1 * w.sign()


@pytest.fixture(scope="module")
def grey():
    """(N, 1, 8, 8) so far from 0 and 1 that no ball is cut."""
    noise = torch.rand(N, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return 0.2 + 0.6 * noise


def half_space(w):
    """Two classes: w·(x − ½) against 0, and never an error to be found by accident: all images are of class 0."""
    return lambda x: torch.stack([torch.zeros(len(x), dtype=x.dtype), (x.flatten(1) - 0.5) @ w - 20], dim=1)


def defended(classify, n=N, purify=None, knowledge="all"):
    return Defence(classify, purify or purifiers.identity(), XI.rows(torch.arange(n)), knowledge)


Y0 = torch.zeros(N, dtype=torch.int64)


@pytest.mark.parametrize("name", CONVERGED)
def test_the_corner_of_the_cube_is_reached_exactly(weights, grey, name):
    found = CONVERGED[name](defended(half_space(weights)), grey, Y0, XI, epsilon=EPSILON)
    corner = grey + EPSILON * weights.sign().view(1, 1, 8, 8)
    torch.testing.assert_close(found, corner, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", CONVERGED)
def test_the_point_of_the_sphere_is_reached(weights, grey, name):
    """A step η along the gradient shrinks what is off it by 1 + η/ε in the end, the cosine's forty steps by e^4.5 = 90; by
    less at first, where a random start is at a right angle to it. From the image itself nothing is off it."""
    found = CONVERGED[name](defended(half_space(weights)), grey, Y0, XI, epsilon=0.2, norm="l2")
    point = grey + 0.2 * (weights / weights.norm()).view(1, 1, 8, 8)
    assert (BALLS["l2"].norm(found - point) < 0.05 * 0.2).all()


def test_forty_thirtieths_of_the_radius_do_not_reach_the_corner(weights, grey):
    """The papers' protocol. From U(−1, 1) a way of 4/3 leads to min(1, u + 4/3), on average 8/9: a wall of 2,560 pixels
    has a standard error of .004."""
    found = pgd(defended(half_space(weights)), grey, Y0, XI, epsilon=EPSILON, steps=40, relative_step=1 / 30)
    depth = (found - grey) / EPSILON * weights.sign().view(1, 1, 8, 8)
    assert depth.mean().item() == pytest.approx(8 / 9, abs=0.02)


@pytest.mark.parametrize(("name", "share"), [("cosine", 0.99), ("auto-PGD", 0.9)])
def test_a_sphere_cut_by_the_image_range_is_searched_to_its_best_point(weights, name, share):
    """The best δ is clip(λw) with λ so that its length is ε (Karush, Kuhn, Tucker); found by bisection.

    To project and then to clip shortens δ, the more the longer the step: the cosine's last ones are short, auto-PGD's
    stay at 2ε where the loss rises with every step.
    """
    x = torch.rand(N, 64, generator=torch.Generator().manual_seed(2), dtype=torch.float64).round()  # corners
    low, high = torch.zeros(N, 1, dtype=torch.float64), torch.full((N, 1), 1e3, dtype=torch.float64)
    for _ in range(100):
        middle = (low + high) / 2
        short = (x + middle * weights).clamp(0, 1).sub(x).norm(dim=1, keepdim=True) < 0.5
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    best = ((x + low * weights).clamp(0, 1) - x) @ weights
    images = x.view(N, 1, 8, 8)
    found = CONVERGED[name](defended(half_space(weights)), images, Y0, XI, epsilon=0.5, norm="l2")
    reached = (found - images).flatten(1) @ weights
    assert (reached <= best * (1 + 1e-9)).all()
    assert (reached >= share * best).all()


@pytest.mark.parametrize("loss", ["margin", "dlr"])
def test_a_linear_classifier_is_fooled_exactly_where_it_can_be(grey, loss):
    """Class j can be reached where its margin + ε‖w_j − w_y‖₁ > 0. Each is reached by its own corner."""
    generator = torch.Generator().manual_seed(3)
    w = torch.randn(10, 64, generator=generator, dtype=torch.float64)

    def classify(x):
        return (x.flatten(1) - 0.5) @ w.T

    y = classify(grey).argmax(1)
    z = classify(grey)
    for epsilon in (0.005, 0.01, 0.02):
        reach = z - z.gather(1, y[:, None]) + epsilon * (w[None] - w[y][:, None]).abs().sum(2)
        can = reach.scatter(1, y[:, None], -1).amax(1) > 0
        assert (0.05 < can.double().mean() < 0.95) or epsilon != 0.01
        options = [{"run": "apgd", "steps": 5}, {**TOWARDS, "loss": loss}]
        found = worst_of(defended(classify), grey, y, XI, epsilon=epsilon, attacks=options)
        assert torch.equal(classify(found).argmax(1) != y, can)


# More never raises accuracy.


@pytest.fixture(scope="module")
def purify(unet64):
    return purifiers.one_step(unet64, t=50, clip=True, recompute=False)


@pytest.fixture(scope="module")
def x(images):
    return images[:N].double()


@pytest.fixture(scope="module")
def y(cnn64, purify, x):
    return cnn64(purify(x, XI)).argmax(1)


def right(cnn64, purify, x, y):
    return cnn64(purify(x, XI)).argmax(1) == y


def test_every_attack_that_is_added_leaves_the_fooled_fooled(cnn64, purify, x, y):
    defence = defended(cnn64, purify=purify)
    parts = [{"run": "pgd", "steps": 2, "relative_step": 0.2}, {"run": "apgd", "steps": 4}]
    parts += [{"run": "apgd", "steps": 4, "loss": "dlr"}, {"run": "apgd_targeted", "steps": 4, "targets": 2}]
    robust = torch.ones(N, dtype=torch.bool)
    shares = []
    for n in range(1, len(parts) + 1):
        found = worst_of(defence, x, y, XI, epsilon=0.05, attacks=parts[:n])
        now = right(cnn64, purify, found, y)
        assert not (now & ~robust).any()
        robust = now
        shares.append(robust.double().mean().item())
    assert 0 < shares[-1] < shares[0] < 1


def test_it_is_no_weaker_than_any_of_its_parts(cnn64, purify, x, y):
    defence = defended(cnn64, purify=purify)
    parts = [{"run": "apgd", "steps": 4, "random_start": True}, {"run": "apgd", "steps": 4, "loss": "margin"}]
    together = right(cnn64, purify, worst_of(defence, x, y, XI, epsilon=0.05, attacks=parts), y)
    for part in parts:
        alone = right(cnn64, purify, worst_of(defence, x, y, XI, epsilon=0.05, attacks=[part]), y)
        assert not (together & ~alone).any()


def test_the_first_start_is_the_attacks_own_and_others_leave_the_fooled_fooled(cnn64, purify, x, y):
    defence, options = defended(cnn64, purify=purify), {"epsilon": 0.01, "steps": 2, "relative_step": 0.3}
    found = [restarted(defence, x, y, XI, restarts=n, **options) for n in (1, 2, 6)]
    robust = [right(cnn64, purify, images, y) for images in found]
    own = pgd(defence, x, y, XI, **options)
    assert torch.equal(found[0], own) and not torch.equal(found[-1], own)
    assert not any((more & ~fewer).any() for fewer, more in pairwise(robust))
    assert ((found[-1] - x).abs() <= 0.01 + 1e-12).all()


@pytest.mark.parametrize("attack", [apgd, partial(pgd, relative_step=0.25, schedule="cosine", random_start=False)])
def test_more_steps_and_a_larger_ball_fool_no_fewer(cnn64, purify, x, y, attack):
    """Of forty images, one may go another way: paths of a curved loss are no subsets of each other."""
    defence = defended(cnn64, purify=purify)

    def accuracy(epsilon, steps):
        return right(cnn64, purify, attack(defence, x, y, XI, epsilon=epsilon, steps=steps), y).double().mean().item()

    by_steps = [accuracy(0.05, steps) for steps in (1, 3, 10, 30)]
    by_budget = [accuracy(epsilon, 10) for epsilon in (0.01, 0.03, 0.1, 0.3)]
    for shares in (by_steps, by_budget):
        assert all(b <= a + 1 / N for a, b in pairwise(shares))
        assert shares[-1] < shares[0]
    assert by_budget[-1] == 0  # nothing masks its gradient


def test_auto_pgd_comes_back_with_the_largest_margin_of_its_path(cnn64, purify, x, y):
    seen = []

    def noted(images, xi):
        seen.append(images.detach())
        return purify(images, xi)

    found = apgd(defended(cnn64, purify=noted), x, y, XI, epsilon=0.05, steps=7)
    margins = torch.stack([margin(cnn64(purify(images, XI)), y) for images in seen])
    assert len(seen) == 8
    torch.testing.assert_close(margin(cnn64(purify(found, XI)), y), margins.amax(0), atol=1e-9, rtol=0)


# Oracles and the form of an attack.


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 0.6)])
@pytest.mark.parametrize("steps", [9, 40])
def test_auto_pgd_is_the_packages_from_the_same_start(cnn64, x, given_start, norm, epsilon, steps):
    """On two classes, whose margin and cross-entropy are largest at the same place. The package keeps its step size and
    its losses in float32."""

    def two(images):
        return cnn64(images)[:, :2]

    y = two(x).argmax(1)
    start = (x + BALLS[norm].point(XI.start(x), epsilon)).clamp(0, 1)
    theirs = APGDAttack(two, n_iter=steps, norm={"linf": "Linf", "l2": "L2"}[norm], eps=epsilon, device="cpu")
    theirs.init_hyperparam(x)
    expected, *_ = theirs.attack_single_run(x, y, x_init=start)
    ours = {"norm": given_start(norm, start, x), "epsilon": epsilon, "steps": steps, "random_start": True}
    found = apgd(defended(two), x, y, XI, **ours)
    close = ((found - expected).abs() < 1e-4).flatten(1).all(1)
    assert close.double().mean() >= 0.95  # where two iterates are equally bad but for float32, another comes back
    assert (found - x).abs().max() > 0.09


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_are_those_of_their_papers(loss):
    """By hand: logits 3, 1, 2, 0 and y = 0."""
    z, y = torch.tensor([[3.0, 1.0, 2.0, 0.0]], dtype=torch.float64), torch.tensor([0])
    wanted = {
        "cross-entropy": math.log(1 + math.exp(-2) + math.exp(-1) + math.exp(-3)),
        "margin": -1.0,
        "dlr": -1.0 / 2.0,
    }
    assert LOSSES[loss](z, y).item() == pytest.approx(wanted[loss], rel=1e-9)


@pytest.mark.parametrize("loss", TARGETED)
def test_targeted_losses_are_those_of_their_papers(loss):
    z, y, target = torch.tensor([[3.0, 1.0, 2.0, 0.0]], dtype=torch.float64), torch.tensor([0]), torch.tensor([1])
    wanted = {"cross-entropy": -math.log(1 + math.exp(2) + math.exp(1) + math.exp(-1)), "margin": -2.0, "dlr": -0.8}
    assert TARGETED[loss](target)(z, y).item() == pytest.approx(wanted[loss], rel=1e-9)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", CONVERGED)
def test_they_stay_in_their_ball_and_in_the_image_range(cnn, unet, images, norm, name):
    x, xi = images[:12], XI.rows(torch.arange(12))
    purify = purifiers.one_step(unet, t=50, clip=True, recompute=False)
    y = cnn(x).argmax(1)
    epsilon = {"linf": 0.1, "l2": 0.5}[norm]
    found = CONVERGED[name](Defence(cnn, purify, xi), x, y, xi, epsilon=epsilon, norm=norm)
    assert found.shape == x.shape and found.dtype == x.dtype
    assert found.min() >= 0 and found.max() <= 1
    distance = BALLS[norm].norm(found - x)
    assert (distance <= epsilon + 1e-6).all() and (distance > epsilon / 2).all()


@pytest.mark.parametrize("knowledge", ["none", "all"])
@pytest.mark.parametrize("name", ["cosine", "momentum", "auto-PGD from the ball", "standard"])
def test_they_give_the_same_images_at_any_batch_size(cnn64, purify, x, y, name, knowledge):
    """In float64 rounding turns no sign around and changes no order."""

    def of(rows):
        xi = XI.rows(rows)
        return CONVERGED[name](Defence(cnn64, purify, xi, knowledge), x[rows], y[rows], xi, epsilon=0.05)

    rows = torch.arange(6)
    for size in (1, 4):
        torch.testing.assert_close(torch.cat([of(part) for part in rows.split(size)]), of(rows), atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", ["auto-PGD", "standard"])
def test_who_does_not_know_the_noise_never_sees_a_draw_twice(cnn64, purify, x, y, name):
    seen = {}

    def noted(images, xi):
        for i, draw in zip(xi.ids.tolist(), torch.as_tensor(xi.forward_draw).expand(len(images)).tolist(), strict=True):
            seen.setdefault(i, []).append(draw)
        return purify(images, xi)

    options = {"epsilon": 0.05}
    if name == "standard":
        parts = [{**APGD, "draws": 2}, {**APGD, "loss": "dlr"}, {**TOWARDS, "targets": 2, "draws": 2}]
        options |= {"attacks": parts, "judgings": 3}
        attack = worst_of
    else:
        attack = CONVERGED[name]
    attack(defended(cnn64, purify=noted, knowledge="none"), x, y, XI, **options)
    assert len(seen) == N
    for draws in seen.values():
        assert len(set(draws)) == len(draws) > 10
        assert min(draws) >= ATTACKER and FIXED not in draws


def test_averaged_draws_are_the_mean_of_single_ones_for_losses_that_know_a_target_of_each_row(cnn64, purify, x, y):
    target = (y + 1 + torch.arange(N) % 8) % 10
    at_once = Defence(cnn64, purify, XI, "none", max_batch=3 * N)
    one = [attacks.expected(at_once, x, y, k, 1, TARGETED["margin"](target)) for k in range(4, 8)]
    for room in (N, 3 * N):
        defence = Defence(cnn64, purify, XI, "none", max_batch=room)
        together = attacks.expected(defence, x, y, 1, 4, TARGETED["margin"](target))
        for found, singles in zip(together, zip(*one, strict=True), strict=True):
            torch.testing.assert_close(found, sum(singles) / 4, atol=1e-9, rtol=1e-9)


def test_an_attack_that_is_not_there_is_named(cnn64, x, y):
    with pytest.raises(ValueError, match="no attack 'fab'; there are pgd, bpda, apgd, apgd_targeted"):
        worst_of(defended(cnn64), x, y, XI, epsilon=0.1, attacks=[{"run": "fab"}])


def test_as_many_targets_as_there_are_other_classes(weights, grey):
    found = apgd_targeted(
        defended(half_space(weights)), grey, Y0, XI, epsilon=EPSILON, steps=5, targets=9, loss="margin"
    )
    torch.testing.assert_close(found, grey + EPSILON * weights.sign().view(1, 1, 8, 8), atol=1e-12, rtol=0)
