"""Loss around a few images, in the plane of what two attackers did to them."""

from purity import noise, stages_stochastic
from purity.run import checkpoints, store
from purity.run.job import running

p, w = snakemake.params.spec, snakemake.wildcards
with running(f"landscape of {w.attack} on {w.purifier}, seed {w.seed}", snakemake) as job:
    x, y, ids, known, expected = store.load(snakemake.input.paths, "x", "y", "ids", "dw_box", "eot")
    arrays = stages_stochastic.loss_landscape(
        x,
        y,
        noise.of(p["noise"], ids),
        known[:, 0],
        expected[:, 0],
        points=p["points"],
        reach=p["reach"],
        classify=checkpoints.classifier(p["classifier"], snakemake.input.classifier, job.device, job.watch),
        purify=checkpoints.purifier(p["purifier"], snakemake.input.diffusion, job.device, job.watch),
        batch=snakemake.resources.batch,
        device=job.device,
        progress=job.progress,
        kept=job.kept,
    )
    store.save(snakemake.output[0], spec=p, ids=ids, **arrays)
