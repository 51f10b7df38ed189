# What there is to make: tables and figures by their ids in the papers, and the stages behind them.

# id: stores it is made of, by name of the function's argument
TABLES = {
    "trajectory": lambda name: {"purified": stage("purified", name, clean=False)},
    "distances": lambda name: {"measured": stage("measures", name, clean=False)},
    "robustness": lambda name: {"measured": stage("measures", name)},
    "transfer": lambda name: {
        "measured": stage("measures", name, clean=False),
        "crafted": crafted(name),
        "subset": blocks(f"results/{name}/data", name),
    },
    "compression": lambda name: {"measured": stage("measures", name, clean=False)},
    "directions": lambda name: {"balls": balls("ball-measures", name)},
    "directions-matrix": lambda name: {"balls": balls("ball-measures", name)},
    "centroids": lambda name: {"balls": balls("ball-measures", name)},
    "centroids-histogram": lambda name: {"balls": balls("ball-measures", name)},
    "variance": lambda name: {"balls": balls("ball-measures", name)},
    "jacobian": lambda name: {"jacobians": jacobians(name), "measured": outcomes(name)},
    "jacobian-spectrum": lambda name: {"jacobians": jacobians(name)},
    "pca": lambda name: {"spectra": spectra(name)},
    "timesteps": lambda name: {"probes": of_purifiers("probes", name, strengths(name, "attacked"))},
    "clean-t": lambda name: {"probes": of_purifiers("probes", name, strengths(name, "attacked", "clean"))},
    "law": lambda name: {"probes": of_purifiers("probes", name, lawful(name))},
    "law-fit": lambda name: {"probes": of_purifiers("probes", name, lawful(name))},
    "predictors": lambda name: {"probes": of_purifiers("probes", name, lawful(name))},
    "predictors-rank": lambda name: {"probes": of_purifiers("probes", name, lawful(name))},
    "budget": lambda name: {"budgets": budgets(name)},
    "fuzzy": lambda name: {"judgings": judgings(name)},
    "fuzzy-grades": lambda name: {"judgings": judgings(name)},
    "cap": lambda name: {"caps": caps(name)},
    "cap-images": lambda name: {"caps": caps(name)},
    "cap-transition": lambda name: {"caps": caps(name)},
    "cap-slices": lambda name: {"caps": caps(name)},
    "margins": lambda name: {"margins": margins(name)},
    "margins-images": lambda name: {"margins": margins(name)},
    "margins-roc": lambda name: {"margins": margins(name)},
    "dw-box": lambda name: {"measured": of_attacks("measures", name, boxed(name), "dw-box")},
    "addt": lambda name: {"measured": of_attacks("measures", name, hardened(name), "addt")},
    "attack-paths": lambda name: {"paths": shown_paths("paths", name)},
    "landscape": lambda name: {"landscapes": shown_paths("landscape", name)},
    "landscape-paths": lambda name: {
        "landscapes": shown_paths("landscape", name),
        "paths": shown_paths("paths", name),
    },
}

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
    "jacobian": ["jacobian-spectrum", "jacobian"],
    "pca": ["pca"],
    "timesteps": ["timesteps"],
    "clean-t": ["clean-t"],
    "law": ["law", "law-fit"],
    "budget": ["budget", "law", "law-fit"],
    "predictors": ["predictors", "predictors-rank"],
    "fuzzy": ["fuzzy", "fuzzy-grades"],
    "cap": ["cap-images", "cap-transition", "cap-slices"],
    "margins": ["margins-images", "margins-roc"],
    "dw-box": ["dw-box"],
    "attack-paths": ["attack-paths"],
    "landscape": ["landscape", "landscape-paths"],
    "addt": ["addt"],
}

# id: the part of an experiment's config that it needs; the others are always made
PART = {
    **dict.fromkeys(["directions", "directions-matrix", "centroids", "centroids-histogram", "variance"], "ball"),
    **dict.fromkeys(["jacobian", "jacobian-spectrum"], "jacobian"),
    "pca": "pca",
    **dict.fromkeys(["timesteps", "clean-t", "law", "law-fit", "predictors", "predictors-rank"], "sweep"),
    "budget": "budget",
    **dict.fromkeys(["fuzzy", "fuzzy-grades"], "fuzzy"),
    **dict.fromkeys(["cap", "cap-images", "cap-transition", "cap-slices"], "cap"),
    **dict.fromkeys(["margins", "margins-images", "margins-roc"], "margins"),
    "dw-box": "dw-box",
    "addt": "addt",
    **dict.fromkeys(["attack-paths", "landscape", "landscape-paths"], "paths"),
}

# parts that the main findings go into, if the experiment has them
MAIN = {None, "ball"}

