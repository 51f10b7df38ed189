"""The papers' claims and numbers beside what was measured, as a page."""

from purity.report import pages
from purity.run import store
from purity.run.job import running

p, i = snakemake.params.spec, snakemake.input
with running(snakemake):
    compared = {table: store.load_table(path) for table, path in zip(p["compared"], i.compared, strict=True)}
    accuracies = {table: store.load_table(path) for table, path in zip(p["accuracies"], i.accuracies, strict=True)}
    page = pages.comparison(store.load_table(i.findings), compared, p["title"], accuracies)
    store.save_text(snakemake.output[0], page)
