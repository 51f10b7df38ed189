"""Any code that draws, as a function of image and ξ: its distributions, its invariances, its gradients, what it refuses."""

import logging
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torchvision import transforms
from torchvision.transforms import v2

from purity import batching, purifiers
from purity.defence import Defence
from purity.diffusion import schedules
from purity.intercepted import Intercepted, purifier
from purity.noise import ATTACKER, Noise, PublishedNoise
from purity.stages import jacobian

ROOT = Path(__file__).parents[2]
XI = Noise(3, torch.arange(6) + 20)


@pytest.fixture(scope="module")
def x(images):
    return 0.2 + 0.6 * images[:6].double()


def weighted(f, x, xi=XI):
    """(f(x), ∇ₓ Σ w·f(x)) with w of both signs."""
    x = x.clone().requires_grad_()
    out = f(x, xi)
    w = torch.linspace(-1, 1, out.numel(), dtype=x.dtype).view_as(out)
    return out.detach(), torch.autograd.grad((w * out).sum(), x)[0]


# Code as others write it: nothing in it knows of ξ.


def noisy(x):
    """Draws of several kinds, all of them rows' own, and a gradient that depends on each."""
    for _ in range(3):
        x = x + 0.1 * torch.randn_like(x) * torch.sin(3 * x)
        x = x * (1 + 0.2 * torch.rand(x.shape, dtype=x.dtype))
        x = 0.9 * F.dropout(x, 0.3, training=True) + 0.1 * x
    return x


def noise_checkpointed(x, **how):
    def step(x):
        x = x + 0.1 * torch.randn_like(x) * torch.sin(3 * x)
        x = x * (1 + 0.2 * torch.rand(x.shape, dtype=x.dtype))
        return 0.9 * F.dropout(x, 0.3, training=True) + 0.1 * x

    for _ in range(3):
        x = checkpoint(step, x, **how)
    return x


def ancestral(network, s, forward="iterated"):
    """DDPM purification as the paper writes it (Ho et al. 2020, Alg. 2), unclipped, σ² = β, on images in [0, 1]."""

    def purify(x):
        x, n = 2 * x - 1, s.steps
        if forward == "iterated":
            for t in range(1, n + 1):
                x = (1 - s.beta[t]).sqrt() * x + s.beta[t].sqrt() * torch.randn_like(x)
        else:
            x = s.abar[n].sqrt() * x + (1 - s.abar[n]).sqrt() * torch.randn_like(x)
        for t in range(n, 0, -1):
            eps = network(x, torch.tensor([s.index[t]]))
            x = (x - s.beta[t] / (1 - s.abar[t]).sqrt() * eps) / (1 - s.beta[t]).sqrt()
            if t > 1:
                x = x + s.beta[t].sqrt() * torch.randn_like(x)
        return ((x + 1) / 2).clamp(0, 1)

    return purify


# The chain of our own.


@pytest.mark.parametrize("xi", [XI, XI.at(7), XI.at(0, ATTACKER), PublishedNoise(1, torch.arange(6))])
@pytest.mark.parametrize("steps", [4, 50])
@pytest.mark.parametrize("forward", ["iterated", "one-step"])
def test_the_ancestral_chain_wrapped_is_ddpm(forward, steps, xi, unet64, x):
    """float64: the two ways to write the mean differ by rounding, 1e-16 of numbers of order 1 in at most 50 steps of
    gains below 10 together."""
    s = schedules.strength(schedules.linear(), 50, steps)
    ours = purifiers.ddpm(unet64, t=50, steps=steps, sigma="large", clip=False, forward=forward)
    up, down = s.index[1:] if forward == "iterated" else s.index[-1:], s.index[:1:-1]
    theirs = Intercepted(ancestral(unet64, s, forward), forward=len(up), steps=[*up, *down])
    out, gradient = weighted(theirs, x, xi)
    expected, expected_gradient = weighted(ours, x, xi)
    torch.testing.assert_close(out, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-10, rtol=0)
    assert gradient.abs().max() > 0.01


def test_a_gaussian_defence_wrapped_is_ours_to_the_bit(x):
    theirs = Intercepted(lambda x: (x + 0.3 * torch.randn(x.shape, dtype=x.dtype)).clamp(0, 1), forward=1)
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(theirs(x.to(dtype), XI), purifiers.gaussian(0.3)(x.to(dtype), XI))


# Distributions. Each law is held by 6 × 4000 numbers at fixed addresses, so nothing here depends on luck: the p-value
# of a right distribution is one number in (0, 1); 1e-3 is what one in a thousand tests would fall short of.

N = 4000


def made(shape, dtype=torch.float64):
    return torch.empty(shape, dtype=dtype)


