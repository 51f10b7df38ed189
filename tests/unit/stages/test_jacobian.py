"""The three ways to J against each other, torch, finite differences and linear purifiers, whose J is known."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from jobs import Stopped, checked, job

from purity import purifiers
from purity.noise import Noise
from purity.run.progress import Done
from purity.stages.jacobian import MODES, basis, jacobian, singular_values

MAKERS = {
    "ddpm": partial(purifiers.ddpm, t=50, steps=3, sigma="large", clip=True, forward="one-step"),
    "ddim": partial(purifiers.ddim, t=50, steps=3, clip=False, forward="iterated"),
    "reverse": partial(purifiers.reverse, t=50, steps=3, sigma="small", clip=True),
    "one-step": partial(purifiers.one_step, t=50, clip=False),
}
XI = Noise(1, torch.arange(4) + 20)
D = 64


@pytest.fixture(scope="module")
def x(images):
    """Away from the border, so that a small step stays an image."""
    return 0.2 + 0.6 * images[:4].double()


def of_first(purify):
    """f_ξ of image 0, for any number of copies."""
    return lambda x: purify(x, XI.rows(torch.zeros(len(x), dtype=torch.int64)))


def whole(mode, f, x, by=D) -> torch.Tensor:
    """J at x (1, C, H, W), `by` directions at a time: ∂f_i/∂x_j at (i, j)."""
    linear = MODES[mode](f, x)
    made = torch.cat([linear(basis(columns, x)).flatten(1) for columns in torch.arange(x.numel()).split(by)])
    return made.T if mode == "forward" else made


def mixing(seed: int, d: int = D) -> torch.Tensor:
    return torch.randn(d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) / d**0.5


def affine(matrix):
    """f(x) = A x + b(ξ). What comes out is no image; J does not mind."""
    return lambda x, xi: (x.flatten(1) @ matrix.to(x).T).view_as(x) + xi.forward(0, x)


def gain(x, xi):
    """f(x) = (1 + ξ) x, pixel by pixel: J is diagonal and belongs to the image's own ξ."""
    return x * (1 + xi.forward(0, x))


