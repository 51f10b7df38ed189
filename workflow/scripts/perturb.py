"""Perturbed images of one blind attack and seed."""

from purity import noise, stages
from purity.run import store
from purity.run.job import running
from purity.run.naming import resolve

p = snakemake.params.spec
with running(snakemake.wildcards.attack, snakemake) as job:
    x, y, ids = store.load(snakemake.input.subset, "x", "y", "ids")
    crafted = stages.attack(
        x,
        y,
        noise.of(p["noise"], ids),
        run=resolve(p["attack"]["run"]),
        options=p["attack"]["options"],
        batch=snakemake.resources.batch,
        progress=job.progress,
    )
    store.save(snakemake.output[0], spec=p, axes={}, x=crafted, y=y, ids=ids)
