"""One published checkpoint, in the cache, checked; its receipt says which file that is."""

import json

from purity.run import store, weights
from purity.run.job import running

p = snakemake.params.spec
with running(snakemake) as job:
    receipt = weights.fetch(p, weights.cache(), job.progress)
    store.save_text(snakemake.output[0], json.dumps(receipt, indent=1, sort_keys=True) + "\n")
