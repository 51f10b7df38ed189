"""A job that is killed loses a batch at the most, and what it leaves when it ends is what it would have left at once.

The scripts of three rules run as Snakemake runs them, in processes that are killed with SIGKILL. Stores have two parts.
"""

import multiprocessing
import os
import pickle
import random
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from workspace import ROOT

from purity import attacks, data
from purity.run import checkpoints, store
from purity.run.checkpoints import untrained
from purity.stages import arguments, attack, purify  # noqa: F401  a forked process has them at once

N, BATCH, SEEDS = 48, 2, (0, 1)
CLASSIFIER = {"network": "purity.networks:cnn", "options": {"width": 8, "features": 16}}
DIFFUSION = {"network": "purity.networks:unet", "options": {"width": 8, "embedding": 16}}
DDPM = {"t": 30, "steps": 2, "sigma": "small", "clip": True, "forward": "one-step"}
PURIFIER = {"name": "ddpm", "make": "purity.purifiers:ddpm", "options": DDPM, "diffusion": DIFFUSION}
COMMON = {"classifier": CLASSIFIER, "purifier": PURIFIER}
READS = {"x0": ["subset", "x"], "y": ["subset", "y"], "ids": ["subset", "ids"]}
PGD = {"epsilon": 0.1, "steps": 1, "relative_step": 0.4}
TUNING = {"steps": 170, "batch": 8, "rate": 1e-3, "decay": 0.99, "seed": 3, "flip": True}
TUNED = {"classifier": CLASSIFIER, "dataset": {"load": "purity.data:digits", "options": {}}, "fine_tuning": TUNING}


def of_seeds(*seeds: int, **own) -> dict:
    """Parts of a store."""
    keys = {"purifier": "ddpm", "attack": "slow", "knowledge": "all"}
    noise = {"seeding": "address"}
    return {f"seed-{s}": {"keys": keys | {"seed": s}, "noise": noise | {"seed": s}, **own} for s in seeds}


ATTACK = COMMON | {"stage": "purity.stages.attack:attack", "knowledge": "all", "reads": READS}
ATTACK |= {"attack": {"run": "test_resuming:noted", "options": PGD}}
PURIFY = COMMON | {"stage": "purity.stages.purify:purify_and_judge", "features": None, "fresh_draws": 4, "reads": READS}
SPECS = {
    "fine_tune": DIFFUSION | TUNED,
    "attack": ATTACK | {"parts": of_seeds(*SEEDS)},
    "purify": PURIFY | {"parts": of_seeds(*SEEDS, knowledge="all", reads={"x": ["adversarial", "x"]})},
}
SCRIPTS = {"fine_tune": "fine_tune", "attack": "stage", "purify": "stage"}


def noted(defence, x, y, xi, progress, **options):
    """PGD that notes with which seed and images it begins, where the environment says; not where it is only tried."""
    if defence.counted is not None:
        with open(os.environ["NOTES"], "a") as notes:
            seeds = torch.as_tensor(xi.seed).unique().tolist()
            notes.write(f"{' '.join(map(str, seeds))}: {' '.join(map(str, xi.ids.tolist()))}\n")
    return attacks.pgd(defence, x, y, xi, progress, **options)


class Named(dict):
    """params: by name or by attribute."""

    __getattr__ = dict.__getitem__


class Files(list):
    """input: all paths, and each by its name."""

    def __init__(self, **paths):
        super().__init__(path for value in paths.values() for path in (value if isinstance(value, list) else [value]))
        vars(self).update(paths)

    def keys(self):
        return vars(self).keys()

    def items(self):
        return vars(self).items()

    def get(self, name):
        return vars(self).get(name)