# part: the room of its tables' and figures' functions
ROOM = {
    **dict.fromkeys(["jacobian", "pca", "sweep", "budget"], "_compression"),
    **dict.fromkeys(["fuzzy", "cap", "margins"], "_earlier"),
    **dict.fromkeys(["dw-box", "addt", "paths"], "_stochastic"),
}


def function(kind, identifier):
    room = ROOM.get(PART.get(identifier), "")
    return f"purity.{kind}{room}:{identifier.replace('-', '_')}"


# section of the papers: its figures
SECTIONS = {
    "2 Behaviour of diffusion models (§3)": [
        "trajectory",
        "distances",
        "directions",
        "centroids",
        "variance",
        "gallery",
    ],
    "3 Robustness without stochasticity (§4)": ["robustness", "transfer"],
    "4 Compression of image space (§5, App. C.4)": [
        "compression",
        "jacobian",
        "pca",
        "timesteps",
        "law",
        "budget",
        "predictors",
        "clean-t",
    ],
    "5 Fuzzy robustness (earlier version, §4)": ["fuzzy"],
    "6 Adversarial caps and margins (earlier version, §5, §6)": ["cap", "margins"],
    "7 The stochastic perspective (Liu et al. 2025)": ["dw-box", "attack-paths", "landscape", "addt"],
    "8 Networks trained here": ["loss"],
}


def section(figure):
    """Where the report shows a figure; the comparison with the papers comes first."""
    return next(name for name, figures in SECTIONS.items() if figure in figures)


def chosen_ones(identifiers, name):
    """Those that the experiment has the part of the config for."""
    chosen = config["experiments"][name]
    return [identifier for identifier in identifiers if identifier not in PART or chosen.get(PART[identifier])]


# Stores of the parts.


def jacobians(name):
    return of_purifiers("jacobian", name, config["experiments"][name]["jacobian"]["purifiers"])


def outcomes(name):
    part = config["experiments"][name]["jacobian"]
    return known("measures", name, part["purifiers"], part["attack"])


def spectra(name):
    return of_purifiers("ball-spectrum", name, config["experiments"][name]["pca"]["purifiers"])


def budgets(name):
    chosen = config["experiments"][name]
    return [
        path
        for attack, seed in product(chosen["budget"]["attacks"], chosen["seeds"])
        for path in laid(name, "budget", attack, f"seed-{seed}")
    ]


def caps(name):
    part = config["experiments"][name]["cap"]
    return [
        f"results/{name}/cap/{part['purifier']}/{part['attack']}/none/seed-{seed}.zarr.zip"
        for seed in config["experiments"][name]["seeds"]
    ]


def margins(name):
    part = config["experiments"][name]["margins"]
    return known("margins", name, part["purifiers"], part["attack"])


def probes(name):
    probed = dict.fromkeys([*lawful(name), *strengths(name, "attacked", "clean")])
    return of_purifiers("probes", name, probed)


def swept(name):
    """What the sweep over t leaves: the attacks at each t, and the probes."""
    part = config["experiments"][name]["sweep"]
    attacks = [
        path
        for purifier, seed in product(strengths(name, "attacked"), config["experiments"][name]["seeds"])
        for path in laid(name, "adversarial", purifier, part["attack"], "all", f"seed-{seed}")
    ]
    return attacks + probes(name)


def crafted_and_judged(name, attacks, part):
    """What (purifier, attack, knowledge) leave: adversarial images, purified ones, measures."""
    attacks = list(attacks)
    stages = [path for kind in ("purified", "measures") for path in of_attacks(kind, name, attacks, part)]
    return of_attacks("adversarial", name, no_clean(attacks), part) + stages


def walked(name):
    return shown_paths("paths", name) + shown_paths("landscape", name)


PARTS = {
    "jacobian": jacobians,
    "pca": spectra,
    "sweep": swept,
    "budget": budgets,
    "fuzzy": judgings,
    "cap": caps,
    "margins": margins,
    "dw-box": lambda name: crafted_and_judged(name, boxed(name), "dw-box"),
    "addt": lambda name: crafted_and_judged(name, hardened(name), "addt"),
    "paths": walked,
}


# The comparison with the papers.

REFERENCE = ROOT / "config/reference"


def evidence(name):
    """Stores that the findings rest on, by name of the function's argument: of purifiers with a diffusion model."""
    chosen = config["experiments"][name]
    seen = {purifier for purifier in config["purifiers"] if "diffusion" in config["purifiers"][purifier]}
    found = {
        "measured": stage("measures", name),
        "crafted": crafted(name),
        "balls": balls("ball-measures", name) if chosen.get("ball") else [],
        "probes": probes(name) if chosen.get("sweep") else [],
    }
    found |= {
        kind: of(name) if chosen.get(part) else []
        for kind, part, of in (
            ("jacobians", "jacobian", jacobians),
            ("outcomes", "jacobian", outcomes),
            ("spectra", "pca", spectra),
            ("judgings", "fuzzy", judgings),
            ("margins", "margins", margins),
            ("boxed", "dw-box", lambda name: of_attacks("measures", name, boxed(name), "dw-box")),
            ("hardened", "addt", lambda name: of_attacks("measures", name, hardened(name), "addt")),
        )
    }
    # <kind>/<purifier>[@t=<t>]/…
    found = {k: [p for p in paths if Path(p).parts[3].partition("@")[0] in seen] for k, paths in found.items()}
    found |= {
        "subset": blocks(f"results/{name}/data", name),
        "budgets": budgets(name) if chosen.get("budget") else [],
        "caps": caps(name) if chosen.get("cap") else [],
    }
    return {kind: paths for kind, paths in found.items() if paths}


