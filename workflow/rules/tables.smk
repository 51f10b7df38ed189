# results/<experiment>/tables/<id>.csv, one function of purity.tables each.


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
