"""The test images of an experiment: the first so many of the test split, each with its id."""

from purity import data, store
from purity.naming import resolve
from purity.running import running

p = snakemake.params.spec
with running("subset", snakemake.log[0]):
    x, y, ids = resolve(p["load"])("test", p["images"], **p["options"])
    data.check_images(x, y, ids, p["name"])
    x, y, ids = data.subset(x, y, ids, p["images"])
    store.save(snakemake.output[0], spec=p, x=x, y=y, ids=ids)
