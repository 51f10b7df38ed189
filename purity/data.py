"""Images by name. A loader is a function `(split, n, **options) → x, y, ids`.

split: "train" or "test". n: the first so many images, or all there are if they are fewer or n is None; what lies behind
them is not decoded. x (N, C, H, W) float32 in [0, 1], y (N,) int64; ids (N,) int64: the place of each image in the
whole split, the same for any n. Name an importable function of this kind in the config to bring your own images.
"""

import fcntl
import inspect
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

Images = tuple[np.ndarray, np.ndarray, np.ndarray]

# How the images of class folders are put in line, each given as (class folder, file name, label).
ORDERS = {"path": lambda image: image, "name": lambda image: (image[1], image[0])}

MODES = {1: "L", 3: "RGB"}


def digits(split: str, n: int | None = None) -> Images:
    """The 1,797 handwritten 8×8 digits inside scikit-learn (Alpaydin & Kaynak 1998), grey levels 0 … 16.

    split: every sixth image is a test image, so that every writer appears on both sides. ids: place in the data set.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    x = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    ids = np.arange(len(x))
    chosen = (ids[ids % 6 == 0] if split == "test" else ids[ids % 6 != 0])[:n]
    return x[chosen], labels[chosen].astype(np.int64), chosen


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
) -> Images:
    """The classification set `torchvision.datasets.<name>` in the folder root, in torchvision's order.

    download: fetch what root lacks; torchvision verifies it. splits: what the set calls its parts where it is not
    "train" and "test", e.g. {"test": "val"}. resize, crop: as in `folder`.
    ValueError if torchvision has no such set, cannot make it from root or an image of it cannot be read.
    """
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
            made = kind(root, **arguments)
    except ValueError as error:
        raise ValueError(f"torchvision's {name}: {_line(error)}; `splits` says which part is {split}") from error
    except Exception as error:  # torchvision, urllib, tarfile and gdown raise many kinds
        remedy = _remedy(kind, part)
        raise ValueError(f"torchvision's {name} cannot be had from {root} ({_line(error)}); {remedy}") from error
    return _decoded(_items(made, f"torchvision's {name}, {split}", n), resize, crop)


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


def _items(made, what: str, n: int | None) -> Iterator[tuple[str, "Image.Image", int]]:
    from PIL import Image

    for i in range(len(made))[:n]:
        try:
            item = made[i]
        except Exception as error:  # as many kinds as there are decoders
            raise ValueError(f"{what} image {i} cannot be read: {_line(error)}") from error
        match item:
            case (Image.Image(mode="L" | "RGB") as image, int() | np.integer() as label):
                yield f"{what} image {i}", image, label
            case _:
                raise ValueError(f"{what} gives no 8-bit images with one class number each")


def folder(
    split: str,
    n: int | None,
    *,
    root: str,
    resize: int | None = None,
    crop: int | None = None,
    order: str = "path",
    channels: int = 3,
) -> Images:
    """Image files in a folder for each class: root/<split>/<class>/<file>, or root/<class>/<file> without root/<split>.

    Without it both splits are the same images. Labels are the places of the class folders' sorted names; names with a
    leading dot do not count. resize: the shorter side in pixels, bilinear (torchvision); crop: the side of the square
    kept around the centre. order: "path", by class folder, then file (torchvision's ImageFolder), or "name", by file
    name. channels: 3 converts to RGB, 1 to grey.
    ValueError if a folder has no images, a file cannot be read or the images differ in size.
    """
    from torchvision.datasets.folder import IMG_EXTENSIONS

    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, not {order!r}")
    if channels not in MODES:
        raise ValueError(f"channels must be one of {', '.join(map(str, MODES))}, not {channels!r}")
    base, classes = _classes(root, split)
    files = [
        (name, file, label)
        for label, name in enumerate(classes)
        for file in os.listdir(base / name)
        if file.lower().endswith(IMG_EXTENSIONS) and not file.startswith(".")
    ]
    if not files:
        raise ValueError(f"{base} has no class folders with images; put them into {Path(root) / split}/<class>/")
    chosen = sorted(files, key=ORDERS[order])[:n]
    paths = ((base / name / file, label) for name, file, label in chosen)
    opened = ((f"image {path}", _opened(path, MODES[channels]), label) for path, label in paths)
    return _decoded(opened, resize, crop)


def imagenet(
    split: str, n: int | None, *, root: str, resize: int | None = 256, crop: int | None = 224, order: str = "name"
) -> Images:
    """ImageNet's ILSVRC2012 images: root/val/<wnid>/<file> is the test split, or root/<wnid>/<file> if there is no val.

    Labels are places among the 1,000 sorted wnids. order: "name" is the validation set's own numbering, which mixes the
    classes; "path" begins with all images of the first class. resize, crop: as in `folder`.
    ValueError unless there are 1,000 class folders, and as in `folder`.
    """
    part = {"train": "train", "test": "val"}[split]
    base, classes = _classes(root, part)
    if len(classes) != 1000:
        raise ValueError(f"{base} has {len(classes)} class folders, ImageNet needs one for each of its 1000 wnids")
    return folder(part, n, root=root, resize=resize, crop=crop, order=order)


def _classes(root: str, part: str) -> tuple[Path, list[str]]:
    """The folder of the class folders and their names, sorted. ValueError if there is no such folder."""
    root = Path(root).expanduser()
    base = root / part if (root / part).is_dir() else root
    if not base.is_dir():
        raise ValueError(f"{root} is no folder; `root` must name the one that holds the images")
    return base, sorted(entry.name for entry in os.scandir(base) if entry.is_dir() and entry.name[0] != ".")


def _opened(path: Path, mode: str) -> "Image.Image":
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode[0] not in "IF":  # more than 8 bits, which `convert` would cut off at 255
                return image.convert(mode)
    except Exception as error:  # PIL raises many kinds at a damaged file
        raise ValueError(f"image {path} cannot be read: {_line(error)}") from error
    raise ValueError(f"image {path} has more than 8 bits a channel; convert it to 8")


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
        raise ValueError(f"images: {last + 1} asked for, the test split has {len(x)}")
    chosen = slice(first, last + 1)
    return x[chosen], y[chosen], ids[chosen]


def check_images(x: np.ndarray, y: np.ndarray, ids: np.ndarray, name: str) -> None:
    """ValueError naming the data set, unless x (N, C, H, W) is float32, finite, in [0, 1], with labels and ids."""
    if x.ndim != 4 or x.dtype != np.float32:
        raise ValueError(f"dataset '{name}': images must be float32 (N, C, H, W), not {x.dtype} {x.shape}")
    if not (np.isfinite(x).all() and x.min() >= 0 and x.max() <= 1):
        raise ValueError(f"dataset '{name}': images must be finite and lie in [0, 1]")
    if not len(x) == len(y) == len(ids) or len(set(ids.tolist())) != len(ids):
        raise ValueError(f"dataset '{name}': every image needs one label and an id of its own")
