# Where attackers go who know ξ, and who average over it, and the loss around (Liu et al. 2025).


rule paths:
    """Ways of three attackers from the first images: single gradients, EOT, and DW-box, which knows ξ."""
    input:
        subset=lambda w: experiment(w).data(images=experiment(w).part("paths")["images"]),
        classifier=classifier_weights,
        diffusion=diffusion_weights,
    output:
        store("paths"),
    log:
        log("paths"),
    benchmark:
        timing("paths")
    wildcard_constraints:
        attack=one_of(PRESETS.sighted),
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("paths"),
    script:
        "../scripts/stage.py"


rule landscape:
    """Loss under the fixed ξ over the DW-box perturbation and what the EOT perturbation has beside it."""
    input:
        subset=lambda w: experiment(w).data(images=experiment(w).part("paths")["images"]),
        paths=store("paths"),
        classifier=classifier_weights,
        diffusion=diffusion_weights,
    output:
        store("landscape"),
    log:
        log("landscape"),
    benchmark:
        timing("landscape")
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("landscape"),
    script:
        "../scripts/stage.py"


study(
    "paths",
    section="7 The stochastic perspective (Liu et al. 2025)",
    reads={"paths": "paths", "landscapes": "landscape"},
    tables=["attack-paths", "landscape", "landscape-paths"],
    figures={"attack-paths": ["attack-paths"], "landscape": ["landscape", "landscape-paths"]},
    evidence=True,
)
