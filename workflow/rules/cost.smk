# snakemake cost: hours before they are spent. And what was spent.


localrules:
    cost,
    usage,


def other_jobs(name):
    """Outputs of all jobs of an experiment whose work takes minutes, a file for each: they cost a start."""
    here = [study for study in STUDIES.values() if study.made(EXPERIMENTS[name])]
    wanted = EXPERIMENTS[name].all_stores() + trained(name, GROUPS)
    wanted += [f"results/{name}/tables/{next(iter(study.tables))}.csv" for study in here if study.tables]
    wanted += [f"results/{name}/figures/{figure}.png" for study in here for figure in study.figures]
    wanted += [f"results/{name}/{last}" for last in ("figures/gallery.png", "tables/findings.csv", "comparison.html")]
    counted = workload.jobs(EXPERIMENTS[name])
    return [path for path in dict.fromkeys(wanted) if path not in counted and path.startswith("results/")]


rule calibrate:
    """Seconds of an evaluation on this device, evaluations of every purifier and attack."""
    input:
        unpack(calibrated),
        subset=lambda w: experiment(w).data(images=1),
    output:
        "results/{experiment}/cost/calibration.json",
    log:
        "results/{experiment}/logs/cost/calibration.log",
    priority: 900
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        spec=lambda w: workload.calibration(experiment(w)),
        code=calibration_code,
    script:
        "../scripts/calibrate.py"


rule cost:
    """Jobs, evaluations and hours of each rule of the experiments to run; what is done is left out of `hours left`."""
    input:
        expand("results/{experiment}/cost/calibration.json", experiment=config["run"]),
    log:
        "results/logs/cost.log",
    conda:
        CONDA_TABLES
    resources:
        **TABLES,
    params:
        spec=lambda w: {name: list(workload.jobs(EXPERIMENTS[name]).values()) for name in config["run"]},
        others=lambda w: {name: other_jobs(name) for name in config["run"]},
    script:
        "../scripts/cost.py"


rule usage:
    """Memory and time that the jobs took which ask a network."""
    input:
        lambda w: list(workload.jobs(experiment(w))),
    output:
        "results/{experiment}/usage.csv",
    log:
        "results/{experiment}/logs/usage.log",
    conda:
        CONDA_TABLES
    resources:
        **TABLES,
    params:
        spec={},
        code=code("usage"),
    script:
        "../scripts/usage.py"
