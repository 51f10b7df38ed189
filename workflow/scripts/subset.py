"""A block of an experiment's images, which are the first of the test split, each with its id."""

from purity import data
from purity.run import store
from purity.run.job import running
from purity.run.naming import resolve

p = snakemake.params.spec
with running(snakemake):
    first, last = p["images"]
    x, y, ids = resolve(p["load"])("test", last + 1, **p["options"])
    data.check_images(x, y, ids, p["name"])
    x, y, ids = data.subset(x, y, ids, first, last)
    store.save(snakemake.output[0], spec=p, axes={}, x=x, y=y, ids=ids)
