"""Tensors on disk: one `.zarr.zip` a stage, complete or not there at all. zarr is used only here.

A store is made in a temporary folder, zipped with sorted entries and a fixed date, and moved into place: equal content
gives equal bytes, so a stage that was made again and came out the same is not new to the next one.

A store holds arrays, or named parts (`seed-0`, `pgd/all/seed-0`), each with arrays of its own: one zarr group a part.

A large stage lies in blocks of images, `images-<first>-<last>.zarr.zip` in one folder, each made by itself. Whoever
reads several gets their arrays as one, put together along the axis that the images are on.
"""

import errno
import hashlib
import io
import math
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from purity.run.codehash import installed_version

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_EPOCH = (1980, 1, 1, 0, 0, 0)

Axes = Mapping[str, int | None]  # by array: the axis that the images are on, None where there is none


@contextmanager
def replacing(path: str | Path) -> Iterator[str]:
    """A temporary path beside `path`, moved over it when the block succeeds, removed when it fails.

    A process killed inside the block leaves only a `.tmp` file, never a `path` that looks complete.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=f".tmp{path.suffix}", dir=path.parent)
        os.close(handle)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise _no_room(path, error) from error
        raise


def _umask() -> int:
    """What this process takes from the rights of new files; it is told only when it is set."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


# The disk or the quota is full, the file too large for the system or the user's limit, the place read-only, broken.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


def _no_room(path: Path, error: OSError) -> OSError:
    """The error with the file, its folder and how much room there is, none of which the system's says."""
    room = ""
    with suppress(OSError):
        room = f" ({shutil.disk_usage(path.parent).free / 2**20:.0f} MiB free)"
    said = f"{path} cannot be written into {path.parent.absolute()}{room}: {error.strerror or error}"
    return OSError(error.errno, f"{said}; make room and run again")


@dataclass(frozen=True)
class Part:
    """Arrays of a store, or of one part of it.

    spec: what they depend on of the config, JSON-able; `keys` in it name what they are about, as tables do.
    """

    spec: dict
    arrays: Mapping[str, np.ndarray]


def save(path: str | Path, spec: dict, axes: Axes | None = None, **arrays: np.ndarray) -> None:
    """Write a store of one nameless part."""
    save_parts(path, {"": Part(spec, arrays)}, axes)


def save_parts(path: str | Path, parts: Mapping[str, Part], axes: Axes | None = None) -> None:
    """Write arrays with the spec that made them; ids (if among them) and versions go into the attributes too.

    axes: for a block of images, the image axis of those arrays in which it is not the first; it becomes the name of a
    zarr dimension.
    """
    import zarr

    memory = zarr.storage.MemoryStore()
    versions = {name: installed_version(name) for name in ("numpy", "torch", "zarr")}
    root = zarr.create_group(memory, attributes={"versions": versions}, zarr_format=3)
    for part, said in parts.items():
        arrays = {name: np.asarray(array, order="C") for name, array in said.arrays.items()}
        attributes = {"spec": said.spec, "content": _content(arrays)}
        if "ids" in arrays:
            attributes["ids"] = arrays["ids"].tolist()
        group = root.create_group(part) if part else root
        group.update_attributes(attributes)
        for name, array in arrays.items():
            named = None
            if axes is not None:
                axis = axes.get(name, 0)
                named = ["image" if k == axis else None for k in range(array.ndim)]
            compressors = _compressors(array)
            group.create_array(name, data=array, chunks=_chunks(array), dimension_names=named, compressors=compressors)
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for key in sorted(memory._store_dict):
            archive.writestr(zipfile.ZipInfo(key, _EPOCH), memory._store_dict[key].to_bytes())
        archive.comment = _seal(archive)


def _content(arrays: Mapping[str, np.ndarray]) -> str:
    """Digest of arrays, their names, kinds and shapes."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        sha.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}\n".encode())
        sha.update(arrays[name].tobytes())
    return sha.hexdigest()


def _seal(archive: zipfile.ZipFile) -> bytes:
    """Digest of the entries' names, sizes and checksums: a lost or renamed chunk would else read as zeros."""
    listed = "".join(f"{e.filename} {e.file_size} {e.CRC}\n" for e in archive.infolist())
    return hashlib.sha256(listed.encode()).hexdigest().encode()


_CHUNK = 32 * 2**20  # bytes


