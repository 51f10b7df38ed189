"""Every mistake in a configuration is refused in one line that names the key."""

import copy
import json
import re
from pathlib import Path

import pytest
import yaml

from purity.run.codehash import Project
from purity.run.config import agrees, check, check_studies, left_out, same, small
from purity.run.studies import RECORDS, Study, declared, own

ROOT = Path(__file__).parents[3]
# By way of JSON, so that no two presets share what YAML's anchors gave both: a test changes one of them.
SHIPPED = json.loads(json.dumps(yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))))
PROJECT = Project(ROOT)
LEFT_OUT = "left out"
E = "experiments/digits"
T = "diffusions/digits-addt/fine_tuning"


def changed(*edits: tuple[str, str]) -> dict:
    """The shipped configuration with some keys (path/of/the/key) set to what a YAML text says, or left out."""
    config = copy.deepcopy(SHIPPED)
    for path, text in edits:
        *parents, key = path.split("/")
        group = config
        for parent in parents:
            group = group.setdefault(parent, {})
        if text == LEFT_OUT:
            del group[key]
        else:
            group[key] = yaml.safe_load(text)
    return config


def verdict(config) -> str:
    """What is said about a configuration, '' if nothing is."""
    try:
        check(config, ROOT / "config/schema.yaml", PROJECT)
    except ValueError as error:
        return str(error)
    return ""


def test_the_shipped_configuration_is_accepted():
    assert verdict(SHIPPED) == ""


def test_what_an_experiment_says_null_for_is_left_out():
    config = changed(
        (f"{E}/attacked/gaussian", "null"), (f"{E}/attacked/ddpm/bpda-eot", "null"), (f"{E}/sweep", "null")
    )
    left = left_out(config)
    wanted = changed(
        (f"{E}/attacked/gaussian", LEFT_OUT), (f"{E}/attacked/ddpm/bpda-eot", LEFT_OUT), (f"{E}/sweep", LEFT_OUT)
    )
    assert left == wanted and left_out(SHIPPED) == SHIPPED
    assert left_out({"experiments": None}) == {"experiments": None}  # which `check` refuses


def test_what_cannot_be_left_out_is_named():
    assert "images" in verdict(left_out(changed((f"{E}/images", "null"))))


PAPERS = ("cifar10", "imagenet")


def papers(name):
    return yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PAPERS)
def test_the_papers_configurations_are_accepted_and_stand_alone(name):
    config = papers(name)
    assert verdict(config) == "" and config["standalone"] and list(config["experiments"]) == [name]


@pytest.mark.parametrize("name", PAPERS)
def test_the_papers_configurations_are_the_papers_settings(name):
    """Every purifier and attack of config/reference/settings.yaml, value by value, and the sizes of its tables."""
    config = papers(name)
    wanted = yaml.safe_load((ROOT / "config/reference/settings.yaml").read_text(encoding="utf-8"))[name]
    experiment = config["experiments"][name]
    for kind in ("purifiers", "attacks"):
        assert same(config[kind], wanted[kind]) == list(wanted[kind])
    for part in set(wanted) - {"purifiers", "attacks"}:
        assert agrees(experiment[part], wanted[part]), part
    assert experiment["images"] == {"cifar10": 1000, "imagenet": 200}[name] and experiment["seeds"] == [0, 1, 2]


COUNTS = ("steps", "draws", "targets", "judgings", "restarts")


@pytest.mark.parametrize("config", [SHIPPED, *map(papers, [*PAPERS, "fashion"])], ids=["digits", *PAPERS, "fashion"])
def test_a_small_run_is_possible_and_shares_no_result_with_a_whole_one(config):
    whole, shrunk = copy.deepcopy(config), small(config)
    assert config == whole and verdict(shrunk) == ""
    assert not set(shrunk["experiments"]) & set(whole["experiments"])
    for experiment in shrunk["experiments"].values():
        assert experiment["images"] <= 4 and len(experiment["seeds"]) == 1
    for group in ("purifiers", "attacks"):
        for name, preset in shrunk[group].items():
            options, before = (dict(p.get("options", {})) for p in (preset, whole[group][name]))
            parts = zip(options.pop("attacks", []), before.pop("attacks", []), strict=True)
            for shrunk_options, whole_options in ((options, before), *parts):
                assert all(shrunk_options.get(count, 0) <= 2 for count in COUNTS)
                assert {k: v for k, v in shrunk_options.items() if k not in COUNTS} == {
                    k: v for k, v in whole_options.items() if k not in COUNTS
                }


@pytest.mark.parametrize("config", [SHIPPED, papers("cifar10")], ids=["digits", "cifar10"])
def test_a_small_run_fine_tunes_networks_of_its_own(config):
    """Those of the whole run took hours and lie at the path that their name gives."""
    tuned = {name for name, preset in config["diffusions"].items() if "fine_tuning" in preset}
    chained = copy.deepcopy(config)
    name = min(tuned)
    chained["diffusions"]["again"] = {"fine_tuning": chained["diffusions"][name]["fine_tuning"] | {"of": name}}
    shrunk = small(chained)["diffusions"]
    assert shrunk["again-small"]["fine_tuning"]["of"] == f"{name}-small"
    assert not tuned & set(shrunk) and {f"{name}-small" for name in tuned} <= set(shrunk)
    assert all(shrunk[f"{name}-small"]["fine_tuning"]["steps"] <= 2 for name in tuned)
    used = {preset.get("diffusion") for preset in small(config)["purifiers"].values()}
    assert {f"{name}-small" for name in tuned} <= used and not tuned & used


def test_a_small_run_trains_networks_of_its_own():
    """For a moment, at paths of their own; all that names them names the new ones."""
    shrunk = small(SHIPPED)
    assert set(shrunk["classifiers"]) == {f"{name}-small" for name in SHIPPED["classifiers"]}
    assert set(shrunk["diffusions"]) == {f"{name}-small" for name in SHIPPED["diffusions"]}
    training = (
        shrunk["classifiers"]["digits-cnn-small"]["training"],
        shrunk["diffusions"]["digits-unet-small"]["training"],
    )
    assert (training[0]["epochs"], training[1]["steps"]) == (1, 2)
    assert {e["classifier"] for e in shrunk["experiments"].values()} == {"digits-cnn-small"}
    assert {e["elsewhere"]["classifier"] for e in shrunk["experiments"].values()} == {"digits-mlp-small"}
    assert {d["fine_tuning"]["classifier"] for d in shrunk["diffusions"].values() if "fine_tuning" in d} == {
        "digits-cnn-small"
    }


def test_a_small_run_has_a_law_and_a_long_strength_beside_it():
    (said,) = small(SHIPPED)["experiments"].values()
    sweep, regime = said["sweep"], said["third-regime"]
    assert set(regime["t"]) <= set(sweep["attacked"]) and set(said["elsewhere"]["t"]) <= set(sweep["attacked"])
    assert len(set(sweep["attacked"]) - set(regime["t"])) == 3 and len(regime["scales"]) == 1


def test_a_circle_of_fine_tunings_is_refused():
    config = copy.deepcopy(SHIPPED)
    fine_tuning = config["diffusions"]["digits-addt"]["fine_tuning"]
    for name, of in (("a", "b"), ("b", "c"), ("c", "b")):
        config["diffusions"][name] = {"fine_tuning": fine_tuning | {"of": of}}
    assert re.search(r"^config: diffusions\.a\.fine_tuning\.of: .* in a circle$", verdict(config))


def test_checking_changes_nothing():
    config = copy.deepcopy(SHIPPED)
    check(config, ROOT / "config/schema.yaml", PROJECT)
    assert config == SHIPPED


@pytest.mark.parametrize(
    "edits",
    [
        [(f"{E}/seeds", "[7]")],
        [("purifiers/mine_2.0", "{make: 'scipy.ndimage:gaussian_filter', options: {anything: 1}}")],
        [("purifiers/identity", "{make: 'purity.purifiers:identity', options: {}}")],
        [("purifiers/ddpm/options/steps", "100")],
        [("attacks/pgd/options/norm", "l2")],
        [("attacks/pgd/options/epsilon", "1")],
        [("attacks/pgd/blind", "false")],
        [("purifiers/mine", "{make: 'scipy.ndimage:median_filter', process: reverse}")],
        [("attacks/averaged", "{run: 'scipy.ndimage:median_filter', eot_of: bpda, twin_of: pgd}")],
        [("diffusions/mine", f"{{network: 'purity.networks:unet', weights: '{ROOT / 'config/config.yaml'}'}}")],
        [("run", "[digits, again]"), ("experiments/again", yaml.safe_dump(SHIPPED["experiments"]["digits"]))],
        [(f"{E}/attacked/ddpm/pgd", "[none, all, forward, reverse]")],
        [("device", "cuda")],
        [(f"{E}/ball", LEFT_OUT)],
        [(f"{E}/ball", "")],
        [("classifiers/mine", "{network: 'purity.networks:cnn', weights: {file: a.pt, url: 'https://a.b/a.pt'}}")],
        [("diffusions/mine", "{network: 'purity.unets:diffusers', weights: {hub: a/b, revision: main}}")],
        [("features", "{fid: {network: 'purity.inception:inception'}}"), (f"{E}/features", "fid")],
    ],
    ids=str,
)
def test_other_configurations_that_are_possible_are_accepted(edits):
    assert verdict(changed(*edits)) == ""


