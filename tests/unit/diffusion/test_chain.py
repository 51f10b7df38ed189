"""The gradient of a chain against plain autograd: equal bits for every process, whatever is kept; memory that is flat."""

import copy
import logging
import subprocess
import sys
import textwrap
from dataclasses import replace
from functools import partial
from itertools import pairwise, product
from pathlib import Path

import pytest
import torch
from torch.autograd import forward_ad

from purity import purifiers
from purity.diffusion import chain, memory, samplers
from purity.diffusion.chain import chained, graph, steps_that_fit
from purity.diffusion.denoiser import denoiser
from purity.diffusion.schedules import linear, strength
from purity.noise import Noise

ROOT = Path(__file__).parents[3]
XI = Noise(1, torch.arange(3) + 20)
FORWARD = {"iterated": samplers.diffuse, "one-step": samplers.q_sample, "none": samplers.stay}


@pytest.fixture(scope="module")
def x(images):
    return images[:3]  # with pixels on the border


def learned(network):
    """A network of twice the channels: v behind ε, in [-1, 1] or a little outside, as the published ones say."""

    def both(z, index):
        eps = network(z, index)
        return torch.cat([eps, 1.2 * eps.flip(2).tanh()], dim=1)

    return both


def plain_ddpm(denoise, x, s, xi):
    """The ancestral chain in one piece, for plain autograd."""
    for t in range(s.steps, 0, -1):
        x0, _, sigma = denoise(x, t)
        a, b = s.abar[t - 1].sqrt() * s.beta[t], (1 - s.beta[t]).sqrt() * (1 - s.abar[t - 1])
        x = (a * x0 + b * x) / (1 - s.abar[t])
        if t > 1:
            x = x + sigma * xi.reverse(s.index[t], like=x)
        yield t - 1, x


def plain_ddim(denoise, x, s, xi):
    for t in range(s.steps, 0, -1):
        x0, eps, _ = denoise(x, t)
        x = s.abar[t - 1].sqrt() * x0 + (1 - s.abar[t - 1]).sqrt() * eps
        yield t - 1, x


# process, forward noise, σ, clip, ε kept where it is clipped
ANCESTRAL = [("ddpm", f, s, c, False) for f, s, c in product(FORWARD, ("small", "large", "learned"), (False, True))]
IMPLICIT = [("ddim", f, "small", c, k) for f, (c, k) in product(FORWARD, [(False, False), (True, False), (True, True)])]
CASES = [*ANCESTRAL, *IMPLICIT]


def pair(case, network, keep, t=50, steps=4, side=None):
    """A purifier whose chain keeps the graph of `keep` evaluations, and the same one by plain autograd."""
    process, forward, sigma, clip, keep_eps = case
    s = strength(linear(), t, steps)
    denoise = denoiser(learned(network) if sigma == "learned" else network, s, sigma, clip, keep_eps)
    if process == "ddpm":
        ours, plain = partial(samplers.ancestral, chained(samplers.posterior(denoise, s), s.steps, keep)), plain_ddpm
    else:
        ours, plain = partial(samplers.deterministic, chained(samplers.implicit(denoise, s), s.steps, keep)), plain_ddim
    made = purifiers.Diffusion(s, FORWARD[forward], ours, side)
    return made, replace(made, reverse=partial(plain, denoise))


def weights(x):
    return torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)


def gradient(purify, x, xi=XI):
    """(f(x), ∇ₓ Σ w·f(x)) with w of both signs."""
    x = x.clone().requires_grad_()
    out = purify(x, xi)
    return out.detach(), torch.autograd.grad((weights(x) * out).sum(), x)[0]


def assert_equal_bits(found, wanted):
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


# Exactness.


