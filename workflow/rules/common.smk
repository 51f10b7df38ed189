# What the rules share: the checked config, its experiments, and the digests of code that go into params.

import io
import os
import re
import sys
import tarfile
import tempfile
from itertools import product
from pathlib import Path

from snakemake.sourcecache import LocalGitFile, LocalSourceFile


def root():
    """The folder that all of this project lies in.

    As a module from a git address, Snakemake brings the files that it meets, but not what they import and read. So the
    whole commit is unpacked, once, below .snakemake of the working directory, and all other rules are taken from there.
    """
    here = workflow.current_basedir
    if isinstance(here, LocalSourceFile):
        return Path(here.path).parents[1]
    import git  # Snakemake's own way to git; needed here only

    repository = git.Repo(here.repo_path) if isinstance(here, LocalGitFile) else here.hosted_repo.repo
    commit = repository.commit(here.ref).hexsha
    unpacked = Path(".snakemake/purity").absolute() / commit
    if not unpacked.exists():
        unpacked.parent.mkdir(parents=True, exist_ok=True)
        archive = io.BytesIO()
        repository.archive(archive, commit)
        archive.seek(0)
        temporary = tempfile.mkdtemp(dir=unpacked.parent)
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # from Python 3.11.4
        with tarfile.open(fileobj=archive) as files:
            files.extractall(temporary, **safely)
        try:
            os.rename(temporary, unpacked)
        except OSError:
            if not unpacked.exists():  # else another job was first
                raise
    return unpacked


# else what a part makes of hash("…") is another in each job
os.environ.setdefault("PYTHONHASHSEED", "0")

ROOT = root()
RULES = ROOT / "workflow/rules"
sys.path.insert(0, str(ROOT))
# found last, here and in jobs, which get these paths after their own: modules of the user
sys.path.append(str(Path.cwd()))

import purity
import yaml

from snakemake.io import apply_wildcards

from purity.run import forecast, judge, lineage, loaded, pairs, status, studies, workload, yaml_slips
from purity.run.codehash import Project, strangers
from purity.report.claims import check_claims
from purity.run.config import agrees, check, check_images, check_studies, left_out, same, small
from purity.run.experiment import GROUPS, Cell, Experiment, log, store, timing
from purity.run.inheritance import inherited, seen_by
from purity.run.presets import Presets, functions, ordered
from purity.run.weights import cache, missing, unreachable

# jobs import from these places before they get to ROOT: their code would not be the code whose digest they record
if found := strangers(ROOT, [str(Path(purity.__file__).parents[1]), *sys.path[1:-1]]):
    sys.exit(
        f"{found[0]} has a `purity` of its own, which jobs would run instead of that in {ROOT}: "
        "unset PYTHONPATH, uninstall it, or start elsewhere"
    )

loaded.leave_alone()
PROJECT = Project(ROOT, Path.cwd())
# relative, so that a folder that is moved with its results has the same inputs
REFERENCE = Path(os.path.relpath(ROOT / "config/reference"))

try:
    # as written, and as loaded; the config that Snakemake holds is put right in its place
    yaml_slips.refuse_slips(workflow.configfiles)
    config.update(yaml_slips.as_written(config, workflow.config_settings.config))
    config.update(inherited(yaml_slips.as_numbers(config)))
    config.update(left_out(config))
    check(config, ROOT / "config/schema.yaml", PROJECT)
    if judge.asked(config):
        config.update(judge.expanded(config))
        check(config, ROOT / "config/schema.yaml", PROJECT)
    if config.get("small"):
        config.update(small(config))
    check_images(config, Presets(config))
except ValueError as mistake:
    sys.exit(str(mistake))

PRESETS = Presets(config)
EXPERIMENTS = {name: Experiment(seen_by(config, name), name) for name in config["experiments"]}
GPU = int(config["device"] == "cuda")

# with none of a resource, Snakemake gives a job none, and it would work on the CPU
limits = {"--resources": workflow.resource_settings.resources, **workflow.resource_settings.overwrite_resources}
without = [said for said, of in limits.items() if "gpu" in of and getattr(of["gpu"], "value", of["gpu"]) == 0]
if GPU and workflow.is_main_process and without:
    sys.exit(
        f"config: device: cuda, but {without[0]} has gpu=0: jobs would run on the CPU; raise it, or set device: cpu"
    )
CONDA_GPU, CONDA_TABLES = str(ROOT / "envs/gpu.yaml"), str(ROOT / "envs/tables.yaml")


def needs(mib, minutes):
    """What a job asks a cluster for, more at each attempt. On one machine nothing is limited by it."""
    return {"mem_mb": lambda w, attempt: mib * attempt, "runtime": lambda w, attempt: minutes * attempt}


# On the digits a job on tensors takes up to 1.4 GiB and minutes, one on tables .2 GiB and seconds (usage.csv says what a
# run took). CUDA's libraries add some 3 GiB of the host's memory, real networks and images one or two. A job that runs out
# of time goes on where it was, so hours are enough for days; training is on its way for longer.
TABLES, TENSORS, LONG = needs(2000, 30), needs(8000, 240), needs(8000, 1440)


def experiment(w):
    """The experiment of a job."""
    return EXPERIMENTS[w.experiment]


def code(script, *specs):
    """Digest of the code that a script, and the functions that specs name, can reach."""
    return PROJECT.digest(ROOT / f"workflow/scripts/{script}.py", *functions(*specs))


