"""Is a configuration possible? Everything wrong with it is said in one line that names the key, before any job."""

import ast
import copy
import difflib
import math
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NoReturn, cast

import jsonschema
import yaml

from purity.run.codehash import Project
from purity.run.inheritance import seen_by
from purity.run.naming import standard
from purity.run.presets import FULL, INTERCEPTED, NORMALISED, Presets, small_options
from purity.run.rules import broken
from purity.run.studies import RECORDS, Study, own, quantities
from purity.run.yaml_slips import check_epsilon

# JSON takes 100.0 for an integer; a path of seed-0.0 would follow from it.
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda checker, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)

RESERVED = {"experiments": {"models", "logs", "compared"}, "purifiers": {"any"}}
RESERVED |= {"attacks": {"clean"}, "studies": {"findings"}}
# What is put behind a model's name in names of its other files.
ENDINGS = ("-loss", "-fetched")


def check(config: dict, schema: str | Path, project: Project) -> None:
    """ValueError 'config: key.of.the.mistake: what is wrong' for the first mistake found.

    project: where functions that the config names are looked up, with their options, without importing them.
    """
    _refuse_what_yaml_makes_of_slips(config, ())
    validator = _validator(Path(schema).read_text(encoding="utf-8"))
    _hold_to(validator, config)
    for group, names in RESERVED.items():
        for name in (name for name in config.get(group, {}) if name.lower() in names):  # some disks know no case
            raise broken(f"config: {group}.{name}: this name is taken by the workflow itself", "names")
    for group in GROUPS:
        _distinct(group, config.get(group, {}))
    _presets(config, project)
    for name, preset in config["datasets"].items():
        _function(project, preset["load"], preset, f"datasets.{name}", "load", 2)
    for group in ("classifiers", "diffusions", "features"):
        for name, preset in config.get(group, {}).items():
            if "fine_tuning" in preset:
                _fine_tuning(config, name, preset["fine_tuning"])
            else:
                _network_preset(config, project, f"{group}.{name}", preset)
    for name in config["run"]:
        _named(name, config["experiments"], "run", "experiment")
    for name, experiment in config["experiments"].items():
        _experiment(config, f"experiments.{name}", experiment)
        if experiment.get("presets"):
            seen = seen_by(config, name)
            _hold_to(validator, seen)
            _presets(seen, project)
        for i, grid in enumerate((experiment.get("strength") or {}).get("grids", [])):
            _variants(config, project, f"experiments.{name}.strength.grids.{i}", grid)
        if part := experiment.get("search"):
            _space(project, f"experiments.{name}.search", part)


# Groups whose names are in paths.
GROUPS = ("experiments", "purifiers", "attacks", "classifiers", "diffusions", "features", "studies")


def _distinct(group: str, names: Iterable[str]) -> None:
    """No two names share a file: where a file system knows no case, or where something is put behind a model's name."""
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.lower(), name)) != name:
            said = f"'{other}' differs in upper and lower case only; some disks take both for one"
            raise broken(f"config: {group}.{name}: {said}", "names")
    if group in ("classifiers", "diffusions", "features"):
        for name in names:
            if taken := [name + ending for ending in ENDINGS if name + ending in names]:
                raise broken(f"config: {group}.{taken[0]}: files of '{name}' are called so", "names")


def check_images(config: dict, presets: Presets) -> None:
    """ValueError if an experiment to run asks for more test images than there are, where that is told without them."""
    for name in config["run"]:
        experiment = config["experiments"][name]
        there = presets.available(experiment["dataset"], "test")
        if there is not None and experiment["images"] > there:
            said = f"{experiment['images']} asked for, dataset '{experiment['dataset']}' has {there} in its test split"
            raise broken(f"config: experiments.{name}.images: {said}", "enough-images")


# libyaml, where PyYAML was built with it, takes a tenth of the time.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@lru_cache
def _validator(schema: str) -> jsonschema.Draft202012Validator:
    return _Validator(yaml.load(schema, Loader=_LOADER))


def _hold_to(validator: jsonschema.Draft202012Validator, config: dict) -> None:
    errors = sorted(validator.iter_errors(config), key=lambda e: len(e.absolute_path))
    if errors:
        raise ValueError(_line(jsonschema.exceptions.best_match(errors)))


def _presets(config: dict, project: Project) -> None:
    for name, preset in config["purifiers"].items():
        _purifier_preset(config, project, f"purifiers.{name}", preset)
    for name, preset in config["attacks"].items():
        _attack_preset(config, project, name, preset)
        if preset.get("batchwise") and config["batch"] == "auto":
            _refuse("batch", f"a number is wanted: what attack '{name}' does depends on it (batchwise)")