CONTINUOUS = {
    "randn": (lambda b: torch.randn(b, N), stats.norm()),
    "randn_like": (lambda b: torch.randn_like(made((b, N))), stats.norm()),
    "normal_": (lambda b: made((b, N)).normal_(2, 3), stats.norm(2, 3)),
    "normal": (lambda b: torch.normal(torch.full((b, N), 2.0), 3.0), stats.norm(2, 3)),
    "normal of sizes": (lambda b: torch.normal(2.0, 3.0, (b, N)), stats.norm(2, 3)),
    "legacy normal_": (lambda b: torch.FloatTensor(b, N).normal_(), stats.norm()),
    "rand": (lambda b: torch.rand(b, N), stats.uniform()),
    "rand_like": (lambda b: torch.rand_like(made((b, N))), stats.uniform()),
    "uniform_": (lambda b: made((b, N)).uniform_(-1, 3), stats.uniform(-1, 4)),
    "out=": (lambda b: torch.rand((b, N), out=made((b, N), torch.float32)), stats.uniform()),
    "exponential_": (lambda b: made((b, N)).exponential_(2), stats.expon(scale=1 / 2)),
    "cauchy_": (lambda b: made((b, N)).cauchy_(1, 2), stats.cauchy(1, 2)),
    "log_normal_": (lambda b: made((b, N)).log_normal_(0.5, 0.7), stats.lognorm(0.7, scale=np.exp(0.5))),
    "gamma": (lambda b: torch.distributions.Gamma(torch.full((b, N), 3.0), 1.0).sample(), stats.gamma(3)),
    "beta": (lambda b: torch.distributions.Beta(torch.full((b, N), 2.0), 3.0).sample(), stats.beta(2, 3)),
    "laplace": (lambda b: torch.distributions.Laplace(torch.zeros(b, N), 1.0).sample(), stats.laplace()),
    "complex randn": (lambda b: torch.randn(b, N, dtype=torch.complex64).real * 2**0.5, stats.norm()),
    "complex rand": (lambda b: torch.rand(b, N, dtype=torch.complex64).imag, stats.uniform()),
    "rrelu": (lambda b: -F.rrelu(-torch.ones(b, N), 0.2, 0.6, training=True), stats.uniform(0.2, 0.4)),
    "rrelu_": (lambda b: -F.rrelu_(-torch.ones(b, N), 0.2, 0.6, training=True), stats.uniform(0.2, 0.4)),
    "gumbel": (lambda b: -torch.empty(b, N).exponential_().log(), stats.gumbel_r()),
}

DISCRETE = {
    "bernoulli": (lambda b: torch.bernoulli(torch.full((b, N), 0.3)), stats.bernoulli(0.3)),
    "bernoulli(p)": (lambda b: torch.bernoulli(made((b, N)), 0.3), stats.bernoulli(0.3)),
    "bernoulli_": (lambda b: made((b, N)).bernoulli_(0.3), stats.bernoulli(0.3)),
    "bernoulli_(tensor)": (lambda b: made((b, N)).bernoulli_(torch.tensor(0.3)), stats.bernoulli(0.3)),
    "randint": (lambda b: torch.randint(3, 9, (b, N)), stats.randint(3, 9)),
    "randint to": (lambda b: torch.randint(7, (b, N)), stats.randint(0, 7)),
    "randint_like": (lambda b: torch.randint_like(made((b, N)), -2, 9), stats.randint(-2, 9)),
    "random_": (lambda b: made((b, N)).random_(10), stats.randint(0, 10)),
    "random_ from": (lambda b: torch.empty((b, N), dtype=torch.int32).random_(-3, 3), stats.randint(-3, 3)),
    "random_ of bool": (lambda b: torch.empty((b, N), dtype=torch.bool).random_(), stats.randint(0, 2)),
    "geometric_": (lambda b: made((b, N)).geometric_(0.3), stats.geom(0.3)),
    "poisson": (lambda b: torch.poisson(torch.full((b, N), 2.5)), stats.poisson(2.5)),
    "binomial": (lambda b: torch.binomial(torch.full((b, N), 5.0), torch.full((b, N), 0.3)), stats.binom(5, 0.3)),
    "multinomial": (
        lambda b: torch.multinomial(torch.tensor([1.0, 0, 3, 4]).expand(b, 4), N, replacement=True),
        stats.rv_discrete(values=((0, 2, 3), (1 / 8, 3 / 8, 4 / 8))),
    ),
    "first of multinomial": (
        lambda b: torch.multinomial(torch.tensor([1.0, 0, 3, 4]).expand(b * 1, 4), 3)[:, :1],
        None,
    ),
    "dropout": (lambda b: F.dropout(torch.ones(b, N), 0.3, True) * 0.7, stats.bernoulli(0.7)),
    "dropout_": (lambda b: F.dropout(torch.ones(b, N), 0.3, True, inplace=True) * 0.7, stats.bernoulli(0.7)),
    "dropout1d": (lambda b: F.dropout1d(torch.ones(b, N, 2), 0.3, True)[..., 0] * 0.7, stats.bernoulli(0.7)),
    "native_dropout": (lambda b: torch.native_dropout(torch.ones(b, N), 0.3, True)[0] * 0.7, stats.bernoulli(0.7)),
}


def drawn(draw):
    """The numbers as a function of (x, ξ), with a row for each image."""
    return Intercepted(lambda x: draw(len(x)).double(), rows="together")


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_distributions(name, x):
    draw, law = CONTINUOUS[name]
    numbers = drawn(draw)(x, XI)
    assert stats.kstest(numbers.flatten().numpy(), law.cdf).pvalue > 1e-3
    assert len(numbers.unique()) > 0.9 * numbers.numel()


@pytest.mark.parametrize("name", [name for name, (_, law) in DISCRETE.items() if law is not None])
def test_discrete_distributions(name, x):
    draw, law = DISCRETE[name]
    numbers = drawn(draw)(x, XI).round(decimals=5)
    values, counts = numbers.unique(return_counts=True)
    probabilities = law.pmf(values.numpy())
    assert (probabilities > 0).all()
    expected = probabilities * numbers.numel()
    common = expected >= 5  # where the χ² approximation holds; the rest is one class
    observed, expected = counts.numpy()[common], expected[common]
    rest = numbers.numel() - expected.sum()
    if rest >= 5:
        observed, expected = np.append(observed, numbers.numel() - observed.sum()), np.append(expected, rest)
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_rows_have_their_own_numbers_alone_and_in_any_order(name, x):
    draw = {**CONTINUOUS, **DISCRETE}[name][0]
    together, order = drawn(draw)(x, XI), torch.tensor([4, 0, 4])
    assert torch.equal(drawn(draw)(x[order], XI.rows(order)), together[order])
    assert torch.equal(Intercepted(lambda x: draw(len(x)).double(), rows="alone")(x, XI), together)
    assert torch.equal(drawn(draw)(x, XI), together)
    assert not torch.equal(drawn(draw)(x, XI.at(1)), together)
    if name != "first of multinomial":  # one of three
        assert len(together.unique(dim=0)) == len(x)


