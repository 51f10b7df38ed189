# The data subset, and the networks that are trained here.


rule subset:
    """The test images of an experiment."""
    output:
        "results/{experiment}/data/subset.zarr.zip",
    log:
        "results/{experiment}/logs/subset.log",
    conda:
        CONDA_GPU
    params:
        spec=lambda w: {
            "dataset": experiment(w)["dataset"],
            "images": experiment(w)["images"],
            **config["datasets"][experiment(w)["dataset"]],
        },
        code=lambda w: code("subset", *functions(config["datasets"][experiment(w)["dataset"]])),
    script:
        "../scripts/subset.py"


rule train_classifier:
    """g, on the training split of its data set."""
    output:
        weights="results/models/classifiers/{name}.safetensors",
        loss="results/models/classifiers/{name}-loss.csv",
    log:
        "results/models/logs/classifiers/{name}.log",
    conda:
        CONDA_GPU
    resources:
        gpu=GPU,
    params:
        spec=lambda w: training("classifiers", w.name),
        code=lambda w: code("train_classifier", *functions(training("classifiers", w.name))),
    script:
        "../scripts/train_classifier.py"


rule train_diffusion:
    """ε_θ, on the same."""
    output:
        weights="results/models/diffusions/{name}.safetensors",
        loss="results/models/diffusions/{name}-loss.csv",
    log:
        "results/models/logs/diffusions/{name}.log",
    conda:
        CONDA_GPU
    resources:
        gpu=GPU,
    params:
        spec=lambda w: training("diffusions", w.name),
        code=lambda w: code("train_diffusion", *functions(training("diffusions", w.name))),
    script:
        "../scripts/train_diffusion.py"
