"""The papers' claims and numbers beside what was measured, as a page."""

from pathlib import Path

from purity.report import pages
from purity.run import store
from purity.run.job import running

i = snakemake.input
with running(snakemake):
    compared = {Path(path).stem.removeprefix("comparison-"): store.load_table(path) for path in i.compared}
    page = pages.comparison(store.load_table(i.findings), compared, snakemake.params.spec["title"])
    store.save_text(snakemake.output[0], page)
