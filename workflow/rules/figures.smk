# results/<experiment>/figures/<id>.png and .pdf, one function of purity.figures each.


localrules:
    figure,
    gallery,
    loss_curve,


rule figure:
    """One figure of the papers."""
    input:
        lambda w: [f"results/{w.experiment}/tables/{table}.csv" for table in SHOWN[w.figure]],
    output:
        png=report(
            "results/{experiment}/figures/{figure}.png",
            caption="../report/figures.rst",
            category=lambda w: section(w.figure),
            labels={"experiment": "{experiment}", "shows": "{figure}"},
        ),
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


rule gallery:
    """Clean, perturbed and purified images, and one on its way."""
    input:
        unpack(gallery_stores),
    output:
        png=report(
            "results/{experiment}/figures/gallery.png",
            caption="../report/gallery.rst",
            category=section("gallery"),
            labels={"experiment": "{experiment}", "shows": "gallery"},
        ),
        pdf="results/{experiment}/figures/gallery.pdf",
    log:
        "results/{experiment}/logs/figures/gallery.log",
    conda:
        CONDA_TABLES
    params:
        spec=lambda w: ordered(experiment(w)["gallery"]),
        code=code("gallery"),
    script:
        "../scripts/gallery.py"


rule loss_curve:
    """How training went."""
    input:
        "results/models/{kind}/{name}-loss.csv",
    output:
        png=report(
            "results/models/{kind}/{name}-loss.png",
            caption="../report/loss.rst",
            category=section("loss"),
            labels={"experiment": "{kind}", "shows": "{name}"},
        ),
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
