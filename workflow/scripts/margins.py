"""How far an attack moves purified images, and how far it would have to."""

from purity import stages_earlier
from purity.run import checkpoints, store
from purity.run.job import running

p, w, i = snakemake.params.spec, snakemake.wildcards, snakemake.input
with running(f"margins of {w.attack} on {w.purifier}, seed {w.seed}", snakemake) as job:
    x0, y, ids = store.load(i.subset, "x", "y", "ids")
    arrays = stages_earlier.margins(
        x0,
        y,
        store.load(i.adversarial, "x")[0],
        store.load(i.anchor, "fixed")[0],
        store.load(i.purified, "fixed")[0],
        classify=checkpoints.classifier(p["classifier"], i.classifier, job.device),
        reach=p["reach"],
        batch=snakemake.resources.batch,
        device=job.device,
        progress=job.progress,
    )
    store.save(snakemake.output[0], spec=p, ids=ids, **arrays)
