# The data subset, and the networks: published files that are fetched once, or trained here.


localrules:
    fetch,


rule fetch:
    """A published checkpoint in the cache outside results: fetched if it is not there, checked. Leaves a receipt."""
    output:
        "results/models/{kind}/{name}.json",
    log:
        "results/models/logs/{kind}/{name}-fetched.log",
    wildcard_constraints:
        kind="classifiers|diffusions|features",
    # before anything that may take hours
    priority: 1000
    conda:
        CONDA_TABLES
    params:
        spec=lambda w: ordered(config[w.kind][w.name]["weights"]),
        code=code("fetch"),
    script:
        "../scripts/fetch.py"


rule subset:
    """A block of an experiment's test images."""
    output:
        "results/{experiment}/data/images-{block}.zarr.zip",
    log:
        "results/{experiment}/logs/data/images-{block}.log",
    conda:
        CONDA_GPU
    params:
        spec=lambda w: {
            "name": experiment(w)["dataset"],
            "images": [int(number) for number in w.block.split("-")],
            **dataset(experiment(w)["dataset"]),
        },
        code=lambda w: code("subset", *functions(dataset(experiment(w)["dataset"]))),
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
    wildcard_constraints:
        name=one_of(name for name in config["diffusions"] if name not in FINE_TUNED),
    conda:
        CONDA_GPU
    resources:
        gpu=GPU,
    params:
        spec=lambda w: training("diffusions", w.name),
        code=lambda w: code("train_diffusion", *functions(training("diffusions", w.name))),
    script:
        "../scripts/train_diffusion.py"


rule fine_tune:
    """ε_θ of another one, fine-tuned against perturbations that mislead a classifier (ADDT)."""
    input:
        diffusion=lambda w: weights("diffusions", config["diffusions"][w.name]["fine_tuning"]["of"]),
        classifier=lambda w: weights("classifiers", config["diffusions"][w.name]["fine_tuning"]["classifier"]),
    output:
        weights="results/models/diffusions/{name}.safetensors",
        loss="results/models/diffusions/{name}-loss.csv",
    log:
        "results/models/logs/diffusions/{name}.log",
    wildcard_constraints:
        name=one_of(FINE_TUNED),
    conda:
        CONDA_GPU
    resources:
        gpu=GPU,
        batch=config["batch"],
    params:
        spec=lambda w: fine_tuning(w.name),
        code=lambda w: code("fine_tune", *functions(fine_tuning(w.name))),
    script:
        "../scripts/fine_tune.py"
