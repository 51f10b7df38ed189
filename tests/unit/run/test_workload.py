"""What `snakemake cost` asks for: what it measures, and nothing that would take longer than the measurement."""

import copy
from pathlib import Path

import pytest
import yaml

from purity.run import workload
from purity.run.experiment import Experiment

ROOT = Path(__file__).parents[3]


def experiment(name: str, **changes) -> Experiment:
    config = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8"))
    (run,) = config["run"]
    config["experiments"][run] |= changes
    return Experiment(config, run)


def test_what_is_trained_here_is_measured_untrained():
    e = experiment("config")
    assert {e.presets.diffusion(name) for name in workload.purifiers(e)} >= {"digits-unet", "digits-addt", None}
    assert workload.diffusions(e) == ["digits-unet", "digits-unet-1", "digits-unet-2"]
    assert workload.weights(e) == {"diffusion0": [], "diffusion1": [], "diffusion2": [], "classifier": []}


@pytest.mark.parametrize("name", ["cifar10", "imagenet"])
def test_of_the_papers_networks_published_files_are_read_and_nothing_is_fine_tuned(name):
    e = experiment(name)
    paths = [path for listed in workload.weights(e).values() for path in listed]
    assert paths and not [path for path in paths if path.endswith(".safetensors")]


def test_a_fine_tuned_purifier_is_measured_by_the_network_that_it_began_as():
    e = experiment("cifar10")
    said = workload.calibration(e)
    tuned = [name for name in workload.purifiers(e) if e.presets.diffusion(name) in e.presets.fine_tuned]
    assert tuned
    for name in tuned:
        root = workload.diffusions(e)[said["purifiers"][name]["diffusion"]]
        assert root == e.presets.untuned(e.presets.diffusion(name)) and root not in e.presets.fine_tuned


def test_a_network_fine_tuned_twice_began_as_the_first():
    e = experiment("config")
    config = copy.deepcopy(e.config)
    config["diffusions"]["twice"] = {"fine_tuning": {"of": "digits-addt"}}
    assert Experiment(config, "digits").presets.untuned("twice") == "digits-unet"


def test_what_is_put_on_trial_counts_with_its_attack():
    jobs = workload.jobs(experiment("config"))
    of = {path: job for path, job in jobs.items() if job["rule"] in ("third_regime", "elsewhere")}
    assert {(job["rule"], job["attack"], job["images"]) for job in of.values()} == {
        ("third_regime", "standard-x10", 100),
        ("elsewhere", "standard", 100),
    }
    assert set(of) == {*experiment("config").on_trial("third-regime"), *experiment("config").on_trial("elsewhere")}


def test_training_counts_and_fine_tuning_looks_for_a_perturbation_besides():
    of = {path: job for path, job in workload.jobs(experiment("config")).items() if "updates" in job}
    config = experiment("config").config["diffusions"]
    said = {name: preset.get("training") or preset["fine_tuning"] for name, preset in config.items()}
    for path, job in of.items():
        part = said[Path(path).stem]
        assert job["updates"] == part["steps"] * part["batch"]
        assert (job["looks"] > 0) == (job["rule"] == "fine_tune" and part["options"]["iterations"] > 0), path
    assert {job["rule"] for job in of.values()} == {"train_diffusion", "fine_tune"}


def test_a_search_counts_its_candidates_and_the_attack_of_most_gradients_on_those_that_are_verified():
    jobs = workload.jobs(experiment("config")).items()
    of = {path: job for path, job in jobs if job["rule"] in ("search", "verify")}
    assert set(of) == {*experiment("config").searched(), *experiment("config").verified()}
    assert {job.get("purifications") for job in of.values()} == {60 * 100, None}
    assert {(job.get("attack"), job.get("images")) for job in of.values()} == {("standard-eot", 100), (None, None)}


def test_jobs_are_named_by_their_rules():
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "workflow/rules").glob("*.smk")]
    rules = {line[5:-1] for text in texts for line in text.splitlines() if line.startswith("rule ")}
    for name in ("config", "cifar10"):
        assert {job["rule"] for job in workload.jobs(experiment(name)).values()} <= rules
