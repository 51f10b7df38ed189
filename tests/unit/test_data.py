"""Loaders: the first n are the first n, nothing behind them is read, and what cannot be read says so in one line."""

import hashlib
import http.server
import io
import os
import pickle
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets, transforms

from purity import data

RNG = np.random.default_rng


def refusal(load, *words) -> str:
    """The one line of the ValueError that `load` ends in; it holds all the words."""
    with pytest.raises(ValueError) as error:
        load()
    line = str(error.value)
    assert "\n" not in line
    for word in words:
        assert str(word) in line
    return line


def equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype and np.array_equal(a, b)


def first_n_are_the_first_n(load, total):
    """Of a split of `total` images; and it is an image set."""
    x, y, ids = load(None)
    data.check_images(x, y, ids, "made up")
    assert y.dtype == ids.dtype == np.int64 and len(x) == total and x.flags.c_contiguous
    for n in (1, total - 1, total, total + 5):
        equal(load(n), (x[:n], y[:n], ids[:n]))
    equal(data.subset(*load(total - 1), 0, total - 2), (x[:-1], y[:-1], ids[:-1]))
    half = total // 2
    blocks = [data.subset(x, y, ids, 0, half - 1), data.subset(x, y, ids, half, total - 1)]
    equal(map(np.concatenate, zip(*blocks, strict=True)), (x, y, ids))
    refusal(lambda: data.subset(*load(total + 1), 0, total), total + 1, total)


# Digits.


@pytest.mark.parametrize(("split", "total"), [("train", 1497), ("test", 300)])
def test_digits_first_n_are_the_first_n(split, total):
    first_n_are_the_first_n(partial(data.digits, split), total)
    equal(data.digits(split), data.digits(split, None))


def test_digits_are_scikit_learns_and_no_image_is_in_both_splits():
    from sklearn.datasets import load_digits

    (x, y, ids), (_, _, others) = data.digits("test"), data.digits("train")
    assert set(ids) | set(others) == set(range(1797)) and not set(ids) & set(others)
    assert np.array_equal(x[:, 0] * 16, load_digits().images[ids]) and np.array_equal(y, load_digits().target[ids])


# Folders of images.


