# Samples of the diffusion models: what they have learnt.


rule samples:
    """Grey images at full strength: samples of a purifier's diffusion model."""
    input:
        subset=lambda w: experiment(w).data(images=experiment(w).part("samples")["images"]),
        classifier=classifier_weights,
        diffusion=diffusion_weights,
        features=features_weights,
    output:
        store("samples"),
    log:
        log("samples"),
    benchmark:
        timing("samples")
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("samples"),
    script:
        "../scripts/stage.py"


localrules:
    samples_figure,


rule samples_figure:
    """The first of them."""
    input:
        lambda w: [
            path
            for purifier in experiment(w).part("samples")["purifiers"]
            for path in experiment(w).stores("samples", purifier=purifier)
        ],
    output:
        png=report(
            "results/{experiment}/figures/samples.png",
            caption="../report/samples.rst",
            category="8 Networks trained here",
            labels={"experiment": "{experiment}", "shows": "samples"},
        ),
        pdf="results/{experiment}/figures/samples.pdf",
    log:
        "results/{experiment}/logs/figures/samples.log",
    conda:
        CONDA_TABLES
    params:
        code=lambda w: code("samples"),
    script:
        "../scripts/samples.py"


study(
    "samples",
    section="8 Networks trained here",
    reads={"drawn": "samples"},
    tables=["samples"],
)
