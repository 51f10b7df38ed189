"""Per-image measures of one attack on one purifier."""

from purity import metrics
from purity.run import store
from purity.run.job import running

i = snakemake.input
with running("measures", snakemake):
    x0, y, ids = store.load(i.subset, "x", "y", "ids")
    (x,) = store.load(i.adversarial, "x")
    measures = metrics.judged(x0, y, x, store.Stored(i.purified), store.Stored(i.anchor))
    store.save(snakemake.output[0], spec=snakemake.params.spec, ids=ids, **measures)
