"""What `snakemake check` is told to try: all that the experiment names, with few steps, and no checkpoint to be made."""

import copy
import json

import pytest
import yaml
from workspace import ROOT

from purity.run.checks import spec
from purity.run.experiment import Experiment

TINY = yaml.safe_load((ROOT / "tests/tiny/config.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def config():
    return copy.deepcopy(TINY)


def test_all_that_an_experiment_names_is_tried(config):
    made = spec(Experiment(config, "tiny"))
    assert json.loads(json.dumps(made)) == made
    assert set(made["purifiers"]) == {"identity", "ddpm", "ddpm-addt"}
    assert set(made["attacks"]) == {"uniform", "pgd", "bpda", "box", "box-eot"}
    assert made["attacked"]["identity"] == ["pgd"] and set(made["attacked"]["ddpm-addt"]) == {"box", "box-eot"}
    assert made["attacks"]["uniform"]["blind"] and made["training"] == [
        {"name": "digits", "load": "purity.data:digits", "options": {}, "images": 6}
    ]
    assert made["purifiers"]["ddpm-addt"]["diffusion"]["weights"] == ["results/models/diffusions/tuned.safetensors"]
    assert made["purifiers"]["ddpm-addt"]["diffusion"]["made"] and made["classifier"]["made"]


def test_steps_and_draws_are_few_and_budgets_and_strengths_are_kept(config):
    config["attacks"]["pgd"]["options"] |= {"steps": 40, "draws": 20}
    config["attacks"]["box"]["options"] = {"epsilon": 0.1, "attacks": [{"run": "apgd", "steps": 100}]}
    config["purifiers"]["ddpm"]["options"]["steps"] = 100
    made = spec(Experiment(config, "tiny"))
    assert made["attacks"]["pgd"]["options"] | {"relative_step": 0.5} == made["attacks"]["pgd"]["options"]
    assert {k: made["attacks"]["pgd"]["options"][k] for k in ("steps", "draws", "epsilon")} == {
        "steps": 2,
        "draws": 2,
        "epsilon": 0.14,
    }
    assert made["attacks"]["box"]["options"]["attacks"] == [{"run": "apgd", "steps": 2}]
    assert made["purifiers"]["ddpm"]["options"] | {"t": 100, "steps": 2} == made["purifiers"]["ddpm"]["options"]
    assert config["attacks"]["pgd"]["options"]["steps"] == 40


def test_attacks_on_the_classifier_alone_and_purifiers_that_nobody_attacks_are_tried_too(config):
    config["attacks"]["alone"] = {"run": "mine:alone", "batchwise": True, "options": {"epsilon": 0.1}}
    config["purifiers"]["looked-at"] = {"make": "mine:looked_at"}
    config["experiments"]["tiny"]["budget"]["attacks"].append("alone")
    config["experiments"]["tiny"]["pca"]["purifiers"].append("looked-at")
    made = spec(Experiment(config, "tiny"))
    assert made["attacks"]["alone"]["batchwise"] and "alone" in made["attacked"]["identity"]
    assert made["purifiers"]["looked-at"]["make"] == "mine:looked_at" and made["attacked"]["looked-at"] == []


def test_a_file_of_the_users_has_to_be_there_and_a_published_one_has_not(config):
    config["classifiers"]["small"] = {"network": "mine:net", "weights": "mine.pt"}
    assert not spec(Experiment(config, "tiny"))["classifier"]["made"]
    config["classifiers"]["small"]["weights"] = {"file": "f.pt", "url": "https://example.org/f.pt"}
    assert spec(Experiment(config, "tiny"))["classifier"]["made"]
