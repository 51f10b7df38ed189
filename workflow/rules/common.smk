# What the rules share: the checked config, the specs and code digests that go into params, and the paths of stages.

import sys
from itertools import product
from pathlib import Path
from re import escape
from types import SimpleNamespace

ROOT = Path(str(workflow.current_basedir)).parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from purity.config import check
from purity.provenance import Project

PROJECT = Project(ROOT, Path.cwd())

try:
    check(config, ROOT / "config/schema.yaml", PROJECT)
except ValueError as mistake:
    sys.exit(str(mistake))

GPU = int(config["device"] == "cuda")
CONDA_GPU, CONDA_TABLES = str(ROOT / "envs/gpu.yaml"), str(ROOT / "envs/tables.yaml")


def code(script, *named):
    """Digest of the code that a script, and the functions the config names for it, can reach."""
    return PROJECT.digest(ROOT / f"workflow/scripts/{script}.py", *named)


def one_of(names):
    return "|".join(escape(str(name)) for name in names)


BLIND = [name for name, preset in config["attacks"].items() if preset.get("blind")]
SIGHTED = [name for name in config["attacks"] if name not in BLIND]


wildcard_constraints:
    experiment=one_of(config["experiments"]),
    purifier=one_of(config["purifiers"]),
    attack=one_of(["clean", *config["attacks"]]),
    knowledge="none|all|forward|reverse",
    seed=r"\d+",
    name=r"[^/]+",


# Specs: the parts of the config that a result depends on. Presets are sorted: the order of keys changes nothing.


def ordered(preset):
    if isinstance(preset, dict):
        return {key: ordered(preset[key]) for key in sorted(preset)}
    return preset


def experiment(w):
    return config["experiments"][w.experiment]


def classifier(w):
    return model("classifiers", experiment(w)["classifier"])


def purifier(name):
    preset = config["purifiers"][name]
    diffusion = preset.get("diffusion")
    return {
        "name": name,
        "make": preset["make"],
        "options": ordered(preset.get("options", {})),
        "diffusion": model("diffusions", diffusion) if diffusion else None,
    }


def model(kind, name):
    preset = config[kind][name]
    return {"network": preset["network"], "options": ordered(preset.get("options", {}))}


def attack(name):
    return {"run": config["attacks"][name]["run"], "options": ordered(config["attacks"][name].get("options", {}))}


def training(kind, name):
    preset = config[kind][name]
    dataset = config["datasets"][preset["training"]["dataset"]]
    return model(kind, name) | {"training": ordered(preset["training"]), **ordered(dataset)}


def keys(w):
    """What a stage is about, as tables name it."""
    named = {key: getattr(w, key) for key in ("purifier", "attack", "knowledge") if hasattr(w, key)}
    if "attack" in named:
        named["blind"] = w.attack in BLIND
    return named | {"seed": int(w.seed)}


def noise(w):
    return {"seed": int(w.seed), "seeding": experiment(w)["seeding"]}


def attack_spec(w):
    return {
        "keys": keys(w),
        "attack": attack(w.attack),
        "classifier": classifier(w),
        "purifier": purifier(w.purifier),
        "noise": noise(w),
    }


def functions(*specs):
    """The functions that specs name, as roots of a code digest."""
    for spec in specs:
        yield from (spec[key] for key in ("load", "network", "make", "run") if key in spec)
        if spec.get("diffusion"):
            yield spec["diffusion"]["network"]


# Paths of stages.


def weights(kind, name):
    """The checkpoint of a model: trained here, given as a file, or none."""
    preset = config[kind][name]
    if "training" in preset:
        return [f"results/models/{kind}/{name}.safetensors"]
    return [preset["weights"]] if "weights" in preset else []


def classifier_weights(w):
    return weights("classifiers", experiment(w)["classifier"])


def diffusion_weights(w):
    diffusion = config["purifiers"][w.purifier].get("diffusion")
    return weights("diffusions", diffusion) if diffusion else []


def adversarial(w):
    """Where the images of an attack are: of this purifier, of all of them (blind), or the clean ones."""
    if w.attack == "clean":
        return f"results/{w.experiment}/data/subset.zarr.zip"
    owner = "any" if w.attack in BLIND else w.purifier
    return f"results/{w.experiment}/adversarial/{owner}/{w.attack}/{w.knowledge}/seed-{w.seed}.zarr.zip"


def attacked(name, clean=True):
    """(purifier, attack, knowledge) of everything an experiment judges."""
    for purifier, attacks in config["experiments"][name]["attacked"].items():
        if clean:
            yield purifier, "clean", "none"
        for attack, knowledges in attacks.items():
            yield from ((purifier, attack, knowledge) for knowledge in knowledges)


