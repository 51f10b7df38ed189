"""What an attack is handed, and what it may not hand back."""

import numpy as np
import pytest
import torch
from jobs import Watched, checked, job

from purity import attacks, contract, purifiers
from purity.attacks import Attack
from purity.autoattack import autoattack
from purity.defence import Defence
from purity.libraries import advertorch
from purity.noise import Noise, together
from purity.stages.attack import attack

N, XI = 8, Noise(3, torch.arange(8) + 40)
PGD = Attack(attacks.pgd, {"epsilon": 0.1, "steps": 2, "relative_step": 0.4})


@pytest.fixture(scope="module")
def x0(images):
    return images[:N].double().numpy()


Y = np.arange(N) % 10


@pytest.mark.parametrize("batch", [1, 3, N])
@pytest.mark.parametrize("knowledge", ["none", "all"])
def test_the_stage_is_the_attack_on_the_defence_of_each_batch(knowledge, batch, x0, cnn64):
    purify = purifiers.gaussian(0.3)
    given = {"classify": cnn64, "purify": checked(purify), "knowledge": knowledge}
    found = attack(x0, Y, XI, job=job(batch), attack=PGD, **given)
    assert found.keys() == {"x", "gradients", "zero_gradients", "non_finite_gradients"}
    rows = [torch.arange(N)[start : start + batch] for start in range(0, N, batch)]
    x, y = torch.from_numpy(x0), torch.from_numpy(Y)
    wanted = [PGD(Defence(cnn64, purify, XI.rows(i), knowledge), x[i], y[i], XI.rows(i)) for i in rows]
    assert np.array_equal(found["x"], torch.cat(wanted).numpy())


def test_seeds_that_share_batches_give_what_each_gives_alone(x0, cnn64):
    """Random starts and draws of EOT are a seed's own. To the rounding of sums in another order."""
    eot = Attack(attacks.pgd, PGD.options | {"draws": 2})
    given = {"attack": eot, "classify": cnn64, "purify": checked(purifiers.gaussian(0.3))}
    each = [Noise(seed, XI.ids) for seed in (3, 0, 9)]
    apart = [attack(x0, Y, xi, job=job(), **given)["x"] for xi in each]
    found = attack(np.tile(x0, (3, 1, 1, 1)), np.tile(Y, 3), together(each), job=job(5), **given)["x"]
    assert found == pytest.approx(np.concatenate(apart), abs=1e-12)
    assert not np.allclose(apart[0], apart[1])


def test_a_blind_attack_gets_no_defence(x0):
    def blind(defence, x, y, noise, progress=iter, *, by):
        assert defence is None and torch.equal(y, torch.from_numpy(Y)) and torch.equal(noise.ids, XI.ids)
        return (x + by).clamp(0, 1)

    found = attack(x0, Y, XI, job=job(), attack=Attack(blind, {"by": 0.1}))
    assert found.keys() == {"x"} and np.array_equal(found["x"], (x0 + 0.1).clip(0, 1))


@pytest.mark.parametrize(("batch", "room"), [(1, 1), (16, 16), (100, 24), (100, 3)])
def test_draws_that_an_attack_averages_are_shown_together_where_there_is_room(batch, room, x0, cnn64, unet64):
    """8 images, 3 draws: one at a time, two and one, all three; and two images at a time, one draw, after halving."""

    def run(batch, **watching):
        counter = []
        classify, network = (Watched(made, counter, **watching) for made in (cnn64, unet64))
        purify = purifiers.ddpm(network, t=30, steps=2, sigma="small", clip=True, forward="one-step")
        eot = Attack(attacks.pgd, PGD.options | {"draws": 3})
        return attack(x0, Y, XI, job=job(batch), attack=eot, classify=classify, purify=purify)["x"], counter

    wanted, _ = run(8)
    found, seen = run(batch, room=room)
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-10)
    assert max(seen) == {1: 1, 16: 16, 24: 24, 3: 2}[room]


