"""What a config says of data, networks, purifiers and attacks, as the specs that results depend on.

Presets are sorted, so that the order of keys changes nothing.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from purity.run.content import Contents, named
from purity.run.naming import resolve


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
        yield from functions(*spec.get("parts", {}).values())


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
        self._contents = Contents()
        self._held: dict[str | Path, str | None] = {}
        self._listed: dict[tuple[str, str], tuple[Path, list[tuple[str, int]]] | None] = {}

    def dataset(self, name: str, split: str | None = None, first: int = 0, last: int | None = None) -> dict:
        """A data set; of its images first … last of a split (all of it) a digest of the files they are read from."""
        chosen = self.config["datasets"][name]
        said = {"load": chosen["load"], "options": ordered(chosen.get("options", {}))}
        if not chosen["load"].startswith("purity."):
            return said | self._files(said["options"])
        if split and (listed := self.listed(name, split)):
            base, files = listed
            wanted = dict(files[first : None if last is None else last + 1])
            return said | {"files": self._contents.of_files(base, wanted)}
        if split and (source := self._source(chosen, split)):
            return said | {"files": self._content(source)}
        return said

    def _source(self, chosen: dict, split: str) -> Path | None:
        """The file or folder that a loader of the package reads all of a split from, if it is one of these."""
        try:
            source = resolve(f"{chosen['load']}_source")
        except ValueError:
            return None
        return source(split, **chosen.get("options", {}))

    def listed(self, name: str, split: str) -> tuple[Path, list[tuple[str, int]]] | None:
        """A folder, and the files in it with their labels that a loader of the package reads, in its order. None if it
        reads none, or cannot: it says why when it is asked for images."""
        if (name, split) not in self._listed:
            chosen = self.config["datasets"][name]
            self._listed[name, split] = None
            with suppress(ValueError, OSError, TypeError):
                base, files = resolve(f"{chosen['load']}_files")(split, None, **chosen.get("options", {}))
                self._listed[name, split] = base, list(files.items())
        return self._listed[name, split]

    def available(self, name: str, split: str) -> int | None:
        """How many images a split has; None where only loading them tells."""
        if self.config["datasets"][name]["load"] == "purity.data:digits":
            return resolve("purity.data:digits_count")(split)
        listed = self.listed(name, split)
        return listed and len(listed[1])

    def _files(self, options: dict) -> dict:
        """{files: {option: digest}} of the files and folders that options name, if there are any."""
        found = {key: self._content(path) for key, path in named(options)}
        return {"files": found} if found else {}

    def _content(self, path: str | Path) -> str | None:
        """Looked at once in a run."""
        if path not in self._held:
            self._held[path] = self._contents.of(path)
        return self._held[path]

    def model(self, kind: str, name: str) -> dict:
        """kind: classifiers, diffusions, features. A fine-tuned one is the same network with other weights; weights
        that are given are told by a digest, and may be moved or copied."""
        chosen = self.config[kind][name]
        if "fine_tuning" in chosen:
            base = self.model(kind, chosen["fine_tuning"]["of"])
            return {key: value for key, value in base.items() if key != "content"}
        engine = {"engine": ordered(chosen["engine"])} if "engine" in chosen else {}
        return self.exact(kind, name) | engine

    def exact(self, kind: str, name: str) -> dict:
        """The same without its engine: training is exact."""
        chosen = self.config[kind][name]
        if "fine_tuning" in chosen:
            base = self.exact(kind, chosen["fine_tuning"]["of"])
            return {key: value for key, value in base.items() if key != "content"}
        said = {"network": chosen["network"], "options": ordered(chosen.get("options", {}))}
        if isinstance(chosen.get("weights"), str):
            said["content"] = self._content(chosen["weights"])
        return said | self._files(said["options"])

    def purifier(self, name: str) -> dict:
        """name: of a preset, or <preset>@t=<t>."""
        chosen, diffusion = self.purifier_preset(name), self.diffusion(name)
        return {
            "name": name,
            "make": chosen["make"],
            "options": ordered(chosen["options"]),
            "diffusion": self.model("diffusions", diffusion) if diffusion else None,
            **self._files(chosen["options"]),
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
        return {"run": chosen["run"], "options": ordered(chosen["options"]), **self._files(chosen["options"])}

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
        return self.exact(kind, name) | {
            "training": ordered(chosen),
            "dataset": self.dataset(chosen["dataset"], "train"),
        }

    def fine_tuning(self, name: str) -> dict:
        chosen = self.config["diffusions"][name]["fine_tuning"]
        return self.exact("diffusions", chosen["of"]) | {
            "classifier": self.exact("classifiers", chosen["classifier"]),
            "dataset": self.dataset(chosen["dataset"], "train"),
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

    def published(self, kind: str, name: str) -> bool:
        """Whether its weights are fetched."""
        return isinstance(self.config[kind][name].get("weights"), dict)

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
