"""Perturbations that look at no defence, for each seed."""

from purity.run import parts, store
from purity.run.job import running
from purity.run.naming import resolve
from purity.stages.arguments import Blind

p = snakemake.params
with running(snakemake) as job:
    stage, given = resolve(p.spec["stage"]), Blind(job.done.clear)
    made = parts.made(stage, p.spec, p.code, snakemake.input, job, given)
    given.end()
    store.save_parts(snakemake.output[0], made, parts.axes(stage, snakemake.wildcards))
