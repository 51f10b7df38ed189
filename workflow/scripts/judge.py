"""Images of one attack judged many times, each time under another ξ."""

from purity import noise, stages_earlier
from purity.run import checkpoints, store
from purity.run.job import running

p, w, i = snakemake.params.spec, snakemake.wildcards, snakemake.input
with running(f"judging {w.attack} on {w.purifier}, seed {w.seed}", snakemake) as job:
    y, ids = store.load(i.subset, "y", "ids")
    predictions = stages_earlier.judgings(
        store.load(i.adversarial, "x")[0],
        noise.of(p["noise"], ids),
        classify=checkpoints.classifier(p["classifier"], i.classifier, job.device, job.watch),
        purify=checkpoints.purifier(p["purifier"], i.diffusion, job.device, job.watch),
        name=w.purifier,
        judgings=p["judgings"],
        batch=snakemake.resources.batch,
        device=job.device,
        progress=job.progress,
        kept=job.kept,
    )
    store.save(snakemake.output[0], spec=p, axes=stages_earlier.JUDGINGS_AXES, y=y, ids=ids, predictions=predictions)
