"""Measures against libraries, and against purifiers whose measures are known in closed form."""

from pathlib import Path

import numpy as np
import pytest
from pytorch_fid.fid_score import calculate_frechet_distance
from skimage.metrics import structural_similarity

from purity import metrics

ARRAYS = Path(__file__).parents[1] / "data/frechet.npz"


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def images(generator, n=5, c=3, side=16, dtype=np.float64) -> np.ndarray:
    return generator.random((n, c, side, side)).astype(dtype)


# Norms.


def test_norms_are_numpys(generator):
    a, b = images(generator), images(generator)
    for i in range(5):
        d = (a[i] - b[i]).ravel()
        assert metrics.l2(a, b)[i] == pytest.approx(np.linalg.norm(d), rel=1e-12)
        assert metrics.linf(a, b)[i] == pytest.approx(np.linalg.norm(d, np.inf), rel=1e-12)


def test_norms_of_float32_images_are_taken_in_float64():
    a = np.full((1, 3, 64, 64), 0.1, np.float32)
    assert metrics.l2(a, np.zeros_like(a))[0] == pytest.approx(float(np.float32(0.1)) * np.sqrt(3 * 64 * 64), rel=1e-12)
    assert metrics.l2(a, a)[0] == metrics.linf(a, a)[0] == 0


# SSIM.


@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 8), (3, 7), (3, 32), (1, 33)])
def test_ssim_is_scikit_images(channels, side, generator):
    a = images(generator, c=channels, side=side)
    b = (a + 0.2 * generator.standard_normal(a.shape)).clip(0, 1)
    ours = metrics.ssim(a, b)
    for i in range(len(a)):
        wanted = structural_similarity(a[i], b[i], data_range=1.0, channel_axis=0)
        assert ours[i] == pytest.approx(wanted, abs=1e-12)  # the same sums, in another order


def test_ssim_of_flat_images_is_that_of_their_brightness():
    """Where nothing varies, only the luminance term is left: (2ab + c₁) / (a² + b² + c₁)."""
    a, b = np.full((1, 1, 9, 9), 0.2), np.full((1, 1, 9, 9), 0.7)
    wanted = (2 * 0.2 * 0.7 + 1e-4) / (0.2**2 + 0.7**2 + 1e-4)
    assert metrics.ssim(a, b)[0] == pytest.approx(wanted, abs=1e-9)  # variances of 1e-17 over c₂ = 9e-4


def test_ssim_is_one_of_an_image_with_itself_and_symmetric(generator):
    a, b = images(generator), images(generator)
    assert metrics.ssim(a, a) == pytest.approx(np.ones(5), abs=1e-12)
    assert metrics.ssim(a, b) == pytest.approx(metrics.ssim(b, a), abs=1e-12)
    assert (metrics.ssim(a, b) < 0.5).all()


def test_ssim_of_images_smaller_than_its_window_is_refused(generator):
    with pytest.raises(ValueError, match="7×7"):
        metrics.ssim(images(generator, side=6), images(generator, side=6))


# Fréchet distance.


def both_ways(a, b) -> tuple[float, float]:
    """Ours and pytorch-fid's."""
    moments = [
        m for f in (a, b) for m in (f.mean(axis=0, dtype=np.float64), np.cov(f.astype(np.float64), rowvar=False))
    ]
    return metrics.frechet(a, b), float(calculate_frechet_distance(*moments))


def test_frechet_is_pytorch_fids(generator):
    """Both take float64; the two roots agree to 1e-12 of the traces (of order 100) when nothing is singular."""
    a = generator.standard_normal((200, 12)) @ generator.standard_normal((12, 12))
    b = generator.standard_normal((150, 12)) @ generator.standard_normal((12, 12)) + 1
    ours, theirs = both_ways(a, b)
    assert ours == pytest.approx(theirs, rel=1e-9)


def test_frechet_is_pytorch_fids_for_singular_covariances(generator):
    """Fewer samples than features. An eigenvalue of 1e-16 instead of 0 counts by its root, 1e-8: hence 1e-5."""
    a, b = generator.standard_normal((10, 32)), generator.standard_normal((8, 32)) + 1
    ours, theirs = both_ways(a, b)
    assert ours == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize(("kind", "tolerance"), [("full", 1e-9), ("deficient", 1e-6)])
def test_frechet_is_that_of_the_reference_arrays(kind, tolerance):
    """Tolerances: another symmetric solver was seen 7e-13 off on the full ones and 1.6e-7 on the singular ones."""
    with np.load(ARRAYS) as given:
        a, b = given[f"{kind}_a"], given[f"{kind}_b"]
        assert metrics.frechet(a, b) == pytest.approx(float(given[f"{kind}_value"]), abs=tolerance)
        assert metrics.frechet(a, b) == pytest.approx(float(given[f"{kind}_value_eigh"]), abs=tolerance)
        assert metrics.frechet(a, a) == pytest.approx(float(given[f"{kind}_value_aa"]), abs=1e-6)


