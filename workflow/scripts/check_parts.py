"""Every part of an experiment, tried on a few images."""

import logging
import sys

from purity.run import store
from purity.run.job import running
from purity.stages import checks

with running(snakemake) as job:
    found = []
    for part in checks.checks(snakemake.params.spec, job.device):
        logging.info("%s", part)
        print(f"{snakemake.wildcards.experiment}: {part}", file=sys.stderr, flush=True)
        found.append(part)
    store.save_text(snakemake.output[0], checks.report(found))