def test_progress_is_told_of_the_batches_and_of_the_steps_of_each(x0, cnn64):
    told = []

    def progress(items):
        told.append(len(items))
        return iter(items)

    given = {"classify": cnn64, "purify": purifiers.gaussian(0.3)}
    attack(x0, Y, XI, job=job(4, progress=progress), attack=PGD, **given)
    assert told == [2, 2, 2]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x: x + 1, "values from"),
        (lambda x: x[:-1], "shape"),
        (lambda x: x * torch.nan, "NaN"),
        (lambda x: x.numpy(), "ndarray"),
    ],
    ids=["values", "shape", "nan", "type"],
)
def test_an_attack_that_returns_no_images_is_refused_by_its_name(wrong, words, x0):
    def mine(defence, x, y, noise, progress=iter):
        return wrong(x)

    with pytest.raises(ValueError, match=f"attack 'mine' returned .*{words}"):
        attack(x0, Y, XI, job=job(), attack=Attack(contract.protected_attack(mine, "mine"), {}))


def test_adversarial_images_carry_no_graph(x0, cnn64):
    def mine(defence, x, y, noise, progress=iter):
        return x.requires_grad_() * 0.5

    protected = Attack(contract.protected_attack(mine, "mine"), {})
    assert np.array_equal(attack(x0, Y, XI, job=job(), attack=protected)["x"], x0 * 0.5)


# Gradients.


def counts(x0, classify, purify, run=attacks.pgd, options=None, batch=N, **given):
    options = PGD.options if options is None else options
    return attack(x0, Y, XI, job=job(batch), attack=Attack(run, options), classify=classify, purify=purify, **given)


def rounding(x, xi):
    return (8 * x).round() / 8


LIBRARY = {"attack": "LinfMomentumIterativeAttack", "epsilon": 0.1, "nb_iter": 3}
BY_GRADIENTS = {  # attack: (function, options, gradients that it asks for)
    "pgd": (attacks.pgd, PGD.options, 2),
    "eot": (attacks.pgd, PGD.options | {"draws": 3}, 6),
    "l2": (attacks.pgd, PGD.options | {"norm": "l2"}, 2),
    "apgd": (attacks.apgd, {"epsilon": 0.1, "steps": 4}, 5),
    "library": (advertorch, LIBRARY, 3),
}


@pytest.mark.parametrize("kind", BY_GRADIENTS)
def test_a_purifier_that_rounds_is_seen_by_its_gradients(kind, x0, cnn64):
    """Its derivative is zero wherever it has one."""
    run, options, asked = BY_GRADIENTS[kind]
    found = counts(x0, cnn64, rounding, run, options)
    assert found["gradients"].tolist() == [asked] * N
    assert found["zero_gradients"].tolist() == [1] * N and found["non_finite_gradients"].tolist() == [0] * N


@pytest.mark.parametrize("kind", BY_GRADIENTS)
def test_gradients_that_are_fine_are_hardly_ever_zero(kind, x0, cnn64):
    run, options, asked = BY_GRADIENTS[kind]
    found = counts(x0, cnn64, purifiers.identity(), run, options)
    assert found["gradients"].tolist() == [asked] * N
    assert found["zero_gradients"].max() < 0.05 and not found["non_finite_gradients"].any()


def test_bpda_goes_round_a_purifier_that_rounds(x0, cnn64):
    found = counts(x0, cnn64, rounding, attacks.bpda)
    assert found["gradients"].tolist() == [2] * N and found["zero_gradients"].max() < 0.05


def test_autoattack_is_counted_by_image(x0, cnn64):
    """As many gradients for an image as it takes to fool it: the package leaves it then."""
    options = {"epsilon": 0.02, "steps": 2, "queries": 2}
    try:
        said = cnn64.float()(torch.from_numpy(rounding(x0, None)).float()).argmax(1).numpy()
        y = np.where(np.arange(N) % 2, said, (said + 1) % 10)
        given = {"classify": cnn64, "purify": lambda x, xi: rounding(x, xi), "attack": Attack(autoattack, options)}
        found = attack(x0.astype(np.float32), y, XI, job=job(), **given)
    finally:
        cnn64.double()
    assert (found["gradients"][1::2] > 0).all() and (found["zero_gradients"][1::2] == 1).all()
    assert (found["gradients"][::2] == 0).all()


