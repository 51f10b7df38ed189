"""Images that a user has as arrays in files, or in an image folder of the Hugging Face library."""

import csv
import io
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from PIL import Image

from purity import data
from unit.test_data import equal, first_n_are_the_first_n, refusal

N = 7
BYTES = np.random.default_rng(0).integers(0, 256, (N, 3, 5, 4), np.uint8)
LABELS = np.arange(N)[::-1] % 4


def npz(folder, **arrays):
    np.savez(folder / "set.npz", **arrays)
    return folder / "set.npz"


def pt(folder, **arrays):
    torch.save({name: torch.from_numpy(a.copy()) for name, a in arrays.items()}, folder / "set.pt")
    return folder / "set.pt"


def zarr_folder(folder, **arrays):
    group = zarr.open_group(folder / "set.zarr", mode="w")
    for name, a in arrays.items():
        group.create_array(name, data=np.ascontiguousarray(a))
    return folder / "set.zarr"


def zarr_zip(folder, **arrays):
    store = zarr.storage.ZipStore(folder / "set.zarr.zip", mode="w")
    group = zarr.open_group(store, mode="w")
    for name, a in arrays.items():
        group.create_array(name, data=np.ascontiguousarray(a))
    store.close()
    return folder / "set.zarr.zip"


FORMATS = [npz, pt, zarr_folder, zarr_zip]


@pytest.mark.parametrize("write", FORMATS)
def test_every_format_gives_the_bytes_over_255_and_its_first_n(write, tmp_path):
    path = write(tmp_path, x=BYTES, y=LABELS)
    load = partial(data.tensors, "test", path=str(path))
    equal(load(None), (BYTES.astype(np.float32) / 255, LABELS, np.arange(N)))
    first_n_are_the_first_n(load, N)
    data.check_loader(data.tensors, "test", N - 1, {"path": str(path)}, "mine")


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floating_point_is_taken_as_it_is(write, kind, tmp_path):
    x = (BYTES / 255).astype(kind)
    found = data.tensors("test", None, path=str(write(tmp_path, x=x, y=LABELS)))[0]
    equal([found], [x.astype(np.float32)])


def test_channels_last_and_grey_images_come_out_with_channels_first(tmp_path):
    last = npz(tmp_path, x=BYTES.transpose(0, 2, 3, 1), y=LABELS)
    equal(data.tensors("test", None, path=str(last), channels="last")[:1], [BYTES.astype(np.float32) / 255])
    refusal(lambda: data.tensors("test", None, path=str(last)), last, "(7, 5, 4, 3)", "`channels: last`")
    grey = npz(tmp_path, x=BYTES[:, 0], y=LABELS)
    assert data.tensors("test", None, path=str(grey))[0].shape == (N, 1, 5, 4)


def test_splits_are_in_the_path_or_in_the_names(tmp_path, monkeypatch):
    np.savez(tmp_path / "train.npz", x=BYTES[:3], y=LABELS[:3])
    np.savez(tmp_path / "test.npz", x=BYTES[3:], y=LABELS[3:])
    np.savez(tmp_path / "both.npz", x_train=BYTES[:3], y_train=LABELS[:3], x_test=BYTES[3:], y_test=LABELS[3:])
    monkeypatch.setenv("HOME", str(tmp_path))
    for split, rows in (("train", slice(3)), ("test", slice(3, None))):
        expected = (BYTES[rows].astype(np.float32) / 255, LABELS[rows], np.arange(N)[: len(BYTES[rows])])
        equal(data.tensors(split, None, path="~/{split}.npz"), expected)
        names = {"images": "x_{split}", "labels": "y_{split}"}
        equal(data.tensors(split, None, path=str(tmp_path / "both.npz"), **names), expected)


@pytest.mark.parametrize("write", FORMATS)
def test_an_array_that_is_not_there_is_refused_with_those_there_are(write, tmp_path):
    path = write(tmp_path, images=BYTES, y=LABELS)
    refusal(lambda: data.tensors("test", 2, path=str(path)), path, "no array 'x'", "images, y")


