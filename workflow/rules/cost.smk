# snakemake cost: hours before they are spent. And what was spent.


localrules:
    cost,
    usage,


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
        code=lambda w: code("usage"),
    script:
        "../scripts/usage.py"