def written(path, seed, size=(8, 8), mode="RGB"):
    """A lossless random image; returns its bytes (H, W, C)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG(seed).integers(0, 256, (size[1], size[0], len(mode)), dtype=np.uint8)
    Image.fromarray(pixels if mode == "RGB" else pixels[..., 0]).save(path)
    return pixels


NAMES = ["cat/b.png", "cat/d.bmp", "ape/c.PNG", "ape/a.png", "dog/e.png"]
BY_PATH = ["ape/a.png", "ape/c.PNG", "cat/b.png", "cat/d.bmp", "dog/e.png"]
BALANCED = ["ape/a.png", "cat/b.png", "dog/e.png", "ape/c.PNG", "cat/d.bmp"]
BY_NAME = ["ape/a.png", "cat/b.png", "ape/c.PNG", "cat/d.bmp", "dog/e.png"]
LABEL = {"ape": 0, "cat": 1, "dog": 2}


@pytest.fixture
def files(tmp_path):
    """name → bytes of five images in tmp_path/test, written in no order, beside what is no image."""
    made = {name: written(tmp_path / "test" / name, seed) for seed, name in enumerate(NAMES)}
    (tmp_path / "test" / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "test" / "cat" / "._b.png").write_text("what a Mac leaves behind")
    (tmp_path / "test" / ".cache").mkdir()
    (tmp_path / "test" / "README.png").write_text("not in a class")
    return made


@pytest.mark.parametrize(("order", "names"), [("balanced", BALANCED), ("path", BY_PATH), ("name", BY_NAME)])
def test_a_folder_gives_the_bytes_over_255_with_the_labels_of_sorted_classes(files, tmp_path, order, names):
    x, y, ids = data.folder("test", None, root=str(tmp_path), order=order)
    expected = np.stack([files[name] for name in names]).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    assert np.array_equal(x, expected)
    assert y.tolist() == [LABEL[name.split("/")[0]] for name in names] and ids.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("order", data.ORDERS)
def test_folder_first_n_are_the_first_n(files, tmp_path, order):
    first_n_are_the_first_n(lambda n: data.folder("test", n, root=str(tmp_path), order=order), 5)


@pytest.mark.parametrize("order", data.ORDERS)
def test_the_order_of_a_listing_changes_nothing(files, tmp_path, monkeypatch, order):
    """No file system lists in an order that a test could rely on, so both directions are forced."""

    def listed(reverse):
        listdir, scandir = os.listdir, os.scandir
        with monkeypatch.context() as patch:
            patch.setattr(os, "listdir", lambda path: sorted(listdir(path), reverse=reverse))
            patch.setattr(os, "scandir", lambda path: sorted(scandir(path), key=lambda e: e.name, reverse=reverse))
            return data.folder("test", None, root=str(tmp_path), order=order)

    equal(listed(reverse=True), listed(reverse=False))


@pytest.mark.parametrize(("order", "names"), [("balanced", BALANCED), ("path", BY_PATH), ("name", BY_NAME)])
def test_nothing_behind_the_first_n_is_opened(files, tmp_path, order, names):
    load = partial(data.folder, "test", root=str(tmp_path), order=order)
    whole = load(3)
    (tmp_path / "test" / names[3]).write_text("broken")
    equal(load(n=3), whole)
    refusal(lambda: load(n=4), tmp_path / "test" / names[3])


def test_the_folder_of_the_split_goes_before_the_root(files, tmp_path):
    (tmp_path / "train").mkdir()
    os.rename(tmp_path / "test" / "dog", tmp_path / "train" / "dog")
    assert len(data.folder("test", None, root=str(tmp_path))[0]) == 4
    assert len(data.folder("train", None, root=str(tmp_path))[0]) == 1
    bare = str(tmp_path / "test")
    equal(data.folder("test", None, root=bare), data.folder("train", None, root=bare))


def test_home_is_expanded(files, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    equal(data.folder("test", 2, root=f"~/{tmp_path.name}"), data.folder("test", 2, root=str(tmp_path)))


@pytest.mark.parametrize(("resize", "crop"), [(12, 8), (20, None), (None, 6)])
def test_a_folder_is_torchvisions_image_folder_in_order_and_pixels(tmp_path, resize, crop):
    """Files of several sizes, kinds and modes; only those of one shape without a crop."""
    sizes = [(16, 16)] * 6 if crop is None else [(16, 11), (9, 30), (14, 14), (40, 10), (10, 10), (17, 23)]
    kinds = ["png", "jpg", "webp", "JPEG", "tiff", "bmp"]
    for seed, (size, ending, mode) in enumerate(zip(sizes, kinds, ["RGB", "L"] * 3, strict=True)):
        written(tmp_path / f"{'abc'[seed % 3]}" / f"{seed}.{ending}", seed, size, mode)
    steps = ([transforms.Resize(resize)] if resize else []) + ([transforms.CenterCrop(crop)] if crop else [])
    oracle = datasets.ImageFolder(tmp_path, transforms.Compose([*steps, transforms.ToTensor()]))
    expected, labels = zip(*oracle, strict=True)
    x, y, _ = data.folder("test", None, root=str(tmp_path), resize=resize, crop=crop, order="path")
    assert np.array_equal(x, torch.stack(expected).numpy()) and y.tolist() == list(labels)


def test_grey_files_become_three_equal_channels_or_one(tmp_path):
    pixels = [written(tmp_path / "a" / f"{seed}.png", seed, mode="L") for seed in range(2)]
    one = data.folder("test", None, root=str(tmp_path), channels=1)[0]
    assert np.array_equal(one * 255, np.stack(pixels).transpose(0, 3, 1, 2))
    three = data.folder("test", None, root=str(tmp_path))[0]
    assert three.shape == (2, 3, 8, 8) and np.array_equal(three, np.repeat(one, 3, axis=1))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_truncated_file_is_refused_by_name(tmp_path, ending, share):
    path = tmp_path / "a" / f"1.{ending}"
    written(path, 0, size=(64, 64))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refusal(partial(data.folder, "test", 1, root=str(tmp_path)), path, "cannot be read")


def test_more_than_eight_bits_are_refused_by_name(tmp_path):
    (tmp_path / "a").mkdir()
    Image.fromarray(np.full((8, 8), 40000, np.uint16)).save(tmp_path / "a" / "deep.png")
    refusal(partial(data.folder, "test", None, root=str(tmp_path)), "deep.png", "8 bits")


def test_images_of_several_sizes_need_resize_and_crop(tmp_path):
    for seed, size in enumerate([(8, 8), (8, 12)]):
        written(tmp_path / "a" / f"{seed}.png", seed, size)
    load = partial(data.folder, "test", root=str(tmp_path))
    assert load(n=1)[0].shape == (1, 3, 8, 8)
    refusal(lambda: load(n=2), "1.png", "resize and crop")
    refusal(lambda: load(n=2, resize=8), "1.png", "resize and crop")
    assert load(n=2, resize=8, crop=8)[0].shape == (2, 3, 8, 8)


def test_a_crop_larger_than_an_image_is_refused_and_not_filled_with_black(files, tmp_path):
    refusal(partial(data.folder, "test", 1, root=str(tmp_path), crop=9), "a.png", "crop: 9", "resize")


@pytest.mark.parametrize("options", [{"order": "random"}, {"channels": 4}])
def test_unknown_options_are_refused_with_those_there_are(files, tmp_path, options):
    ((key, value),) = options.items()
    refusal(partial(data.folder, "test", 1, root=str(tmp_path), **options), key, value, "one of")


def test_a_folder_that_is_not_there_or_has_no_images_is_refused_by_name(tmp_path):
    refusal(partial(data.folder, "test", 1, root=str(tmp_path / "nowhere")), tmp_path / "nowhere")
    (tmp_path / "train" / "cat").mkdir(parents=True)
    written(tmp_path / "train" / "cat" / "1.png", 0)
    refusal(partial(data.folder, "test", 1, root=str(tmp_path)), tmp_path / "test", "no class folders with images")
    refusal(partial(data.folder, "train", 1, root=str(tmp_path / "train" / "cat")), "no class folders with images")


# Which folder is which label.


def tree(root, *files):
    for seed, name in enumerate(files):
        written(root / name, seed)
    return str(root)


def labels_of(root, split="test", **options):
    return data.folder(split, None, root=root, order="path", **options)[1].tolist()


def test_folders_named_by_numbers_have_these_as_labels(tmp_path):
    root = tree(tmp_path, *(f"{digit}/a.png" for digit in range(12)))
    assert sorted(labels_of(root)) == list(range(12))
    names = ["0/a.png", "1/a.png", "10/a.png", "11/a.png", "2/a.png"]
    assert labels_of(root)[: len(names)] == [0, 1, 10, 11, 2]
    balanced = data.folder("test", 3, root=root)[1].tolist()
    assert balanced == [0, 1, 2]
    assert data.class_names(data.folder, "test", {"root": root}) == [str(digit) for digit in range(12)]


def test_a_number_that_no_folder_has_moves_no_other(tmp_path):
    root = tree(tmp_path, "2/a.png", "5/a.png", "007/a.png")
    assert sorted(labels_of(root)) == [2, 5, 7]
    assert data.class_names(data.folder, "test", {"root": root}) == [*"0123456", "007"]


@pytest.mark.parametrize(
    "made", [["1/a.png", "01/a.png"], ["0/a.png", "1/a.png", "00_todo/a.png"], ["7/a.png", "cat/a.png"]]
)
def test_numbers_among_other_names_are_refused_until_the_classes_are_named(made, tmp_path):
    root = tree(tmp_path, *made)
    refusal(lambda: labels_of(root), made[-1].split("/")[0], "docs/contract.md#folders")
    assert labels_of(root, classes=[made[0].split("/")[0]]) == [0]


@pytest.mark.parametrize("left", [".git", "__MACOSX", "@eaDir", "__pycache__", "lost+found"])
def test_what_systems_leave_behind_is_no_class(left, tmp_path):
    root = tree(tmp_path, "ape/a.png", "cat/a.png", f"{left}/a.png")
    assert labels_of(root) == [0, 1]


def test_an_empty_folder_is_refused_by_name_and_ignored_where_classes_are_named(tmp_path):
    root = tree(tmp_path, "ape/a.png", "cat/a.png")
    (tmp_path / "00_todo").mkdir()
    (tmp_path / "00_todo" / "notes.txt").write_text("to do")
    refusal(lambda: labels_of(root), tmp_path / "00_todo", "no images", "`classes`", "#folders")
    assert labels_of(root, classes=["ape", "cat"]) == [0, 1]


@pytest.mark.parametrize("load", [data.folder, data.imagefolder], ids=["folder", "imagefolder"])
def test_an_empty_folder_of_the_other_split_shifts_no_labels_but_is_refused(tmp_path, load):
    root = tree(tmp_path, "train/cat/1.png", "test/cat/1.png", "test/eel/1.png", "train/eel/1.png")
    assert load("test", None, root=root)[1].tolist() == [0, 1]
    (tmp_path / "train/00_todo").mkdir()
    for split in ("test", "train"):
        with pytest.raises(ValueError, match=r"class folder .*train/00_todo holds no images.*contract\.md#folders"):
            load(split, None, root=root)


def test_images_further_below_are_not_left_out_without_a_word(tmp_path):
    root = tree(tmp_path, "cat/1.png", "cat/more/of/2.png", "eel/1.png")
    with pytest.raises(ValueError, match=r"class folder .*cat has a folder 'more' with images.*#folders"):
        data.folder("test", None, root=root)
    (tmp_path / "cat/more").rename(tmp_path / "cat/.more")
    (tmp_path / "cat/notes").mkdir()
    assert data.folder("test", None, root=root)[1].tolist() == [0, 1]


def test_a_split_that_is_not_there_is_no_folder_of_classes(tmp_path):
    root = tree(tmp_path, "train/cat/1.png", "validation/cat/1.png")
    with pytest.raises(ValueError, match=r"no class folders with images for test; put them into .*/test/<class>/"):
        data.folder("test", None, root=root)
    vehicles = tree(tmp_path / "vehicles", "car/1.png", "train/1.png")  # a class of that name
    assert data.folder("test", None, root=vehicles)[1].tolist() == [0, 1]


def test_classes_are_labelled_in_the_order_of_the_config_and_other_folders_do_not_count(tmp_path, caplog):
    root = tree(tmp_path, "ape/a.png", "cat/a.png", "cat/b.png", "dog/a.png")
    caplog.set_level("INFO")
    assert labels_of(root, classes=["dog", "cat"]) == [1, 1, 0]
    assert "0 dog (1), 1 cat (2)" in caplog.text and "no classes: ape" in caplog.text
    assert data.class_names(data.folder, "test", {"root": root, "classes": ["dog", "cat"]}) == ["dog", "cat"]
    refusal(lambda: labels_of(root, classes=["dog", "cow"]), "cow", "ape, cat, dog", "#folders")
    refusal(lambda: labels_of(root, classes=["dog", "dog"]), "dog", "2 times", "#folders")


def test_classes_may_be_numbers_of_the_config(tmp_path):
    root = tree(tmp_path, "3/a.png", "8/a.png")
    assert labels_of(root, classes=[8, 3]) == [1, 0]


def test_a_class_that_one_split_lacks_keeps_the_labels_of_the_others(tmp_path):
    root = tree(tmp_path, "train/ape/a.png", "train/cat/a.png", "train/dog/a.png", "test/ape/b.png", "test/dog/b.png")
    assert labels_of(root, "train") == [0, 1, 2] and labels_of(root, "test") == [0, 2]
    for split in ("train", "test"):
        assert data.class_names(data.folder, split, {"root": root}) == ["ape", "cat", "dog"]


def test_a_class_that_training_does_not_know_is_refused(tmp_path):
    root = tree(tmp_path, "train/ape/a.png", "train/cat/a.png", "test/ape/b.png", "test/bat/b.png", "test/cat/b.png")
    refusal(lambda: labels_of(root, "test"), "bat", "train", "#folders")
    assert labels_of(root, "test", classes=["ape", "cat"]) == [0, 1]


def test_the_default_order_takes_one_image_of_each_class_after_the_other(tmp_path):
    root = tree(tmp_path, *(f"{name}/{i}.png" for name, count in (("a", 5), ("b", 2), ("c", 3)) for i in range(count)))
    y = data.folder("test", None, root=root)[1].tolist()
    assert y == [0, 1, 2, 0, 1, 2, 0, 2, 0, 0]


def test_the_mixed_order_is_that_of_its_seed_and_an_added_file_moves_no_other_past_another(tmp_path):
    root = tree(tmp_path, *(f"{name}/{i}.png" for name in "abc" for i in range(6)))
    load = partial(data.folder, "test", None, root=root, order="mixed")
    equal(load(seed=1), load(seed=1))
    x, y, _ = load(seed=1)
    assert sorted(y.tolist()) != y.tolist() and len(set(y[:6].tolist())) > 1
    assert y.tolist() != load(seed=2)[1].tolist()
    written(tmp_path / "b" / "99.png", 99)
    more = load(seed=1)[0]
    kept = [row for row in more if any(np.array_equal(row, old) for old in x)]
    assert np.array_equal(np.stack(kept), x)


def test_images_of_one_class_only_are_warned_of(tmp_path, caplog):
    root = tree(tmp_path, "a/1.png", "a/2.png", "b/1.png")
    data.check_images(*data.folder("test", 2, root=root, order="path"), "mine")
    assert "all 2 images are of class 0" in caplog.text
    caplog.clear()
    data.check_images(*data.folder("test", 2, root=root), "mine")
    assert not caplog.messages


def test_what_a_loader_gives_to_another_job_begins_with_what_the_first_one_got():
    whole, first = data.digits("test", 50), data.digits("test", 20)
    data.check_same(*whole, first, "mine")
    for changed in ((whole[0][::-1], *whole[1:]), (whole[0], whole[1] + 1, whole[2]), (*whole[:2], whole[2] + 1)):
        refusal(lambda c=changed: data.check_same(*c, first, "mine"), "dataset 'mine'", "#same-images")


# ImageNet.

WNIDS = [f"n{place:08d}" for place in RNG(0).choice(10**8, 1000, replace=False)]
SIZES = [(300, 260), (260, 300), (256, 256), (500, 280), (256, 400), (290, 290)]


@pytest.fixture(scope="module")
def ilsvrc(tmp_path_factory):
    """root with 1000 class folders under val, six of which hold a numbered image; and their wnids by number."""
    root = tmp_path_factory.mktemp("imagenet")
    for wnid in WNIDS:
        (root / "val" / wnid).mkdir(parents=True)
    owners = [WNIDS[place] for place in (7, 999, 3, 500, 7, 0)]
    for i in (3, 0, 5, 1, 4, 2):
        written(root / "val" / owners[i] / f"ILSVRC2012_val_{i + 1:08d}.JPEG", i, SIZES[i])
    return root, owners


def test_imagenet_is_in_the_order_of_its_own_numbering_with_labels_of_sorted_wnids(ilsvrc):
    root, owners = ilsvrc
    x, y, ids = data.imagenet("test", None, root=str(root))
    assert x.shape == (6, 3, 224, 224)
    assert y.tolist() == [sorted(WNIDS).index(wnid) for wnid in owners] and ids.tolist() == list(range(6))
    shape = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()])
    for i, wnid in enumerate(owners):
        with Image.open(root / "val" / wnid / f"ILSVRC2012_val_{i + 1:08d}.JPEG") as image:
            assert np.array_equal(x[i], shape(image.convert("RGB")).numpy())


def test_imagenet_tells_its_wnids_by_label(ilsvrc):
    assert data.class_names(data.imagenet, "test", {"root": str(ilsvrc[0])}) == sorted(WNIDS)


def test_a_folder_that_is_no_wnid_is_refused_among_a_thousand(tmp_path):
    for wnid in [*WNIDS[:999], "00_todo"]:
        (tmp_path / "val" / wnid).mkdir(parents=True)
    refusal(partial(data.imagenet, "test", 1, root=str(tmp_path)), "00_todo", "wnid", "#folders")


def test_imagenet_by_path_is_torchvisions_order(ilsvrc):
    root, _ = ilsvrc
    y = data.imagenet("test", None, root=str(root), order="path")[1]
    assert y.tolist() == sorted(y) != data.imagenet("test", None, root=str(root))[1].tolist()
    oracle = datasets.ImageFolder(root / "val", allow_empty=True)
    assert y.tolist() == oracle.targets


def test_imagenet_first_n_are_the_first_n_from_either_root(ilsvrc):
    root, _ = ilsvrc
    load = partial(data.imagenet, "test", resize=32, crop=32)
    first_n_are_the_first_n(lambda n: load(n, root=str(root)), 6)
    equal(load(2, root=str(root / "val")), load(2, root=str(root)))


def test_imagenet_without_all_its_classes_is_refused_with_their_number(ilsvrc, tmp_path):
    for wnid in WNIDS[:3]:
        (tmp_path / "val" / wnid).mkdir(parents=True)
    written(tmp_path / "val" / WNIDS[0] / "1.JPEG", 0)
    refusal(partial(data.imagenet, "test", 1, root=str(tmp_path)), tmp_path / "val", 3, 1000)
    refusal(partial(data.imagenet, "train", 1, root=str(ilsvrc[0])), "1 class folders")
    refusal(partial(data.imagenet, "test", 1, root=str(tmp_path / "nowhere")), tmp_path / "nowhere")


# torchvision's own sets: its code reads archives of ours, whose checksums take the place of the published ones.


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def cifar(monkeypatch):
    """CIFAR10 with four training images and three test images: its files by name, its images and its labels."""
    pixels = RNG(1).integers(0, 256, (7, 3, 32, 32), dtype=np.uint8)
    labels = [3, 8, 8, 0, 6, 6, 1]
    parts = {"data_batch_1": slice(0, 2), "data_batch_2": slice(2, 4), "test_batch": slice(4, 7)}
    files = {
        name: pickle.dumps({"data": pixels[rows].reshape(-1, 3072), "labels": labels[rows]})
        for name, rows in parts.items()
    }
    files["batches.meta"] = pickle.dumps({"label_names": list("abcdefghij")})
    sums = {name: md5(content) for name, content in files.items()}
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [[name, sums[name]] for name in list(parts)[:2]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(
        datasets.CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]}
    )
    return files, pixels, np.array(labels)


def unpacked(root, files):
    (root / "cifar-10-batches-py").mkdir(parents=True)
    for name, content in files.items():
        (root / "cifar-10-batches-py" / name).write_bytes(content)


@pytest.mark.parametrize(("split", "rows"), [("train", slice(0, 4)), ("test", slice(4, 7))])
def test_cifar10_is_its_bytes_over_255_in_its_own_order(cifar, tmp_path, split, rows):
    files, pixels, labels = cifar
    unpacked(tmp_path, files)
    x, y, ids = data.torchvision(split, None, name="CIFAR10", root=str(tmp_path))
    assert np.array_equal(x, pixels[rows].astype(np.float32) / np.float32(255))
    assert np.array_equal(y, labels[rows]) and ids.tolist() == list(range(len(x)))


def test_torchvision_first_n_are_the_first_n(cifar, tmp_path):
    unpacked(tmp_path, cifar[0])
    first_n_are_the_first_n(lambda n: data.torchvision("train", n, name="CIFAR10", root=str(tmp_path)), 4)


def test_torchvision_by_a_seed_is_a_permutation_with_the_ids_of_its_own_order(cifar, tmp_path):
    unpacked(tmp_path, cifar[0])
    load = partial(data.torchvision, "train", name="CIFAR10", root=str(tmp_path))
    x, y, ids = load(None)
    first_n_are_the_first_n(lambda n: load(n, seed=3), 4)
    orders = [load(None, seed=seed) for seed in range(8)]
    for mixed in orders:
        assert sorted(mixed[2].tolist()) == [0, 1, 2, 3]
        equal(mixed, (x[mixed[2]], y[mixed[2]], ids[mixed[2]]))
    assert len({tuple(mixed[2].tolist()) for mixed in orders}) > 1


def test_class_names_are_torchvisions_and_those_of_the_digits(cifar, tmp_path):
    unpacked(tmp_path, cifar[0])
    assert data.class_names(data.torchvision, "test", {"name": "CIFAR10", "root": str(tmp_path)}) == list("abcdefghij")
    assert data.class_names(data.digits, "test", {}) == list("0123456789")
    assert data.class_names(lambda split, n: None, "test", {}) is None


def test_torchvision_resizes_crops_and_expands_home(cifar, tmp_path, monkeypatch):
    files, pixels, _ = cifar
    unpacked(tmp_path, files)
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    x = data.torchvision("train", 2, name="CIFAR10", root=f"~/{tmp_path.name}", resize=20, crop=16)[0]
    assert os.listdir() == ["cifar-10-batches-py"]  # and no folder called ~
    shape = transforms.Compose([transforms.Resize(20), transforms.CenterCrop(16), transforms.ToTensor()])
    for i in range(2):
        assert np.array_equal(x[i], shape(Image.fromarray(pixels[i].transpose(1, 2, 0))).numpy())


@pytest.mark.parametrize("download", [True, False])
@pytest.mark.parametrize("state", ["empty", "damaged"])
def test_cifar10_that_is_not_there_or_damaged_is_refused_and_says_what_to_put_where(tmp_path, state, download):
    """Nobody answers at port 9; the message must not depend on whether this machine has the internet."""
    url, kind = "http://127.0.0.1:9/cifar-10-python.tar.gz", datasets.CIFAR10
    if state == "damaged":
        (tmp_path / kind.filename).write_bytes(b"half of it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "url", url)
        load = partial(data.torchvision, "test", 1, name="CIFAR10", root=str(tmp_path), download=download)
        refusal(load, "CIFAR10", tmp_path, "cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a", url)


def test_svhn_that_is_not_there_says_which_file_of_the_split_to_put_where(tmp_path):
    load = partial(data.torchvision, "test", 1, name="SVHN", root=str(tmp_path / "new"), download=False)
    refusal(load, "SVHN", tmp_path / "new", "test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3", "http://ufldl")


@pytest.mark.parametrize("download", [True, False])
def test_a_set_of_many_files_that_is_not_there_is_refused_by_name(tmp_path, monkeypatch, download):
    """torchvision's own message has a line for each mirror."""
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    load = partial(data.torchvision, "test", 1, name="MNIST", root=str(tmp_path), download=download)
    refusal(load, "MNIST", tmp_path, "put its files there")


