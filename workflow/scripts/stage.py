"""One stage: what purity.stages makes of images, noise and networks, for each part of its store."""

from purity.run import parts, store
from purity.run.job import running
from purity.run.naming import resolve
from purity.stages.arguments import Sighted

p = snakemake.params
with running(snakemake) as job:
    stage, given = resolve(p.spec["stage"]), Sighted(snakemake.input, job)
    made = parts.made(stage, p.spec, p.code, snakemake.input, job, given)
    given.end()
    store.save_parts(snakemake.output[0], made, parts.axes(stage, snakemake.wildcards))