def test_shares_are_of_entries_and_of_each_image_by_itself(x0, cnn64):
    """Half of the pixels detached; all of them for images that the purifier finds bright."""

    def half(x, xi):
        return torch.cat([x[..., :4].detach(), x[..., 4:]], dim=3)

    def some(x, xi):
        bright = (xi.ids % 2 == 0).view(-1, 1, 1, 1)
        return torch.where(bright, x.round(), x)

    assert counts(x0, cnn64, half)["zero_gradients"] == pytest.approx(0.5, abs=0.05)
    for batch in (1, 3, N):
        found = counts(x0, cnn64, some, options=PGD.options | {"draws": 2}, batch=batch)["zero_gradients"]
        assert (found[::2] == 1).all() and (found[1::2] < 0.05).all()


def test_gradients_that_are_no_numbers_are_counted(x0, cnn64):
    """√ has an infinite slope at 0, and every image is black there. The attack makes the best of it."""
    x0 = np.where(np.arange(64).reshape(8, 8) < 16, 0, x0.clip(0.1, 1))

    def sane(defence, x, y, noise, progress=iter, *, epsilon):
        return (x + epsilon * defence.gradient(x, y).nan_to_num().sign()).clamp(0, 1)

    found = counts(x0, cnn64, lambda x, xi: x.sqrt(), sane, {"epsilon": 0.1})
    assert found["non_finite_gradients"].tolist() == [0.25] * N


def test_attacks_that_ask_no_gradient_have_none(x0, cnn64):
    found = counts(x0, cnn64, rounding, lambda defence, x, *given: x, {})
    assert found["gradients"].tolist() == [0] * N and np.isnan(found["zero_gradients"]).all()


def test_who_differentiates_by_himself_is_counted_too(x0, cnn64):
    def mine(defence, x, y, noise, progress=iter):
        x.requires_grad_()
        loss = torch.nn.functional.cross_entropy(defence(x), y)
        torch.autograd.grad(loss, x, retain_graph=True)
        loss.backward()
        return x.detach()

    assert counts(x0, cnn64, rounding, mine, {})["gradients"].tolist() == [2] * N


@pytest.mark.parametrize("kind", BY_GRADIENTS)
def test_counting_changes_no_bit_of_an_attack(kind, x0, cnn64):
    run, options, _ = BY_GRADIENTS[kind]
    purify, x, y = purifiers.gaussian(0.3), torch.from_numpy(x0), torch.from_numpy(Y)
    plain = run(Defence(cnn64, purify, XI, "none", max_batch=N), x, y, XI, **options)
    assert np.array_equal(counts(x0, cnn64, purify, run, options)["x"], plain.numpy())


# Attack.


def test_an_attack_is_its_function_with_its_options(x0):
    mine = Attack(lambda *given, **options: (given, options), {"epsilon": 0.1, "steps": 3})
    assert mine(1, 2, 3, 4, 5) == ((1, 2, 3, 4, 5), {"epsilon": 0.1, "steps": 3})
    assert mine(1, 2, 3, 4) == ((1, 2, 3, 4, iter), {"epsilon": 0.1, "steps": 3})


def test_a_scaled_attack_has_another_budget_and_leaves_the_first_as_it_was():
    scaled = PGD.scaled(0.5)
    assert scaled.run is PGD.run and scaled.options == PGD.options | {"epsilon": 0.05}
    assert PGD.options["epsilon"] == 0.1


def test_an_attack_without_a_budget_cannot_be_scaled():
    with pytest.raises(ValueError, match="attack pgd has no option epsilon"):
        Attack(attacks.pgd, {"steps": 3}).scaled(2)