# (key, what is written there): what the line must say
MISTAKES = {
    # unknown keys, at each level
    ("sedes", "[1]"): "sedes",
    ("datasets/digits/split", "test"): "datasets.digits.split",
    ("classifiers/digits-cnn/optoins", "{}"): "classifiers.digits-cnn.*optoins",
    ("classifiers/digits-cnn/training/epoch", "3"): "classifiers.digits-cnn.training.epoch",
    ("diffusions/digits-unet/weight", "a.pt"): "diffusions.digits-unet.*weight",
    ("diffusions/digits-unet/training/epochs", "3"): "diffusions.digits-unet.training.epochs",
    ("purifiers/ddpm/option", "{}"): "purifiers.ddpm.option",
    ("attacks/pgd/epsilon", "0.1"): "attacks.pgd.epsilon",
    (f"{E}/seed", "0"): "experiments.digits.seed",
    (f"{E}/ball/radius", "0.1"): "experiments.digits.ball.radius",
    (f"{E}/gallery/steps", "ddpm"): "experiments.digits.gallery.steps",
    ("purifiers/ddpm/proces", "ddpm"): "purifiers.ddpm.proces",
    ("attacks/pgd/eot", "pgd"): "attacks.pgd.eot",
    # keys left out
    ("run", LEFT_OUT): "run",
    ("device", LEFT_OUT): "device",
    ("purifiers", LEFT_OUT): "purifiers",
    ("datasets/digits/load", LEFT_OUT): "datasets.digits.*load",
    ("classifiers/digits-cnn/network", LEFT_OUT): "classifiers.digits-cnn.*network",
    ("classifiers/digits-cnn/training/seed", LEFT_OUT): "classifiers.digits-cnn.training.*seed",
    ("purifiers/ddpm/diffusion", LEFT_OUT): "purifiers.ddpm.*diffusion",
    ("purifiers/ddpm/options", LEFT_OUT): "purifiers.ddpm.*options",
    ("purifiers/gaussian/options", LEFT_OUT): "purifiers.gaussian.options.*sigma",
    ("attacks/uniform/blind", LEFT_OUT): "attacks.uniform.*blind",
    ("attacks/pgd/run", LEFT_OUT): "attacks.pgd.*run",
    (f"{E}/seeds", LEFT_OUT): "experiments.digits.*seeds",
    ("features", "{fid: {network: 'purity.inception:inception', training: {}}}"): "features.fid",
    (f"{E}/features", "fid"): "experiments.digits.features",
    ("classifiers/mine", "{network: 'purity.networks:cnn', weights: {file: a.pt}}"): "classifiers.mine",
    ("classifiers/mine", "{network: 'purity.networks:cnn', weights: {hub: a/b}}"): "classifiers.mine",
    (
        "classifiers/mine",
        "{network: 'purity.networks:cnn', weights: {file: ../a.pt, url: 'https://a.b/a.pt'}}",
    ): "classifiers.mine",
    (
        "classifiers/mine",
        "{network: 'purity.networks:cnn', weights: {file: a.pt, url: 'https://a.b/a.pt', sha256: abc}}",
    ): "classifiers.mine",
    ("datasets/digits/options", "{size: 3}"): "datasets.digits.options.size",
    (f"{E}/gallery/knowledge", LEFT_OUT): "experiments.digits.gallery.*knowledge",
    (f"{E}/gallery/purifier", LEFT_OUT): "experiments.digits.gallery.*purifier",
    # options that the function does not have, or needs
    ("purifiers/ddpm/options/strength", "100"): "purifiers.ddpm.options.strength",
    ("purifiers/identity/options", "{sigma: 1}"): "purifiers.identity.options.sigma",
    ("purifiers/gaussian/options/sigma", LEFT_OUT): "purifiers.gaussian.options.*sigma",
    ("purifiers/ddpm/options/clip", LEFT_OUT): "purifiers.ddpm.options.*clip",
    ("purifiers/ddpm/options/t", LEFT_OUT): "purifiers.ddpm.options.*'t'",
    ("purifiers/one-step/options/steps", "10"): "purifiers.one-step.options.steps",
    ("attacks/pgd/options/eps", "0.1"): "attacks.pgd.options.eps",
    ("attacks/bpda/options/eps", "0.1"): "attacks.bpda.options.eps",
    ("attacks/pgd/options/steps", LEFT_OUT): "attacks.pgd.options.*steps",
    ("attacks/bpda/options/steps", LEFT_OUT): "attacks.bpda.options.*steps",
    ("attacks/uniform/options/steps", "40"): "attacks.uniform.options.steps",
    ("attacks/uniform/options/epsilon", LEFT_OUT): "attacks.uniform.options.*epsilon",
    ("classifiers/digits-cnn/options/chanels", "1"): "classifiers.digits-cnn.options.chanels",
    ("diffusions/digits-unet/options/chanels", "1"): "diffusions.digits-unet.options.chanels",
    # fine-tuning
    (f"{T}/of", "digits-net"): "digits-addt.fine_tuning.of.*no diffusion model 'digits-net'",
    (f"{T}/of", "digits-addt"): "digits-addt.fine_tuning.of.*in a circle",
    (f"{T}/of", LEFT_OUT): "digits-addt.fine_tuning.*'of'",
    (f"{T}/classifier", "resnet"): "digits-addt.fine_tuning.classifier.*no classifier 'resnet'",
    (f"{T}/dataset", "mnist"): "digits-addt.fine_tuning.dataset.*no dataset 'mnist'",
    (f"{T}/steps", "0"): "digits-addt.fine_tuning.steps",
    (f"{T}/rate", "0"): "digits-addt.fine_tuning.rate",
    (f"{T}/decay", "1"): "digits-addt.fine_tuning.decay",
    (f"{T}/epochs", "3"): "digits-addt.fine_tuning.epochs",
    (f"{T}/flip", "'no'"): "digits-addt.fine_tuning.flip",
    (f"{T}/perturbation", "sorted"): "digits-addt.fine_tuning.perturbation",
    (f"{T}/objective", "loss"): "digits-addt.fine_tuning.objective",
    (f"{T}/options", LEFT_OUT): "digits-addt.fine_tuning.*options",
    (f"{T}/options/iterations", LEFT_OUT): "digits-addt.fine_tuning.options.*iterations",
    (f"{T}/options/epsilon", "0.1"): "digits-addt.fine_tuning.options.epsilon",
    (f"{T}/options/lambda_unit", "-0.1"): "digits-addt.fine_tuning.options.lambda_unit",
    (f"{T}/options/lambda_max", "1.5"): "digits-addt.fine_tuning.options.lambda_max",
    (f"{T}/perturbation", "bounded"): r"digits-addt.fine_tuning.options.lambda_(unit|max): there is no such key",
    ("diffusions/digits-addt/network", "purity.networks:unet"): "diffusions.digits-addt.network",
    ("diffusions/digits-addt/weights", "a.pt"): "diffusions.digits-addt.weights",
    ("classifiers/digits-cnn/fine_tuning", "{}"): "classifiers.digits-cnn.*fine_tuning",
    # numbers that cannot be
    ("attacks/pgd/options/epsilon", "-0.1"): "attacks.pgd.options.epsilon",
    ("attacks/pgd/options/epsilon", "0"): "attacks.pgd.options.epsilon",
    ("attacks/pgd/options/epsilon", ".nan"): "attacks.pgd.options.epsilon",
    ("attacks/pgd/options/epsilon", ".inf"): "attacks.pgd.options.epsilon",
    ("attacks/pgd/options/steps", "0"): "attacks.pgd.options.steps",
    ("attacks/pgd/options/relative_step", "-1"): "attacks.pgd.options.relative_step",
    ("attacks/pgd-eot/options/draws", "0"): "attacks.pgd-eot.options.draws",
    ("purifiers/gaussian/options/sigma", "-1"): "purifiers.gaussian.options.sigma",
    ("purifiers/ddpm/options/t", "1001"): "purifiers.ddpm.options.t",
    ("purifiers/ddpm/options/t", "0"): "purifiers.ddpm.options.t",
    ("purifiers/one-step/options/t", "2000"): "purifiers.one-step.options.t",
    ("purifiers/ddpm/options/steps", "101"): "purifiers.ddpm.options.steps",
    ("purifiers/ddim/options/steps", "0"): "purifiers.ddim.options.steps",
    ("batch", "0"): "batch",
    ("classifiers/digits-cnn/training/rate", "0"): "classifiers.digits-cnn.training.rate",
    ("diffusions/digits-unet/training/decay", "1"): "diffusions.digits-unet.training.decay",
    (f"{E}/images", "0"): "experiments.digits.images",
    (f"{E}/fresh_draws", "0"): "experiments.digits.fresh_draws",
    (f"{E}/seeds", "[-1]"): "experiments.digits.seeds",
    (f"{E}/seeds", "[4294967296]"): "experiments.digits.seeds",
    (f"{E}/seeds", "[0, 1, 1]"): "experiments.digits.seeds",
    (f"{E}/seeds", "[]"): "experiments.digits.seeds",
    (f"{E}/ball/epsilon", "-0.1"): "experiments.digits.ball.epsilon",
    (f"{E}/ball/images", "101"): "experiments.digits.ball.images",
    (f"{E}/ball/draws", "1"): "experiments.digits.ball.draws",
    (f"{E}/gallery/images", "0"): "experiments.digits.gallery.images",
    # whole numbers written with a point: 'seed-0.0' is no path of the workflow, range(100.0) no loop
    ("purifiers/ddpm/options/t", "100.0"): "purifiers.ddpm.options.t",
    ("attacks/pgd/options/steps", "40.0"): "attacks.pgd.options.steps",
    ("batch", "100.0"): "batch",
    (f"{E}/seeds", "[0.0]"): "experiments.digits.seeds",
    (f"{E}/images", "100.0"): "experiments.digits.images",
    # the wrong type
    ("attacks/pgd/options/epsilon", "8/255"): "attacks.pgd.options.epsilon",
    ("attacks/pgd/options/epsilon", "1e-3"): "attacks.pgd.options.epsilon",  # YAML takes it for a text
    ("attacks/pgd/options/steps", "forty"): "attacks.pgd.options.steps",
    ("attacks/pgd/options/random_start", "'no'"): "attacks.pgd.options.random_start",
    ("attacks/pgd/options/norm", "linf-norm"): "attacks.pgd.options.norm",
    ("attacks/pgd/options/schedule", "linear"): "attacks.pgd.options.schedule",
    ("attacks/pgd/options/loss", "ce"): "attacks.pgd.options.loss",
    ("attacks/uniform/options/cut", "'no'"): "attacks.uniform.options.cut",
    ("attacks/standard/blind", "true"): "attacks.standard.blind",
    ("attacks/standard/options/attacks", "[]"): "attacks.standard.options.attacks",
    ("attacks/standard/options/attacks", "{run: apgd, steps: 3}"): "attacks.standard.options.attacks",
    ("attacks/standard/options/attacks", "[{steps: 3}]"): "attacks.standard.options.attacks.0",
    ("attacks/standard/options/attacks", "[{run: square, steps: 3}]"): "attacks.standard.options.attacks.0.run",
    ("attacks/standard/options/attacks", "[{run: apgd}]"): "attacks.standard.options.attacks.0.*'steps' is missing",
    ("attacks/standard/options/attacks", "[{run: apgd, steps: 0}]"): "attacks.standard.options.attacks.0.steps",
    ("attacks/standard/options/attacks", "[{run: apgd, steps: 3, targets: 2}]"): "attacks.0.*targets.*no such option",
    ("attacks/standard/options/attacks", "[{run: bpda, steps: 3}]"): "attacks.0.*'relative_step' is missing",
    ("attacks/standard/options/attacks", "[{run: apgd, steps: 3, epsilon: 0.1}]"): "attacks.standard.*0.epsilon",
    (
        "attacks/standard/options/attacks",
        "[{run: apgd, steps: 3, norm: l2}]",
    ): "attacks.standard.options.attacks.0.norm",
    ("attacks/standard/options/judgings", "0"): "attacks.standard.options.judgings",
    ("purifiers/gaussian/options/sigma", "'0.15'"): "purifiers.gaussian.options.sigma",
    ("purifiers/ddpm/options/t", "'100'"): "purifiers.ddpm.options.t",
    ("purifiers/ddpm/options/t", "true"): "purifiers.ddpm.options.t",
    ("purifiers/ddpm/options/clip", "'true'"): "purifiers.ddpm.options.clip",
    ("purifiers/ddpm/options/sigma", "0.5"): "purifiers.ddpm.options.sigma",
    ("purifiers/ddpm/options/forward", "onestep"): "purifiers.ddpm.options.forward",
    ("classifiers/digits-cnn/training/rate", "5e-3"): "classifiers.digits-cnn.training.rate",
    ("classifiers/digits-cnn/training", "true"): "classifiers.digits-cnn.training",
    ("device", "gpu"): "device",
    ("batch", "'100'"): "batch",
    ("run", "digits"): "run",
    ("run", "[]"): "run",
    (f"{E}/seeds", "3"): "experiments.digits.seeds",
    (f"{E}/seeds", "[zero]"): "experiments.digits.seeds",
    (f"{E}/seeding", "s4"): "experiments.digits.seeding",
    (f"{E}/attacked", "[ddpm]"): "experiments.digits.attacked",
    (f"{E}/attacked/ddpm", "pgd"): "experiments.digits.attacked.ddpm",
    (f"{E}/attacked/ddpm", "[pgd]"): "experiments.digits.attacked.ddpm",
    (f"{E}/attacked/ddpm/pgd", "all"): "experiments.digits.attacked.ddpm.pgd",
    (f"{E}/attacked/ddpm/pgd", "[everything]"): "experiments.digits.attacked.ddpm.pgd",
    (f"{E}/attacked/ddpm/pgd", "[all, all]"): "experiments.digits.attacked.ddpm.pgd",
    (f"{E}/ball/purifiers", "ddpm"): "experiments.digits.ball.purifiers",
    ("purifiers/ddpm/options", "[t, 100]"): "purifiers.ddpm.options",
    ("purifiers", "[ddpm]"): "purifiers",
    # groups left empty: YAML takes them for null
    ("attacks", ""): "attacks",
    ("purifiers", ""): "purifiers",
    ("datasets", ""): "datasets",
    ("experiments", ""): "experiments",
    ("run", ""): "run",
    ("purifiers/identity", ""): "purifiers.identity",
    ("purifiers/gaussian/options", ""): "purifiers.gaussian.options",
    ("attacks/pgd/options", ""): "attacks.pgd.options",
    ("classifiers/digits-cnn/training", ""): "classifiers.digits-cnn.training",
    ("classifiers/digits-cnn/weights", ""): "classifiers.digits-cnn.*weights",
    (f"{E}/attacked", ""): "experiments.digits.attacked",
    (f"{E}/attacked", "{}"): "experiments.digits.attacked",
    (f"{E}/attacked/ddpm", ""): "experiments.digits.attacked.ddpm",
    (f"{E}/attacked/ddpm/pgd", ""): "experiments.digits.attacked.ddpm.pgd",
    (f"{E}/attacked/ddpm/pgd", "[]"): "experiments.digits.attacked.ddpm.pgd",
    # presets that are not there
    ("run", "[digit]"): "run.*digit",
    (f"{E}/dataset", "mnist"): "experiments.digits.dataset.*mnist",
    (f"{E}/classifier", "resnet"): "experiments.digits.classifier.*resnet",
    (f"{E}/attacked/ddpn", "{pgd: [all]}"): "experiments.digits.attacked.ddpn",
    (f"{E}/attacked/ddpm/pdg", "[all]"): "experiments.digits.attacked.ddpm.pdg",
    (f"{E}/attacked/ddpm/clean", "[none]"): "experiments.digits.attacked.ddpm.clean",
    ("purifiers/ddpm/diffusion", "cifar"): "purifiers.ddpm.diffusion.*cifar",
    ("classifiers/digits-cnn/training/dataset", "mnist"): "classifiers.digits-cnn.training.dataset.*mnist",
    (f"{E}/ball/purifiers", "[ddpn]"): "experiments.digits.ball.purifiers.*ddpn",
    (f"{E}/gallery/purifier", "ddpn"): "experiments.digits.gallery.purifier.*ddpn",
    # roles
    ("attacks/pgd-eot/eot_of", "pdg"): "attacks.pgd-eot.eot_of.*no attack 'pdg'",
    ("attacks/bpda/twin_of", "pdg"): "attacks.bpda.twin_of.*no attack 'pdg'",
    ("attacks/pgd/eot_of", "pgd"): "attacks.pgd.eot_of.*of itself",
    ("attacks/pgd/twin_of", "pgd"): "attacks.pgd.twin_of.*of itself",
    ("attacks/pgd/eot_of", "[pgd]"): "attacks.pgd.eot_of",
    ("purifiers/ddpm/process", "langevin"): "purifiers.ddpm.process",
    ("purifiers/ddpm/process", "true"): "purifiers.ddpm.process",
    # functions that are not there
    ("purifiers/ddpm/make", "purity.purifiers:ddpn"): "purifiers.ddpm.make.*ddpn",
    ("purifiers/ddpm/make", "purity.purifier:ddpm"): r"purifiers.ddpm.make.*purity.purifier\b",
    ("purifiers/ddpm/make", "ddpm"): "purifiers.ddpm.make",
    ("purifiers/ddpm/make", "purity/purifiers.py:ddpm"): "purifiers.ddpm.make",
    ("purifiers/ddpm/make", "no_such_package_anywhere:f"): "purifiers.ddpm.make.*no_such_package_anywhere",
    ("attacks/pgd/run", "purity.attacks:pdg"): "attacks.pgd.run.*pdg",
    ("datasets/digits/load", "purity.data:mnist"): "datasets.digits.load.*mnist",
    ("classifiers/digits-cnn/network", "purity.networks:resnet"): "classifiers.digits-cnn.network.*resnet",
    ("purifiers/ddpm/make", "purity.purifiers:FORWARD"): "purifiers.ddpm.make.*FORWARD",
    # a model for a purifier that takes none
    ("purifiers/identity/diffusion", "digits-unet"): "purifiers.identity.diffusion",
    ("purifiers/gaussian/diffusion", "digits-unet"): "purifiers.gaussian.diffusion",
    # weights
    ("classifiers/digits-cnn/weights", "a.pt"): "classifiers.digits-cnn.*weights",
    (
        "classifiers/mine",
        "{network: 'purity.networks:cnn', weights: nowhere.pt}",
    ): r"classifiers.mine.weights.*nowhere\.pt",
    (
        "diffusions/mine",
        "{network: 'purity.networks:unet', weights: nowhere.pt}",
    ): r"diffusions.mine.weights.*nowhere\.pt",
    (
        "classifiers/mine",
        f"{{network: 'purity.networks:cnn', weights: {ROOT / 'config'}}}",
    ): "classifiers.mine.weights.*config",
    # names that the workflow needs itself, or that make no path
    ("purifiers/any", "{make: 'purity.purifiers:identity'}"): "purifiers.any",
    ("attacks/clean", "{run: 'purity.attacks:uniform', blind: true, options: {epsilon: 1}}"): "attacks.clean",
    ("experiments/models", yaml.safe_dump(SHIPPED["experiments"]["digits"])): "experiments.models",
    ("experiments/logs", yaml.safe_dump(SHIPPED["experiments"]["digits"])): "experiments.logs",
    ("purifiers/DDPM", "{make: 'purity.purifiers:identity'}"): r"purifiers.DDPM: 'ddpm' differs in .* case only",
    ("experiments/Digits", yaml.safe_dump(SHIPPED["experiments"]["digits"])): "experiments.Digits.*case only",
    ("classifiers/digits-cnn-loss", "{network: 'purity.networks:cnn'}"): "digits-cnn-loss: files of 'digits-cnn'",
    ("diffusions/digits-unet-fetched", "{network: 'purity.networks:unet'}"): "digits-unet-fetched: files of",
    ("purifiers", f"{{{'d' * 101}: {{make: 'purity.purifiers:identity'}}}}"): "purifiers.*too long",
    ("purifiers", "{a, b: {make: 'purity.purifiers:identity'}}"): "purifiers",
    ("purifiers", '{"ddpm\\n": {make: "purity.purifiers:identity"}}'): "purifiers.*is no name.*#names",
    # what a run makes is no weights of one's own
    (
        "classifiers/mine",
        "{network: 'purity.networks:cnn', weights: results/models/classifiers/digits-cnn.safetensors}",
    ): "classifiers.mine.weights: results/models.* is a result",
    (
        "classifiers/mine",
        "{network: 'purity.networks:cnn', weights: ./results/../results/a.pt}",
    ): "classifiers.mine.weights.* is a result",
    # Python's own functions are no parts
    ("purifiers/mine", "{make: 'os:system'}"): "purifiers.mine.make: os:system is of Python's standard library",
    ("attacks/mine", "{run: 'subprocess:run'}"): "attacks.mine.run: .*standard library",
    ("datasets/mine", "{load: 'shutil:rmtree'}"): "datasets.mine.load: .*standard library",
    ("classifiers/mine", "{network: 'builtins:exec'}"): "classifiers.mine.network: .*standard library",
    (
        "purifiers/mine",
        "{make: 'purity.intercepted:purifier', options: {call: 'os.path:join'}}",
    ): "purifiers.mine.options.call: .*standard library",
    ("purifiers", "{ddpm/small: {make: 'purity.purifiers:identity'}}"): "ddpm/small",
    ("purifiers/my purifier", "{make: 'purity.purifiers:identity'}"): "my purifier",
    ("purifiers/.hidden", "{make: 'purity.purifiers:identity'}"): r"\.hidden",
    ("purifiers", "{100: {make: 'purity.purifiers:identity'}}"): "purifiers.*100",
    ("attacks", "{on: {run: 'purity.attacks:uniform', blind: true, options: {epsilon: 1}}}"): "attacks.*True",
    # an attack that looks at no defence
    (f"{E}/attacked/ddpm/uniform", "[all]"): "experiments.digits.attacked.ddpm.uniform",
    (f"{E}/attacked/ddpm/uniform", "[none, all]"): "experiments.digits.attacked.ddpm.uniform",
    ("attacks/uniform/blind", "false"): "attacks.uniform.blind",
    ("attacks/pgd/blind", "true"): "attacks.pgd.blind",
    # ε of images in [0, 255]
    ("attacks/pgd/options/epsilon", "8"): "attacks.pgd.options.epsilon: 8 in ℓ∞ .*8/255 = 0.03137",
    ("attacks/uniform/options/epsilon", "1.5"): "attacks.uniform.options.epsilon: 1.5 in ℓ∞",
    (f"{E}/ball/epsilon", "8"): "experiments.digits.ball.epsilon: 8 in ℓ∞",
    (f"{E}/pca/epsilon", "8"): "experiments.digits.pca.epsilon: 8 in ℓ∞",
    # what is asked of what is not made
    (f"{E}/gallery/knowledge", "forward"): "experiments.digits.gallery",
    (f"{E}/gallery/attack", "uniform"): "experiments.digits.gallery",
    (f"{E}/gallery/attack", "nothing"): "experiments.digits.gallery",
    (f"{E}/gallery/images", "1000"): "experiments.digits.gallery.images",
    (f"{E}/attacked", "{ddpm: {standard: [all]}}"): "experiments.digits.ball.purifiers.*reverse",
}


