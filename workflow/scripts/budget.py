"""The undefended classifier under one attack with smaller and smaller budgets."""

from purity import noise, stages_compression
from purity.run import checkpoints, store
from purity.run.job import running
from purity.run.naming import resolve

p, w = snakemake.params.spec, snakemake.wildcards
with running(f"budgets of {w.attack}, seed {w.seed}", snakemake) as job:
    x, y, ids = store.load(snakemake.input.subset, "x", "y", "ids")
    arrays = stages_compression.budget(
        x,
        y,
        noise.of(p["noise"], ids),
        run=resolve(p["attack"]["run"]),
        options=p["attack"]["options"],
        scales=p["scales"],
        classify=checkpoints.classifier(p["classifier"], snakemake.input.classifier, job.device, job.watch),
        batch=snakemake.resources.batch,
        device=job.device,
        progress=job.progress,
        kept=job.kept,
    )
    store.save(snakemake.output[0], spec=p, axes=stages_compression.BUDGET_AXES, ids=ids, **arrays)
