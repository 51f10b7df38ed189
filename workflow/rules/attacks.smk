# Adversarial images x = x₀ + εη. A store has a part for each seed; parts that are there are not made again.


rule perturb:
    """Perturbations that look at no defence, made once for all purifiers."""
    input:
        subset=lambda w: experiment(w).data(w.block),
    output:
        store("blind"),
    log:
        log("blind"),
    wildcard_constraints:
        attack=one_of(PRESETS.blind),
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        batch=config["batch"],
    params:
        **staged("perturb", script="perturb"),
    script:
        "../scripts/perturb.py"


rule attack:
    """An attack on one purifier, by one who knows this much of ξ."""
    input:
        subset=lambda w: experiment(w).data(w.block),
        classifier=classifier_weights,
        diffusion=diffusion_weights,
    output:
        store("adversarial"),
    log:
        log("adversarial"),
    benchmark:
        timing("adversarial")
    wildcard_constraints:
        attack=f"(?:{one_of(PRESETS.sighted)})(?:@[^/]+)?",
    # long jobs first: nothing should wait alone for the last one
    priority: lambda w: PRESETS.attack(w.attack)["options"].get("draws", 1)
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("attack"),
    script:
        "../scripts/stage.py"
