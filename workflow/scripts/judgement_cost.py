"""What a judgement will take, on the terminal before it begins, and kept beside it."""

import json
from pathlib import Path

from purity.run import cost, store
from purity.run.job import running

p = snakemake.params.spec
with running(snakemake):
    calibration = json.loads(Path(snakemake.input[0]).read_text(encoding="utf-8"))
    said = cost.said(cost.rows(p["jobs"], calibration), p["title"], calibration)
    print(said, flush=True)
    store.save_text(snakemake.output[0], said + "\n")
