"""What is to be computed and how long that will take, on the terminal."""

import json
from pathlib import Path

from purity.run import cost
from purity.run.job import running

p = snakemake.params
with running(snakemake):
    for path, (name, jobs) in zip(snakemake.input, p.spec.items(), strict=True):
        calibration = json.loads(Path(path).read_text(encoding="utf-8"))
        rows = cost.rows([*jobs, *cost.others(p.others[name])], calibration)
        print(cost.said(rows, name, calibration), cost.FORECAST, sep="\n", flush=True)
