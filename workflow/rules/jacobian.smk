# Singular values of J_f (Fig. 3a).


rule jacobian:
    """Exact singular values of J_f at clean images."""
    input:
        subset=lambda w: experiment(w).data(images=experiment(w).part("jacobian")["images"]),
        diffusion=diffusion_weights,
    output:
        store("jacobian"),
    log:
        log("jacobian"),
    benchmark:
        timing("jacobian")
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("jacobian"),
    script:
        "../scripts/stage.py"


study(
    "jacobian",
    section="4 Compression of image space (§5, App. C.4)",
    reads={"jacobians": "jacobian", "outcomes": "jacobian-outcomes"},
    tables=["jacobian", "jacobian-spectrum"],
    figures={"jacobian": ["jacobian-spectrum", "jacobian"]},
    evidence=True,
)
