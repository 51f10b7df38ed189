# The earlier version's questions: fuzzy robustness, the caps that adversarial regions are, margins to them.


rule judge:
    """Each image judged many times under fresh ξ; only the predictions are kept."""
    input:
        subset=clean,
        adversarial=adversarial,
        classifier=classifier_weights,
        diffusion=diffusion_weights,
    output:
        "results/{experiment}/judgings/{purifier}/{attack}/{knowledge}/seed-{seed}/images-{block}.zarr.zip",
    log:
        "results/{experiment}/logs/judgings/{purifier}/{attack}/{knowledge}/seed-{seed}/images-{block}.log",
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
            "judgings": experiment(w)["fuzzy"]["judgings"],
        },
        code=lambda w: code("judge", *functions(classifier(w), purifier(w.purifier))),
    script:
        "../scripts/judge.py"


rule adversarial_cap:
    """The classifier's decisions along, across and around the adversarial direction."""
    input:
        subset=clean,
        adversarial=adversarial,
        # the same attack from another random start: the second adversarial direction
        other=lambda w: adversarial(SimpleNamespace(**{**w, "seed": another_seed(w)})),
        classifier=classifier_weights,
    output:
        "results/{experiment}/cap/{purifier}/{attack}/{knowledge}/seed-{seed}.zarr.zip",
    log:
        "results/{experiment}/logs/cap/{purifier}/{attack}/{knowledge}/seed-{seed}.log",
    conda:
        CONDA_GPU
    resources:
        gpu=GPU,
        batch=config["batch"],
    params:
        spec=lambda w: {
            "keys": keys(w),
            "classifier": classifier(w),
            "noise": noise(w),
            "cap": {key: experiment(w)["cap"][key] for key in ("radius", "points", "slices")},
        },
        code=lambda w: code("adversarial_cap", *functions(classifier(w))),
    script:
        "../scripts/adversarial_cap.py"


rule margins:
    """How far an attack moves purified images, and how far the decision is."""
    input:
        subset=clean,
        adversarial=adversarial,
        purified=purified,
        anchor=anchor,
        classifier=classifier_weights,
    output:
        "results/{experiment}/margins/{purifier}/{attack}/{knowledge}/seed-{seed}.zarr.zip",
    log:
        "results/{experiment}/logs/margins/{purifier}/{attack}/{knowledge}/seed-{seed}.log",
    wildcard_constraints:
        knowledge="all",
    conda:
        CONDA_GPU
    resources:
        gpu=GPU,
        batch=config["batch"],
    params:
        spec=lambda w: {
            "keys": keys(w),
            "classifier": classifier(w),
            "reach": experiment(w)["margins"]["reach"],
        },
        code=lambda w: code("margins", *functions(classifier(w))),
    script:
        "../scripts/margins.py"