def test_multinomial_without_replacement_repeats_nothing_and_prefers_the_heavy(x):
    weights = torch.tensor([1.0, 0, 3, 4])

    def draw(b):
        return torch.multinomial(weights.expand(b, 4), 3)

    chosen = torch.cat([drawn(draw)(x, XI.at(k)) for k in range(200)]).long()
    assert all(sorted(row) == [0, 2, 3] for row in chosen.tolist())
    share = (chosen[:, 0] == 3).double().mean()
    # 4/8 of 1200 rows: standard error 0.0144; five of them
    assert abs(share - 0.5) < 0.072


@pytest.mark.parametrize(
    ("dtype", "high"),
    [
        *((torch.float32, 2**24), (torch.float64, 2**53), (torch.float16, 2**11)),
        *((torch.int64, 2**63 - 1), (torch.int32, 2**31 - 1), (torch.uint8, 255)),
    ],
)
def test_random_without_bounds_fills_the_range_that_the_type_holds(dtype, high, x):
    numbers = drawn(lambda b: torch.empty(b, N, dtype=dtype).random_())(x, XI)
    assert numbers.min() >= 0 and numbers.max() <= high
    # mean of 24,000 uniform numbers: standard error high/√12/155
    assert abs(numbers.mean() / high - 0.5) < 5 * 0.29 / 155


def test_a_half_is_never_one(x):
    """Rounded to float16, one uniform number in 4,096 would be 1."""
    numbers = drawn(lambda b: torch.rand(b, N, dtype=torch.float16))(x, XI)
    assert numbers.max() < 1 and numbers.max() > 0.99


def test_draws_of_one_call_are_independent_of_each_other(x):
    numbers = Intercepted(lambda x: torch.stack([torch.randn(len(x), N), torch.randn(len(x), N)], 1))(x, XI)
    correlation = torch.corrcoef(numbers.transpose(0, 1).flatten(1))[0, 1]
    assert abs(correlation) < 5 / (6 * N) ** 0.5  # standard error 1/√n


def test_what_draws_nothing_is_served_nothing(x):
    """Dropout outside of training and attention without dropout carry the tag, but draw nothing."""

    def quiet(x):
        tokens = x.flatten(1)[:, None]
        x = F.dropout(x, 0.5, training=False) + torch.native_dropout(x, 0.5, False)[0]
        return x, F.scaled_dot_product_attention(tokens, tokens, tokens), torch.randn_like(x)

    theirs = Intercepted(lambda x: quiet(x)[2], forward=1)
    assert torch.equal(theirs(x, XI), XI.forward(0, x))  # the first draw is the first


# Invariance.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_batch_of_7_and_one_of_40_give_the_same(dtype, unet, unet64, images):
    """Bit for bit in float64. In float32 a convolution may add in another order at another batch size: 2⁻²⁴ of numbers
    of order 1, some hundred of them, passed on by 6 steps whose gains are below 10 together: 1e-4."""
    network = unet if dtype == torch.float32 else unet64
    s = schedules.strength(schedules.linear(), 50, 6)
    theirs, x, xi = Intercepted(ancestral(network, s), forward=6), images[:40].to(dtype), Noise(1, torch.arange(40))
    whole, whole_gradient = weighted(theirs, x, xi)
    parts = [torch.arange(40)[i : i + 7] for i in range(0, 40, 7)]
    w = torch.linspace(-1, 1, x.numel(), dtype=dtype).view_as(x)
    for rows in parts:
        z = x[rows].requires_grad_()
        out = theirs(z, xi.rows(rows))
        (gradient,) = torch.autograd.grad((w[rows] * out).sum(), z)
        tolerance = 0 if dtype == torch.float64 else 1e-4
        torch.testing.assert_close(out.detach(), whole[rows], atol=tolerance, rtol=0)
        torch.testing.assert_close(gradient, whole_gradient[rows], atol=10 * tolerance, rtol=0)


def test_shards_and_order(x):
    whole, order = Intercepted(noisy)(x, XI), torch.tensor([3, 5, 1, 3])
    assert torch.equal(Intercepted(noisy)(x[order], XI.rows(order)), whole[order])
    halves = [Intercepted(noisy)(x[rows], XI.rows(rows)) for rows in torch.arange(6).split(3)]
    assert torch.equal(torch.cat(halves), whole)


def test_a_draw_for_each_row(x):
    """As attackers ask who average: other draws of the same image in one batch."""
    draws = torch.arange(6) + ATTACKER
    out = Intercepted(noisy)(x, XI.at(draws))
    for b in range(6):
        alone = Intercepted(noisy)(x[b : b + 1], XI.rows(torch.tensor([b])).at(int(draws[b])))
        assert torch.equal(out[b : b + 1], alone)


PROCESS = """
import hashlib, sys, torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from purity.intercepted import Intercepted
from purity.noise import Noise
torch.manual_seed(int(sys.argv[1]))
def step(x):
    return x * torch.rand_like(x) + F.dropout(torch.randn_like(x) * x, 0.3, True) + torch.poisson(3 * x.detach())
x = torch.linspace(0, 1, 6 * 64).view(6, 1, 8, 8).requires_grad_()
out = Intercepted(lambda x: checkpoint(step, x, use_reentrant=False))(x, Noise(3, torch.arange(6)))
(gradient,) = torch.autograd.grad(out.square().sum(), x)
print(hashlib.sha256(out.detach().numpy().tobytes() + gradient.numpy().tobytes()).hexdigest())
"""


