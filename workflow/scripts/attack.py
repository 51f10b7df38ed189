"""Adversarial images for one purifier, attack, knowledge and seed."""

from purity import noise, stages
from purity.run import checkpoints, store
from purity.run.job import running
from purity.run.naming import resolve

p, w = snakemake.params.spec, snakemake.wildcards
with running(f"{w.attack} on {w.purifier}, seed {w.seed}", snakemake) as job:
    x, y, ids = store.load(snakemake.input.subset, "x", "y", "ids")
    crafted = stages.attack(
        x,
        y,
        noise.of(p["noise"], ids),
        run=resolve(p["attack"]["run"]),
        options=p["attack"]["options"],
        classify=checkpoints.classifier(p["classifier"], snakemake.input.classifier, job.device, job.watch),
        purify=checkpoints.purifier(p["purifier"], snakemake.input.diffusion, job.device, job.watch),
        knowledge=w.knowledge,
        name=w.purifier,
        batch=snakemake.resources.batch,
        device=job.device,
        progress=job.progress,
        kept=job.kept,
    )
    store.save(snakemake.output[0], spec=p, axes={}, x=crafted, y=y, ids=ids)