@pytest.mark.parametrize("keep", [0, 1, 3, 4])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_gradients_are_those_of_plain_autograd_bit_for_bit(case, keep, unet, x):
    """The same kernels meet the same float32 numbers in the same order, once more or not."""
    ours, plain = pair(case, unet, keep)
    wanted = gradient(plain, x)
    assert_equal_bits(gradient(ours, x), wanted)
    assert wanted[1].abs().max() > 0.01


@pytest.mark.parametrize(("t", "steps"), [(6, 6), (100, 3), (1000, 5), (1, 1)])
@pytest.mark.parametrize("keep", [0, 2])
def test_respacing_changes_nothing_of_that(keep, t, steps, unet, x):
    for case in (("ddpm", "iterated", "large", True, False), ("ddim", "one-step", "small", True, False)):
        ours, plain = pair(case, unet, keep, t, steps)
        assert_equal_bits(gradient(ours, x), gradient(plain, x))


def test_nor_does_another_size_of_images(unet, x):
    ours, plain = pair(CASES[0], unet, 1, side=12)
    assert_equal_bits(gradient(ours, x), gradient(plain, x))


MAKERS = {
    "ddpm": partial(purifiers.ddpm, t=50, steps=4, sigma="large", clip=True, forward="iterated"),
    "reverse": partial(purifiers.reverse, t=50, steps=4, sigma="small", clip=True),
    "ddim": partial(purifiers.ddim, t=50, steps=4, clip=True, forward="one-step"),
    "one-step": partial(purifiers.one_step, t=50, clip=False),
}
NOTHING, ALL = 0, 2**40


@pytest.mark.parametrize("room", [NOTHING, ALL])
@pytest.mark.parametrize("kind", MAKERS)
def test_purifiers_of_the_config_give_the_same_bits_with_recompute_and_without(kind, room, unet, x, monkeypatch):
    monkeypatch.setattr(memory, "at_hand", lambda device: room)
    assert_equal_bits(gradient(MAKERS[kind](unet), x), gradient(MAKERS[kind](unet, recompute=False), x))


def test_the_last_step_alone_keeps_its_graph_where_there_is_room_for_nothing(unet, x, monkeypatch):
    """One-step is one evaluation, whose graph the way back needs in any case."""
    monkeypatch.setattr(memory, "at_hand", lambda device: NOTHING)
    told = []

    def network(z, index):
        told.append(index.item())
        return unet(z, index)

    gradient(MAKERS["one-step"](network), x)
    assert told == [49]
    told.clear()
    purify = MAKERS["ddpm"](network)
    gradient(purify, x)
    assert told == [49, *[49, 33, 16, 0], *[16, 33, 49]]  # the first one to see what a graph takes
    told.clear()
    gradient(purify, x)
    assert told == [49, 33, 16, 0, 16, 33, 49]
    told.clear()
    with torch.no_grad():
        purify(x, XI)
    assert told == [49, 33, 16, 0]


@pytest.mark.parametrize("case", [CASES[1], CASES[5], CASES[-1]], ids=str)
def test_gradients_are_slopes_in_float64(case, unet64, x):
    """torch's own comparison with central differences (h = 1e-6: truncation h², rounding 1e-16/h = 1e-10)."""
    ours, _ = pair(case, unet64, 1)
    inside = (0.3 + 0.4 * x[:1].double()).requires_grad_()  # no pixel is cut within h
    one = XI.rows(torch.tensor([0]))
    assert torch.autograd.gradcheck(lambda z: ours(z, one), (inside,), eps=1e-6, atol=1e-6, fast_mode=True)


