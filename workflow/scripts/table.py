"""One table, from the stores of a stage."""

from purity import store
from purity.naming import resolve
from purity.running import running
from purity.tables import Record

with running(f"table {snakemake.wildcards.table}", snakemake.log[0]):
    stored = {name: [store.Stored(path) for path in paths] for name, paths in snakemake.input.items()}
    records = {name: [Record(s.keyed, s) for s in of_kind] for name, of_kind in stored.items()}
    made = resolve(snakemake.params.spec["table"])(**records)
    store.save_table(snakemake.output[0], made)
