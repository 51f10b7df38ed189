"""Samples of diffusion models as images."""

from purity.run import store
from purity.run.job import running
from purity.studies import drawing, samples

with running(snakemake), drawing.style():
    stored = {s.keyed["purifier"]: s["x"][0] for s in store.gathered(snakemake.input)}  # of the last seed
    figure = samples.draw_samples(stored)
    store.save_figure(figure, png=snakemake.output.png, pdf=snakemake.output.pdf)