def staged(stage, script="stage"):
    """params of a stage: the spec that the experiment's method of this name gives for the wildcards, and its code."""

    def spec(w):
        named = {key: value for key, value in w.items() if key != "experiment"}
        return getattr(experiment(w), stage)(**named)

    return {"spec": spec, "code": lambda w: code(script, spec(w))}


def one_of(names):
    """A pattern that matches these names; none, if there are none."""
    return "|".join(re.escape(str(name)) for name in names) or "(?!)"


def kinds_of(chosen, ending):
    """A pattern for {kind} in {kind}/{name}<ending>, where chosen(kind, name) holds. ending: a pattern too."""
    kinds = [kind for kind in ("classifiers", "diffusions", "features") if kind in config]
    names = {kind: one_of(name for name in config[kind] if chosen(kind, name)) for kind in kinds}
    return "|".join(f"{kind}(?=/(?:{known}){ending}$)" for kind, known in names.items())


def checkpoints(paths):
    """As inputs. Those that are given are in the spec by their content: when they were written says nothing."""
    return [path if path.startswith("results/") else ancient(path) for path in paths]


def classifier_weights(w):
    return checkpoints(experiment(w).classifier_weights())


def features_weights(w):
    return checkpoints(experiment(w).features_weights())


def diffusion_weights(w):
    return checkpoints(experiment(w).diffusion_weights(w.purifier))


def attacked(w):
    """Where the images of the attack that a job is about are."""
    return experiment(w).adversarial([Cell(w.purifier, w.attack, w.knowledge)], w.get("block"))


def calibrated(w):
    """Checkpoints of the networks that are measured, by the names that the script asks for."""
    return {argument: checkpoints(paths) for argument, paths in workload.weights(experiment(w)).items()}


def calibration_code(w):
    said = workload.calibration(experiment(w))
    return code("calibrate", said, *said["diffusions"], *said["purifiers"].values(), *said["attacks"].values())


# Every study that a rules file declares; those of the user's own join them in workflow/rules/studies.smk.
STUDIES = {}


def study(name, **declared):
    STUDIES[name] = studies.declared(name, **declared)


def papers_setting(w):
    return yaml.safe_load((REFERENCE / "settings.yaml").read_text())[experiment(w).said["reference"]]


def same_setting(w):
    """Purifiers and attacks of an experiment that are those of the papers' setting."""
    return {kind: same(experiment(w).config[kind], papers_setting(w)[kind]) for kind in ("purifiers", "attacks")}


def compared(w):
    """Tables whose numbers the papers print, if the experiment is one of theirs."""
    if "reference" not in experiment(w).said:
        return []
    wanted = papers_setting(w)
    return [
        table
        for study in STUDIES.values()
        if study.made(experiment(w)) and agrees(experiment(w).part(study.part()), wanted.get(study.part(), {}))
        for table in study.tables
        if (REFERENCE / f"{table}.csv").is_file()
    ]


def accuracies(w):
    """Tables of the experiment that say of accuracies whether they are trustworthy."""
    return [table for table in ("robustness", "dw-box", "addt") if STUDIES[table].made(experiment(w))]


def fine_tuning(w):
    return config["diffusions"][w.name]["fine_tuning"]


JUDGED = [name for name in config["run"] if EXPERIMENTS[name].part("judgement")]


def judgements(w):
    """Pages of the defences that the config names, and first of all what they will cost."""
    if not JUDGED:
        sys.exit("config: judge.defences: there is none to judge; name one, or --config defence=<module>:<function>")
    return [f"results/{name}/{made}" for made in ("cost/judgement.txt", "judgement.html") for name in JUDGED]


def both(w):
    """The two experiments of a page; what cannot be paired is said before any job."""
    one, other = EXPERIMENTS[w.one], EXPERIMENTS[w.other]
    try:
        return one, other, pairs.shared(one, other)
    except ValueError as mistake:
        sys.exit(str(mistake))


def beside(w):
    one, other, cells = both(w)
    return {
        "cells": [list(cell) for cell in cells],
        "seeds": {"one": one.seeds, "other": other.seeds},
        "images": min(one.said["images"], other.said["images"]),
        "differences": pairs.differences(one, other),
        "names": [w.one, w.other],
    }


def other_jobs(name):
    """Outputs of all jobs of an experiment whose work takes minutes, a file for each: they cost a start."""
    here = [study for study in STUDIES.values() if study.made(EXPERIMENTS[name])]
    wanted = EXPERIMENTS[name].all_stores() + trained(name, GROUPS)
    wanted += [f"results/{name}/tables/{next(iter(study.tables))}.csv" for study in here if study.tables]
    wanted += [f"results/{name}/figures/{figure}.png" for study in here for figure in study.figures]
    wanted += [f"results/{name}/{last}" for last in ("figures/gallery.png", "tables/findings.csv", "comparison.html")]
    counted = workload.jobs(EXPERIMENTS[name])
    return [path for path in dict.fromkeys(wanted) if path not in counted and path.startswith("results/")]


wildcard_constraints:
    experiment=one_of(config["experiments"]),
    purifier=f"(?:{one_of(config['purifiers'])})(?:@t=[1-9][0-9]*)?",
    attack=f"(?:{one_of(['clean', *config['attacks']])})(?:@[^/]+)?",
    knowledge="none|all|forward|reverse",
    group="attacked|dw-box|addt|strength",
    block=r"\d+-\d+",
    name=r"[^/]+",
