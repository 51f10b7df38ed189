"""Budgets against attacks and a half-space, whose margin is known."""

import numpy as np
import pytest
import torch
from jobs import job

from purity import attacks, contract, purifiers
from purity.attacks import Attack
from purity.noise import Noise
from purity.stages import budget as stage
from purity.stages.attack import attack

N = 24
XI = Noise(3, torch.arange(N) + 40)
PGD = {"epsilon": 0.1, "steps": 5, "relative_step": 0.3}


@pytest.fixture(scope="module")
def x0(images):
    return images[:N].double().numpy()


@pytest.fixture(scope="module")
def y(cnn64, x0):
    """What the network says, but for every fourth image."""
    said = cnn64(torch.from_numpy(x0)).argmax(1).numpy()
    return np.where(np.arange(N) % 4, said, (said + 1) % 10)


def budget(x, y, classify, scales, options=PGD, run=attacks.pgd, batch=N) -> dict[str, np.ndarray]:
    return stage.budget(x, y, XI, job=job(batch), attack=Attack(run, options), scales=scales, classify=classify)


def right(classify, x, y) -> np.ndarray:
    return classify(torch.from_numpy(x)).argmax(1).numpy() == y


def test_no_budget_leaves_clean_accuracy(x0, y, cnn64):
    found = budget(x0, y, cnn64, [0.0])
    assert np.array_equal(found["robust"], right(cnn64, x0, y)[None])
    assert 0 < found["robust"].mean() < 1 and found["epsilon"].tolist() == [0.0]


@pytest.mark.parametrize("run", [attacks.pgd, attacks.bpda])
def test_a_budget_is_that_of_an_ordinary_attack_on_the_undefended_classifier(run, x0, y, cnn64):
    options = {"classify": cnn64, "purify": purifiers.identity(), "knowledge": "none", "job": job(N)}
    scales = [0.0, 0.2, 0.5, 1.0]
    found = budget(x0, y, cnn64, scales, run=run)
    for scale, robust in zip(scales, found["robust"], strict=True):
        crafted = attack(x0, y, XI, attack=Attack(run, PGD | {"epsilon": 0.1 * scale}), **options)["x"]
        assert np.array_equal(robust, right(cnn64, crafted, y))
    assert len(set(found["robust"].mean(axis=1))) > 2


def test_a_budget_names_its_scales_and_leaves_the_options_alone(x0, y, cnn64):
    options = dict(PGD)
    found = budget(x0[:3], y[:3], cnn64, [1.0, 0.25], options)
    assert options == PGD
    assert found["scale"].tolist() == [1.0, 0.25] and found["epsilon"] == pytest.approx([0.1, 0.025])
    assert found["robust"].shape == (2, 3) and found["robust"].dtype == bool


@pytest.fixture(scope="module")
def half_space():
    """A direction, images in [.2, .8] and their signed distances w·x − b of the side of their label, wrong for some."""
    generator = np.random.default_rng(0)
    w = generator.standard_normal(64)
    x = generator.uniform(0.2, 0.8, (60, 1, 8, 8))
    z = (x.reshape(60, -1) - 0.5) @ w
    y = np.where(generator.random(60) < 0.85, z < 0, z > 0).astype(np.int64)
    return w, x, y, np.where(y == 0, z, -z)


def of_side(w):
    def classify(x):
        z = (x.flatten(1) - 0.5) @ torch.from_numpy(w)
        return torch.stack([z, -z], dim=1)

    return classify


@pytest.mark.parametrize(
    ("norm", "dual", "epsilon"), [("linf", lambda w: np.abs(w).sum(), 0.06), ("l2", np.linalg.norm, 0.3)]
)
def test_an_image_falls_once_its_margin_is_less_than_the_reach_of_the_budget(norm, dual, epsilon, half_space):
    """PGD of steps along the one gradient goes ε α to its end: robust iff w·x − b > ε α ‖w‖, in the dual norm.

    Ten steps of .3 reach the corner of the ℓ∞ ball from any start; that of the ℓ2 ball starts in the centre. No pixel
    comes near 0 or 1, for either ball ends within .3 · 2/3 of [.2, .8].
    """
    w, x, y, margin = half_space
    scales = [0.0, 0.1, 0.25, 0.5, 0.65]
    reach = epsilon * dual(w) * np.array(scales)
    wanted = margin[None] > reach[:, None]
    assert np.abs(margin[None] - reach[:, None]).min() > 1e-4  # no image is on the edge
    xi = Noise(3, torch.arange(60))
    options = {"epsilon": epsilon, "steps": 10, "relative_step": 0.3, "norm": norm, "random_start": norm == "linf"}
    given = {"attack": Attack(attacks.pgd, options), "scales": scales, "classify": of_side(w)}
    found = stage.budget(x, y, xi, job=job(17), **given)
    assert np.array_equal(found["robust"], wanted)
    accuracy = found["robust"].mean(axis=1)
    assert (np.diff(accuracy) < 0).all() and accuracy[-1] > 0


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_batch_changes_no_budget(batch, x0, y, cnn64):
    found, expected = (budget(x0, y, cnn64, [0.5, 1.0], batch=b) for b in (batch, N))
    assert np.array_equal(found["robust"], expected["robust"])


def test_an_attack_without_a_budget_is_refused_by_its_name(x0, y, cnn64):
    with pytest.raises(ValueError, match="attack pgd has no option epsilon"):
        budget(x0, y, cnn64, [0.5], {"steps": 5, "relative_step": 0.3})


def test_an_attack_that_returns_no_images_is_refused_by_its_name(x0, y, cnn64):
    def brighter(defence, x, y, noise, progress=iter, *, epsilon):
        return x + 1

    with pytest.raises(ValueError, match=r"attack 'brighter' returned values.*leave"):
        budget(x0, y, cnn64, [0.5], {"epsilon": 0.1}, run=contract.protected_attack(brighter, "brighter"))
