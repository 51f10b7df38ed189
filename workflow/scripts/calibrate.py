"""Seconds and counts that the cost of an experiment is made of, on the present device."""

import json

from purity import calibration
from purity.run import checkpoints, forecast, store
from purity.run.job import running
from purity.run.naming import resolve

p, i = snakemake.params.spec, snakemake.input
with running(snakemake) as job:
    networks = [checkpoints.network(m, i.get(f"diffusion{k}") or [], job.device) for k, m in enumerate(p["diffusions"])]
    purifiers = {
        name: (resolve(f["make"]), f["options"], None if f["diffusion"] is None else networks[f["diffusion"]])
        for name, f in p["purifiers"].items()
    }
    made = calibration.calibrated(
        store.load(i.subset, "x")[0],
        classify=checkpoints.classifier(p["classifier"], i.get("classifier") or [], job.device),
        purifiers=purifiers,
        attacks={name: (resolve(a["run"]), a["options"]) for name, a in p["attacks"].items()},
        batch=job.batch,
        device=job.device,
        progress=job.progress,
    )
    made |= {"start": forecast.start("snakemake.cli", "purity.stages.arguments")}
    store.save_text(snakemake.output[0], json.dumps(made, indent=1) + "\n")
