"""J row by row against torch and against matrices that are known; the randomised estimate against its own bounds."""

from functools import partial

import pytest
import torch

from purity import purifiers
from purity.diffusion import memory
from purity.diffusion.jacobian import largest, pullback, rows, some_rows
from purity.noise import Noise
from purity.stages.jacobian import pushforward

MAKERS = {
    "ddpm": partial(purifiers.ddpm, t=50, steps=3, sigma="large", clip=True, forward="iterated"),
    "ddim": partial(purifiers.ddim, t=50, steps=3, clip=False, forward="one-step"),
    "reverse": partial(purifiers.reverse, t=50, steps=3, sigma="small", clip=True),
    "one-step": partial(purifiers.one_step, t=50, clip=False),
}
XI = Noise(1, torch.tensor([20]))
D = 64


@pytest.fixture(scope="module")
def x(images):
    """Away from the border, so that a small step stays an image."""
    return 0.2 + 0.6 * images[:1].double()


def whole(f, x, at_once=D):
    return torch.cat([made for _, made in rows(f, x, at_once)])


def mixing(seed, d=D):
    return torch.randn(d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) / d**0.5


def affine(matrix):
    """f(x) = A x + b(ξ). What comes out is no image; J does not mind."""
    return lambda x: (x.flatten(1) @ matrix.to(x).T).view_as(x) + XI.forward(0, x)


# All rows.


@pytest.mark.parametrize("at_once", [1, 7, 1000])
@pytest.mark.parametrize("room", [0, 2**40], ids=["repeated", "kept"])
@pytest.mark.parametrize("kind", MAKERS)
def test_rows_are_those_of_torchs_jacobian(kind, room, at_once, unet64, x, monkeypatch):
    """Whatever is kept of the chain, however many at a time. float64, entries of order 1 after some 10⁴ operations:
    1e-10."""
    monkeypatch.setattr(memory, "at_hand", lambda device: room)
    f = partial(MAKERS[kind](unet64), xi=XI)
    plain = partial(MAKERS[kind](unet64, recompute=False), xi=XI) if kind != "one-step" else f
    expected = torch.autograd.functional.jacobian(plain, x).view(D, D)
    assert (expected - expected.T).abs().max() > 0.01  # so that a transpose would show
    torch.testing.assert_close(whole(f, x, at_once), expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("kind", MAKERS)
def test_float32_is_exact_to_1e_5(kind, unet, unet64, x):
    expected = whole(partial(MAKERS[kind](unet64), xi=XI), x)
    found = whole(partial(MAKERS[kind](unet), xi=XI), x.float())
    assert (found - expected).abs().max() < 1e-5


def test_the_jacobian_of_an_affine_map_is_its_matrix(x):
    torch.testing.assert_close(whole(affine(mixing(0)), x), mixing(0), atol=1e-12, rtol=0)


def test_purifiers_that_are_no_chain_have_rows_too(x):
    assert torch.equal(whole(partial(purifiers.identity(), xi=XI), x), torch.eye(D, dtype=x.dtype))
    inside = purifiers.gaussian(0.01)
    assert torch.equal(whole(partial(inside, xi=XI), x), torch.eye(D, dtype=x.dtype))


def test_any_direction_will_do_not_only_rows(x):
    v = mixing(1)[:5]
    found = pullback(affine(mixing(0)), x)(v.view(5, *x.shape[1:]))
    torch.testing.assert_close(found.flatten(1), v @ mixing(0), atol=1e-12, rtol=0)


def test_rows_come_in_order_and_some_may_be_left_out(unet64, x):
    f = partial(MAKERS["ddpm"](unet64), xi=XI)
    numbers, parts = zip(*rows(f, x, 10), strict=True)
    assert torch.equal(torch.cat(numbers), torch.arange(D)) and {len(n) for n in numbers} == {10, 4}
    left = torch.tensor([63, 5, 17])
    ((first, some),) = some_rows(pullback(f, x), x, left, 10)
    assert torch.equal(first, left)
    torch.testing.assert_close(some, torch.cat(parts)[left], atol=1e-12, rtol=0)


def test_a_stopped_jacobian_is_finished_with_what_is_left(unet64, x):
    f = partial(MAKERS["ddpm"](unet64), xi=XI)
    stopped, made = rows(f, x, 10), torch.empty(D, D, dtype=x.dtype)
    done = [next(stopped) for _ in range(3)]
    left = torch.arange(30, D)
    for chosen, part in [*done, *some_rows(pullback(f, x), x, left, 9)]:
        made[chosen] = part
    torch.testing.assert_close(made, whole(f, x), atol=1e-12, rtol=0)


def test_the_network_sees_one_image_however_many_directions_there_are(unet64, x, monkeypatch):
    monkeypatch.setattr(memory, "at_hand", lambda device: 0)
    seen = []

    def network(z, index):
        seen.append(len(z))
        return unet64(z, index)

    whole(partial(MAKERS["ddpm"](network), xi=XI), x, at_once=32)
    assert seen == [1] * (1 + 3 + 2 * 2)  # to see what a graph takes, there, and twice back but for the step kept
    seen.clear()
    whole(partial(MAKERS["ddpm"](network, recompute=False), xi=XI), x, at_once=32)
    assert seen == [1] * 3


def test_networks_and_global_generators_are_left_as_they_were(unet, x):
    before = torch.get_rng_state()
    whole(partial(MAKERS["ddpm"](unet), xi=XI), x.float())
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None for p in unet.parameters())


