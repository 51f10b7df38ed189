"""Images by name. A loader is a function `(split, n, **options) → x, y, ids`.

split: "train" or "test". n: the first so many images, or all there are if they are fewer or n is None; what lies behind
them is not decoded. x (N, C, H, W) float32 in [0, 1], y (N,) int64; ids (N,) int64: the place of each image in the
whole split, the same for any n. Name an importable function of this kind in the config to bring your own images; what
it promises is in docs/contract.md. A function `<loader>_classes(split, **options)` beside it may give the names of its
classes by label. Those here that read a file for each image have `<loader>_files(split, n, **options)`, which are
these; those that read all of a split from one file or folder have `<loader>_source(split, **options)`.
"""

import copy
import csv
import fcntl
import hashlib
import inspect
import io
import json
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from purity.run.rules import broken

if TYPE_CHECKING:
    from PIL import Image

Images = tuple[np.ndarray, np.ndarray, np.ndarray]

# Folders that operating systems and tools leave behind; those with a leading dot do not count either.
_LEFT_BEHIND = {"__MACOSX", "__pycache__", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information"}

# Of image files: torchvision's IMG_EXTENSIONS, without torchvision, which planning a run has no time for.
_ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

_SPLITS = ("train", "val", "test")

_WNID = re.compile(r"n\d{8}")

MODES = {1: "L", 3: "RGB"}


def digits(split: str, n: int | None = None) -> Images:
    """The 1,797 handwritten 8×8 digits inside scikit-learn (Alpaydin & Kaynak 1998), grey levels 0 … 16.

    split: every sixth image is a test image, so that every writer appears on both sides. ids: place in the data set.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    x = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    chosen = _digits_of(split)[:n]
    return x[chosen], labels[chosen].astype(np.int64), chosen


def _digits_of(split: str) -> np.ndarray:
    ids = np.arange(1797)
    return ids[ids % 6 == 0] if split == "test" else ids[ids % 6 != 0]


def digits_count(split: str) -> int:
    """How many there are."""
    return len(_digits_of(split))


def digits_classes(split: str) -> list[str]:
    """Names by label."""
    return [str(digit) for digit in range(10)]


def torchvision(
    split: str,
    n: int | None,
    *,
    name: str,
    root: str,
    download: bool = True,
    splits: dict[str, str] | None = None,
    resize: int | None = None,
    crop: int | None = None,
    seed: int | None = None,
) -> Images:
    """The classification set `torchvision.datasets.<name>` in the folder root, in torchvision's order.

    download: fetch what root lacks; torchvision verifies it. splits: what the set calls its parts where it is not
    "train" and "test", e.g. {"test": "val"}. resize, crop: as in `folder`. seed: of a permutation of the images; many
    sets begin with all images of one class. ids are places in torchvision's order.
    ValueError if torchvision has no such set, cannot make it from root or an image of it cannot be read.
    """
    made = _torchvision_set(split, name=name, root=root, download=download, splits=splits)
    places = np.arange(len(made)) if seed is None else np.random.default_rng(seed).permutation(len(made))
    x, y, _ = _decoded(_items(made, f"torchvision's {name}, {split}", places[:n]), resize, crop)
    return x, y, places[: len(x)].astype(np.int64)


def _torchvision_set(split: str, *, name: str, root: str, download: bool = True, splits: dict | None = None):
    from torchvision import datasets

    kind = getattr(datasets, name, None)
    if not inspect.isclass(kind):
        raise ValueError(f"torchvision has no data set '{name}'; torchvision.datasets lists those it has")
    accepted = {key for ancestor in kind.__mro__ for key in inspect.signature(ancestor.__init__).parameters}
    if not accepted & {"train", "split"}:
        raise ValueError(f"torchvision's {name} has no train and test parts: it takes neither train= nor split=")
    if splits and "split" not in accepted:
        raise ValueError(f"torchvision's {name} takes train=, not split=: leave `splits` out")
    part = {"train": "train", "test": "test", **(splits or {})}[split]
    offered = {"train": split == "train", "split": part, "download": download}
    arguments = {key: value for key, value in offered.items() if key in accepted}
    root = str(Path(root).expanduser())
    try:
        with _locked(root) if arguments.get("download") else nullcontext():
            return kind(root, **arguments)
    except ValueError as error:
        raise ValueError(f"torchvision's {name}: {_line(error)}; `splits` says which part is {split}") from error
    except Exception as error:  # torchvision, urllib, tarfile and gdown raise many kinds
        remedy = _remedy(kind, part)
        raise ValueError(f"torchvision's {name} cannot be had from {root} ({_line(error)}); {remedy}") from error


def torchvision_classes(split: str, *, resize=None, crop=None, seed=None, **options) -> list[str] | None:
    """Names by label, if the set tells them; the options of `torchvision`."""
    return getattr(_torchvision_set(split, **options), "classes", None)


@contextmanager
def _locked(root: str) -> Iterator[None]:
    """root, made if need be, while no other job downloads to it: torchvision's downloads write over each other."""
    Path(root).mkdir(parents=True, exist_ok=True)
    folder = os.open(root, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems lock no folders
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _remedy(kind: type, part: str) -> str:
    if hasattr(kind, "split_list"):  # SVHN, USPS
        url, file, md5 = kind.split_list[part]
    elif hasattr(kind, "tgz_md5"):
        url, file, md5 = kind.url, kind.filename, kind.tgz_md5
    else:
        return "put its files there as torchvision's documentation says"
    return f"put {file} (md5 {md5}, from {url}) there and set download: true, which checks and unpacks it"


def _items(made, what: str, places: Iterable[int]) -> Iterator[tuple[str, "Image.Image", int]]:
    from PIL import Image

    for i in map(int, places):
        try:
            item = made[i]
        except Exception as error:  # as many kinds as there are decoders
            raise ValueError(f"{what} image {i} cannot be read: {_line(error)}") from error
        match item:
            case (Image.Image(mode="L" | "RGB") as image, int() | np.integer() as label):
                yield f"{what} image {i}", image, label
            case _:
                raise ValueError(f"{what} gives no 8-bit images with one class number each")


Listed = tuple[str, str, int]  # of an image: class folder, file name, label


def _by_path(images: Iterable[Listed], seed: int) -> list[Listed]:
    return sorted(images)


def _by_name(images: Iterable[Listed], seed: int) -> list[Listed]:
    return sorted(images, key=lambda image: (image[1], image[0]))


def _balanced(images: Iterable[Listed], seed: int) -> list[Listed]:
    """The first file of every class, the second of every class …"""
    seen: Counter[int] = Counter()
    placed = []
    for image in sorted(images):
        placed.append((seen[image[2]], image[2], image))
        seen[image[2]] += 1
    return [image for _, _, image in sorted(placed)]


def _mixed(images: Iterable[Listed], seed: int) -> list[Listed]:
    """By a digest of seed and path, so that a file that is added moves no other one past another."""
    return sorted(images, key=lambda image: hashlib.sha256(f"{seed}/{image[0]}/{image[1]}".encode()).digest())


ORDERS = {"balanced": _balanced, "path": _by_path, "name": _by_name, "mixed": _mixed}


def folder(
    split: str,
    n: int | None,
    *,
    root: str,
    resize: int | None = None,
    crop: int | None = None,
    order: str = "balanced",
    channels: int = 3,
    classes: Sequence[str | int] | None = None,
    seed: int = 0,
) -> Images:
    """Image files in a folder for each class: root/<split>/<class>/<file>, or root/<class>/<file> without root/<split>.

    Without it both splits are the same images. classes: names of the class folders by label; others do not count.
    Without it all folders of all splits are classes: where all names are whole numbers these are the labels, else they
    are labelled by the alphabet. Names with a leading dot and what systems leave behind never count.
    resize: the shorter side in pixels, bilinear (torchvision); crop: the side of the square kept around the centre.
    order: "balanced", one image of every class after the other, "mixed" by the seed, "path", by class folder, then file
    (torchvision's ImageFolder), or "name", by file name. channels: 3 converts to RGB, 1 to grey.
    ValueError if there are no images, a class has none, a folder is foreign (only some names are numbers; train has no
    such class), a file cannot be read or the images differ in size.
    """
    base, labels, listed = _class_folders(root, split, classes)
    chosen = _in_line(listed, n, order, seed)
    counted = Counter(name for name, _, _ in chosen)
    said = ", ".join(f"{label} {name} ({counted[name]})" for name, label in labels.items())
    logging.info("classes of %s, and images of each: %s", base, said)
    return _read(base, chosen, resize, crop, channels)


def _class_folders(
    root: str, split: str, classes: Sequence[str | int] | None
) -> tuple[Path, dict[str, int], list[Listed]]:
    """The folder of the class folders, labels of the classes, and the images there are."""
    base, labels = _labelled(root, split, classes)
    if base.name != split and any(_is_split(base / name) for name in labels.keys() & {*_SPLITS}):
        said = f"{base} has no class folders with images for {split}; put them into {Path(root) / split}/<class>/"
        raise broken(said, "folders")
    listed = [(name, file, label) for name, label in labels.items() for file in _files(base / name)]
    if not listed:
        raise broken(f"{base} has no class folders with images; put them into {Path(root) / split}/<class>/", "folders")
    absent = sorted(labels.keys() - {name for name, _, _ in listed})
    _refuse_empty(base / name for name in absent if (base / name).is_dir())
    return base, labels, listed


def folder_files(
    split: str,
    n: int | None,
    *,
    root: str,
    order: str = "balanced",
    classes: Sequence[str | int] | None = None,
    seed: int = 0,
    **decoding,
) -> tuple[Path, dict[str, int]]:
    """A folder, and in it the paths of the files that `folder` reads, in its order, with their labels."""
    base, _, listed = _class_folders(root, split, classes)
    return base, {f"{name}/{file}": label for name, file, label in _in_line(listed, n, order, seed)}


def _in_line(listed: list[Listed], n: int | None, order: str, seed: int) -> list[Listed]:
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, not {order!r}")
    return ORDERS[order](listed, seed)[:n]


def _read(base: Path, chosen: list[Listed], resize: int | None, crop: int | None, channels: int) -> Images:
    if channels not in MODES:
        raise ValueError(f"channels must be one of {', '.join(map(str, MODES))}, not {channels!r}")
    paths = ((base / name / file, label) for name, file, label in chosen)
    opened = ((f"image {path}", _opened(path, MODES[channels], f"image {path}"), label) for path, label in paths)
    return _decoded(opened, resize, crop)


def _files(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    for entry in entries:
        if entry.is_dir() and entry.name not in _LEFT_BEHIND and any(_images_below(entry.path)):
            said = f"class folder {folder} has a folder '{entry.name}' with images: move them up, or take it away"
            raise broken(said, "folders")
    return [entry.name for entry in entries if _is_image(entry.name)]


def _is_split(folder: Path) -> bool:
    """Whether it holds folders of images: `train` and `test` may be classes too."""
    return not any(map(_is_image, os.listdir(folder))) and any(_images_below(str(folder)))


def _is_image(file: str) -> bool:
    return file.lower().endswith(_ENDINGS) and not file.startswith(".")


def _images_below(folder: str) -> Iterator[str]:
    return (file for _, _, files in os.walk(folder) for file in files if _is_image(file))


def _labelled(root: str, split: str, classes: Sequence[str | int] | None) -> tuple[Path, dict[str, int]]:
    """The folder of the class folders, and the label of each class, in the order of the labels."""
    base = _base(root, split)
    here = _folders(base)
    others = {} if base == Path(root).expanduser() else _other_splits(base)
    found = sorted(set(here).union(*others.values()))
    if classes is not None:
        names = [str(name) for name in classes]
        if twice := [name for name, times in Counter(names).items() if times > 1]:
            raise broken(f"classes: {twice[0]} is there {names.count(twice[0])} times", "folders")
        if missing := [name for name in names if name not in found]:
            known = ", ".join(found) or "none"
            raise broken(f"classes: there is no folder {base / missing[0]}; there are {known}", "folders")
        if strangers := [name for name in here if name not in names]:
            logging.info("folders of %s that are no classes: %s", base, ", ".join(strangers))
        return base, {name: label for label, name in enumerate(names)}
    strangers = [name for name in here if name not in others.get("train", here)]
    if strangers and len(strangers) < len(here):
        said = f"{base} has a class folder '{strangers[0]}', {base.parent / 'train'} has none"
        raise broken(f"{said}: take it away, or name `classes` in the options", "folders")
    _refuse_empty(base.parent / split / name for split, names in others.items() for name in names if name not in here)
    numbers = [name for name in found if name.isascii() and name.isdigit()]
    if not numbers:
        return base, {name: label for label, name in enumerate(found)}
    if len(numbers) < len(found):
        stranger = next(name for name in found if name not in numbers)
        said = f"{base} has class folders '{numbers[0]}' and '{stranger}', a number and none"
        raise broken(f"{said}: name `classes` in the options, in the order of the labels", "folders")
    labels = {name: int(name) for name in sorted(numbers, key=int)}
    if len(set(labels.values())) < len(labels):
        raise broken(f"{base} has two class folders of the same number: {', '.join(labels)}", "folders")
    return base, labels


def _refuse_empty(folders: Iterable[Path]) -> None:
    """Folders without images, which count as classes and shift the labels of others."""
    for folder in folders:
        if not _files(folder):
            said = f"class folder {folder} holds no images: take it away, or name `classes` in the options"
            raise broken(said, "folders")


def _other_splits(base: Path) -> dict[str, list[str]]:
    beside = {split: base.parent / split for split in _SPLITS if split != base.name}
    return {split: _folders(path) for split, path in beside.items() if path.is_dir()}


def folder_classes(split: str, *, root: str, classes: Sequence[str | int] | None = None, **options) -> list[str]:
    """Names by label, the options of `folder`; a number that no folder has is a class without a name of its own."""
    _, labels = _labelled(root, split, classes)
    names = {label: name for name, label in labels.items()}
    return [names.get(label, str(label)) for label in range(max(names, default=-1) + 1)]


# Arrays in files: of numpy, torch and zarr.


def tensors(
    split: str,
    n: int | None,
    *,
    path: str,
    images: str = "x",
    labels: str = "y",
    channels: str = "first",
    classes: Sequence[str] | None = None,
) -> Images:
    """Images and labels as two arrays of a `.npz`, of a dict in a `.pt` or `.pth`, or of a `.zarr` group (`.zarr.zip`).

    path, images, labels: the file and the names of its arrays; in each `{split}` stands for train or test. A path
    without it is for both. images: (N, C, H, W) or grey (N, H, W), bytes 0 … 255 or floating point in [0, 1]; channels:
    `last` for (N, H, W, C). labels: whole numbers (N,). classes: their names. Nothing pickled is read: `.pt` by
    torch's weights_only.
    ValueError naming the file if it cannot be read, lacks an array or holds other ones.
    """
    file = tensors_source(split, path=path)
    if channels not in ("first", "last"):
        raise ValueError(f"channels must be first or last, not {channels!r}")
    names = [name.replace("{split}", split) for name in (images, labels)]
    x, y = _arrays(file, names, n)
    return _as_images(x, channels, f"{file}: {names[0]}"), *_as_labels(y, len(x), f"{file}: {names[1]}")


def tensors_classes(split: str, *, classes: Sequence[str] | None = None, **options) -> list[str] | None:
    """Names by label, as the options give them."""
    return None if classes is None else list(classes)


def tensors_source(split: str, *, path: str, **options) -> Path:
    """The file."""
    return Path(path.replace("{split}", split)).expanduser()


def _arrays(file: Path, names: list[str], n: int | None) -> list[np.ndarray]:
    """The first n rows of these arrays."""
    readers = {".npz": _of_numpy, ".pt": _of_torch, ".pth": _of_torch, ".zarr": _of_zarr, ".zip": _of_zarr}
    if file.suffix not in readers:
        raise ValueError(f"{file}: arrays are read of .npz, .pt, .pth, .zarr and .zarr.zip, not of {file.name}")
    if not file.exists():
        raise ValueError(f"there is no file {file}; `path` must name the one that holds the images")
    try:
        held = readers[file.suffix](file)
        missing = [name for name in names if name not in held]
        if not missing:
            return [np.asarray(held[name][:n]) for name in names]
        known = ", ".join(sorted(map(str, held)))
    except Exception as error:  # each format has errors of its own
        raise ValueError(f"{file} cannot be read: {_line(error)}") from error
    raise ValueError(f"{file} has no array '{missing[0]}'; it has {known or 'none'}")


def _of_numpy(file: Path) -> Mapping:
    return np.load(file, allow_pickle=False)


def _of_torch(file: Path) -> Mapping:
    import torch

    held = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(held, Mapping):
        raise ValueError(f"it holds a {type(held).__name__}, not a dict of tensors")
    return {name: value for name, value in held.items() if isinstance(value, torch.Tensor)}


def _of_zarr(file: Path) -> Mapping:
    import zarr

    store = zarr.storage.ZipStore(file, mode="r") if file.suffix == ".zip" else file
    members = zarr.open_group(store, mode="r").members(max_depth=None)
    return {name: member for name, member in members if isinstance(member, zarr.Array)}


def _as_images(x: np.ndarray, channels: str, what: str) -> np.ndarray:
    if x.ndim == 3:
        x = x[:, None]
    elif channels == "last" and x.ndim == 4:
        x = x.transpose(0, 3, 1, 2)
    if x.ndim != 4 or x.size == 0:
        raise broken(f"{what} has shape {x.shape}; images are (N, C, H, W)", "image-set")
    if x.shape[1] > 4 and x.shape[3] in MODES:
        raise broken(f"{what} has shape {x.shape}: if the channels come last, say `channels: last`", "image-set")
    if x.dtype == np.uint8:
        return np.divide(x, 255, dtype=np.float32, order="C")
    if x.dtype.kind != "f":
        raise broken(f"{what} is {x.dtype}; images are bytes or floating point in [0, 1]", "image-set")
    if not (np.isfinite(x).all() and x.min() >= 0 and x.max() <= 1):
        said = f"{what} reaches from {x.min():.4g} to {x.max():.4g}; images lie in [0, 1], and are not normalised"
        raise broken(said, "image-set")
    return np.ascontiguousarray(x, dtype=np.float32)


def _as_labels(y: np.ndarray, n: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """y and ids."""
    if y.shape != (n,) or y.dtype.kind not in "iu":
        said = f"{what} is {y.dtype} {y.shape}; labels are whole numbers ({n},)"
        raise broken(said + (": take the argmax of one-hot rows" if y.ndim == 2 else ""), "labels")
    return y.astype(np.int64), np.arange(n)


# Image folders as the Hugging Face library `datasets` has them.

_METADATA = ("metadata.csv", "metadata.jsonl")


def imagefolder(
    split: str,
    n: int | None,
    *,
    root: str,
    splits: dict[str, str] | None = None,
    label: str = "label",
    classes: Sequence[str | int] | None = None,
    resize: int | None = None,
    crop: int | None = None,
    order: str = "balanced",
    channels: int = 3,
    seed: int = 0,
) -> Images:
    """A Hugging Face image folder on disk: root/<split>/<class>/<file>, or files listed in root/<split>/metadata.csv or
    .jsonl with `file_name` and the column `label`.

    splits: what a split is called where it is not "train" and "test", e.g. {"test": "validation"}. Names of classes are
    labelled by the alphabet, over both splits, numbers among folders too, as that library does it; or in the order of
    `classes`. Whole numbers in metadata are labels. The rest as in `folder`. What that library writes itself: `arrow`.
    ValueError as in `folder`, and naming the metadata if they are not such.
    """
    base, images = _of_imagefolder(split, root, splits, label, classes)
    return _read(base, _in_line(images, n, order, seed), resize, crop, channels)


def imagefolder_files(
    split: str,
    n: int | None,
    *,
    root: str,
    splits: dict[str, str] | None = None,
    label: str = "label",
    classes: Sequence[str | int] | None = None,
    order: str = "balanced",
    seed: int = 0,
    **decoding,
) -> tuple[Path, dict[str, int]]:
    """A folder, and in it the paths of the files that `imagefolder` reads, in its order, with their labels."""
    base, images = _of_imagefolder(split, root, splits, label, classes)
    return base, {str(Path(name) / file): label for name, file, label in _in_line(images, n, order, seed)}


def _of_imagefolder(
    split: str, root: str, splits: dict[str, str] | None, label: str, classes: Sequence[str | int] | None
) -> tuple[Path, list[Listed]]:
    called = _called(splits)
    base = _base(root, called[split])
    listed = _listed_in_metadata(base, label)
    if listed is None:
        parts = {part: _folders(_base(root, part)) for part in called.values()}
        if classes is None:
            _refuse_empty(_base(root, part) / name for part, names in parts.items() for name in names)
        names = classes or sorted({name for names in parts.values() for name in names})
        base, _, images = _class_folders(root, called[split], names)
        return base, images
    labels = _metadata_labels(root, called, label, classes)
    images = []
    for name, said in listed:
        if str(said) not in labels:
            raise broken(f"{base}: image {name} is of class '{said}', which is not among `classes`", "folders")
        images.append((str(Path(name).parent), Path(name).name, labels[str(said)]))
    return base, images


def _called(splits: dict[str, str] | None) -> dict[str, str]:
    return {"train": "train", "test": "test", **(splits or {})}


def imagefolder_classes(
    split: str, *, root: str, splits: dict | None = None, label: str = "label", classes=None, **options
) -> list[str] | None:
    """Names by label; None where metadata give numbers."""
    called = _called(splits)
    if classes is not None:
        return [str(name) for name in classes]
    if _listed_in_metadata(_base(root, called[split]), label) is None:
        return sorted({name for part in called.values() for name in _folders(_base(root, part))})
    labels = _metadata_labels(root, called, label, None)
    return None if all(name == str(number) for name, number in labels.items()) else list(labels)


def _metadata_labels(root: str, called: Mapping, label: str, classes: Sequence | None) -> dict[str, int]:
    """The label of each class that the metadata of any split name."""
    parts = (_listed_in_metadata(_base(root, part), label) for part in called.values())
    said = {name for part in parts for _, name in part or []}
    named = {str(name): k for k, name in enumerate(classes or [])}
    if all(isinstance(name, int) for name in said):
        numbers = {str(name): int(name) for name in said}
        return named if named.keys() >= numbers.keys() else numbers
    return named or {name: k for k, name in enumerate(sorted(map(str, said)))}


def _listed_in_metadata(base: Path, label: str) -> list[tuple[str, str | int]] | None:
    """(file, class) of each image; None if there are no metadata."""
    file = next((base / name for name in _METADATA if (base / name).is_file()), None)
    if file is None:
        return None
    try:
        with open(file, encoding="utf-8", newline="") as lines:
            filled = (line for line in lines if line.strip())
            rows = list(csv.DictReader(lines)) if file.suffix == ".csv" else [json.loads(line) for line in filled]
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{file} cannot be read: {_line(error)}") from error
    listed: list[tuple[str, str | int]] = []
    for row in rows:
        for column in ("file_name", label):
            if not isinstance(row, Mapping) or row.get(column) in (None, ""):
                has = ", ".join(row) if isinstance(row, Mapping) else type(row).__name__
                raise ValueError(f"{file}: line {len(listed) + 1} has no '{column}'; it has {has}")
        said = str(row[label])
        listed.append((str(row["file_name"]), int(said) if said.isascii() and said.isdigit() else said))
    if len({isinstance(name, int) for _, name in listed}) > 1:
        raise ValueError(f"{file}: some of '{label}' are numbers and some are not; name `classes` in the options")
    return listed


# Tables of images, as the Hugging Face library `datasets` saves and publishes them.


def arrow(
    split: str,
    n: int | None,
    *,
    root: str,
    splits: dict[str, str] | None = None,
    image: str = "image",
    label: str = "label",
    resize: int | None = None,
    crop: int | None = None,
    channels: int = 3,
    seed: int | None = None,
) -> Images:
    """Images and labels in the columns `image` and `label` of arrow or parquet files, in their order.

    root: what `save_to_disk` of the library `datasets` wrote; or a published data set's folder with
    <split>-….parquet in it or in its `data`, or <split>/….parquet. splits: what a split is called where it is not
    "train" and "test"; a data set that was saved without splits is both. resize, crop, channels: as in `folder`. seed:
    of a permutation of the images; many sets begin with all images of one class. ids are places in the files' order.
    Read by the library pyarrow. ValueError: it is not installed, or naming the file, column or image that is not such.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        said = "the library pyarrow is not installed; `uv pip install pyarrow` in this environment brings it"
        raise ValueError(f"images of {root}: {said}") from error
    if channels not in MODES:
        raise ValueError(f"channels must be one of {', '.join(map(str, MODES))}, not {channels!r}")
    files = _tables_of(split, root, splits)
    last = np.cumsum([_rows_of(file) for file in files])
    places = np.arange(last[-1]) if seed is None else np.random.default_rng(seed).permutation(last[-1])
    places = places[:n].astype(np.int64)
    x, y, _ = _decoded(_cells(files, last, places, image, label, MODES[channels]), resize, crop)
    return x, y, places


def arrow_classes(
    split: str, *, root: str, splits: dict | None = None, label: str = "label", **options
) -> list[str] | None:
    """Names by label, where the files tell them."""
    told = (_schema(_tables_of(split, root, splits)[0]).metadata or {}).get(b"huggingface", b"{}")
    return json.loads(told).get("info", {}).get("features", {}).get(label, {}).get("names")


def arrow_source(split: str, *, root: str, splits: dict | None = None, **options) -> Path:
    """The folder."""
    return Path(root).expanduser()


def _tables_of(split: str, root: str, splits: dict[str, str] | None) -> list[Path]:
    """The files of a split, in order."""
    part, base = _called(splits)[split], arrow_source(split, root=root)
    for folder, name in ((base / part, "*"), (base, f"{part}*"), (base / "data", f"{part}*"), (base, "data-*")):
        for ending in (".arrow", ".parquet"):
            if files := sorted(folder.glob(name + ending)):
                return files
    said = f"{part}/*.arrow, {part}*.parquet or data/{part}*.parquet"
    raise broken(f"{base} has no {said}; `splits` says what the {split} split is called", "folders")


@contextmanager
def _table(file: Path) -> Iterator:
    """Of parquet a ParquetFile, else a reader of arrow's stream, or of its file."""
    import pyarrow
    import pyarrow.parquet

    try:
        if file.suffix == ".parquet":
            with pyarrow.parquet.ParquetFile(file) as table:
                yield table
            return
        with pyarrow.memory_map(str(file)) as source:
            try:
                table = pyarrow.ipc.open_stream(source)
            except pyarrow.ArrowInvalid:
                table = pyarrow.ipc.open_file(source)
            yield table
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{file} cannot be read: {_line(error)}") from error


def _schema(file: Path):
    with _table(file) as table:
        return table.schema_arrow if file.suffix == ".parquet" else table.schema


def _rows_of(file: Path) -> int:
    with _table(file) as table:
        return table.metadata.num_rows if file.suffix == ".parquet" else table.read_all().num_rows


def _cells(
    files: list[Path], last: np.ndarray, places: np.ndarray, image: str, label: str, mode: str
) -> Iterator[tuple[str, "Image.Image", int]]:
    """(name, image, label) of these rows, in this order; each file is read once, and of it only those rows are kept."""
    of_file = np.searchsorted(last, places, side="right")
    rows: dict[int, tuple] = {}
    for k in np.unique(of_file):
        first = last[k - 1] if k else 0
        wanted = places[of_file == k]
        with _table(files[k]) as table:
            names = _schema(files[k]).names
            if missing := [column for column in (image, label) if column not in names]:
                said = f"has no column '{missing[0]}'; it has {', '.join(names)}"
                raise broken(f"{files[k]} {said}: say `image` and `label` in the options", "image-set")
            whole = table.read(columns=[image, label]) if files[k].suffix == ".parquet" else table.read_all()
            chosen = whole.take(wanted - first)
            cells = zip(chosen[image].to_pylist(), chosen[label].to_pylist(), strict=True)
            rows |= dict(zip(wanted.tolist(), ((files[k], *cell) for cell in cells), strict=True))
    for place in places.tolist():
        file, cell, number = rows.pop(place)
        what = f"{file}: image {place}"
        if not isinstance(number, int):
            raise broken(f"{what} has the label {number!r}; labels are whole numbers from 0", "labels")
        data = cell.get("bytes") if isinstance(cell, Mapping) else cell
        if not isinstance(data, bytes):
            raise broken(f"{what} holds no encoded image in the column '{image}'", "image-set")
        yield what, _opened(io.BytesIO(data), mode, what), number


def imagenet(
    split: str, n: int | None, *, root: str, resize: int | None = 256, crop: int | None = 224, order: str = "name"
) -> Images:
    """ImageNet's ILSVRC2012 images: root/val/<wnid>/<file> is the test split, or root/<wnid>/<file> if there is no val.

    Labels are places among the 1,000 sorted wnids. order: "name" is the validation set's own numbering, which mixes the
    classes; "path" begins with all images of the first class. resize, crop: as in `folder`.
    ValueError unless there are 1,000 class folders, and as in `folder`.
    """
    base, listed = _of_wnids(split, root)
    return _read(base, _in_line(listed, n, order, 0), resize, crop, 3)


def _of_wnids(split: str, root: str) -> tuple[Path, list[Listed]]:
    base, wnids = _wnids(split, root)
    listed = [(wnid, file, label) for label, wnid in enumerate(wnids) for file in _files(base / wnid)]
    if not listed:
        raise broken(f"{base} has no class folders with images", "folders")
    return base, listed


def imagenet_files(
    split: str, n: int | None, *, root: str, order: str = "name", **decoding
) -> tuple[Path, dict[str, int]]:
    """A folder, and in it the paths of the files that `imagenet` reads, in its order, with their labels."""
    base, listed = _of_wnids(split, root)
    return base, {f"{wnid}/{file}": label for wnid, file, label in _in_line(listed, n, order, 0)}


def _wnids(split: str, root: str) -> tuple[Path, list[str]]:
    base = _base(root, {"train": "train", "test": "val"}[split])
    wnids = _folders(base)
    if len(wnids) != 1000:
        raise ValueError(f"{base} has {len(wnids)} class folders, ImageNet needs one for each of its 1000 wnids")
    if strangers := [name for name in wnids if not _WNID.fullmatch(name)]:
        raise broken(f"{base} has a folder '{strangers[0]}', which is no wnid; take it away", "folders")
    return base, wnids


def imagenet_classes(split: str, *, root: str, **options) -> list[str]:
    """The wnids by label."""
    return _wnids(split, root)[1]


def _base(root: str, part: str) -> Path:
    """The folder of the class folders."""
    root = Path(root).expanduser()
    base = root / part if (root / part).is_dir() else root
    if not base.is_dir():
        raise ValueError(f"{root} is no folder; `root` must name the one that holds the images")
    return base


def _folders(base: Path) -> list[str]:
    """Names of the class folders, sorted."""
    entries = (entry for entry in os.scandir(base) if entry.is_dir())
    return sorted(entry.name for entry in entries if entry.name[0] != "." and entry.name not in _LEFT_BEHIND)


def _opened(file: Path | io.BytesIO, mode: str, what: str) -> "Image.Image":
    from PIL import Image

    try:
        with Image.open(file) as image:
            if image.mode[0] not in "IF":  # more than 8 bits, which `convert` would cut off at 255
                return image.convert(mode)
    except Exception as error:  # PIL raises many kinds at a damaged file
        raise ValueError(f"{what} cannot be read: {_line(error)}") from error
    raise ValueError(f"{what} has more than 8 bits a channel; convert it to 8")


def _decoded(images: Iterable[tuple[str, "Image.Image", int]], resize: int | None, crop: int | None) -> Images:
    """(name, image, label) of each → x, y, ids. Held as bytes until the end: a quarter of the memory.

    ValueError if an image is smaller than the crop, or of another shape than those before it.
    """
    from torchvision.transforms import functional

    pixels, labels = [], []
    for name, image, label in images:
        if resize is not None:
            image = functional.resize(image, resize)
        if crop is not None:
            if min(image.size) < crop:
                raise ValueError(f"{name} is smaller than crop: {crop}; give a resize of at least that")
            image = functional.center_crop(image, crop)
        pixels.append(np.asarray(image).reshape(image.height, image.width, -1))
        labels.append(label)
        if pixels[-1].shape != pixels[0].shape:
            raise ValueError(f"{name} is of another shape than those before it; give resize and crop")
    x = np.divide(np.stack(pixels).transpose(0, 3, 1, 2), 255, dtype=np.float32, order="C")
    return x, np.array(labels, dtype=np.int64), np.arange(len(x))


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def subset(x: np.ndarray, y: np.ndarray, ids: np.ndarray, first: int, last: int) -> Images:
    """Images first … last, counted from 0: the papers take the first n, here in blocks. ValueError if too few."""
    if last >= len(x):
        raise broken(f"images: {last + 1} asked for, the test split has {len(x)}", "enough-images")
    chosen = slice(first, last + 1)
    return x[chosen], y[chosen], ids[chosen]


def class_names(load: Callable, split: str, options: Mapping) -> list[str] | None:
    """Names of a loader's classes by label, if a function `<loader>_classes` beside it tells them."""
    beside = sys.modules.get(getattr(load, "__module__", ""))
    told = getattr(beside, f"{getattr(load, '__name__', '')}_classes", None)
    names = None if told is None else told(split, **options)
    return None if names is None else [str(name) for name in names]


def check_same(x: np.ndarray, y: np.ndarray, ids: np.ndarray, first: Images, name: str) -> None:
    """Refuse images, asked for by one job, that do not begin with those that another one was given: ValueError."""
    for said, array, before in zip(("images", "labels", "ids"), (x, y, ids), first, strict=True):
        if not np.array_equal(array[: len(before)], before):
            reason = f"other {said} than in the job of the first block; shuffle by a seed of the options"
            raise broken(f"dataset '{name}': {reason}, delete the data and run again", "same-images")


def check_images(x: np.ndarray, y: np.ndarray, ids: np.ndarray, name: str) -> None:
    """Refuse what is no image set: ValueError naming it."""
    what = f"dataset '{name}'"
    for said, array in (("images", x), ("labels", y), ("ids", ids)):
        if not isinstance(array, np.ndarray):
            raise broken(f"{what}: {said} must be a numpy array, not {type(array).__name__}", "image-set")
    if x.ndim != 4 or x.dtype != np.float32:
        raise broken(f"{what}: images must be float32 (N, C, H, W), not {x.dtype} {x.shape}", "image-set")
    if x.size == 0:
        raise broken(f"{what}: there are no images, or none with a pixel: shape {x.shape}", "image-set")
    if x.shape[1] > 4 and x.shape[3] in MODES:
        raise broken(f"{what}: images are (N, C, H, W), channels first, not {x.shape}", "image-set")
    if not (np.isfinite(x).all() and x.min() >= 0 and x.max() <= 1):
        raise broken(f"{what}: images must be finite and lie in [0, 1]", "image-set")
    if y.ndim != 1 or y.dtype != np.int64:
        raise broken(f"{what}: labels must be int64 (N,), not {y.dtype} {y.shape}", "labels")
    if len(y) == len(x) and y.min() < 0:
        raise broken(f"{what}: labels count from 0, there is {y.min()}", "labels")
    if not len(x) == len(y) == len(ids) or len(set(ids.tolist())) != len(ids):
        raise broken(f"{what}: every image needs one label and an id of its own", "image-set")
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= 2**32:
        raise broken(f"{what}: ids must be whole numbers (N,) from 0 to 2³² − 1", "image-set")
    if len(y) > 1 and (y == y[0]).all():
        logging.warning("%s: all %d images are of class %d; is there an order that mixes them?", what, len(y), y[0])


def check_loader(load: Callable, split: str, n: int, options: Mapping, name: str) -> Images:
    """The first n images of a split, asked for twice. ValueError: not the same twice, fewer than n, others when fewer
    are asked for, no image set."""
    who = f"dataset '{name}'"
    first = _loaded(load, split, n, options, name)
    if len(first[0]) < n:
        raise broken(f"{who}: {n} images asked for, its {split} split has {len(first[0])}", "enough-images")
    if len(first[0]) > n:
        raise broken(f"{who}: {n} images asked for, it gives {len(first[0])}", "first-n")
    again = _loaded(load, split, n, options, name)
    for said, a, b in zip(("images", "labels", "ids"), first, again, strict=True):
        if not np.array_equal(a, b):
            raise broken(f"{who}: other {said} when asked again; shuffle by a seed of the options", "same-images")
    few = max(1, n // 2)
    for said, a, b in zip(("images", "labels", "ids"), _loaded(load, split, few, options, name), first, strict=True):
        if not np.array_equal(a, b[:few]):
            raise broken(f"{who}: {few} images asked for are not the first {few} of {n} ({said} differ)", "first-n")
    return first


def training_images(load: Callable, options: Mapping, name: str) -> Images:
    """The whole training split, held to the contract of loaders. ValueError naming it."""
    return _loaded(load, "train", None, options, name)


def _loaded(load: Callable, split: str, n: int | None, options: Mapping, name: str) -> Images:
    try:
        given = load(split, n, **copy.deepcopy(dict(options)))
    except (OSError, MemoryError):
        raise
    except (Exception, SystemExit) as error:  # a user's code raises what it likes
        if isinstance(error, ValueError) and getattr(load, "__module__", "").startswith("purity."):
            raise  # it names its file
        said = f"dataset '{name}' cannot be loaded: {type(error).__name__}: {error}"
        raise broken(said, "image-set") from error
    if not isinstance(given, tuple | list) or len(given) != 3:
        raise broken(f"dataset '{name}' gives {_described(given)}, not x, y, ids", "image-set")
    check_images(*given, name)
    return tuple(given)


def _described(given: object) -> str:
    if isinstance(given, tuple | list):
        return f"{type(given).__name__} of {', '.join(type(member).__name__ for member in given) or 'nothing'}"
    return type(given).__name__
