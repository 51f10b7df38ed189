"""The gallery: images as they are, and one on its way through a purifier."""

from purity.run import store
from purity.run.job import running
from purity.studies import drawing, gallery, reading

p, i = snakemake.params.spec, snakemake.input
with running(snakemake), drawing.style():
    shown = reading.shown(i, p)
    store.save_figure(gallery.draw_gallery(*shown, p["purifier"]), png=snakemake.output.png, pdf=snakemake.output.pdf)
