"""Stages part by part: a store has one for each seed (and attack). Those that are there already are not made again."""

import hashlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from purity.run import lineage, store
from purity.run.job import Job
from purity.run.naming import parameters
from purity.run.progress import Done

Arrays = dict[str, np.ndarray]

# What a stage is about, as parts of its inputs are found by.
KEYS = ("attack", "knowledge", "seed")


class Arguments(Protocol):
    """What a stage is given besides arrays and numbers, by an argument's name, the spec of a part, and what is read."""

    def __call__(self, name: str, spec: dict, arrays: Mapping) -> object: ...

    def batch(self, spec: dict, arrays: Mapping) -> int: ...


def made(function: Callable, spec: dict, code: str, inputs, job: Job, arguments: Arguments | None = None):
    """The parts of a store by name: function(**what its arguments are called) for each of spec's `parts`.

    spec: reads {argument: [input, array]}, with a third entry where another part of that input is meant than the one of
    the same attack, knowledge and seed; images: how many of the first images are wanted, None for all; parts: {name:
    {keys, and what else is the part's own}}; all else is common to the parts. code: digest of the code. inputs: what
    Snakemake gives, by name. arguments: tells other arguments than those in spec. A part that an earlier job has made
    with the same spec, code and inputs is taken from the store that it left (purity.run.store.earlier), in this
    experiment or in another one; the record of that job says what its parts depended on. The store does not, so that
    what comes out the same has the same bytes.
    """
    common = {key: value for key, value in spec.items() if key != "parts"}
    stores = {name: store.gathered(_listed(inputs, name)) for name in _stores(spec)}
    files = [path for name, _ in inputs.items() if name not in stores for path in _listed(inputs, name)]
    known = job.inputs  # digests that `running` has taken already: a checkpoint may have gigabytes
    digests = {path: known[path] if path in known else lineage.sha256(path) for path in files}
    given = {"code": code, "common": common, "files": digests}
    todo = {}
    for name, own in spec["parts"].items():
        read = {argument: _found(stores, source, own) for argument, source in _reads(spec, own).items()}
        content = {argument: found.content for argument, found in read.items() if found is not None}
        todo[name] = own, read, _digest(given | {"own": own, "read": content})
    there = _there(job, {name: depends for name, (_, _, depends) in todo.items()})
    ready = [name for name in todo if name in there]
    if ready:
        logging.info("%d of %d parts are there already: %s", len(ready), len(todo), ", ".join(ready))
    parts = {name: store.Part(there[name].spec, dict(there[name])) for name in ready}
    wholes = {name: common | own | {"reads": _reads(spec, own)} for name, own in spec["parts"].items()}
    for names in job.progress(_together(function, {name: wholes[name] for name in todo if name not in ready})):
        if len(todo) > 1:
            logging.info("%s", ", ".join(names))
        depends = [todo[name][2] for name in names]
        part = replace(job, done=Done(job.output, {"depends": depends})) if job.output else job
        specs, reads = [wholes[name] for name in names], [todo[name][1] for name in names]
        called = _called(function, specs, reads, part, arguments, code)
        parts |= {name: store.Part(wholes[name], arrays) for name, arrays in zip(names, called, strict=True)}
    job.parts |= {name: depends for name, (_, _, depends) in todo.items()}
    return {name: parts[name] for name in todo}


def axes(function: Callable, wildcards) -> store.Axes | None:
    """On which axes the images of a stage's arrays are, as its module says; None for what does not lie in blocks."""
    return getattr(sys.modules[function.__module__], "AXES", {}) if hasattr(wildcards, "block") else None


def _together(function: Callable, specs: Mapping[str, dict]) -> list[list[str]]:
    """Names of parts that are made in one call: those that differ by their seed alone, if the stage's module says so
    and nothing in it goes by batches."""
    if not getattr(sys.modules[function.__module__], "SEEDS_TOGETHER", False):
        return [[name] for name in specs]
    groups: dict[str, list[str]] = {}
    for name, spec in specs.items():
        alike = {key: {**spec[key], "seed": None} for key in ("keys", "noise")}
        groups.setdefault(name if "batch" in spec else json.dumps(spec | alike, sort_keys=True), []).append(name)
    return list(groups.values())


