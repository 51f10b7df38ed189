"""Purifiers as functions of image and noise: range, states, exact gradients of either mode, memory, refusals."""

from collections import deque
from functools import partial

import pytest
import torch

from purity import contract, purifiers
from purity.noise import Noise

MAKERS = {
    "ddpm": partial(purifiers.ddpm, t=50, steps=4, sigma="large", clip=True, forward="one-step"),
    "ddpm iterated": partial(purifiers.ddpm, t=50, steps=4, sigma="small", clip=False, forward="iterated"),
    "reverse": partial(purifiers.reverse, t=50, steps=4, sigma="small", clip=True),
    "ddim": partial(purifiers.ddim, t=50, steps=4, clip=False, forward="one-step"),
    "ddim clipped": partial(purifiers.ddim, t=50, steps=4, clip=True, forward="iterated"),
    "ddim, ε kept": partial(purifiers.ddim, t=50, steps=4, clip=True, forward="one-step", clipped_epsilon="kept"),
    "one-step": partial(purifiers.one_step, t=50, clip=False),
}
XI = Noise(1, torch.arange(6) + 20)


@pytest.fixture(scope="module")
def x(images):
    """Away from the border, so that a small step stays an image."""
    return 0.2 + 0.6 * images[:6].double()


def every_purifier(network):
    return {
        "identity": purifiers.identity(),
        "gaussian": purifiers.gaussian(0.3),
        **{name: make(network) for name, make in MAKERS.items()},
    }


@pytest.fixture(params=["identity", "gaussian", *MAKERS])
def name(request):
    return request.param


def weighted(purify, x):
    """(f(x), ∇ₓ Σ w·f(x)) with w of both signs."""
    x = x.clone().requires_grad_()
    out = purify(x, XI)
    w = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)
    return out.detach(), torch.autograd.grad((w * out).sum(), x)[0]


# What comes out.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_images_in_images_out(name, unet, unet64, images, dtype):
    x = images[:6].to(dtype)  # with pixels on the border
    out = every_purifier(unet if dtype == torch.float32 else unet64)[name](x, XI)
    assert out.shape == x.shape and out.dtype == dtype
    assert contract.image_of(out, x, name) is out


def test_identity_is_the_identity_and_gaussian_adds_addressed_noise(x):
    assert torch.equal(purifiers.identity()(x, XI), x)
    expected = (x + 0.3 * XI.forward(0, x)).clamp(0, 1)
    assert torch.equal(purifiers.gaussian(0.3)(x, XI), expected)


def test_the_identity_cuts_what_was_not_cut_and_its_gradient_is_1_everywhere():
    """At 0 and 1 too, where torch's clamp has none: attacks on the undefended classifier follow the classifier."""
    x = torch.tensor([-0.4, 0.0, 0.3, 1.0, 1.2], dtype=torch.float64, requires_grad=True)
    made = purifiers.identity()(x, XI)
    torch.testing.assert_close(made, x.clamp(0, 1), atol=1e-15, rtol=0)
    assert torch.equal(torch.autograd.grad(made.sum(), x)[0], torch.ones_like(x))


def test_a_row_does_not_see_the_others(name, unet64, x):
    purify, index = every_purifier(unet64)[name], torch.tensor([4, 1, 1])
    torch.testing.assert_close(purify(x[index], XI.rows(index)), purify(x, XI)[index], atol=1e-12, rtol=0)


def test_states_run_from_the_image_to_the_purified_image(name, unet64, x):
    purify = every_purifier(unet64)[name]
    times, states = zip(*purifiers.states(purify, x, XI), strict=True)
    assert torch.equal(states[0], x) and torch.equal(states[-1], purify(x, XI))
    assert times[0] == 0 and list(times) == sorted(times)


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("ddpm", [0, 50, 66, 83, 99, 100]),
        ("ddpm iterated", [0, 1, 17, 34, 50, 66, 83, 99, 100]),
        ("reverse", [0, 50, 66, 83, 99, 100]),
        ("one-step", [0, 50, 100]),
    ],
)
def test_time_runs_t_forward_and_t_back_on_the_scale_of_the_full_schedule(name, times, unet64, x):
    """Four evaluations of 50 are at 0-based indices 0, 16, 33, 49, that is from times 1, 17, 34 and 50."""
    assert [time for time, _ in every_purifier(unet64)[name].states(x, XI)] == times