@pytest.mark.parametrize(("key", "text"), MISTAKES)
def test_a_mistake_is_refused_in_one_line_that_names_the_key(key, text):
    said = verdict(changed((key, text)))
    assert said, "the mistake passes"
    assert said.startswith("config: ") and "\n" not in said
    assert re.search(MISTAKES[key, text], said), said


def test_an_l2_epsilon_may_be_larger_than_one():
    assert not verdict(changed(("attacks/standard-l2/options/epsilon", "3")))


@pytest.mark.parametrize("config", [{}, None, [], "digits"], ids=str)
def test_an_empty_configuration_is_refused_in_one_line(config):
    said = verdict(config)
    assert said.startswith("config: ") and "\n" not in said


@pytest.mark.parametrize("key", [1, True, None, 0.5])
@pytest.mark.parametrize("group", ["", "experiments/digits", "experiments/digits/ball", "purifiers/ddpm"])
def test_a_key_that_is_no_text_is_refused_in_one_line(key, group):
    """`on:` and `1:` are such keys."""
    config = copy.deepcopy(SHIPPED)
    inner = config
    for name in filter(None, group.split("/")):
        inner = inner[name]
    inner[key] = inner["strange"] = 1  # beside another one
    said = verdict(config)
    assert said.startswith("config: ") and "\n" not in said


