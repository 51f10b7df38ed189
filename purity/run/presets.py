"""What a config says of data, networks, purifiers and attacks, as the specs that results depend on.

Presets are sorted, so that the order of keys changes nothing.
"""

import json
from collections.abc import Iterator
from pathlib import Path


def ordered(value):
    """A value with the keys of its dicts sorted, at any depth."""
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    return value


def functions(*specs: dict | None) -> Iterator[str]:
    """The functions that specs name, as roots of a code digest."""
    for spec in filter(None, specs):
        yield from (spec[key] for key in ("stage", "load", "network", "make", "run", "draw") if key in spec)
        if spec.get("make") == INTERCEPTED or spec.get("network") == NORMALISED:
            yield spec["options"]["call"]
        yield from functions(*(spec[key] for key in _NESTED if isinstance(spec.get(key), dict)))


_NESTED = ("attack", "eot", "classifier", "purifier", "features", "diffusion", "dataset")


# These make a purifier, and a classifier, of the code that their option `call` names.
INTERCEPTED, NORMALISED = "purity.intercepted:purifier", "purity.classifiers:normalised"

FULL = 1000  # the strength at which nothing of an image is left: T of Ho et al. 2020

# What the package's own purifiers are; others say it by `process`.
PROCESSES = {
    "purity.purifiers:ddpm": "ddpm",
    "purity.purifiers:reverse": "reverse",
    "purity.purifiers:ddim": "ddim",
    "purity.purifiers:one_step": "one-step",
}


def _written(value: str | float | bool) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _read(value: str) -> str | float | bool:
    try:
        return json.loads(value)
    except ValueError:
        return value


# Options that say how often something is done, and how often is enough to see that it can be.
_FEW = {
    "steps": 2,
    "draws": 2,
    "queries": 20,
    "targets": 1,
    "judgings": 2,
    "iterations": 2,
    "nb_iter": 2,
    "restarts": 2,
}


def small_options(options: dict) -> dict:
    """The same with few steps and draws, those of attacks inside them too; strengths and budgets stay."""
    shrunk = {key: min(value, _FEW[key]) if _counts(key, value) else value for key, value in options.items()}
    if isinstance(inside := options.get("attacks"), list):
        shrunk["attacks"] = [small_options(one) if isinstance(one, dict) else one for one in inside]
    return shrunk


def _counts(key: str, value: object) -> bool:
    return key in _FEW and isinstance(value, int) and not isinstance(value, bool)


