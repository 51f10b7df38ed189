# How f_ξ compresses image space: its Jacobian, the ball's spectrum, strengths t, and the budget that does the same.


rule jacobian:
    """Exact singular values of J_f at clean images."""
    input:
        subset=lambda w: clean(w, experiment(w)["jacobian"]["images"]),
        diffusion=diffusion_weights,
    output:
        "results/{experiment}/jacobian/{purifier}/seed-{seed}.zarr.zip",
    log:
        "results/{experiment}/logs/jacobian/{purifier}/seed-{seed}.log",
    conda:
        CONDA_GPU
    resources:
        gpu=GPU,
        batch=config["batch"],
    params:
        spec=lambda w: {
            "keys": keys(w),
            "purifier": purifier(w.purifier),
            "noise": noise(w),
            "images": experiment(w)["jacobian"]["images"],
            "mode": experiment(w)["jacobian"]["mode"],
        },
        code=lambda w: code("jacobian", *functions(purifier(w.purifier))),
    script:
        "../scripts/jacobian.py"


rule ball_spectrum:
    """Principal variances of many points of the ball, before and after."""
    input:
        subset=lambda w: clean(w, experiment(w)["pca"]["images"]),
        diffusion=diffusion_weights,
    output:
        "results/{experiment}/ball-spectrum/{purifier}/seed-{seed}.zarr.zip",
    log:
        "results/{experiment}/logs/ball-spectrum/{purifier}/seed-{seed}.log",
    conda:
        CONDA_GPU
    resources:
        gpu=GPU,
        batch=config["batch"],
    params:
        spec=lambda w: {
            "keys": keys(w),
            "purifier": purifier(w.purifier),
            "noise": noise(w),
            "ball": ordered({key: value for key, value in experiment(w)["pca"].items() if key != "purifiers"}),
        },
        code=lambda w: code("ball_spectrum", *functions(purifier(w.purifier))),
    script:
        "../scripts/ball_spectrum.py"


rule probe:
    """Compression, clean and robust accuracy of a purifier at some strength t, in numbers per image."""
    input:
        subset=clean,
        noisy=lambda w: images_of(w, experiment(w)["sweep"]["noise"]),
        adversarial=lambda w: (
            images_of(w, experiment(w)["sweep"]["attack"], "all") if w.purifier in lawful(w.experiment) else []
        ),
        classifier=classifier_weights,
        diffusion=diffusion_weights,
        features=features_weights,
    output:
        "results/{experiment}/probes/{purifier}/seed-{seed}/images-{block}.zarr.zip",
    log:
        "results/{experiment}/logs/probes/{purifier}/seed-{seed}/images-{block}.log",
    conda:
        CONDA_GPU
    resources:
        gpu=GPU,
        batch=config["batch"],
    params:
        spec=lambda w: {
            "keys": {
                "purifier": w.purifier.partition("@")[0],
                "t": preset(w.purifier)[1].get("t"),
                "seed": int(w.seed),
            },
            "classifier": classifier(w),
            "purifier": purifier(w.purifier),
            "features": features(w),
            "noise": noise(w),
        },
        code=lambda w: code("probe", *functions(classifier(w), purifier(w.purifier), features(w))),
    script:
        "../scripts/probe.py"


rule budget:
    """The undefended classifier under the same attack with smaller budgets."""
    input:
        subset=clean,
        classifier=classifier_weights,
    output:
        "results/{experiment}/budget/{attack}/seed-{seed}/images-{block}.zarr.zip",
    log:
        "results/{experiment}/logs/budget/{attack}/seed-{seed}/images-{block}.log",
    wildcard_constraints:
        attack=one_of(SIGHTED),
    conda:
        CONDA_GPU
    resources:
        gpu=GPU,
        batch=config["batch"],
    params:
        spec=lambda w: {
            "keys": keys(w),
            "attack": attack(w.attack),
            "classifier": classifier(w),
            "noise": noise(w),
            "scales": experiment(w)["budget"]["scales"],
        },
        code=lambda w: code("budget", *functions(attack(w.attack), classifier(w))),
    script:
        "../scripts/budget.py"