def test_frechet_of_a_shift_is_its_square_and_of_a_scaling_the_change_of_deviations(generator):
    a = generator.standard_normal((500, 4))
    shift = np.array([1.0, 0, -2, 0.5])
    assert metrics.frechet(a + shift, a) == pytest.approx(shift @ shift, abs=1e-9)
    trace = np.trace(np.cov(a, rowvar=False))
    assert metrics.frechet(3 * (a - a.mean(axis=0)), a - a.mean(axis=0)) == pytest.approx(4 * trace, rel=1e-9)


def test_frechet_of_one_feature_and_of_dead_ones(generator):
    """A feature that is zero throughout (a ReLU that never fires) adds nothing."""
    a, b = generator.standard_normal((50, 1)), 2 * generator.standard_normal((60, 1)) + 1
    alone = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert metrics.frechet(a, b) == pytest.approx(alone, abs=1e-9)
    with_dead = [np.concatenate([f, np.zeros((len(f), 3))], axis=1) for f in (a, b)]
    assert metrics.frechet(*with_dead) == pytest.approx(alone, abs=1e-7)


def test_frechet_is_symmetric_and_never_far_below_zero(generator):
    a, b = generator.standard_normal((20, 30)), generator.standard_normal((25, 30))
    assert metrics.frechet(a, b) == pytest.approx(metrics.frechet(b, a), abs=1e-5)
    assert metrics.frechet(a, a) > -1e-5


# Compression.


def test_compression_of_a_linear_purifier_is_the_norm_of_what_it_does_to_the_perturbation(generator):
    """f(x) = A x + bξ under the same ξ: α = ‖Aη‖/‖η‖, whatever ξ."""
    d = 3 * 8 * 8
    matrix, xi = generator.standard_normal((d, d)) / 10, generator.standard_normal(d)

    def purify(x):
        return (x.reshape(len(x), -1) @ matrix.T + xi).reshape(x.shape)

    x0 = images(generator, side=8)
    x = x0 + 0.03 * generator.standard_normal(x0.shape)
    eta = (x - x0).reshape(5, -1)
    wanted = np.linalg.norm(eta @ matrix.T, axis=1) / np.linalg.norm(eta, axis=1)
    assert metrics.compression_rate(purify(x), purify(x0), x, x0) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("factor", [0.0, 0.25, 1.0, 3.0])
def test_compression_of_a_scaling_is_its_factor(factor, generator):
    x0, x = images(generator), images(generator)
    assert metrics.compression_rate(factor * x + 1, factor * x0 + 1, x, x0) == pytest.approx(
        np.full(5, factor), abs=1e-12
    )


def test_compression_of_no_perturbation_is_nan_and_only_there(generator, recwarn):
    x0 = images(generator)
    x = x0.copy()
    x[1] += 0.1
    alpha = metrics.compression_rate(x, x0, x, x0)
    assert np.isnan(alpha).tolist() == [True, False, True, True, True] and alpha[1] == pytest.approx(1)
    assert not list(recwarn)


# Correlation.


def test_correlation_is_numpys(generator):
    a = images(generator)
    b = a + images(generator)
    wanted = [np.corrcoef(a[i].ravel(), b[i].ravel())[0, 1] for i in range(5)]
    assert metrics.correlation(a, b) == pytest.approx(np.array(wanted), abs=1e-12)


def test_correlation_with_a_constant_is_nan(generator, recwarn):
    a = images(generator)
    assert np.isnan(metrics.correlation(a, np.zeros_like(a))).all()
    assert metrics.correlation(a, 2 * a + 1) == pytest.approx(np.ones(5), abs=1e-12)
    assert metrics.correlation(a, -a) == pytest.approx(-np.ones(5), abs=1e-12)
    assert not list(recwarn)


def test_the_matrix_of_correlations_is_numpys(generator):
    v = generator.standard_normal((2, 6, 40))
    for i in range(2):
        assert metrics.correlations(v)[i] == pytest.approx(np.corrcoef(v[i]), abs=1e-12)
    constant = v.copy()
    constant[0, 2] = 0.0
    m = metrics.correlations(constant)[0]
    assert np.isnan(m[2]).all() and np.isnan(m).sum() == 11


def test_the_mean_off_the_diagonal_is_over_pairs_of_different_members(generator):
    m = generator.standard_normal((3, 5, 5))
    wanted = [np.mean([m[k, i, j] for i in range(5) for j in range(5) if i != j]) for k in range(3)]
    assert metrics.mean_off_diagonal(m) == pytest.approx(np.array(wanted), abs=1e-12)


# Purifiers known in closed form: x = x₀ + η uniform in the ball, f = a x + b ξ with ξ standard normal.

