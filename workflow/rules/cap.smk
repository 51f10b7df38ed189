# Adversarial regions as caps with sharp edges (earlier version §5).


rule cap:
    """The classifier's decisions along, across and around the adversarial direction."""
    input:
        subset=lambda w: experiment(w).data(),
        adversarial=attacked,
        classifier=classifier_weights,
    output:
        store("cap"),
    log:
        log("cap"),
    benchmark:
        timing("cap")
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("cap"),
    script:
        "../scripts/stage.py"


study(
    "cap",
    section="6 Adversarial caps and margins (earlier version, §5, §6)",
    reads={"caps": "cap"},
    tables=["cap-images", "cap", "cap-transition", "cap-slices"],
    figures={"cap": ["cap-images", "cap-transition", "cap-slices"]},
    evidence=True,
)