def test_options_of_a_function_of_ones_own_are_checked_by_its_signature(tmp_path):
    (tmp_path / "mine.py").write_text("def blur(radius, *, edge='wrap'):\n    return lambda x, xi: x\n")

    def verdict_of(options: str) -> str:
        config = changed(("purifiers/mine", f"{{make: 'mine:blur', options: {options}}}"))
        try:
            check(config, ROOT / "config/schema.yaml", Project(ROOT, tmp_path))
        except ValueError as error:
            return str(error)
        return ""

    assert verdict_of("{radius: 2}") == verdict_of("{radius: 2, edge: nearest}") == ""
    assert "radius" in verdict_of("{}")
    assert "purifiers.mine.options.raduis" in verdict_of("{radius: 1, raduis: 2}")


# The parts of an experiment.

PART_NAMES = (
    "sweep",
    "sensitivity",
    "budget",
    "jacobian",
    "pca",
    "samples",
    "fuzzy",
    "cap",
    "margins",
    "dw-box",
    "addt",
    "paths",
)
AT_ITS_STRENGTHS = [(f"{E}/third-regime", "null"), (f"{E}/elsewhere", "null")]
PART_NAMES += ("strength", "search", "third-regime", "elsewhere")
SWEPT = ("budget", "sensitivity", "search", "third-regime", "elsewhere")  # go by the sweep
BLURRED = ("attacks/blur", "{run: 'scipy.ndimage:gaussian_filter', options: {sigma: 1}}")  # an attack without epsilon


