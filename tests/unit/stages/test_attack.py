"""What an attack is handed, and what it may not hand back."""

import numpy as np
import pytest
import torch
from jobs import Watched, checked, job

from purity import attacks, purifiers
from purity.attacks import Attack
from purity.defence import Defence
from purity.noise import Noise
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
    assert found.keys() == {"x"}
    rows = [torch.arange(N)[start : start + batch] for start in range(0, N, batch)]
    x, y = torch.from_numpy(x0), torch.from_numpy(Y)
    wanted = [PGD(Defence(cnn64, purify, XI.rows(i), knowledge), x[i], y[i], XI.rows(i)) for i in rows]
    assert np.array_equal(found["x"], torch.cat(wanted).numpy())


def test_a_blind_attack_gets_no_defence(x0):
    def blind(defence, x, y, noise, progress=iter, *, by):
        assert defence is None and torch.equal(y, torch.from_numpy(Y)) and torch.equal(noise.ids, XI.ids)
        return (x + by).clamp(0, 1)

    found = attack(x0, Y, XI, job=job(), attack=Attack(blind, {"by": 0.1}))
    assert np.array_equal(found["x"], (x0 + 0.1).clip(0, 1))


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


def test_progress_is_told_of_the_steps_of_each_batch_not_of_the_batches(x0, cnn64):
    told = []

    def progress(items):
        told.append(len(items))
        return iter(items)

    given = {"classify": cnn64, "purify": purifiers.gaussian(0.3)}
    attack(x0, Y, XI, job=job(4, progress=progress), attack=PGD, **given)
    assert told == [2, 2]


def test_a_purifier_that_cannot_work_says_so_before_the_attack_begins(x0, cnn64):
    def begun(*given, **options):
        pytest.fail("the attack began")

    given = {"classify": cnn64, "purify": checked(lambda x, xi: x + 1, "brighter")}
    with pytest.raises(ValueError, match="purifier 'brighter' returned values"):
        attack(x0, Y, XI, job=job(), attack=Attack(begun, {}), **given)


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

    with pytest.raises(ValueError, match=f"attack mine returned .*{words}"):
        attack(x0, Y, XI, job=job(), attack=Attack(mine, {}))


def test_adversarial_images_carry_no_graph(x0, cnn64):
    def mine(defence, x, y, noise, progress=iter):
        return x.requires_grad_() * 0.5

    assert np.array_equal(attack(x0, Y, XI, job=job(), attack=Attack(mine, {}))["x"], x0 * 0.5)


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
