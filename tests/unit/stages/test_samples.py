"""Samples of a model whose distribution is known, and that images say nothing in them."""

import numpy as np
import torch
from jobs import job

from purity import purifiers
from purity.diffusion import schedules
from purity.noise import Noise
from purity.stages.samples import samples

MU, S = 0.3, 0.2  # of the data, in [-1, 1]
XI = Noise(3, torch.arange(50))


def exact(x, index):
    """ε of data N(μ, s²): (x − √ᾱ E[x₀|x]) / √(1−ᾱ), which is √(1−ᾱ) (x − √ᾱ μ) / (ᾱ s² + 1 − ᾱ)."""
    abar = schedules.linear().abar[1:].to(x.dtype)[index].view(-1, 1, 1, 1)
    return (1 - abar).sqrt() * (x - abar.sqrt() * MU) / (abar * S**2 + 1 - abar)


def drawn(x0, xi=XI, batch=64, draws=4, features=None, steps=10):
    purify = purifiers.ddpm(exact, t=1000, steps=steps, sigma="small", clip=False, forward="one-step")
    return samples(
        x0, xi, job=job(batch), classify=lambda x: x.flatten(1), purify=purify, draws=draws, features=features
    )


def test_of_gaussian_data_they_are_gaussian_of_its_mean_and_spread():
    """N = 50 · 4 · 16 pixels: the mean lies within 4 s/√N of μ, the spread within 4/√2N ≈ 5 % of s. The whole chain
    itself errs by less: β ≤ .02, and its last steps, which decide, have 10⁻⁴."""
    x = 2 * drawn(np.zeros((50, 1, 4, 4), np.float32), batch=200, steps=1000)["x"] - 1
    n = x.size
    assert x.shape == (4, 50, 1, 4, 4)
    assert abs(x.mean() - MU) < 4 * S / np.sqrt(n)
    assert abs(x.std() / S - 1) < 4 / np.sqrt(2 * n)


def test_images_only_say_how_many():
    black, white = (drawn(np.full((5, 1, 4, 4), value, np.float32), Noise(3, torch.arange(5))) for value in (0, 1))
    assert np.array_equal(black["x"], white["x"])
    assert len(np.unique(black["x"].reshape(20, -1), axis=0)) == 20


def test_any_batch_gives_the_same_and_features_belong_to_their_samples():
    x0 = np.random.default_rng(0).random((7, 1, 4, 4), np.float32)
    xi = Noise(3, torch.arange(7))

    def features(x):
        return x.flatten(1)[:, :3] * 2

    one, other = (drawn(x0, xi, batch, features=features) for batch in (3, 64))
    assert np.allclose(one["x"], other["x"], atol=1e-6)
    assert np.array_equal(one["features"], one["x"].reshape(4, 7, 16)[..., :3] * 2)
    assert np.array_equal(one["features_images"], x0.reshape(7, 16)[:, :3] * 2)
