"""Two experiments side by side, as a table and a page."""

from purity.report import pages, side_by_side
from purity.run import store
from purity.run.experiment import Cell
from purity.run.job import running
from purity.studies import reading

p, i = snakemake.params.spec, snakemake.input
with running(snakemake):
    roles = {"purifiers": {}, "attacks": {}, "fine_tuned": {}, "features": None}
    one, other = (reading.records(i[k], roles, p["cells"], p["seeds"][k]) for k in ("one", "other"))
    table = side_by_side.paired(one, other, [Cell(*cell) for cell in p["cells"]], p["images"])
    store.save_table(snakemake.output.table, table)
    store.save_text(snakemake.output.page, pages.side_by_side(table, p["differences"], *p["names"]))
