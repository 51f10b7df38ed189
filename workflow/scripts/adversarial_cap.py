"""A classifier's decisions around clean images, along the directions of an attack."""

from purity import noise, stages_earlier
from purity.run import checkpoints, store
from purity.run.job import running

p, w, i = snakemake.params.spec, snakemake.wildcards, snakemake.input
with running(f"caps of {w.attack}, seed {w.seed}", snakemake) as job:
    x0, y, ids = store.load(i.subset, "x", "y", "ids")
    arrays = stages_earlier.adversarial_cap(
        x0,
        y,
        store.load(i.adversarial, "x")[0],
        store.load(i.other, "x")[0],
        noise.of(p["noise"], ids),
        classify=checkpoints.classifier(p["classifier"], i.classifier, job.device),
        **p["cap"],
        batch=snakemake.resources.batch,
        device=job.device,
        progress=job.progress,
    )
    store.save(snakemake.output[0], spec=p, y=y, ids=ids, **arrays)
