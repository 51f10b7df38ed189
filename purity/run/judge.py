"""`snakemake judge`: the whole protocol for random defences, written out as an ordinary experiment of the config.

What is judged goes through the stages, stores and studies that every experiment goes through; the study `judgement`
makes its tables, and each attack says by its `judging` what part of the judgement it is for.
"""

import copy

from purity.run import workload
from purity.run.experiment import Experiment
from purity.run.presets import INTERCEPTED

UNDEFENDED = "undefended"  # the classifier alone

DEFAULTS = {"name": "judged", "norm": "linf", "images": 100, "seeds": [0], "fresh_draws": 4, "judgings": 100}
QUICK = {"images": 50, "fresh_draws": 4, "judgings": 20}  # at most
SCALES = [0.5, 2.0, 4.0, 8.0]  # of ε; in ℓ∞ no more than all there is
QUICK_SCALES = [4.0]

BPDA: dict = {"steps": 20, "relative_step": 0.25, "schedule": "cosine", "random_start": False}


def asked(config: dict) -> bool:
    """Whether the config names a defence to judge."""
    return bool(config.get("defence") or config.get("judge", {}).get("defences"))


def expanded(config: dict) -> dict:
    """The config with the experiment that judges its defences, the only one to run. ValueError that names the key.

    config: one that the schema accepts. `defence: module:function` is short for one of `judge.defences`.
    """
    said = DEFAULTS | config.get("judge", {})
    quick = bool(config.get("quick", said.get("quick")))
    if quick:
        said |= {key: min(said[key], most) for key, most in QUICK.items()} | {"name": f"{said['name']}-quick"}
    for key in ("dataset", "classifier", "epsilon", "attacks"):
        if key not in said:
            _refuse(key, "it is missing; config/README.md says what it means")
    defences = dict(said.get("defences", {}))
    if config.get("defence"):
        defences[_name_of(config["defence"])] = {"call": config["defence"]}
    beside = [] if quick else [name for name in said.get("beside", []) if name not in defences]
    made = copy.deepcopy(config)
    made["purifiers"] |= {UNDEFENDED: {"make": "purity.purifiers:identity"}}
    made["purifiers"] |= {name: _purifier(config, name, one) for name, one in defences.items() if "call" in one}
    for name in [*defences, *beside]:
        if name not in made["purifiers"]:
            _refuse("defences" if name in defences else "beside", f"there is no purifier '{name}', nor a `call`")
    made["attacks"] |= attacks(config, said, QUICK_SCALES if quick else SCALES, quick)
    made["experiments"][said["name"]] = _experiment(made["attacks"], said, defences, beside)
    made["run"] = [said["name"]]
    return made


def _name_of(function: str) -> str:
    return function.rpartition(":")[2].replace("_", "-").strip("-") or "defence"


def _purifier(config: dict, name: str, said: dict) -> dict:
    if name in config["purifiers"] or name == UNDEFENDED:
        _refuse(f"defences.{name}", "there is a purifier of this name already; call yours otherwise")
    options = {key: value for key, value in said.items() if key not in ("diffusion", "gradient")}
    return {"make": INTERCEPTED, "options": options, **{key: said[key] for key in ("diffusion",) if key in said}}


