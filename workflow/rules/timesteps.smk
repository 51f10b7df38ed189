# The strength t varied: compression and robustness (Table 7), and clean accuracy up to T (Fig. S4).


rule probe:
    """Compression, clean and robust accuracy of a purifier at some strength t, in numbers per image."""
    input:
        subset=lambda w: experiment(w).data(w.block),
        noisy=lambda w: experiment(w).adversarial(experiment(w).probed(w.purifier)[0], w.block),
        adversarial=lambda w: experiment(w).adversarial(experiment(w).probed(w.purifier)[1], w.block),
        classifier=classifier_weights,
        diffusion=diffusion_weights,
        features=features_weights,
    output:
        store("probes"),
    log:
        log("probes"),
    benchmark:
        timing("probes")
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("probe"),
    script:
        "../scripts/stage.py"


study(
    "timesteps",
    section="4 Compression of image space (§5, App. C.4)",
    reads={"probes": "strengths"},
    tables=["timesteps", "clean-t"],
    figures={"timesteps": ["timesteps"], "clean-t": ["clean-t"]},
    evidence=True,
)