def test_two_processes_give_the_same_bytes():
    started = [
        subprocess.Popen([sys.executable, "-c", PROCESS, seed], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for seed in ("1", "2")
    ]
    first, second = (process.communicate(timeout=600)[0] for process in started)
    assert first == second and len(first.strip()) == 64


# Gradients.


def test_gradient_is_the_slope_of_finite_differences(x):
    """Central differences, h = 1e-5 in float64: h² truncation and 1e-16/h rounding stay below 1e-8 of slopes of order 1."""
    f = Intercepted(noisy)
    _, gradient = weighted(f, x)
    w = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)
    for seed in range(3):
        v, h = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(seed)), 1e-5
        slope = (w * (f(x + h * v, XI) - f(x - h * v, XI))).sum() / (2 * h)
        torch.testing.assert_close((gradient * v).sum(), slope, atol=1e-6, rtol=1e-6)


def test_value_and_gradient_are_those_of_plain_autograd_with_the_same_numbers(x):
    """The numbers that were served, recorded and put in by hand."""
    served = []

    def listening(x):
        for _ in range(3):
            z, keep = torch.randn_like(x), torch.empty_like(x).bernoulli_(0.7)
            served.append((z, keep))
            x = (x + z * torch.sin(3 * x)) * keep
        return x

    def replayed(x, xi):
        for z, keep in served[-3:]:
            x = (x + z * torch.sin(3 * x)) * keep
        return x

    out, gradient = weighted(Intercepted(listening), x)
    expected, expected_gradient = weighted(replayed, x)
    assert torch.equal(out, expected) and torch.equal(gradient, expected_gradient)
    assert torch.equal(served[-1][0], XI.reverse(4, x))  # the fifth draw of six


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("reentrant", [False, True])
def test_what_recomputes_in_the_backward_pass_meets_the_same_numbers(reentrant, x):
    """Long after the forward pass was left, and with other draws and other calls in between."""
    z = x.clone().requires_grad_()
    f = Intercepted(lambda x: noise_checkpointed(x, use_reentrant=reentrant))
    out, w = f(z, XI), torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)
    torch.rand(3)
    weighted(f, x, XI.at(5))
    (gradient,) = torch.autograd.grad((w * out).sum(), z)
    expected, expected_gradient = weighted(Intercepted(noisy), x)
    assert torch.equal(out.detach(), expected) and torch.equal(gradient, expected_gradient)


def test_inside_a_checkpoint_of_the_caller(x):
    f = Intercepted(noisy)
    f(x, XI)
    recomputed = weighted(lambda x, xi: checkpoint(f, x, xi, use_reentrant=False), x)
    assert all(torch.equal(a, b) for a, b in zip(recomputed, weighted(f, x), strict=True))


def test_a_module_with_dropout_and_weights_that_are_not_frozen(x):
    module = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Dropout(0.5), nn.Conv2d(4, 1, 3, padding=1)).double()
    f = Intercepted(module)
    out, gradient = weighted(f, x)
    assert torch.equal(out, f(x, XI)) and not torch.equal(out, f(x, XI.at(1)))
    assert gradient.abs().max() > 0 and all(p.grad is None for p in module.parameters())
    module.eval()
    assert torch.equal(f(x, XI), module(x))


def test_an_image_may_be_changed_in_place(x):
    before = x.clone()
    f = Intercepted(lambda x: x.add_(torch.randn_like(x)), forward=1)
    assert torch.equal(f(x, XI), before + XI.forward(0, x)) and torch.equal(x, before)
    assert torch.equal(weighted(f, x)[0], f(x, XI))


def test_a_gradient_that_the_function_takes_itself(x):
    """Guided: a step along a gradient inside, of something that draws and recomputes."""

    def guided(x):
        with torch.enable_grad():
            z = x.detach().requires_grad_()
            (g,) = torch.autograd.grad(noise_checkpointed(z, use_reentrant=False).square().sum(), z)
        return x + 0.1 * g

    def plainly(x):
        with torch.enable_grad():
            z = x.detach().requires_grad_()
            (g,) = torch.autograd.grad(noisy(z).square().sum(), z)
        return x + 0.1 * g

    assert torch.equal(Intercepted(guided)(x, XI), Intercepted(plainly)(x, XI))


def test_a_place_that_is_set_back_gives_the_same_numbers_again(x):
    """As in plain torch: fork_rng and set_rng_state."""

    def again(x):
        with torch.random.fork_rng():
            a = torch.randn_like(x)
        state = torch.get_rng_state()
        b, c = torch.randn_like(x), torch.randn_like(x)
        torch.set_rng_state(state)
        return torch.cat([a, b, c, torch.randn_like(x)], 1)

    a, b, c, d = Intercepted(again)(x, XI).split(1, dim=1)
    assert torch.equal(a, b) and torch.equal(b, d) and not torch.equal(b, c)