class Job:
    """A job of a rule in a folder of its own, as Snakemake would start it."""

    def __init__(
        self, rule: str, given: dict, folder: Path, spec: dict | None = None, batch: int = BATCH, code="a digest"
    ):
        self.rule, self.given, self.spec, self.batch, self.code = rule, given, spec or SPECS[rule], batch, code
        self.output, self.log, self.notes = (folder / name for name in ("out.zarr.zip", "logs/job.log", "notes"))
        self.loss = folder / "loss.csv"
        folder.mkdir(exist_ok=True)

    def work(self) -> None:
        """In a process of its own."""
        torch.set_num_threads(1)
        os.environ["NOTES"] = str(self.notes)
        snakemake = SimpleNamespace(
            log=[str(self.log)],
            input=Files(**self.given),
            output=Files(weights=str(self.output), loss=str(self.loss))
            if self.rule == "fine_tune"
            else [str(self.output)],
            params=Named(spec=self.spec, code=self.code),
            wildcards=Named(purifier="ddpm", attack="slow", knowledge="all", block="00000-00047"),
            resources=SimpleNamespace(batch=self.batch, gpu=0),
            threads=1,
            rule=self.rule,
        )
        runpy.run_path(str(ROOT / f"workflow/scripts/{SCRIPTS[self.rule]}.py"), {"snakemake": snakemake})

    def forked(self) -> multiprocessing.Process:
        """Begun, with all libraries loaded."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        process = context.Process(target=self.work)
        process.start()
        return process

    def started(self) -> subprocess.Popen:
        """Begun, and with its libraries to load."""
        code = f"import pickle; pickle.loads({pickle.dumps(self)!r}).work()"
        paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests", Path(__file__).parent)))
        return subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": paths})

    def finished(self) -> bytes:
        """What it leaves if nobody kills it."""
        process = self.forked()
        process.join()
        assert process.exitcode == 0, self.log.read_text()
        return self.output.read_bytes()

    def kept(self) -> dict[str, bytes]:
        """Files of batches that are done, of any part."""
        return {str(path): path.read_bytes() for path in Path(f"{self.output}.progress").glob("*/rows-*")}

    def begun(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []

    def killed(self, more: int, later: float) -> None:
        """Run until so many more batches are kept, and a moment later killed."""
        before, process = len(self.kept()), self.forked()
        names = Path(f"{self.output}.progress")
        while process.is_alive() and len(list(names.glob("*/rows-*"))) < before + more:
            time.sleep(0.002)
        time.sleep(later)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, self.log.read_text()


@pytest.fixture(scope="module")
def given(tmp_path_factory, cnn, unet):
    """Inputs of the rules: digits, digits with noise in place of an attack, weights."""
    folder = tmp_path_factory.mktemp("given")
    x, y, ids = data.digits("test", N)
    noisy = (x + 0.1 * np.random.default_rng(0).standard_normal(x.shape)).clip(0, 1).astype(x.dtype)
    paths = {
        name: str(folder / name) for name in ("subset.zarr.zip", "noisy.zarr.zip", "g.safetensors", "e.safetensors")
    }
    subset, adversarial, g, e = paths.values()
    store.save(subset, {}, axes={}, x=x, y=y, ids=ids)
    store.save(adversarial, {}, axes={}, x=noisy, y=y, ids=ids)
    checkpoints.save(cnn, g)
    checkpoints.save(unet, e)
    networks = {"classifier": [g], "diffusion": [e]}
    of_attack = {"subset": [subset]} | networks
    of_purify = of_attack | {"adversarial": [adversarial], "features": []}
    return {"attack": of_attack, "purify": of_purify, "fine_tune": networks}


@pytest.fixture(scope="module")
def undisturbed(given, tmp_path_factory):
    """What the jobs leave that nobody kills."""
    made = {}
    for rule in SPECS:
        job = Job(rule, given[rule], tmp_path_factory.mktemp(rule))
        made[rule] = job.finished()
        assert not Path(f"{job.output}.progress").exists() and job.log.with_suffix(".json").exists()
    return made


@pytest.mark.parametrize(("rule", "kills"), [("attack", 14), ("purify", 6)])
def test_a_job_killed_again_and_again_leaves_the_bytes_of_one_that_was_not(rule, kills, given, undisturbed, tmp_path):
    """Three times in its start-up; else after none, one or two more batches, at any moment of the next few, in the
    first part of the store, in the second, or between them. An attack makes both parts at once."""
    chosen, job = random.Random(rule), Job(rule, given[rule], tmp_path)
    for kill in range(kills):
        before = job.kept()
        if kill < 3:
            starting = job.started()
            time.sleep(chosen.uniform(0, 1))  # torch alone takes longer to load
            starting.kill()
            assert starting.wait() == -signal.SIGKILL
        else:
            job.killed(more=chosen.randrange(3), later=chosen.uniform(0, 0.1))
        after = job.kept()
        assert before.items() <= after.items() and not job.output.exists()
        if rule == "attack":  # a batch begins only if all that began before are there, but one for each kill
            assert len(job.begun()) <= len(after) + kill + 1
    there, begun = BATCH * len(job.kept()), len(job.begun())
    assert 0 < there < N * len(SEEDS)
    assert job.finished() == undisturbed[rule]
    of = N * len(SEEDS) if rule == "attack" else N
    assert f"{min(there, of)} of {of} images are there" in job.log.read_text()
    assert not Path(f"{job.output}.progress").exists()
    if rule == "attack":
        images = N * len(SEEDS)
        assert len(job.begun()) - begun == (images - there) / BATCH and len(set(job.begun())) == images / BATCH


def test_a_store_that_gets_another_part_keeps_those_it_had_through_kills(given, tmp_path):
    """As when a seed is added: Snakemake removes the store before its job begins."""
    one = Job("attack", given["attack"], tmp_path / "a", ATTACK | {"parts": of_seeds(0)})
    one.finished()
    more = ATTACK | {"parts": of_seeds(0, 1)}
    job = Job("attack", given["attack"], tmp_path / "a", more)
    job.output.unlink()
    for _ in range(3):
        job.killed(more=2, later=0.02)
        assert not job.output.exists()
    undisturbed_one = Job("attack", given["attack"], tmp_path / "b", more)
    assert job.finished() == undisturbed_one.finished()
    assert "1 of 2 parts are there already: seed-0" in job.log.read_text()
    assert sum(line.startswith("0: ") for line in job.begun()) == N / BATCH


@pytest.mark.parametrize("of", ["spec", "code", "weights"])
def test_nothing_is_taken_over_from_a_finished_store_of_another(of, given, tmp_path):
    mine = given["attack"] | {"classifier": [str(tmp_path / "g.safetensors")]}
    (tmp_path / "g.safetensors").write_bytes(Path(given["attack"]["classifier"][0]).read_bytes())
    spec, code = ATTACK | {"parts": of_seeds(0)}, "a digest"
    Job("attack", mine, tmp_path / "a", spec, batch=8).finished()
    if of == "spec":
        spec = spec | {"attack": {"run": "test_resuming:noted", "options": PGD | {"epsilon": 0.05}}}
    elif of == "code":
        code = "another"
    else:
        weights = untrained("purity.networks:cnn", {"width": 8, "features": 16}, 5)
        checkpoints.save(weights, mine["classifier"][0])
    changed, alone = (Job("attack", mine, tmp_path / name, spec, batch=8, code=code) for name in ("a", "b"))
    changed.output.unlink()
    begun = len(changed.begun())
    assert changed.finished() == alone.finished()
    assert "there already" not in changed.log.read_text() and len(changed.begun()) - begun == N / 8


def test_a_job_of_another_spec_takes_nothing_from_one_that_was_killed(given, tmp_path):
    job = Job("attack", given["attack"], tmp_path / "a", batch=8)
    job.killed(more=3, later=0)
    spec = SPECS["attack"] | {"attack": {"run": "test_resuming:noted", "options": PGD | {"epsilon": 0.05}}}
    changed, undisturbed_one = (Job("attack", given["attack"], tmp_path / name, spec, batch=8) for name in ("a", "b"))
    begun = len(changed.begun())
    assert changed.finished() == undisturbed_one.finished()
    assert "are there" not in changed.log.read_text() and len(changed.begun()) - begun == N * len(SEEDS) / 8
    assert not Path(f"{changed.output}.progress").exists()  # of the first one neither


def test_a_job_of_another_input_takes_nothing_from_one_that_was_killed(given, tmp_path):
    """The paths are the same, the images are not."""
    mine = {**given["attack"], "subset": str(tmp_path / "subset.zarr.zip")}
    x, y, ids = store.load(given["attack"]["subset"], "x", "y", "ids")
    store.save(mine["subset"], {}, axes={}, x=x, y=y, ids=ids)
    job = Job("attack", mine, tmp_path / "a", batch=8)
    job.killed(more=3, later=0)
    store.save(mine["subset"], {}, axes={}, x=x[::-1], y=y[::-1], ids=ids)
    assert job.finished() == Job("attack", mine, tmp_path / "b", batch=8).finished()
    assert "are there" not in job.log.read_text()


def test_a_fine_tuning_killed_again_and_again_leaves_the_bytes_of_one_that_was_not(given, undisturbed, tmp_path):
    """Network, moving average, optimiser and generator go on from the last snapshot, one of every 50 steps."""
    chosen, job = random.Random(0), Job("fine_tune", given["fine_tune"], tmp_path)

    def snapshots() -> set[tuple[str, int]]:
        return {(str(p), p.stat().st_mtime_ns) for p in Path(f"{job.output}.progress").glob("*/training.pt")}

    for _ in range(3):
        before, process = snapshots(), job.forked()
        while process.is_alive() and snapshots() == before:
            time.sleep(0.002)
        time.sleep(chosen.uniform(0, 0.3))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL and not job.output.exists(), job.log.read_text()
    assert job.finished() == undisturbed["fine_tune"]
    assert "goes on from" in job.log.read_text() and "20/20" in job.log.read_text()  # from 150 on
    assert len(job.loss.read_text().splitlines()) == 171  # of every step, and what the columns are
    assert not Path(f"{job.output}.progress").exists()


def test_a_damaged_snapshot_is_none(given, undisturbed, tmp_path):
    job = Job("fine_tune", given["fine_tune"], tmp_path)
    process = job.forked()
    while process.is_alive() and not list(Path(f"{job.output}.progress").glob("*/training.pt")):
        time.sleep(0.002)
    process.kill()
    process.join()
    (state,) = Path(f"{job.output}.progress").glob("*/training.pt")
    state.write_bytes(state.read_bytes()[:-1000])
    assert job.finished() == undisturbed["fine_tune"]
    assert "what it kept is done again" in job.log.read_text()
