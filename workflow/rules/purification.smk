# f_ξ(x) of attacked and clean images, of points of the ball, and of a few images state by state.


rule purify:
    """Images purified and classified, under the fixed ξ and under fresh ones."""
    input:
        subset=clean,
        adversarial=adversarial,
        classifier=classifier_weights,
        diffusion=diffusion_weights,
        features=features_weights,
    output:
        "results/{experiment}/purified/{purifier}/{attack}/{knowledge}/seed-{seed}/images-{block}.zarr.zip",
    log:
        "results/{experiment}/logs/purified/{purifier}/{attack}/{knowledge}/seed-{seed}/images-{block}.log",
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
            "features": features(w),
            "noise": noise(w),
            "fresh_draws": experiment(w)["fresh_draws"],
        },
        code=lambda w: code("purify", *functions(classifier(w), purifier(w.purifier), features(w))),
    script:
        "../scripts/purify.py"


rule sample_ball:
    """Points of the ball around clean images, each purified under the same draws of ξ."""
    input:
        subset=lambda w: clean(w, experiment(w)["ball"]["images"]),
        diffusion=diffusion_weights,
    output:
        "results/{experiment}/ball/{purifier}/seed-{seed}.zarr.zip",
    log:
        "results/{experiment}/logs/ball/{purifier}/seed-{seed}.log",
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
            "ball": ordered({key: value for key, value in experiment(w)["ball"].items() if key != "purifiers"}),
        },
        code=lambda w: code("sample_ball", *functions(purifier(w.purifier))),
    script:
        "../scripts/sample_ball.py"


rule walk:
    """Every state of a few attacked images on their way through one purifier, for the gallery."""
    input:
        adversarial=lambda w: adversarial(w, experiment(w)["gallery"]["images"]),
        diffusion=diffusion_weights,
    output:
        "results/{experiment}/states/{purifier}/{attack}/{knowledge}/seed-{seed}.zarr.zip",
    log:
        "results/{experiment}/logs/states/{purifier}/{attack}/{knowledge}/seed-{seed}.log",
    conda:
        CONDA_GPU
    resources:
        gpu=GPU,
    params:
        spec=lambda w: {
            "keys": keys(w),
            "purifier": purifier(w.purifier),
            "noise": noise(w),
            "images": experiment(w)["gallery"]["images"],
        },
        code=lambda w: code("walk", *functions(purifier(w.purifier))),
    script:
        "../scripts/walk.py"