@pytest.mark.parametrize("part", PART_NAMES)
@pytest.mark.parametrize("text", ["null", LEFT_OUT])
def test_a_part_that_is_null_or_left_out_is_not_made(part, text):
    needing = [(f"{E}/{other}", text) for other in SWEPT] if part == "sweep" else []
    assert verdict(changed((f"{E}/{part}", text), *needing)) == ""


def test_an_experiment_needs_no_parts():
    assert verdict(changed(*((f"{E}/{part}", LEFT_OUT) for part in PART_NAMES))) == ""
    assert verdict(changed(*((f"{E}/{part}", "null") for part in PART_NAMES))) == ""


@pytest.mark.parametrize(
    "edits",
    [
        [(f"{E}/reference", "cifar10")],
        [(f"{E}/reference", "imagenet")],
        [(f"{E}/sweep/attacked", "[1, 1000]")],
        [(f"{E}/sweep/clean", "[]")],
        [(f"{E}/sweep/purifiers", "[one-step]")],  # not under `attacked` with BPDA, and need not be
        [
            (f"{E}/sweep/attack", "pgd"),
            (f"{E}/sweep/protocol", LEFT_OUT),
            (f"{E}/sweep/purifiers", "[ddpm]"),
            (f"{E}/sweep/attacked", "[50, 200]"),
        ],
        [(f"{E}/sweep/noise", "uniform-x4")],
        [(f"{E}/budget/attacks", "[pgd, bpda]"), (f"{E}/budget/scales", "[0, 2.5]")],
        [BLURRED, (f"{E}/sweep/attack", "blur")],
        [(f"{E}/jacobian/images", "100"), (f"{E}/pca/images", "100")],
        [(f"{E}/jacobian/mode", "forward"), (f"{E}/jacobian/purifiers", "[identity, gaussian]")],
        [(f"{E}/pca/points", "2")],
        [(f"{E}/fuzzy/attacks", "[uniform]"), (f"{E}/fuzzy/judgings", "2")],
        [(f"{E}/fuzzy/purifiers", "[ddpm, reverse]")],  # reverse has one of the four attacks
        [(f"{E}/cap/purifier", "ddpm"), (f"{E}/cap/attack", "bpda")],
        [(f"{E}/cap/slices", "10"), (f"{E}/cap/points", "2"), (f"{E}/cap/radius", "1")],
        [(f"{E}/margins/purifiers", "[ddpm]"), (f"{E}/margins/attack", "standard-bpda")],
        [(f"{E}/dw-box/purifiers", "{one-step: [none]}"), (f"{E}/dw-box/attacks", "[pgd, bpda]")],
        [(f"{E}/dw-box/seeds", "[7, 3]")],
        [(f"{E}/addt", "{attacks: [bpda], purifiers: {ddpm: ddim, ddpm-addt: ddpm}}")],
        [(f"{E}/strength/grids", LEFT_OUT), (f"{E}/strength/purifiers", "{identity: [all]}")],
        [(f"{E}/strength/grids", "[{purifier: ddim, attack: bpda, knowledge: all, vary: {norm: [linf, l2]}}]")],
        [(f"{E}/paths/purifiers", "[identity]"), (f"{E}/paths/attack", "bpda"), (f"{E}/paths/images", "100")],
    ],
    ids=str,
)
def test_other_parts_that_are_possible_are_accepted(edits):
    swept = any(key.startswith(f"{E}/sweep/") for key, _ in edits)
    assert verdict(changed(*edits, *(AT_ITS_STRENGTHS if swept else []))) == ""


GRID = "[{{purifier: ddpm, attack: pgd, knowledge: all, vary: {{{}}}}}]"

