"""Moments against numpy on all points at once, and spectra of balls where they are known in closed form."""

import numpy as np
import pytest
import torch
from jobs import checked, job

from purity import purifiers
from purity.noise import Noise
from purity.stages.ball import perturbed, sample_ball
from purity.stages.pca import Moments, ball_spectrum

XI = Noise(1, torch.arange(3) + 20)
D, EPSILON = 64, 0.1


def points(n=300, d=12, seed=0) -> torch.Tensor:
    """(n, 1, 3, d/3), correlated, away from zero."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, d, dtype=torch.float64, generator=generator)
    return (z @ torch.randn(d, d, dtype=torch.float64, generator=generator) + 5).view(n, 1, 3, d // 3)


def spectrum(x, sizes) -> np.ndarray:
    moments = Moments(x[0].numel())
    for part in x.split(sizes):
        moments.add(part)
    return moments.spectrum().numpy()


def of_all(x) -> np.ndarray:
    """Variances along the components, by numpy, of all points at once."""
    return np.linalg.eigvalsh(np.cov(x.flatten(1).double().numpy(), rowvar=False))[::-1]


# Moments.


@pytest.mark.parametrize("sizes", [300, 1, 7, [1, 298, 1], [200, 1, 99]], ids=str)
def test_moments_in_batches_are_those_of_all_points_at_once(sizes):
    """Variances of order 10 in float64, 300 sums: 1e-10."""
    x = points()
    moments = Moments(12)
    for part in x.split(sizes):
        moments.add(part)
    assert moments.n == 300
    assert moments.mean.numpy() == pytest.approx(x.flatten(1).mean(dim=0).numpy(), abs=1e-12)
    assert moments.scatter.numpy() / 299 == pytest.approx(np.cov(x.flatten(1).numpy(), rowvar=False), abs=1e-10)
    assert moments.spectrum().numpy() == pytest.approx(of_all(x), abs=1e-10)


def test_the_largest_variance_comes_first():
    x = torch.tensor([[0.0, 3.0], [0.0, -3.0], [1.0, 0.0], [-1.0, 0.0]])
    assert spectrum(x, 2) == pytest.approx([18 / 3, 2 / 3], abs=1e-14)


def test_the_order_of_points_does_not_matter():
    x = points()
    mixed = x[torch.randperm(300, generator=torch.Generator().manual_seed(1))]
    assert spectrum(mixed, 7) == pytest.approx(spectrum(x, 7), abs=1e-10)


@pytest.mark.parametrize("sizes", [1, 7, 1000])
def test_a_far_mean_costs_no_accuracy(sizes):
    """At 10⁶ float64 has steps of 1e-10. The difference of mean square and squared mean would be 1e-4 off."""
    x = 1e6 + torch.randn(1000, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert spectrum(x, sizes) == pytest.approx(of_all(x - 1e6), abs=1e-9)


def test_float32_points_are_summed_in_float64():
    x = (1000 + points()).float()
    assert spectrum(x, 7) == pytest.approx(of_all(x), abs=1e-8)  # 1e3² · 1e-16 · 300 summands


def test_fewer_points_than_dimensions_leave_components_of_no_variance_and_none_below():
    found = spectrum(points(n=5), 2)
    assert found[:4] == pytest.approx(of_all(points(n=5))[:4], abs=1e-10)
    assert (found >= 0).all() and (found[4:] < 1e-12).all()
    assert (spectrum(torch.full((9, 4), 0.1), 4) < 1e-30).all()


# The spectrum of a ball.


@pytest.fixture(scope="module")
def x0(images):
    """Pixels of the last image are far from 0 and 1, those of the others are not."""
    x = images[:3].double()
    return torch.cat([x[:2], 0.3 + 0.4 * x[2:]]).numpy()


def ball(x0, purify, xi=XI, n=150, batch=64, epsilon=EPSILON, cut=False) -> dict[str, np.ndarray]:
    return ball_spectrum(x0, xi, job=job(batch), purify=checked(purify), epsilon=epsilon, points=n, cut=cut)


def recreated(x0, i, n=150) -> torch.Tensor:
    """The points around image i, (n, 64)."""
    noise = XI.rows(torch.full((n,), i))
    copies = torch.from_numpy(x0[i : i + 1]).expand(n, 1, 8, 8)
    return perturbed(copies, noise, torch.arange(n), EPSILON).flatten(1)


MATRIX = torch.rand(D, D, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
MATRIX = 0.8 * MATRIX / MATRIX.sum(dim=1, keepdim=True) * torch.linspace(0.1, 1, D, dtype=torch.float64)


def affine(x, xi):
    """A x + b(ξ), an image: A is positive with row sums below .8, b lies in [0, .2]."""
    return (x.flatten(1) @ MATRIX.T).view_as(x) + 0.2 * xi.forward(0, x).sigmoid()


def gain(x, xi):
    """Each pixel times a number in [0, .8] of its own, by ξ, and .1 added."""
    return 0.1 + 0.8 * x * xi.forward(0, x).sigmoid()


def test_the_ball_is_that_of_the_points_that_the_other_stages_sample(x0):
    sampled = sample_ball(x0, XI, job=job(64), purify=affine, epsilon=EPSILON, points=200, draws=1)
    found = ball(x0, affine, n=150)
    for i in range(3):
        x, f = (torch.from_numpy(sampled[name][i]) for name in ("x", "f"))
        assert found["before"][i] == pytest.approx(of_all(x[:150]), abs=1e-14)
        # float32 there, 3e-8 each: 2 · .03 · 3e-8 / √150 a covariance, times 64 for the norm
        assert found["after"][i] == pytest.approx(of_all(f[:150, 0]), abs=1e-8)


def test_an_affine_purifier_turns_the_covariance_of_its_points_into_that_of_a(x0):
    """Σ → A Σ Aᵀ, to float64 rounding of variances of order ε²; b(ξ) adds nothing, since ξ is fixed."""
    found = ball(x0, affine)
    for i in range(3):
        sigma = np.cov(recreated(x0, i).numpy(), rowvar=False)
        wanted = np.linalg.eigvalsh(MATRIX.numpy() @ sigma @ MATRIX.numpy().T)[::-1]
        assert found["before"][i] == pytest.approx(np.linalg.eigvalsh(sigma)[::-1], abs=1e-14)
        assert found["after"][i] == pytest.approx(wanted, abs=1e-14)
        assert found["after"][i, 0] > 1e-6


def test_points_of_an_image_are_purified_under_the_fixed_noise_of_that_image(x0):
    found = ball(x0, gain)
    for i in range(3):
        own = XI.forward(0, torch.from_numpy(x0)).sigmoid()[i].flatten()
        assert found["after"][i] == pytest.approx(of_all(0.8 * own * recreated(x0, i)), abs=1e-14)


def test_the_identity_changes_no_variance(x0):
    found = ball(x0, purifiers.identity(), cut=True)  # which cuts to [0, 1] itself
    assert np.array_equal(found["before"], found["after"]) and found["before"].shape == (3, D)
    assert (found["before"][:, 0] > 1e-4).all()


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_batch_changes_no_spectrum_of_a_ball(batch, x0):
    found, expected = ball(x0, affine, batch=batch), ball(x0, affine, batch=150)
    for when in ("before", "after"):
        assert found[when] == pytest.approx(expected[when], abs=1e-14)


def test_some_of_the_images_have_the_spectra_that_they_have_among_all(x0):
    index = torch.tensor([2, 0])
    found, expected = ball(x0[index], affine, XI.rows(index)), ball(x0, affine)
    for when in ("before", "after"):
        assert np.array_equal(found[when], expected[when][index])


def test_a_ball_that_is_not_cut_has_a_third_of_epsilon_squared_in_every_direction(x0):
    """Var U(−ε, ε) = ε²/3. Their mean over D components is the mean variance of D·P uniform numbers, of relative
    deviation √(.8/(D·P)) = .25 %; 1 % is four of them.

    Each for itself lies between the edges (1 ± √(D/P))² of Marchenko and Pastur, and the outermost nearly reach them:
    by the law of Tracy and Widom the largest stays .017 below, ± .018, the smallest .010 above, ± .011. Bound: three
    deviations of the largest.
    """
    n = 2000
    (found,) = ball(x0[2:], purifiers.identity(), XI.rows(torch.tensor([2])), n, batch=500)["before"] / (EPSILON**2 / 3)
    assert found.mean() == pytest.approx(1, rel=0.01)
    low, high = (1 - np.sqrt(D / n)) ** 2, (1 + np.sqrt(D / n)) ** 2
    assert found[0] == pytest.approx(high, abs=0.07) and found[-1] == pytest.approx(low, abs=0.07)
    assert (np.diff(found) <= 0).all()


def test_a_ball_that_is_cut_loses_its_darker_half_around_a_black_image():
    """max(0, U(−ε, ε)) has mean ε/4 and variance ε²(1/6 − 1/16) = ε² 5/48; its fourth moment is 2.4 squared variances, so
    that the relative deviation of D·P of them is √(1.4/(D·P)) = .33 %."""
    black = np.zeros((1, 1, 8, 8))
    found = ball(black, purifiers.identity(), XI.rows(torch.tensor([0])), 2000, batch=500, cut=True)["before"]
    assert found.mean() == pytest.approx(EPSILON**2 * 5 / 48, rel=0.014)


def test_variance_grows_with_the_square_of_the_radius(x0):
    small, large = (ball(x0[2:], purifiers.identity(), epsilon=e)["before"] for e in (0.05, 0.1))
    assert large == pytest.approx(4 * small, abs=1e-14)


def test_what_is_no_image_is_refused_by_the_purifiers_name(x0):
    with pytest.raises(ValueError, match=r"purifier 'mine'.*leave"):
        ball(x0, lambda x, xi: 3 * x)


def test_no_global_generator_is_touched(x0):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    ball(x0, affine)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy_state, strict=True))