N, P, DRAWS, SIDE = 3, 40, 50, 8
D = SIDE * SIDE
EPSILON = 0.1
CENTRE = np.full((N, 1, SIDE, SIDE), 0.5)


def linear(generator, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """x (N, P, 1, 8, 8) and f (N, P, Ξ, 1, 8, 8); each image's ξ are shared by its points, as in the pipeline."""
    x = 0.5 + generator.uniform(-EPSILON, EPSILON, (N, P, 1, SIDE, SIDE))
    xi = generator.standard_normal((N, 1, DRAWS, 1, SIDE, SIDE))
    return x, a * x[:, :, None] + b * xi


def test_the_variances_add_up_exactly(generator):
    """The law of total variance is an identity on a full grid, for any f at all."""
    f = generator.random((4, 7, 5, 12)) ** 3
    parts = metrics.decompose(f)
    total = parts["variance_total"]
    assert total == pytest.approx(parts["variance_input"] + parts["variance_internal"], rel=1e-12)
    assert total == pytest.approx(f.reshape(4, -1, 12).var(axis=1).mean(axis=1), rel=1e-12)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.02), (1.0, 0.5), (0.2, 0.01)])
def test_variances_and_snr_of_a_linear_purifier(a, b, generator):
    """Input a²ε²/3 · (P−1)/P, internal b² · (Ξ−1)/Ξ; sums over D pixels and P or Ξ draws.

    Relative standard deviation of a variance over m = (draws − 1)·D values: √(2/m) for normal, √(0.8/m) for uniform
    ones; at most √(2/(49·64)) = 2.5 %, so 10 % is four of them. Their ratio likewise.
    """
    measured = metrics.ball(CENTRE, *linear(generator, a, b))
    signal, internal = a**2 * EPSILON**2 / 3 * (P - 1) / P, b**2 * (DRAWS - 1) / DRAWS
    assert measured["variance_input"] == pytest.approx(np.full(N, signal), rel=0.1)
    assert measured["variance_internal"] == pytest.approx(np.full(N, internal), rel=0.1)
    assert measured["variance_total"] == pytest.approx(np.full(N, signal + internal), rel=0.1)
    assert measured["snr"] == pytest.approx(np.full(N, signal / internal), rel=0.13)
    assert measured["snr"] == pytest.approx(measured["variance_input"] / measured["variance_internal"], rel=1e-12)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.02), (1.0, 0.5), (0.2, 0.01)])
def test_distances_to_the_centroids_of_a_linear_purifier(a, b, generator):
    """Mean squares: ε²/3, a²ε²/3, b² a pixel, those of purified points times (m−1)/m for the m that made the centroid.

    The square of a distance to a centroid is d times the variance above, averaged over the same draws: 10 % again.
    """
    measured = metrics.ball(CENTRE, *linear(generator, a, b))
    ball, of_input, of_xi = (
        EPSILON**2 / 3,
        a**2 * EPSILON**2 / 3 * (P - 1) / P,
        b**2 * (DRAWS - 1) / DRAWS,
    )
    wanted = {"initial": ball, "input": of_input, "xi": of_xi, "both": of_input + of_xi}
    for name, variance in wanted.items():
        distances = measured[f"centroid_{name}"]
        assert distances.shape == ((N, P) if name == "initial" else (N, P, DRAWS))
        assert (distances**2).reshape(N, -1).mean(axis=1) == pytest.approx(np.full(N, D * variance), rel=0.1)


def test_directions_of_a_purifier_that_adds_noise(generator):
    """f − x = bξ: independent from draw to draw, the same for all inputs.

    A correlation of D = 64 normal pixels has standard deviation 1/√63 = .13; the mean over Ξ(Ξ−1)/2 = 1225 pairs of
    50 draws, nearly uncorrelated, .13/√1225 = .004 (each input sees the same draws, so P does not help). Bound: 5 of them.
    """
    measured = metrics.ball(CENTRE, *linear(generator, 1.0, 0.3))
    assert np.abs(measured["directions_xi"]).max() < 0.02
    assert measured["directions_input"] == pytest.approx(np.ones(N), abs=1e-9)
    assert measured["matrix_xi"].shape == (DRAWS, DRAWS) and measured["matrix_input"].shape == (P, P)
    assert measured["matrix_input"] == pytest.approx(np.ones((P, P)), abs=1e-9)
    assert np.diag(measured["matrix_xi"]) == pytest.approx(np.ones(DRAWS), abs=1e-12)


def test_directions_of_a_purifier_that_only_moves_the_input(generator):
    """f − x = (a − 1) x: the same for all draws; between inputs, of their independent pixels: zero in the mean."""
    measured = metrics.ball(CENTRE, *linear(generator, 0.5, 0.0))
    assert measured["directions_xi"] == pytest.approx(np.ones(N), abs=1e-9)
    assert np.abs(measured["directions_input"]).max() < 0.03  # .13/√780 = .0045