def _called(
    function: Callable, specs: list[dict], reads: list[dict], job: Job, arguments: Arguments | None, code: str
) -> list[Arrays]:
    """The arrays that a stage makes, and the ids and labels of their images, for each of some parts.

    Of several parts, which differ by their seed, it is given the images one after the other, and `seeds`.
    """
    each = [_read(spec, read) for spec, read in zip(specs, reads, strict=True)]
    spec, arrays = specs[0], each[0]
    if len(specs) > 1:
        spec = spec | {"seeds": [one["noise"]["seed"] for one in specs]}
        arrays = {name: np.concatenate([one[name] for one in each]) for name in arrays}
    if not job.batch and arguments is not None:
        # a job that was stopped is gone on with in the batches that it had
        batch = (job.done and job.done.batch()) or arguments.batch(spec, arrays)
        job = job.with_batch(batch)
        if job.done:
            job.done.chose(batch)
    known = spec | {"job": job, "code": code} | arrays
    given = {}
    for name, needed in parameters(function).items():
        if arguments is not None and (value := arguments(name, spec, arrays)) is not None:
            given[name] = value
        elif name in known:
            given[name] = known[name]
        elif needed:
            raise ValueError(f"{function.__module__}.{function.__name__} needs '{name}', which nothing gives")
    made = function(**given)
    if len(specs) > 1:
        axes, n = getattr(sys.modules[function.__module__], "AXES", {}), len(each)
        split = {name: _split(value, axes.get(name, 0), n) for name, value in made.items()}
        apart = [{name: values[k] for name, values in split.items()} for k in range(n)]
    else:
        apart = [made]
    return [{key: one[key] for key in ("ids", "y") if key in one} | a for one, a in zip(each, apart, strict=True)]


def _split(value: np.ndarray, axis: int | None, n: int) -> list[np.ndarray]:
    """An array whose images are on an axis, into n equal parts; one that is the same for all images as it is."""
    return [value] * n if axis is None else [np.ascontiguousarray(part) for part in np.split(value, n, axis)]


def _read(spec: dict, read: dict) -> dict:
    """What a part reads, by the names of the arguments; no more than its `images`."""
    first = slice(spec.get("images"))
    arrays = {}
    for argument, found in read.items():
        if found is not None:
            array = spec["reads"][argument][1]
            # read anew for each part, so that no part's arrays are held while others are made
            again = store.Stored(found.paths, found.part)
            arrays[argument] = again if array is None else again[array][first]
    return arrays


def _reads(spec: dict, own: dict) -> dict[str, list]:
    return own.get("reads", {}) | {k: v for k, v in spec["reads"].items() if k not in own.get("reads", {})}


def _stores(spec: dict) -> set[str]:
    """Inputs that are stores; the others are files."""
    return {source[0] for own in spec["parts"].values() for source in _reads(spec, own).values()}


def _listed(inputs, name: str) -> list[str]:
    found = inputs.get(name)
    return [found] if isinstance(found, str) else list(found or [])


def _found(stores: Mapping[str, list[store.Stored]], source: list, own: dict) -> store.Stored | None:
    """The part of an input that a part reads: what both are about is the same. None where the input is left out."""
    name, _, *other = source
    wanted = {key: own["keys"][key] for key in KEYS if key in own["keys"]} | (other[0] if other else {})
    for stored in stores[name]:
        if all(stored.keyed.get(key, value) == value for key, value in wanted.items()):
            return stored
    if stores[name]:
        raise ValueError(f"{stores[name][0].paths[0]} has no part of {wanted}")
    return None


def _there(job: Job, wanted: Mapping[str, str]) -> dict[str, store.Stored]:
    """Parts that an earlier job has left, of those that are wanted (by name: what each depends on).

    Left in a store of the same output, or in the same store of another experiment: what depends on the same is the
    same. None if there was no such job, if its record is not of the file that is there, or if that is damaged.
    """
    found: dict[str, store.Stored] = {}
    for output, path, record in _places(job):
        if not (record.is_file() and path.is_file()):
            continue
        try:
            said = json.loads(record.read_text(encoding="utf-8"))
            depended = said.get("parts", {})
            here = {name for name in wanted.keys() - found.keys() if depended.get(name) == wanted[name]}
            if here and said["outputs"].get(output) == lineage.sha256(path):
                found |= {s.part: s for s in store.parts(path) if s.part in here}
        except (ValueError, KeyError, AttributeError, OSError) as error:  # the record or the store is damaged, or gone
            logging.info("parts of %s cannot be taken over (%s); they are made again", path, error)
    return found


def _places(job: Job) -> Iterator[tuple[str, Path, Path]]:
    """(output, file, record) of stores whose parts may be taken over: what this job made before, under its second name,
    and results/<another experiment>/…, which are about the same by their path."""
    if not job.record:
        return
    yield job.output, store.earlier(job.output), job.record
    output = Path(job.output)
    if output.parts[0] != "results" or job.record.parts[:2] != output.parts[:2]:
        return
    for other in sorted(Path("results").iterdir()):
        if other.name not in (output.parts[1], "models") and other.is_dir():
            path = other.joinpath(*output.parts[2:])
            yield str(path), path, other.joinpath(*job.record.parts[2:])


def _digest(said: dict) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]
