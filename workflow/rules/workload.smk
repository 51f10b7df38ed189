# What there is to compute, for `snakemake cost`: jobs that ask a network, each with how often.


def held(path):
    """How many images a block has."""
    first, last = re.search(r"images-(\d+)-(\d+)\.", path).groups()
    return int(last) - int(first) + 1


def workload(name):
    """Jobs of an experiment, each with what it does, as purity.run.cost.table takes them."""
    return list(planned(name).values())


def computed(name):
    """The stores that those jobs make."""
    return list(planned(name))


def planned(name):
    """Those jobs by their stores: what two parts ask for is made once."""
    chosen = config["experiments"][name]
    jobs = {}

    def plan(paths, **does):
        """does: of the whole stage, or of an image if it comes in blocks."""
        for path in paths:
            _, _, stage, purifier, *rest = Path(path).parts
            job = {"stage": stage, "purifier": purifier, "done": Path(path).exists()}
            jobs[path] = job | {k: n * held(path) if stage in BLOCKED else n for k, n in does.items()}
            if stage == "adversarial":
                jobs[path]["attack"] = rest[0]
            if stage == "paths":  # the EOT attack is nearly all of it
                jobs[path]["attack"] = averaged(rest[0])
            if stage == "budget":
                jobs[path] |= {"purifier": None, "attack": purifier}

    plan(crafted(name), images=1)
    plan(stage("purified", name), purifications=1 + chosen["fresh_draws"])
    plan([gallery_stores(SimpleNamespace(experiment=name))["states"]], purifications=chosen["gallery"]["images"])
    if part := chosen.get("ball"):
        plan(balls("ball", name), purifications=part["images"] * part["points"] * part["draws"])
    if chosen.get("sweep"):
        plan([path for path in swept(name) if "/adversarial/" in path], images=1)
        # clean images under two ξ and noisy ones; attacked ones too where there are any
        plan(probes(name), purifications=3)
        plan(of_purifiers("probes", name, lawful(name)), purifications=4)
    if part := chosen.get("budget"):
        plan(budgets(name), images=len(part["scales"]))
    if part := chosen.get("jacobian"):
        plan(jacobians(name), jacobians=part["images"])
    if part := chosen.get("pca"):
        plan(spectra(name), purifications=part["images"] * part["points"])
    if part := chosen.get("fuzzy"):
        plan(judgings(name), purifications=part["judgings"])
    for part, attacks in (("dw-box", boxed), ("addt", hardened)):
        if chosen.get(part):
            plan(of_attacks("adversarial", name, no_clean(attacks(name)), part), images=1)
            plan(of_attacks("purified", name, attacks(name), part), purifications=1 + chosen["fresh_draws"])
    for tuned in (model for kind, model in made_models(name) if kind == "diffusions" and model in FINE_TUNED):
        (path,), part = weights("diffusions", tuned), config["diffusions"][tuned]["fine_tuning"]
        user = next((f for f, preset in config["purifiers"].items() if preset.get("diffusion") == tuned), None)
        updates = {"updates": part["steps"] * part["batch"], "looks": part["options"]["iterations"]}
        jobs[path] = {"stage": "fine-tuning", "purifier": user, "done": Path(path).exists()} | updates
    if part := chosen.get("paths"):
        plan(shown_paths("paths", name), images=part["images"] * part["repeats"])
        plan(shown_paths("landscape", name), purifications=part["images"] * part["points"] ** 2)
    return jobs


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