@pytest.mark.parametrize("write", [npz, pt, zarr_zip])
def test_a_damaged_file_is_refused_by_name(write, tmp_path):
    path = write(tmp_path, x=BYTES, y=LABELS)
    path.write_bytes(path.read_bytes()[:100])
    refusal(lambda: data.tensors("test", 2, path=str(path)), path, "cannot be read")


class Trap:
    """Unpickled, it would leave a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_pickled_is_run(tmp_path):
    sprung = tmp_path / "sprung"
    torch.save({"x": Trap(sprung), "y": torch.arange(2)}, tmp_path / "bad.pt")
    np.savez(tmp_path / "bad.npz", x=np.array([Trap(sprung)], dtype=object), y=LABELS)
    for name in ("bad.pt", "bad.npz"):
        refusal(lambda name=name: data.tensors("test", 2, path=str(tmp_path / name)), name, "cannot be read")
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": BYTES.astype(np.float32), "y": LABELS}, ["from 0 to 255", "not normalised"]),
        ({"x": BYTES / 255 - 0.5, "y": LABELS}, ["from -0.5", "not normalised"]),
        ({"x": np.full((N, 1, 2, 2), np.nan), "y": LABELS}, ["nan", "not normalised"]),
        ({"x": BYTES.astype(np.int64), "y": LABELS}, ["int64", "bytes or floating point"]),
        ({"x": BYTES[0, 0], "y": LABELS}, ["(5, 4)", "(N, C, H, W)"]),
        ({"x": BYTES[:0], "y": LABELS[:0]}, ["(0, 3, 5, 4)"]),
        ({"x": BYTES, "y": LABELS[:-1]}, ["(6,)", "(7,)"]),
        ({"x": BYTES, "y": LABELS / 2}, ["float64", "whole numbers"]),
        ({"x": BYTES, "y": np.eye(N, dtype=np.int64)}, ["(7, 7)", "argmax of one-hot rows"]),
    ],
)
def test_arrays_that_are_no_images_and_labels_are_refused_with_what_they_are(arrays, words, tmp_path):
    path = npz(tmp_path, **arrays)
    refusal(lambda: data.tensors("test", None, path=str(path)), path, *words)


def test_files_that_are_not_there_or_of_another_kind_are_refused(tmp_path):
    (tmp_path / "set.mat").touch()
    refusal(lambda: data.tensors("test", 2, path=str(tmp_path / "none.npz")), "there is no file", "none.npz")
    refusal(lambda: data.tensors("test", 2, path=str(tmp_path / "set.mat")), "set.mat", ".npz, .pt, .pth, .zarr")
    refusal(lambda: data.tensors("test", 2, path="x.npz", channels="middle"), "channels", "middle")
    torch.save(torch.zeros(3), tmp_path / "one.pt")
    refusal(lambda: data.tensors("test", 2, path=str(tmp_path / "one.pt")), "holds a Tensor, not a dict")


def test_class_names_are_those_of_the_options():
    assert data.class_names(data.tensors, "test", {"path": "x.npz", "classes": ["cat", "dog"]}) == ["cat", "dog"]
    assert data.class_names(data.tensors, "test", {"path": "x.npz"}) is None


# Image folders of the Hugging Face library.

GREYS = {"train": {"a.png": 10, "b.png": 20, "c.png": 30}, "validation": {"d.png": 40, "e.png": 50}}


@pytest.fixture
def listed(tmp_path):
    """listed(labels, kind): a folder whose images are listed in metadata; labels by file."""

    def write(labels: dict, kind: str) -> dict:
        for split, files in GREYS.items():
            (tmp_path / split / "images").mkdir(parents=True, exist_ok=True)
            rows = [{"file_name": f"images/{file}", "label": labels[file]} for file in files if file in labels]
            for file, grey in files.items():
                Image.new("L", (2, 2), grey).save(tmp_path / split / "images" / file)
            with open(tmp_path / split / f"metadata.{kind}", "w", encoding="utf-8", newline="") as lines:
                if kind == "csv":
                    table = csv.DictWriter(lines, ["file_name", "label"])
                    table.writeheader()
                    table.writerows(rows)
                else:
                    lines.writelines(json.dumps(row) + "\n" for row in rows)
        return {"root": str(tmp_path), "splits": {"test": "validation"}, "channels": 1, "order": "path"}

    return write


NAMES = {"a.png": "zebra", "b.png": "ape", "c.png": "cow", "d.png": "zebra", "e.png": "ape"}


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_listed_images_have_the_labels_of_their_names_over_both_splits(kind, listed):
    options = listed(NAMES, kind)
    x, y, ids = data.imagefolder("test", None, **options)
    assert (255 * x[:, 0, 0, 0]).round().tolist() == [40, 50] and y.tolist() == [2, 0] and ids.tolist() == [0, 1]
    assert data.imagefolder("train", None, **options)[1].tolist() == [2, 0, 1]
    assert data.class_names(data.imagefolder, "test", options) == ["ape", "cow", "zebra"]
    first_n_are_the_first_n(partial(data.imagefolder, "train", **options), 3)
    in_order = options | {"classes": ["zebra", "cow", "ape"]}
    assert data.imagefolder("test", None, **in_order)[1].tolist() == [0, 2]
    refusal(lambda: data.imagefolder("test", None, **options | {"classes": ["ape"]}), "'zebra'", "classes")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_numbers_in_metadata_are_labels(kind, listed):
    options = listed({"a.png": 0, "b.png": 10, "c.png": 2, "d.png": 10, "e.png": 2}, kind)
    assert data.imagefolder("test", None, **options)[1].tolist() == [10, 2]
    assert data.class_names(data.imagefolder, "test", options) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"file_name": "images/d.png"}', ["line 1", "no 'label'", "it has file_name"]),
        ('{"file_name": "images/d.png", "label": "a"}\n{"file_name": "images/e.png", "label": 3}', ["some of 'label'"]),
        ('{"file_name": ', ["cannot be read"]),
        ("[1]", ["line 1", "list"]),
        ('{"file_name": "images/none.png", "label": 1}', ["none.png", "cannot be read"]),
    ],
)
def test_metadata_that_tell_no_label_are_refused_by_name(text, words, listed, tmp_path):
    options = listed(NAMES, "jsonl")
    file = tmp_path / "validation/metadata.jsonl"
    file.write_text(text)
    refusal(lambda: data.imagefolder("test", None, **options), tmp_path / "validation", *words)


def test_class_folders_are_labelled_by_the_alphabet_as_that_library_does(tmp_path):
    for split in ("train", "test"):
        for k, name in enumerate(("10", "9", "cat")):
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("L", (2, 2), 10 * k).save(tmp_path / split / name / "one.png")
    options = {"root": str(tmp_path), "channels": 1}
    x, y, _ = data.imagefolder("test", None, **options)
    assert y.tolist() == [0, 1, 2] and (255 * x[:, 0, 0, 0]).round().tolist() == [0, 10, 20]
    assert data.class_names(data.imagefolder, "test", options) == ["10", "9", "cat"]
    first_n_are_the_first_n(partial(data.imagefolder, "test", **options), 3)


# Tables of the Hugging Face library, as it writes them.

ROWS = {"train": [3, 0, 1, 2, 0], "validation": [1, 0, 2]}


def encoded(grey: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 5), (grey, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def table():
    """table(labels): an image for each, the first of grey level 0, the next of 1 …; names of classes in its schema."""
    pyarrow = pytest.importorskip("pyarrow")

    def make(labels, first=0):
        cells = [{"bytes": encoded(first + k), "path": None} for k in range(len(labels))]
        features = {"image": {"_type": "Image"}, "label": {"names": ["a", "b", "c", "d"], "_type": "ClassLabel"}}
        said = {"huggingface": json.dumps({"info": {"features": features}})}
        return pyarrow.table({"image": cells, "label": labels}).replace_schema_metadata(said)

    return make


def saved_stream(made, file):
    import pyarrow

    with pyarrow.OSFile(str(file), "wb") as sink, pyarrow.ipc.new_stream(sink, made.schema) as writer:
        writer.write_table(made)


def saved_parquet(made, file):
    import pyarrow.parquet

    pyarrow.parquet.write_table(made, file)


def as_saved(folder, table):
    """What save_to_disk leaves: a folder for each split, several files."""
    for part, labels in ROWS.items():
        (folder / part).mkdir()
        for k, (first, last) in enumerate(((0, 2), (2, len(labels)))):
            saved_stream(table(labels[first:last], first), folder / part / f"data-0000{k}-of-00002.arrow")


def as_published(folder, table):
    (folder / "data").mkdir()
    for part, labels in ROWS.items():
        saved_parquet(table(labels), folder / "data" / f"{part}-00000-of-00001.parquet")


TABLES = [as_saved, as_published]


@pytest.mark.parametrize("write", TABLES)
def test_tables_give_their_images_in_order_and_their_first_n(write, table, tmp_path):
    write(tmp_path, table)
    options = {"root": str(tmp_path), "splits": {"test": "validation"}}
    for split, part in (("train", "train"), ("test", "validation")):
        load = partial(data.arrow, split, **options)
        x, y, ids = load(None)
        assert x.shape == (len(ROWS[part]), 3, 5, 4) and y.tolist() == ROWS[part]
        assert (255 * x[:, 0, 0, 0]).round().tolist() == ids.tolist() == list(range(len(y)))
        first_n_are_the_first_n(load, len(y))
        mixed = data.arrow(split, None, **options, seed=1)
        assert sorted(mixed[2]) == sorted(ids)
        assert (255 * mixed[0][:, 0, 0, 0]).round().tolist() == mixed[2].tolist()
        data.check_loader(data.arrow, split, 2, options | {"seed": 1}, "mine")
    assert data.class_names(data.arrow, "test", options) == ["a", "b", "c", "d"]


def test_a_table_without_splits_is_both(table, tmp_path):
    saved_stream(table([1, 0]), tmp_path / "data-00000-of-00001.arrow")
    equal(data.arrow("train", None, root=str(tmp_path)), data.arrow("test", None, root=str(tmp_path)))


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (None, {"splits": {"test": "dev"}}, ["dev/*.arrow", "`splits`"]),
        (None, {"image": "img"}, ["no column 'img'", "it has image, label", "test-0.parquet"]),
        ("damaged", {}, ["test-0.parquet", "cannot be read"]),
        ("names", {}, ["label 'cat'", "whole numbers"]),
        ("numbers", {}, ["no encoded image", "'image'"]),
        ("broken", {}, ["image 0", "cannot be read"]),
    ],
)
def test_tables_that_are_no_images_and_labels_are_refused_by_name(change, options, words, table, tmp_path):
    import pyarrow

    made = {
        "names": pyarrow.table({"image": table([0])["image"], "label": ["cat"]}),
        "numbers": pyarrow.table({"image": [3], "label": [0]}),
        "broken": pyarrow.table({"image": [{"bytes": b"no image"}], "label": [0]}),
    }
    saved_parquet(made.get(change, table([0, 1])), tmp_path / "test-0.parquet")
    if change == "damaged":
        (tmp_path / "test-0.parquet").write_bytes(b"no table")
    refusal(lambda: data.arrow("test", None, root=str(tmp_path), **options), *words)


def test_without_the_library_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refusal(lambda: data.arrow("test", None, root=str(tmp_path)), "pyarrow is not installed", "uv pip install pyarrow")
