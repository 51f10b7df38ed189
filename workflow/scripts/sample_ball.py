"""Points of the ball around clean images, each purified under the same draws of ξ."""

from purity import noise, stages
from purity.run import checkpoints, store
from purity.run.job import running

p, w = snakemake.params.spec, snakemake.wildcards
with running(f"ball of {w.purifier}, seed {w.seed}", snakemake) as job:
    x, ids = store.load(snakemake.input.subset, "x", "ids")
    n = p["ball"]["images"]
    arrays = stages.sample_ball(
        x[:n],
        noise.of(p["noise"], ids[:n]),
        purify=checkpoints.purifier(p["purifier"], snakemake.input.diffusion, job.device, job.watch),
        name=w.purifier,
        epsilon=p["ball"]["epsilon"],
        points=p["ball"]["points"],
        draws=p["ball"]["draws"],
        batch=snakemake.resources.batch,
        device=job.device,
        progress=job.progress,
        kept=job.kept,
    )
    store.save(snakemake.output[0], spec=p, ids=ids[:n], **arrays)
