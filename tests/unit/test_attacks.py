"""Attacks against foolbox and advertorch, their ball and their start, what each knowledge sees, and batch size."""

import copy
from dataclasses import replace

import eagerpy
import foolbox
import pytest
import torch
from jobs import job
from scipy import stats
from torch.nn import functional as F

from purity import attacks, purifiers, repairs
from purity.attacks import Attack
from purity.defence import ATTACKER, FIXED, KNOWLEDGE, Defence
from purity.geometry import BALLS
from purity.noise import Noise
from purity.stages.attack import attack

BUDGET = {"linf": {"epsilon": 0.1, "relative_step": 0.3}, "l2": {"epsilon": 0.5, "relative_step": 0.3}}


@pytest.fixture(scope="module")
def x(images):
    return images[:8].double()


@pytest.fixture(scope="module")
def y(cnn64, x):
    return cnn64(x).argmax(1)


XI = Noise(0, torch.arange(8) + 40)


def ddpm(network):
    """A short DiffPure: three evaluations from t = 50."""
    return purifiers.ddpm(network, t=50, steps=3, sigma="small", clip=True, forward="one-step")


def gradient(logits_of, x, y):
    """∇ₓ of the summed cross-entropy, written out."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(logits_of(x), y, reduction="sum"), x)[0]


# Oracles.


@pytest.mark.parametrize(
    ("norm", "oracle"), [("linf", foolbox.attacks.LinfPGD), ("l2", foolbox.attacks.L2PGD)], ids=["linf", "l2"]
)
def test_pgd_is_foolboxs_from_the_same_start(cnn64, x, y, given_start, norm, oracle):
    """In float64 no sign hangs on rounding."""
    epsilon, step = BUDGET[norm].values()
    start = (x + BALLS[norm].point(XI.start(x), epsilon)).clamp(0, 1)
    theirs = oracle(rel_stepsize=step, steps=10, random_start=True)
    theirs.get_random_start = lambda x0, epsilon: eagerpy.astensor(start)
    model = foolbox.PyTorchModel(cnn64, bounds=(0, 1), device="cpu")
    expected = theirs.run(model, x, foolbox.Misclassification(y), epsilon=epsilon)

    ours = {"norm": given_start(norm, start, x), "epsilon": epsilon, "relative_step": step, "steps": 10}
    found = attacks.pgd(Defence(cnn64, purifiers.identity(), XI), x, y, XI, **ours)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert (found - x).abs().max() > 0.5 * BUDGET["linf"]["epsilon"]  # it went somewhere


def test_momentum_is_advertorchs(cnn64, x, y):
    """MI-FGSM (Dong et al. 2018) from the image, in float64 again; without momentum it goes elsewhere."""
    epsilon, step = BUDGET["linf"].values()
    theirs = repairs.advertorch().attacks.MomentumIterativeAttack(
        cnn64, eps=epsilon, eps_iter=step * epsilon, nb_iter=10, decay_factor=0.75
    )
    ours = {"epsilon": epsilon, "relative_step": step, "steps": 10, "random_start": False}
    defence = Defence(cnn64, purifiers.identity(), XI)
    found = attacks.pgd(defence, x, y, XI, momentum=0.75, **ours)
    torch.testing.assert_close(found, theirs.perturb(x, y), atol=1e-9, rtol=0)
    assert not torch.equal(found, attacks.pgd(defence, x, y, XI, **ours))


def quantise(x, xi):
    return (5 * x).round() / 5


@pytest.mark.parametrize("kind", ["quantiser", "diffusion"])
def test_bpda_gradient_is_advertorchs(cnn64, unet64, x, y, kind):
    purify = quantise if kind == "quantiser" else ddpm(unet64)
    wrapped = repairs.advertorch().bpda.BPDAWrapper(forward=lambda images: purify(images, XI))
    expected = gradient(lambda images: cnn64(wrapped(images)), x, y)
    found = Defence(cnn64, purify, XI).straight_through().gradient(x, y)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    assert not torch.allclose(found, Defence(cnn64, purify, XI).gradient(x, y), rtol=0.1)


def test_bpda_is_pgd_on_advertorchs_wrapper(cnn64, x, y):
    options = {**BUDGET["linf"], "steps": 5}
    wrapped = repairs.advertorch().bpda.BPDAWrapper(forward=lambda images: quantise(images, XI))
    expected = attacks.pgd(
        Defence(lambda images: cnn64(wrapped(images)), purifiers.identity(), XI), x, y, XI, **options
    )
    found = attacks.bpda(Defence(cnn64, quantise, XI), x, y, XI, **options)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_bpda_purifies_forward_and_builds_no_graph_through_the_purifier(cnn64, x):
    def purify(images, xi):
        assert not torch.is_grad_enabled()
        return quantise(images, xi)

    defence = Defence(cnn64, purify, XI).straight_through()
    assert torch.equal(defence(x.clone().requires_grad_()), cnn64(quantise(x, XI)))


# Gradients and their expectation.


def test_gradient_of_the_defence_is_that_of_the_summed_loss_at_the_addressed_draw(cnn64, unet64, x, y):
    purify = ddpm(unet64)
    defence = Defence(cnn64, purify, XI, "none")
    for k in (0, 3):
        expected = gradient(lambda images, k=k: cnn64(purify(images, XI.at(ATTACKER + k))), x, y)
        torch.testing.assert_close(defence.gradient(x, y, k), expected, atol=1e-12, rtol=1e-9)


def test_eot_is_the_mean_of_gradients_of_its_own_draws_and_not_the_gradient_of_mean_logits(cnn64, x, y):
    """Strong Gaussian noise before a confident classifier, whose softmax saturates: the two differ plainly."""
    purify = purifiers.gaussian(0.5)

    def classify(images):
        return 30 * cnn64(images)

    k, draws = 2, 5
    seen = [XI.at(ATTACKER + k * draws + e) for e in range(draws)]
    mean = sum(gradient(lambda images, xi=xi: classify(purify(images, xi)), x, y) for xi in seen) / draws
    found = attacks.expected_gradient(Defence(classify, purify, XI, "none"), x, y, k, draws)
    torch.testing.assert_close(found, mean, atol=1e-12, rtol=1e-9)

    for max_batch in (1, 2 * len(x), 10 * len(x)):  # some draws at a time, the last ones fewer; or all
        together = Defence(classify, purify, XI, "none", max_batch=max_batch)
        found = attacks.expected_gradient(together, x, y, k, draws)
        torch.testing.assert_close(found, mean, atol=1e-12, rtol=1e-9)

    of_mean_logits = gradient(lambda images: sum(classify(purify(images, xi)) for xi in seen) / draws, x, y)
    assert (found - of_mean_logits).norm() > 0.1 * found.norm()


def test_eot_of_a_fixed_draw_is_its_gradient(cnn64, unet64, x, y):
    defence = Defence(cnn64, ddpm(unet64), XI, "all")
    once = defence.gradient(x, y)
    torch.testing.assert_close(attacks.expected_gradient(defence, x, y, 7, 4), once, atol=1e-12, rtol=1e-12)


# The ball and the start.


@pytest.mark.parametrize("attack", [attacks.pgd, attacks.bpda])
@pytest.mark.parametrize("norm", BUDGET)
@pytest.mark.parametrize("random_start", [True, False])
def test_attacks_stay_in_their_ball_and_in_the_image_range(cnn, unet, images, attack, norm, random_start):
    x = images[:20]
    xi = Noise(0, torch.arange(20))
    y = cnn(x).argmax(1)
    options = {"norm": norm, **BUDGET[norm], "steps": 6, "random_start": random_start}
    found = attack(Defence(cnn, ddpm(unet), xi), x, y, xi, **options)
    assert found.shape == x.shape and found.dtype == x.dtype
    assert found.min() >= 0 and found.max() <= 1
    distance = BALLS[norm].norm(found - x)
    epsilon = BUDGET[norm]["epsilon"]
    assert (distance <= epsilon + 1e-6).all()  # float32 rounding of x₀ + δ − x₀
    assert (distance > epsilon / 2).all()  # six steps of 0.3 ε in one direction would leave it


def test_noise_that_is_cut_stays_in_its_ball_and_in_the_image_range(images):
    found = attacks.uniform(None, images, None, Noise(0, torch.arange(100)), epsilon=0.2, cut=True)
    assert found.min() == 0 and found.max() == 1
    assert (found - images).abs().max() <= 0.2 + 1e-6


def test_uncut_noise_has_the_distance_of_its_law_and_the_image_back_where_it_is_cut(images):
    """E‖δ‖² = dε²/3: of 6,400 pixels a mean square has a standard error of 1.1 %. Between 0 and 1 both are the same."""
    noise = Noise(0, torch.arange(100))
    uncut = attacks.uniform(None, images, None, noise, epsilon=0.2)
    assert ((uncut - images) ** 2).mean().item() == pytest.approx(0.2**2 / 3, rel=0.05)
    assert uncut.min() < 0 and uncut.max() > 1
    assert torch.equal(uncut.clamp(0, 1), attacks.uniform(None, images, None, noise, epsilon=0.2, cut=True))


N = 4000


@pytest.fixture(scope="module")
def grey():
    """(4000, 1, 2, 2): the centre of the cube, so that no ball below is cut."""
    return torch.full((N, 1, 2, 2), 0.5, dtype=torch.float64)


def start_of(grey, norm, epsilon):
    """The random start alone: no steps."""
    noise = Noise(9, torch.arange(N))
    return attacks.pgd(None, grey, None, noise, norm=norm, epsilon=epsilon, steps=0, relative_step=1.0) - grey


def test_random_start_is_uniform_in_the_cube(grey):
    d = start_of(grey, "linf", 0.1)
    assert stats.kstest(d.flatten().numpy(), stats.uniform(-0.1, 0.2).cdf).pvalue > 1e-3
    assert_isotropic(d.flatten(1), variance=0.1**2 / 3, spread=0.1**2 / 3)


def test_random_start_is_uniform_in_the_sphere(grey):
    """‖δ‖/ε to the power d is U(0, 1), the direction has no preference: E δ_i² = ε²/(d+2)."""
    d = start_of(grey, "l2", 0.3).flatten(1)
    radius = d.norm(dim=1) / 0.3
    assert radius.max() <= 1 + 1e-12
    assert stats.kstest((radius**4).numpy(), "uniform").pvalue > 1e-3
    # A coordinate u of a uniform direction in four dimensions has a density ∝ √(1−u²).
    direction = ((d / d.norm(dim=1, keepdim=True))[:, 0] + 1) / 2
    assert stats.kstest(direction.numpy(), stats.beta(1.5, 1.5).cdf).pvalue > 1e-3
    assert_isotropic(d, variance=0.3**2 / 6, spread=0.19 * 0.3**2)


def assert_isotropic(d, variance, spread):
    """Mean 0 and covariance variance·1, all within four standard errors; spread: the largest deviation of a δ_i δ_j."""
    assert (d.mean(0).abs() < 4 * (variance / N) ** 0.5).all()
    covariance = d.T @ d / N
    assert (covariance - variance * torch.eye(4)).abs().max() < 4 * spread / N**0.5


def test_every_attack_of_a_seed_starts_at_the_same_point(cnn64, grey):
    noise = Noise(9, torch.arange(N))
    options = {"epsilon": 0.1, "steps": 0, "relative_step": 1.0}
    blind = attacks.uniform(None, grey, None, noise, epsilon=0.1)
    assert torch.equal(attacks.pgd(None, grey, None, noise, **options), blind)
    assert torch.equal(attacks.bpda(Defence(cnn64, quantise, noise), grey, None, noise, **options), blind)
    assert torch.equal(attacks.pgd(None, grey, None, noise.at(5), **options), blind)
    assert not torch.equal(attacks.pgd(None, grey, None, replace(noise, seed=8), **options), blind)


def test_random_start_in_the_sphere_is_finite_at_every_address():
    """Seed 16, image 388 has a word within 128 of 2³² among its 3,072."""
    x, noise = torch.full((1, 3, 32, 32), 0.5), Noise(16, torch.tensor([388]))
    start = attacks.pgd(None, x, None, noise, norm="l2", epsilon=0.5, steps=0, relative_step=1.0)
    assert torch.isfinite(start).all()


# Knowledge.


def draws_seen(knowledge, cnn64, x, y, attack=attacks.pgd, steps=4, draws=3):
    """(forward draw, reverse draw) of every purification an attack asks for, in order."""
    seen = []

    def purify(images, xi):
        seen.append((xi.forward_draw, xi.reverse_draw))
        return images + 0 * xi.forward(0, images)

    defence = Defence(cnn64, purify, XI, knowledge)
    attack(defence, x, y, XI, **BUDGET["linf"], steps=steps, draws=draws)
    assert len(seen) == steps * draws
    return seen


@pytest.mark.parametrize("attack", [attacks.pgd, attacks.bpda])
@pytest.mark.parametrize("knowledge", KNOWLEDGE)
def test_attackers_see_the_fixed_part_always_and_never_the_rest_twice(cnn64, x, y, knowledge, attack):
    forward, reverse = zip(*draws_seen(knowledge, cnn64, x, y, attack), strict=True)
    for known, seen in ((knowledge in ("all", "forward"), forward), (knowledge in ("all", "reverse"), reverse)):
        if known:
            assert set(seen) == {FIXED}
        else:
            assert len(set(seen)) == len(seen)
            assert min(seen) >= ATTACKER  # judges' draws 0, 1, 2, … lie below


def test_knowing_both_halves_is_knowing_all():
    for k in (1, 599, ATTACKER):
        assert KNOWLEDGE["all"](k) == (KNOWLEDGE["forward"](k)[0], KNOWLEDGE["reverse"](k)[1])
        assert KNOWLEDGE["none"](k) == (KNOWLEDGE["reverse"](k)[0], KNOWLEDGE["forward"](k)[1])


def test_an_attacker_who_knows_all_meets_the_judges_noise_and_one_who_knows_none_does_not(cnn64, unet64, x):
    purify = ddpm(unet64)
    judged = cnn64(purify(x, XI.at(FIXED)))
    assert torch.equal(Defence(cnn64, purify, XI, "all")(x, k=3), judged)
    for knowledge in ("none", "forward", "reverse"):
        assert not torch.allclose(Defence(cnn64, purify, XI, knowledge)(x, k=3), judged, rtol=1e-3)


def test_rows_of_a_defence_keep_their_noise(cnn64, unet64, x, y):
    defence, index = Defence(cnn64, ddpm(unet64), XI, "none"), torch.tensor([6, 1, 1])
    torch.testing.assert_close(defence.rows(index)(x[index], k=2), defence(x, k=2)[index], atol=1e-12, rtol=0)


# The same attack at batch 1, 7 and 100.

HUNDRED = Noise(3, torch.arange(100) + 500)


def crafted(images, classify, purify, batch, knowledge, **options):
    """(labels, adversarial images) of the whole set, in blocks of `batch`; labels are the clean predictions."""
    y = classify(purify(images, HUNDRED)).argmax(1)
    given = {"job": job(batch), "attack": Attack(attacks.pgd, options), "knowledge": knowledge}
    found = attack(images.numpy(), y.numpy(), HUNDRED, **given, classify=classify, purify=purify)["x"]
    return y, torch.from_numpy(found)


@pytest.mark.parametrize("knowledge", ["none", "all"])
def test_an_attack_gives_the_same_images_at_any_batch_size(images, cnn64, unet64, knowledge):
    """In float64 rounding (1e-16) turns no sign around, and a step is the same ±: equal bits."""
    options = {"knowledge": knowledge, "epsilon": 0.1, "steps": 3, "relative_step": 0.4}
    one, seven, all_at_once = (crafted(images.double(), cnn64, ddpm(unet64), n, **options)[1] for n in (1, 7, 100))
    assert torch.equal(one, all_at_once)
    assert torch.equal(seven, all_at_once)


def test_an_l2_eot_attack_gives_the_same_images_at_any_batch_size(images, cnn64, unet64):
    """Steps are proportional to gradients here: equal to rounding, grown over three steps of a curved loss."""
    options = {"knowledge": "none", "norm": "l2", "epsilon": 0.5, "steps": 3, "relative_step": 0.4, "draws": 2}
    seven, all_at_once = (crafted(images.double(), cnn64, ddpm(unet64), n, **options)[1] for n in (7, 100))
    torch.testing.assert_close(seven, all_at_once, atol=1e-9, rtol=0)


@pytest.mark.parametrize(("kind", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
def test_noise_is_bit_equal_and_gradients_equal_to_rounding_at_any_batch_size(images, cnn64, unet64, kind, tolerance):
    """Relative to each image's largest entry; float32 has 6e-8, and some thousand roundings on the way."""
    dtype = getattr(torch, kind)
    cnn, unet = (copy.deepcopy(network).to(dtype) for network in (cnn64, unet64))
    x, purify = images.to(dtype), ddpm(unet)
    y = cnn(x).argmax(1)
    gradients, noises = [], []
    for size in (1, 7, 100):
        parts = [(x[rows], y[rows], HUNDRED.rows(rows)) for rows in torch.arange(100).split(size)]
        gradients.append(torch.cat([Defence(cnn, purify, noise).gradient(a, b) for a, b, noise in parts]))
        noises.append(torch.cat([noise.reverse(17, a) for a, _, noise in parts]))
    assert torch.equal(noises[0], noises[2]) and torch.equal(noises[1], noises[2])
    scale = gradients[2].abs().amax((1, 2, 3), keepdim=True)
    assert (scale > 0).all()
    for found in gradients[:2]:
        assert ((found - gradients[2]) / scale).abs().max() < tolerance


def test_batch_size_leaves_float32_results_alone(images, cnn, unet):
    """Where a gradient is 0 but for rounding its sign may turn; gradients agree to 1e-4 of the largest (see above).

    A turned sign moves the rest of that image's path, so count in images: one of the hundred may go another way.
    Hence at most one pixel in a hundred differs, and accuracies by no more than 0.01.
    """
    options = {"knowledge": "none", "epsilon": 0.1, "steps": 5, "relative_step": 0.25}
    purify = ddpm(unet)
    accuracy, found = {}, {}
    for batch in (1, 7, 100):
        y, found[batch] = crafted(images, cnn, purify, batch, **options)
        accuracy[batch] = (cnn(purify(found[batch], HUNDRED)).argmax(1) == y).double().mean().item()
    share = {batch: (found[batch] != found[100]).double().mean().item() for batch in (1, 7)}
    print(f"float32: share of pixels that differ from batch 100: {share}; accuracies {accuracy}")
    assert 0.05 < accuracy[100] < 0.95  # the attack does something, and not everything
    assert max(share.values()) <= 0.01
    assert max(abs(accuracy[batch] - accuracy[100]) for batch in (1, 7)) <= 0.01 + 1e-12
