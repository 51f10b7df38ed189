# The data subset, and the networks: published files that are fetched once, or trained here.


localrules:
    fetch,
    loss_curve,


rule fetch:
    """A published checkpoint in the cache outside results: fetched if it is not there, checked. Leaves a receipt."""
    output:
        "results/models/{kind}/{name}.json",
    log:
        "results/models/logs/{kind}/{name}-fetched.log",
    wildcard_constraints:
        kind=kinds_of(PRESETS.published, r"\.json"),
    # before anything that may take hours
    priority: 1000
    conda:
        CONDA_TABLES
    resources:
        **TABLES,
    params:
        spec=lambda w: ordered(config[w.kind][w.name]["weights"]),
        code=lambda w: code("fetch"),
    script:
        "../scripts/fetch.py"


rule subset:
    """A block of an experiment's test images: what the loader gives to one job begins with what it gave to the first."""
    input:
        first=lambda w: experiment(w).first_block(w.block),
    output:
        store("data"),
    log:
        log("data"),
    conda:
        CONDA_GPU
    resources:
        **TABLES,
    params:
        spec=lambda w: experiment(w).subset(w.block),
        code=lambda w: code("subset", experiment(w).subset(w.block)),
    script:
        "../scripts/subset.py"


rule train_classifier:
    """g, on the training split of its data set."""
    output:
        weights="results/models/classifiers/{name}.safetensors",
        loss="results/models/classifiers/{name}-loss.csv",
    log:
        "results/models/logs/classifiers/{name}.log",
    benchmark:
        "results/models/logs/classifiers/{name}.tsv"
    wildcard_constraints:
        name=one_of(name for name in config["classifiers"] if PRESETS.made_here("classifiers", name)),
    conda:
        CONDA_GPU
    resources:
        **LONG,
        gpu=GPU,
    params:
        spec=lambda w: PRESETS.training("classifiers", w.name),
        code=lambda w: code("train_classifier", PRESETS.training("classifiers", w.name)),
    script:
        "../scripts/train_classifier.py"


rule train_diffusion:
    """ε_θ, on the same."""
    output:
        weights="results/models/diffusions/{name}.safetensors",
        loss="results/models/diffusions/{name}-loss.csv",
    log:
        "results/models/logs/diffusions/{name}.log",
    benchmark:
        "results/models/logs/diffusions/{name}.tsv"
    wildcard_constraints:
        name=one_of(name for name, preset in config["diffusions"].items() if "training" in preset),
    conda:
        CONDA_GPU
    resources:
        **LONG,
        gpu=GPU,
    params:
        spec=lambda w: PRESETS.training("diffusions", w.name),
        code=lambda w: code("train_diffusion", PRESETS.training("diffusions", w.name)),
    script:
        "../scripts/train_diffusion.py"


rule fine_tune:
    """ε_θ of another one, fine-tuned against perturbations that mislead a classifier (ADDT)."""
    input:
        diffusion=lambda w: checkpoints(PRESETS.weights("diffusions", fine_tuning(w)["of"])),
        classifier=lambda w: checkpoints(PRESETS.weights("classifiers", fine_tuning(w)["classifier"])),
    output:
        weights="results/models/diffusions/{name}.safetensors",
        loss="results/models/diffusions/{name}-loss.csv",
    log:
        "results/models/logs/diffusions/{name}.log",
    benchmark:
        "results/models/logs/diffusions/{name}.tsv"
    wildcard_constraints:
        name=one_of(PRESETS.fine_tuned),
    conda:
        CONDA_GPU
    resources:
        **LONG,
        gpu=GPU,
        batch=config["batch"],
    params:
        spec=lambda w: PRESETS.fine_tuning(w.name),
        code=lambda w: code("fine_tune", PRESETS.fine_tuning(w.name)),
    script:
        "../scripts/fine_tune.py"


rule loss_curve:
    """How training went."""
    input:
        "results/models/{kind}/{name}-loss.csv",
    output:
        png=report(
            "results/models/{kind}/{name}-loss.png",
            caption="../report/loss.rst",
            category="8 Networks trained here",
            labels={"experiment": "{kind}", "shows": "{name}"},
        ),
        pdf="results/models/{kind}/{name}-loss.pdf",
    log:
        "results/models/logs/{kind}/{name}-loss.log",
    wildcard_constraints:
        kind=kinds_of(PRESETS.made_here, r"-loss\.(?:png|pdf)"),
    conda:
        CONDA_TABLES
    resources:
        **TABLES,
    params:
        spec={"draw": "purity.studies.training:draw_loss"},
        code=lambda w: code("figure", {"draw": "purity.studies.training:draw_loss"}),
    script:
        "../scripts/figure.py"
