"""A store is whole or not there, comes back as it went in, and equal content gives equal bytes."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from tempfile import mkstemp

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from purity.run import store

ROOT = Path(__file__).parents[3]
SPEC = {"keys": {"purifier": "ddpm", "seed": 3}, "options": {"t": 100, "clip": True, "sigma": None}}

# What the processes of several tests below write.
WRITE = """
import os, sys, resource, signal, time
import numpy as np
from purity.run import store
path = sys.argv[1]
spec = {"keys": {"purifier": "ddpm", "seed": 3}, "options": {"t": 100, "clip": True, "sigma": None}}
arrays = {"x": np.random.default_rng(0).random((50, 3, 8, 8), np.float32), "ids": np.arange(50)}
"""


def arrays() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).random((50, 3, 8, 8), np.float32), "ids": np.arange(50)}


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "a.zarr.zip"


# Round trip.


@pytest.mark.parametrize("dtype", ["bool", "u1", "i2", "i4", "i8", "u8", "f2", "f4", "f8", "c8"])
@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3, 4), (3, 0), (5, 3, 4, 4)])
def test_arrays_come_back_with_their_type_shape_and_bits(dtype, shape, path):
    values = np.arange(np.prod(shape, dtype=int), dtype=np.float64).reshape(shape).astype(dtype)
    store.save(path, SPEC, values=values)
    (back,) = store.load(path, "values")
    assert (back.dtype, back.shape) == (values.dtype, shape)
    assert back.tobytes() == values.tobytes()


def test_nan_infinity_and_negative_zero_come_back_bit_by_bit(path):
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, np.finfo(float).tiny / 2])
    store.save(path, SPEC, values=values, zeros=np.full(4, -0.0), nans=np.full(4, np.nan))
    for name, wanted in (("values", values), ("zeros", np.full(4, -0.0)), ("nans", np.full(4, np.nan))):
        assert store.load(path, name)[0].tobytes() == wanted.tobytes()


def test_arrays_come_back_however_they_lay_in_memory(path):
    values = np.arange(24.0).reshape(4, 6)
    store.save(path, SPEC, fortran=np.asfortranarray(values), strided=values[::2, ::-1], turned=values.T)
    for name, wanted in (("fortran", values), ("strided", values[::2, ::-1]), ("turned", values.T)):
        assert np.array_equal(store.load(path, name)[0], wanted)


def test_an_array_of_many_chunks_comes_back(path, monkeypatch):
    monkeypatch.setattr(store, "_chunks", lambda array: (4, *array.shape[1:]))
    values = np.random.default_rng(1).random((11, 2, 3))
    store.save(path, SPEC, values=values)
    assert sum("/c/" in name for name in zipfile.ZipFile(path).namelist()) == 3
    assert np.array_equal(store.load(path, "values")[0], values)


@pytest.mark.parametrize("rows", [1, 3, 10**6])
def test_chunks_are_whole_rows_of_bounded_size(rows):
    array = np.broadcast_to(np.float32(0), (rows, 3, 32, 32))
    chunk = store._chunks(array)
    assert chunk[1:] == array.shape[1:] and 1 <= chunk[0] <= rows
    assert np.prod(chunk) * 4 <= 32 * 2**20


def test_rows_that_are_larger_are_cut_along_the_next_axis():
    """Ten terabytes that nobody holds: strides of 0."""
    array = np.broadcast_to(np.float32(0), (3, 1000, 3, 1000, 1000))
    assert store._chunks(array) == (1, 2, 3, 1000, 1000)
    assert store._chunks(np.zeros((0, 4), "f4")) == (1, 4) and store._chunks(np.float64(1)) == ()


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
def test_images_of_few_levels_take_less_room_and_come_back_to_the_bit(dtype, path):
    images = (np.random.default_rng(0).integers(0, 256, (64, 3, 16, 16)) / 255).astype(dtype)
    images[0, 0, 0, :3] = np.nan, -0.0, np.inf
    store.save(path, {}, x=images)
    assert store.load(path, "x")[0].tobytes() == images.tobytes()
    assert path.stat().st_size < 0.9 * images.nbytes


def test_arrays_are_loaded_in_the_order_they_are_asked_for(path):
    store.save(path, SPEC, b=np.array([2]), a=np.array([1]), c=np.array([3]))
    assert [int(array[0]) for array in store.load(path, "c", "a", "b")] == [3, 1, 2]


def test_attributes_hold_spec_ids_and_versions(path):
    store.save(path, SPEC, **arrays())
    with store._opened(path) as group:
        attributes = dict(group.attrs)
    assert store.spec(path) == attributes["spec"] == SPEC
    assert attributes["ids"] == list(range(50))
    assert attributes["versions"]["numpy"] == np.__version__ and attributes["versions"]["zarr"]


def test_stored_is_a_mapping_of_the_arrays_with_the_keys_of_the_stage(path):
    store.save(path, SPEC, **arrays())
    stored = store.Stored(path)
    assert stored.keyed == SPEC["keys"]
    assert set(stored) == {"x", "ids"} and len(stored) == 2
    assert "x" in stored and "y" not in stored
    assert np.array_equal(stored["x"], arrays()["x"])
    with pytest.raises(KeyError, match="y"):
        stored["y"]


def test_saving_changes_neither_the_arrays_nor_the_spec(path):
    given, spec = arrays(), {"keys": {"seed": 1}}
    store.save(path, spec, **given)
    assert all(np.array_equal(given[name], wanted) for name, wanted in arrays().items())
    assert spec == {"keys": {"seed": 1}}


# Blocks of images.

AXES = {"varying": 1, "path_l2": 1, "path_time": None, "number": None}


def of_images() -> dict[str, np.ndarray]:
    """Arrays of 7 images, on the first axis, on another, on none."""
    numbers = np.random.default_rng(3)
    return {
        "x": numbers.random((7, 3, 4), np.float32),
        "right": numbers.random(7) < 0.5,
        "varying": numbers.random((2, 7, 3), np.float32),
        "path_l2": numbers.random((5, 7)),
        "path_time": numbers.random(5),
        "number": np.float64(2),
        "ids": np.arange(7) * 6,
    }


def block(first: int, last: int) -> dict[str, np.ndarray]:
    taken = np.arange(first, last + 1)
    axes = {name: AXES.get(name, 0) for name in of_images()}
    return {name: a if axes[name] is None else a.take(taken, axes[name]) for name, a in of_images().items()}


def saved_blocks(folder: Path, *spans: tuple[int, int], keys: dict = SPEC["keys"]) -> list[Path]:
    paths = [folder / f"images-{first:05d}-{last:05d}.zarr.zip" for first, last in spans]
    for path, span in zip(paths, spans, strict=True):
        store.save(path, {"keys": keys}, axes=AXES, **block(*span))
    return paths


@pytest.mark.parametrize("spans", [[(0, 6)], [(0, 3), (4, 6)], [(0, 2), (3, 5), (6, 6)], [(i, i) for i in range(7)]])
def test_blocks_put_together_are_the_whole(spans, tmp_path):
    paths = saved_blocks(tmp_path, *spans)
    stored = store.Stored(paths)
    assert set(stored) == set(of_images()) and stored.keyed == SPEC["keys"]
    for name, wanted in of_images().items():
        for found in (store.load(paths, name)[0], stored[name]):
            assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape), name
            assert found.tobytes() == wanted.tobytes(), name


def test_several_arrays_of_blocks_come_in_the_order_they_are_asked_for(tmp_path):
    names = ("path_time", "varying", "x", "path_l2")
    found = store.load(saved_blocks(tmp_path, (0, 3), (4, 6)), *names)
    assert all(np.array_equal(a, of_images()[name]) for a, name in zip(found, names, strict=True))


def test_images_are_in_the_order_of_the_paths(tmp_path):
    paths = saved_blocks(tmp_path, (0, 2), (3, 3), (4, 6))
    turned = [4, 5, 6, 3, 0, 1, 2]
    for order in (reversed(paths), map(str, reversed(paths))):
        x, varying, time_ = store.load(order, "x", "varying", "path_time")
        assert np.array_equal(x, of_images()["x"][turned]) and np.array_equal(
            varying, of_images()["varying"][:, turned]
        )
        assert np.array_equal(time_, of_images()["path_time"])


def test_what_has_no_images_is_that_of_the_first_block(tmp_path):
    paths = saved_blocks(tmp_path, (0, 2), (3, 6))
    store.save(paths[1], SPEC, axes=AXES, **block(3, 6) | {"path_time": np.zeros(5)})
    assert np.array_equal(store.load(paths, "path_time")[0], of_images()["path_time"])


def test_axes_change_no_array_and_name_the_images_to_zarr(path):
    store.save(path, SPEC, axes=AXES, **of_images())
    with store._opened(path) as group:
        named = {name: array.metadata.dimension_names for name, array in group.arrays()}
    assert named["x"] == ("image", None, None) and named["right"] == ("image",)
    assert named["varying"] == (None, "image", None) and named["path_time"] == (None,)
    assert all(np.array_equal(store.load(path, name)[0], a) for name, a in of_images().items())


@pytest.mark.parametrize("axes", [None, AXES])
def test_one_store_alone_is_read_as_it_is_in_a_list_or_not(axes, path):
    store.save(path, SPEC, axes=axes, **of_images())
    for given in (path, str(path), [path], [str(path)], iter([path])):
        assert np.array_equal(store.load(given, "varying")[0], of_images()["varying"])
    for given in (path, str(path), [path]):
        assert np.array_equal(store.Stored(given)["path_l2"], of_images()["path_l2"])


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_store_that_is_no_block_among_several_is_refused_by_name(which, tmp_path):
    paths = saved_blocks(tmp_path, (0, 2), (3, 3), (4, 6))
    store.save(paths[which], SPEC, **block(0, 2))
    for read in (lambda: store.load(paths, "x"), lambda: store.Stored(paths)["path_time"]):
        with pytest.raises(ValueError, match="no block") as error:
            read()
        assert str(paths[which]) in str(error.value)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_damaged_or_missing_block_is_named(which, tmp_path):
    paths = saved_blocks(tmp_path, (0, 2), (3, 3), (4, 6))
    for damage in (lambda path: path.write_bytes(path.read_bytes()[:-1]), Path.unlink):
        damage(paths[which])
        for read in (lambda: store.load(paths, "x"), lambda: store.Stored(paths)["x"]):
            with pytest.raises(ValueError) as error:
                read()
            said = str(error.value)
            assert str(paths[which]) in said and "\n" not in said
            assert not any(str(path) in said for path in paths if path != paths[which])


def test_a_block_that_lacks_an_array_is_named(tmp_path):
    paths = saved_blocks(tmp_path, (0, 2), (3, 6))
    lacking = {name: array for name, array in block(3, 6).items() if name != "varying"}
    store.save(paths[1], SPEC, axes=AXES, **lacking)
    with pytest.raises(ValueError, match="varying") as error:
        store.load(paths, "x", "varying")
    assert str(paths[1]) in str(error.value)


def test_blocks_are_read_when_they_are_asked_for_and_once(tmp_path):
    paths = saved_blocks(tmp_path, (0, 2), (3, 6))
    stored = store.Stored(paths)
    x = stored["x"]
    paths[1].unlink()
    assert stored["x"] is x
    with pytest.raises(ValueError, match="does not exist"):
        stored["varying"]


def test_gathered_are_stores_by_themselves_and_blocks_of_a_folder_as_one(tmp_path):
    folders = {name: tmp_path / name for name in ("pgd/seed-0", "pgd/seed-1", "bpda/seed-0")}
    spans = ([(0, 2), (3, 6)], [(0, 0), (1, 5), (6, 6)], [(0, 6)])
    blocks = [saved_blocks(f, *s, keys={"of": n}) for (n, f), s in zip(folders.items(), spans, strict=True)]
    alone = [tmp_path / "pgd/seed-0.zarr.zip", tmp_path / "pgd/seed-1.zarr.zip"]
    for single in alone:
        store.save(single, {"keys": {"of": single.name}}, **block(0, 1))
    mixed = [*blocks[0], alone[0], alone[1], *blocks[1], *blocks[2]]
    for paths in (mixed, [str(path) for path in mixed], iter(mixed)):
        found = store.gathered(paths)
        assert [stored.keyed["of"] for stored in found] == [
            "pgd/seed-0",
            "seed-0.zarr.zip",
            "seed-1.zarr.zip",
            "pgd/seed-1",
            "bpda/seed-0",
        ]
        for stored in found:
            wanted = block(0, 1) if stored.keyed["of"].endswith("zip") else of_images()
            assert all(np.array_equal(stored[name], wanted[name]) for name in wanted)


def test_gathered_of_nothing_is_nothing():
    assert store.gathered([]) == []


# Parts.


def of_parts(**more: dict[str, np.ndarray]) -> dict[str, store.Part]:
    """Two parts that lie at two depths, and `more`."""
    made = {"seed-1": {"x": np.arange(3.0), "ids": np.arange(3)}, "pgd/all/seed-0": {"x": np.ones((2, 2))}} | more
    return {name: store.Part({"keys": {"part": name}}, arrays) for name, arrays in made.items()}


def test_parts_come_back_each_with_its_arrays_and_all_that_is_said_of_it(path):
    store.save_parts(path, of_parts())
    found = {stored.part: stored for stored in store.parts(path)}
    assert list(found) == sorted(of_parts())
    for name, part in of_parts().items():
        assert (
            found[name].spec == part.spec
            and found[name].keyed == {"part": name}
            and set(found[name]) == set(part.arrays)
        )
        for array, wanted in part.arrays.items():
            assert np.array_equal(found[name][array], wanted)
            assert np.array_equal(store.load(path, array, part=name)[0], wanted)


def test_a_store_without_parts_is_its_only_part(path):
    store.save(path, SPEC, **arrays())
    (only,) = store.parts(path)
    assert only.part == "" and only.spec == SPEC and set(only) == set(arrays())


def test_a_part_that_is_not_there_is_refused_by_name_and_the_others_are_told(path):
    store.save_parts(path, of_parts())
    for read in (lambda: store.load(path, "x", part="seed-2"), lambda: store.Stored(path, "seed-2")):
        with pytest.raises(ValueError, match=r"no part 'seed-2'; it has pgd/all/seed-0, seed-1") as error:
            read()
        assert str(path) in str(error.value)
    store.save_parts(path, {})
    with pytest.raises(ValueError, match="it has none"):
        store.load(path, "x", part="seed-2")


def test_parts_of_blocks_are_put_together_part_by_part(tmp_path):
    paths = [tmp_path / f"images-{first:05d}-{last:05d}.zarr.zip" for first, last in ((0, 2), (3, 6))]
    for path, span in zip(paths, ((0, 2), (3, 6)), strict=True):
        turned = {name: -a if name == "x" else a for name, a in block(*span).items()}
        store.save_parts(path, {"a": store.Part({}, block(*span)), "b": store.Part({}, turned)}, AXES)
    one, other = store.gathered(paths)
    assert (one.part, other.part) == ("a", "b")
    assert all(np.array_equal(one[name], wanted) for name, wanted in of_images().items())
    assert np.array_equal(other["x"], -of_images()["x"]) and np.array_equal(other["varying"], of_images()["varying"])


def test_equal_parts_give_equal_bytes_in_whatever_order_they_are_given(path, tmp_path):
    store.save_parts(path, of_parts())
    store.save_parts(tmp_path / "turned.zarr.zip", dict(reversed(of_parts().items())))
    assert (tmp_path / "turned.zarr.zip").read_bytes() == path.read_bytes()
    store.save_parts(tmp_path / "more.zarr.zip", of_parts(another={"x": np.zeros(1)}))
    assert (tmp_path / "more.zarr.zip").read_bytes() != path.read_bytes()


def content(path: Path, **of: np.ndarray) -> list[str]:
    store.save(path, SPEC, **of)
    return store.Stored(path).content


def test_content_is_of_names_kinds_shapes_and_bits_and_of_nothing_else(path, tmp_path):
    whole = content(path, **arrays())
    assert content(tmp_path / "again.zarr.zip", **dict(reversed(arrays().items()))) == whole
    x, ids = arrays()["x"], arrays()["ids"]
    others = [{"x": x}, {"x": x, "id": ids}, {"x": x, "ids": ids.astype(np.int32)}, {"x": x + 1e-7, "ids": ids}]
    others += [{"x": x.reshape(50, 3, 64), "ids": ids}, {"x": ids, "ids": x}]
    found = [content(tmp_path / "other.zarr.zip", **other) for other in others]
    assert whole not in found and len({*map(tuple, found)}) == len(others)
    store.save(path, {"keys": {"seed": 9}}, **arrays())
    assert store.Stored(path).content == whole


def test_what_was_made_last_is_found_after_it_was_removed_and_takes_no_space(path):
    store.save(path, SPEC, **arrays())
    store.remember(path)
    assert path.stat().st_nlink == 2 and left_over(path.parent) == [path.name]
    path.unlink()
    assert np.array_equal(store.load(store.earlier(path), "x")[0], arrays()["x"])
    store.save(path, SPEC, x=np.arange(2))
    assert np.array_equal(store.load(store.earlier(path), "x")[0], arrays()["x"])  # until the new one is remembered
    store.remember(path)
    assert store.earlier(path).samefile(path)


def test_where_there_are_no_hard_links_nothing_is_remembered_and_nothing_fails(path, monkeypatch):
    def refused(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    store.save(path, SPEC, **arrays())
    store.remember(path)
    monkeypatch.setattr(store.os, "link", refused)
    store.remember(path)
    assert not store.earlier(path).exists() and np.array_equal(store.load(path, "x")[0], arrays()["x"])


# Equal content, equal bytes.


def test_equal_content_gives_equal_bytes_at_another_time_in_another_order_under_another_name(path, tmp_path):
    store.save(path, SPEC, **arrays())
    time.sleep(2.1)  # the dates inside a zip count in steps of two seconds
    other = tmp_path / "elsewhere/b.zarr.zip"
    store.save(other, spec=SPEC, **dict(reversed(arrays().items())))
    assert other.read_bytes() == path.read_bytes()


def test_equal_content_gives_equal_bytes_in_another_process(path, tmp_path):
    """One with other settings, and in which fewer libraries happen to be loaded."""
    store.save(path, SPEC, **arrays())
    code = WRITE + "store.save(path, spec=spec, **arrays)"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"}
    other = tmp_path / "other.zarr.zip"
    subprocess.run([sys.executable, "-c", code, str(other)], env=environment, check=True, timeout=60)
    assert other.read_bytes() == path.read_bytes()


def test_the_names_inside_a_store_are_sorted(path):
    store.save(path, SPEC, **dict(reversed(arrays().items())))
    names = zipfile.ZipFile(path).namelist()
    assert names == sorted(names)


def test_other_content_gives_other_bytes(path, tmp_path):
    store.save(path, SPEC, **arrays())
    for i, changed in enumerate(({"x": arrays()["x"] + 1e-7}, {"ids": arrays()["ids"] + 1}, {"y": np.zeros(1)})):
        store.save(tmp_path / f"{i}.zarr.zip", SPEC, **(arrays() | changed))
        assert (tmp_path / f"{i}.zarr.zip").read_bytes() != path.read_bytes()


def figure() -> Figure:
    drawn = Figure(figsize=(2, 2))
    ax = drawn.subplots()
    ax.plot([1, 2, 3], label="ℓ2 of ξ")
    ax.imshow(np.arange(9).reshape(3, 3))
    ax.legend()
    return drawn


def test_equal_figures_and_tables_give_equal_bytes_at_another_time(tmp_path):
    table = pd.DataFrame({"a": [1, 2], "b": [0.1, 1 / 3]})
    for name, wait in (("one", 0), ("two", 1.1)):
        time.sleep(wait)  # the date of a PDF counts in seconds
        store.save_figure(figure(), png=tmp_path / f"{name}.png", pdf=tmp_path / f"{name}.pdf")
        store.save_table(tmp_path / f"{name}.csv", table)
    for ending, start in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("csv", b"a,b")):
        one, two = ((tmp_path / f"{name}.{ending}").read_bytes() for name in ("one", "two"))
        assert one.startswith(start) and one == two


# Damage.


def refused(path, *names: str) -> None:
    """ValueError in one line that names the file, from each way to read a store."""
    for read in (lambda: store.load(path, *names), lambda: store.Stored(path), lambda: store.spec(path)):
        with pytest.raises(ValueError) as error:
            read()
        assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.99, -1])
def test_a_truncated_store_is_refused_by_name(share, path):
    store.save(path, SPEC, **arrays())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole)) if share >= 0 else -1])
    refused(path, "x")


def test_a_web_page_in_place_of_a_store_is_refused_by_name(path):
    path.write_text("<!DOCTYPE html><html><body>404 Not Found</body></html>" * 20)
    refused(path, "x")


def test_a_store_that_is_not_there_is_refused_by_name(path):
    refused(path, "x")


def test_a_folder_in_place_of_a_store_is_refused_by_name(path):
    path.mkdir()
    refused(path, "x")


def test_a_zip_that_is_no_store_is_said_to_be_damaged_not_missing(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "something else")
    refused(path, "x")
    with pytest.raises(ValueError, match="damaged"):
        store.load(path, "x")


def test_a_missing_array_is_refused_by_name_and_the_others_are_told(path):
    store.save(path, SPEC, **arrays())
    with pytest.raises(ValueError, match="nothing") as error:
        store.load(path, "x", "nothing")
    assert str(path) in str(error.value) and "ids" in str(error.value)


@pytest.mark.parametrize("mask", [0x01, 0xFF])
def test_a_flipped_byte_is_refused_or_harmless(mask, path):
    """Wherever in the file it is: never other numbers, never another kind of error."""
    given = {"x": np.random.default_rng(0).random((3, 2)).astype(np.float32), "ids": np.arange(3)}
    store.save(path, SPEC, **given)
    whole = path.read_bytes()
    # every byte of the zip's directory by one mask or the other, of what comes before every seventh
    directory, turn = whole.index(b"PK\x01\x02"), int(mask == 0xFF)
    wrong: dict[str, list[int]] = {}
    for at in (*range(7 * turn, directory, 14), *range(directory + turn, len(whole), 2)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
        try:
            x, ids = store.load(path, "x", "ids")
            if not (np.array_equal(x, given["x"]) and np.array_equal(ids, given["ids"])):
                wrong.setdefault("other numbers", []).append(at)
        except ValueError as error:
            if str(path) not in str(error):
                wrong.setdefault(f"nameless {error}", []).append(at)
        except Exception as error:
            wrong.setdefault(repr(error), []).append(at)
    assert not wrong


@pytest.mark.parametrize("content", [b"", b'"a,b\n1,2\n', b"a,b\n1,2\n1,2,3\n", b"a,b\n\xff\xfe,1\n"])
def test_a_damaged_table_is_refused_by_name(content, tmp_path):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"t\.csv"):
        store.load_table(tmp_path / "t.csv")


def test_a_table_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises((ValueError, OSError), match=r"t\.csv"):
        store.load_table(tmp_path / "t.csv")


# Tables.


def test_a_table_comes_back_with_every_digit(tmp_path):
    table = pd.DataFrame(
        {
            "purifier": ["ddpm", "one-step", "ddim"],
            "seed": ["0", "all", "1"],
            "n": [1, 2, 3],
            "mean": [1 / 3, np.nan, 1e-300],
            "std": [np.pi, 0.1 + 0.2, np.inf],
        }
    )
    store.save_table(tmp_path / "t.csv", table)
    pd.testing.assert_frame_equal(store.load_table(tmp_path / "t.csv"), table, check_exact=True)


@pytest.mark.parametrize("name", ["NA", "null", "None", "nan", "007", "1e3", "150", "True"])
def test_every_name_that_a_config_may_give_comes_back_from_a_table(name, tmp_path):
    store.save_table(tmp_path / "t.csv", pd.DataFrame({"purifier": [name], "attack": [name], "mean": [0.5]}))
    back = store.load_table(tmp_path / "t.csv")
    assert [*back["purifier"], *back["attack"]] == [name, name]


# Whole or not there.


def left_over(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="on the way"), store.replacing(path) as temporary:
        Path(temporary).write_text("half of the ne")
        raise RuntimeError("on the way")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_nothing_is_under_the_final_name_before_all_is_written(tmp_path):
    path = tmp_path / "new/a.txt"
    with store.replacing(path) as temporary:
        Path(temporary).write_text("all of it")
        assert not path.exists()
        assert Path(temporary).parent == path.parent  # else the move would not be one step
    assert path.read_text() == "all of it" and os.listdir(path.parent) == ["a.txt"]


def test_others_may_read_what_is_written(path):
    store.save(path, SPEC, **arrays())
    assert path.stat().st_mode & 0o444 == 0o444


SLOW = """
import zipfile
write = zipfile.ZipFile.writestr
def slowly(self, *a, **k):
    write(self, *a, **k)
    self.fp.flush()
    print("written", flush=True)
    time.sleep(60)
