"""Any stochastic torch code as an exact f_ξ: what it draws is served from addressed noise, the code stays as it is.

While the code runs, torch's dispatcher shows every operator that draws (it is tagged `nondeterministic_seeded`). What
the operator would have drawn is replaced by numbers of its own distribution at the address (seed, image id, draw,
direction, step): the row is the image, the step says the how-manieth draw it is. So an image meets the same noise at
any batch size, in any shard and order, in the forward pass and where the backward pass computes something again.

Where the code is in its sequence of draws is kept in the seed of torch's own CPU generator, which is put back
afterwards. Whoever saves and sets back that generator, as torch.utils.checkpoint and torch.random.fork_rng do, thereby
goes back to the same numbers, as in plain torch.

What is drawn elsewhere (numpy, `random`, a generator of its own, a compiled operator) cannot be served. It is refused
with the reason: the states of the known generators are watched, and at first every function is asked twice under one ξ.
"""

import logging
import math
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from purity import noise
from purity.contract import image_of
from purity.diffusion.denoiser import Network
from purity.noise import Noise
from purity.purifiers import Purifier
from purity.run.naming import resolve

# Seeds of torch's CPU generator that say "n draws were made": the upper half names us, the lower half is n.
_MARK = 0x50555249 << 32
_NOWHERE = 2**32 - 1  # in the backward pass, until something sets the generator back to a place of the forward pass


@dataclass(frozen=True)
class Drawn:
    """A draw that was served: which operator, and the shape of its numbers."""

    step: int
    operator: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"draw {self.step} ({self.operator}, shape {self.shape})"


class _NotOwn(Exception):
    """A draw in a batch has no row for each image."""


# Numbers at an address.


