"""The tables of a study, and the evidence that claims rest on."""

from pathlib import Path

from purity.run import store
from purity.run.job import running
from purity.studies import reading
from purity.studies.tabulate import tabulated

p, o = snakemake.params.spec, snakemake.output
with running(snakemake):
    records = {name: reading.records(snakemake.input.get(name), p["roles"], **of) for name, of in p["records"].items()}
    tables, evidence = tabulated(p["tables"], p["evidence"], records)
    for path in o.tables:
        store.save_table(path, tables[Path(path).stem])
    for path in o.evidence:
        store.save_table(path, evidence)
