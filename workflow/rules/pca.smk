# Principal components of the ball before and after purification (earlier version, Fig. 5b).


rule pca:
    """Principal variances of many points of the ball, before and after."""
    input:
        subset=lambda w: experiment(w).data(images=experiment(w).part("pca")["images"]),
        diffusion=diffusion_weights,
    output:
        store("pca"),
    log:
        log("pca"),
    benchmark:
        timing("pca")
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("pca"),
    script:
        "../scripts/stage.py"


study(
    "pca",
    section="4 Compression of image space (§5, App. C.4)",
    reads={"spectra": "pca"},
    tables=["pca"],
    figures={"pca": ["pca"]},
    evidence=True,
)
