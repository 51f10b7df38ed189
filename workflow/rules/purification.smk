# f_ξ(x) of clean and attacked images, and what is measured of it.


rule purify:
    """Images purified and classified, under the fixed ξ and under fresh ones: all attacks of a group on one purifier."""
    input:
        subset=lambda w: experiment(w).data(w.block),
        adversarial=lambda w: experiment(w).adversarial(experiment(w).judged(w.purifier, w.group), w.block),
        classifier=classifier_weights,
        diffusion=diffusion_weights,
        features=features_weights,
    output:
        store("purified"),
    log:
        log("purified"),
    benchmark:
        timing("purified")
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("purify"),
    script:
        "../scripts/stage.py"


rule measure:
    """Distances to x₀ before and after, compression rate, outcomes. No network is needed here."""
    input:
        subset=lambda w: experiment(w).data(),
        adversarial=lambda w: experiment(w).adversarial(experiment(w).judged(w.purifier, w.group)),
        purified=lambda w: experiment(w).stores("purified", purifier=w.purifier, group=w.group),
        anchor=lambda w: experiment(w).anchors(w.purifier),
    output:
        store("measures"),
    log:
        log("measures"),
    conda:
        CONDA_TABLES
    resources:
        **TABLES,
    params:
        **staged("measure", script="measure"),
    script:
        "../scripts/measure.py"
