# What there is to compute, for `snakemake cost`: jobs that ask a network, each with how often.


def workload(name):
    """Jobs of an experiment, each with what it does, as purity.cost.table takes them."""
    chosen = config["experiments"][name]
    n = chosen["images"]
    planned = {}  # by store: one that two parts ask for is made once

    def plan(paths, **does):
        for path in paths:
            _, _, stage, purifier, *rest = Path(path).parts
            planned[path] = {"stage": stage, "purifier": purifier, "done": Path(path).exists()} | does
            if stage == "adversarial":
                planned[path]["attack"] = rest[0]

    plan(crafted(name), images=n)
    plan(stage("purified", name), purifications=n * (1 + chosen["fresh_draws"]))
    plan([gallery_stores(SimpleNamespace(experiment=name))["states"]], purifications=chosen["gallery"]["images"])
    if part := chosen.get("ball"):
        plan(balls("ball", name), purifications=part["images"] * part["points"] * part["draws"])
    if chosen.get("sweep"):
        plan([path for path in swept(name) if "/adversarial/" in path], images=n)
        # clean images under two ξ and noisy ones; attacked ones too where there are any
        plan(probes(name), purifications=3 * n)
        plan(of_purifiers("probes", name, lawful(name)), purifications=4 * n)
    if part := chosen.get("budget"):
        for path in budgets(name):
            does = {"attack": Path(path).parts[3], "images": n * len(part["scales"])}
            planned[path] = {"stage": "budget", "purifier": None, "done": Path(path).exists()} | does
    if part := chosen.get("jacobian"):
        plan(jacobians(name), jacobians=part["images"])
    if part := chosen.get("pca"):
        plan(spectra(name), purifications=part["images"] * part["points"])
    if part := chosen.get("fuzzy"):
        plan(judgings(name), purifications=n * part["judgings"])
    return list(planned.values())


def measured_purifiers(name):
    return [purifier for purifier in dict.fromkeys(job["purifier"] for job in workload(name)) if purifier]


def measured_diffusions(name):
    found = (preset(purifier)[0].get("diffusion") for purifier in measured_purifiers(name))
    return list(dict.fromkeys(filter(None, found)))


def measured_networks(w):
    return {f"diffusion{k}": weights("diffusions", name) for k, name in enumerate(measured_diffusions(w.experiment))}


def calibration_spec(w):
    diffusions = measured_diffusions(w.experiment)
    purifiers = {}
    for name in measured_purifiers(w.experiment):
        made, diffusion = purifier(name), preset(name)[0].get("diffusion")
        place = diffusions.index(diffusion) if diffusion else None
        purifiers[name] = {"make": made["make"], "options": made["options"], "diffusion": place}
    return {
        "classifier": classifier(w),
        "diffusions": [model("diffusions", name) for name in diffusions],
        "purifiers": purifiers,
        "attacks": {job["attack"]: attack(job["attack"]) for job in workload(w.experiment) if "attack" in job},
    }


def measured_functions(w):
    """All that a calibration calls, as roots of a code digest."""
    spec = calibration_spec(w)
    return functions(spec["classifier"], *spec["diffusions"], *spec["purifiers"].values(), *spec["attacks"].values())
