"""Compression, clean and robust accuracy of one purifier at one strength."""

from purity import noise, stages_compression
from purity.run import checkpoints, store
from purity.run.job import running

p, w, i = snakemake.params.spec, snakemake.wildcards, snakemake.input
with running(f"probing {w.purifier}, seed {w.seed}", snakemake) as job:
    x0, y, ids = store.load(i.subset, "x", "y", "ids")
    arrays = stages_compression.probe(
        x0,
        y,
        store.load(i.noisy, "x")[0],
        store.load(i.adversarial, "x")[0] if i.adversarial else None,
        noise.of(p["noise"], ids),
        classify=checkpoints.classifier(p["classifier"], i.classifier, job.device, job.watch),
        purify=checkpoints.purifier(p["purifier"], i.diffusion, job.device, job.watch),
        name=w.purifier,
        batch=snakemake.resources.batch,
        features=checkpoints.features(p["features"], i.features, job.device),
        device=job.device,
        progress=job.progress,
        kept=job.kept,
    )
    store.save(snakemake.output[0], spec=p, axes={}, ids=ids, **arrays)
