"""The ways of three attackers from a few images, and the loss along them."""

from purity import models, noise, stages_stochastic, store
from purity.naming import resolve
from purity.running import running

p, w = snakemake.params.spec, snakemake.wildcards
with running(f"paths of {w.attack} on {w.purifier}, seed {w.seed}", snakemake) as job:
    x, y, ids = store.load(snakemake.input.subset, "x", "y", "ids")
    n = p["images"]
    arrays = stages_stochastic.attack_paths(
        x[:n],
        y[:n],
        noise.of(p["noise"], ids[:n]),
        single=(resolve(p["attack"]["run"]), p["attack"]["options"]),
        averaged=(resolve(p["averaged"]["run"]), p["averaged"]["options"]),
        repeats=p["repeats"],
        classify=models.classifier(p["classifier"], snakemake.input.classifier, job.device, job.watch),
        purify=models.purifier(p["purifier"], snakemake.input.diffusion, job.device, job.watch),
        batch=snakemake.resources.batch,
        device=job.device,
        progress=job.progress,
        kept=job.kept,
    )
    store.save(snakemake.output[0], spec=p, x=x[:n], y=y[:n], ids=ids[:n], **arrays)
