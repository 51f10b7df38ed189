"""Adversarial images for one purifier, attack, knowledge and seed."""

from purity import models, noise, stages, store
from purity.naming import resolve
from purity.running import running

p, w = snakemake.params.spec, snakemake.wildcards
with running(f"{w.attack} on {w.purifier}, seed {w.seed}", snakemake) as job:
    x, y, ids = store.load(snakemake.input.subset, "x", "y", "ids")
    crafted = stages.attack(
        x,
        y,
        noise.of(p["noise"], ids),
        run=resolve(p["attack"]["run"]),
        options=p["attack"]["options"],
        classify=models.classifier(p["classifier"], snakemake.input.classifier, job.device, job.watch),
        purify=models.purifier(p["purifier"], snakemake.input.diffusion, job.device, job.watch),
        knowledge=w.knowledge,
        name=w.purifier,
        batch=snakemake.resources.batch,
        device=job.device,
        progress=job.progress,
        kept=job.kept,
    )
    store.save(snakemake.output[0], spec=p, axes={}, x=crafted, y=y, ids=ids)
