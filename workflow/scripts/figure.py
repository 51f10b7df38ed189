"""One figure, from its tables."""

from purity import figures
from purity.run import store
from purity.run.job import running
from purity.run.naming import resolve

with running("figure", snakemake), figures.style():
    drawn = resolve(snakemake.params.spec["figure"])(*(store.load_table(path) for path in snakemake.input))
    store.save_figure(drawn, png=snakemake.output.png, pdf=snakemake.output.pdf)
