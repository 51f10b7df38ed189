"""A part of a store is made once: again only when what it depends on has changed."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from purity.run import lineage, parts, store
from purity.run.job import Job
from purity.run.progress import Done

X = np.arange(12.0).reshape(6, 2)
AXES = {"drawn": 1}  # of the stages in this module
CALLS: list[tuple[int, int]] = []  # (scale, seed) of each call of `scaled`


def scaled(x0, scale, noise, *, job, more=0):
    """A stage: images scaled, and something drawn."""
    CALLS.append((scale, noise["seed"]))
    drawn = np.random.default_rng(noise["seed"]).random((2, len(x0)))
    return {"x": scale * x0 + more, "drawn": drawn}


@pytest.fixture(autouse=True)
def nothing_was_called():
    CALLS.clear()


class Project:
    """Two inputs, a store and a file, and the store that a stage makes of them."""

    def __init__(self, folder: Path):
        self.subset, self.weights, self.output = folder / "subset.zarr.zip", folder / "g.pt", folder / "made.zarr.zip"
        self.record = folder / "logs/made.json"
        self.given = {"subset": str(self.subset), "classifier": [str(self.weights)]}
        self.write(X)
        self.weights.write_text("weights")

    def write(self, x: np.ndarray, **keys) -> None:
        store.save(self.subset, {"keys": keys}, x=x, y=np.arange(len(x)) % 2, ids=np.arange(len(x)) * 7)

    def make(
        self, spec: dict, code: str = "code", arguments: Callable | None = None, stage=scaled
    ) -> dict[str, store.Part]:
        """What a job does that Snakemake starts; the store that was there is removed first."""
        self.output.unlink(missing_ok=True)
        job = Job(10, done=Done(self.output, {}), output=str(self.output), record=self.record)
        made = parts.made(stage, spec, code, self.given, job, arguments)
        store.save_parts(self.output, made)
        store.remember(self.output)
        lineage.record(self.record, outputs=lineage.digests([self.output]), parts=job.parts)
        return made


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


def spec(*seeds: int, scale: int = 2, **common) -> dict:
    of = {f"seed-{seed}": {"keys": {"seed": seed}, "noise": {"seed": seed}} for seed in seeds}
    reads = {"x0": ["subset", "x"], "ids": ["subset", "ids"], "y": ["subset", "y"]}
    return {"stage": "tests:scaled", "scale": scale, "reads": reads, "parts": of} | common


def called(project: Project, *given, **more) -> list[tuple[int, int]]:
    CALLS.clear()
    project.make(*given, **more)
    return list(CALLS)


# What a stage is handed, and what it leaves.


def test_every_part_is_the_function_of_what_its_arguments_are_called(project):
    made = project.make(spec(0, 3))
    assert CALLS == [(2, 0), (2, 3)] and list(made) == ["seed-0", "seed-3"]
    for seed in (0, 3):
        part = made[f"seed-{seed}"]
        assert np.array_equal(part.arrays["x"], 2 * X)
        assert np.array_equal(part.arrays["drawn"], np.random.default_rng(seed).random((2, 6)))
        assert part.spec["keys"] == {"seed": seed} and part.spec["scale"] == 2


def test_ids_and_labels_go_with_the_arrays(project):
    (part,) = project.make(spec(0)).values()
    assert part.arrays["ids"].tolist() == [0, 7, 14, 21, 28, 35] and part.arrays["y"].tolist() == [0, 1] * 3


def test_only_the_first_images_are_handed_over(project):
    (part,) = project.make(spec(0, images=4)).values()
    assert np.array_equal(part.arrays["x"], 2 * X[:4]) and len(part.arrays["ids"]) == 4


def test_an_argument_with_a_default_may_be_left_out_or_given(project):
    (part,) = project.make(spec(0, more=5)).values()
    assert np.array_equal(part.arrays["x"], 2 * X + 5)


def test_what_is_made_from_a_spec_takes_the_place_of_the_spec(project):
    (part,) = project.make(spec(0), arguments=lambda name, spec, arrays: 10 if name == "scale" else None).values()
    assert np.array_equal(part.arrays["x"], 10 * X)


def test_an_argument_that_nothing_gives_is_named_with_its_function(project):
    wanted = spec(0)
    del wanted["scale"]
    with pytest.raises(ValueError, match=r"test_parts\.scaled needs 'scale', which nothing gives"):
        project.make(wanted)


def test_an_input_that_is_left_out_gives_no_argument(project):
    project.given["anchor"] = []
    reads = spec(0)["reads"] | {"more": ["anchor", "x"]}
    (part,) = project.make(spec(0, reads=reads)).values()
    assert np.array_equal(part.arrays["x"], 2 * X)  # its default
    with pytest.raises(ValueError, match="needs 'x0'"):
        project.make(spec(0, reads={"x0": ["anchor", "x"]}))


def test_parts_that_differ_by_their_seed_alone_are_made_in_one_call(project, monkeypatch):
    """Where the module says that they may; each is what it is alone, and only what is missing is made."""
    asked = []

    def together(x0, ids, noise, scale, *, job, seeds=None):
        of = seeds or [noise["seed"]]
        asked.append((scale, of))
        seed = np.repeat(of, len(x0) // len(of))
        return {"x": scale * x0 + seed[:, None], "drawn": np.stack([ids + seed, ids - seed]), "time": np.arange(3)}

    monkeypatch.setitem(together.__globals__, "AXES", AXES | {"time": None})
    said = spec(0, 3, 5) | {"batch": 10}
    apart = project.make(said, stage=together)
    monkeypatch.setitem(together.__globals__, "SEEDS_TOGETHER", True)
    assert asked == [(2, [0]), (2, [3]), (2, [5])] and project.make(said, stage=together) and len(asked) == 3
    del said["batch"]  # what goes by batches is not made together
    made = project.make(said, stage=together)
    assert asked[3:] == [(2, [0, 3, 5])] and list(made) == list(apart)
    for name, part in apart.items():
        assert made[name].arrays.keys() == part.arrays.keys() == {"ids", "y", "x", "drawn", "time"}
        assert all(np.array_equal(made[name].arrays[key], value) for key, value in part.arrays.items()), name
        assert made[name].spec == {key: value for key, value in part.spec.items() if key != "batch"}
    more = spec(0, 3, 5, 6, 7)
    more["parts"]["seed-7"]["scale"] = 4
    more = {key: value for key, value in more.items() if key != "scale"}
    for own in more["parts"].values():
        own.setdefault("scale", 2)
    project.make(more, stage=together)
    assert asked[4:] == [(2, [0, 3, 5, 6]), (4, [7])]
    more["parts"]["seed-8"] = {"keys": {"seed": 8}, "noise": {"seed": 8}, "scale": 2}
    project.make(more, stage=together)
    assert asked[6:] == [(2, [8])]


def test_a_part_reads_the_part_of_an_input_that_is_about_the_same(project):
    of = {f"seed-{seed}": store.Part({"keys": {"seed": seed}}, {"x": X + seed}) for seed in (0, 1)}
    store.save_parts(project.subset, of)
    reads = {"x0": ["subset", "x"]}
    made = project.make(spec(0, 1, reads=reads))
    assert all(np.array_equal(made[f"seed-{seed}"].arrays["x"], 2 * (X + seed)) for seed in (0, 1))
    made = project.make(spec(0, 1, reads={"x0": ["subset", "x", {"seed": 1}]}))  # another part is asked for
    assert all(np.array_equal(made[f"seed-{seed}"].arrays["x"], 2 * (X + 1)) for seed in (0, 1))
    own = spec(0, 1, reads=reads)
    own["parts"]["seed-0"]["reads"] = {"x0": ["subset", "x", {"seed": 1}]}  # by one part only
    made = project.make(own)
    assert all(np.array_equal(made[f"seed-{seed}"].arrays["x"], 2 * (X + 1)) for seed in (0, 1))


def test_a_part_that_no_input_has_is_named_with_the_file(project):
    project.write(X, seed=0)
    with pytest.raises(ValueError, match=r"has no part of \{'seed': 4\}") as error:
        project.make(spec(0, 4))
    assert str(project.subset) in str(error.value)


def test_a_whole_store_may_be_an_argument(project):
    def sum_of(stored, job):
        return {"sum": stored["x"].sum()}

    (part,) = project.make(spec(0, reads={"stored": ["subset", None]}), stage=sum_of).values()
    assert part.arrays["sum"] == X.sum()


def test_images_are_on_the_axes_that_the_module_says_only_in_blocks():
    assert parts.axes(scaled, SimpleNamespace(experiment="e", block="0-5")) == AXES
    assert parts.axes(store.save, SimpleNamespace(block="0-5")) == {}
    assert parts.axes(scaled, SimpleNamespace(experiment="e")) is None


# What is there already.


def test_parts_of_equal_spec_code_and_inputs_are_taken_over(project):
    project.make(spec(0, 1))
    before = project.output.read_bytes()
    assert called(project, spec(0, 1)) == [] and project.output.read_bytes() == before
    project.write(X)  # made again, and the same
    assert called(project, spec(0, 1)) == [] and project.output.read_bytes() == before


@pytest.mark.parametrize("change", ["spec", "code", "images", "an input", "a label", "a file"])
def test_every_part_is_made_again_when_what_all_depend_on_differs(change, project):
    project.make(spec(0, 1))
    wanted, code = spec(0, 1), "code"
    if change == "spec":
        wanted = spec(0, 1, scale=3)
    elif change == "code":
        code = "other code"
    elif change == "images":
        wanted = spec(0, 1, images=5)
    elif change == "an input":
        project.write(X + 1e-12)
    elif change == "a label":
        store.save(project.subset, {}, x=X, y=np.ones(6, int), ids=np.arange(6) * 7)
    else:
        project.weights.write_text("other weights")
    assert [seed for _, seed in called(project, wanted, code)] == [0, 1]
    assert called(project, wanted, code) == []


def test_only_the_part_whose_own_spec_differs_is_made_again(project):
    project.make(spec(0, 1, 2))
    wanted = spec(0, 1, 2)
    wanted["parts"]["seed-1"]["noise"] = {"seed": 5}
    assert called(project, wanted) == [(2, 5)]


def test_only_the_part_whose_input_differs_is_made_again(project):
    def write(second: np.ndarray) -> None:
        of = {"a": store.Part({"keys": {"seed": 0}}, {"x": X}), "b": store.Part({"keys": {"seed": 1}}, {"x": second})}
        store.save_parts(project.subset, of)

    write(X)
    reads = {"x0": ["subset", "x"]}
    project.make(spec(0, 1, reads=reads))
    write(X + 1)
    assert called(project, spec(0, 1, reads=reads)) == [(2, 1)]


def test_a_new_seed_computes_only_what_is_new_and_one_less_computes_nothing(project):
    project.make(spec(0, 1))
    assert called(project, spec(0, 1, 2)) == [(2, 2)]
    assert called(project, spec(2, 1)) == []
    assert [stored.part for stored in store.parts(project.output)] == ["seed-1", "seed-2"]
    assert called(project, spec(0, 1)) == [(2, 0)]  # only what was made last is remembered


def test_equal_parts_give_equal_bytes_whether_made_together_or_taken_over(project, tmp_path):
    project.make(spec(1))
    project.make(spec(0, 1))
    (tmp_path / "another").mkdir()
    together = Project(tmp_path / "another")
    together.make(spec(0, 1))
    assert project.output.read_bytes() == together.output.read_bytes()


@pytest.mark.parametrize("damage", ["cut", "web page", "lost", "no record", "damaged record", "record of another file"])
def test_an_earlier_store_that_is_damaged_or_not_the_recorded_one_is_as_good_as_none(damage, project):
    made = project.make(spec(0, 1))
    before = store.earlier(project.output)
    whole = before.read_bytes()
    if damage == "no record":
        project.record.unlink()
    elif damage == "damaged record":
        project.record.write_bytes(project.record.read_bytes()[:40])
    elif damage == "record of another file":
        other = {name: store.Part(part.spec, {"x": np.zeros(3)}) for name, part in made.items()}
        store.save_parts(project.output, other)
        store.remember(project.output)
    else:
        before.unlink()
        if damage != "lost":
            before.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"<!DOCTYPE html>" * 50)
    assert called(project, spec(0, 1)) == [(2, 0), (2, 1)]
    assert project.output.read_bytes() == whole


def test_a_recorded_store_that_cannot_be_read_is_made_again(project, caplog):
    """One of an older version, say, or damaged before its digest was taken."""
    project.make(spec(0, 1))
    store.earlier(project.output).unlink()
    project.output.write_bytes(b"<!DOCTYPE html>" * 50)
    store.remember(project.output)
    depended = json.loads(project.record.read_text())["parts"]
    lineage.record(project.record, outputs=lineage.digests([project.output]), parts=depended)
    with caplog.at_level(logging.INFO):
        assert called(project, spec(0, 1)) == [(2, 0), (2, 1)]
    assert "are made again" in caplog.text


def test_a_part_remembers_what_is_done_of_it_apart_from_the_others_and_by_what_it_depends_on(project):
    places = []

    def noted(x0, noise, job):
        places.append(job.done.place)
        return {"x": x0}

    for code in ("code", "other", "code"):
        store.earlier(project.output).unlink(missing_ok=True)
        project.make(spec(0, 1), code=code, stage=noted)
    assert places[:2] == places[4:] and len({*places}) == 4
