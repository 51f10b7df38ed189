"""What the jobs took: a table of their records."""

import pandas as pd

from purity import store, trail
from purity.running import running

with running("usage", snakemake):
    known = trail.records()
    made = [known[path] for path in snakemake.input if path in known]
    store.save_table(snakemake.output[0], pd.DataFrame(trail.usage(made)).convert_dtypes())
