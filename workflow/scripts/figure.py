"""One figure, from its tables."""

from purity.run import store
from purity.run.job import running
from purity.run.naming import resolve
from purity.studies import drawing

with running(snakemake), drawing.style():
    drawn = resolve(snakemake.params.spec["draw"])(*(store.load_table(path) for path in snakemake.input))
    store.save_figure(drawn, png=snakemake.output.png, pdf=snakemake.output.pdf)
