# snakemake check: is every part of the experiments what docs/contract.md asks for? Minutes, before days.

from purity.run import checks


localrules:
    check,


rule check_parts:
    """Each part on a few images: repeated, alone, in another order. Networks that are not trained yet are untrained."""
    output:
        temp("results/{experiment}/logs/checked.txt"),
    log:
        "results/{experiment}/logs/check.log",
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
    params:
        spec=lambda w: checks.spec(experiment(w)),
    script:
        "../scripts/check_parts.py"


rule check:
    """Data sets, networks, purifiers and attacks of the experiments to run, held to their contract. Trains nothing."""
    input:
        expand("results/{experiment}/logs/checked.txt", experiment=config["run"]),
