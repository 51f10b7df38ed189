"""What is to be computed and how long that will take, on the terminal."""

import json
from pathlib import Path

from purity.run import cost
from purity.run.job import running

with running(snakemake):
    for path, (name, jobs) in zip(snakemake.input, snakemake.params.spec.items(), strict=True):
        calibration = json.loads(Path(path).read_text(encoding="utf-8"))
        print(cost.said(cost.table(jobs, calibration), name, calibration["device"]), flush=True)
