"""The tables of a study, and the evidence that claims rest on."""

from purity.run import store
from purity.run.job import running
from purity.run.naming import resolve
from purity.studies import reading, tabulate

p, o = snakemake.params.spec, snakemake.output
with running(snakemake):
    records = {name: reading.records(snakemake.input.get(name), p["roles"], **of) for name, of in p["records"].items()}
    functions = {table: resolve(function) for table, function in p["tables"].items()}
    said = p["evidence"] and resolve(p["evidence"])
    tables, evidence = tabulate.made_by(functions, said, records, p["quantities"])
    for path, table in zip(o.tables, p["tables"], strict=True):
        store.save_table(path, tables[table])
    for path in o.evidence:
        store.save_table(path, evidence)
