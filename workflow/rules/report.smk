# The papers beside what was measured: claims, and numbers where the experiment is one of the papers'.

CLAIMS = studies.claims_files(STUDIES.values(), REFERENCE)

try:
    check_claims(CLAIMS, {name: studies.quantities(study, PROJECT) for name, study in STUDIES.items()})
except ValueError as mistake:
    sys.exit(str(mistake))


localrules:
    findings,
    compare,
    comparison_page,
    side_by_side,


rule findings:
    """Each claim of the papers with the evidence."""
    input:
        evidence=lambda w: [
            f"results/{w.experiment}/evidence/{study.name}.csv"
            for study in STUDIES.values()
            if study.evidence and study.made(experiment(w))
        ],
        converged=lambda w: (
            f"results/{w.experiment}/tables/strength-verdicts.csv" if STUDIES["strength"].made(experiment(w)) else []
        ),
        claims=CLAIMS,
    output:
        report(
            "results/{experiment}/tables/findings.csv",
            caption="../report/findings.rst",
            category="1 Comparison with the papers",
            labels={"experiment": "{experiment}", "shows": "table findings"},
        ),
    log:
        "results/{experiment}/logs/tables/findings.log",
    conda:
        CONDA_TABLES
    resources:
        **TABLES,
    params:
        code=lambda w: code("findings"),
    script:
        "../scripts/findings.py"


rule compare:
    """The printed numbers of one table beside ours."""
    input:
        table="results/{experiment}/tables/{table}.csv",
        reference=REFERENCE / "{table}.csv",
    output:
        "results/{experiment}/tables/comparison-{table}.csv",
    log:
        "results/{experiment}/logs/tables/comparison-{table}.log",
    conda:
        CONDA_TABLES
    resources:
        **TABLES,
    params:
        spec=lambda w: {"setting": experiment(w).said["reference"], **same_setting(w)},
        code=lambda w: code("compare"),
    script:
        "../scripts/compare.py"


rule comparison_page:
    """Claims and numbers on one page."""
    input:
        findings="results/{experiment}/tables/findings.csv",
        compared=lambda w: [f"results/{w.experiment}/tables/comparison-{table}.csv" for table in compared(w)],
        accuracies=lambda w: [f"results/{w.experiment}/tables/{table}.csv" for table in accuracies(w)],
    output:
        report(
            "results/{experiment}/comparison.html",
            caption="../report/comparison.rst",
            category="1 Comparison with the papers",
            labels={"experiment": "{experiment}", "shows": "claims and evidence"},
        ),
    log:
        "results/{experiment}/logs/comparison.log",
    conda:
        CONDA_TABLES
    resources:
        **TABLES,
    params:
        spec=lambda w: {"title": w.experiment, "compared": compared(w), "accuracies": accuracies(w)},
        code=lambda w: code("comparison_page"),
    script:
        "../scripts/comparison_page.py"


rule side_by_side:
    """Two experiments side by side: differences image by image."""
    input:
        one=lambda w: both(w)[0].of_cells("measures", both(w)[2]),
        other=lambda w: both(w)[1].of_cells("measures", both(w)[2]),
    output:
        page=report(
            "results/compared/{one}-and-{other}.html",
            caption="../report/side-by-side.rst",
            category="10 Experiments side by side",
            labels={"experiment": "{one} and {other}", "shows": "differences"},
        ),
        table="results/compared/{one}-and-{other}.csv",
    log:
        "results/compared/logs/{one}-and-{other}.log",
    wildcard_constraints:
        one=one_of(config["experiments"]),
        other=one_of(config["experiments"]),
    conda:
        CONDA_TABLES
    resources:
        **TABLES,
    params:
        spec=beside,
        code=lambda w: code("side_by_side"),
    script:
        "../scripts/side_by_side.py"
