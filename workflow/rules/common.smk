# What the rules share: the checked config, the specs and code digests that go into params, and the paths of stages.

import re
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(str(workflow.current_basedir)).parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import yaml

from purity.run.config import agrees, check, same, small
from purity.run.codehash import Project
from purity.run.weights import cache, missing, unreachable

PROJECT = Project(ROOT, Path.cwd())

try:
    check(config, ROOT / "config/schema.yaml", PROJECT)
except ValueError as mistake:
    sys.exit(str(mistake))

if config.get("small"):
    config.update(small(config))

GPU = int(config["device"] == "cuda")
CONDA_GPU, CONDA_TABLES = str(ROOT / "envs/gpu.yaml"), str(ROOT / "envs/tables.yaml")


def code(script, *named):
    """Digest of the code that a script, and the functions the config names for it, can reach."""
    return PROJECT.digest(ROOT / f"workflow/scripts/{script}.py", *named)


def one_of(names):
    """A pattern that matches these names; none, if there are none."""
    return "|".join(re.escape(str(name)) for name in names) or "(?!)"


FINE_TUNED = [name for name, preset in config["diffusions"].items() if "fine_tuning" in preset]
BLIND = [name for name, preset in config["attacks"].items() if preset.get("blind")]
SIGHTED = [name for name in config["attacks"] if name not in BLIND]


wildcard_constraints:
    experiment=one_of(config["experiments"]),
    purifier=f"(?:{one_of(config['purifiers'])})(?:@t=[1-9][0-9]*)?",
    attack=one_of(["clean", *config["attacks"]]),
    knowledge="none|all|forward|reverse",
    seed=r"\d+",
    block=r"\d+-\d+",
    name=r"[^/]+",


# Specs: the parts of the config that a result depends on. Presets are sorted: the order of keys changes nothing.


def ordered(value):
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    return value


def experiment(w):
    return config["experiments"][w.experiment]


def classifier(w):
    return model("classifiers", experiment(w)["classifier"])


def features(w):
    """The network of Fréchet distances; None, then it is the classifier's own features."""
    chosen = experiment(w).get("features")
    return model("features", chosen) if chosen else None


def preset(name):
    """A purifier's preset and its options; of `<purifier>@t=<t>` with another strength. One that keeps all t evaluations
    keeps all of the other t too, one that keeps fewer keeps as many."""
    base, _, t = name.partition("@t=")
    options = dict(config["purifiers"][base].get("options", {}))
    if t:
        whole = options.get("steps") == options["t"]
        options["t"] = int(t)
        if "steps" in options:
            options["steps"] = int(t) if whole else min(options["steps"], int(t))
    return config["purifiers"][base], options


def purifier(name):
    chosen, options = preset(name)
    diffusion = chosen.get("diffusion")
    return {
        "name": name,
        "make": chosen["make"],
        "options": ordered(options),
        "diffusion": model("diffusions", diffusion) if diffusion else None,
    }


def model(kind, name):
    chosen = config[kind][name]
    if "fine_tuning" in chosen:  # the same network with other weights
        return model(kind, chosen["fine_tuning"]["of"])
    return {"network": chosen["network"], "options": ordered(chosen.get("options", {}))}


def attack(name):
    return {"run": config["attacks"][name]["run"], "options": ordered(config["attacks"][name].get("options", {}))}


def dataset(name):
    chosen = config["datasets"][name]
    return {"load": chosen["load"], "options": ordered(chosen.get("options", {}))}


def training(kind, name):
    chosen = config[kind][name]["training"]
    return model(kind, name) | {"training": ordered(chosen), "dataset": dataset(chosen["dataset"])}


def fine_tuning(name):
    chosen = config["diffusions"][name]["fine_tuning"]
    return model("diffusions", name) | {
        "classifier": model("classifiers", chosen["classifier"]),
        "dataset": dataset(chosen["dataset"]),
        "fine_tuning": ordered({k: v for k, v in chosen.items() if k not in ("of", "classifier", "dataset")}),
    }


def keys(w):
    """What a stage is about, as tables name it."""
    named = {key: getattr(w, key) for key in ("purifier", "attack", "knowledge") if hasattr(w, key)}
    if "attack" in named:
        named["blind"] = w.attack in BLIND
    return named | {"seed": int(w.seed)}


def measured_in(w):
    """What the Fréchet distance is called: as the experiment's features are."""
    return {"features": experiment(w)["features"]} if "features" in experiment(w) else {}


def fine_tuned(w):
    """What a fine-tuned purifier is compared with, as tables name it."""
    return tuned_from(w.experiment).get(w.purifier, {})


def noise(w):
    """The papers' seedings go by an image's position, hence by where its block begins; the project's own do not."""
    said = {"seed": int(w.seed), "seeding": experiment(w)["seeding"]}
    first = int(w.block.partition("-")[0]) if hasattr(w, "block") else 0
    return said | ({"first": first} if first and said["seeding"] != "address" else {})


