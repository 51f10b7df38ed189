"""The gallery: images as they are, and one on its way through a purifier."""

from purity import figures
from purity.run import store
from purity.run.job import running

p, i = snakemake.params.spec, snakemake.input
with running("gallery", snakemake), figures.style():
    n = p["images"]
    (clean,), (crafted,) = store.load(i.subset, "x"), store.load(i.adversarial, "x")
    rows = {"clean": clean[:n], f"{p['attack']} on {p['steps']}": crafted[:n]}
    for purified in store.gathered(i.purified):
        rows[purified.keyed["purifier"]] = purified["fixed"][:n]
    time, states = store.load(i.states, "time", "states")
    drawn = figures.gallery(rows, time, states[:, 0], p["steps"])
    store.save_figure(drawn, png=snakemake.output.png, pdf=snakemake.output.pdf)
