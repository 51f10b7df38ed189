"""Principal variances of many points of the ball around clean images, before and after purification."""

from purity import noise, stages_compression
from purity.run import checkpoints, store
from purity.run.job import running

p, w = snakemake.params.spec, snakemake.wildcards
with running(f"spectrum of the ball, {w.purifier}, seed {w.seed}", snakemake) as job:
    x, ids = store.load(snakemake.input.subset, "x", "ids")
    n = p["ball"]["images"]
    arrays = stages_compression.ball_spectrum(
        x[:n],
        noise.of(p["noise"], ids[:n]),
        purify=checkpoints.purifier(p["purifier"], snakemake.input.diffusion, job.device, job.watch),
        name=w.purifier,
        epsilon=p["ball"]["epsilon"],
        points=p["ball"]["points"],
        batch=snakemake.resources.batch,
        device=job.device,
        progress=job.progress,
        kept=job.kept,
    )
    store.save(snakemake.output[0], spec=p, ids=ids[:n], **arrays)