def _purifier_preset(config: dict, project: Project, key: str, preset: dict) -> None:
    _named(preset.get("diffusion"), config["diffusions"], f"{key}.diffusion", "diffusion model")
    options = preset.get("options", {})
    given = 1 if "diffusion" in preset else 0
    _function(project, preset["make"], preset, key, "make", given, giving="diffusion")
    if preset["make"].startswith("purity.purifiers:") and options.get("steps", 1) > options.get("t", 1000):
        _refuse(f"{key}.options.steps", f"{options['steps']} steps cannot be kept of t = {options['t']}")
    if preset["make"] == INTERCEPTED and "call" in options:
        made = options.get("options")  # with these, or a diffusion model, `call` makes what is called with images
        given = int("diffusion" in preset or made is None)
        _function(project, options["call"], {"options": made or {}}, f"{key}.options", "call", given)


def _attack_preset(config: dict, project: Project, name: str, preset: dict) -> None:
    key = f"attacks.{name}"
    _function(project, _with_options(preset["run"]), preset, key, "run", 5)
    _parts_of_attack(project, preset, f"{key}.options")
    options = preset.get("options", {})
    for option in EPSILON & options.keys():
        _epsilon(options[option], options.get("norm", "linf"), f"{key}.options.{option}")
    for role in ("eot_of", "twin_of"):
        _named(preset.get(role), config["attacks"], f"{key}.{role}", "attack")
        if preset.get(role) == name:
            _refuse(f"{key}.{role}", "it cannot be one of itself")


EPSILON = {"epsilon", "eps"}  # options of attacks that are the radius of their ball (purity.contract.ball_of)


