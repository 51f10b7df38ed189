# The stochastic perspective: where attackers go who know ξ, and who average over it.


rule attack_paths:
    """Ways of three attackers from the first images: single gradients, EOT, and DW-box, which knows ξ."""
    input:
        subset=lambda w: clean(w, experiment(w)["paths"]["images"]),
        classifier=classifier_weights,
        diffusion=diffusion_weights,
    output:
        "results/{experiment}/paths/{purifier}/{attack}/seed-{seed}.zarr.zip",
    log:
        "results/{experiment}/logs/paths/{purifier}/{attack}/seed-{seed}.log",
    wildcard_constraints:
        attack=one_of(SIGHTED),
    conda:
        CONDA_GPU
    resources:
        gpu=GPU,
        batch=config["batch"],
    params:
        spec=lambda w: attack_spec(w)
        | {"averaged": attack(averaged(w.attack))}
        | {key: experiment(w)["paths"][key] for key in ("images", "repeats")},
        code=lambda w: code(
            "attack_paths",
            *functions(attack(w.attack), attack(averaged(w.attack)), classifier(w), purifier(w.purifier)),
        ),
    script:
        "../scripts/attack_paths.py"


rule landscape:
    """Loss under the fixed ξ over the DW-box perturbation and what the EOT perturbation has beside it."""
    input:
        paths="results/{experiment}/paths/{purifier}/{attack}/seed-{seed}.zarr.zip",
        classifier=classifier_weights,
        diffusion=diffusion_weights,
    output:
        "results/{experiment}/landscape/{purifier}/{attack}/seed-{seed}.zarr.zip",
    log:
        "results/{experiment}/logs/landscape/{purifier}/{attack}/seed-{seed}.log",
    conda:
        CONDA_GPU
    resources:
        gpu=GPU,
        batch=config["batch"],
    params:
        spec=lambda w: {
            "keys": keys(w),
            "classifier": classifier(w),
            "purifier": purifier(w.purifier),
            "noise": noise(w),
            **{key: experiment(w)["paths"][key] for key in ("points", "reach")},
        },
        code=lambda w: code("landscape", *functions(classifier(w), purifier(w.purifier))),
    script:
        "../scripts/landscape.py"
