"""One figure, from its tables."""

from purity import figures, store
from purity.naming import resolve
from purity.running import running

with running("figure", snakemake), figures.style():
    drawn = resolve(snakemake.params.spec["figure"])(*(store.load_table(path) for path in snakemake.input))
    store.save_figure(drawn, png=snakemake.output.png, pdf=snakemake.output.pdf)