# J itself.


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("kind", MAKERS)
def test_the_modes_are_torchs_jacobian(kind, recompute, unet64, x):
    """In float64, entries of order 1 after some 10⁴ operations: 1e-10."""
    f = of_first(MAKERS[kind](unet64, recompute=recompute))
    plain = of_first(MAKERS[kind](unet64, recompute=False))
    expected = torch.autograd.functional.jacobian(plain, x[:1]).view(D, D)
    assert (expected - expected.T).abs().max() > 0.01  # so that a transpose would show
    for mode in MODES:
        torch.testing.assert_close(whole(mode, f, x[:1]), expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_jacobian_is_the_slope_of_finite_differences(kind, unet64, x):
    """Central differences, h = 1e-5: h² truncation and 1e-16/h rounding stay below 1e-8 of slopes of order 1.

    A clip within h of a pixel would show; at this fixed image none is.
    """
    f, h = of_first(MAKERS[kind](unet64, recompute=False)), 1e-5
    e = h * torch.eye(D, dtype=x.dtype).view(D, *x.shape[1:])
    with torch.no_grad():
        slopes = ((f(x[:1] + e) - f(x[:1] - e)) / (2 * h)).flatten(1).T
    torch.testing.assert_close(whole("reverse", f, x[:1]), slopes, atol=1e-7, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_the_jacobian_of_an_affine_purifier_is_its_matrix(mode, x):
    matrix = mixing(0)
    torch.testing.assert_close(whole(mode, of_first(affine(matrix)), x[:1]), matrix, atol=1e-12, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_any_direction_will_do_not_only_unit_vectors(mode, x):
    matrix, v = mixing(0), mixing(1)[:5]
    wanted = v @ matrix.T if mode == "forward" else v @ matrix
    found = MODES[mode](of_first(affine(matrix)), x[:1])(v.view(5, *x.shape[1:]))
    assert found.shape == (5, *x.shape[1:])
    torch.testing.assert_close(found.flatten(1), wanted, atol=1e-12, rtol=0)


@pytest.mark.parametrize("by", [7, 1000])
@pytest.mark.parametrize("mode", MODES)
def test_how_many_directions_at_a_time_does_not_change_a_jacobian(mode, by, unet64, x):
    f = of_first(MAKERS["one-step"](unet64))
    torch.testing.assert_close(whole(mode, f, x[:1], by), whole(mode, f, x[:1]), atol=1e-12, rtol=0)


def test_the_basis_is_of_unit_vectors_in_the_order_of_pixels(x):
    assert torch.equal(basis(torch.arange(D), x[:1]).flatten(1), torch.eye(D, dtype=x.dtype))
    chosen = basis(torch.tensor([9, 2]), x[:1].float())
    assert chosen.dtype == torch.float32 and chosen.shape == (2, 1, 8, 8)
    assert chosen[0, 0, 1, 1] == 1 and chosen[1, 0, 0, 2] == 1 and chosen.sum() == 2


def test_singular_values_are_numpys_largest_first_and_those_of_the_transpose():
    """A float32 matrix is taken in float64: 1e-14 of values of order 1, and not 1e-7."""
    matrix = mixing(3).float()
    wanted = np.linalg.svd(matrix.double().numpy(), compute_uv=False)
    assert singular_values(matrix).numpy() == pytest.approx(wanted, abs=1e-12)
    assert singular_values(matrix.T).numpy() == pytest.approx(wanted, abs=1e-12)


# The stage. Its images are float32, as those of the pipeline.


def spectra(x, xi, purify, mode="rows", batch=16) -> np.ndarray:
    return jacobian(x.float().numpy(), xi, job=job(batch), purify=purify, mode=mode)["singular_values"]


@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("mode", MODES)
def test_singular_values_of_an_affine_purifier_are_those_of_its_matrix_at_every_image(mode, batch, x):
    """Entries of the float32 matrix are those of A to 1e-7 of them (its products are with 0 and 1): hence 1e-6."""
    wanted = np.linalg.svd(mixing(0).numpy(), compute_uv=False)
    found = spectra(x, XI, affine(mixing(0)), mode, batch)
    assert found.shape == (4, D) and found.dtype == np.float64
    assert found == pytest.approx(np.tile(wanted, (4, 1)), abs=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_each_image_meets_its_own_fixed_noise(mode, x):
    """Diagonal, so that rounding is that of single numbers."""
    own = (1 + XI.forward(0, x)).flatten(1).abs().numpy()
    wanted = -np.sort(-own, axis=1)
    assert np.abs(wanted[0] - wanted[1]).max() > 0.01
    assert spectra(x, XI, gain, mode) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_the_spectrum_of_a_network_is_that_of_torchs_jacobian_at_that_image(mode, unet, unet64, x):
    """The stage in float32, the oracle in float64: J to 1e-5, and no singular value moves by more than ‖ΔJ‖₂.

    ‖ΔJ‖₂ ≤ ‖ΔJ‖_F, some 1e-6 · 64 for entries that are 1e-6 off.
    """
    found = spectra(x[:2], XI, MAKERS["ddpm"](unet), mode, batch=D)
    plain = MAKERS["ddpm"](unet64, recompute=False)
    for i in range(2):
        j = torch.autograd.functional.jacobian(lambda z, i=i: plain(z, XI.rows(torch.tensor([i]))), x[i : i + 1])
        assert found[i] == pytest.approx(torch.linalg.svdvals(j.view(D, D)).numpy(), abs=1e-4)


@pytest.mark.parametrize("batch", [7, 1000])
@pytest.mark.parametrize("mode", MODES)
def test_batch_changes_no_spectrum(mode, batch, unet, x):
    """64 directions are no multiple of 7; float32 sums of another shape differ by 1e-6."""
    purify = MAKERS["one-step"](unet)
    expected = spectra(x[:2], XI, purify, mode, batch=D)
    assert spectra(x[:2], XI, purify, mode, batch) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_some_of_the_images_have_the_spectra_that_they_have_among_all(mode, unet, x):
    purify, index = MAKERS["one-step"](unet), torch.tensor([3, 1])
    among_all = spectra(x, XI, purify, mode, batch=32)
    assert np.array_equal(spectra(x[index], XI.rows(index), purify, mode, batch=32), among_all[index])


@pytest.mark.parametrize("mode", MODES)
def test_a_spectrum_leaves_networks_and_global_generators_as_they_were(mode, unet, x):
    network = copy.deepcopy(unet).requires_grad_()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    spectra(x[:1], XI, MAKERS["ddpm"](network), mode, batch=32)
    assert all(p.grad is None for p in network.parameters())
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy_state, strict=True))


def test_the_noise_of_one_seed_is_not_that_of_another(x):
    assert np.abs(spectra(x, XI, gain) - spectra(x, Noise(2, XI.ids), gain)).max() > 0.01


@pytest.mark.parametrize("mode", MODES)
def test_the_check_of_a_purifier_changes_no_spectrum(mode, unet, x):
    """Each way asks it differently: on copies, with a graph, inside torch's transforms."""
    purify = MAKERS["one-step"](unet)
    assert np.array_equal(spectra(x[:2], XI, checked(purify), mode), spectra(x[:2], XI, purify, mode))


# A job that was stopped, and the largest values alone.


class Counted:
    """A purifier that counts its calls and is stopped in one of them."""

    def __init__(self, purify, stopped_in=None):
        self.purify, self.stopped_in, self.calls = purify, stopped_in, 0

    def __call__(self, x, xi):
        if self.calls == self.stopped_in:
            raise Stopped
        self.calls += 1
        return self.purify(x, xi)


def test_a_job_that_was_stopped_within_an_image_goes_on_at_the_rows_that_are_left(x, tmp_path):
    """Chunks of 16: four calls an image. Stopped in the third of the second image."""

    def made(purify):
        done = Done(tmp_path / "made.zarr.zip", {})
        images = x.float().numpy()
        return jacobian(images, XI, job=job(16, done), purify=purify, mode="rows")["singular_values"], done

    whole = spectra(x, XI, affine(mixing(0)))
    stopped, rerun = Counted(affine(mixing(0)), stopped_in=6), Counted(affine(mixing(0)))
    with pytest.raises(Stopped):
        made(stopped)
    found, done = made(rerun)
    assert np.array_equal(found, whole) and stopped.calls + rerun.calls == 16
    assert not [path for path in done.place.iterdir() if path.is_dir()]  # rows of an image go when its values are there


@pytest.mark.parametrize("batch", [7, 100])
@pytest.mark.parametrize("mode", MODES)
def test_the_largest_values_lie_within_their_bounds(mode, batch, x):
    """σ_j = 2⁻ʲ: eight values and ten directions more hold all but 2⁻¹⁸ of it, so that they are sharp to 1e-4."""
    u, v = (torch.linalg.qr(mixing(seed))[0] for seed in (4, 5))
    sigma = 2.0 ** -torch.arange(D, dtype=torch.float64)
    images, purify = x.float().numpy(), affine(u * sigma @ v.T)
    made = jacobian(images, XI, job=job(batch), purify=purify, mode=mode, largest=8)
    found = made["singular_values"]
    assert found.shape == made["upper"].shape == (4, 8) and found.dtype == np.float64
    assert (found <= sigma[:8].numpy() + 1e-6).all() and (made["upper"] >= sigma[:8].numpy() - 1e-6).all()
    assert found == pytest.approx(np.tile(sigma[:8], (4, 1)), abs=1e-4)
    assert made["risk"] == pytest.approx(1e-10)
    assert (np.abs(made["total"] - 4 / 3) < 5 * made["total_error"]).all()  # Σ 4⁻ʲ; five standard errors


def test_no_more_values_are_given_than_there_are(x):
    made = jacobian(x.float().numpy(), XI, job=job(), purify=affine(mixing(0)), mode="rows", largest=1000)
    assert made["singular_values"] == pytest.approx(spectra(x, XI, affine(mixing(0))), abs=1e-5)
