"""The papers' claims beside the evidence of all studies."""

from purity.report import claims, findings
from purity.run import store
from purity.run.job import running

with running(snakemake):
    evidence = findings.gathered(store.load_table(path) for path in snakemake.input.evidence)
    store.save_table(snakemake.output[0], findings.findings(claims.read(snakemake.input.claims), evidence))
