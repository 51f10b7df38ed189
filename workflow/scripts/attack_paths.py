"""The ways of three attackers from a few images, and the loss along them."""

from purity import noise, stages_stochastic
from purity.run import checkpoints, store
from purity.run.job import running
from purity.run.naming import resolve

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
        classify=checkpoints.classifier(p["classifier"], snakemake.input.classifier, job.device, job.watch),
        purify=checkpoints.purifier(p["purifier"], snakemake.input.diffusion, job.device, job.watch),
        batch=snakemake.resources.batch,
        device=job.device,
        progress=job.progress,
        kept=job.kept,
    )
    store.save(snakemake.output[0], spec=p, x=x[:n], y=y[:n], ids=ids[:n], **arrays)
