"""What a purified ball shows: directions, distances to centroids, variances."""

from purity import metrics
from purity.run import store
from purity.run.job import running

with running("ball measures", snakemake):
    x, f, ids = store.load(snakemake.input[0], "x", "f", "ids")
    store.save(snakemake.output[0], spec=snakemake.params.spec, ids=ids, **metrics.ball(x, f))