def _epsilon(value: object, norm: object, key: str) -> None:
    """Text passes by every later check of the ball."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        quoted = ": take the quotes away" if isinstance(value, str) else ""
        raise broken(f"config: {key}: {value!r} is no number{quoted}", "epsilon")
    length = str(norm).lower().removeprefix("l")
    check_epsilon(value, "l2" if length in ("2", "2.0") else "linf", key)


def _with_options(attack: str) -> str:
    """The function whose options an attack has: bpda hands its own on to pgd."""
    return "purity.attacks:pgd" if attack == "purity.attacks:bpda" else attack


UNTIL_FOOLED = "purity.stopping:until_fooled"


def _parts_of_attack(project: Project, preset: dict, key: str) -> None:
    """What until_fooled runs, with all options but its name. What worst_of runs: each with options of its own, ε and
    norm with those of all."""
    if preset["run"] == UNTIL_FOOLED and "attack" in preset["options"]:
        own = {name: value for name, value in preset["options"].items() if name != "attack"}
        function = _with_options(f"purity.attacks:{preset['options']['attack']}")
        _function(project, function, {"options": own}, key.removesuffix(".options"), "options.attack", 5)
    if preset["run"] != "purity.attacks:worst_of":
        return
    options = preset["options"]
    common = {name: options[name] for name in ("epsilon", "norm") if name in options}
    for i, part in enumerate(options["attacks"]):
        for name in ("epsilon", "norm"):
            if name in part:
                _refuse(f"{key}.attacks.{i}.{name}", "worst_of gives all its attacks its own")
        own = {name: value for name, value in part.items() if name != "run"}
        function = _with_options(f"purity.attacks:{part['run']}")
        _function(project, function, {"options": common | own}, f"{key}.attacks.{i}", "run", 5)


def _network_preset(config: dict, project: Project, key: str, preset: dict) -> None:
    _function(project, preset["network"], preset, key, "network", 0)
    if preset["network"] == NORMALISED:
        options = preset["options"]
        _function(project, options["call"], {"options": options.get("options", {})}, f"{key}.options", "call", 0)
    _named(preset.get("training", {}).get("dataset"), config["datasets"], f"{key}.training.dataset", "dataset")
    weights = preset.get("weights")
    if isinstance(weights, str):
        path = Path(weights).expanduser()
        if path.resolve().is_relative_to(Path("results").resolve()):
            _refuse(
                f"{key}.weights",
                f"{weights} is a result, which a run may make anew: name the model that it is of, or copy it elsewhere",
            )
        if not path.is_file() and not (path / "config.json").is_file():
            _refuse(f"{key}.weights", f"there is no file {weights}, nor a folder in diffusers' format")


def _fine_tuning(config: dict, name: str, chosen: dict) -> None:
    key = f"diffusions.{name}.fine_tuning"
    _named(chosen["of"], config["diffusions"], f"{key}.of", "diffusion model")
    _named(chosen["classifier"], config["classifiers"], f"{key}.classifier", "classifier")
    _named(chosen["dataset"], config["datasets"], f"{key}.dataset", "dataset")
    seen, start = {name}, chosen["of"]
    while start in config["diffusions"] and "fine_tuning" in config["diffusions"][start]:
        if start in seen:
            _refuse(f"{key}.of", f"from '{chosen['of']}' on, fine-tunings go in a circle")
        seen.add(start)
        start = config["diffusions"][start]["fine_tuning"]["of"]


def _experiment(config: dict, key: str, experiment: dict) -> None:
    _named(experiment["dataset"], config["datasets"], f"{key}.dataset", "dataset")
    _named(experiment["classifier"], config["classifiers"], f"{key}.classifier", "classifier")
    _named(experiment.get("features"), config.get("features", {}), f"{key}.features", "feature network")
    attacked = experiment["attacked"]
    for purifier, attacks in attacked.items():
        _named(purifier, config["purifiers"], f"{key}.attacked.{purifier}", "purifier")
        for attack, knowledge in attacks.items():
            _named(attack, config["attacks"], f"{key}.attacked.{purifier}.{attack}", "attack")
            if config["attacks"][attack].get("blind") and knowledge != ["none"]:
                _refuse(f"{key}.attacked.{purifier}.{attack}", "a blind attack knows nothing: write [none]")
            if config["attacks"][attack]["run"] == UNTIL_FOOLED and knowledge != ["all"]:
                _refuse(f"{key}.attacked.{purifier}.{attack}", "until_fooled has to know all of ξ: write [all]")
    gallery = experiment["gallery"]
    if config["attacks"].get(gallery["attack"], {}).get("blind"):
        _refuse(f"{key}.gallery.attack", f"'{gallery['attack']}' is blind; show an attack on a purifier")
    if gallery["images"] > experiment["images"]:
        _refuse(f"{key}.gallery.images", f"more than the {experiment['images']} images of the experiment")
    _named(gallery["purifier"], attacked, f"{key}.gallery.purifier", f"purifier of {key}.attacked")
    if gallery["knowledge"] not in attacked[gallery["purifier"]].get(gallery["attack"], []):
        _refuse(f"{key}.gallery", f"{gallery['attack']} with knowledge {gallery['knowledge']} is not attacked above")
    for part, check_part in PARTS.items():
        if experiment.get(part):
            check_part(config, f"{key}.{part}", experiment, experiment[part])


def _ball(config: dict, key: str, experiment: dict, part: dict) -> None:
    _purifiers_and_images(key, experiment, part)
    check_epsilon(part["epsilon"], "linf", f"{key}.epsilon")


def _sweep(config: dict, key: str, experiment: dict, part: dict) -> None:
    _attack(config, f"{key}.attack", part["attack"], blind=False)
    _attack(config, f"{key}.noise", part["noise"], blind=True)
    if "protocol" in part:
        _attack(config, f"{key}.protocol", part["protocol"], blind=False)
        if part["protocol"] == part["attack"]:
            _refuse(f"{key}.protocol", "it is the sweep's attack; leave one out or name another")
    for name in part["purifiers"]:
        _named(name, config["purifiers"], f"{key}.purifiers", "purifier")
        if "t" not in config["purifiers"][name].get("options", {}):
            _refuse(f"{key}.purifiers", f"'{name}' has no option t to vary")
    known = {name for name, attacks in experiment["attacked"].items() if "all" in attacks.get(part["attack"], [])}
    own = {name: config["purifiers"][name]["options"]["t"] for name in part["purifiers"]}
    points = known | {name if t == own[name] else (name, t) for name in part["purifiers"] for t in part["attacked"]}
    if len(points) < 3:
        _refuse(f"{key}.attacked", "a law through purifiers and t needs at least three of them")


def _sensitivity(config: dict, key: str, experiment: dict, part: dict) -> None:
    if not experiment.get("sweep"):
        _refuse(key, "it is under the attack and the noise of the sweep; give a sweep too")
    for variant, purifier in part["purifiers"].items():
        for name in (variant, purifier):
            _named(name, config["purifiers"], f"{key}.purifiers.{variant}", "purifier")
        if variant == purifier:
            _refuse(f"{key}.purifiers.{variant}", "it would be compared with itself")


def _budget(config: dict, key: str, experiment: dict, part: dict) -> None:
    for name in part["attacks"]:
        _attack(config, f"{key}.attacks", name, blind=False)
        if "epsilon" not in config["attacks"][name].get("options", {}):
            _refuse(f"{key}.attacks", f"'{name}' has no option epsilon to scale")
    if not experiment.get("sweep"):
        _refuse(key, "it is drawn beside the law; give a sweep too")


def _jacobian(config: dict, key: str, experiment: dict, part: dict) -> None:
    _purifiers_and_images(key, experiment, part)
    _attack(config, f"{key}.attack", part["attack"], blind=False)


def _pca(config: dict, key: str, experiment: dict, part: dict) -> None:
    _purifiers_and_images(key, experiment, part)
    check_epsilon(part["epsilon"], "linf", f"{key}.epsilon")


def _samples(config: dict, key: str, experiment: dict, part: dict) -> None:
    _purifiers_and_images(key, experiment, part)
    for name in part["purifiers"]:
        preset = config["purifiers"][name]
        if not ("diffusion" in preset and {"t", "steps"} <= preset["options"].keys()):
            _refuse(f"{key}.purifiers", f"'{name}' has no diffusion model with options t and steps to sample from")
    if part["steps"] > FULL:
        _refuse(f"{key}.steps", f"{part['steps']} steps cannot be kept of t = {FULL}")


def _search(config: dict, key: str, experiment: dict, part: dict) -> None:
    _named(part["diffusion"], config["diffusions"], f"{key}.diffusion", "diffusion model")
    _attack(config, f"{key}.noise", part["noise"], blind=True)
    for role in ("attack", "eot"):
        _attack(config, f"{key}.{role}", part[role], blind=False)
    if not experiment.get("sweep"):
        _refuse(key, "it predicts by the law; give a sweep too")
    if part["jacobians"] > experiment["images"]:
        _refuse(f"{key}.jacobians", f"more than the {experiment['images']} images of the experiment")
    for name, said in part["space"].items():
        if isinstance(said, dict) and said["low"] >= said["high"]:
            _refuse(f"{key}.space.{name}", f"low {said['low']} is not below high {said['high']}")


def _swept(config: dict, key: str, experiment: dict, part: dict) -> None:
    """A part that goes by the sweep, at some of its strengths."""
    sweep = experiment.get("sweep")
    if not sweep:
        _refuse(key, "it goes by purifiers and the attack of the sweep; give a sweep too")
    for t in part["t"]:
        if t not in sweep["attacked"]:
            _refuse(f"{key}.t", f"t = {t} is none of those that the sweep attacks")


def _third_regime(config: dict, key: str, experiment: dict, part: dict) -> None:
    _swept(config, key, experiment, part)
    attack = experiment["sweep"]["attack"]
    if "epsilon" not in config["attacks"][attack].get("options", {}):
        _refuse(f"{key}.scales", f"the sweep's attack '{attack}' has no option epsilon to scale")
    for name in part["attacks"]:
        _attack(config, f"{key}.attacks", name, blind=False)
    if len(set(experiment["sweep"]["attacked"]) - set(part["t"])) * len(experiment["sweep"]["purifiers"]) < 3:
        _refuse(f"{key}.t", "a law through purifiers at the other t of the sweep needs at least three of them")


def _elsewhere(config: dict, key: str, experiment: dict, part: dict) -> None:
    _swept(config, key, experiment, part)
    _named(part["classifier"], config["classifiers"], f"{key}.classifier", "classifier")
    if part["classifier"] == experiment["classifier"]:
        _refuse(f"{key}.classifier", "it is the experiment's own; the law is to be tried on another one")


def _space(project: Project, key: str, part: dict) -> None:
    """Options of the family's members, and of how they are judged."""
    signatures = [project.signature(f"purity.family:{function}") for function in ("member", "defended")]
    options = {argument.arg for said in signatures if said for argument in said.kwonlyargs}
    for name in part["space"]:
        if name not in options:
            _refuse(f"{key}.space.{name}", "purity.family has no such option of its members")


