"""Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747) from the IDX files that MNIST came in, packed by gzip or not.

An IDX file (LeCun's description of MNIST): two zero bytes, the type of a number (8: bytes), the number of axes, the
length of each as a 32-bit big-endian whole number, then the numbers.
"""

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np

from purity.data import Images, torchvision

CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]

# SHA-256 of what is inside: packed files differ from mirror to mirror.
FASHION = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}

_PARTS = {"train": "train", "test": "t10k"}


def fashion_mnist(
    split: str,
    n: int | None = None,
    *,
    root: str = "~/.cache/purity/data",
    package: str = "/usr/share/datasets/fashion-mnist",
    download: bool = True,
) -> Images:
    """60,000 and 10,000 grey images of clothes, 28×28, in the order of the files; ids: places in that order.

    The four files are taken from root/FashionMNIST/raw, where torchvision puts them, else from `package`, where
    Debian's package dataset-fashion-mnist does; if neither is there and `download`, torchvision fetches them to root.
    ValueError: they cannot be had, one is damaged, or holds something else.
    """
    unpacked = Path(root).expanduser() / "FashionMNIST" / "raw"
    images, labels = (f"{_PARTS[split]}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
    if not (_there(unpacked, images) or _there(Path(package), images)):
        _fetch(root, package, download)
    folder = unpacked if _there(unpacked, images) else Path(package)
    x, y = (read(folder, name, FASHION[name]) for name in (images, labels))
    return np.divide(x[:n, None], 255, dtype=np.float32), y[:n].astype(np.int64), np.arange(len(x[:n]))


def fashion_mnist_classes(split: str, **options) -> list[str]:
    """Names by label."""
    return CLASSES


def read(folder: Path, name: str, sha256: str) -> np.ndarray:
    """The bytes (uint8) that the IDX file `name`, or `name`.gz, in a folder holds, in the shape that it says.

    ValueError: no such file, it cannot be unpacked, its content has another digest, or is no IDX file of bytes.
    """
    path = _there(folder, name)
    if path is None:
        raise ValueError(f"{folder} has no {name}, packed (.gz) or not")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{path} is damaged or holds something else: its content has another SHA-256 than {sha256}")
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is no IDX file of bytes")
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _there(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _fetch(root: str, package: str, download: bool) -> None:
    remedy = f"install Debian's package dataset-fashion-mnist ({package}), or put its four files into {root}"
    try:
        if not download:
            raise ValueError("they are not there, and download is false")
        torchvision("train", 1, name="FashionMNIST", root=root)
    except ValueError as error:
        raise ValueError(f"the files of Fashion-MNIST cannot be had; {remedy}/FashionMNIST/raw ({error})") from error