zipfile.ZipFile.writestr = slowly
store.save(path, spec=spec, **arrays)
"""


@pytest.mark.parametrize("old", [None, "old"])
def test_a_process_killed_while_it_writes_leaves_nothing_under_the_final_name(old, path):
    if old:
        path.write_text(old)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE + SLOW, str(path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert writer.stdout.readline() == b"written\n"
    writer.send_signal(signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL
    writer.stdout.close()
    assert left_over(path.parent) == ([path.name] if old else [])
    assert not old or path.read_text() == old
    store.save(path, SPEC, **arrays())  # and the next try succeeds
    assert np.array_equal(store.load(path, "x")[0], arrays()["x"])


FULL = """
from pathlib import Path
Path(path).write_text("old")
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    store.save(path, spec=spec, **arrays)
except OSError as error:
    print(error.errno, os.listdir(os.path.dirname(path)), Path(path).read_text())
"""
# Random numbers of 38,400 bytes cannot be packed into 20,000, nor into a disk of 24 KiB in a namespace of its own.
TMPFS = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=24k none "$0" && exec "$@"']
NO_ROOM = {"limit": errno.EFBIG}
if shutil.which("unshare") and subprocess.run([*TMPFS, "/mnt", "true"], capture_output=True).returncode == 0:
    NO_ROOM["tmpfs"] = errno.ENOSPC


@pytest.mark.parametrize("kind", NO_ROOM)
def test_a_disk_without_room_leaves_the_old_file_and_no_rest(kind, path):
    inside = [*TMPFS, str(path.parent)] if kind == "tmpfs" else []
    done = subprocess.run(
        [*inside, sys.executable, "-c", WRITE + FULL, str(path), kind],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == f"{NO_ROOM[kind]} ['{path.name}'] old\n", done.stderr


@pytest.mark.parametrize("file", ["a.zarr.zip", "t.csv", "f.png", "f.pdf"])
def test_whatever_is_written_to_a_full_device_fails_and_leaves_the_old_file(file, tmp_path, monkeypatch):
    (tmp_path / file).write_text("old")

    def full(prefix, suffix, dir):
        name = Path(dir) / f"{prefix}full{suffix}"
        name.symlink_to("/dev/full")  # opens well; every write says that no space is left
        return os.open(name, os.O_WRONLY), str(name)

    monkeypatch.setattr(store.tempfile, "mkstemp", full)
    writes = {
        "a.zarr.zip": lambda: store.save(tmp_path / file, SPEC, **arrays()),
        "t.csv": lambda: store.save_table(tmp_path / file, pd.DataFrame({"a": range(10_000)})),
        "f.png": lambda: store.save_figure(figure(), png=tmp_path / file, pdf=tmp_path / "unwritten.pdf"),
    }
    if file == "f.pdf":
        monkeypatch.setattr(
            store.tempfile,
            "mkstemp",
            lambda suffix, **k: (full if suffix.endswith("pdf") else mkstemp)(suffix=suffix, **k),
        )
        writes[file] = lambda: store.save_figure(figure(), png=tmp_path / "f.png", pdf=tmp_path / file)
    with pytest.raises(OSError) as error:
        writes[file]()
    assert error.value.errno == errno.ENOSPC
    assert (tmp_path / file).read_text() == "old"
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_the_rights_of_what_is_written_are_those_that_the_umask_leaves(mask, path):
    before = os.umask(mask)
    try:
        store.save(path, SPEC, **arrays())
        assert os.umask(mask) == mask  # and it is what it was
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_a_disk_without_room_is_said_with_the_file_and_its_folder(number, tmp_path):
    path = tmp_path / "measures/a.zarr.zip"
    with pytest.raises(OSError, match="make room and run again") as raised, store.replacing(path):
        raise OSError(number, os.strerror(number))
    said = str(raised.value)
    assert raised.value.errno == number and "\n" not in said
    assert str(path) in said and str(path.parent) in said and "MiB free" in said and os.strerror(number) in said