def _fuzzy(config: dict, key: str, experiment: dict, part: dict) -> None:
    _purifiers_and_images(key, experiment, part)
    for name in part["attacks"]:
        _attack(config, f"{key}.attacks", name)
    for purifier in part["purifiers"]:
        if not any("none" in experiment["attacked"][purifier].get(attack, []) for attack in part["attacks"]):
            _refuse(f"{key}.attacks", f"none of them is made for {purifier} with knowledge none")


def _cap(config: dict, key: str, experiment: dict, part: dict) -> None:
    _attack(config, f"{key}.attack", part["attack"], blind=False)
    _attacked_with(key, experiment, part["purifier"], part["attack"], "none")


def _margins(config: dict, key: str, experiment: dict, part: dict) -> None:
    _attack(config, f"{key}.attack", part["attack"], blind=False)
    for name in part["purifiers"]:
        _attacked_with(key, experiment, name, part["attack"], "all")


def _dw_box(config: dict, key: str, experiment: dict, part: dict) -> None:
    for name in part["attacks"]:
        _with_eot(config, f"{key}.attacks", name)
    for name in part["purifiers"]:
        _named(name, config["purifiers"], f"{key}.purifiers", "purifier")


def _paths(config: dict, key: str, experiment: dict, part: dict) -> None:
    _with_eot(config, f"{key}.attack", part["attack"])
    for name in part["purifiers"]:
        _named(name, config["purifiers"], f"{key}.purifiers", "purifier")
    if part["images"] > experiment["images"]:
        _refuse(f"{key}.images", f"more than the {experiment['images']} images of the experiment")