def papers_setting(name):
    return yaml.safe_load((REFERENCE / "settings.yaml").read_text())[config["experiments"][name]["reference"]]


def same_setting(name):
    """Purifiers and attacks of an experiment that are those of the papers' setting."""
    return {kind: same(config[kind], papers_setting(name)[kind]) for kind in ("purifiers", "attacks")}


def compared(name):
    if "reference" not in config["experiments"][name]:
        return []
    chosen, wanted = config["experiments"][name], papers_setting(name)
    return [
        f"results/{name}/tables/comparison-{table}.csv"
        for table in chosen_ones(TABLES, name)
        if (REFERENCE / f"{table}.csv").is_file()
        and agrees(chosen.get(PART.get(table), {}), wanted.get(PART.get(table), {}))
    ]


# Targets.


def origins(diffusion):
    """(kind, name) of a diffusion model, of the ones that it was fine-tuned from, and of the classifiers that guided."""
    yield "diffusions", diffusion
    if chosen := config["diffusions"][diffusion].get("fine_tuning"):
        yield "classifiers", chosen["classifier"]
        yield from origins(chosen["of"])


def made_models(name):
    """(kind, name) of the networks of an experiment."""
    chosen = config["experiments"][name]
    purifiers = [*chosen["attacked"]]
    for part in ("dw-box", "paths"):
        purifiers += (chosen.get(part) or {}).get("purifiers", [])
    purifiers += [purifier for tuned, said in tuned_from(name).items() for purifier in (said["vanilla"], tuned)]
    diffusions = [
        model
        for purifier in purifiers
        if "diffusion" in config["purifiers"][purifier]
        for model in origins(config["purifiers"][purifier]["diffusion"])
    ]
    features = [("features", chosen["features"])] if "features" in chosen else []
    return list(dict.fromkeys([("classifiers", chosen["classifier"]), *diffusions, *features]))


def published_models():
    """Published files that the experiments to run need, unless their receipts are there."""
    models = dict.fromkeys(model for name in config["run"] for model in made_models(name))
    chosen = {f"results/models/{kind}/{name}.json": config[kind][name].get("weights") for kind, name in models}
    return [published for path, published in chosen.items() if isinstance(published, dict) and not Path(path).exists()]


def drawn(name, figures):
    return [f"results/{name}/figures/{figure}.{ending}" for figure, ending in product(figures, ("png", "pdf"))]


def foundation():
    """The main findings: every stage, table and figure that needs no further part of an experiment's config."""
    wanted = []
    for name in config["run"]:
        chosen = config["experiments"][name]
        models = made_models(name)
        wanted += [f"results/models/{kind}/{model}-loss.png" for kind, model in models if made_here(kind, model)]
        wanted += [path for kind, model in models for path in weights(kind, model)]
        wanted += stage("purified", name) + stage("measures", name) + crafted(name)
        wanted += [
            path
            for attack, seed in product(BLIND, chosen["seeds"])
            if any(attack in attacks for attacks in chosen["attacked"].values())
            for path in laid(name, "adversarial", "any", attack, "none", f"seed-{seed}")
        ]
        wanted += [gallery_stores(SimpleNamespace(experiment=name))["states"]]
        wanted += balls("ball", name) + balls("ball-measures", name) if chosen.get("ball") else []
        tables, figures = ([i for i in chosen_ones(of, name) if PART.get(i) in MAIN] for of in (TABLES, SHOWN))
        wanted += [f"results/{name}/tables/{table}.csv" for table in tables]
        wanted += drawn(name, [*figures, "gallery"])
    return list(dict.fromkeys(wanted))


def everything():
    """Every stage of every experiment to run."""
    wanted = foundation()
    for name in config["run"]:
        wanted += [path for part, of in PARTS.items() if config["experiments"][name].get(part) for path in of(name)]
        wanted += [f"results/{name}/tables/{table}.csv" for table in chosen_ones(TABLES, name)]
        wanted += drawn(name, chosen_ones(SHOWN, name))
        wanted += [f"results/{name}/tables/findings.csv", f"results/{name}/comparison.html"]
        wanted += [f"results/{name}/usage.csv"]
    return list(dict.fromkeys(wanted))
