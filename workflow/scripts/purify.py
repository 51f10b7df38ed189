"""Images of one attack purified and classified, under the fixed ξ and under fresh ones."""

from purity import noise, stages
from purity.run import checkpoints, store
from purity.run.job import running

p, w = snakemake.params.spec, snakemake.wildcards
with running(f"purifying {w.attack} by {w.purifier}, seed {w.seed}", snakemake) as job:
    x0, y, ids = store.load(snakemake.input.subset, "x", "y", "ids")
    (x,) = store.load(snakemake.input.adversarial, "x")
    arrays = stages.purify_and_judge(
        x0,
        x,
        noise.of(p["noise"], ids),
        classify=checkpoints.classifier(p["classifier"], snakemake.input.classifier, job.device, job.watch),
        purify=checkpoints.purifier(p["purifier"], snakemake.input.diffusion, job.device, job.watch),
        name=w.purifier,
        fresh_draws=p["fresh_draws"],
        knowledge=w.knowledge,
        batch=snakemake.resources.batch,
        features=checkpoints.features(p["features"], snakemake.input.features, job.device),
        device=job.device,
        progress=job.progress,
        kept=job.kept,
    )
    store.save(snakemake.output[0], spec=p, axes=stages.PURIFY_AXES, y=y, ids=ids, **arrays)
