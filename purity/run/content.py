"""What files hold, by digests that are remembered. No torch here.

A file is read again only if its size, one of its times or its place on the disk is another than when it was read: what
was only touched, copied or moved has the digest it had, and nothing that depends on it runs again.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from purity.run import store

MEMORY = Path(".snakemake/purity/contents.json")

# A file that was written this short a time ago may change again within one tick of the file system's clock, and keep
# its size and times (two seconds on FAT, milliseconds on others). Its digest is not remembered.
SETTLED_AFTER = 2.0  # seconds

MOST = 100_000  # files whose content is looked at: ImageNet's training split has 1.3 million, and 140 GB

Signature = list[int]


def signature(path: Path) -> Signature:
    """Size, times of the content and of the entry in ns, place on the disk. The entry's time cannot be set back."""
    said = path.stat()
    return [said.st_size, said.st_mtime_ns, said.st_ctime_ns, said.st_ino]


def settled(signed: Signature) -> bool:
    return time.time() - max(signed[1], signed[2]) / 1e9 > SETTLED_AFTER


def sha256(path: Path) -> str:
    """Of a file. Read once in a process, unless it has changed."""
    signed = signature(path)
    return _sha256(path.absolute(), tuple(signed)) if settled(signed) else _sha256.__wrapped__(path, ())


@cache
def _sha256(path: Path, signed: tuple[int, ...]) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Contents:
    """Digests of files by their paths, remembered in a file beside what Snakemake remembers."""

    def __init__(self, memory: Path | None = MEMORY):
        """memory: None, then nothing is remembered, and all is read."""
        self.memory, self._new = memory, False
        self._known: dict[str, tuple[Signature, str]] = {}
        if memory is None:
            return
        with suppress(OSError, ValueError, TypeError, AttributeError):  # there is none, or it is damaged: read anew
            said = json.loads(memory.read_text(encoding="utf-8"))
            self._known = {path: (signed, digest) for path, (signed, digest) in said.items()}

    def of(self, path: str | Path) -> str | None:
        """Of a file, or of all files of a folder and their names but hidden ones; None if there is neither."""
        path = Path(path).expanduser()
        if path.is_file():
            digest = self._file(path)
            self._remember()
            return digest
        return self.of_files(path, dict.fromkeys(_listed(path))) if path.is_dir() else None

    def of_files(self, folder: Path, files: Mapping[str, object]) -> str:
        """Of these files of a folder, in this order, and of what is said of each; of very many only their names."""
        whole = hashlib.sha256()
        for name, said in files.items():
            digest = self._file(folder / name) if len(files) <= MOST else None
            whole.update(f"{name} {said} {digest}\n".encode(errors="surrogateescape"))
        self._remember()
        return whole.hexdigest()

    def _file(self, path: Path) -> str:
        name, signed = str(path.absolute()), signature(path)
        if name in self._known and list(self._known[name][0]) == signed:
            return self._known[name][1]
        digest = sha256(path)
        if settled(signed):
            self._known[name], self._new = (signed, digest), True
        return digest

    def _remember(self) -> None:
        """A place that cannot be written to only costs time."""
        if self._new and self.memory is not None:
            with suppress(OSError):
                store.save_text(self.memory, json.dumps(self._known))
            self._new = False


def _listed(folder: Path) -> Iterator[str]:
    """Paths of the files of a folder below it, sorted, without hidden files and folders."""
    for place, _, files in sorted(os.walk(folder)):
        inside = Path(place).relative_to(folder)
        if not any(part.startswith(".") for part in inside.parts):
            yield from sorted(str(inside / name) for name in files if not name.startswith("."))


def named(options: object, key: str = "") -> Iterator[tuple[str, Path]]:
    """(key.of.the.option, path) of every file or folder that options name: text with a `/` or a `.` in it, or under
    `root`, where there is such a file or folder. One that the working directory lies in is none: results are in it."""
    if isinstance(options, dict):
        for name, value in options.items():
            yield from named(value, f"{key}.{name}" if key else str(name))
    elif isinstance(options, list):
        for place, value in enumerate(options):
            yield from named(value, f"{key}.{place}")
    elif isinstance(options, str) and ("/" in options or "." in options or key.rpartition(".")[2] == "root"):
        with suppress(OSError, ValueError, RuntimeError):  # a text too long, with a zero, `~nobody`
            path = Path(options).expanduser()
            if path.is_file() or (path.is_dir() and not Path.cwd().is_relative_to(path.resolve())):
                yield key, path
