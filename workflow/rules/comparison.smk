# The papers beside what was measured: claims, and numbers where the experiment is one of the papers'.


localrules:
    findings,
    compare,
    comparison_page,


rule findings:
    """Each claim of the papers with the evidence."""
    input:
        unpack(lambda w: evidence(w.experiment)),
    output:
        "results/{experiment}/tables/findings.csv",
    log:
        "results/{experiment}/logs/tables/findings.log",
    conda:
        CONDA_TABLES
    params:
        spec={"table": "purity.report.findings:findings"},
        code=code("table", "purity.report.findings:findings"),
    script:
        "../scripts/table.py"


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
    params:
        spec=lambda w: {"setting": experiment(w)["reference"], **same_setting(w.experiment)},
        code=code("compare"),
    script:
        "../scripts/compare.py"


rule comparison_page:
    """Claims and numbers on one page."""
    input:
        findings="results/{experiment}/tables/findings.csv",
        compared=lambda w: compared(w.experiment),
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
    params:
        spec=lambda w: {"title": w.experiment},
        code=code("comparison_page"),
    script:
        "../scripts/comparison_page.py"
