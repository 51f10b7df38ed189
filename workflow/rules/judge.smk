# What is left of a random defence (docs/judge-your-defence.md). The experiment is made by purity.run.judge.

study(
    "judgement",
    section="9 Judgement of a defence",
    reads={"measured": "judged", "judgings": "fuzzy"},
    tables=["judgement", "judgement-numbers", "judgement-checks", "judgement-curves", "judgement-compared"],
    figures={"judgement-budget": ["judgement-curves"], "judgement-repeats": ["judgement-curves"]},
)


localrules:
    judgement_cost,
    judgement_page,
    judge,


rule judgement_cost:
    """Evaluations and hours of each stage, measured on one image, before they are spent."""
    input:
        "results/{experiment}/cost/calibration.json",
    output:
        "results/{experiment}/cost/judgement.txt",
    log:
        "results/{experiment}/logs/cost/judgement.log",
    # before anything that may take hours; so is the calibration
    priority: 900
    conda:
        CONDA_TABLES
    params:
        spec=lambda w: {"title": w.experiment, "jobs": judge.costly(experiment(w))},
        code=lambda w: code("judgement_cost"),
    script:
        "../scripts/judgement_cost.py"


rule judgement_page:
    """The verdict on one page that needs nothing else."""
    input:
        unpack(lambda w: judge.stores(experiment(w))),
        tables=expand("results/{{experiment}}/tables/{table}.csv", table=STUDIES["judgement"].tables),
        figures=expand("results/{{experiment}}/figures/judgement-{figure}.png", figure=["budget", "repeats"]),
        weights=lambda w: classifier_weights(w) + judge.diffusion_weights(experiment(w)),
    output:
        report(
            "results/{experiment}/judgement.html",
            caption="../report/judgement.rst",
            category="9 Judgement of a defence",
            labels={"experiment": "{experiment}", "shows": "verdict"},
        ),
    log:
        "results/{experiment}/logs/judgement.log",
    conda:
        CONDA_TABLES
    params:
        spec=lambda w: judge.said(experiment(w)),
        code=lambda w: code("judgement_page"),
    script:
        "../scripts/judgement_page.py"


rule judge:
    input:
        judgements,