@pytest.mark.parametrize("case", [CASES[0], CASES[5], CASES[-1]], ids=str)
def test_forward_mode_and_torch_func_give_what_they_give_by_plain_autograd(case, unet64, x):
    """Same operations; vmapped sums may be taken in another order, float64: 1e-12."""
    x, v = x.double(), weights(x.double()).flip(3)
    one, xi = x[:1], XI.rows(torch.tensor([0]))
    rows = torch.eye(64, dtype=x.dtype)[::7].view(-1, 1, 1, 8, 8)

    def many(purify):
        z = one.clone().requires_grad_()
        y = purify(z, xi)
        yield torch.func.jvp(lambda z: purify(z, XI), (x,), (v,))[1]
        with forward_ad.dual_level():
            yield forward_ad.unpack_dual(purify(forward_ad.make_dual(x, v), XI)).tangent
        with forward_ad.dual_level():
            yield forward_ad.unpack_dual(purify(forward_ad.make_dual(x.clone().requires_grad_(), v), XI)).tangent
        yield torch.func.vjp(lambda z: purify(z, XI), x)[1](v)[0]
        yield torch.func.vmap(lambda w: torch.autograd.grad(y, z, w, retain_graph=True)[0])(rows)
        yield torch.autograd.grad(y, z, rows, retain_graph=True, is_grads_batched=True)[0]
        yield torch.func.vmap(lambda w: torch.func.jvp(lambda z: purify(z, xi), (one,), (w,))[1])(rows)

    ours, plain = pair(case, unet64, 1)
    for a, b in zip(list(many(ours)), list(many(plain)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


def test_a_second_walk_back_over_the_same_graph_gives_the_same(unet, x):
    ours, plain = pair(CASES[1], unet, 1)
    z = x.clone().requires_grad_()
    out = (weights(x) * ours(z, XI)).sum()
    wanted = gradient(plain, x)[1]
    for again in (True, False):
        assert torch.equal(torch.autograd.grad(out, z, retain_graph=again)[0], wanted)


def test_autocast_of_the_way_there_holds_on_the_way_back(unet, x):
    """Entered around the forward pass only, as training loops do."""

    def seen(purify):
        z = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            out = purify(z, XI)
        return out.detach(), torch.autograd.grad((weights(x) * out).sum(), z)[0]

    ours, plain = pair(CASES[1], unet, 1)
    assert_equal_bits(seen(ours), seen(plain))


class Counting(Noise):
    drawn = 0

    def _normals(self, stream, draw, step, like):
        Counting.drawn += 1
        return super()._normals(stream, draw, step, like)


@pytest.mark.parametrize("sigma", ["large", "learned"])
def test_noise_is_drawn_once_a_step_and_never_again(sigma, unet, x):
    ours, _ = pair(("ddpm", "iterated", sigma, True, False), unet, 1)
    Counting.drawn = 0
    gradient(ours, x, Counting(1, XI.ids))
    assert Counting.drawn == 4 + 3  # four forward, none at the last reverse step


# Weights, and what is refused.


def test_weights_that_want_gradients_get_those_of_plain_autograd(unet, x, caplog):
    network = copy.deepcopy(unet).requires_grad_()
    ours, plain = pair(CASES[1], network, 1)

    def of_weights(purify):
        out = (weights(x) * purify(x.clone().requires_grad_(), XI)).sum()
        return torch.autograd.grad(out, list(network.parameters()))

    with caplog.at_level(logging.WARNING):
        assert_equal_bits(of_weights(ours), of_weights(plain))
    assert "freeze" in caplog.text


def test_second_derivatives_are_refused_and_not_wrong(unet, x):
    ours, _ = pair(CASES[1], unet, 1)
    z = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(ours(z, XI).square().sum(), z, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_a_state_that_is_changed_in_place_is_noticed(x):
    evaluate = chained(lambda z, t: z.sin(), 2, keep=0)
    z = x.clone().requires_grad_() * 1
    out = evaluate(z, 2)
    z.add_(1)
    with pytest.raises(RuntimeError, match="inplace"):
        out.sum().backward()


def test_a_chain_of_the_users_own_may_return_one_tensor_or_several(x):
    """x_{t−1} = sin x_t + c_t x_t², c a constant; two steps, written out."""
    c = torch.tensor([0.0, 0.3, 0.7], dtype=torch.float64)
    x = x.double()

    def several(z, t):
        return z.sin(), z.square(), c[t]

    z = x.clone().requires_grad_()
    y = z
    parts = chained(several, 2, keep=0)
    for t in (2, 1):
        a, b, scale = parts(y, t)
        assert not scale.requires_grad
        y = a + scale * b
    inner = x.sin() + 0.7 * x.square()
    wanted = (inner.cos() + 0.6 * inner) * (x.cos() + 1.4 * x)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), z)[0], wanted, atol=1e-12, rtol=0)
    one = chained(lambda z, t: z.sin(), 1, keep=0)
    z = x.clone().requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(one(z, 1).sum(), z)[0], x.cos(), atol=1e-15, rtol=0)
    z = x.clone().requires_grad_()
    a, b, _ = parts(z, 2)  # only one of the results is used
    torch.testing.assert_close(torch.autograd.grad(b.sum(), z)[0], 2 * x, atol=1e-15, rtol=0)


