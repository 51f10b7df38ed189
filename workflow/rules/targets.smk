# What there is to make: the main findings, and everything.


def drawn(name, figures):
    return [f"results/{name}/figures/{figure}.{ending}" for figure, ending in product(figures, ("png", "pdf"))]


def made(name, chosen):
    """Tables and figures of these studies, as far as the experiment has what they read."""
    here = [study for study in chosen if study.made(EXPERIMENTS[name])]
    tables = [f"results/{name}/tables/{table}.csv" for study in here for table in study.tables]
    return tables + drawn(name, [figure for study in here for figure in study.figures])


def trained(name, groups):
    """Checkpoints, and how training went, of the networks that these groups need."""
    models = EXPERIMENTS[name].models(groups)
    curves = [f"results/models/{kind}/{model}-loss.png" for kind, model in models if PRESETS.made_here(kind, model)]
    return curves + [path for kind, model in models for path in PRESETS.weights(kind, model)]


def foundation():
    """The main findings: every stage, table and figure that needs no further part of an experiment's config."""
    wanted = []
    for name in config["run"]:
        main = [study for study in STUDIES.values() if study.part() is None]
        wanted += trained(name, ["attacked"]) + EXPERIMENTS[name].main_stores()
        wanted += made(name, main) + drawn(name, ["gallery"])
    return list(dict.fromkeys(wanted))


def everything():
    """Every stage, table and figure of every experiment to run."""
    wanted = foundation()
    for name in config["run"]:
        wanted += trained(name, GROUPS) + EXPERIMENTS[name].all_stores() + made(name, STUDIES.values())
        wanted += [f"results/{name}/tables/winner.yaml"] if EXPERIMENTS[name].part("search") else []
        wanted += drawn(name, ["samples"] if EXPERIMENTS[name].part("samples") else [])
        wanted += [f"results/{name}/tables/findings.csv", f"results/{name}/comparison.html"]
        wanted += [f"results/{name}/usage.csv"]
        wanted += [f"results/{name}/judgement.html"] if name in JUDGED else []
    return list(dict.fromkeys(wanted))


def published_files(receipts):
    """The published files that these receipts are of."""
    models = ((path.parent.name, path.stem) for path in map(Path, receipts))
    return [config[kind][name]["weights"] for kind, name in models]
