"""Fashion-MNIST's files: both layouts, packed or not, and what is damaged."""

import gzip
import hashlib

import numpy as np
import pytest

from purity import data, idx


def idx_bytes(array):
    """An IDX file of bytes."""
    head = bytes([0, 0, 8, array.ndim])
    return head + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.fixture
def made(monkeypatch):
    """Four files of five and three images, whose digests are those that are asked for; (arrays, content of files)."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in {"train": 5, "t10k": 3}.items():
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = np.arange(n, dtype=np.uint8)
    files = {name: idx_bytes(array) for name, array in arrays.items()}
    monkeypatch.setattr(idx, "FASHION", {name: hashlib.sha256(file).hexdigest() for name, file in files.items()})
    return arrays, files


def put(folder, files, packed=True):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)
    return folder


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("layout", ["torchvision", "package"])
@pytest.mark.parametrize("split, n", [("train", None), ("train", 2), ("test", None), ("test", 1)])
def test_both_layouts(made, tmp_path, layout, packed, split, n):
    """Of either layout, packed or not, the same images come, in the order of the files, n of them or all there are."""
    arrays, files = made
    folder = tmp_path / ("FashionMNIST/raw" if layout == "torchvision" else "package")
    put(folder, files, packed)
    x, y, ids = data.check_loader(
        idx.fashion_mnist, split, n or 3, {"root": str(tmp_path), "package": str(tmp_path / "package")}, "fashion"
    )
    part = {"train": "train", "test": "t10k"}[split]
    wanted = arrays[f"{part}-images-idx3-ubyte"][: n or 3]
    np.testing.assert_array_equal(x, wanted[:, None].astype(np.float32) / 255)
    np.testing.assert_array_equal(y, np.arange(len(wanted)))
    np.testing.assert_array_equal(ids, np.arange(len(wanted)))


def test_torchvision_comes_first(made, tmp_path):
    """Files of torchvision's are taken where there are both; damaged ones are not passed over in silence."""
    _, files = made
    put(tmp_path / "package", files)
    folder = put(tmp_path / "FashionMNIST/raw", files)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"other"))
    with pytest.raises(ValueError, match=r"FashionMNIST/raw/train-images-idx3-ubyte.gz is damaged or holds something"):
        idx.fashion_mnist("train", root=str(tmp_path), package=str(tmp_path / "package"))


def test_damaged(made, tmp_path):
    """A truncated file, one flipped byte, another kind of file, a missing one: one line each that names the file."""
    _, files = made
    folder = put(tmp_path / "package", files)
    options = {"root": str(tmp_path), "package": str(folder)}
    labels = folder / "t10k-labels-idx1-ubyte.gz"
    whole = labels.read_bytes()
    labels.write_bytes(whole[:-12])
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte\.gz cannot be read"):
        idx.fashion_mnist("test", **options)
    content = bytearray(files["t10k-labels-idx1-ubyte"])
    content[-1] ^= 1
    labels.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte\.gz is damaged"):
        idx.fashion_mnist("test", **options)
    labels.unlink()
    with pytest.raises(ValueError, match="has no t10k-labels-idx1-ubyte"):
        idx.fashion_mnist("test", **options)
    (folder / "note").write_bytes(b"no IDX file")
    with pytest.raises(ValueError, match="is no IDX file"):
        idx.read(folder, "note", hashlib.sha256(b"no IDX file").hexdigest())


def test_nowhere(tmp_path):
    """Neither there nor to be fetched: one line that says what to do."""
    with pytest.raises(ValueError, match="install Debian's package dataset-fashion-mnist") as caught:
        idx.fashion_mnist("test", root=str(tmp_path), package=str(tmp_path / "none"), download=False)
    assert str(tmp_path / "none") in str(caught.value) and "\n" not in str(caught.value)


def test_classes():
    """Their names are torchvision's."""
    from torchvision.datasets import FashionMNIST

    assert data.class_names(idx.fashion_mnist, "test", {}) == FashionMNIST.classes