def test_the_purifier_that_the_module_shows_has_the_gradients_of_plain_autograd(unet, x):
    """Its lines are run as they stand."""
    shown = chain.__doc__[chain.__doc__.index("    def purifier") :]
    ours, plain = {}, {}
    exec(textwrap.dedent(shown), {"chained": lambda f, n: chained(f, n, keep=1)}, ours)
    exec(textwrap.dedent(shown), {"chained": lambda f, n: f}, plain)

    def network(z, t):
        return 0.1 * unet(z, torch.tensor([t]))

    assert_equal_bits(gradient(ours["purifier"](network, 4), x), gradient(plain["purifier"](network, 4), x))


# Memory.


def saved_bytes(purify, x):
    """What the graph of f(x) keeps for its backward pass, storage by storage."""
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no address is used twice
        return tensor

    purify(x.clone().requires_grad_(), XI)  # what is found out once
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        purify(x.clone().requires_grad_(), XI)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize(("sigma", "states"), [("large", 1), ("learned", 2)])
def test_a_step_more_keeps_a_state_more(sigma, states, unet64, x):
    """x_t of each, and its noise where σ is a function of x_t; beside them a few numbers of the schedule, under a
    quarter of a state of 3 × 64 pixels. A plain graph keeps every activation, here some 200 times a state."""
    x = x.double()

    def growth(of, keep=1):
        few, many = (
            saved_bytes(pair(("ddpm", "one-step", sigma, False, False), unet64, keep, steps=n)[of], x) for n in (4, 16)
        )
        return (many - few) / 12 / (x.numel() * x.element_size())

    assert states <= growth(0) < states + 0.25
    assert growth(1) > 50


def test_what_is_kept_grows_with_the_steps_that_keep_their_graph(unet64, x):
    x, size = x.double(), []
    for keep in range(1, 5):
        size.append(saved_bytes(pair(CASES[1], unet64, keep)[0], x))
    steps = [b - a for a, b in pairwise(size)]
    counted, _ = graph(lambda z: unet64(z, torch.tensor([3])), x)
    # a step's graph is the network's and some states: five or so, of the 200 that the network's is
    assert all(counted <= more < 1.05 * counted for more in steps)


PEAK = """
import sys, torch
from torch import nn
torch.set_num_threads(1)
from purity.diffusion.chain import chained
steps, keep = int(sys.argv[1]), sys.argv[2]
layers = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.SiLU(), nn.Conv2d(64, 3, 3, padding=1)).requires_grad_(False)
network = lambda x, t: layers(x).tanh()
step = network if keep == "all" else chained(network, steps, int(keep))
def most():  # KiB; ru_maxrss would begin with what the process that started this one held
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
start = most()
x = torch.rand(16, 3, 32, 32).requires_grad_()
y = x
for t in range(steps, 0, -1):
    y = step(y, t)
torch.autograd.grad(y.sum(), x)
print((most() - start) / 2**10)
"""