def attack_spec(w):
    batch = {"batch": config["batch"]} if config["attacks"][w.attack].get("batchwise") else {}
    return batch | {
        "keys": keys(w),
        "attack": attack(w.attack),
        "classifier": classifier(w),
        "purifier": purifier(w.purifier),
        "noise": noise(w),
    }


def functions(*specs):
    """The functions that specs name, as roots of a code digest."""
    for spec in filter(None, specs):
        yield from (spec[key] for key in ("load", "network", "make", "run") if key in spec)
        yield from functions(
            *(spec[key] for key in ("diffusion", "dataset", "classifier") if isinstance(spec.get(key), dict))
        )


# Paths of stages. Those that take hours lie in blocks of images, whose paths are the same for any number of images.

BLOCKED = {"adversarial", "purified", "judgings", "probes", "budget"}


def spans(name, images=None):
    """The blocks, <first>-<last>, that an experiment's images come in: all, or those that hold the first so many."""
    n = config["experiments"][name]["images"]
    size = config.get("block", n)
    starts = range(0, n if images is None else min(images, n), size)
    return [f"{start:05d}-{min(start + size, n) - 1:05d}" for start in starts]


def blocks(folder, name, images=None):
    return [f"{folder}/images-{span}.zarr.zip" for span in spans(name, images)]


def laid(name, kind, *rest):
    """Where a stage of an experiment is: one store, or its blocks."""
    folder = Path("results", name, kind, *rest)
    return blocks(folder, name) if kind in BLOCKED else [f"{folder}.zarr.zip"]


def of(w, folder, images=None):
    """What a job reads of a stage in blocks: its own block, or those that it needs of all."""
    return [f"{folder}/images-{w.block}.zarr.zip"] if hasattr(w, "block") else blocks(folder, w.experiment, images)


def made_here(kind, name):
    """Whether a network is trained here, or fine-tuned."""
    return not {"training", "fine_tuning"}.isdisjoint(config[kind][name])


def weights(kind, name):
    """The checkpoint of a model: trained here, the receipt of a published file, a file or folder given, or none."""
    chosen = config[kind][name]
    if made_here(kind, name):
        return [f"results/models/{kind}/{name}.safetensors"]
    if isinstance(chosen.get("weights"), dict):
        return [f"results/models/{kind}/{name}.json"]
    return [str(Path(chosen["weights"]).expanduser())] if "weights" in chosen else []


def classifier_weights(w):
    return weights("classifiers", experiment(w)["classifier"])


def features_weights(w):
    chosen = experiment(w).get("features")
    return weights("features", chosen) if chosen else []


def diffusion_weights(w):
    diffusion = preset(w.purifier)[0].get("diffusion")
    return weights("diffusions", diffusion) if diffusion else []


def clean(w, images=None):
    return of(w, f"results/{w.experiment}/data", images)


def adversarial(w, images=None):
    """Where the images of an attack are: of this purifier, of all of them (blind), or the clean ones."""
    if w.attack == "clean":
        return clean(w, images)
    owner = "any" if w.attack in BLIND else w.purifier
    folder = f"results/{w.experiment}/adversarial/{owner}/{w.attack}/{w.knowledge}/seed-{w.seed}"
    return of(w, folder, images)


def purified(w):
    return of(w, f"results/{w.experiment}/purified/{w.purifier}/{w.attack}/{w.knowledge}/seed-{w.seed}")


def anchor(w):
    """f_ξ(x₀) under the same ξ, and the features of clean images."""
    return of(w, f"results/{w.experiment}/purified/{w.purifier}/clean/none/seed-{w.seed}")


def attacked(name, clean=True):
    """(purifier, attack, knowledge) of everything an experiment judges."""
    for purifier, attacks in config["experiments"][name]["attacked"].items():
        if clean:
            yield purifier, "clean", "none"
        for attack, knowledges in attacks.items():
            yield from ((purifier, attack, knowledge) for knowledge in knowledges)


def of_attacks(kind, name, attacks, part=None):
    """Stores of one kind about these (purifier, attack, knowledge). part: of the config; it may have seeds of its own."""
    chosen = config["experiments"][name]
    seeds = chosen.get(part, {}).get("seeds", chosen["seeds"])
    return [
        path
        for (purifier, attack, knowledge), seed in product(attacks, seeds)
        for path in laid(name, kind, purifier, attack, knowledge, f"seed-{seed}")
    ]


def stage(kind, name, clean=True):
    """All stores of one kind in an experiment."""
    return of_attacks(kind, name, attacked(name, clean))


def another_seed(w):
    """The first of an experiment's seeds that is another one; its own if there is no other."""
    return next((seed for seed in experiment(w)["seeds"] if seed != int(w.seed)), w.seed)


def images_of(w, attack, knowledge="none"):
    """The images of an attack in the experiment, for the purifier and with the seed of a stage."""
    return adversarial(SimpleNamespace(**w, attack=attack, knowledge=knowledge))


