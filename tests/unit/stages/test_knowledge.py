"""What an attacker knows of ξ: he meets it in every gradient and is judged under it; the rest is fresh in both."""

from functools import partial

import numpy as np
import pytest
import torch
from jobs import job

from purity import attacks, purifiers
from purity.attacks import Attack
from purity.defence import FIXED, KNOWLEDGE
from purity.noise import Noise
from purity.stages.attack import attack
from purity.stages.purify import purify_and_judge

N = 8
XI = Noise(5, torch.arange(N) + 40)
PGD = {"epsilon": 0.15, "steps": 3, "relative_step": 0.25, "draws": 4}
OPTIONS = {"t": 100, "steps": 3, "clip": True, "recompute": False}
MAKERS = {
    "ddpm": partial(purifiers.ddpm, **OPTIONS, sigma="large", forward="one-step"),
    "ddim": partial(purifiers.ddim, **OPTIONS, forward="one-step"),
    "reverse": partial(purifiers.reverse, **OPTIONS, sigma="large"),
}


@pytest.fixture(scope="module")
def attacked(unet64, cnn64, images):
    """attacked(purifier, knowledge, draws): adversarial images, and what they are judged as."""
    x = images[:N].double().numpy()

    def made(name, knowledge, draws=4):
        purify = MAKERS[name](unet64)
        with torch.no_grad():
            y = cnn64(torch.from_numpy(x)).argmax(1).numpy()
        common = {"classify": cnn64, "purify": purify, "knowledge": knowledge, "job": job(N)}
        crafted = attack(x, y, XI, attack=Attack(attacks.pgd, PGD | {"draws": draws}), **common)["x"]
        return crafted, purify_and_judge(x, crafted, XI, fresh_draws=2, **common)

    return made


def test_for_ddim_reverse_knowledge_changes_nothing(attacked):
    """η = 0: no noise enters the reverse process. Bit for bit."""
    (none, judged), (reverse, judged_partly) = attacked("ddim", "none"), attacked("ddim", "reverse")
    assert np.array_equal(none, reverse)
    assert np.array_equal(judged["varying_logits"], judged_partly["partly_logits"])


def test_for_ddim_forward_knowledge_equals_all(attacked):
    """Bit for bit for one gradient a step; the mean of four equal ones is one of them, as is a sum of 4 in binary."""
    (every, judged), (forward, judged_partly) = attacked("ddim", "all"), attacked("ddim", "forward")
    assert np.array_equal(every, forward)
    for logits in judged_partly["partly_logits"]:
        assert np.array_equal(logits, judged["fixed_logits"])
    assert np.array_equal(attacked("ddim", "all", draws=1)[0], every)


def test_for_revpure_it_is_the_other_way_round(attacked):
    """No noise enters its forward process, there is none."""
    assert np.array_equal(attacked("reverse", "none")[0], attacked("reverse", "forward")[0])
    assert np.array_equal(attacked("reverse", "all")[0], attacked("reverse", "reverse")[0])


def test_for_ddpm_all_four_differ(attacked):
    crafted = [attacked("ddpm", knowledge)[0] for knowledge in KNOWLEDGE]
    assert all(not np.array_equal(a, b) for i, a in enumerate(crafted) for b in crafted[:i])


@pytest.mark.parametrize(("knowledge", "at"), [("forward", (FIXED, 1)), ("reverse", (1, FIXED))])
def test_a_part_that_is_known_stays_when_it_is_judged_and_the_rest_is_fresh(attacked, unet64, cnn64, knowledge, at):
    crafted, judged = attacked("ddpm", knowledge)
    assert judged["partly_logits"].shape == (2, N, 10)
    with torch.no_grad():
        wanted = cnn64(MAKERS["ddpm"](unet64)(torch.from_numpy(crafted), XI.at(*at)))
    assert np.array_equal(judged["partly_logits"][0], wanted.numpy())
    for others in (judged["partly_logits"][1], judged["varying_logits"][0], judged["fixed_logits"]):
        assert not np.allclose(others, wanted.numpy(), rtol=1e-3)


@pytest.mark.parametrize("knowledge", ["none", "all"])
def test_who_knows_nothing_or_all_is_judged_as_ever(attacked, knowledge):
    assert "partly_logits" not in attacked("ddpm", knowledge)[1]
