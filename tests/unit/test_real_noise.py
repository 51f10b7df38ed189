"""Rows of the papers' tables that need no network: noise on real images, which foolbox ships twenty of each data set."""

from itertools import takewhile
from pathlib import Path

import pandas as pd
import pytest
import torch
from real import foolbox_images

from purity import attacks, purifiers
from purity.geometry import l2_norm, linf_norm
from purity.noise import Noise

REFERENCE = Path(__file__).parents[2] / "config/reference/trajectory.csv"
XI = Noise(0, torch.arange(20))
DISTANCES = {"l2": l2_norm, "linf": linf_norm}


def printed(**keys) -> tuple[float, float]:
    """Mean and spread over images of a row of Tables S2-S4."""
    rows = pd.read_csv(REFERENCE)
    for key, value in keys.items():
        rows = rows[rows[key] == value]
    ((mean, std),) = rows[["printed", "std"]].to_numpy()
    return mean, std


@pytest.fixture(scope="module")
def cifar10():
    return torch.from_numpy(foolbox_images("test", 20, name="cifar10")[0])


def noisiest(x, **purifier):
    """The state at the end of the forward process; of the reverse one the first step is asked for, of nobody."""
    f = purifiers.ddpm(lambda z, index: torch.zeros_like(z), sigma="small", clip=True, **purifier)
    *_, (time, state) = takewhile(lambda state: state[0] <= purifier["t"], f.states(x, XI))
    assert time == purifier["t"]
    return state


def within(found, mean: float, std: float) -> bool:
    """Twenty of our images and a thousand of theirs: the means lie no farther apart than two images do."""
    return abs(found.mean().item() - mean) <= max(std, 0.0005)  # rounded to three decimals


@pytest.mark.parametrize(
    ("attack", "k"), [("uniform", 8), ("uniform-32", 32), ("uniform-64", 64), ("uniform-128", 128)]
)
def test_uniform_noise_starts_and_is_farthest_where_the_papers_have_it(attack, k, cifar10):
    """Noise cut to [0, 1] would start at 14.3 instead of 16.1 for 128/255, nine spreads away."""
    noisy = attacks.uniform(None, cifar10, None, XI, epsilon=k / 255)
    farthest = noisiest(noisy, t=100, steps=100, forward="iterated")
    for distance, norm in DISTANCES.items():
        row = {"setting": "cifar10", "purifier": "ddpm", "attack": attack, "distance": distance}
        assert within(norm(noisy - cifar10), *printed(moment="init", **row)), distance
        assert within(norm(farthest - cifar10), *printed(moment="max", **row)), distance
    cut = attacks.uniform(None, cifar10, None, XI, epsilon=128 / 255, cut=True)
    assert l2_norm(cut - cifar10).mean() < 16.051 - 9 * 0.129


@pytest.mark.parametrize("distance", DISTANCES)
def test_forward_noise_on_imagenet_goes_as_far_as_the_papers(distance):
    """At 256 × 256 and back to 224 without smoothing; the attack before it adds .1 to 61."""
    x = torch.from_numpy(foolbox_images("test", 20, name="imagenet")[0])
    farthest = noisiest(x, t=150, steps=150, forward="one-step", side=256)
    row = {"setting": "imagenet", "purifier": "guided", "attack": "bpda", "moment": "max", "distance": distance}
    assert within(DISTANCES[distance](farthest - x), *printed(**row))
