"""Images of one attack judged many times, each time under another ξ."""

from purity import models, noise, stages_earlier, store
from purity.running import running

p, w, i = snakemake.params.spec, snakemake.wildcards, snakemake.input
with running(
    f"judging {w.attack} on {w.purifier}, seed {w.seed}", snakemake.log[0], snakemake.threads, snakemake.resources.gpu
) as job:
    y, ids = store.load(i.subset, "y", "ids")
    predictions = stages_earlier.judgings(
        store.load(i.adversarial, "x")[0],
        noise.of(p["noise"], ids),
        classify=models.classifier(p["classifier"], i.classifier, job.device),
        purify=models.purifier(p["purifier"], i.diffusion, job.device),
        name=w.purifier,
        judgings=p["judgings"],
        batch=snakemake.resources.batch,
        device=job.device,
        progress=job.progress,
    )
    store.save(snakemake.output[0], spec=p, y=y, ids=ids, predictions=predictions)
