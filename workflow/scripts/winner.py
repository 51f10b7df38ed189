"""The purifier that a search has found, as lines of config, or why there is none."""

from purity.report import claims, winner
from purity.run import store
from purity.run.job import running

i = snakemake.input
with running(snakemake):
    verified, evidence = store.load_table(i.verified), store.load_table(i.evidence)
    said = winner.lines(verified, evidence, claims.read(i.claims), diffusion=snakemake.params.spec["diffusion"])
    store.save_text(snakemake.output[0], said)