def test_jacobians_in_rows_and_in_reverse_but_not_forward(x):
    def row(xi):
        return lambda z: f(z, xi.rows(torch.zeros(len(z), dtype=torch.long)))

    f, e = Intercepted(noisy), jacobian.basis(torch.arange(64), x[:1])
    by_rows = jacobian.repeated(row(XI), x[:1])(e)
    torch.testing.assert_close(jacobian.pullback(row(XI), x[:1])(e), by_rows, atol=1e-12, rtol=0)
    with pytest.raises(
        ValueError, match=r"noisy has gradients of reverse mode only, no forward mode and no torch.func"
    ):
        jacobian.pushforward(row(XI), x[:1])(e)
    f = Intercepted(lambda x: noise_checkpointed(x, use_reentrant=False), name="mine")
    torch.testing.assert_close(jacobian.repeated(row(XI), x[:1])(e), by_rows, atol=1e-12, rtol=0)
    with pytest.raises(ValueError, match="mine: what draws again in the backward pass"):
        jacobian.pullback(row(XI), x[:1])(e)


@pytest.mark.parametrize("through", ["vmap", "jvp", "grad", "dual"])
def test_transforms_are_refused_in_one_line(through, x):
    f = Intercepted(noisy)
    with pytest.raises(ValueError, match="noisy has gradients of reverse mode only"):
        if through == "vmap":
            torch.func.vmap(lambda z: f(z, XI))(x[None])
        elif through == "jvp":
            torch.func.jvp(lambda z: f(z, XI), (x,), (x,))
        elif through == "grad":
            torch.func.grad(lambda z: f(z, XI).sum())(x)
        else:
            with torch.autograd.forward_ad.dual_level():
                f(torch.autograd.forward_ad.make_dual(x, x), XI)


# Draws that are no row's own.


def crop(x):
    """One shift for the whole batch, an order of the columns and one pattern for all, as some defences have it."""
    i = int(torch.randint(0, 3, (1,)))
    x = torch.roll(x, i, dims=3)[..., torch.randperm(x.shape[-1])]
    return x + 0.1 * torch.randn(x.shape[1:], dtype=x.dtype)


SHARED = {
    "crop": (lambda x: torch.roll(x, int(torch.randint(3, (1,))), 3), r"draw 0 \(randint, shape \(1,\)\)"),
    "crop, order and pattern": (crop, r"draw 1 \(randperm, shape \(8,\)\)"),
    "permutation": (lambda x: x[..., torch.randperm(8)], r"draw 0 \(randperm, shape \(8,\)\)"),
    "as many as images": (lambda x: x[torch.randperm(len(x))] / 2 + x / 2, r"draw 0 \(randperm, shape \(1,\)\)"),
    "one number": (lambda x: x * torch.rand(()), r"draw 0 \(rand, shape \(\)\)"),
    "two numbers": (lambda x: x * torch.rand(2).sum(), r"draw 0 \(rand, shape \(2,\)\)"),
    "time first": (lambda x: x + torch.randn(3, *x.shape).sum(0), r"draw 0 \(randn, shape \(3, 1, 1, 8, 8\)\)"),
    "views": (
        lambda x: (x.repeat(3, 1, 1, 1) + torch.rand(3 * len(x), 1, 8, 8)).view(3, *x.shape).mean(0),
        r"draw 0 \(rand,",
    ),
}


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("first", [1, 2, 6])
def test_draws_for_a_whole_batch_are_served_one_image_at_a_time(name, first, x, caplog):
    """Said once, whatever batch is asked first: sizes that happen to fit the draws' shapes do not deceive."""
    function, said = SHARED[name]
    f = Intercepted(function, name="my:defend")
    with caplog.at_level(logging.INFO):
        f(x[:first], XI.rows(torch.arange(first)))
        together, order = f(x, XI), torch.tensor([4, 1])
    (line,) = [r.getMessage() for r in caplog.records if "one at a time" in r.getMessage()]
    assert torch.equal(f(x[order], XI.rows(order)), together[order])
    assert re.match(f"my:defend: {said}", line)
    assert weighted(f, x)[1].shape == x.shape


def test_a_draw_of_another_size_now_and_then_is_noticed_when_it_comes(x, caplog):
    """Numbers only for the bright images: of the first ones, as many as there are images."""

    def bright(x):
        x, rows = x.clone(), x.amax((1, 2, 3)) > 0.5
        x[rows] += torch.randn(int(rows.sum()), *x.shape[1:], dtype=x.dtype)
        return x

    x = torch.stack([x[0] * 0 + level for level in (0.9, 0.8, 0.7, 0.3)])
    f, xi = Intercepted(bright), Noise(1, torch.arange(4))
    three = f(x[:3], xi.rows(torch.arange(3)))
    with caplog.at_level(logging.INFO):
        four = f(x, xi)
    assert torch.equal(four[:3], three) and torch.equal(four[3], x[3]) and "one at a time" in caplog.text


def until_all_stop(x):
    """Each image stops by chance; the loop goes on until all have."""
    going = torch.ones(len(x), 1, 1, 1, dtype=torch.bool)
    while going.any():
        x = torch.where(going, x + 0.1 * torch.randn_like(x), x)
        going = going & (torch.rand(len(x), 1, 1, 1) < 0.7)
    return x


def as_often_as_they_are_bright(x):
    for _ in range(1 + int(10 * x.mean())):  # of all of the batch
        x = x + 0.1 * torch.randn_like(x)
    return x


@pytest.mark.parametrize("function", [until_all_stop, as_often_as_they_are_bright])
def test_images_that_differ_in_how_often_they_draw_are_served_one_at_a_time(function, caplog):
    """Also where the images that were asked first agree."""
    x = torch.linspace(0, 1, 6).view(6, 1, 1, 1).expand(6, 1, 8, 8).contiguous()
    alone = torch.cat([Intercepted(function)(x[b : b + 1], XI.rows(torch.tensor([b]))) for b in range(6)])
    for first in ([0, 0], [0, 1], [5, 4, 3]):
        f = Intercepted(function, name="mine")
        f(x[first], XI.rows(torch.tensor(first)))
        with caplog.at_level(logging.INFO):
            assert torch.equal(f(x, XI), alone)
    assert re.search(r"mine: it draws \d+ times .* images are asked for one at a time", caplog.text)
    assert weighted(f, x)[1].abs().max() > 0


