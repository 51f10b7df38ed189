# The law of one classifier, tried on another one.


rule elsewhere:
    """The sweep's attack on a purifier before another classifier."""
    input:
        subset=lambda w: experiment(w).data(),
        noisy=lambda w: experiment(w).adversarial([Cell("any", experiment(w).part("sweep")["noise"], "none")]),
        classifier=lambda w: checkpoints(PRESETS.weights("classifiers", experiment(w).part("elsewhere")["classifier"])),
        diffusion=diffusion_weights,
    output:
        store("elsewhere"),
    log:
        log("elsewhere"),
    benchmark:
        timing("elsewhere")
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("elsewhere"),
    script:
        "../scripts/stage.py"


study(
    "elsewhere",
    section="7 Search for other purifiers",
    reads={"probes": "papers", "tried": "elsewhere"},
    tables=["elsewhere"],
    figures={"elsewhere": ["elsewhere", "law", "law-fit"]},
    evidence=True,
)