def _strength(config: dict, key: str, experiment: dict, part: dict) -> None:
    for name, knowledges in part["purifiers"].items():
        _named(name, experiment["attacked"], f"{key}.purifiers", "purifier under `attacked`")
        for knowledge in knowledges:
            if knowledge not in part["beyond"]:
                _refuse(
                    f"{key}.beyond", f"it names no attack for knowledge {knowledge}, which {name} is to be judged for"
                )
    for knowledge, name in part["beyond"].items():
        _attack(config, f"{key}.beyond.{knowledge}", name, blind=False)
    for i, grid in enumerate(part.get("grids", [])):
        _named(grid["purifier"], experiment["attacked"], f"{key}.grids.{i}.purifier", "purifier under `attacked`")
        _attack(config, f"{key}.grids.{i}.attack", grid["attack"], blind=False)
        if len({len(values) for values in grid["vary"].values()}) > 1:
            _refuse(f"{key}.grids.{i}.vary", "options that vary together need as many values each")


def _variants(config: dict, project: Project, key: str, grid: dict) -> None:
    """Each variant of an attack is one that a preset could be."""
    preset, vary = config["attacks"][grid["attack"]], grid["vary"]
    for values in zip(*vary.values(), strict=True):
        said = grid.get("set", {}) | dict(zip(vary, values, strict=True))
        variant = {**preset, "options": {**preset.get("options", {}), **said}}
        _function(project, _with_options(preset["run"]), variant, key, "vary", 5)
        for name, value in said.items():
            if name == "epsilon":
                check_epsilon(value, variant["options"].get("norm", "linf"), f"{key}.vary.epsilon")


def _addt(config: dict, key: str, experiment: dict, part: dict) -> None:
    for name in part["attacks"]:
        _with_eot(config, f"{key}.attacks", name)
    groups = {"purifiers": part["purifiers"], "ablations": part.get("ablations", {})}
    for name, pairs in part.get("again", {}).items():
        _named(name, part["purifiers"], f"{key}.again.{name}", f"purifier of {key}.purifiers")
        groups[f"again.{name}"] = pairs
    seen: dict[str, str] = {}
    for group, pairs in groups.items():
        for tuned, vanilla in pairs.items():
            _named(tuned, config["purifiers"], f"{key}.{group}.{tuned}", "purifier")
            _named(vanilla, config["purifiers"], f"{key}.{group}.{tuned}", "purifier")
            if tuned == vanilla:
                _refuse(f"{key}.{group}.{tuned}", "it would be compared with itself")
            if tuned in seen:
                _refuse(f"{key}.{group}.{tuned}", f"it is under `{seen[tuned]}` too")
            seen[tuned] = group


PARTS = {
    "ball": _ball,
    "sweep": _sweep,
    "sensitivity": _sensitivity,
    "budget": _budget,
    "jacobian": _jacobian,
    "pca": _pca,
    "samples": _samples,
    "search": _search,
    "third-regime": _third_regime,
    "elsewhere": _elsewhere,
    "fuzzy": _fuzzy,
    "cap": _cap,
    "margins": _margins,
    "dw-box": _dw_box,
    "paths": _paths,
    "addt": _addt,
    "strength": _strength,
}


def _with_eot(config: dict, key: str, name: str) -> None:
    """An attack that is no blind one and has an EOT variant, which says `eot_of` it."""
    _attack(config, key, name, blind=False)
    if not any(preset.get("eot_of") == name for preset in config["attacks"].values()):
        _refuse(key, f"'{name}' has no EOT variant: no attack says `eot_of: {name}`")


def _attack(config: dict, key: str, name: str, blind: bool | None = None) -> None:
    _named(name, config["attacks"], key, "attack")
    if blind is not None and config["attacks"][name].get("blind", False) != blind:
        _refuse(key, f"'{name}' is {'not ' if blind else ''}blind")


def _purifiers_and_images(key: str, experiment: dict, part: dict) -> None:
    for name in part["purifiers"]:
        _named(name, experiment["attacked"], f"{key}.purifiers", "purifier under `attacked`")
    if part.get("images", 0) > experiment["images"]:
        _refuse(f"{key}.images", f"more than the {experiment['images']} images of the experiment")


def _attacked_with(key: str, experiment: dict, purifier: str, attack: str, knowledge: str) -> None:
    _named(purifier, experiment["attacked"], key, "purifier under `attacked`")
    if knowledge not in experiment["attacked"][purifier].get(attack, []):
        _refuse(key, f"{attack} with knowledge {knowledge} is not made for {purifier} under `attacked`")


# Studies of the user's own.