def attacks(config: dict, said: dict, scales: list[float], quick: bool) -> dict[str, dict]:
    """The presets of all attacks of the protocol, by name, in the order of the tables.

    judging: which part of the judgement it is. The strongest attacks of the project are those that `judge.attacks`
    names, within the budget that is judged.
    """
    budget = {"epsilon": said["epsilon"]} | ({"norm": said["norm"]} if said["norm"] != "linf" else {})
    steps, draws = (20, 3) if quick else (40, 6)
    protocol = {"steps": steps, "relative_step": 4 / (3 * steps)}
    known, unknown = (_strongest(config, said, knowledge, budget) for knowledge in ("known", "unknown"))
    pgd, bpda = "purity.attacks:pgd", "purity.attacks:bpda"
    averaged = BPDA | {"draws": 3}
    made = {
        "pgd": _preset("first", pgd, budget | protocol),
        "pgd-eot": _preset("first", pgd, budget | protocol | {"draws": draws}, eot_of="judge-pgd"),
        "standard": _preset("strongest", *known),
        "standard-eot": _preset("strongest", *unknown, eot_of="judge-standard"),
        "bpda": _preset("bpda", bpda, budget | BPDA, twin_of="judge-standard"),
        "bpda-eot": _preset("bpda", bpda, budget | averaged, eot_of="judge-bpda", twin_of="judge-standard-eot"),
        "longer": _preset("longer", *_longer(*known)),
        "bpda-longer": _preset("longer", bpda, budget | BPDA | {"steps": 2 * BPDA["steps"]}, twin_of="judge-longer"),
    }
    if not quick:
        made["longer-eot"] = _preset("longer", *_longer(*unknown), eot_of="judge-longer")
        past = _longer(bpda, budget | averaged)
        made["bpda-longer-eot"] = _preset("longer", *past, eot_of="judge-bpda-longer", twin_of="judge-longer-eot")
    for scale in dict.fromkeys(min(s, 1 / said["epsilon"]) if said["norm"] == "linf" else s for s in scales):
        wide = budget | {"epsilon": said["epsilon"] * scale}
        auto = wide | {"steps": 10}
        made[f"x{scale:.3g}"] = _preset("budget", "purity.attacks:apgd", auto, scale=scale)
        made[f"bpda-x{scale:.3g}"] = _preset("budget", bpda, wide | BPDA, scale=scale, twin_of=f"judge-x{scale:.3g}")
    if said["norm"] == "linf":
        noise = _preset("noise", "purity.attacks:uniform", {"epsilon": said["epsilon"], "cut": True}, blind=True)
        made = {"noise": noise} | made
    return {f"judge-{name}": preset for name, preset in made.items()}


def _preset(part: str, run: str, options: dict, scale: float = 1.0, **roles) -> dict:
    return {"run": run, "options": options, "judging": {"part": part, "scale": scale}, **roles}


def _strongest(config: dict, said: dict, knowledge: str, budget: dict) -> tuple[str, dict]:
    name = said["attacks"][knowledge]
    if name not in config["attacks"]:
        _refuse(f"attacks.{knowledge}", f"there is no attack '{name}'; there are {', '.join(config['attacks'])}")
    preset = config["attacks"][name]
    return preset["run"], preset.get("options", {}) | budget


def _longer(run: str, options: dict) -> tuple[str, dict]:
    """Twice the steps, of each part of an attack of several, and twice the draws of one that averages."""

    def doubled(counted: dict) -> dict:
        return counted | {key: 2 * counted[key] for key in ("steps", "draws") if key in counted}

    parts = {"attacks": [doubled(part) for part in options["attacks"]]} if "attacks" in options else {}
    return run, doubled(options) | parts


def _experiment(presets: dict, said: dict, defences: dict, beside: list[str]) -> dict:
    ours = {name: preset for name, preset in presets.items() if "judging" in preset}
    averaging = [name for name in ours if name.endswith("-eot")]
    everything = {name: _knowledge(name, preset) for name, preset in ours.items()}
    # the classifier alone has no noise to know
    alone = {
        name: knowledge[-1:]
        for name, knowledge in everything.items()
        if ours[name]["judging"]["part"] in ("noise", "first", "strongest", "budget") and name not in averaging
        if "twin_of" not in ours[name]
    }
    attacked = {UNDEFENDED: alone}
    for name in [*defences, *beside]:
        passed = defences.get(name, {}).get("gradient", True)
        # without a gradient: the attacks that go past it, and those that need none
        attacked[name] = {a: k for a, k in everything.items() if passed or ours[a].get("blind") or "bpda" in a}
    first = next(iter(defences))
    shown = "judge-standard" if "judge-standard" in attacked[first] else "judge-bpda"
    return {
        "dataset": said["dataset"],
        "images": said["images"],
        "classifier": said["classifier"],
        "seeds": said["seeds"],
        "seeding": "address",
        "fresh_draws": said["fresh_draws"],
        "attacked": attacked,
        "gallery": {"images": min(9, said["images"]), "attack": shown, "knowledge": "all", "purifier": first},
        "fuzzy": {
            "purifiers": [*defences, *beside],
            "attacks": ["judge-standard-eot", "judge-bpda-eot"],
            "judgings": said["judgings"],
        },
        "judgement": {"defences": list(defences), "beside": beside, "undefended": UNDEFENDED},
    }