def test_directions_of_a_mixture(generator):
    """f − x = u + v, u of the input, v of ξ, independent: Var(u) / (Var(u) + Var(v)) under many ξ, the rest under many
    inputs; over D = 64 pixels the shares themselves scatter by some 1/√D · .5 = .06. Bound: three of them."""
    a, b = 0.0, 0.1
    measured = metrics.ball(CENTRE, *linear(generator, a, b))
    share = (EPSILON**2 / 3) / (EPSILON**2 / 3 + b**2)
    assert measured["directions_xi"] == pytest.approx(np.full(N, share), abs=0.1)
    assert measured["directions_input"] == pytest.approx(np.full(N, 1 - share), abs=0.1)


def test_the_identity_has_no_directions_and_no_internal_variance(generator, recwarn):
    measured = metrics.ball(CENTRE, *linear(generator, 1.0, 0.0))
    assert np.isnan(measured["directions_xi"]).all() and np.isnan(measured["directions_input"]).all()
    assert (measured["variance_internal"] < 1e-30).all() and (measured["centroid_xi"] < 1e-12).all()
    assert not list(recwarn)


def test_images_of_a_ball_are_measured_one_by_one(generator):
    x, f = linear(generator, 0.5, 0.02)
    together, alone = metrics.ball(CENTRE, x, f), metrics.ball(CENTRE[1:2], x[1:2], f[1:2])
    for name in alone.keys() - {"matrix_xi", "matrix_input"}:
        assert together[name][1:2] == pytest.approx(alone[name], rel=1e-12)


# Everything about one attack.


def outcome(generator, x, features=True) -> dict[str, np.ndarray]:
    logits = generator.standard_normal((len(x), 4))
    made = {"fixed": x * 0.5, "fixed_logits": logits, "varying_logits": np.stack([logits, -logits])}
    if features:
        made |= {"features_before": x.reshape(len(x), -1)[:, :4], "features_after": x.reshape(len(x), -1)[:, 4:8]}
    return made


def test_judged_measures_x_and_its_purified_against_the_clean_image(generator):
    x0, x = images(generator, n=20), images(generator, n=20)
    y = generator.integers(0, 4, 20)
    purified, anchor = outcome(generator, x), outcome(generator, x0)
    measured = metrics.judged(x0, y, x, purified, anchor)
    for name, measure in (("l2", metrics.l2), ("linf", metrics.linf), ("ssim", metrics.ssim)):
        assert np.array_equal(measured[f"{name}_before"], measure(x, x0))
        assert np.array_equal(measured[f"{name}_after"], measure(x / 2, x0))
    assert measured["alpha"] == pytest.approx(np.full(20, 0.5), rel=1e-9)
    assert np.array_equal(measured["correct_fixed"], purified["fixed_logits"].argmax(1) == y)
    assert np.array_equal(measured["correct_varying"][1], purified["fixed_logits"].argmin(1) == y)
    assert measured["correct_varying"].shape == (2, 20)
    assert measured["frechet_before"] == metrics.frechet(purified["features_before"], anchor["features_before"])
    assert measured["frechet_after"] == metrics.frechet(purified["features_after"], anchor["features_before"])


def test_judged_without_features_has_no_frechet_distance(generator):
    x0, x, y = images(generator), images(generator), np.zeros(5, int)
    measured = metrics.judged(x0, y, x, outcome(generator, x, False), outcome(generator, x0, False))
    assert not [name for name in measured if name.startswith("frechet")]


def test_what_an_attack_says_of_its_gradients_goes_along(generator):
    x0, x, y = images(generator), images(generator), np.zeros(5, int)
    given = (x0, y, x, outcome(generator, x), outcome(generator, x0))
    said = {name: generator.random(5) for name in metrics.GRADIENTS}
    measured = metrics.judged(*given, {"x": x, "y": y} | said)
    assert measured.keys() == metrics.judged(*given).keys() | said.keys()
    assert all(measured[name] is said[name] for name in said)
    assert metrics.judged(*given, {"x": x}).keys() == metrics.judged(*given).keys()


def test_images_are_measured_one_by_one(generator):
    x0, x, y = images(generator), images(generator), np.zeros(5, int)
    purified, anchor = outcome(generator, x, False), outcome(generator, x0, False)
    together = metrics.judged(x0, y, x, purified, anchor)
    one = [{k: v[:, 3:4] if k == "varying_logits" else v[3:4] for k, v in made.items()} for made in (purified, anchor)]
    alone = metrics.judged(x0[3:4], y[3:4], x[3:4], *one)
    for name, value in alone.items():
        assert together[name][..., 3:4] == pytest.approx(value, rel=1e-12)