def stage(kind, name, clean=True):
    """All stores of one kind in an experiment."""
    return [
        f"results/{name}/{kind}/{purifier}/{attack}/{knowledge}/seed-{seed}.zarr.zip"
        for (purifier, attack, knowledge), seed in product(attacked(name, clean), config["experiments"][name]["seeds"])
    ]


def crafted(name):
    """Stores of adversarial images that looked at their defence."""
    return [path for path in stage("adversarial", name, clean=False) if Path(path).parts[4] in SIGHTED]


def balls(kind, name):
    chosen = config["experiments"][name]
    return [
        f"results/{name}/{kind}/{purifier}/seed-{seed}.zarr.zip"
        for purifier, seed in product(chosen["ball"]["purifiers"], chosen["seeds"])
    ]


def gallery_purifiers(w):
    """Purifiers that were attacked in the way the gallery shows."""
    shown = experiment(w)["gallery"]
    return [
        purifier
        for purifier, attack, knowledge in attacked(w.experiment)
        if (attack, knowledge) == (shown["attack"], shown["knowledge"])
    ]


def gallery_stores(w):
    shown, seed = experiment(w)["gallery"], experiment(w)["seeds"][0]
    of = lambda kind, purifier: (
        f"results/{w.experiment}/{kind}/{purifier}/{shown['attack']}/{shown['knowledge']}/seed-{seed}.zarr.zip"
    )
    return {
        "subset": f"results/{w.experiment}/data/subset.zarr.zip",
        "adversarial": of("adversarial", shown["steps"]),
        "purified": [of("purified", purifier) for purifier in gallery_purifiers(w)],
        "states": of("states", shown["steps"]),
    }


# Tables and figures by their ids in the papers.

# id: stores it is made of, by name of the function's argument
TABLES = {
    "trajectory": lambda name: {"purified": stage("purified", name, clean=False)},
    "distances": lambda name: {"measured": stage("measures", name, clean=False)},
    "robustness": lambda name: {"measured": stage("measures", name)},
    "transfer": lambda name: {
        "measured": stage("measures", name, clean=False),
        "crafted": crafted(name),
        "subset": [f"results/{name}/data/subset.zarr.zip"],
    },
    "compression": lambda name: {"measured": stage("measures", name, clean=False)},
    "directions": lambda name: {"balls": balls("ball-measures", name)},
    "directions-matrix": lambda name: {"balls": balls("ball-measures", name)},
    "centroids": lambda name: {"balls": balls("ball-measures", name)},
    "centroids-histogram": lambda name: {"balls": balls("ball-measures", name)},
    "variance": lambda name: {"balls": balls("ball-measures", name)},
}


def function(room, identifier):
    return f"purity.{room}:{identifier.replace('-', '_')}"


# id: tables it shows, by position of the function's argument
SHOWN = {
    "trajectory": ["trajectory"],
    "distances": ["distances"],
    "robustness": ["robustness"],
    "transfer": ["transfer"],
    "compression": ["compression"],
    "directions": ["directions", "directions-matrix"],
    "centroids": ["centroids-histogram"],
    "variance": ["variance"],
}
FIGURES = [*SHOWN, "gallery"]


def everything():
    """Every stage of every experiment to run."""
    wanted = []
    for name in config["run"]:
        chosen = config["experiments"][name]
        models = [("classifiers", chosen["classifier"])] + [
            ("diffusions", config["purifiers"][purifier]["diffusion"])
            for purifier in chosen["attacked"]
            if "diffusion" in config["purifiers"][purifier]
        ]
        wanted += [
            f"results/models/{kind}/{model}-loss.png"
            for kind, model in dict.fromkeys(models)
            if "training" in config[kind][model]
        ]
        wanted += [path for kind, model in models for path in weights(kind, model)]
        wanted += stage("purified", name) + stage("measures", name) + crafted(name)
        wanted += [
            f"results/{name}/adversarial/any/{attack}/none/seed-{seed}.zarr.zip"
            for attack, seed in product(BLIND, chosen["seeds"])
            if any(attack in attacks for attacks in chosen["attacked"].values())
        ]
        wanted += [gallery_stores(SimpleNamespace(experiment=name))["states"]]
        wanted += balls("ball", name) + balls("ball-measures", name)
        wanted += [f"results/{name}/tables/{table}.csv" for table in TABLES]
        wanted += [f"results/{name}/figures/{figure}.{ending}" for figure, ending in product(FIGURES, ("png", "pdf"))]
    return list(dict.fromkeys(wanted))