def _chunks(array: np.ndarray) -> tuple[int, ...]:
    """As many whole rows as make up _CHUNK, all of what a block of images has in most stores; of rows that are larger,
    parts (blosc takes no more than 2 GiB)."""
    sides = []
    for axis, side in enumerate(array.shape):
        inner = array.itemsize * math.prod(array.shape[axis + 1 :])
        sides.append(max(1, min(side, _CHUNK // max(1, inner))))
    return tuple(sides)


def _compressors(array: np.ndarray):
    """What pays for floating-point images (benchmarks/storing.py): zstd of their bits in order of weight. For others
    zarr's own."""
    if array.dtype.kind != "f":
        return "auto"
    import numcodecs.blosc
    from zarr.codecs import BloscCodec

    numcodecs.blosc.use_threads = False  # several write their parts in the order in which they are ready
    return BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle", typesize=array.itemsize)


Paths = str | Path | Iterable[str | Path]  # a store, or its blocks in order


def _listed(paths: Paths) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]


def load(paths: Paths, *names: str, part: str = "") -> tuple[np.ndarray, ...]:
    """The named arrays, in that order. ValueError naming the file when it is damaged or lacks one."""
    listed = _listed(paths)
    pieces: list[list[tuple[np.ndarray, int | None]]] = [[] for _ in names]
    for path in listed:
        with _opened(path) as root:
            group = _part_of(root, part, path)
            missing = [name for name in names if name not in group]
            if missing:
                raise ValueError(f"{path} has no array '{missing[0]}'; it has {', '.join(sorted(group.array_keys()))}")
            for piece, name in zip(pieces, names, strict=True):
                axis = None if len(listed) == 1 else _image_axis(group[name], path)
                piece.append((group[name][...], axis))
    return tuple(_together(piece) for piece in pieces)


def _part_of(root, part: str, path: Path):
    if not part:
        return root
    if part not in root:
        raise ValueError(f"{path} has no part '{part}'; it has {', '.join(_parts(root)) or 'none'}")
    return root[part]


def _parts(group, above: str = "") -> list[str]:
    """Names of the parts of a store, in the order of their names; a part has a spec."""
    names = [above] if above and "spec" in group.attrs else []
    for name in sorted(group.group_keys()):
        names += _parts(group[name], f"{above}/{name}" if above else name)
    return names


def _image_axis(array, path: Path) -> int | None:
    named = array.metadata.dimension_names
    if named is None and array.ndim:  # zarr names no dimensions of a number
        raise ValueError(f"{path} is no block of images, yet is read as one of several")
    return named.index("image") if named and "image" in named else None


def _together(parts: list[tuple[np.ndarray, int | None]]) -> np.ndarray:
    """One array of the parts; what all blocks share is that of the first."""
    arrays, (axis, *_) = [array for array, _ in parts], [axis for _, axis in parts]
    return arrays[0] if axis is None else np.concatenate(arrays, axis=axis)


class Stored(Mapping[str, np.ndarray]):
    """The arrays of a store or of one part of it, or of its blocks as one, each read when it is asked for.

    keyed: what it is about, as tables name it. content: a digest of the arrays of each block.
    """

    def __init__(self, paths: Paths, part: str = ""):
        self.paths, self.part = _listed(paths), part
        self.content: list[str] = []
        for path in self.paths:
            with _opened(path) as root:
                group = _part_of(root, part, path)
                self.content.append(group.attrs.get("content", ""))
                if path is self.paths[0]:
                    self.spec = dict(group.attrs["spec"])
                    self._names = sorted(group.array_keys())
        self.keyed = dict(self.spec.get("keys", {}))
        self._read: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._read:
            (self._read[name],) = load(self.paths, name, part=self.part)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def parts(paths: Paths) -> list[Stored]:
    """A Stored for each part of a store, or of its blocks as one; the store itself if it has no parts."""
    with _opened(_listed(paths)[0]) as root:
        names = _parts(root) or [""]
    return [Stored(paths, name) for name in names]


def gathered(paths: Iterable[str | Path]) -> list[Stored]:
    """The parts of every store, blocks of one folder as one; in the order of `paths`, in which blocks are together."""
    of_store = groupby(map(Path, paths), lambda path: path.parent if path.name.startswith("images-") else path)
    return [part for _, blocks in of_store for part in parts(list(blocks))]


def spec(path: str | Path) -> dict:
    """The spec that made a store."""
    return Stored(path).spec


def earlier(path: str | Path) -> Path:
    """Where the store that was made last is found again after Snakemake has removed it: a second name of the file."""
    path = Path(path)
    return path.with_name(f".{path.name}")


def remember(path: str | Path) -> None:
    """Give a finished store that second name. It takes no space; where a file system has no hard links, it is left."""
    before = earlier(path)
    before.unlink(missing_ok=True)
    with suppress(OSError):
        os.link(path, before)


@contextmanager
def _opened(path):
    import zarr

    if not Path(path).is_file():
        raise ValueError(f"{path} does not exist")
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.comment != _seal(archive):
                raise zipfile.BadZipFile("its entries are not those that were written")
        with zarr.storage.ZipStore(path, mode="r") as store:
            yield zarr.open_group(store, mode="r")
    except PermissionError:
        raise
    # zipfile raises many kinds at a damaged header
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, KeyError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it and run again") from error


# Columns of names: a purifier may be called `none`, `007` or `NA`.
_NAMES = (
    "purifier",
    "attack",
    "family",
    "vanilla",
    "again_of",
    "knowledge",
    "other",
    "other_knowledge",
    "seed",
    "case",
)


def save_table(path: str | Path, table: "pd.DataFrame") -> None:
    """A tidy table as CSV, every digit kept."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


def load_table(path: str | Path) -> "pd.DataFrame":
    """The same read back. ValueError naming the file if it is no table."""
    import pandas as pd

    try:
        return pd.read_csv(path, dtype=dict.fromkeys(_NAMES, str), keep_default_na=False, na_values=[""])
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it and run again") from error


def save_text(path: str | Path, text: str) -> None:
    """A text file, in one move."""
    with replacing(path) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")


def save_figure(figure: "Figure", png: str | Path, pdf: str | Path) -> None:
    """A figure as PNG and as PDF, without the date of the day: equal figures give equal files."""
    for path, kind, metadata in (
        (png, "png", {"Software": None}),
        (pdf, "pdf", {"CreationDate": None, "Producer": None, "Creator": None}),
    ):
        drawn = io.BytesIO()
        figure.savefig(drawn, format=kind, metadata=metadata)
        with replacing(path) as temporary:
            Path(temporary).write_bytes(drawn.getvalue())
