# How far the decision is from purified images (earlier version §6, Fig. 6).


rule margins:
    """How far an attack moves purified images, and how far the decision is."""
    input:
        subset=lambda w: experiment(w).data(),
        adversarial=attacked,
        purified=lambda w: experiment(w).of_cells("purified", [Cell(w.purifier, w.attack, w.knowledge)]),
        anchor=lambda w: experiment(w).anchors(w.purifier),
        classifier=classifier_weights,
    output:
        store("margins"),
    log:
        log("margins"),
    benchmark:
        timing("margins")
    wildcard_constraints:
        knowledge="all",
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("margins"),
    script:
        "../scripts/stage.py"


study(
    "margins",
    section="6 Adversarial caps and margins (earlier version, §5, §6)",
    reads={"thresholds": "margins"},
    tables=["margins-images", "margins", "margins-roc"],
    figures={"margins": ["margins-images", "margins-roc"]},
    evidence=True,
)