# Code of several kinds, each with what it is served by. Draws that are hidden in libraries, transforms and wrappers.

ATTENTION = (
    nn.MultiheadAttention(8, 2, dropout=0.3, batch_first=True, dtype=torch.float64).train().requires_grad_(False)
)
LAYER = nn.TransformerEncoderLayer(8, 2, 16, 0.2, batch_first=True, dtype=torch.float64).train().requires_grad_(False)


def attended(x, **how):
    return ATTENTION(x[:, 0], x[:, 0], x[:, 0], **how)[0]


def autocast(x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = x.float() @ x.float().mT
        with torch.autocast("cpu", enabled=False):
            y = y.float() + torch.randn_like(y.float())
        y = y @ y.mT + torch.randn_like(y)
    return y.double()


def nested(x):
    def inner(x):
        return checkpoint(lambda x: x + torch.randn_like(x) * x, x, use_reentrant=False) * torch.rand_like(x)

    return checkpoint(inner, x, use_reentrant=False)


def in_vmap(each, randomness="different"):
    return lambda x: torch.func.vmap(each, randomness=randomness)(x)


def with_transform(name, **options):
    return lambda x: getattr(transforms, name)(**options)(x)


def with_v2(name, *options):
    return lambda x: getattr(v2, name)(*options)(x)


def normal(*arguments):
    return torch.distributions.Normal(*arguments).rsample()


def traced(x):
    for _ in range(2):
        x = x + 0.1 * torch.randn_like(x)
    return x


THEIRS = {
    "dropout2d": (nn.Dropout2d(0.4).train(), "together"),
    "alpha dropout": (lambda x: F.alpha_dropout(x, 0.3, training=True), "together"),
    "normal around x": (lambda x: x + torch.normal(x.detach(), 0.1), "together"),
    "shot noise": (lambda x: x + torch.poisson(20 * x.detach()) / 20, "together"),
    "gumbel": (lambda x: F.gumbel_softmax(x, dim=-1), "together"),
    "rsample": (lambda x: normal(x, 0.1), "together"),
    "truncated": (lambda x: x + nn.init.trunc_normal_(torch.empty_like(x)), "together"),
    "attention": (attended, "alone"),  # a row for each image and head
    "attention without weights": (lambda x: attended(x, need_weights=False), "together"),
    "transformer": (lambda x: LAYER(x[:, 0]), "together"),
    "autocast": (autocast, "together"),
    "checkpoint in checkpoint": (nested, "together"),
    "vmap": (in_vmap(lambda x: x + torch.randn_like(x)), "together"),
    "vmap of a number": (in_vmap(lambda x: x * torch.rand(())), "together"),
    "vmap of the same": (in_vmap(lambda x: x * torch.rand_like(x), "same"), "alone"),
    "gradients in vmap": (in_vmap(torch.func.grad(lambda x: (x**2 * torch.randn_like(x)).sum())), "together"),
    "traced": (torch.jit.trace(traced, torch.zeros(2, 1, 8, 8, dtype=torch.float64), check_trace=False), "together"),
    "scripted": (torch.jit.script(traced), "together"),
    "graph": (torch.compile(lambda x: x + torch.randn_like(x), backend="aot_eager"), "together"),
    "images in a loop": (lambda x: torch.stack([torch.roll(i, int(torch.randint(8, ())), 1) for i in x]), "alone"),
    "two numbers for each": (lambda x: x * torch.rand(2 * len(x)).view(-1, 2, 1, 1).sum(1, keepdim=True), "alone"),
    "several of each": (
        lambda x: (x.repeat_interleave(3, 0) + torch.randn(3 * len(x), 1, 8, 8)).view(-1, 3, 8, 8).mean(1, True),
        "alone",
    ),
    "other order": (lambda x: x + torch.randn_like(x.transpose(0, 1)).transpose(0, 1), "alone"),
    "crop": (with_transform("RandomCrop", size=8, padding=2), "alone"),
    "resized crop": (with_transform("RandomResizedCrop", size=8, antialias=True), "alone"),
    "jitter": (with_transform("ColorJitter", brightness=0.3, contrast=0.3), "alone"),
    "erasing": (with_transform("RandomErasing", p=1), "alone"),
    "affine": (with_transform("RandomAffine", degrees=20, translate=(0.1, 0.1)), "alone"),
    "v2 crop": (with_v2("RandomCrop", 8, 2), "alone"),
    "v2 noise": (with_v2("GaussianNoise"), "together"),
}


@pytest.mark.parametrize("name", THEIRS)
def test_code_of_several_kinds_is_the_same_at_any_batch_and_order(name, x):
    """Values and gradients, to the rounding of products in another order."""
    function, rows = THEIRS[name]
    f, order = Intercepted(function), torch.tensor([4, 0, 4])
    together, gradient = weighted(f, x)
    assert (f.rows or "together") == rows
    assert gradient.abs().max() > 0 and len(together.unique(dim=0)) > 1
    (again, permuted), again_gradient = (f(x, XI), f(x[order], XI.rows(order))), weighted(f, x)[1]
    assert torch.equal(again, together) and torch.equal(again_gradient, gradient)
    alone = torch.cat([Intercepted(function)(x[b : b + 1], XI.rows(torch.tensor([b]))) for b in range(6)])
    torch.testing.assert_close(alone, together, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(permuted, together[order], atol=1e-12, rtol=1e-12)
    assert not torch.equal(f(x, XI.at(1)), together)


def test_rows_can_be_said(x):
    with pytest.raises(ValueError, match=r"crop is no function.*rows: alone"):
        Intercepted(crop, rows="together")(x, XI)
    assert torch.equal(Intercepted(noisy, rows="alone")(x, XI), Intercepted(noisy)(x, XI))


def test_images_that_see_each_other_are_refused_unless_it_is_meant(x):
    batchwise = nn.BatchNorm2d(1, affine=False, track_running_stats=False)
    with pytest.raises(ValueError, match="depends on the images beside it"):
        Intercepted(batchwise)(x, XI)
    with pytest.raises(ValueError, match="its place among them"):
        Intercepted(lambda x: x + torch.from_numpy(np.random.RandomState(0).normal(size=x.shape)))(x, XI)
    alone = Intercepted(batchwise, rows="alone")(x, XI)
    assert torch.equal(alone[2:3], batchwise(x[2:3]))


# Refusals.


@torch.library.custom_op("purity_test::hidden", mutates_args=())
def hidden(x: torch.Tensor) -> torch.Tensor:
    return x + torch.rand_like(x)


def in_a_thread(x):
    with ThreadPoolExecutor(1) as threads:
        return x + threads.submit(torch.randn_like, x).result()


def seeded(x):
    torch.manual_seed(0)
    return x + torch.randn_like(x)


def caught(x):
    try:
        return x + torch.rand(x.shape, generator=torch.Generator())
    except ValueError:
        return x


class Keeping:
    """Draws its noise once and keeps it."""

    def __init__(self):
        self.noise = None

    def __call__(self, x):
        self.noise = torch.randn_like(x[:1]) if self.noise is None else self.noise
        return x + self.noise


class Counting:
    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return x + self.calls


GENERATOR = np.random.default_rng(0)

REFUSED = {
    "numpy": (lambda x: x + np.random.rand(), "it draws from numpy.random"),
    "numpy's normals": (lambda x: x + np.random.randn(), "it draws from numpy.random"),
    "python": (lambda x: x + random.random(), "it draws from Python's `random`"),
    "numpy's own": (lambda x: x + GENERATOR.random(), "asked twice under one ξ, it answered differently"),
    "counting": (Counting, "asked twice under one ξ, it answered differently"),
    "keeping": (Keeping, "it draws 1 times and then 0 times, .*keeps something from one call to the next"),
    "own generator": (
        lambda x: x + torch.rand(x.shape, generator=torch.Generator()),
        "rand draws from a generator of its own",
    ),
    "caught": (caught, "rand draws from a generator of its own"),
    "seeding": (seeded, "it seeds torch's generator itself"),
    "seeding last": (lambda x: (torch.manual_seed(1), x)[1], "it seeds torch's generator itself"),
    "compiled": (hidden, "something compiled, or another thread, draws from torch's generator"),
    "compiled, then not": (lambda x: hidden(x) + torch.rand_like(x), "something compiled, or another thread, draws"),
    "another thread": (in_a_thread, "something compiled, or another thread, draws"),
    "torchvision with random": (transforms.RandomOrder([nn.Identity(), nn.Identity()]), "it draws from Python's"),
}


def refused(name):
    function = REFUSED[name][0]
    return function() if isinstance(function, type) else function


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_served_is_refused_with_the_reason(name, x):
    with pytest.raises(ValueError, match=f"my:defend is no function of image and ξ: {REFUSED[name][1]}"):
        Intercepted(refused(name), name="my:defend")(x, XI)


def test_refused_in_the_backward_pass(x):
    f = Intercepted(lambda x: noise_checkpointed(x, use_reentrant=False, preserve_rng_state=False), name="my:defend")
    with pytest.raises(ValueError, match=r"randn_like draws in the backward pass.*preserve_rng_state"):
        weighted(f, x)


def test_an_operator_that_draws_and_takes_no_numbers_is_refused(x):
    f = Intercepted(lambda x: torch._fused_dropout(x, 0.5)[0] if x.is_cuda else torch.ops.purity_test.tagged(x))
    with pytest.raises(ValueError, match="purity_test::tagged draws its own numbers"):
        f(x, XI)


@torch.library.custom_op("purity_test::tagged", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,))
def tagged(x: torch.Tensor) -> torch.Tensor:
    return x + torch.rand_like(x)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: (x, x), "returned tuple, not a tensor"),
        (lambda x: x[:1].sum(), r"returned shape \(\) for \d images"),
        (lambda x: x[:0], r"returned shape \(0, 1, 8, 8\) for \d images"),
    ],
)
def test_results_of_another_kind_are_refused(function, said, x):
    with pytest.raises(ValueError, match=f"mine {said}"):
        Intercepted(function, name="mine")(x, XI)


