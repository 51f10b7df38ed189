# Adversarial images x = x₀ + εη.


rule perturb:
    """Perturbations that look at no defence, made once for all purifiers."""
    input:
        subset=clean,
    output:
        "results/{experiment}/adversarial/any/{attack}/{knowledge}/seed-{seed}/images-{block}.zarr.zip",
    log:
        "results/{experiment}/logs/adversarial/any/{attack}/{knowledge}/seed-{seed}/images-{block}.log",
    wildcard_constraints:
        attack=one_of(BLIND),
        knowledge="none",
    conda:
        CONDA_GPU
    resources:
        batch=config["batch"],
    params:
        spec=lambda w: {"keys": keys(w), "attack": attack(w.attack), "noise": noise(w)},
        code=lambda w: code("perturb", *functions(attack(w.attack))),
    script:
        "../scripts/perturb.py"


rule attack:
    """An attack on one purifier, by one who knows this much of ξ."""
    input:
        subset=clean,
        classifier=classifier_weights,
        diffusion=diffusion_weights,
    output:
        "results/{experiment}/adversarial/{purifier}/{attack}/{knowledge}/seed-{seed}/images-{block}.zarr.zip",
    log:
        "results/{experiment}/logs/adversarial/{purifier}/{attack}/{knowledge}/seed-{seed}/images-{block}.log",
    wildcard_constraints:
        attack=one_of(SIGHTED),
    # long jobs first: nothing should wait alone for the last one
    priority: lambda w: attack(w.attack)["options"].get("draws", 1)
    conda:
        CONDA_GPU
    resources:
        gpu=GPU,
        batch=config["batch"],
    params:
        spec=attack_spec,
        code=lambda w: code("attack", *functions(attack(w.attack), classifier(w), purifier(w.purifier))),
    script:
        "../scripts/attack.py"