class Presets:
    """The presets of a checked config."""

    def __init__(self, config: dict):
        self.config = config
        self.blind = [name for name, preset in config["attacks"].items() if preset.get("blind")]
        self.protocol = {name for name, preset in config["attacks"].items() if preset.get("protocol")}
        self.sighted = [name for name in config["attacks"] if name not in self.blind]
        self.fine_tuned = [name for name, preset in config["diffusions"].items() if "fine_tuning" in preset]

    def dataset(self, name: str) -> dict:
        chosen = self.config["datasets"][name]
        return {"load": chosen["load"], "options": ordered(chosen.get("options", {}))}

    def model(self, kind: str, name: str) -> dict:
        """kind: classifiers, diffusions, features. A fine-tuned one is the same network with other weights."""
        chosen = self.config[kind][name]
        if "fine_tuning" in chosen:
            return self.model(kind, chosen["fine_tuning"]["of"])
        engine = {"engine": ordered(chosen["engine"])} if "engine" in chosen else {}
        return self.exact(kind, name) | engine

    def exact(self, kind: str, name: str) -> dict:
        """The same without its engine: training is exact."""
        chosen = self.config[kind][name]
        if "fine_tuning" in chosen:
            return self.exact(kind, chosen["fine_tuning"]["of"])
        return {"network": chosen["network"], "options": ordered(chosen.get("options", {}))}

    def purifier(self, name: str) -> dict:
        """name: of a preset, or <preset>@t=<t>."""
        chosen, diffusion = self.purifier_preset(name), self.diffusion(name)
        return {
            "name": name,
            "make": chosen["make"],
            "options": ordered(chosen["options"]),
            "diffusion": self.model("diffusions", diffusion) if diffusion else None,
        }

    def sampler(self, name: str, steps: int) -> dict:
        """A purifier at full strength, with so many evaluations: it makes samples of its diffusion model."""
        made = self.purifier(name)
        return made | {"options": made["options"] | {"t": FULL, "steps": steps}}

    def purifier_preset(self, name: str) -> dict:
        """A purifier's preset; `<purifier>@t=<t>` is the same at another strength. One that keeps all t evaluations
        keeps all of the other t too, one that keeps fewer keeps as many."""
        chosen, t = self.config["purifiers"][self.base(name)], name.partition("@t=")[2]
        options = dict(chosen.get("options", {}))
        if t:
            whole = options.get("steps") == options["t"]
            options["t"] = int(t)
            if "steps" in options:
                options["steps"] = int(t) if whole else min(options["steps"], int(t))
        return {**chosen, "options": options}

    def difference(self, variant: str, purifier: str) -> str:
        """In what a purifier's preset differs from another one: the options, the diffusion model, or what makes it."""
        one, other = self.purifier_preset(variant), self.purifier_preset(purifier)
        if one["make"] != other["make"]:
            return one["make"].partition(":")[2].replace("_", "-")
        changed = {key: value for key, value in one["options"].items() if other["options"].get(key) != value}
        if one.get("diffusion") != other.get("diffusion"):
            changed["diffusion"] = one.get("diffusion")
        return ", ".join(f"{key} {value}".lower() for key, value in changed.items()) or "nothing"

    @staticmethod
    def base(name: str) -> str:
        """The preset behind the name of a purifier at some strength, or of a variant of an attack."""
        return name.partition("@")[0]

    def at(self, purifier: str, t: int) -> str:
        """The name of a purifier at strength t; its own if it has that strength."""
        return purifier if self.config["purifiers"][purifier]["options"]["t"] == t else f"{purifier}@t={t}"

    def diffusion(self, purifier: str) -> str | None:
        """The diffusion model of a purifier, if it has one."""
        return self.purifier_preset(purifier).get("diffusion")

    def attack(self, name: str) -> dict:
        """name: of a preset, or a variant of it."""
        chosen = self.attack_preset(name)
        return {"run": chosen["run"], "options": ordered(chosen["options"])}

    def attack_preset(self, name: str) -> dict:
        """An attack's preset; `<attack>@<option>=<value>,…` is the same with these options."""
        base, _, varied = name.partition("@")
        chosen, own = self.config["attacks"][base], {}
        for said in filter(None, varied.split(",")):
            option, _, value = said.partition("=")
            own[option] = _read(value)
        return {**chosen, "options": {**chosen.get("options", {}), **own}}

    def variant(self, attack: str, options: dict) -> str:
        """The name of an attack with other options; its own if its preset says the same."""
        own = self.config["attacks"][attack].get("options", {})
        varied = {name: options[name] for name in sorted(options) if name not in own or own[name] != options[name]}
        return attack + ("@" if varied else "") + ",".join(f"{name}={_written(v)}" for name, v in varied.items())

    def looks(self, attack: str) -> bool:
        """Whether an attack, or a variant of one, looks at the defence."""
        return self.base(attack) in self.sighted

    def eot(self, attack: str) -> str:
        """The EOT variant of an attack: the first preset that says `eot_of` it."""
        return next(name for name, preset in self.config["attacks"].items() if preset.get("eot_of") == attack)

    def training(self, kind: str, name: str) -> dict:
        chosen = self.config[kind][name]["training"]
        return self.exact(kind, name) | {"training": ordered(chosen), "dataset": self.dataset(chosen["dataset"])}

    def fine_tuning(self, name: str) -> dict:
        chosen = self.config["diffusions"][name]["fine_tuning"]
        return self.exact("diffusions", name) | {
            "classifier": self.exact("classifiers", chosen["classifier"]),
            "dataset": self.dataset(chosen["dataset"]),
            "fine_tuning": ordered({k: v for k, v in chosen.items() if k not in ("of", "classifier", "dataset")}),
        }

    def perturbation(self, purifier: str) -> dict:
        """What a purifier's diffusion model was fine-tuned against: kind, objective, and whether there was anything."""
        diffusion = self.diffusion(purifier)
        said = self.config["diffusions"][diffusion].get("fine_tuning") if diffusion else None
        if said is None:
            return {}
        kinds = {"perturbation": said.get("perturbation", "ranked"), "objective": said.get("objective", "classifier")}
        return kinds | {"perturbed": said["options"].get("lambda_unit") != 0}

    def made_here(self, kind: str, name: str) -> bool:
        """Whether a network is trained here, or fine-tuned."""
        return not {"training", "fine_tuning"}.isdisjoint(self.config[kind][name])

    def weights(self, kind: str, name: str) -> list[str]:
        """The checkpoint of a model: trained here, the receipt of a published file, a file or folder given, or none."""
        chosen = self.config[kind][name]
        if self.made_here(kind, name):
            return [f"results/models/{kind}/{name}.safetensors"]
        if isinstance(chosen.get("weights"), dict):
            return [f"results/models/{kind}/{name}.json"]
        return [str(Path(chosen["weights"]).expanduser())] if "weights" in chosen else []

    def untuned(self, diffusion: str) -> str:
        """The model that a fine-tuned one began as."""
        chosen = self.config["diffusions"][diffusion].get("fine_tuning")
        return self.untuned(chosen["of"]) if chosen else diffusion

    def origins(self, diffusion: str) -> Iterator[tuple[str, str]]:
        """(kind, name) of a diffusion model, of those it was fine-tuned from, and of the classifiers that guided."""
        yield "diffusions", diffusion
        if chosen := self.config["diffusions"][diffusion].get("fine_tuning"):
            yield "classifiers", chosen["classifier"]
            yield from self.origins(chosen["of"])

    def roles(self, purifiers: list[str], attacks: list[str]) -> dict:
        """What presets say they are, as tables ask for it: by purifier, by attack."""
        said = {name: self.attack_preset(name) for name in attacks}
        return {
            "purifiers": {
                name: {
                    "diffusion": "diffusion" in preset,
                    "process": preset.get("process", PROCESSES.get(preset["make"])),
                }
                for name, preset in ((name, self.purifier_preset(name)) for name in purifiers)
            },
            "attacks": {
                name: {
                    "blind": not self.looks(name),
                    "eot_of": said[name].get("eot_of"),
                    "twin_of": said[name].get("twin_of"),
                    "protocol": name in self.protocol,
                    **said[name].get("judging", {}),
                }
                for name in attacks
            },
        }