def test_no_gradient_is_said_and_no_gradient_is_needed_without(x):
    f = Intercepted(torch.no_grad()(noisy), name="mine")
    with pytest.raises(ValueError, match=r"no gradient passes the defence.*bpda"):
        Defence(lambda x: x.flatten(1), f, XI).gradient(x, torch.arange(6))
    assert torch.equal(f(x.clone().requires_grad_(), XI), Intercepted(noisy)(x, XI))
    assert batching.found(lambda x: f(x, XI.rows(torch.zeros(len(x)).long())), x[:1], gradient=True) >= 1
    assert Defence(lambda x: x.flatten(1), f, XI).straight_through().gradient(x, torch.arange(6)).abs().max() > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rows": "apart"}, "rows of mine: 'apart' is neither"),
        ({"forward": -1}, "forward of mine: -1"),
        ({"steps": [1, 1]}, "steps of mine: a direction's draws must have different steps"),
        ({"steps": [2, 1, 2], "forward": 1}, None),
        ({"steps": [-1]}, "steps of mine"),
    ],
)
def test_options(options, said):
    if said is None:
        Intercepted(noisy, name="mine", **options)
    else:
        with pytest.raises(ValueError, match=said):
            Intercepted(noisy, name="mine", **options)


def test_more_draws_than_steps_and_other_numbers_of_images(x):
    with pytest.raises(ValueError, match="gives the steps of 2 draws, and it draws more"):
        Intercepted(noisy, steps=[0, 1])(x, XI)
    with pytest.raises(ValueError, match="got 5 images and ξ of 6"):
        Intercepted(noisy)(x[:5], XI)


