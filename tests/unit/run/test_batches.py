"""Any batch gives the same arrays, what is done is not done again, and a batch that does not fit is halved."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import Stopped, job

from purity.run.batches import BatchLimit, blocks, in_batches, on_axes
from purity.run.progress import Done

N = 23
KINDS = {"f4": (3, 4), "f8": (), "i2": (2,), "?": (), "i8": (1, 2, 2)}


@pytest.fixture(scope="module")
def whole():
    """An array of each kind, with a row for each image."""
    numbers = np.random.default_rng(0)
    return {kind: (9 * numbers.random((N, *shape)) - 4).astype(kind) for kind, shape in KINDS.items()}


class Computing:
    """Looks its rows up in `whole` and remembers them. It has room for `room` at once, and is stopped in a call."""

    def __init__(self, whole, room=N, error=None, stopped_in=None):
        self.whole, self.room, self.error, self.stopped_in = (
            whole,
            room,
            error or torch.OutOfMemoryError("no"),
            stopped_in,
        )
        self.calls: list[list[int]] = []  # those that came to an end
        self.sizes: list[int] = []  # of all

    def __call__(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        self.sizes.append(len(rows))
        if len(rows) > self.room:
            raise self.error
        if len(self.calls) == self.stopped_in:
            raise Stopped
        self.calls.append(rows.tolist())
        return {name: torch.from_numpy(array[rows.numpy()]) for name, array in self.whole.items()}

    @property
    def rows(self) -> list[int]:
        return [row for call in self.calls for row in call]


def worked(batch: int, computing, done: Done | None = None, progress=iter) -> dict[str, np.ndarray]:
    return in_batches(N, computing, job(batch, done, progress))


def same(found: dict, wanted: dict) -> None:
    """Byte for byte."""
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape), name
        assert np.ascontiguousarray(found[name]).tobytes() == np.ascontiguousarray(value).tobytes(), name


# Batches.


@pytest.mark.parametrize("batch", [1, 2, 5, N - 1, N, 1000])
def test_any_batch_gives_the_same_arrays_of_rows_met_once_each_in_order(batch, whole):
    computing = Computing(whole)
    same(worked(batch, computing), whole)
    assert computing.rows == list(range(N))
    assert set(computing.sizes[:-1]) <= {batch} and computing.sizes[-1] <= batch


def test_blocks_of_nothing_are_none_and_their_rows_can_index():
    assert [len(rows) for rows in blocks(7, 3)] == [3, 3, 1]
    assert [len(rows) for rows in blocks(0, 3)] in ([], [0])
    assert all(rows.dtype == torch.int64 for rows in blocks(7, 3))


def test_progress_is_told_of_the_batches_that_are_left(whole, done):
    interrupted(whole, done(), batch=4, after=2)
    told = []

    def progress(items):
        told.append(len(items))
        return iter(items)

    worked(4, Computing(whole), done(), progress)
    assert told == [4]


# What is done.


@pytest.fixture
def done(tmp_path):
    """done(**depends): what is done of an output that depends on this; there is another output beside it."""
    return lambda output="out.zarr.zip", **depends: Done(tmp_path / "deep" / output, {"spec": {"t": 1}} | depends)


def interrupted(whole, done: Done, batch: int, after: int, **options) -> Computing:
    computing = Computing(whole, stopped_in=after, **options)
    with pytest.raises(Stopped):
        worked(batch, computing, done)
    return computing


def files(done: Done) -> list[Path]:
    return sorted(done.place.iterdir()) if done.place.exists() else []


@pytest.mark.parametrize("after", [0, 1, 3, 5])
def test_a_job_that_was_interrupted_does_exactly_what_is_missing(after, whole, done):
    first, rerun = interrupted(whole, done(), 4, after), Computing(whole)
    same(worked(4, rerun, done()), whole)
    assert len(first.rows) == 4 * after and first.rows + rerun.rows == list(range(N))


def test_what_is_all_there_is_not_computed_again(whole, done):
    worked(4, Computing(whole), done())
    rerun = Computing(whole)
    same(worked(4, rerun, done()), whole)
    assert rerun.calls == []


def test_a_job_interrupted_in_every_batch_gets_on_by_one_each_time(whole, done):
    for batches in range(6):
        assert sum(len(rows) for rows, _ in done().parts()) == 4 * batches
        if batches < 5:
            interrupted(whole, done(), 4, after=1)
    same(worked(4, Computing(whole), done()), whole)


@pytest.mark.parametrize("batch", [1, 3, 5, 11, 100])
def test_another_batch_picks_up_what_is_there(batch, whole, done):
    """Whatever the order of the two sizes: rows that are there are in no batch."""
    first, rerun = interrupted(whole, done(), 4, after=3), Computing(whole)
    same(worked(batch, rerun, done()), whole)
    assert sorted(first.rows + rerun.rows) == list(range(N)) and max(rerun.sizes) <= batch


def test_the_log_says_how_many_images_are_there(whole, done, caplog):
    caplog.set_level("INFO")
    interrupted(whole, done(), 4, after=3)
    assert "are there" not in caplog.text
    worked(4, Computing(whole), done())
    assert "12 of 23 images are there" in caplog.text


@pytest.mark.parametrize(
    "other",
    [
        {"spec": {"t": 2}},
        {"spec": {"t": "1"}},
        {"code": "another"},
        {"inputs": {"subset": "another"}},
        {"output": "other.zarr.zip"},
    ],
)
def test_a_job_of_another_kind_finds_nothing_and_takes_nothing_away(other, whole, done):
    interrupted(whole, done(), 4, after=3)
    there = files(done())
    assert list(done(**other).parts()) == []
    turned = {name: array[::-1].copy() for name, array in whole.items()}
    same(worked(4, Computing(turned), done(**other)), turned)
    assert files(done()) == there
    same(worked(4, Computing(whole), done()), whole)


def test_the_order_of_what_a_job_depends_on_is_nothing_to_it(tmp_path):
    a, b = Done(tmp_path / "a", {"x": 1, "y": {"b": 2, "a": [1, None]}}), {"y": {"a": [1, None], "b": 2}, "x": 1}
    assert Done(tmp_path / "a", b).place == a.place


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "short by a byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "flipped": lambda path: path.write_bytes(bytes(b ^ 0xFF for b in path.read_bytes())),
    "gone": lambda path: path.unlink(),
    "no store": lambda path: zipfile.ZipFile(path, "w").close(),
}


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_batch_is_done_again_and_no_other_is(damage, which, whole, done):
    first, rerun = interrupted(whole, done(), 4, after=3), Computing(whole)
    DAMAGE[damage](files(done())[which])
    same(worked(4, rerun, done()), whole)
    assert sorted(rerun.rows) == sorted(first.calls[which] + list(range(12, N)))
    assert sum(len(rows) for rows, _ in done().parts()) == N  # and the damaged file has been replaced


def test_a_damaged_batch_is_named_in_the_log(whole, done, caplog):
    caplog.set_level("INFO")
    interrupted(whole, done(), 4, after=3)
    DAMAGE["truncated"](files(done())[1])
    worked(4, Computing(whole), done())
    assert files(done())[1].name in caplog.text


def test_holes_of_damaged_batches_may_lie_in_one_batch(whole, done):
    """Its rows are no run of neighbours then, and are put where they belong, also if it is stopped again."""
    interrupted(whole, done(), 2, after=8)
    for which in (0, 2, 5):
        files(done())[which].write_bytes(b"")
    again = interrupted(whole, done(), 8, after=1)
    assert again.calls == [[0, 1, 4, 5]]
    rerun = Computing(whole)
    same(worked(3, rerun, done()), whole)
    assert sorted(rerun.rows) == [10, 11, *range(16, N)]


def test_what_a_killed_write_leaves_is_harmless(whole, done):
    interrupted(whole, done(), 4, after=3)
    first = files(done())[0]
    for content in (b"", first.read_bytes()[:100], first.read_bytes()):
        (done().place / f".{first.stem}-{len(content)}.tmp.zip").write_bytes(content)
    rerun = Computing(whole)
    same(worked(4, rerun, done()), whole)
    assert rerun.rows == list(range(12, N))


def test_once_cleared_nothing_is_left_of_this_key_and_of_others_but_all_else_is(whole, done):
    for made in (done(), done(code="another"), done("other.zarr.zip")):
        interrupted(whole, made, 4, after=2)
    (done().place / ".rows-x.tmp.zip").write_bytes(b"")
    output = done().folder.with_suffix("")
    output.write_bytes(b"the output")
    done().clear()
    left = {output, done("other.zarr.zip").folder}
    assert set(output.parent.iterdir()) == left and len(files(done("other.zarr.zip"))) == 2
    done().clear()  # nor is it an error that nothing is there
    assert set(output.parent.iterdir()) == left


@pytest.mark.parametrize("batch", [N, 1000])
def test_a_single_batch_is_remembered_too(batch, whole, done):
    """So that a stage of several parts does none of them twice."""
    same(worked(batch, Computing(whole), done()), whole)
    rerun = Computing(whole)
    same(worked(batch, rerun, done()), whole)
    assert len(files(done())) == 1 and rerun.calls == []


# Halving.

MAKE = {
    "torch": lambda: torch.OutOfMemoryError("Tried to allocate 2 GiB"),
    "host": lambda: MemoryError(),
    "cuda": lambda: RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\nsecond line"),
    "cpu": lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
    "cublas": lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
}


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("batch", [2, 5, 16, 100])
@pytest.mark.parametrize("room", [1, 3, 4, 10])
def test_all_rows_are_computed_in_order_however_few_fit(room, batch, kind, whole):
    computing = Computing(whole, room, MAKE[kind]())
    same(worked(batch, computing), whole)
    assert computing.rows == list(range(N))


@pytest.mark.parametrize("batch", [2, 5, 16, 23])
@pytest.mark.parametrize("room", [1, 3, 4, 10])
def test_a_size_that_did_not_fit_is_not_tried_again_and_not_made_smaller_than_it_must_be(room, batch, whole):
    computing = Computing(whole, room)
    worked(batch, computing)
    size, tried = batch, []
    while size > room:
        tried.append(size)
        size //= 2
    assert computing.sizes[: len(tried)] == tried
    assert max(computing.sizes[len(tried) :]) == size
    # each batch asked for, in as few pieces as fit
    assert len(computing.calls) == sum(-(-len(rows) // size) for rows in blocks(N, batch))


def test_the_smaller_size_stays_for_all_that_comes_after(whole):
    limit, computing = BatchLimit(16), Computing(whole, 5)
    fitted = [rows.tolist() for chosen in blocks(N, 16) for rows, _ in limit.fitting(chosen, computing)]
    assert limit.batch == 4 and computing.sizes == [16, 8, 4, 4, 4, 4, 4, 3]
    assert [row for rows in fitted for row in rows] == list(range(N))
    more = [len(rows) for rows, _ in limit.fitting(torch.arange(10), Computing(whole, 5))]
    assert more == [4, 4, 2]


def test_room_that_gets_less_halves_again(whole):
    computing = Computing(whole, 8)

    def shrinking(rows):
        computing.room = 8 if len(computing.calls) < 2 else 2
        return computing(rows)

    same(worked(8, shrinking), whole)
    assert computing.sizes == [8, 8, 7, 3, *[1] * 7]


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("kind", MAKE)
def test_one_image_that_does_not_fit_is_the_error_that_it_was(kind, batch, whole):
    error = MAKE[kind]()
    with pytest.raises(type(error)) as raised:
        worked(batch, Computing(whole, 0, error))
    assert raised.value is error


@pytest.mark.parametrize(
    "error",
    [RuntimeError("shapes do not match"), ValueError("out of memory"), RuntimeError("CUDA error: device-side assert")],
)
def test_other_errors_are_not_swallowed(error, whole):
    computing = Computing(whole, 3, error)
    with pytest.raises(type(error)) as raised:
        worked(8, computing)
    assert raised.value is error and computing.sizes == [8]


@pytest.mark.parametrize("kind", MAKE)
def test_a_halving_is_a_warning_in_one_line_of_how_many_did_not_fit(kind, whole, caplog):
    worked(16, Computing(whole, 5, MAKE[kind]()))
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [line.split()[0] for line in said] == ["16", "8"]
    assert all("\n" not in line and "images" in line and "()" not in line for line in said)


def test_what_fits_is_no_warning(whole, caplog):
    worked(16, Computing(whole))
    assert not caplog.records


def test_what_was_kept_of_halves_is_not_done_again(whole, done):
    first = interrupted(whole, done(), 16, after=3, room=5)
    assert first.calls == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    rerun = Computing(whole, room=5)
    same(worked(16, rerun, done()), whole)
    assert first.rows + rerun.rows == list(range(N))


def test_halves_of_a_single_batch_are_remembered(whole, done):
    first = interrupted(whole, done(), N, after=1, room=12)
    assert len(files(done())) == 1
    rerun = Computing(whole)
    same(worked(N, rerun, done()), whole)
    assert first.rows + rerun.rows == list(range(N))


def test_a_batch_that_did_not_fit_is_let_go_before_the_next_try(whole):
    """Its tensors hang on the error's traceback, which would fill the memory that the halves need."""
    alive = []

    class Large:
        def __init__(self):
            alive.append(self)

        def __del__(self):
            alive_now.discard(id(self))

    alive_now, most = set(), []

    def compute(rows):
        large = Large()
        alive.clear()
        alive_now.add(id(large))
        most.append(len(alive_now))
        if len(rows) > 3:
            raise torch.OutOfMemoryError("no room")
        return {name: torch.from_numpy(array[rows.numpy()]) for name, array in whole.items()}

    same(worked(16, compute), whole)
    assert set(most) == {1}