def test_forward_states_are_noisier_and_noisier(unet64, x):
    distances = [(z - x).norm().item() for _, z in every_purifier(unet64)["ddpm iterated"].states(x, XI)]
    assert distances[:5] == sorted(distances[:5])


def test_a_network_that_sees_the_noise_is_undone_exactly(x):
    """If ε_θ is the noise that was added, one-step and DDIM give the image back; respacing does not matter."""

    def network(z, index):
        return XI.forward(49, z)

    for make in (
        purifiers.one_step(network, t=50, clip=False),
        purifiers.ddim(network, t=50, steps=50, clip=False, forward="one-step"),
        purifiers.ddim(network, t=50, steps=7, clip=True, forward="one-step"),
    ):
        torch.testing.assert_close(make(x, XI), x, atol=1e-12, rtol=0)


def test_a_linear_purifier_has_the_known_jacobian(x):
    """ε_θ(z) = 0.2 z makes x̂₀ = (1 − 0.2 √(1−ᾱ))/√ᾱ · x_t, and x_t has the slope √ᾱ in the image."""
    purify = purifiers.one_step(lambda z, index: 0.2 * z, t=50, clip=False)
    abar = purify.schedule.abar[-1]
    slope = 1 - 0.2 * (1 - abar).sqrt()
    _, gradient = weighted(purify, x)
    inside = (purify(x, XI) > 0) & (purify(x, XI) < 1)  # where the result was not cut
    w = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)
    torch.testing.assert_close(gradient, torch.where(inside, slope * w, 0), atol=1e-12, rtol=0)
    assert inside.double().mean() > 0.9


# Gradients.


@pytest.mark.parametrize("kind", MAKERS)
def test_recomputation_changes_neither_value_nor_gradient(kind, unet64, x):
    """The same float64 operations in the same order, run twice: equal bits."""
    out, gradient = weighted(MAKERS[kind](unet64, recompute=True), x)
    plain_out, plain_gradient = weighted(MAKERS[kind](unet64, recompute=False), x)
    assert torch.equal(out, plain_out)
    assert torch.equal(gradient, plain_gradient)
    assert gradient.abs().max() > 0.01


def test_gradient_is_the_slope_of_finite_differences(name, unet64, x):
    """Central differences, h = 1e-5 in float64: h² truncation and 1e-16/h rounding stay below 1e-8 of slopes of order 1.

    A clip within h of a pixel would show; at these fixed images none is.
    """
    purify = every_purifier(unet64)[name]
    _, gradient = weighted(purify, x)
    w = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)
    for seed in range(3):
        v = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(seed))
        h = 1e-5
        slope = (w * (purify(x + h * v, XI) - purify(x - h * v, XI))).sum() / (2 * h)
        torch.testing.assert_close((gradient * v).sum(), slope, atol=1e-6, rtol=1e-6)


def test_forward_mode_agrees_with_reverse_mode(name, unet64, x):
    """⟨w, J v⟩ = ⟨Jᵀ w, v⟩, exactly but for float64 rounding."""
    purify = every_purifier(unet64)[name]
    v = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(0))
    w = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)
    out, jv = torch.func.jvp(lambda z: purify(z, XI), (x,), (v,))
    plain, jtw = weighted(purify, x)
    torch.testing.assert_close(out, plain, atol=1e-12, rtol=0)
    torch.testing.assert_close((w * jv).sum(), (jtw * v).sum(), atol=1e-10, rtol=1e-10)


def test_no_global_generator_is_touched_by_value_or_gradient(name, unet64, x):
    before = torch.get_rng_state()
    weighted(every_purifier(unet64)[name], x)
    assert torch.equal(torch.get_rng_state(), before)


# What may not pass for an image.


