"""Every mistake in a configuration is refused in one line that names the key."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from purity.config import check
from purity.provenance import Project

ROOT = Path(__file__).parents[1]
SHIPPED = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
PROJECT = Project(ROOT)
LEFT_OUT = "left out"
E = "experiments/digits"


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
        [("diffusions/mine", f"{{network: 'purity.networks:unet', weights: '{ROOT / 'config/config.yaml'}'}}")],
        [("run", "[digits, again]"), ("experiments/again", yaml.safe_dump(SHIPPED["experiments"]["digits"]))],
        [(f"{E}/attacked/ddpm/pgd", "[none, all, forward, reverse]")],
        [("device", "cuda")],
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
    (f"{E}/gallery/purifier", "ddpm"): "experiments.digits.gallery.purifier",
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
    (f"{E}/ball", LEFT_OUT): "experiments.digits.*ball",
    (f"{E}/gallery/knowledge", LEFT_OUT): "experiments.digits.gallery.*knowledge",
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
    (f"{E}/ball", ""): "experiments.digits.ball",
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
    (f"{E}/gallery/steps", "ddpn"): "experiments.digits.gallery.steps.*ddpn",
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
    # what is asked of what is not made
    (f"{E}/gallery/knowledge", "forward"): "experiments.digits.gallery",
    (f"{E}/gallery/attack", "uniform"): "experiments.digits.gallery",
    (f"{E}/gallery/attack", "nothing"): "experiments.digits.gallery",
    (f"{E}/gallery/images", "1000"): "experiments.digits.gallery.images",
    (f"{E}/attacked", "{ddpm: {pgd: [all]}}"): "experiments.digits.ball.purifiers.*reverse",
}


@pytest.mark.parametrize(("key", "text"), MISTAKES)
def test_a_mistake_is_refused_in_one_line_that_names_the_key(key, text):
    said = verdict(changed((key, text)))
    assert said, "the mistake passes"
    assert said.startswith("config: ") and "\n" not in said
    assert re.search(MISTAKES[key, text], said), said


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
