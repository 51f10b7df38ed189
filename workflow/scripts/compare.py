"""The papers' printed numbers of one table beside ours."""

from purity.report import comparison
from purity.run import store
from purity.run.job import running

p, i = snakemake.params.spec, snakemake.input
with running(snakemake):
    compared = comparison.compare(store.load_table(i.table), store.load_table(i.reference), **p)
    store.save_table(snakemake.output[0], compared)