# (key, what is written there): what the line must say. Keys are those of the experiment.
MISTAKES_OF_PARTS = {
    ("dw-box/attacks", "[uniform]"): "digits.dw-box.attacks.*is blind",
    ("dw-box/attacks", "[pgd-20, nothing]"): "digits.dw-box.attacks.*no attack 'nothing'",
    ("dw-box/attacks", "[pgd-20-eot]"): "digits.dw-box.attacks.*'pgd-20-eot' has no EOT variant",
    ("dw-box/purifiers", "{ddpn: [none]}"): "digits.dw-box.purifiers.*no purifier 'ddpn'",
    ("dw-box/purifiers", "{ddpm: [forward]}"): "digits.dw-box.purifiers.ddpm",
    ("dw-box/purifiers", "{ddpm: [none, all]}"): "digits.dw-box.purifiers.ddpm",
    ("dw-box/purifiers", "{}"): "digits.dw-box.purifiers",
    ("sweep/protocol", "nothing"): "digits.sweep.protocol.*no attack 'nothing'",
    ("sweep/protocol", "uniform"): "digits.sweep.protocol.*is blind",
    ("sweep/protocol", "standard"): "digits.sweep.protocol.*it is the sweep's attack",
    ("dw-box/purifiers", "[ddpm]"): "digits.dw-box.purifiers",
    ("dw-box/norm", "l2"): "digits.dw-box.norm",
    ("addt/attacks", "[nothing]"): "digits.addt.attacks.*no attack 'nothing'",
    ("addt/attacks", "[uniform]"): "digits.addt.attacks.*is blind",
    ("addt/again", "{ddpm: {ddpm-1: ddpm}}"): "digits.addt.again.ddpm.*no purifier of .*purifiers 'ddpm'",
    ("addt/again/ddpm-addt", "{ddpn: ddpm}"): "digits.addt.again.ddpm-addt.ddpn.*no purifier 'ddpn'",
    ("addt/again/ddpm-addt", "{ddpm-addt: ddpm}"): "digits.addt.again.ddpm-addt.ddpm-addt.*under `purifiers` too",
    ("sensitivity/purifiers", "{ddpn: ddpm}"): "digits.sensitivity.purifiers.ddpn.*no purifier 'ddpn'",
    ("sensitivity/purifiers", "{ddpm: ddpm}"): "digits.sensitivity.purifiers.ddpm.*with itself",
    ("addt/purifiers", "{ddpm-addt: ddpm, ddpn: ddpm}"): "digits.addt.purifiers.ddpn.*no purifier 'ddpn'",
    ("addt/purifiers", "{ddpm-addt: ddpn}"): "digits.addt.purifiers.ddpm-addt.*no purifier 'ddpn'",
    ("addt/purifiers", "{ddpm-addt: ddpm, ddpm: ddpm}"): "digits.addt.purifiers.ddpm.*with itself",
    ("addt/ablations", "{ddpm-addt: ddpm}"): "digits.addt.ablations.ddpm-addt.*under `purifiers` too",
    ("addt/vanilla", "ddpm"): "digits.addt.vanilla",
    ("addt/seeds", "[]"): "digits.addt.seeds",
    ("dw-box/seeds", "[-1]"): "digits.dw-box.seeds",
    ("third-regime/t", "[250]"): "digits.third-regime.t: t = 250 is none",
    ("third-regime/t", "[]"): "digits.third-regime.t",
    ("third-regime/scales", "[1]"): "digits.third-regime.scales",
    ("third-regime/attacks", "[uniform]"): "digits.third-regime.attacks.*is blind",
    ("third-regime/attacks", "[nothing]"): "digits.third-regime.attacks.*no attack 'nothing'",
    ("elsewhere/t", "[250]"): "digits.elsewhere.t: t = 250 is none",
    ("elsewhere/classifier", "nothing"): "digits.elsewhere.classifier.*no classifier 'nothing'",
    ("elsewhere/classifier", "digits-cnn"): "digits.elsewhere.classifier.*the experiment's own",
    ("search/space/votes", "[1, 2]"): "digits.search.space.votes.*no such option",
    ("strength/purifiers", "{ddpn: [all]}"): "digits.strength.purifiers.*no purifier.*'ddpn'",
    ("strength/purifiers", "{ddpm: [forward]}"): "digits.strength.purifiers.ddpm",
    ("strength/beyond", "{all: standard-x10}"): "digits.strength.beyond.*no attack for knowledge none.*ddpm",
    ("strength/beyond/all", "uniform"): "digits.strength.beyond.all.*is blind",
    ("strength/grids", GRID.format("steps: [1, 2], draws: [1]")): "grids.0.vary.*as many values each",
    ("strength/grids", GRID.format("stepz: [1, 2]")): "grids.0.*stepz.*no such option",
    ("strength/grids", GRID.format("steps: [0, 2]")): "grids.0.vary.steps",
    ("strength/grids", GRID.format("loss: [entropy]")): "grids.0.vary.loss",
    ("strength/grids", GRID.format("epsilon: [8]")): "grids.0.vary.epsilon",
    ("strength/grids", GRID.format("steps: [1, 2]").replace("ddpm", "ddpn")): "grids.0.purifier.*no purifier",
    ("strength/grids", GRID.format("steps: [1, 2]").replace("pgd", "uniform")): "grids.0.attack.*is blind",
    ("paths/attack", "nothing"): "digits.paths.attack.*no attack 'nothing'",
    ("paths/attack", "uniform"): "digits.paths.attack.*is blind",
    ("paths/purifiers", "[ddpn]"): "digits.paths.purifiers.*no purifier 'ddpn'",
    ("paths/images", "101"): "digits.paths.images.*more than the 100",
    ("paths/points", "1"): "digits.paths.points",
    ("paths/repeats", "0"): "digits.paths.repeats",
    ("paths/reach", "0"): "digits.paths.reach",
    # names that there are not
    ("sweep/attack", "nothing"): "digits.sweep.attack.*no attack 'nothing'",
    ("sweep/noise", "nothing"): "digits.sweep.noise.*no attack 'nothing'",
    ("sweep/purifiers", "[ddpm, ddpn]"): "digits.sweep.purifiers.*no purifier 'ddpn'",
    ("budget/attacks", "[pgd, nothing]"): "digits.budget.attacks.*no attack 'nothing'",
    ("jacobian/attack", "nothing"): "digits.jacobian.attack.*no attack 'nothing'",
    ("jacobian/purifiers", "[ddpm, ddpn]"): "digits.jacobian.purifiers.*no purifier.*'ddpn'",
    ("pca/purifiers", "[ddpn]"): "digits.pca.purifiers.*no purifier.*'ddpn'",
    ("fuzzy/purifiers", "[ddpn]"): "digits.fuzzy.purifiers.*no purifier.*'ddpn'",
    ("fuzzy/attacks", "[pgd, nothing]"): "digits.fuzzy.attacks.*no attack 'nothing'",
    ("cap/purifier", "ddpn"): "digits.cap.*no purifier.*'ddpn'",
    ("cap/attack", "nothing"): "digits.cap.attack.*no attack 'nothing'",
    ("margins/purifiers", "[ddpm, ddpn]"): "digits.margins.*no purifier.*'ddpn'",
    ("margins/attack", "nothing"): "digits.margins.attack.*no attack 'nothing'",
    ("reference", "cifar100"): "digits.reference.*cifar100",
    ("reference", "null"): "digits.reference",
    # clean images are no attack
    ("sweep/attack", "clean"): "digits.sweep.attack.*no attack 'clean'",
    ("fuzzy/attacks", "[clean]"): "digits.fuzzy.attacks.*no attack 'clean'",
    # blind attacks, and others
    ("sweep/attack", "uniform"): "digits.sweep.attack.*'uniform' is blind",
    ("sweep/noise", "pgd"): "digits.sweep.noise.*'pgd' is not blind",
    ("budget/attacks", "[pgd, uniform]"): "digits.budget.attacks.*'uniform' is blind",
    ("jacobian/attack", "uniform"): "digits.jacobian.attack.*'uniform' is blind",
    ("cap/attack", "uniform"): "digits.cap.attack.*'uniform' is blind",
    ("margins/attack", "uniform"): "digits.margins.attack.*'uniform' is blind",
    # a purifier without strength
    ("sweep/purifiers", "[ddpm, gaussian]"): "digits.sweep.purifiers.*'gaussian' has no option t",
    ("sweep/purifiers", "[identity]"): "digits.sweep.purifiers.*'identity' has no option t",
    # strengths that cannot be
    ("sweep/attacked", "[10, 0]"): "digits.sweep.attacked",
    ("sweep/attacked", "[10, 1001]"): "digits.sweep.attacked",
    ("sweep/attacked", "[10.0]"): "digits.sweep.attacked",
    ("sweep/attacked", "[10, 10]"): "digits.sweep.attacked",
    ("sweep/attacked", "[]"): "digits.sweep.attacked",
    ("sweep/attacked", "100"): "digits.sweep.attacked",
    ("sweep/clean", "[0]"): "digits.sweep.clean",
    ("sweep/clean", "[1001]"): "digits.sweep.clean",
    ("sweep/clean", "[-5]"): "digits.sweep.clean",
    # a budget is beside the law
    ("sweep", "null"): "digits.sensitivity.*sweep",
    ("sweep", LEFT_OUT): "digits.sensitivity.*sweep",
    ("budget/scales", "[1]"): "digits.budget.scales",
    ("budget/scales", "[0, -0.5]"): "digits.budget.scales",
    ("budget/scales", "[0, 0.5, 0.5]"): "digits.budget.scales",
    # more images than there are, and other numbers that cannot be
    ("jacobian/images", "101"): "digits.jacobian.images.*100 images",
    ("jacobian/images", "0"): "digits.jacobian.images",
    ("pca/images", "101"): "digits.pca.images.*100 images",
    ("pca/epsilon", "0"): "digits.pca.epsilon",
    ("pca/points", "1"): "digits.pca.points",
    ("samples/steps", "1001"): r"digits.samples.steps: 1001 steps cannot be kept of t = 1000",
    ("samples/purifiers", "[gaussian]"): "digits.samples.purifiers: 'gaussian' has no diffusion model",
    ("samples/purifiers", "[one-step]"): "digits.samples.purifiers: 'one-step' has no diffusion model with options t",
    ("samples/images", "101"): "digits.samples.images.*100 images",
    ("fuzzy/judgings", "1"): "digits.fuzzy.judgings",
    ("cap/radius", "0"): "digits.cap.radius",
    ("cap/points", "1"): "digits.cap.points",
    ("cap/slices", "0"): "digits.cap.slices",
    ("cap/slices", "11"): "digits.cap.slices",
    ("margins/reach", "0"): "digits.margins.reach",
    ("margins/reach", "-1"): "digits.margins.reach",
    ("jacobian/mode", "columns"): "digits.jacobian.mode",
    # what is asked of what is not made
    ("attacked/identity/pgd", "[all]"): "digits.cap.*knowledge none.*identity",
    ("cap/attack", "bpda"): "digits.cap.*knowledge none.*identity",
    ("margins/purifiers", "[ddpm, identity]"): "digits.margins.*knowledge all.*identity",
    ("margins/attack", "standard-bpda"): "digits.margins.*knowledge all.*reverse",
    ("margins/attack", "pgd-eot"): "digits.margins.*knowledge all.*ddpm",
    # keys that are unknown, left out or empty, and the wrong type
    **{(f"{part}/purifer", "ddpm"): f"digits.{part}.purifer" for part in PART_NAMES},
    **{(part, "{}"): f"digits.{part}" for part in PART_NAMES},
    **{(part, "true"): f"digits.{part}" for part in PART_NAMES},
    **{(part, "[]"): f"digits.{part}" for part in PART_NAMES},
    ("sweep/noise", LEFT_OUT): "digits.sweep.*noise",
    ("sweep/clean", LEFT_OUT): "digits.sweep.*clean",
    ("budget/scales", LEFT_OUT): "digits.budget.*scales",
    ("jacobian/mode", LEFT_OUT): "digits.jacobian.*mode",
    ("pca/epsilon", LEFT_OUT): "digits.pca.*epsilon",
    ("fuzzy/judgings", LEFT_OUT): "digits.fuzzy.*judgings",
    ("cap/slices", LEFT_OUT): "digits.cap.*slices",
    ("margins/reach", LEFT_OUT): "digits.margins.*reach",
    ("cap/purifier", "[identity]"): "digits.cap.purifier",
    ("margins/purifiers", "ddpm"): "digits.margins.purifiers",
    ("fuzzy/attacks", "[]"): "digits.fuzzy.attacks",
}