def _knowledge(name: str, preset: dict) -> list[str]:
    """PGD by both, as it is the papers' protocol; EOT by who does not know ξ, all others by who does."""
    if preset.get("blind") or name.endswith("-eot"):
        return ["none"]
    return ["none", "all"] if name == "judge-pgd" else ["all"]


def _refuse(key: str, message: str) -> None:
    raise ValueError(f"config: judge.{key}: {message}")


# What the page is made of.


def stores(e: Experiment) -> dict[str, list[str]]:
    """Stores of the defences that are judged: subset, adversarial, purified, judgings."""
    judged = e.part("judgement")["defences"]
    cells = [cell for cell in e.cells("attacked") if cell.purifier in judged]
    known = [cell for cell in cells if cell.knowledge == "all"]
    rejudged = [cell for cell in e.rejudged() if cell.purifier in judged]
    return {
        "subset": e.data(),
        "adversarial": e.adversarial(known),
        "purified": e.of_cells("purified", cells),
        "judgings": [path for cell in rejudged for path in e.stores("fuzzy", **cell._asdict())],
    }


def diffusion_weights(e: Experiment) -> list[str]:
    part = e.part("judgement")
    return list(dict.fromkeys(w for name in [*part["defences"], *part["beside"]] for w in e.diffusion_weights(name)))


def said(e: Experiment) -> dict:
    """What the page says of the experiment, and which attacks its images are of: those at the budget that is judged."""
    part, config = e.part("judgement"), e.config
    ours = {name: preset for name, preset in config["attacks"].items() if "judging" in preset}
    strongest = next(p["options"] for p in ours.values() if p["judging"]["part"] == "bpda")
    norm = {"linf": "ℓ∞", "l2": "ℓ2"}[strongest.get("norm", "linf")]
    purifiers = [*part["defences"], *part["beside"]]
    known = {
        name: [
            cell.attack
            for cell in e.cells("attacked")
            if cell.purifier == name and cell.knowledge == "all" and ours[cell.attack]["judging"]["part"] != "budget"
        ]
        for name in part["defences"]
    }
    return {
        **part,
        "seed": e.seeds[0],
        "shown": 8,
        "known": known,
        "images": e.said["images"],
        "dataset": e.said["dataset"],
        "classifier": e.said["classifier"],
        "budget": f"{norm} budget {strongest['epsilon']:.4g}",
        "settings": {
            "seeds": e.seeds,
            "fresh_draws": e.said["fresh_draws"],
            "judgings": e.part("fuzzy")["judgings"],
            "dataset": e.presets.dataset(e.said["dataset"]),
            "classifier": e.classifier(),
            "purifiers": {name: e.presets.purifier(name) for name in purifiers},
            "attacks": {name: e.presets.attack(name) for name in ours},
        },
    }


def costly(e: Experiment) -> list[dict]:
    """Jobs of `snakemake cost` that a judgement has, none of them done: what all of it takes."""
    return [job | {"done": False} for job in workload.jobs(e).values() if job["rule"] != "states"]


def announced(e: Experiment) -> str:
    """What a judgement asks of each defence, said before it begins: a line each."""
    part, images = e.part("judgement"), e.said["images"] * len(e.seeds)
    lines = [f"{e.name}: {e.said['images']} images, seeds {', '.join(map(str, e.seeds))}; at most, for each image"]
    for name in [*part["defences"], *part["beside"]]:
        cells = [cell for cell in e.cells("attacked") if cell.purifier == name]
        gradients = sum(_gradients(e.config["attacks"][c.attack]["options"]) for c in cells if c.attack != "clean")
        judged = len(cells) * (1 + e.said["fresh_draws"])
        judged += sum(cell.purifier == name for cell in e.rejudged()) * e.part("fuzzy")["judgings"]
        lines.append(
            f"  {name}: {gradients} gradients, {judged} purifications ({images * gradients:,} gradients in all)"
        )
    return "\n".join([*lines, f"Hours follow as soon as they are measured: results/{e.name}/cost/judgement.txt"])


def _gradients(options: dict) -> int:
    """Of an attack on one image, at most. Auto-PGD takes one more than its steps, for each target."""
    if "attacks" in options:
        return sum(_gradients(part) for part in options["attacks"])
    return (options.get("steps", 0) + 1) * options.get("draws", 1) * options.get("targets", 1)
