# Long strengths: are clean images lost there, or gradients masked?


rule third_regime:
    """A purifier at a long strength under larger budgets and other attacks."""
    input:
        subset=lambda w: experiment(w).data(),
        noisy=lambda w: experiment(w).adversarial([Cell("any", experiment(w).part("sweep")["noise"], "none")]),
        classifier=classifier_weights,
        diffusion=diffusion_weights,
    output:
        store("third-regime"),
    log:
        log("third-regime"),
    benchmark:
        timing("third-regime")
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("third_regime"),
    script:
        "../scripts/stage.py"


study(
    "third-regime",
    section="4 Compression of image space (§5, App. C.4)",
    reads={"probes": "papers", "tried": "third-regime", "long": "long"},
    tables=["third-regime", "third-regime-attacks"],
    figures={"third-regime": ["third-regime", "third-regime-attacks", "law"]},
    evidence=True,
)
