"""How far a long job is: what it says of it, and what it has done, beside its output, so that a kill loses minutes."""

import copy
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from purity.run import store


class Done:
    """The batches of an output that are done, beside it until it is there.

    A file for each batch in `<output>.progress/<key>/`, and one of how far an attack on a batch has come. The key is a
    digest of all that the output depends on, so that a job with another spec, code or input finds nothing of it;
    `batch` may be another one.
    """

    def __init__(self, output: str | Path, depends: dict):
        self.folder = Path(f"{output}.progress")
        text = json.dumps(depends, sort_keys=True)
        self.place = self.folder / hashlib.sha256(text.encode()).hexdigest()[:16]

    def within(self, part: str) -> "Done":
        """What is done of one part of the work, apart from the others."""
        done = copy.copy(self)
        done.place = self.place / part
        return done

    def parts(self) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """(rows, part) of every batch that is done; one whose file is damaged is left out."""
        for path in sorted(self.place.glob("rows-*.zarr.zip")):
            try:
                stored = dict(store.Stored(path))
            except ValueError as error:
                logging.info("%s; its images are done again", error)
                continue
            yield stored.pop("rows"), stored

    def add(self, rows: np.ndarray, part: dict[str, np.ndarray]) -> None:
        """Write a batch: arrays with a row for each of the images `rows` (B,). What was kept within it is deleted."""
        path = self.place / f"rows-{rows[0]:05d}-{rows[-1]:05d}.zarr.zip"
        store.save(path, {}, None, rows=rows, **part)
        with suppress(OSError):
            self.within_batch(rows).unlink()

    def within_batch(self, rows: np.ndarray) -> Path:
        """Where it is kept how far the batch of these rows (B,) is."""
        return self.place / f"steps-{rows[0]:05d}-{rows[-1]:05d}.pt"

    def forget(self) -> None:
        """Delete what is done of this part of the work: the whole that it was needed for is kept elsewhere."""
        shutil.rmtree(self.place, ignore_errors=True)

    def batch(self) -> int | None:
        """How many images at once an earlier job has chosen, if there was one."""
        try:
            return int((self.place / "batch").read_text())
        except (OSError, ValueError):
            return None

    def chose(self, batch: int) -> None:
        store.save_text(self.place / "batch", f"{batch}\n")

    def clear(self) -> None:
        """Delete all of it, what other keys left too: the output is there."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Progress:
    """How far a job is, by the loops that it wraps, one inside another. The items of each are taken to last as long.

    say(at, share, left): told after the first item, then at most every `every` seconds, and at the end: where in its
    loops the job is, which share in [0, 1] of all is done, seconds that are left.
    """

    def __init__(
        self,
        say: Callable[[str, float, float], None],
        every: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.say, self.every, self.clock = say, every, clock
        self.loops: list[list[int]] = []  # [items done, items there are], outermost first
        self.began = self.told = clock()
        self.share = 0.0

    def __call__(self, items: Collection) -> Iterator:
        depth = len(self.loops)
        if depth == 0:
            self.began, self.share = self.clock(), 0.0
        loop = [0, len(items)]
        self.loops.append(loop)
        try:
            for item in items:
                yield item
                del self.loops[depth + 1 :]
                loop[0] += 1
                self._done()
        finally:
            del self.loops[depth:]

    def _done(self) -> None:
        now, before, self.share = self.clock(), self.share, _share(self.loops)
        ended = self.share == 1 > before
        if before and not ended and now - self.told < self.every:
            return
        if before == 1 == self.share:  # the loops around the last item
            return
        self.told = now
        self.say(_place(self.loops), self.share, (now - self.began) * (1 / self.share - 1))


def _share(loops: list[list[int]]) -> float:
    share = 0.0
    for done, of in reversed(loops):
        share = (done + share) / of
    return min(share, 1.0)


def _place(loops: list[list[int]]) -> str:
    """Which item of each outer loop is worked on, how many of the innermost are done; but for loops of one item."""
    *outer, last = [loop for loop in loops if loop[1] > 1] or loops[-1:]
    return ", ".join([*(f"{done + 1}/{of}" for done, of in outer), f"{last[0]}/{last[1]}"])


def duration(seconds: float) -> str:
    """In the largest unit that leaves a number of two digits or so: `40 s`, `25 min`, `3.5 h`, `2.1 days`."""
    for unit, length, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < most * length:
            return f"{seconds / length:.{1 if unit == 'h' else 0}f} {unit}"
    return f"{seconds / 86400:.1f} days"