# Axes.


def test_images_are_put_on_the_axis_that_is_named_and_what_is_alike_for_all_is_given_once():
    rows = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    found = on_axes({"first": rows, "second": rows, "alike": np.array([[5, 6], [5, 6]])}, {"second": 1, "alike": None})
    assert found["first"].tolist() == rows.tolist() and found["alike"].tolist() == [5, 6]
    assert found["second"].shape == (3, 2, 4)
    assert all((found["second"][k, i] == rows[i, k]).all() for i in range(2) for k in range(3))


def test_axes_of_arrays_that_are_not_there_do_not_matter():
    assert on_axes({}, {"absent": 1}) == {}


# Parts of a job.


def test_parts_of_a_job_remember_what_they_have_done_apart(whole, done):
    turned = {name: array[::-1].copy() for name, array in whole.items()}
    given, rerun = {"a": whole, "b": turned}, {"a": Computing(whole), "b": Computing(turned)}
    for name, arrays in given.items():
        same(in_batches(N, Computing(arrays), job(4, done()).part(name)), arrays)
    for name, arrays in given.items():
        same(in_batches(N, rerun[name], job(4, done()).part(name)), arrays)
    assert rerun["a"].calls == rerun["b"].calls == [] and list(done().parts()) == []
    done().clear()
    assert not done().folder.exists()


def test_a_part_of_a_job_is_the_job_otherwise():
    mine = job(4)
    assert mine.part("a") == mine and mine.part("a").evaluations is mine.evaluations