def peak(steps, keep):
    """MiB that a gradient takes at its peak, in a process of its own."""
    command = [sys.executable, "-c", PEAK, str(steps), str(keep)]
    return float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def test_resident_memory_is_flat():
    """A step's graph is 8 MiB here (two activations of 16 × 64 × 32 × 32), a state 0.19. Thirty steps more are 6 MiB of
    states, and allocations of four activations are not to the MiB: 24 MiB; kept whole they are 245."""
    few, many, whole = peak(5, 1), peak(35, 1), peak(35, "all")
    assert many - few < 24
    assert whole - few > 200


# What is chosen.


def test_more_memory_keeps_more_steps_and_at_least_one():
    size, n = 100, 30
    chosen = [steps_that_fit(n, size, room) for room in range(0, 5000, 10)]
    assert chosen == sorted(chosen) and chosen[0] == 1 and chosen[-1] == n
    for kept, room in zip(chosen, range(0, 5000, 10), strict=True):
        assert 1 <= kept <= n
        assert kept == 1 or (kept + 1) * size <= room  # room for the one that is walked back through beside them
        assert kept == n or (kept + 2) * size > room
    assert steps_that_fit(n, 0, 0) == n  # a graph of nothing


def test_the_choice_follows_the_memory_and_changes_no_bit(unet, x, monkeypatch, caplog):
    size, _ = graph(lambda z: samplers.posterior(denoiser(unet, linear(), "large", True), linear())(z, 500), x)
    wanted = gradient(MAKERS["ddpm"](unet, recompute=False), x)
    kept = []
    for room in range(1, 7):
        monkeypatch.setattr(memory, "at_hand", lambda device, room=room: int((room + 0.5) * size))
        purify = MAKERS["ddpm"](unet)
        caplog.clear()
        with caplog.at_level(logging.INFO):
            assert_equal_bits(gradient(purify, x), wanted)
            assert_equal_bits(gradient(purify, x), wanted)
        (said,) = [r.getMessage() for r in caplog.records]  # once, not at every call
        kept.append(next(k for k in range(5) if f": {k} of 4 evaluations keep" in said))
    assert kept == [1, 1, 2, 3, 4, 4]


def test_every_size_of_batch_is_chosen_for_by_itself(unet, x, caplog):
    purify = MAKERS["ddpm"](unet)
    with caplog.at_level(logging.INFO):
        gradient(purify, x)
        gradient(purify, x[:1], XI.rows(torch.tensor([0])))
    assert [r.getMessage().split(":")[0] for r in caplog.records] == ["gradients of 3 images", "gradients of 1 images"]


def test_a_graph_is_what_its_operations_save():
    """exp keeps its result, sin what it was given, which is x itself and counted nowhere; a matrix that was there
    before is not counted either."""
    x = torch.rand(5, 8, dtype=torch.float64)
    matrix = torch.rand(8, 8, dtype=torch.float64)
    assert graph(lambda z: z.exp(), x) == (320, False)
    assert graph(lambda z: z.sin(), x) == (0, False)
    assert graph(lambda z: z.exp().exp() @ matrix, x) == (640, False)
    assert graph(lambda z: (z.exp(), z.sin()), x) == (320, False)


def test_a_graph_tells_of_weights_that_want_gradients():
    x, w = torch.rand(5, 8), torch.rand(8, requires_grad=True)
    assert graph(lambda z: z * w, x)[1] and not graph(lambda z: z * w.detach(), x)[1]


def test_the_choice_leaves_no_global_generator_touched(unet, x):
    before = torch.get_rng_state()
    gradient(MAKERS["ddpm"](unet), x)
    assert torch.equal(torch.get_rng_state(), before)


def test_chain_is_said_in_the_purifiers_module():
    """Who writes a purifier of his own reads there."""
    assert "chain.chained" in purifiers.__doc__ and chain.chained.__doc__
