# results/<experiment>/tables/<id>.csv, one function of purity.tables each.

# id: stores it is made of, by name of the function's argument
TABLES = {
    "trajectory": lambda name: {"purified": stage("purified", name, clean=False)},
    "distances": lambda name: {"measured": stage("measures", name, clean=False)},
    "robustness": lambda name: {"measured": stage("measures", name)},
    "transfer": lambda name: {
        "measured": stage("measures", name, clean=False),
        "crafted": crafted(name),
        "subset": [f"results/{name}/data/subset.zarr.zip"],
    },
    "compression": lambda name: {"measured": stage("measures", name, clean=False)},
    "directions": lambda name: {"balls": balls("ball-measures", name)},
    "directions-matrix": lambda name: {"balls": balls("ball-measures", name)},
    "centroids": lambda name: {"balls": balls("ball-measures", name)},
    "centroids-histogram": lambda name: {"balls": balls("ball-measures", name)},
    "variance": lambda name: {"balls": balls("ball-measures", name)},
}


def function(room, identifier):
    return f"purity.{room}:{identifier.replace('-', '_')}"


localrules:
    table,


rule table:
    """One table of the papers."""
    input:
        unpack(lambda w: TABLES[w.table](w.experiment)),
    output:
        "results/{experiment}/tables/{table}.csv",
    log:
        "results/{experiment}/logs/tables/{table}.log",
    wildcard_constraints:
        table=one_of(TABLES),
    conda:
        CONDA_TABLES
    params:
        spec=lambda w: {"table": function("tables", w.table)},
        code=lambda w: code("table", function("tables", w.table)),
    script:
        "../scripts/table.py"
