"""Work on many images, a batch at a time. What is done is not done again, what does not fit the device is halved."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from purity.run import checkpoints
from purity.run.devices import no_memory
from purity.run.job import Job
from purity.run.rules import first_line

Part = dict[str, Tensor]  # arrays of a batch, one row for each of its images
Arrays = dict[str, np.ndarray]  # those of all images


def blocks(n: int, size: int) -> Iterator[Tensor]:
    """Row numbers 0 … n−1 in consecutive blocks of at most `size`."""
    yield from torch.arange(n).split(size)


class BatchLimit:
    """The most images that are worked on at once: `batch`, halved whenever the device has no room for so many."""

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
            if len(rows) == 1 or not no_memory(error):
                raise
            logging.warning("%d images at once do not fit (%s); going on with half", len(rows), first_line(error))
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None


def in_batches(n: int, compute: Callable[[Tensor], Part], job: Job, limit: BatchLimit | None = None) -> Arrays:
    """compute(rows) of rows 0 … n−1, some at a time, as whole arrays with a row for each; rows (B,) int64.

    What an earlier job has done is not done again; every batch is remembered for a later one. limit: how many rows at
    once, `job.batch` unless given; a caller that needs the number inside `compute` makes its own.
    """
    out: Arrays = {}
    left = torch.ones(n, dtype=torch.bool)

    def place(rows: np.ndarray, part: Arrays) -> None:
        for name, value in part.items():
            if name not in out:
                out[name] = np.empty((n, *value.shape[1:]), value.dtype)
            out[name][rows] = value
        left[rows] = False

    for there, part in job.done.parts() if job.done else ():
        place(there, part)
    if not left.all():
        logging.info("%d of %d images are there from a job that was stopped", n - int(left.sum()), n)
    limit = limit or BatchLimit(job.batch or 1)
    todo = [rows for block in blocks(n, limit.batch) if len(rows := block[left[block]])]
    for block in job.progress(todo):
        for rows, made in limit.fitting(block, compute):
            part = {name: value.cpu().numpy() for name, value in made.items()}
            place(rows.numpy(), part)
            if job.done:
                job.done.add(rows.numpy(), part)
    return out


def within(rows: Tensor, job: Job) -> dict:
    """What purity.resuming.Resumable is given to keep how far a computation on a batch, the images rows (B,), is.

    Kept every `job.keep_every` seconds; saved: where an earlier job was stopped within this batch.
    """
    if job.done is None:
        return {}
    path, kept = job.done.within_batch(rows.numpy()), time.monotonic()
    write, saved = checkpoints.snapshots(path.parent, path.name, job.device)

    def due() -> bool:
        return time.monotonic() - kept >= job.keep_every

    def save(reached: dict) -> None:
        nonlocal kept
        write(reached | {"rows": rows.tolist()})
        kept = time.monotonic()

    return {"save": save, "due": due, "saved": saved if saved and saved["rows"] == rows.tolist() else None}


def on_axes(arrays: Arrays, axes: Mapping[str, int | None]) -> Arrays:
    """Arrays of `in_batches` with their images on another axis than the first.

    None: an array that is the same for every image; it is given once.
    """
    turned = {}
    for name, value in arrays.items():
        axis = axes.get(name, 0)
        turned[name] = value[0] if axis is None else np.swapaxes(value, 0, axis)
    return turned