def check_studies(config: dict, ours: Iterable[Study], project: Project) -> None:
    """ValueError 'config: studies.<name>.…: what is wrong' for the first mistake in a study that the config brings.

    config: one that `check` accepts. ours: the studies of the package, whose names are taken.
    """
    known = {study.name: study for study in ours}
    for study in own(config):
        key = f"studies.{study.name}"
        _new(key, study.name, known, "study")
        _tables(project, key, study, known.values())
        _figures(project, key, study, known.values())
        if study.evidence:
            _handed(project, study.evidence, f"{key}.evidence", [*study.reads, *map(_argument, study.tables)])
            try:
                quantities(study, project)
            except ValueError as error:
                _refuse(f"{key}.evidence", str(error).removeprefix(f"{key}.evidence: "))
        for field in ("claims", "caption"):
            path = getattr(study, field)
            if path is not None and not Path(path).is_file():
                _refuse(f"{key}.{field}", f"there is no file {path}")
        known[study.name] = study


def _tables(project: Project, key: str, study: Study, others: Iterable[Study]) -> None:
    for argument, kind in study.reads.items():
        if kind not in RECORDS:
            _refuse(f"{key}.reads.{argument}", f"there are no records '{kind}'; there are {', '.join(RECORDS)}")
    taken = {table for other in others for table in other.tables}
    handed = list(study.reads)
    for table, function in study.tables.items():
        _new(f"{key}.tables.{table}", table, taken, "table")
        if table == "findings" or table.startswith("comparison-"):
            _refuse(f"{key}.tables.{table}", "this name is taken by the workflow itself")
        if _argument(table) in study.reads:
            _refuse(f"{key}.tables.{table}", "what the study reads is called so")
        _handed(project, function, f"{key}.tables.{table}", handed)
        handed.append(_argument(table))


def _figures(project: Project, key: str, study: Study, others: Iterable[Study]) -> None:
    others = list(others)
    taken = {figure for other in others for figure in other.figures} | {"gallery"}
    makers = {table: other for other in [*others, study] for table in other.tables}
    for name, figure in study.figures.items():
        _new(f"{key}.figures.{name}", name, taken, "figure")
        for table in figure.shows:
            _named(table, makers, f"{key}.figures.{name}.shows", "table")
            for part in makers[table].parts() - study.parts():
                _refuse(f"{key}.figures.{name}.shows", f"'{table}' is made of {part}, which the study does not read")
        given = len(figure.shows)
        _function(project, figure.draw, {}, f"{key}.figures.{name}", "draw", given, giving="shows")


def _new(key: str, name: str, taken: Iterable[str], kind: str) -> None:
    """Names that differ in `-` and `_` only are one, as functions and rules are called by them."""
    if _argument(name) in map(_argument, taken):
        _refuse(key, f"there is a {kind} of this name already")


def _argument(name: str) -> str:
    return name.replace("-", "_")


def _handed(project: Project, function: str, key: str, handed: list[str]) -> None:
    """The function exists, and needs no argument but what is handed over by name."""
    arguments = _signature(project, function, key)
    if arguments is None:
        return  # installed elsewhere, or no plain function: found out when it is imported
    named = [a.arg for a in (*arguments.posonlyargs, *arguments.args) if a.arg != "self"]
    required = named[: len(named) - len(arguments.defaults)]
    required += [a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is None]
    for name in required:
        if name not in handed:
            _refuse(key, f"{function} needs '{name}', which is neither read nor a table before it")


# Counts that decide how long a purifier or an attack takes, and what is left of them in a small run.
_SMALL_TRAINING = {"training": {"steps": 2, "epochs": 1}, "fine_tuning": {"steps": 2, "batch": 4}}
_SMALL_PARTS = {
    "ball": {"images": 2, "points": 3, "draws": 3},
    "jacobian": {"images": 1},
    "pca": {"images": 1, "points": 12},
    "samples": {"images": 4, "draws": 2, "steps": 2},
    "search": {"candidates": 4, "judgings": 2, "jacobians": 1},
    "fuzzy": {"judgings": 3},
    "cap": {"points": 12, "slices": 1},
    "paths": {"images": 2, "repeats": 2, "points": 3},
    "gallery": {"images": 3},
}


def left_out(config: dict) -> dict:
    """The config without what its experiments say null for: a config that adds to another one leaves things out so."""

    def without(value: object) -> object:
        if isinstance(value, dict):
            return {key: without(one) for key, one in value.items() if one is not None}
        return value

    experiments = config.get("experiments")
    if not isinstance(experiments, dict):
        return config
    return config | {"experiments": {name: without(experiment) for name, experiment in experiments.items()}}