# What was global stays.


def states():
    return torch.get_rng_state(), np.random.get_state(), random.getstate()


@pytest.mark.parametrize("name", ["served", "backward", *REFUSED])
def test_no_global_generator_is_touched(name, x):
    torch.rand(5), np.random.rand(5), random.random()
    before = states()
    if name in REFUSED:
        with pytest.raises(ValueError):
            Intercepted(refused(name))(x, XI)
    elif name == "served":
        Intercepted(noisy)(x, XI)
    else:
        weighted(Intercepted(lambda x: noise_checkpointed(x, use_reentrant=False)), x)
    after = states()
    assert torch.equal(before[0], after[0]) and before[2] == after[2]
    assert all(np.array_equal(a, b) for a, b in zip(before[1], after[1], strict=True))


def test_an_error_inside_puts_everything_back_and_is_shown(x):
    def broken(x):
        random.random(), torch.randn_like(x)
        raise KeyError("theirs")

    before = states()
    with pytest.raises(KeyError, match="theirs"):
        Intercepted(broken)(x, XI)
    assert torch.equal(before[0], torch.get_rng_state()) and before[2] == random.getstate()
    assert not torch.equal(torch.randn(3), torch.randn(3))  # no longer served


# Knowledge.


def five(x):
    return torch.cat([torch.randn_like(x) for _ in range(5)], 1)


def test_the_first_draws_are_the_forward_noise(x):
    f = Intercepted(five, forward=2)
    known, other = f(x, XI), f(x, XI.at(0, 9))
    assert torch.equal(known[:, :2], other[:, :2]) and (known[:, 2:] != other[:, 2:]).all()
    other = f(x, XI.at(9, 0))
    assert torch.equal(known[:, 2:], other[:, 2:]) and (known[:, :2] != other[:, :2]).all()
    expected = [XI.forward(0, x), XI.forward(1, x), *(XI.reverse(step, x) for step in (2, 3, 4))]
    assert torch.equal(known, torch.cat(expected, 1))


@pytest.mark.parametrize(
    ("knowledge", "same"), [("none", []), ("all", [0, 1, 2, 3, 4]), ("forward", [0, 1]), ("reverse", [2, 3, 4])]
)
def test_what_an_attacker_knows(knowledge, same, x):
    """What he knows is that of the fixed ξ at every gradient, the rest is another one each time."""
    attacker = Defence(lambda x: x, Intercepted(five, forward=2), XI, knowledge)
    fixed, first, second = Intercepted(five, forward=2)(x, XI), attacker(x, 0), attacker(x, 1)
    for step in range(5):
        equal = torch.equal(fixed[:, step], first[:, step]), torch.equal(first[:, step], second[:, step])
        assert equal == (step in same, step in same)


def test_without_a_cut_nobody_knows_a_part(x):
    f = Intercepted(noisy)
    for knowledge in ("none", "all"):
        Defence(lambda x: x, f, XI, knowledge)(x)
    for knowledge in ("forward", "reverse"):
        with pytest.raises(ValueError, match="give `forward`, the number of them"):
            Defence(lambda x: x, f, XI, knowledge)(x)


# By name, as a config makes it.


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "their_code.py").write_text(
        "import torch\n"
        "def defend(x):\n    return (x + 0.1 * torch.randn_like(x)).clamp(0, 1)\n"
        "def bright(x):\n    return x + torch.rand_like(x)\n"
        "class Blur(torch.nn.Module):\n"
        "    def __init__(self, network=None, sigma=0.1):\n"
        "        super().__init__()\n        self.sigma = torch.nn.Parameter(torch.tensor(sigma))\n"
        "        self.network = network\n"
        "    def forward(self, x):\n        return (x + self.sigma * torch.randn_like(x)).clamp(0, 1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("their_code", None)


def test_a_function_by_its_name(module, x):
    made = purifier(call="their_code:defend", forward=1)
    assert torch.equal(made(x, XI), purifiers.gaussian(0.1)(x, XI))


def test_a_function_that_is_made_with_options_and_with_a_diffusion_model(module, unet64, x):
    expected = purifiers.gaussian(0.25)(x, XI)
    assert torch.equal(purifier(call="their_code:Blur", options={"sigma": 0.25}, forward=1)(x, XI), expected)
    assert torch.equal(purifier(unet64, call="their_code:Blur", options={"sigma": 0.25}, forward=1)(x, XI), expected)
    gradient = weighted(purifier(call="their_code:Blur", options={}, forward=1), x)[1]
    assert gradient.abs().max() > 0


def test_what_is_no_image_and_what_does_not_exist_are_refused_by_name(module, x):
    with pytest.raises(ValueError, match=r"'their_code:bright' returned values from .* leave"):
        purifier(call="their_code:bright")(x + 1, XI)
    with pytest.raises(ValueError, match="cannot import 'their_code:nothing'"):
        purifier(call="their_code:nothing")