@pytest.mark.parametrize(("key", "text"), MISTAKES_OF_PARTS)
def test_a_mistake_in_a_part_is_refused_in_one_line_that_names_the_key(key, text):
    said = verdict(changed((f"{E}/{key}", text)))
    assert said, "the mistake passes"
    assert said.startswith("config: experiments.digits.") and "\n" not in said
    assert re.search(MISTAKES_OF_PARTS[key, text], said), said


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ([(f"{E}/sensitivity", "null"), (f"{E}/sweep", "null")], "digits.budget.*sweep"),
        ([BLURRED, (f"{E}/sweep/attack", "blur")], "third-regime.scales.*'blur' has no option epsilon"),
        ([(f"{E}/sweep/attacked", "[10, 300]"), (f"{E}/sweep/purifiers", "[ddpm]")], "third-regime.t: .*three"),
        ([BLURRED, (f"{E}/budget/attacks", "[blur]")], "digits.budget.attacks.*'blur' has no option epsilon"),
        (
            [(f"{E}/attacked/reverse", "{standard: [all]}"), (f"{E}/fuzzy/purifiers", "[ddpm, reverse]")],
            "digits.fuzzy.attacks.*reverse with knowledge none",
        ),
        (
            [(f"{E}/fuzzy/purifiers", "[reverse]"), (f"{E}/fuzzy/attacks", "[bpda, pgd-eot]")],
            "digits.fuzzy.attacks.*reverse with knowledge none",
        ),
        ([("purifiers/spare", "{make: 'purity.purifiers:identity'}"), (f"{E}/pca/purifiers", "[spare]")], "pca.*spare"),
    ],
    ids=str,
)
def test_parts_that_ask_for_what_is_not_there_are_refused_in_one_line(edits, said):
    line = verdict(changed(*edits))
    assert line.startswith("config: experiments.digits.") and "\n" not in line
    assert re.search(said, line), line


def swept(attacked: str, purifiers: str = "[ddpm]", attack: str = "standard-bpda") -> str:
    """What is said about a sweep; only ddpm's attacker knows ξ under this BPDA."""
    edits = [
        (f"{E}/sweep/{key}", text)
        for key, text in (("attacked", attacked), ("purifiers", purifiers), ("attack", attack), ("protocol", "fgsm"))
    ]
    return verdict(changed(*edits, *AT_ITS_STRENGTHS))


def test_a_law_goes_through_three_points_at_least():
    assert re.search(r"digits\.sweep\.attacked: .*three", swept("[50]"))
    assert re.search(r"digits\.sweep\.attacked: .*three", swept("[50]", attack="pgd-eot"))
    assert re.search(r"digits\.sweep\.attacked: .*three", swept("[50, 200]", attack="pgd-eot"))
    assert swept("[50, 200]") == swept("[50]", "[ddpm, reverse]") == swept("[50]", attack="pgd") == ""
    assert swept("[10, 50, 200]", attack="pgd-eot") == ""


def test_a_purifier_at_its_own_strength_is_no_other_point():
    """ddpm has t = 100: swept there it is the purifier that is attacked anyway."""
    assert re.search(r"digits\.sweep\.attacked: .*three", swept("[50, 100]"))
    assert re.search(r"digits\.sweep\.attacked: .*three", swept("[100]", "[ddpm, reverse]"))


# Studies of the user's own.