@dataclass(frozen=True)
class Numbers:
    """What one draw can be made of: ξ of the rows, the direction and the step.

    A draw's shape is (B, …), a row for each image; of one image alone it may be any.
    """

    xi: Noise
    forward: bool
    step: int

    def normals(self, like: Tensor) -> Tensor:
        """N(0, 1) in the shape and type of `like`: the same that a purifier of ours gets of xi at this step."""
        if like.is_complex():  # real and imaginary part have variance 1/2
            return torch.view_as_complex(self.normals(torch.view_as_real(like).contiguous()) * math.sqrt(0.5))
        flat = like.new_empty(len(self.xi.ids), like.numel() // len(self.xi.ids))
        z = self.xi.forward(self.step, flat) if self.forward else self.xi.reverse(self.step, flat)
        return z.reshape(like.shape)

    def uniforms(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """U(0, 1) in float64, never 0 or 1."""
        stream, draw = (noise.FORWARD, self.xi.forward_draw) if self.forward else (noise.REVERSE, self.xi.reverse_draw)
        seed, draw = (one.to(device) if isinstance(one, Tensor) else one for one in (self.xi.seed, draw))
        ids, size = self.xi.ids.to(device), math.prod(shape) // len(self.xi.ids)
        return noise.uniforms(seed, stream, ids, draw, self.step, (size,)).reshape(shape)

    def integers(self, low: int | Tensor, high: int | Tensor, like: Tensor) -> Tensor:
        """Uniform in low … high − 1, int64. Spans above 2³² take two words a number."""
        span = high - low
        if isinstance(span, Tensor) or span <= 2**32:
            return low + (self.uniforms(like.shape, like.device) * span).floor().long()
        u = self.uniforms((*like.shape, 2), like.device)
        upper, lower = (u * 2**32).floor().long().unbind(-1)
        word = ((upper >> 1) << 32) | lower  # 63 bits
        return low + (word if span >= 2**63 else word % span)

    def generators(self) -> list[torch.Generator]:
        """A generator for each row, seeded with the first 32 bits at the address, as many as torch's uses."""
        u = self.uniforms((len(self.xi.ids),), torch.device("cpu"))
        return [torch.Generator().manual_seed(int(word)) for word in (u * 2**32).floor().tolist()]


# The distributions: (numbers, arguments of the operator by name, tensor it made) → what is to stand in that tensor.


def _below_one(u: Tensor, like: Tensor) -> Tensor:
    """U(0, 1) in the type of `like`, where rounding must not make a 1 of it."""
    return u.to(like.dtype).clamp(max=1 - torch.finfo(like.dtype).eps / 2)


def _normal(n: Numbers, a: dict, out: Tensor) -> Tensor:
    return a.get("mean", 0) + a.get("std", 1) * n.normals(out)


def _log_normal(n: Numbers, a: dict, out: Tensor) -> Tensor:
    return _normal(n, a, out).exp()


def _uniform(n: Numbers, a: dict, out: Tensor) -> Tensor:
    low, high = a.get("from", 0), a.get("to", 1)
    if out.is_complex():  # both parts
        return torch.view_as_complex(_uniform(n, a, torch.view_as_real(out)))
    return low + (high - low) * _below_one(n.uniforms(out.shape, out.device), out)


def _bernoulli(n: Numbers, a: dict, out: Tensor) -> Tensor:
    return n.uniforms(out.shape, out.device) < a.get("p", a["self"])


def _randint(n: Numbers, a: dict, out: Tensor) -> Tensor:
    return n.integers(a.get("low", 0), a["high"], out)


def _random(n: Numbers, a: dict, out: Tensor) -> Tensor:
    """random_(from, to); without `to` up to the largest integer that the type holds exactly, as torch has it."""
    high = a.get("to")
    if high is None and out.dtype.is_floating_point:
        high = round(2 / torch.finfo(out.dtype).eps) + 1
    elif high is None:
        high = 2 if out.dtype is torch.bool else torch.iinfo(out.dtype).max + 1
    return n.integers(a.get("from", 0), high, out)


def _exponential(n: Numbers, a: dict, out: Tensor) -> Tensor:
    standard = -n.uniforms(out.shape, out.device).log()
    return (standard / a["lambd"]).clamp(min=torch.finfo(out.dtype).tiny)  # never 0: its logarithm is taken


def _cauchy(n: Numbers, a: dict, out: Tensor) -> Tensor:
    return a["median"] + a["sigma"] * (math.pi * (n.uniforms(out.shape, out.device) - 0.5)).tan()


def _geometric(n: Numbers, a: dict, out: Tensor) -> Tensor:
    """Trials up to the first success, 1, 2, …"""
    p = torch.tensor(a["p"], dtype=torch.float64)
    return (n.uniforms(out.shape, out.device).log() / (-p).log1p()).ceil().clamp(min=1)


def _multinomial(n: Numbers, a: dict, out: Tensor) -> Tensor:
    """Inverse distribution function; without replacement the race of exponentials with rates p."""
    p = a["self"].double()
    if a["replacement"]:
        up_to = p.cumsum(-1) / p.sum(-1, keepdim=True)
        u = n.uniforms(out.shape, out.device)
        return torch.searchsorted(up_to, u, right=True).clamp(max=p.shape[-1] - 1)
    arrival = -n.uniforms(p.shape, out.device).log() / p
    return arrival.argsort(dim=-1, stable=True)[..., : out.shape[-1]]


def _randperm(n: Numbers, a: dict, out: Tensor) -> Tensor:
    return n.uniforms(out.shape, out.device).argsort()


_SAMPLES: dict[str, Callable[[Numbers, dict, Tensor], Tensor]] = {
    "normal": _normal,
    "normal_functional": _normal,
    "randn": _normal,
    "randn_like": _normal,
    "log_normal": _log_normal,
    "rand": _uniform,
    "rand_like": _uniform,
    "uniform": _uniform,
    "bernoulli": _bernoulli,
    "randint": _randint,
    "randint_like": _randint,
    "random": _random,
    "exponential": _exponential,
    "cauchy": _cauchy,
    "geometric": _geometric,
    "multinomial": _multinomial,
    "randperm": _randperm,
}


def _native_dropout(n: Numbers, a: dict, made: tuple[Tensor, Tensor]) -> None:
    """Drops what bernoulli_(1 − p) drops, as dropout on a CPU is written, so that devices agree."""
    out, mask = made
    mask.copy_(n.uniforms(mask.shape, mask.device) < 1 - a["p"])
    out.copy_(a["input"] * mask / (1 - a["p"]) if a["p"] < 1 else torch.zeros_like(out))


def _rrelu(n: Numbers, a: dict, made: Tensor) -> None:
    """Slopes U(lower, upper) where x ≤ 0."""
    x, u = a["self"], n.uniforms(made.shape, made.device)
    slope = torch.where(x <= 0, a["lower"] + (a["upper"] - a["lower"]) * u, 1).to(x.dtype)
    a["noise"].copy_(slope)
    made.copy_(x * slope)


# Those that draw and compute: they fill what the operator has made.
_FILLED: dict[str, Callable[[Numbers, dict, object], None]] = {
    "native_dropout": _native_dropout,
    "rrelu_with_noise": _rrelu,
}


def _by_generators(func, args: tuple, kwargs: dict, n: Numbers, out: Tensor) -> Tensor:
    """The operator itself on one row after the other, on the CPU, each with a generator of its own address."""
    rows = len(n.xi.ids)

    def row(b: int) -> Tensor:
        def of(t: Tensor) -> Tensor:
            return (t[b : b + 1] if rows > 1 and t.ndim == out.ndim and len(t) == rows else t).cpu()

        own_args, own_kwargs = tree_map_only(Tensor, of, (args, kwargs))
        return func(*own_args, **{**own_kwargs, "generator": generators[b]})

    generators = n.generators()
    made = [row(b) for b in range(rows)]
    return (made[0] if rows == 1 else torch.cat(made)).to(out.device)


# Serving.


def _silent(a: dict) -> bool:
    """An operator that could draw and does not: dropout outside of training, attention without dropout."""
    untrained = any(a.get(name) is False for name in ("train", "training"))
    return untrained or any(name in a and not a[name] for name in ("dropout_p", "dropout"))


def _constants(func, args: tuple) -> tuple:
    """A traced function's constants as the tensors that they are there: a mode is handed their numbers, which not every
    operator takes."""
    asked = [str(given.type) for given in func._schema.arguments]
    numbers = (int, float, complex)
    return tuple(
        torch.tensor(arg) if kind == "Tensor" and isinstance(arg, numbers) else arg
        for kind, arg in zip(asked, args, strict=False)
    )


class _Serving(TorchDispatchMode):
    """Serves the draws of one call of the function; after it those of its backward pass, where it is entered again."""

    def __init__(self, name: str, xi: Noise, forward: int, steps: list[int] | None):
        super().__init__()
        self.name, self.xi, self.cut, self.steps = name, xi, forward, steps
        self.draws: list[Drawn] = []
        self.refused: Exception | None = None  # kept, should the function catch it
        self.backward = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if args and isinstance(args[0], int | float | complex):
            args = _constants(func, args)
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        schema = func._schema.arguments
        a = {given.name: given.default_value for given in schema if given.has_default_value()}
        a |= dict(zip((given.name for given in schema), args, strict=False)) | kwargs
        if _silent(a) or func._schema.name == "aten::_fused_sdp_choice":
            return func(*args, **kwargs)
        try:
            return self._serve(func, args, kwargs, a)
        except (ValueError, _NotOwn) as error:
            self.refused = self.refused or error
            raise

    def _serve(self, func, args: tuple, kwargs: dict, a: dict):
        operator = func._schema.name.removeprefix("aten::")
        generator = a.get("generator")
        if generator is not None and generator.initial_seed() != torch.default_generator.initial_seed():
            raise self.refusal(f"{operator} draws from a generator of its own")
        position = self._position(operator)
        base = operator.removesuffix("_")
        if base in _FILLED:  # what is computed of it, should it be overwritten
            a |= {k: a[k].clone() for k in ("self", "input") if k in a}
        with _put_back(_device_of(a)):
            made = func(*args, **kwargs)  # for its shape, type, place and complaints; its numbers are replaced
        tensors = made if isinstance(made, tuple) else (made,)
        drawn = Drawn(position, operator, tuple(tensors[0].shape))
        self._own(drawn)
        numbers = Numbers(self.xi, *self._address(drawn))
        if base in _FILLED and func._schema.overload_name != "out":
            _FILLED[base](numbers, a, made)
        elif base in _SAMPLES:
            tensors[0].copy_(_SAMPLES[base](numbers, a, tensors[0]))
        elif "generator" in a and not func._schema.is_mutable and len(tensors) == 1:
            tensors[0].copy_(_by_generators(func, args, kwargs, numbers, tensors[0]))
        else:
            raise self.refusal(f"{operator} draws its own numbers; there is no way to give it others")
        if not self.backward:
            self.draws.append(drawn)
        _mark(position + 1)
        return made

    def _position(self, operator: str) -> int:
        """How many draws came before, as torch's generator says it."""
        self.check_generator()
        position = torch.default_generator.initial_seed() - _MARK
        if position == _NOWHERE:
            said = f"{operator} draws in the backward pass, where the numbers of the forward pass are not kept"
            raise self.refusal(f"{said} (preserve_rng_state=False?)")
        return position

    def check_generator(self) -> None:
        """ValueError if torch's CPU generator is not as we left it."""
        seed = torch.default_generator.initial_seed()
        if not 0 <= seed - _MARK <= _NOWHERE:
            raise self.refusal("it seeds torch's generator itself, so that its noise is no chance; take that out")
        if not torch.equal(torch.default_generator.get_state(), torch.Generator().manual_seed(seed).get_state()):
            said = "something compiled, or another thread, draws from torch's generator"
            raise self.refusal(f"{said}, where its dispatcher does not see it")

    def _own(self, drawn: Drawn) -> None:
        rows = len(self.xi.ids)
        if rows > 1 and not of_each_image(drawn, rows):
            raise _NotOwn(f"{drawn} has no row for each image")

    def _address(self, drawn: Drawn) -> tuple[bool, int]:
        """(is it forward noise, at which step)."""
        if self.steps is None:
            return drawn.step < self.cut, drawn.step
        if drawn.step >= len(self.steps):
            raise self.refusal(f"`steps` gives the steps of {len(self.steps)} draws, and it draws more: {drawn}")
        return drawn.step < self.cut, self.steps[drawn.step]

    def refusal(self, reason: str) -> ValueError:
        return ValueError(f"{self.name} is no function of image and ξ: {reason}")


def of_each_image(drawn: Drawn, rows: int) -> bool:
    """Whether the draw has a row for each of so many images. A permutation never is an image's own."""
    return drawn.shape[:1] == (rows,) and drawn.operator != "randperm"


def _device_of(a: dict) -> torch.device:
    tensors = (v.device for v in a.values() if isinstance(v, Tensor))
    return torch.device(a.get("device") or next(tensors, "cpu"))


def _mark(position: int) -> None:
    torch.default_generator.manual_seed(_MARK + position)


@contextmanager
def _put_back(device: torch.device) -> Iterator[None]:
    """Leaves the generators of torch, of the CPU and of this device, as they were."""
    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices, device_type=device.type if devices else "cuda"):
        yield


@contextmanager
def _watched(serving: _Serving, device: torch.device, position: int) -> Iterator[None]:
    """Serving from `position` on. All global generators are put back; what has used them meanwhile is refused."""
    python, numpy = random.getstate(), np.random.get_state(legacy=False)
    with _put_back(device):
        _mark(position)
        module = None if device.type == "cpu" else torch.get_device_module(device)
        before = None if module is None else module.get_rng_state(device)
        try:
            try:
                with serving:
                    yield
            except Exception as error:  # what the function makes of our refusal
                raise serving.refused or error from None
            if serving.refused is not None:
                raise serving.refused
            serving.check_generator()
            if before is not None and not torch.equal(before, module.get_rng_state(device)):
                raise serving.refusal(f"something compiled draws from the generator of {device}")
            if random.getstate() != python:
                raise serving.refusal("it draws from Python's `random`; have it draw from torch instead")
            now = np.random.get_state(legacy=False)
            if not _same(now, numpy):
                raise serving.refusal("it draws from numpy.random; have it draw from torch instead")
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _same(a: dict, b: dict) -> bool:
    position, key = a["state"]["pos"], a["state"]["key"]
    gauss = (a["has_gauss"], a["gauss"]) == (b["has_gauss"], b["gauss"])
    return gauss and position == b["state"]["pos"] and np.array_equal(key, b["state"]["key"])


class _Bridge(torch.autograd.Function):
    """From x to what was made of a copy of it. The backward pass through that is run here, where it is served too."""

    @staticmethod
    def forward(ctx, x, copy, out, serving):
        ctx.copy, ctx.out, ctx.serving = copy, out[0], serving
        return out[0].detach()

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        ctx.serving.backward = True
        with _watched(ctx.serving, ctx.copy.device, _NOWHERE):
            of_x = _gradient(ctx.out, ctx.copy, gradient, ctx.serving)
        return of_x, None, None, None


def _gradient(out: Tensor, x: Tensor, gradient: Tensor, serving: _Serving) -> Tensor:
    try:
        return torch.autograd.grad(out, x, gradient, retain_graph=True)[0]
    except RuntimeError as error:
        if "vmap" in str(error):
            said = "what draws again in the backward pass cannot be asked for several gradients at a time"
            raise ValueError(f"{serving.name}: {said}; one after the other they are exact") from error
        if "use_reentrant=True" not in str(error):
            raise

    # The older kind of checkpoint refuses torch.autograd.grad, also one further out in the same thread.
    def backward() -> None:
        with serving:
            torch.autograd.backward(out, gradient, retain_graph=True)

    x.grad = None
    with ThreadPoolExecutor(1) as thread:
        thread.submit(backward).result()
    return x.grad


@dataclass
class Intercepted:
    """f(x, ξ) of a function that draws: call(x) → (B, …), x (B, C, H, W), whatever torch code it is made of.

    forward: so many of its first draws are the forward noise, the rest is the reverse noise; without it, an attacker
    cannot know one of them alone. steps: the step of each draw, by which xi is asked; else they count 0, 1, 2, …
    rows: `together`, or `alone`, one image after the other; None: alone if a draw has no row for each image, or if
    images differ in how often they draw.
    Gradients are with respect to x, of reverse mode, and have no second ones. ValueError with the reason if it is no
    function of image and ξ. Not for two threads at a time, as torch's generator counts the draws.
    """

    call: Callable[[Tensor], Tensor]
    forward: int | None = None
    steps: list[int] | None = None
    rows: str | None = None
    name: str = ""
    _draws: int | None = field(default=None, init=False, repr=False)  # of one image; None: not examined yet

    def __post_init__(self):
        self.name = self.name or getattr(self.call, "__name__", type(self.call).__name__)
        if self.rows not in (None, "together", "alone"):
            raise ValueError(f"rows of {self.name}: '{self.rows}' is neither together nor alone")
        if self.forward is not None and self.forward < 0:
            raise ValueError(f"forward of {self.name}: {self.forward} draws are less than none")
        cut = self.forward or 0
        for steps in ((self.steps or [])[:cut], (self.steps or [])[cut:]):
            if len(set(steps)) < len(steps) or any(not 0 <= step < 2**32 for step in steps):
                raise ValueError(f"steps of {self.name}: a direction's draws must have different steps in 0 … 2³²−1")

    def __call__(self, x: Tensor, xi: Noise) -> Tensor:
        if torch._C._functorch.is_functorch_wrapped_tensor(x) or forward_ad.unpack_dual(x).tangent is not None:
            raise ValueError(f"{self.name} has gradients of reverse mode only, no forward mode and no torch.func")
        if len(x) != len(xi.ids):
            raise ValueError(f"{self.name} got {len(x)} images and ξ of {len(xi.ids)}")
        if self.forward is None and not _equal(xi.forward_draw, xi.reverse_draw):
            said = "which of its draws are the forward noise is not said, so that nobody can know it alone"
            raise ValueError(f"{self.name}: {said}: give `forward`, the number of them")
        if isinstance(self.call, nn.Module):
            self.call.to(x.device)
        if self._draws is None:
            self._examine(x, xi)
        if self.rows != "alone":
            try:
                out, drawn = self._ask(x, xi)
            except _NotOwn as error:
                self._ask_alone(str(error))
            else:
                if len(drawn) == self._draws:
                    return out
                self._ask_alone(f"it draws {len(drawn)} times for these images and {self._draws} times for another")
        return torch.cat([self._ask(*_row(x, xi, [b]))[0] for b in range(len(x))])

    def _ask(self, x: Tensor, xi: Noise) -> tuple[Tensor, list[Drawn]]:
        """What it makes of x, and what it drew. _NotOwn if a draw has no row for each of several images."""
        serving = _Serving(self.name, xi, self.forward or 0, self.steps)
        differentiable = torch.is_grad_enabled() and x.requires_grad
        copy = x.detach().requires_grad_(differentiable)
        with torch.set_grad_enabled(differentiable), _watched(serving, x.device, 0):
            out = self.call(copy.clone())  # a clone may be changed in place
        if not isinstance(out, Tensor):
            raise ValueError(f"{self.name} returned {type(out).__name__}, not a tensor")
        if out.shape[:1] != x.shape[:1]:
            raise ValueError(f"{self.name} returned shape {tuple(out.shape)} for {len(x)} images")
        if not (differentiable and out.requires_grad):  # no gradient passes, as with any other purifier
            return out.detach(), serving.draws
        return _Bridge.apply(x, copy, [out], serving), serving.draws

    @torch.no_grad()
    def _examine(self, x: Tensor, xi: Noise) -> None:
        """Asks of one image twice and of two at once: is it a function of image and ξ, row by row?"""
        one = _row(x, xi, [0])
        (first, drawn), (second, drawn_again) = self._ask(*one), self._ask(*one)
        if drawn != drawn_again:
            numbers = f"{len(drawn)} times and then {len(drawn_again)} times, or not the same"
            raise self._refusal(f"it draws {numbers}; it keeps something from one call to the next")
        if not torch.equal(first.nan_to_num(), second.nan_to_num()):
            raise self._refusal(
                "asked twice under one ξ, it answered differently; it draws from what torch does not show "
                "(a generator of numpy's, a compiled operator, the clock) or keeps something from call to call"
            )
        logging.info("%s draws %d times: %s …", self.name, len(drawn), ", ".join(map(str, drawn[:3])))
        if self.rows is None:
            shared = next((d for d in drawn if not of_each_image(d, 1)), None)
            if shared is not None:
                self._ask_alone(f"{shared} has no row for each image")
        if self.rows != "alone":
            try:
                both, drawn_of_both = self._ask(*_row(x, xi, [min(1, len(x) - 1), 0]))  # in another place, too
            except _NotOwn as error:
                self._ask_alone(str(error))
            else:
                if len(drawn_of_both) != len(drawn):
                    times = f"it draws {len(drawn)} times for one image and {len(drawn_of_both)} times for two"
                    self._ask_alone(times)
                else:
                    self._check_rows(first, both[1:])
        self._draws = len(drawn)

    def _check_rows(self, alone: Tensor, beside: Tensor) -> None:
        """What it makes of an image must not depend on the others. Rounding moves few values far (over a threshold
        inside, say), other images move most of them: one in a hundred may be off by a thousandth."""
        scale = alone.abs().max().clamp(min=1)
        apart = ((alone - beside).abs() > 1e-3 * scale).double().mean().item()
        if apart > 0.01:
            raise self._refusal(
                "what it makes of an image depends on the images beside it or on its place among them (batch "
                "statistics?); `rows: alone` asks for one image at a time, if that is meant"
            )

    def _ask_alone(self, reason: str) -> None:
        if self.rows == "together":
            raise self._refusal(f"{reason}; `rows: alone` gives each image its own")
        self.rows = "alone"
        logging.info("%s: %s; images are asked for one at a time", self.name, reason)

    def _refusal(self, reason: str) -> ValueError:
        return ValueError(f"{self.name} is no function of image and ξ: {reason}")


def _row(x: Tensor, xi: Noise, rows: list[int]) -> tuple[Tensor, Noise]:
    return x[rows], xi.rows(torch.tensor(rows))


def _equal(a: int | Tensor, b: int | Tensor) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.equal(a, b)
    return not isinstance(a, Tensor) and not isinstance(b, Tensor) and a == b


def purifier(
    network: Network | None = None,
    *,
    call: str,
    options: dict | None = None,
    forward: int | None = None,
    steps: list[int] | None = None,
    rows: str | None = None,
) -> Purifier:
    """The purifier of a function that draws as it likes, by its name `module:function`: images in [0, 1] to such.

    options, or a diffusion model of the preset (`network`): then `call` makes the function, call([network], **options);
    without them `call` is the function. The rest as in `Intercepted`.
    """
    function = resolve(call)
    if network is not None or options is not None:
        function = function(*([] if network is None else [network]), **(options or {}))
    if isinstance(function, nn.Module):
        function.requires_grad_(False)
    ask = Intercepted(function, forward, steps, rows, name=call)
    return lambda x, xi: image_of(ask(x, xi), x, f"purifier '{call}'")
