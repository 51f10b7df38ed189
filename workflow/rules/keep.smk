# A run kept with the project.


localrules:
    keep,


rule keep:
    """What readers look at, copied to docs/<experiment>/ with the record of the run, if all of it is there already."""
    input:
        everything(),
    log:
        "results/logs/keep.log",
    conda:
        CONDA_TABLES
    params:
        spec=config["run"],
    script:
        "../scripts/keep.py"