def small(config: dict) -> dict:
    """The same experiments, named `<name>-small`, with a few images, steps, draws and one seed: does everything run?

    Published networks, strengths t and budgets stay as they are. Networks that are trained or fine-tuned here are
    `<name>-small` too, trained for a moment: one that was trained for hours is left alone. Its numbers mean nothing.
    """
    for name in config["experiments"]:
        if f"{name}-small" in config["experiments"]:
            _refuse(f"experiments.{name}-small", f"a small run of '{name}' is called so; take another name")
    shrunk = copy.deepcopy(config)
    _shrink_training(shrunk)
    for group in ("purifiers", "attacks"):
        for preset in shrunk[group].values():
            if "options" in preset:
                preset["options"] = small_options(preset["options"])
    shrunk["run"] = [f"{name}-small" for name in config["run"]]
    shrunk["experiments"] = {f"{name}-small": experiment for name, experiment in shrunk["experiments"].items()}
    for experiment in shrunk["experiments"].values():
        _shrink(experiment, {"images": 4, "fresh_draws": 1})
        experiment["seeds"] = experiment["seeds"][:1]
        experiment.pop("reference", None)
        for part, counts in _SMALL_PARTS.items():
            _shrink(experiment.get(part) or {}, counts)
        _shrink((experiment.get("search") or {}).get("verify", {}), {"front": 1, "other": 1, "poor": 1})
        for part in ("dw-box", "addt", "sensitivity", "strength", "search", "third-regime", "elsewhere"):
            for key in {"seeds", "protocol_seeds"} & (experiment.get(part) or {}).keys():
                experiment[part][key] = experiment[part][key][:1]
        for grid in (experiment.get("strength") or {}).get("grids", []):
            for option, values in grid["vary"].items():
                grid["vary"][option] = [_at_most(option, value) for value in values[:2]]
        if experiment.get("sweep"):
            _shrink_sweep(experiment)
        if experiment.get("budget"):
            experiment["budget"]["scales"] = experiment["budget"]["scales"][:3]
    return shrunk


def _shrink_sweep(experiment: dict) -> None:
    """Three strengths, and one of the third regime: a law is still to go through the others."""
    sweep, regime, elsewhere = experiment["sweep"], experiment.get("third-regime"), experiment.get("elsewhere")
    long = regime["t"] if regime else []
    sweep["attacked"] = [t for t in sweep["attacked"] if t not in long][:3] + long[:1]
    sweep["clean"] = sweep["clean"][:1]
    if regime:
        regime |= {"t": long[:1], "scales": regime["scales"][:1]}
    if elsewhere:
        elsewhere["t"] = sweep["attacked"][:1]


def _shrink_training(config: dict) -> None:
    """Networks made here get another name wherever they are named, and next to no training."""
    made = {
        kind: {name for name, preset in config[kind].items() if {"training", "fine_tuning"} & preset.keys()}
        for kind in ("classifiers", "diffusions")
    }
    for kind, names in made.items():
        config[kind] = {_small_name(name, names): preset for name, preset in config[kind].items()}
        for preset in config[kind].values():
            for part, counts in _SMALL_TRAINING.items():
                _shrink(preset.get(part, {}), counts)
    for preset in config["diffusions"].values():
        if said := preset.get("fine_tuning"):
            said["of"] = _small_name(said["of"], made["diffusions"])
            said["classifier"] = _small_name(said["classifier"], made["classifiers"])
    for preset in config["purifiers"].values():
        if "diffusion" in preset:
            preset["diffusion"] = _small_name(preset["diffusion"], made["diffusions"])
    for experiment in config["experiments"].values():
        experiment["classifier"] = _small_name(experiment["classifier"], made["classifiers"])
        if search := experiment.get("search"):
            search["diffusion"] = _small_name(search["diffusion"], made["diffusions"])
        if elsewhere := experiment.get("elsewhere"):
            elsewhere["classifier"] = _small_name(elsewhere["classifier"], made["classifiers"])


def _at_most(option: str, value: object) -> object:
    return small_options({option: value})[option]


def _small_name(name: str, among: set[str]) -> str:
    return f"{name}-small" if name in among else name


def _shrink(values: dict, at_most: dict[str, int]) -> None:
    for key, count in at_most.items():
        if isinstance(values.get(key), int):
            values[key] = min(values[key], count)


def same(presets: dict[str, dict], wanted: dict[str, dict]) -> list[str]:
    """Names among `wanted` whose preset has every value that is wanted of it, as in config/reference/settings.yaml.

    A preset is {make or run: function, options: {…}}; what is wanted of both stands side by side.
    """
    return [
        name
        for name, values in wanted.items()
        if name in presets and agrees({**presets[name].get("options", {}), **presets[name]}, values)
    ]


def agrees(found: dict, wanted: dict) -> bool:
    """Every value wanted is there, and what is wanted to be null is not; numbers to a relative 1e-6."""
    return all(
        found.get(key) is None if value is None else key in found and _equal(found[key], value)
        for key, value in wanted.items()
    )


