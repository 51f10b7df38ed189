"""Measures of what came out of a stage, for each of its parts. No network is needed."""

from purity.run import parts, store
from purity.run.job import running
from purity.run.naming import resolve

p = snakemake.params
with running(snakemake) as job:
    made = parts.made(resolve(p.spec["stage"]), p.spec, p.code, snakemake.input, job)
    store.save_parts(snakemake.output[0], made)
