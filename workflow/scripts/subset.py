"""A block of an experiment's images, which are the first of the test split, each with its id."""

import logging

from purity import data
from purity.run import store
from purity.run.job import running
from purity.run.naming import resolve

p = snakemake.params.spec
with running(snakemake):
    load, (first, last) = resolve(p["load"]), p["images"]
    x, y, ids = data.check_loader(load, "test", last + 1, p["options"], p["name"])
    if first_block := snakemake.input.get("first"):
        data.check_same(x, y, ids, store.load(first_block, "x", "y", "ids"), p["name"])
    classes = data.class_names(load, "test", p["options"])
    logging.info("classes by label: %s", ", ".join(classes) if classes else "the loader names none")
    x, y, ids = data.subset(x, y, ids, first, last)
    store.save(snakemake.output[0], spec=p | {"classes": classes}, axes={}, x=x, y=y, ids=ids)
