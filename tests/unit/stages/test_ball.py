"""Points of a ball are uniform and inside it, and every one is purified under the same draws."""

import numpy as np
import pytest
import torch
from jobs import checked, job
from scipy.stats import kstest

from purity.noise import Noise
from purity.purifiers import gaussian
from purity.stages.ball import sample_ball

XI, P, K, EPSILON = Noise(3, torch.arange(3) + 40), 20, 4, 0.1


@pytest.fixture(scope="module")
def x0(images):
    """Pixels of the last image are far from 0 and 1, those of the others are not."""
    x = images[:3].double()
    return torch.cat([x[:2], 0.3 + 0.4 * x[2:]]).numpy()


def sampled(x0, purify, xi=XI, points=P, batch=100, cut=False) -> dict[str, np.ndarray]:
    given = {"job": job(batch), "purify": checked(purify), "cut": cut}
    return sample_ball(x0, xi, epsilon=EPSILON, points=points, draws=K, **given)


def test_points_are_in_the_ball_and_uniform_and_images_if_they_are_cut(x0):
    """Kolmogorov's test fails one seed in 10,000."""
    x, cut = sampled(x0, gaussian(0.3))["x"], sampled(x0, gaussian(0.3), cut=True)["x"]
    assert x.shape == (3, P, *x0.shape[1:]) and x.min() < 0
    assert np.abs(x - x0[:, None]).max() <= EPSILON + 1e-12 and np.array_equal(x.clip(0, 1), cut)
    assert kstest(((x - x0[:, None]) / EPSILON).ravel(), "uniform", args=(-1, 2)).pvalue > 1e-4
    assert len(np.unique(x[2].reshape(P, -1), axis=0)) == P


def test_every_point_of_an_image_meets_the_same_draws(x0):
    """f(x) = .1 + x/2 + b(ξ): what is added does not depend on the point, but on image and draw."""
    found = sampled(x0, lambda x, xi: 0.1 + x / 2 + 0.3 * xi.forward(0, x).sigmoid())
    added = found["f"] - found["x"][:, :, None] / 2
    assert found["f"].shape == (3, P, K, *x0.shape[1:])
    assert added == pytest.approx(np.repeat(added[:, :1], P, axis=1), abs=1e-12)
    for k in range(K):
        wanted = 0.1 + 0.3 * XI.at(k).forward(0, torch.from_numpy(x0)).sigmoid().numpy()
        assert added[:, 0, k] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_batch_changes_no_ball(batch, x0):
    wanted, found = (sampled(x0, gaussian(0.3), batch=b) for b in (100, batch))
    for name, value in wanted.items():
        assert np.array_equal(found[name], value), name


def test_more_points_begin_with_the_same_ones_and_some_images_have_theirs_among_all(x0):
    wanted, more = sampled(x0, gaussian(0.3)), sampled(x0, gaussian(0.3), points=P + 5)
    index = torch.tensor([2, 0])
    some = sampled(x0[index.numpy()], gaussian(0.3), XI.rows(index))
    for name, value in wanted.items():
        assert np.array_equal(more[name][:, :P], value) and np.array_equal(some[name], value[index.numpy()]), name