MODULE = """
QUANTITIES = ("my-gain",)

def grades(judged, more=()):
    pass

def grades_of(judged, grades, *, seed=0):
    pass

def thresholds(other):
    pass

def draw_grades(grades, spread=None):
    pass

def evidence(judged, grades):
    pass
"""
LAW = declared(
    "law", reads={"probes": "law-purifiers"}, tables=["law", "law-fit"], figures={"law": ["law"]}, section=""
)
MAIN = declared("robustness", reads={"measured": "measures"}, tables=["robustness"], figures={"robust": []}, section="")
MINE = {
    "reads": {"judged": "measures"},
    "tables": {"grades": "mine:grades", "grades-of": "mine:grades_of"},
    "figures": {"my-grades": {"draw": "mine:draw_grades", "shows": ["grades"]}},
    "evidence": "mine:evidence",
}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    """The package and, in the working directory, a module, claims and a caption of the user's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "silent.py").write_text(MODULE.replace("QUANTITIES", "MEASURED"))
    (tmp_path / "claims.yaml").write_text("[]")
    return Project(ROOT, tmp_path)


def of_studies(project: Project, studies: dict) -> str:
    """What is said about a config that brings these studies, '' if nothing is."""
    config = changed()
    config["studies"] = studies
    try:
        check(config, ROOT / "config/schema.yaml", project)
        check_studies(config, [LAW, MAIN], project)
    except ValueError as error:
        return str(error)
    return ""


def mine(edits: dict | None = None) -> dict:
    study = copy.deepcopy(MINE)
    for path, value in (edits or {}).items():
        *parents, key = path.split("/")
        group = study
        for parent in parents:
            group = group.setdefault(parent, {})
        group[key] = value
    return study


def test_a_study_of_ones_own_is_accepted_and_is_what_the_config_says(project):
    said = mine({"claims": "claims.yaml", "caption": "mine.py", "section": "10 Mine"})
    assert of_studies(project, {"mine": said}) == ""
    (study,) = own({"studies": {"mine": said}})
    assert isinstance(study, Study) and (study.name, study.reads, study.tables) == (
        "mine",
        said["reads"],
        said["tables"],
    )
    assert study[4:] == ("mine:evidence", "claims.yaml", "10 Mine", "mine.py")
    assert study.figures == {"my-grades": ("mine:draw_grades", ["grades"])} and study.parts() == set()
    assert own({}) == []


@pytest.mark.parametrize(
    "edits",
    [
        {"evidence": "mine:grades_of"},  # needs no more than records and tables
        {"reads": {"judged": "fuzzy", "more": "data"}},
        {"tables/robust": "scipy.stats:describe"},  # of a library: found out when it is imported
        {"figures/both": {"draw": "mine:draw_grades", "shows": ["grades", "robustness"]}},
        {"reads/points": "strengths", "figures/both": {"draw": "mine:draw_grades", "shows": ["law", "grades"]}},
    ],
    ids=str,
)
def test_other_studies_that_are_possible_are_accepted(edits, project):
    assert of_studies(project, {"mine": mine(edits)}) == ""


def figure(draw: str = "mine:draw_grades", shows: tuple = ("grades",)) -> dict:
    return {"draw": draw, "shows": list(shows)}


MISTAKES_OF_STUDIES = [
    ({"reads/judged": "measure"}, "reads.judged: there are no records 'measure'; there are data, "),
    ({"reads": {}}, "reads: "),
    ({"tables": {}}, "tables: "),
    ({"tables/grades": "mine:grade"}, "tables.grades: there is no 'grade' in mine.py"),
    ({"tables/grades": "nowhere_at_all:grades"}, "tables.grades: there is no module 'nowhere_at_all'"),
    (
        {"tables/more": "mine:thresholds"},
        "tables.more: mine:thresholds needs 'other', which is neither read nor a table",
    ),
    ({"tables": {"b": "mine:grades_of", "grades": "mine:grades"}}, "tables.b: mine:grades_of needs 'grades', which is"),
    ({"tables/law-fit": "mine:grades"}, "tables.law-fit: there is a table of this name already"),
    ({"tables/law_fit": "mine:grades"}, "tables.law_fit: there is a table of this name already"),
    ({"tables/findings": "mine:grades"}, "tables.findings: this name is taken by the workflow itself"),
    ({"tables/comparison-law": "mine:grades"}, "tables.comparison-law: this name is taken by the workflow itself"),
    ({"tables/judged": "mine:grades"}, "tables.judged: what the study reads is called so"),
    ({"figures/one": figure("mine:draw")}, "figures.one.draw: there is no 'draw' in mine.py"),
    (
        {"figures/one": figure(shows=["grade"])},
        "figures.one.shows: there is no table 'grade', did you mean 'grades'; there are ",
    ),
    (
        {"tables/others": "mine:grades", "figures/one": figure(shows=["grades", "grades-of", "others"])},
        "figures.one.shows: mine:draw_grades does not take",
    ),
    (
        {"figures/one": figure(shows=["grades", "grades-of", "grades"])},
        "figures.one.shows: ['grades', 'grades-of', 'grades'] has non-unique elements",
    ),
    (
        {"figures/one": figure(shows=["law"])},
        "figures.one.shows: 'law' is made of sweep, which the study does not read",
    ),
    ({"figures/law": figure()}, "figures.law: there is a figure of this name already"),
    ({"figures/gallery": figure()}, "figures.gallery: there is a figure of this name already"),
    ({"evidence": "mine:evidences"}, "evidence: there is no 'evidences' in mine.py"),
    ({"evidence": "mine:thresholds"}, "evidence: mine:thresholds needs 'other', which is neither"),
    ({"evidence": "silent:evidence"}, "evidence: silent has no QUANTITIES"),
    ({"claims": "nowhere.yaml"}, "claims: there is no file nowhere.yaml"),
    ({"caption": "nowhere.rst"}, "caption: there is no file nowhere.rst"),
    ({"table": {}}, "table: there is no such key"),
]


@pytest.mark.parametrize(("edits", "said"), MISTAKES_OF_STUDIES, ids=lambda value: str(value)[:60])
def test_a_mistake_in_a_study_is_refused_in_one_line_that_names_the_key(edits, said, project):
    line = of_studies(project, {"mine": mine(edits)})
    assert line.startswith(f"config: studies.mine.{said}") and "\n" not in line, line or "the mistake passes"


def test_the_names_of_studies_are_no_one_elses(project):
    taken = "there is a study of this name already"
    assert of_studies(project, {"law": mine()}) == f"config: studies.law: {taken}"
    other = mine({"tables": {"other": "mine:grades"}, "figures": {}, "evidence": "mine:grades"})
    assert of_studies(project, {"a-b": mine(), "a_b": other}) == f"config: studies.a_b: {taken}"
    assert of_studies(project, {"a-b": mine(), "b": other}) == ""
    assert of_studies(project, {"a": mine(), "b": mine()}).startswith(
        "config: studies.b.tables.grades: there is a table"
    )


def test_what_a_study_may_read_is_there_by_name():
    assert {"data", "adversarial", "purified", "measures", "ball-measures", "fuzzy", "margins", "paths"} <= set(RECORDS)


# What is the same as in the papers.

WANTED = {"make": "purity.purifiers:ddpm", "t": 100, "steps": 100, "rate": 8 / 255, "clip": True}


def preset(**edits) -> dict:
    values = {key: value for key, value in (WANTED | edits).items() if value != LEFT_OUT}
    return {"make": values.pop("make"), "options": values}


@pytest.mark.parametrize(
    ("edits", "is_same"),
    [
        ({}, True),
        ({"diffusion": "any", "sigma": "large"}, True),  # more may be set
        ({"make": "purity.purifiers:ddim"}, False),
        ({"t": LEFT_OUT}, False),
        ({"rate": LEFT_OUT}, False),
        ({"t": 101}, False),
        ({"t": 100.0}, True),
        ({"t": "100"}, False),
        ({"t": None}, False),
        ({"rate": 0.0313725490196}, True),
        ({"rate": 8 / 255 * (1 + 0.9e-6)}, True),
        ({"rate": 8 / 255 * (1 + 1.1e-6)}, False),
        ({"rate": 8 / 255 * (1 - 1.1e-6)}, False),
        ({"rate": -8 / 255}, False),
        ({"rate": 0.031}, False),
        ({"clip": False}, False),
        ({"clip": "true"}, False),
    ],
    ids=str,
)
def test_a_preset_is_the_same_if_it_has_every_value_that_is_wanted(edits, is_same):
    found = preset(**edits)
    assert same({"ddpm": found}, {"ddpm": WANTED}) == (["ddpm"] if is_same else [])
    assert agrees({**found["options"], "make": found["make"]}, WANTED) == is_same


def test_presets_are_the_same_by_their_names():
    wanted = {"ddpm": WANTED, "reverse": WANTED | {"t": 5}, "absent": {}}
    assert same({"reverse": preset(t=5), "ddpm": preset(), "mine": preset()}, wanted) == ["ddpm", "reverse"]
    assert same({"mine": preset()}, wanted) == same({}, wanted) == same({"ddpm": preset()}, {}) == []


def test_a_preset_without_options_has_its_function():
    wanted = {"identity": {"make": "purity.purifiers:identity"}}
    assert same({"identity": {"make": "purity.purifiers:identity"}}, wanted) == ["identity"]
    assert same({"identity": {"make": "purity.purifiers:gaussian", "options": {}}}, wanted) == []


@pytest.mark.parametrize(
    ("found", "wanted", "agreed"),
    [
        ({}, {}, True),
        ({"a": 1}, {}, True),
        ({}, {"a": 1}, False),
        ({"a": None}, {"a": 1}, False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 0}, {"a": 0.0}, True),
        ({"a": 1e-9}, {"a": 0}, False),
        ({"a": 3000000}, {"a": 3000001}, True),
        ({"a": 3.0}, {"a": 3.00001}, False),
        ({"a": "linf"}, {"a": "linf"}, True),
        ({"a": "linf"}, {"a": "l2"}, False),
        ({"a": [1, 2]}, {"a": [1, 2]}, True),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({"a": True}, {"a": True}, True),
        ({"a": True}, {"a": False}, False),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, False),
    ],
    ids=str,
)
def test_values_agree_if_those_that_are_wanted_are_there(found, wanted, agreed):
    assert agrees(found, wanted) == agreed


@pytest.mark.parametrize(("found", "wanted"), [(True, 1), (1, True), (False, 0), (0.0, False)], ids=str)
def test_yes_and_no_are_no_numbers(found, wanted):
    """As the configuration has it: `steps: true` is refused."""
    assert not agrees({"a": found}, {"a": wanted})


# The batch and the arithmetic.


def test_a_batch_is_a_number_or_found():
    assert verdict(changed(("batch", "auto"))) == verdict(changed(("batch", "1"))) == ""
    for wrong in ("0", "fast", "2.5"):
        assert verdict(changed(("batch", wrong))).startswith("config: batch:")


def test_an_attack_that_depends_on_the_batch_wants_a_number():
    batchwise = ("attacks/pgd/batchwise", "true")
    assert verdict(changed(batchwise)) == ""
    assert verdict(changed(batchwise, ("batch", "auto"))) == (
        "config: batch: a number is wanted: what attack 'pgd' does depends on it (batchwise)"
    )


def test_an_engine_is_one_of_those_there_are():
    at = "diffusions/digits-unet/engine"
    for right in ("{precision: bf16}", "{channels_last: true, compile: graphs}", "{compile: true}"):
        assert verdict(changed((at, right))) == ""
    for wrong in ("{precision: fp8}", "{}", "{compile: fast}", "{speed: 2}"):
        assert at.replace("/", ".") in verdict(changed((at, wrong)))


def test_an_attack_that_stops_is_one_of_those_that_can_and_knows_all_of_the_noise():
    options = "{attack: pgd, epsilon: 0.15, steps: 4, relative_step: 0.25}"
    preset = ("attacks/stop", "{run: 'purity.stopping:until_fooled', options: " + options + "}")
    assert verdict(changed(preset, (f"{E}/attacked/ddpm/stop", "[all]"))) == ""
    said = verdict(changed(preset, (f"{E}/attacked/ddpm/stop", "[none, all]")))
    assert said == "config: experiments.digits.attacked.ddpm.stop: until_fooled has to know all of ξ: write [all]"
    assert "config: attacks.stop.options.draw:" in verdict(changed(preset, ("attacks/stop/options/draw", "2")))
    assert "attacks.stop.options" in verdict(changed(preset, ("attacks/stop/options/relative_step", LEFT_OUT)))
    assert "attacks.stop" in verdict(changed(preset, ("attacks/stop/options/attack", "pdg")))


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("expriments", "experiments"),
        ("purifiers/ddpm/mak", "make"),
        ("attacks/pgd/options/epsilom", "epsilon"),
        (f"{E}/image", "images"),
        (f"{E}/attacked/ddmp", "ddpm"),
    ],
)
def test_a_slip_that_is_near_a_key_or_a_name_is_told_what_was_meant(slip, meant):
    key, parent = slip.rpartition("/")[2], slip.rpartition("/")[0]
    old = f"{parent}/{meant}".strip("/")
    value = "{pgd: [all]}" if key == "ddmp" else "1"
    said = verdict(changed((slip, value)) if old == "experiments" else changed((slip, value), (old, LEFT_OUT)))
    assert f"{slip.replace('/', '.')}:" in said and f"did you mean '{meant}'" in said


def test_what_is_far_from_all_is_told_of_nothing():
    assert "did you mean" not in verdict(changed(("colour", "1")))


@pytest.mark.parametrize("option", ["epsilon", "eps"])
def test_the_ball_of_an_attack_of_ones_own_is_a_number_below_one(option):
    """`purity.contract.ball_of` takes either; text would pass by it."""

    def of(value, more=""):
        also = "epsilon: 0.1, " if option == "eps" else ""
        preset = f"{{run: 'purity.libraries:advertorch', options: {{attack: X, {also}{option}: {value}{more}}}}}"
        return verdict(changed(("attacks/mine", preset)))

    assert of("0.1") == of("8, norm: L2") == of("8, norm: 2") == ""
    for wrong in ("'0.1'", "yes", "eight", "[0.1]"):
        assert of(wrong).startswith(f"config: attacks.mine.options.{option}: ") and "#epsilon" in of(wrong)
    assert "8/255" in of("8") and "8/255" in of("8, norm: linf")


def test_names_that_differ_from_the_workflows_own_in_case_only_are_taken():
    assert "purifiers.Any: this name is taken by the workflow" in verdict(
        changed(("purifiers/Any", "{make: 'purity.purifiers:identity'}"))
    )
