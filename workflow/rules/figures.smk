# results/<experiment>/figures/<id>.png and .pdf, one function of purity.figures each.

# id: tables it shows, by position of the function's argument
SHOWN = {
    "trajectory": ["trajectory"],
    "distances": ["distances"],
    "robustness": ["robustness"],
    "transfer": ["transfer"],
    "compression": ["compression"],
    "directions": ["directions", "directions-matrix"],
    "centroids": ["centroids-histogram"],
    "variance": ["variance"],
}
FIGURES = [*SHOWN, "gallery"]


localrules:
    figure,
    gallery,
    loss_curve,


rule figure:
    """One figure of the papers."""
    input:
        lambda w: [f"results/{w.experiment}/tables/{table}.csv" for table in SHOWN[w.figure]],
    output:
        png="results/{experiment}/figures/{figure}.png",
        pdf="results/{experiment}/figures/{figure}.pdf",
    log:
        "results/{experiment}/logs/figures/{figure}.log",
    wildcard_constraints:
        figure=one_of(SHOWN),
    conda:
        CONDA_TABLES
    params:
        spec=lambda w: {"figure": function("figures", w.figure)},
        code=lambda w: code("figure", function("figures", w.figure)),
    script:
        "../scripts/figure.py"


def gallery_purifiers(w):
    """Purifiers that were attacked in the way the gallery shows."""
    shown = experiment(w)["gallery"]
    return [
        purifier
        for purifier, attack, knowledge in attacked(w.experiment)
        if (attack, knowledge) == (shown["attack"], shown["knowledge"])
    ]


def gallery_stores(w):
    shown, seed = experiment(w)["gallery"], experiment(w)["seeds"][0]
    of = lambda kind, purifier: (
        f"results/{w.experiment}/{kind}/{purifier}/{shown['attack']}/{shown['knowledge']}/seed-{seed}.zarr.zip"
    )
    return {
        "subset": f"results/{w.experiment}/data/subset.zarr.zip",
        "adversarial": of("adversarial", shown["steps"]),
        "purified": [of("purified", purifier) for purifier in gallery_purifiers(w)],
        "states": of("states", shown["steps"]),
    }


rule gallery:
    """Clean, perturbed and purified images, and one on its way."""
    input:
        unpack(gallery_stores),
    output:
        png="results/{experiment}/figures/gallery.png",
        pdf="results/{experiment}/figures/gallery.pdf",
    log:
        "results/{experiment}/logs/figures/gallery.log",
    conda:
        CONDA_TABLES
    params:
        spec=lambda w: experiment(w)["gallery"],
        code=code("gallery"),
    script:
        "../scripts/gallery.py"


rule loss_curve:
    """How training went."""
    input:
        "results/models/{kind}/{name}-loss.csv",
    output:
        png="results/models/{kind}/{name}-loss.png",
        pdf="results/models/{kind}/{name}-loss.pdf",
    log:
        "results/models/logs/{kind}/{name}-loss.log",
    wildcard_constraints:
        kind="classifiers|diffusions",
    conda:
        CONDA_TABLES
    params:
        spec={"figure": "purity.figures:loss"},
        code=code("figure", "purity.figures:loss"),
    script:
        "../scripts/figure.py"
