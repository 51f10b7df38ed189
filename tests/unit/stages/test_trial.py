"""A trial says what the attack and the probe say that keep their images."""

import numpy as np
import torch
from jobs import checked, job

from purity import attacks, purifiers
from purity.attacks import Attack
from purity.noise import Noise
from purity.stages.attack import attack
from purity.stages.probe import probe
from purity.stages.trial import trial

XI = Noise(3, torch.arange(12) + 40)


def test_it_is_an_attack_and_a_probe_in_one(images, cnn64, unet64):
    x0 = images[:12].double().numpy()
    y = cnn64(torch.from_numpy(x0)).argmax(1).numpy()
    noisy = np.clip(x0 + 0.05, 0, 1)
    pgd = Attack(attacks.pgd, {"epsilon": 0.2, "steps": 2, "relative_step": 0.5})
    purify = checked(purifiers.reverse(unet64, t=30, steps=2, sigma="small", clip=True))
    given = {"job": job(5), "classify": cnn64, "purify": purify}
    crafted = attack(x0, y, XI, attack=pgd, knowledge="all", **given)
    probed = probe(x0, y, noisy, crafted["x"], None, XI, **given)
    made = trial(x0, y, noisy, XI, attack=pgd, **given)
    wanted = {"clean": probed["clean_fixed"], "robust": probed["robust"], "alpha": probed["alpha"]}
    wanted |= {name: crafted[name] for name in ("gradients", "zero_gradients", "non_finite_gradients")}
    assert set(made) == set(wanted) and 0 < made["robust"].mean() < made["clean"].mean()
    for name, values in wanted.items():
        assert np.allclose(made[name], values, rtol=1e-9), name
