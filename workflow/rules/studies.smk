# Tables, evidence and figures of every study that a rules file or the config declares: two rules a study.

try:
    check_studies(config, STUDIES.values(), PROJECT)
except ValueError as mistake:
    sys.exit(str(mistake))

TABLE_CAPTION = "../report/table.rst"
STUDIES |= {own.name: own for own in studies.own(config)}


def records(study):
    """Inputs of a study's tables: stores by the argument that its functions call them."""
    return lambda w: studies.inputs(study, experiment(w))


for study_ in STUDIES.values():
    if study_.tables:

        rule:
            name:
                f"{study_.name}_tables".replace("-", "_")
            input:
                unpack(records(study_)),
            output:
                tables=[
                    report(
                        f"results/{{experiment}}/tables/{table}.csv",
                        caption=TABLE_CAPTION,
                        category=study_.section,
                        labels={"experiment": "{experiment}", "shows": f"table {table}"},
                    )
                    for table in study_.tables
                ],
                evidence=[f"results/{{experiment}}/evidence/{study_.name}.csv"] if study_.evidence else [],
            log:
                f"results/{{experiment}}/logs/tables/{study_.name}.log",
            localrule: True
            conda:
                CONDA_TABLES
            resources:
                **TABLES,
            params:
                spec=lambda w, study=study_: studies.spec(study, experiment(w), PROJECT),
                code=lambda w, study=study_: PROJECT.digest(ROOT / "workflow/scripts/tables.py", *study.functions()),
            script:
                "../scripts/tables.py"

    for figure, said in study_.figures.items():

        rule:
            name:
                f"{figure}_figure".replace("-", "_")
            input:
                [f"results/{{experiment}}/tables/{table}.csv" for table in said.shows],
            output:
                png=report(
                    f"results/{{experiment}}/figures/{figure}.png",
                    caption=str(Path(study_.caption).absolute()) if study_.caption else f"../report/{study_.name}.rst",
                    category=study_.section,
                    labels={"experiment": "{experiment}", "shows": figure},
                ),
                pdf=f"results/{{experiment}}/figures/{figure}.pdf",
            log:
                f"results/{{experiment}}/logs/figures/{figure}.log",
            localrule: True
            conda:
                CONDA_TABLES
            resources:
                **TABLES,
            params:
                spec={"draw": said.draw, "figure": figure},
                code=lambda w, draw=said.draw: code("figure", {"draw": draw}),
            script:
                "../scripts/figure.py"