def _equal(a: object, b: object) -> bool:
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=1e-6)
    return a == b


def _named(name: str | None, among: dict, key: str, kind: str) -> None:
    if name is not None and name not in among:
        _refuse(key, f"there is no {kind} '{name}'{_meant(name, among)}; there are {', '.join(among)}")


def _function(
    project: Project, function: str, preset: dict, key: str, field: str, given: int, giving: str | None = None
) -> None:
    """The function that `field` names exists and takes `given` arguments (due to `giving`) and the options by name."""
    options = preset.get("options", {})
    arguments = _signature(project, function, f"{key}.{field}")
    if arguments is None:
        return  # installed elsewhere, or no plain function: found out when it is imported
    positional = [a.arg for a in (*arguments.posonlyargs, *arguments.args) if a.arg != "self"]
    optional = positional[len(positional) - len(arguments.defaults) :] if arguments.defaults else []
    keywords = [a.arg for a in arguments.kwonlyargs]
    if (given > len(positional) and arguments.vararg is None) or set(positional[:given]) & set(options):
        _refuse(f"{key}.{giving or field}", f"{function} does not take the {given} arguments it would be given first")
    required = [a for a in positional[given:] if a not in optional]
    required += [a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is None]
    listed = (*positional[given:], *keywords)
    for name in options:
        if name not in listed and arguments.kwarg is None:
            known = ", ".join(listed) or "none"
            _refuse(f"{key}.options.{name}", f"{function} has no such option{_meant(name, listed)}; it has {known}")
    for name in required:
        if name not in options:
            _refuse(f"{key}.options", f"'{name}' is missing, which {function} needs")


def _signature(project: Project, function: str, key: str) -> ast.arguments | None:
    """Of a function of anybody but Python itself: nothing of `os` or `shutil` purifies an image."""
    if standard(function):
        raise broken(f"config: {key}: {function} is of Python's standard library, which has no parts", "code")
    try:
        return project.signature(function)
    except ValueError as error:
        _refuse(key, str(error))


def _refuse_what_yaml_makes_of_slips(value: object, path: tuple[str, ...]) -> None:
    """Keys that are no text (`on:`, `1:`) and numbers that are none (.nan, .inf)."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                _refuse(".".join((*path, str(key))), "a key must be text; put it in quotes")
            _refuse_what_yaml_makes_of_slips(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            _refuse_what_yaml_makes_of_slips(inner, (*path, str(i)))
    elif isinstance(value, float) and not math.isfinite(value):
        _refuse(".".join(path), f"{value} is not a number")


def _meant(name: str, known: Iterable[str]) -> str:
    """`, did you mean 'epsilon'`, where one of those that there are is near."""
    near = difflib.get_close_matches(name, list(known), 1, 0.7)
    return f", did you mean '{near[0]}'" if near else ""


def _line(error: jsonschema.ValidationError) -> str:
    path = [str(p) for p in error.absolute_path]
    message = error.message.splitlines()[0]
    schema = error.schema if isinstance(error.schema, dict) else {}
    given, known = error.instance, [*schema.get("properties", ())]
    known += cast(list, error.validator_value) if error.validator == "required" else []
    unknown = sorted(set(given) - set(known)) if isinstance(given, dict) else []
    if error.validator == "additionalProperties":
        path, message = [*path, unknown[0]], f"there is no such key{_meant(unknown[0], known)}"
    elif error.validator == "required" and (slips := [name for name in unknown if _meant(name, known)]):
        path, message = [*path, slips[0]], f"there is no such key{_meant(slips[0], known)}"
    elif error.validator == "pattern" and "]*:[" in str(error.validator_value):
        message = f"{error.instance!r} is no function as `package.module:function`"
    elif error.validator == "pattern" and str(error.validator_value).endswith("\\Z"):
        return str(broken(f"config: {'.'.join(path)}: {error.instance!r} is no name", "names"))
    elif error.validator in ("anyOf", "oneOf") and (wanted := list(_alternatives(error))):
        message = f"{error.instance!r} is neither {' nor '.join(wanted)}"
    elif error.validator == "not":
        message = "give either `training` or `weights`, not both"
    return f"config: {'.'.join(path) or '(top)'}: {message}"


def _alternatives(error: jsonschema.ValidationError) -> Iterable[str]:
    """What would do, where that can be said in a few words."""
    for schema in cast(list, error.validator_value):
        if "const" in schema or "enum" in schema:
            yield " nor ".join(map(repr, schema.get("enum", [schema.get("const")])))
        elif schema.get("type") in ("integer", "number"):
            kind = "a whole number" if schema["type"] == "integer" else "a number"
            yield kind + (f" from {schema['minimum']}" if "minimum" in schema else "")


def _refuse(key: str, message: str) -> NoReturn:
    raise ValueError(f"config: {key}: {message}")
