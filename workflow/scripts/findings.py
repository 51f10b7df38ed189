"""The papers' claims beside the evidence of all studies."""

from purity.report import claims, findings
from purity.run import store
from purity.run.job import running

i = snakemake.input
with running(snakemake):
    evidence = findings.gathered(store.load_table(path) for path in i.evidence)
    converged = findings.known(store.load_table(i.converged)) if i.get("converged") else None
    store.save_table(snakemake.output[0], findings.findings(claims.read(i.claims), evidence, converged))
