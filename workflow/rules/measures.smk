# Per-image measures of what came out. No network is needed here.


rule measure:
    """Distances to x₀ before and after, compression rate, outcomes."""
    input:
        subset=clean,
        adversarial=adversarial,
        purified=purified,
        anchor=anchor,
    output:
        "results/{experiment}/measures/{purifier}/{attack}/{knowledge}/seed-{seed}.zarr.zip",
    log:
        "results/{experiment}/logs/measures/{purifier}/{attack}/{knowledge}/seed-{seed}.log",
    conda:
        CONDA_TABLES
    params:
        spec=lambda w: {"keys": keys(w) | measured_in(w) | fine_tuned(w)},
        code=code("measure"),
    script:
        "../scripts/measure.py"


rule measure_ball:
    """Directions, distances to centroids, and the decomposition of variance."""
    input:
        "results/{experiment}/ball/{purifier}/seed-{seed}.zarr.zip",
    output:
        "results/{experiment}/ball-measures/{purifier}/seed-{seed}.zarr.zip",
    log:
        "results/{experiment}/logs/ball-measures/{purifier}/seed-{seed}.log",
    conda:
        CONDA_TABLES
    params:
        spec=lambda w: {"keys": keys(w)},
        code=code("measure_ball"),
    script:
        "../scripts/measure_ball.py"
