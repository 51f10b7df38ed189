"""One table, from the stores of a stage."""

from purity.run import store
from purity.run.job import running
from purity.run.naming import resolve
from purity.tables import Record

p = snakemake.params.spec
with running(f"table {p['table']}", snakemake):
    stored = {name: store.gathered(paths) for name, paths in snakemake.input.items()}
    records = {name: [Record(s.keyed, s) for s in of_kind] for name, of_kind in stored.items()}
    made = resolve(p["table"])(**records)
    store.save_table(snakemake.output[0], made)
