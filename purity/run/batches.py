"""Work on many images, a batch at a time. What is done is kept for a rerun, what does not fit the device is halved."""

import logging
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from purity.run.devices import NO_MEMORY
from purity.run.progress import Kept

Part = dict[str, Tensor]  # arrays of a batch, one row for each of its images


def blocks(n: int, size: int) -> Iterator[Tensor]:
    """Row numbers 0 … n−1 in consecutive blocks of at most `size`."""
    yield from torch.arange(n).split(size)


class Size:
    """How many images a network sees at once: the batch asked for, less where the device has no room for it."""

    def __init__(self, batch: int):
        self.batch = batch

    def fitting(self, rows: Tensor, compute: Callable[[Tensor], Part]) -> Iterator[tuple[Tensor, Part]]:
        """compute(rows) of as many rows at a time as fit: (rows, part). The batch that did not fit stays halved."""
        todo = list(rows.split(self.batch))
        while todo:
            first, *todo = todo
            done = self._tried(first, compute)
            if done is None:
                self.batch = max(1, len(first) // 2)
                todo = list(torch.cat((first, *todo)).split(self.batch))
            else:
                yield first, done

    def _tried(self, rows: Tensor, compute: Callable[[Tensor], Part]) -> Part | None:
        """None if there was no memory for it. Left before another try: the error holds on to all that filled it."""
        try:
            return compute(rows)
        except (RuntimeError, MemoryError) as error:
            if len(rows) == 1 or not _no_memory(error):
                raise
            logging.warning("%d images at once do not fit (%s); going on with half", len(rows), _line(error))
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None


def _no_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(said in str(error) for said in NO_MEMORY)


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def in_batches(
    n: int,
    batch: "int | Size",
    compute: Callable[[Tensor], Part],
    kept: Kept | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> dict[str, np.ndarray]:
    """compute(rows) of rows 0 … n−1, `batch` at a time, as whole arrays with a row for each.

    rows (B,) int64. kept: what an earlier job of the same kind has done, which is not done again. Who wants to know in
    `compute` what is left of the batch on a device that had no room for it gives a Size.
    """
    out: dict[str, np.ndarray] = {}
    left = torch.ones(n, dtype=torch.bool)

    def place(rows: np.ndarray, part: dict[str, np.ndarray]) -> None:
        for name, value in part.items():
            if name not in out:
                out[name] = np.empty((n, *value.shape[1:]), value.dtype)
            out[name][rows] = value
        left[rows] = False

    for rows, part in kept.parts() if kept else ():
        place(rows, part)
    if not left.all():
        logging.info("%d of %d images are there from a job that was stopped", n - int(left.sum()), n)
    size = batch if isinstance(batch, Size) else Size(batch)
    todo = [rows for block in blocks(n, size.batch) if len(rows := block[left[block]])]
    for block in progress(todo):
        for rows, made in size.fitting(block, compute):
            part = {name: value.cpu().numpy() for name, value in made.items()}
            place(rows.numpy(), part)
            if kept and len(rows) < n:
                kept.add(rows.numpy(), part)
    return out