# The estimate.


def normals(n, seed):
    return Noise(seed, torch.arange(n)).forward(0, torch.empty(n, 1, 8, 8, dtype=torch.float64))


def linear(matrix):
    """(pull, push) of a matrix."""
    return (lambda v: (v.flatten(1) @ matrix).view_as(v)), (lambda v: (v.flatten(1) @ matrix.T).view_as(v))


def decaying(seed):
    """Singular values 2 · 0.8^j in random bases."""
    u, v = (torch.linalg.qr(mixing(seed + i)).Q for i in (0, 100))
    sigma = 2 * 0.8 ** torch.arange(D, dtype=torch.float64)
    return u * sigma @ v.T, sigma


@pytest.mark.parametrize("iterations", [0, 1, 3])
@pytest.mark.parametrize("seed", range(20))
def test_singular_values_lie_between_the_bounds(seed, iterations):
    """The lower one always, but for rounding; the upper one except in 10⁻⁴ of such draws."""
    matrix, sigma = decaying(seed)
    found = largest(*linear(matrix), normals(12, 1 + seed), normals(4, 1000 + seed), iterations)
    assert found.risk == pytest.approx(1e-4)
    assert (found.values <= sigma[:12] + 1e-12).all()
    assert (sigma[:12] <= found.upper + 1e-12).all()
    assert found.values.dtype == torch.float64


def test_iterations_sharpen_the_estimate_and_the_bound():
    """The bound only down to some 8 σ_13, what no twelve directions see."""
    matrix, sigma = decaying(0)
    found = [largest(*linear(matrix), normals(12, 1), normals(4, 2), q) for q in (0, 1, 3)]
    error = [(sigma[:12] - f.values).max().item() for f in found]
    width = [(f.upper - f.values)[0].item() for f in found]
    assert error == sorted(error, reverse=True) and width[0] > max(width[1:])
    # of the first six, (σ_13/σ_6)^(2q+1) is left of an error of order 1 (q = 3: 0.8^49)
    assert (sigma[:6] - found[-1].values[:6]).max() < 1e-4


def test_all_of_them_are_exact(x):
    matrix, sigma = decaying(3)
    found = largest(*linear(matrix), normals(D, 1), normals(2, 2))
    torch.testing.assert_close(found.values, sigma, atol=1e-12, rtol=0)
    torch.testing.assert_close(found.upper, sigma, atol=1e-6, rtol=0)  # √(σ² + rounding²) of the smallest


def test_a_matrix_of_low_rank_is_found_whole():
    matrix, sigma = decaying(5)
    u, s, v = torch.linalg.svd(matrix)
    low = u[:, :5] * s[:5] @ v[:5]
    found = largest(*linear(low), normals(8, 1), normals(3, 2), iterations=0)
    torch.testing.assert_close(found.values[:5], sigma[:5], atol=1e-12, rtol=0)
    assert found.values[5:].max() < 1e-12 and (found.upper - found.values).max() < 1e-6


def test_the_sum_of_squares_is_unbiased_and_its_error_is_said():
    """400 probes: within four standard errors of ‖J‖²_F; the error itself is √(2 Σ σ⁴ / r) for normal probes, known to
    1/√(2·400) and the excess of its own distribution: a quarter."""
    matrix, sigma = decaying(7)
    found = largest(*linear(matrix), normals(2, 1), normals(400, 2))
    assert abs(found.total - sigma.square().sum().item()) < 4 * found.total_error
    assert found.total_error == pytest.approx((2 * (sigma**4).sum().item() / 400) ** 0.5, rel=0.25)


def test_it_takes_as_many_directions_as_it_says():
    matrix, _ = decaying(0)
    pull, push = linear(matrix)
    counted = {"pull": 0, "push": 0}

    def counting(name, f):
        def call(v):
            counted[name] += len(v)
            return f(v)

        return call

    largest(counting("pull", pull), counting("push", push), normals(6, 1), normals(3, 2), iterations=2)
    assert counted == {"pull": 6 * 3 + 3, "push": 6 * 3}


@pytest.mark.parametrize("kind", ["ddpm", "one-step"])
def test_the_largest_of_a_purifier_are_those_of_its_rows(kind, unet64, x):
    f = partial(MAKERS[kind](unet64), xi=XI)
    exact = torch.linalg.svdvals(whole(f, x))
    found = largest(pullback(f, x), pushforward(f, x), normals(24, 1), normals(4, 2), iterations=2)
    assert (found.values <= exact[:24] + 1e-10).all() and (exact[:24] <= found.upper).all()
    # what is left of the error after two iterations: (σ_25/σ_1)⁵ of σ_1 at most
    assert exact[0] - found.values[0] < (exact[24] / exact[0]) ** 5 * exact[0] + 1e-10


def test_one_probe_is_refused():
    with pytest.raises(ValueError, match="two or more"):
        largest(*linear(mixing(0)), normals(4, 1), normals(1, 2))