class Server(http.server.BaseHTTPRequestHandler):
    """Gives `served["content"]` with a Content-Length of `served["length"]`, slowly; counts."""

    served: dict

    def do_GET(self):
        self.served["requests"] += 1
        self.send_response(200)
        self.send_header("Content-Length", str(self.served["length"]))
        self.end_headers()
        self.wfile.flush()
        time.sleep(0.2)  # two downloads that are not kept apart do overlap
        self.wfile.write(self.served["content"])

    def log_message(self, *_):
        pass


@pytest.fixture
def served(cifar, monkeypatch):
    """The archive of `cifar` behind CIFAR10's url, its content to be spoiled by the test."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in cifar[0].items():
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    content = packed.getvalue()
    served = {"content": content, "length": len(content), "requests": 0}
    handler = type("Handler", (Server,), {"served": served})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(content))
    monkeypatch.setattr(datasets.CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_root_lacks_is_downloaded_once(served, cifar, tmp_path):
    load = partial(data.torchvision, name="CIFAR10", root=str(tmp_path / "new" / "folder"))
    x, y, _ = load("test", None)
    assert np.array_equal(x, cifar[1][4:].astype(np.float32) / np.float32(255)) and np.array_equal(y, cifar[2][4:])
    asked = served["requests"]
    load("train", None)
    assert served["requests"] == asked > 0


def test_nothing_is_downloaded_that_was_not_asked_for(served, tmp_path):
    root = tmp_path / "new"
    refusal(partial(data.torchvision, "test", 1, name="CIFAR10", root=str(root), download=False), root)
    assert served["requests"] == 0 and not root.exists()


def test_jobs_that_start_together_download_once(served, tmp_path):
    """The subset and the training of one experiment ask for the same set at the same time."""
    load = partial(data.torchvision, n=None, name="CIFAR10")
    load("test", root=str(tmp_path / "alone"))
    alone, served["requests"] = served["requests"], 0
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(partial(load, root=str(tmp_path / "both")), ["test", "test"]))
    equal(*found)
    assert served["requests"] == alone


@pytest.mark.parametrize("fault", ["cut", "web page"])
def test_a_download_that_went_wrong_is_refused_and_the_next_one_replaces_it(served, tmp_path, fault):
    whole = served["content"]
    spoiled = whole[: len(whole) // 2] if fault == "cut" else b"<html>please log in</html>" * 400
    served.update(content=spoiled, length=len(whole) if fault == "cut" else len(spoiled))
    load = partial(data.torchvision, "test", None, name="CIFAR10", root=str(tmp_path))
    refusal(load, "CIFAR10", tmp_path, md5(whole))
    served.update(content=whole, length=len(whole))
    assert len(load()[0]) == 3


def test_a_root_that_cannot_be_made_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_text("in the way")
    refusal(
        partial(data.torchvision, "test", 1, name="CIFAR10", root=str(tmp_path / "file")), "CIFAR10", tmp_path / "file"
    )


# Sets whose constructor takes split=.


@pytest.fixture
def imagenette(tmp_path):
    """Unpacked, with two training and three validation images of several sizes."""
    for seed, name in enumerate(
        ["train/n01440764/1", "train/n03888257/2", "val/n01440764/3", "val/n03888257/4", "val/n03888257/5"]
    ):
        written(tmp_path / "imagenette2" / f"{name}.JPEG", seed, (20 + seed, 24 - seed))
    return partial(data.torchvision, name="Imagenette", root=str(tmp_path), resize=16, crop=16)


def test_splits_says_what_a_set_calls_its_parts(imagenette):
    assert imagenette("train", None)[1].tolist() == [0, 1]
    assert imagenette("test", None, splits={"test": "val"})[1].tolist() == [0, 1, 1]
    equal(imagenette("test", None, splits={"test": "train"}), imagenette("train", None))
    refusal(lambda: imagenette("test", None), "Imagenette", "'test'", "val", "`splits`")


def test_a_broken_image_of_a_set_is_refused_by_place_unless_it_lies_behind_the_first_n(imagenette, tmp_path):
    (tmp_path / "imagenette2" / "val" / "n03888257" / "5.JPEG").write_bytes(b"\xff\xd8\xff\xe0broken")
    load = partial(imagenette, "test", splits={"test": "val"})
    assert len(load(2)[0]) == 2
    refusal(lambda: load(3), "Imagenette", "image 2", "cannot be read")


def test_a_part_and_a_variant_of_a_set_go_to_their_own_arguments(tmp_path):
    """EMNIST takes split= for the variant and, through MNIST, train= for the part."""
    load = partial(data.torchvision, name="EMNIST", root=str(tmp_path), splits={"train": "digits", "test": "digits"})
    raw = tmp_path / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = RNG(2).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    for part, rows in (("train", slice(0, 3)), ("test", slice(3, 5))):
        n = rows.stop - rows.start
        head = bytes.fromhex("00000803") + n.to_bytes(4, "big") + (28).to_bytes(4, "big") * 2
        (raw / f"emnist-digits-{part}-images-idx3-ubyte").write_bytes(head + pixels[rows].tobytes())
        labels = bytes.fromhex("00000801") + n.to_bytes(4, "big") + bytes(range(n))
        (raw / f"emnist-digits-{part}-labels-idx1-ubyte").write_bytes(labels)
    for split, rows in (("train", slice(0, 3)), ("test", slice(3, 5))):
        x, y, _ = load(split, None, download=False)
        assert np.array_equal(x * 255, pixels[rows, None]) and y.tolist() == list(range(len(x)))


def test_sets_without_the_parts_asked_for_are_refused_by_name(tmp_path):
    load = partial(data.torchvision, "test", 1, root=str(tmp_path))
    refusal(partial(load, name="CIFAR11"), "CIFAR11", "torchvision.datasets")
    refusal(partial(load, name="cifar"), "cifar", "torchvision.datasets")  # a module of that name is there
    refusal(partial(load, name="FakeData"), "FakeData", "train=", "split=")
    refusal(partial(load, name="CIFAR10", splits={"test": "val"}), "CIFAR10", "`splits`")


@pytest.mark.parametrize(
    "item",
    [
        (torch.zeros(3, 8, 8), 1),
        (Image.new("RGB", (8, 8)), torch.zeros(40)),
        (Image.new("RGB", (8, 8)), None),
        (Image.new("I;16", (8, 8)), 1),
        Image.new("RGB", (8, 8)),
        (Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8)), 1),
    ],
    ids=["video", "attributes", "unlabelled", "16 bits", "bare", "pairs"],
)
def test_a_set_that_is_not_for_classification_is_refused_by_name(tmp_path, monkeypatch, item):
    class Other(datasets.VisionDataset):
        def __init__(self, root, train):
            super().__init__(root)

        def __len__(self):
            return 1

        def __getitem__(self, i):
            return item

    monkeypatch.setattr(datasets, "Other", Other, raising=False)
    refusal(partial(data.torchvision, "test", 1, name="Other", root=str(tmp_path)), "Other", "class number")


def test_training_images_are_held_to_the_contract():
    def of(change):
        return lambda split, n: change(*data.digits(split, 12))

    x, _, _ = data.training_images(of(lambda x, y, ids: (x, y, ids)), {}, "mine")
    assert len(x) == 12
    for change, words in (
        (lambda x, y, ids: (2 * x - 1, y, ids), "must be finite and lie in"),
        (lambda x, y, ids: (255 * x, y, ids), "must be finite and lie in"),
        (lambda x, y, ids: (x, y.astype(float), ids), "labels must be int64"),
        (lambda x, y, ids: (x.repeat(8, 1).transpose(0, 2, 3, 1)[..., :1], y, ids), "channels first"),
        (lambda x, y, ids: x.reshape(5, 5), "ValueError: cannot reshape"),
        (lambda x, y, ids: exit(0), "SystemExit"),
    ):
        with pytest.raises(ValueError, match=rf"dataset 'mine'.*{words}.*docs/contract\.md#"):
            data.training_images(of(change), {}, "mine")
