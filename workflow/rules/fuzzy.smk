# Fuzzy robustness (earlier version §4): is an attacked image robust, fooled, or both by chance?


rule fuzzy:
    """Each image judged many times under fresh ξ; only the predictions are kept."""
    input:
        subset=lambda w: experiment(w).data(w.block),
        adversarial=attacked,
        classifier=classifier_weights,
        diffusion=diffusion_weights,
    output:
        store("fuzzy"),
    log:
        log("fuzzy"),
    benchmark:
        timing("fuzzy")
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("fuzzy"),
    script:
        "../scripts/stage.py"


study(
    "fuzzy",
    section="5 Fuzzy robustness (earlier version, §4)",
    reads={"judgings": "fuzzy"},
    tables=["fuzzy", "fuzzy-grades"],
    figures={"fuzzy": ["fuzzy", "fuzzy-grades"]},
    evidence=True,
)
