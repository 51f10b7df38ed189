"""Every state of a few attacked images on their way through one purifier."""

from purity import noise, stages
from purity.run import checkpoints, store
from purity.run.job import running

p, w = snakemake.params.spec, snakemake.wildcards
with running(f"states of {w.purifier}", snakemake) as job:
    x, ids = store.load(snakemake.input.adversarial, "x", "ids")
    n = p["images"]
    purify = checkpoints.purifier(p["purifier"], snakemake.input.diffusion, job.device)
    arrays = stages.walk(x[:n], noise.of(p["noise"], ids[:n]), purify=purify, device=job.device)
    store.save(snakemake.output[0], spec=p, ids=ids[:n], **arrays)
