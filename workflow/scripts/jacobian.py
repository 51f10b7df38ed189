"""Exact singular values of J_f at clean images, under the fixed ξ."""

from purity import noise, stages_compression
from purity.run import checkpoints, store
from purity.run.job import running

p, w = snakemake.params.spec, snakemake.wildcards
with running(f"Jacobian of {w.purifier}, seed {w.seed}", snakemake) as job:
    x, ids = store.load(snakemake.input.subset, "x", "ids")
    n = p["images"]
    values = stages_compression.jacobian(
        x[:n],
        noise.of(p["noise"], ids[:n]),
        purify=checkpoints.purifier(p["purifier"], snakemake.input.diffusion, job.device, job.watch),
        mode=p["mode"],
        batch=snakemake.resources.batch,
        device=job.device,
        progress=job.progress,
        kept=job.kept,
    )
    store.save(snakemake.output[0], spec=p, ids=ids[:n], singular_values=values)
