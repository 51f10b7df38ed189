"""What a long job has done so far, beside its output: a job that was killed loses a batch, not a night."""

import copy
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from purity.run import store


class Done:
    """The batches of an output that are done, beside it until it is there.

    A file for each batch in `<output>.progress/<key>/`. The key is a digest of all that the output depends on, so that
    a job with another spec, code or input finds nothing of it; `batch` may be another one.
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
        """Write a batch: arrays with a row for each of the images `rows` (B,)."""
        path = self.place / f"rows-{rows[0]:05d}-{rows[-1]:05d}.zarr.zip"
        store.save(path, {}, None, rows=rows, **part)

    def forget(self) -> None:
        """Delete what is done of this part of the work: the whole that it was needed for is kept elsewhere."""
        shutil.rmtree(self.place, ignore_errors=True)

    def clear(self) -> None:
        """Delete all of it, what other keys left too: the output is there."""
        shutil.rmtree(self.folder, ignore_errors=True)
