"""The best batch, by a short search: how many images at once give the most images a second."""

import logging
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from purity.diffusion import memory
from purity.diffusion.chain import graph
from purity.run.devices import no_memory

MOST = 4096  # no search goes further: what is lost when a job is killed is a batch


def most(f: Callable[[Tensor], Tensor], x: Tensor, graphs: int = 2) -> int:
    """How many images the memory at hand has room for, on the device of x (1, …), with so many graphs of f(x) for each:
    2 in a chain that keeps one while it makes another anew (purity.diffusion.chain). 1 … MOST."""
    size, _ = graph(f, x)
    return max(1, min(MOST, memory.at_hand(x.device) // max(1, graphs * size)))


def of_arithmetic(size: int) -> int:
    """How many images of so many bytes the host has room for where no network sees them: noise takes some 30 times an
    image's own while it is made."""
    return max(1, min(MOST, memory.at_hand(torch.device("cpu")) // (64 * size)))


def found(f: Callable[[Tensor], Tensor], x: Tensor, *, gradient: bool, times: int = 1, repeats: bool = True) -> int:
    """The best batch for a chain of `times` evaluations f, with the gradient or without, on the device of x (1, …).

    One evaluation is timed, with the gradient of its sum if f has one. repeats: what does not fit the memory is
    evaluated again on the way back (purity.diffusion.chain), which is timed too; False: all graphs have to fit.
    Evaluations without a graph need less than one. Weights are not to require gradients. Logged.
    """
    (size, _), room = graph(f, x), memory.at_hand(x.device)

    def evaluate(batch: int) -> None:
        z = x.detach().expand(batch, *x.shape[1:]).clone()
        differentiated = gradient and _gradient(f, z)
        if not differentiated or times * batch * size > room:
            with torch.no_grad():
                f(z)
        if x.is_cuda:
            torch.cuda.synchronize()

    graphs = min(2, times) if repeats else times
    limit = most(f, x, graphs if gradient else 1)
    alone = not x.is_cuda and torch.get_num_threads() == 1  # what else runs on the processor is not counted then
    batch = best_batch(evaluate, limit, clock=time.process_time if alone else time.perf_counter)
    logging.info("%d images at once, the best of 1 to %d that fit", batch, limit)
    return batch


def _gradient(f: Callable[[Tensor], Tensor], z: Tensor) -> bool:
    """Take the gradient of the sum of f; False if there is none."""
    with torch.enable_grad():
        out = f(z.requires_grad_()).sum()
    if out.requires_grad:
        torch.autograd.grad(out, z)
    return out.requires_grad


def best_batch(
    evaluate: Callable[[int], object],
    limit: int,
    *,
    tolerance: float = 0.05,
    repeats: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """The smallest of the batches 1, 2, 4, … and `limit` whose time an image is within `tolerance` of the least found.

    evaluate(batch): does the work on so many images and waits until it is done. It is called once at each size before
    `repeats` calls are timed, of which the median counts. limit: the most that may be tried: what fits the memory. The
    search goes up; it ends where a batch finds no memory, or where two in a row gain no more than `tolerance` on the
    best before them. ValueError if limit is not positive; an error of memory at batch 1 is passed on.
    """
    if limit < 1:
        raise ValueError(f"the limit of the batch is {limit}: it must be 1 or more")
    found: dict[int, float] = {}
    idle = 0
    for batch in candidates(limit):
        try:
            each = _seconds(evaluate, batch, repeats, clock) / batch
        except (RuntimeError, MemoryError) as error:
            if not found or not no_memory(error):
                raise
            break
        idle = idle + 1 if found and each > (1 - tolerance) * min(found.values()) else 0
        found[batch] = each
        if idle == 2:
            break
    least = min(found.values())
    return next(batch for batch, each in found.items() if each <= (1 + tolerance) * least)


def candidates(limit: int) -> list[int]:
    """1, 2, 4, … below limit, and limit."""
    return [2**i for i in range(limit.bit_length()) if 2**i < limit] + [limit]


def _seconds(evaluate: Callable[[int], object], batch: int, repeats: int, clock: Callable[[], float]) -> float:
    evaluate(batch)
    times = []
    for _ in range(repeats):
        started = clock()
        evaluate(batch)
        times.append(clock() - started)
    return median(times)
