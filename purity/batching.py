"""The best batch, by a short search: how many images at once give the most images a second."""

import time
from collections.abc import Callable
from statistics import median

from purity.run.devices import no_memory


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
