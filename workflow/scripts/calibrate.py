"""Seconds and counts that the cost of an experiment is made of, on the present device."""

import json

from purity import measuring, models, store
from purity.naming import resolve
from purity.running import running

p, i = snakemake.params.spec, snakemake.input
with running(f"calibrating {snakemake.wildcards.experiment}", snakemake) as job:
    networks = [models.network(m, i.get(f"diffusion{k}"), job.device) for k, m in enumerate(p["diffusions"])]
    purifiers = {
        name: (resolve(f["make"]), f["options"], None if f["diffusion"] is None else networks[f["diffusion"]])
        for name, f in p["purifiers"].items()
    }
    made = measuring.calibrated(
        store.load(i.subset, "x")[0],
        classify=models.classifier(p["classifier"], i.classifier, job.device),
        purifiers=purifiers,
        attacks={name: (resolve(a["run"]), a["options"]) for name, a in p["attacks"].items()},
        batch=snakemake.resources.batch,
        device=job.device,
        progress=job.progress,
    )
    store.save_text(snakemake.output[0], json.dumps(made, indent=1) + "\n")
