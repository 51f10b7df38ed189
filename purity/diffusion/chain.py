"""The gradient of a chain of network evaluations: exact, in the memory that is at hand.

Plain autograd keeps every activation of every evaluation until the way back. `chained` evaluates without a graph, keeps
x_t alone, and on the way back evaluates each step once more, with a graph that lives for that step only. That costs one
more evaluation a step; so the steps nearest to the result, which the way back meets first, keep their graph from the
start, as many as there is memory for. Values and gradients are those of plain autograd, bit for bit where kernels
give the same bits twice.

A purifier of your own has it like this, for n evaluations of a network whose weights are frozen:

    def purifier(network, n):
        step = chained(lambda z, t: z - network(z, t), n)

        def purify(x, xi):
            z = 2 * x - 1
            for t in range(n, 0, -1):
                z = step(z, t) + 0.1 * xi.reverse(t, like=z)
            return ((z + 1) / 2).clamp(0, 1)

        return purify
"""

import logging
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable
from torch.multiprocessing.reductions import StorageWeakRef

from purity.diffusion import memory

# (x, t) → a tensor or a tuple of tensors. Those with a row for each of x are differentiated, others are constants.
Evaluate = Callable[[Tensor, int], Tensor | tuple[Tensor, ...]]


def chained(evaluate: Evaluate, n: int, keep: int | None = None) -> Evaluate:
    """The same function of (x, t), for a chain that calls it at t = n, n−1, … 1: its gradient in bounded memory.

    evaluate: a function of x (B, …) and t alone that draws nothing; noise that is added belongs outside, where it is
    neither drawn nor kept again. Bits are those of plain autograd if x_t is used nowhere else. keep: how many of the
    last evaluations (t ≤ keep) keep their graph; None: as many as fit the memory at hand, found once for every shape of
    x and logged.

    Gradients in reverse mode and once: a second derivative is a RuntimeError. In forward mode nothing is kept anyway,
    under torch.func everything. Where weights of the network require gradients, all graphs are kept, with a warning,
    since an evaluation that is repeated has no gradient for them.
    """
    chosen: dict[tuple, int] = {}

    def evaluated(x: Tensor, t: int) -> Tensor | tuple[Tensor, ...]:
        if not (torch.is_grad_enabled() and x.requires_grad) or _otherwise_differentiated(x):
            return evaluate(x, t)
        key = (x.shape, x.dtype, x.device)
        if key not in chosen:
            chosen[key] = _choice(evaluate, x, t, n, keep)
        if t <= chosen[key]:
            return evaluate(x, t)
        *tensors, kind = _Repeated.apply(x, evaluate, t)
        return tensors[0] if kind is None else kind(tensors)

    return evaluated


def _otherwise_differentiated(x: Tensor) -> bool:
    """In forward mode or by torch.func, which see through plain operations only."""
    return torch._C._are_functorch_transforms_active() or forward_ad.unpack_dual(x).tangent is not None


def steps_that_fit(n: int, size: int, at_hand: int) -> int:
    """How many of n evaluations may keep a graph of `size` bytes: at least one, which the way back needs anyway, and
    one less than there is room for, since what is repeated or pulled back takes as much while it runs."""
    return n if size == 0 else max(1, min(n, at_hand // size - 1))


def _choice(evaluate: Evaluate, x: Tensor, t: int, n: int, keep: int | None) -> int:
    room = memory.at_hand(x.device)
    size, weights = graph(lambda z: evaluate(z, t), x)
    if weights:
        logging.warning("the network's weights require gradients: all of its graphs are kept; freeze it to save memory")
        return n
    kept = steps_that_fit(n, size, room) if keep is None else min(n, keep)
    logging.info(
        "gradients of %d images: %d of %d evaluations keep their graph (%.1f MiB each, %.0f MiB at hand)",
        len(x),
        kept,
        n,
        size / 2**20,
        room / 2**20,
    )
    return kept


def graph(f: Callable[[Tensor], Tensor | tuple[Tensor, ...]], x: Tensor) -> tuple[int, bool]:
    """Bytes that the graph of f(x) would keep for the way back; whether anything but x would get a gradient by it.

    Weights are not counted: what is alive when the graph is gone belongs to others. Nothing is kept meanwhile.
    """
    saved: dict[StorageWeakRef, int] = {}

    def pack(tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        saved[StorageWeakRef(storage)] = storage.nbytes()

    z = x.detach().requires_grad_()
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda nothing: nothing):
        out = f(z)
    weights = any(leaf is not z for tensor in _tensors(out)[0] for leaf in _leaves(tensor))
    del out, z
    return sum(size for storage, size in saved.items() if storage.expired()), weights


def _leaves(out: Tensor) -> Iterator[Tensor]:
    """The tensors that a gradient of `out` would be accumulated in."""
    todo, seen = [out.grad_fn], set()
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        todo.extend(following for following, _ in node.next_functions)


class _Repeated(torch.autograd.Function):
    """evaluate(x, t) without a graph; backward evaluates again with one. Its last result says how to put the tensors
    together: None for a single one."""

    @staticmethod
    def forward(ctx, x, evaluate, t):
        tensors, kind = _tensors(evaluate(x, t))
        ctx.save_for_backward(x)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(out for out in tensors if out.shape[:1] != x.shape[:1]))
        ctx.evaluate, ctx.t = evaluate, t
        ctx.autocast = (
            x.device.type,
            torch.get_autocast_dtype(x.device.type),
            torch.is_autocast_enabled(x.device.type),
        )
        return *tensors, kind

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients):
        (x,) = ctx.saved_tensors
        device, dtype, enabled = ctx.autocast
        with torch.enable_grad(), torch.autocast(device, dtype, enabled):
            tensors, _ = _tensors(ctx.evaluate(x, ctx.t))
        wanted = [(o, g) for o, g in zip(tensors, gradients, strict=False) if g is not None and o.requires_grad]
        if not wanted:
            return None, None, None
        outs, weights = zip(*wanted, strict=True)
        return torch.autograd.grad(outs, x, weights)[0], None, None


def _tensors(out):
    """(tensors of a result, how to put them together)."""
    return ((out,), None) if isinstance(out, Tensor) else (tuple(out), getattr(type(out), "_make", type(out)))
