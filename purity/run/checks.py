"""What `snakemake check` tries of an experiment: each of its parts, with few steps. Nothing here loads torch."""

from collections.abc import Iterator

from purity.run.experiment import CLEAN, GROUPS, Cell, Experiment
from purity.run.presets import small_options

FEW = 6  # images of a training split that are looked at


def spec(e: Experiment) -> dict:
    """The data set, networks, purifiers and attacks of an experiment, and which attack is made on what.

    A network has `weights`, its checkpoint if it has one, and whether a rule makes that (`made`): it may not be there.
    Purifiers at other strengths than their own are not tried by themselves.
    """
    presets, said = e.presets, e.said
    attacked: dict[str, list[str]] = {presets.base(p): [] for p in _purifiers(e)}
    for cell in _cells(e):
        listed = attacked.setdefault(presets.base(cell.purifier), [])
        attack = cell.attack.partition("@")[0]  # variants of one are tried as itself
        if attack not in ("clean", *listed):
            listed.append(attack)
    next(iter(attacked.values())).extend(_alone(e, attacked))
    names = dict.fromkeys(attack for listed in attacked.values() for attack in listed)
    return {
        "dataset": {"name": said["dataset"], **presets.dataset(said["dataset"]), "images": said["images"]},
        "training": list(_training(e)),
        "noise": {"seed": e.seeds[0], "seeding": said["seeding"]},
        "classifier": _network(e, "classifiers", said["classifier"]),
        "features": _network(e, "features", said["features"]) if "features" in said else None,
        "purifiers": {name: _purifier(e, name) for name in attacked},
        "attacks": {name: _attack(e, name) for name in names},
        "attacked": attacked,
    }


def _cells(e: Experiment) -> Iterator[Cell]:
    for group in GROUPS:
        yield from e.cells(group)
    if e.part("sweep"):
        yield from e.swept_attacks()
        yield from (Cell(purifier, e.part("sweep")["noise"], CLEAN[1]) for purifier in e.strengths("attacked", "clean"))
    if paths := e.part("paths"):
        for attack in (paths["attack"], e.presets.eot(paths["attack"])):
            yield from (Cell(purifier, attack, "none") for purifier in paths["purifiers"])


def _alone(e: Experiment, attacked: dict[str, list[str]]) -> list[str]:
    """Attacks on the classifier alone that no purifier meets."""
    met = {attack for listed in attacked.values() for attack in listed}
    return [attack for attack in e.part("budget").get("attacks", []) if attack not in met]


def _training(e: Experiment) -> Iterator[dict]:
    """Data sets that networks are trained on here, of each a few images."""
    presets, named = e.presets, dict[str, None]()
    for kind, name in e.models():
        said = e.config[kind][name]
        for part in ("training", "fine_tuning"):
            if part in said:
                named[said[part]["dataset"]] = None
    yield from ({"name": name, **presets.dataset(name), "images": FEW} for name in named)


def _purifiers(e: Experiment) -> Iterator[str]:
    yield from (cell.purifier for cell in _cells(e))
    for part in ("ball", "jacobian", "pca"):
        yield from e.part(part).get("purifiers", [])


def _network(e: Experiment, kind: str, name: str) -> dict:
    made = e.presets.made_here(kind, name) or isinstance(e.config[kind][name].get("weights"), dict)
    return {"name": name, **e.presets.model(kind, name), "weights": e.presets.weights(kind, name), "made": made}


def _purifier(e: Experiment, name: str) -> dict:
    preset, diffusion = e.presets.purifier(name), e.presets.diffusion(name)
    network = _network(e, "diffusions", diffusion) if diffusion else None
    return preset | {"options": small_options(preset["options"]), "diffusion": network}


def _attack(e: Experiment, name: str) -> dict:
    preset, said = e.presets.attack(name), e.presets.attack_preset(name)
    roles = {"blind": not e.presets.looks(name), "batchwise": bool(said.get("batchwise"))}
    return preset | {"options": small_options(preset["options"])} | roles
