"""What the jobs took: a table of their records."""

import pandas as pd

from purity.run import lineage, store
from purity.run.job import running

with running(snakemake):
    known = lineage.records()
    made = [known[path] for path in snakemake.input if path in known]
    store.save_table(snakemake.output[0], pd.DataFrame(lineage.usage(made)).convert_dtypes())