def crafted(name):
    """Stores of adversarial images that looked at their defence."""
    return [path for path in stage("adversarial", name, clean=False) if Path(path).parts[4] in SIGHTED]


def of_purifiers(kind, name, purifiers):
    """Stores of one kind that there is one of for each purifier and seed."""
    return [
        path
        for purifier, seed in product(purifiers, config["experiments"][name]["seeds"])
        for path in laid(name, kind, purifier, f"seed-{seed}")
    ]


def balls(kind, name):
    return of_purifiers(kind, name, config["experiments"][name]["ball"]["purifiers"])


def at(purifier, t):
    """The name of a purifier at strength t; its own if it has that strength."""
    return purifier if config["purifiers"][purifier]["options"]["t"] == t else f"{purifier}@t={t}"


def strengths(name, *lists):
    """The swept purifiers at each t of these lists of the sweep (`attacked`, `clean`)."""
    sweep = config["experiments"][name]["sweep"]
    ts = sorted(dict.fromkeys(t for key in lists for t in sweep.get(key, [])))
    return [at(purifier, t) for purifier, t in product(sweep["purifiers"], ts)]


def lawful(name):
    """Purifiers whose compression rate and robustness make a point of the law: all whose attacker knows ξ."""
    chosen = config["experiments"][name]
    known = [
        purifier
        for purifier, attacks in chosen["attacked"].items()
        if "all" in attacks.get(chosen["sweep"]["attack"], [])
    ]
    return list(dict.fromkeys([*known, *strengths(name, "attacked")]))


def judged(name):
    """(purifier, attack, knowledge) of what is judged many times; clean images are the control."""
    chosen = config["experiments"][name]
    for purifier in chosen["fuzzy"]["purifiers"]:
        yield purifier, "clean", "none"
        for attack in chosen["fuzzy"]["attacks"]:
            if "none" in chosen["attacked"][purifier].get(attack, []):
                yield purifier, attack, "none"


def judgings(name):
    return of_attacks("judgings", name, judged(name))


def no_clean(attacks):
    """Those of (purifier, attack, knowledge) that are attacks."""
    return [judged for judged in attacks if judged[1] != "clean"]


def averaged(attack):
    """The EOT variant of an attack, by its name."""
    return f"{attack}-eot"


def boxed(name):
    """(purifier, attack, knowledge) of dw-box: the attack averages over what is fresh to the attacker, if anything is."""
    part = config["experiments"][name]["dw-box"]
    for purifier, fresh in part["purifiers"].items():
        yield purifier, "clean", "none"
        for attack, knowledge in product(part["attacks"], ("none", "forward", "reverse", "all")):
            yield purifier, averaged(attack) if knowledge in fresh else attack, knowledge


def tuned_from(name):
    """Fine-tuned purifier: the vanilla one it is compared with, and whether a part of ADDT is left out."""
    part = config["experiments"][name].get("addt") or {}
    kinds = {False: part.get("purifiers", {}), True: part.get("ablations", {})}
    return {k: {"vanilla": v, "ablation": ablation} for ablation, of in kinds.items() for k, v in of.items()}


def hardened(name):
    """(purifier, attack, knowledge) of addt: white-box EOT and DW-box, on vanilla and fine-tuned purifiers."""
    attack, tuned = config["experiments"][name]["addt"]["attack"], tuned_from(name)
    for purifier in dict.fromkeys([*(said["vanilla"] for said in tuned.values()), *tuned]):
        yield from ((purifier, "clean", "none"), (purifier, averaged(attack), "none"), (purifier, attack, "all"))


def shown_paths(kind, name):
    """Stores about the attackers' paths: of the first seed."""
    part, seed = config["experiments"][name]["paths"], config["experiments"][name]["seeds"][0]
    return [f"results/{name}/{kind}/{purifier}/{part['attack']}/seed-{seed}.zarr.zip" for purifier in part["purifiers"]]


def known(kind, name, purifiers, attack):
    """Stores of one kind about the attack that knows ξ on those of the purifiers that it was made for."""
    chosen = config["experiments"][name]
    return [
        path
        for purifier, seed in product(purifiers, chosen["seeds"])
        if "all" in chosen["attacked"][purifier].get(attack, [])
        for path in laid(name, kind, purifier, attack, "all", f"seed-{seed}")
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
    folder = lambda kind, purifier: (
        f"results/{w.experiment}/{kind}/{purifier}/{shown['attack']}/{shown['knowledge']}/seed-{seed}"
    )
    some = lambda of: blocks(of, w.experiment, shown["images"])
    return {
        "subset": some(f"results/{w.experiment}/data"),
        "adversarial": some(folder("adversarial", shown["steps"])),
        "purified": [path for purifier in gallery_purifiers(w) for path in some(folder("purified", purifier))],
        "states": f"{folder('states', shown['steps'])}.zarr.zip",
    }
