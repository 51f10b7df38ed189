"""Runs kept with the project: tables, figures, pages and what made them, in docs/<experiment>/."""

from pathlib import Path

from purity.report import kept
from purity.run import lineage
from purity.run.job import running

with running(snakemake):
    known, now = lineage.records(), lineage.commit()
    for name in snakemake.params.spec:
        kept.keep(Path("results") / name, snakemake.input, known, now, Path("docs") / name)