@pytest.mark.parametrize(
    ("out", "words"),
    [
        (torch.zeros(2, 1, 4, 3), r"shape \(2, 1, 4, 3\)"),
        (torch.full((2, 1, 4, 4), torch.nan), "NaN"),
        (torch.full((2, 1, 4, 4), torch.inf), "infinite"),
        (torch.full((2, 1, 4, 4), -0.01), "leave"),
        (torch.full((2, 1, 4, 4), 1.01), "leave"),
        ([0.0], "list, not a tensor"),
    ],
    ids=["shape", "nan", "inf", "below", "above", "type"],
)
def test_what_is_no_image_is_refused_with_the_purifiers_name(out, words):
    with pytest.raises(ValueError, match=f"my purifier.*{words}"):
        contract.image_of(out, torch.zeros(2, 1, 4, 4), "my purifier")


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_ends_of_the_range_are_images(value):
    out = torch.full((2, 1, 4, 4), value)
    assert contract.image_of(out, torch.zeros(2, 1, 4, 4), "my purifier") is out


def test_a_purifier_without_states_shows_its_two_ends(x):
    states = purifiers.states(lambda images, xi: images / 2, x, XI)
    (start, first), (end, last) = deque(states)
    assert (start, end) == (0, 1) and torch.equal(first, x) and torch.equal(last, x / 2)


# Protected purifiers.


@pytest.mark.parametrize("kind", ["identity", "gaussian", *MAKERS])
def test_a_protected_purifier_is_the_purifier(kind, unet64, x):
    purify = every_purifier(unet64)[kind]
    held = contract.protected_purifier(purify, "mine")
    assert torch.equal(held(x, XI), purify(x, XI))
    found, wanted = (list(purifiers.states(f, x, XI)) for f in (held, purify))
    assert [time for time, _ in found] == [time for time, _ in wanted]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(found, wanted, strict=True))
    for made, expected in zip(weighted(held, x), weighted(purify, x), strict=True):
        assert torch.equal(made, expected)


@pytest.mark.parametrize("kind", ["identity", "gaussian", *MAKERS])
def test_a_protected_purifier_has_states_where_the_purifier_has(kind, unet64):
    purify = every_purifier(unet64)[kind]
    assert hasattr(contract.protected_purifier(purify, "mine"), "states") == hasattr(purify, "states")


WRONG = {
    "shape": (lambda x: x[:, :, :-1], "shape"),
    "nan": (lambda x: torch.where(x == x.max(), torch.nan, x), "NaN"),
    "infinite": (lambda x: torch.where(x == x.max(), torch.inf, x), "infinite"),
    "minus infinite": (lambda x: torch.where(x == x.min(), -torch.inf, x), "infinite"),
    "below": (lambda x: x - 1, "leave"),
    "above": (lambda x: x + 1, r"leave \[0, 1\]"),
    "type": (lambda x: None, "NoneType, not a tensor"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("gradient", [False, True])
def test_every_call_of_a_protected_purifier_is_held_against_its_input(wrong, gradient, x):
    """Not the first alone."""
    good = [True]

    def purify(images, xi):
        return images if good[0] else WRONG[wrong][0](images)

    held = contract.protected_purifier(purify, "mine")
    images = x.clone().requires_grad_(gradient)
    held(images, XI), held(images, XI)
    good[0] = False
    with pytest.raises(ValueError, match=f"^purifier 'mine' returned .*{WRONG[wrong][1]}"):
        held(images, XI)


class Shown:
    """A purifier of these states."""

    def __init__(self, *states):
        self.shown = states

    def __call__(self, x, xi):
        return self.shown[-1]

    def states(self, x, xi):
        yield from enumerate(self.shown)


@pytest.mark.parametrize("wrong", WRONG)
def test_the_last_state_of_a_protected_purifier_is_held_against_its_input_before_it_is_shown(wrong, x):
    states = purifiers.states(contract.protected_purifier(Shown(x, WRONG[wrong][0](x)), "mine"), x, XI)
    time, first = next(states)
    assert time == 0 and torch.equal(first, x)
    with pytest.raises(ValueError, match=f"^purifier 'mine' returned .*{WRONG[wrong][1]}"):
        next(states)


def test_states_on_the_way_may_lie_outside_the_range_of_images(x):
    states = list(purifiers.states(contract.protected_purifier(Shown(x, x + 9, x / 2), "mine"), x, XI))
    assert [time for time, _ in states] == [0, 1, 2] and torch.equal(states[1][1], x + 9)


def test_a_purifier_of_no_states_is_refused_too(x):
    class Silent(Shown):
        def states(self, x, xi):
            yield from ()

    with pytest.raises(ValueError, match="purifier 'mine' has states and yields none"):
        list(purifiers.states(contract.protected_purifier(Silent(x), "mine"), x, XI))
