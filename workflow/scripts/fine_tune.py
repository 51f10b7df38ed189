"""A diffusion model fine-tuned adversarially, from the checkpoint of another: checkpoint and loss of each step."""

import pandas as pd
import torch

from purity import models, store
from purity.addt import fine_tune
from purity.naming import resolve
from purity.running import running

p, i = snakemake.params.spec, snakemake.input
with running(f"fine-tuning {snakemake.wildcards.name}", snakemake) as job:
    x, y, _ = resolve(p["dataset"]["load"])("train", None, **p["dataset"]["options"])
    network = models.network(p, i.diffusion, job.device)
    job.watch("diffusion", network)
    state = job.kept.place / "training.pt"
    loss = fine_tune(
        network,
        models.classifier(p["classifier"], i.classifier, job.device, job.watch),
        torch.from_numpy(x),
        torch.from_numpy(y),
        job.progress,
        **p["fine_tuning"],
        at_once=snakemake.resources.batch,
        state=models.saved_state(state),
        snapshot=lambda reached: models.save_state(state, reached),
    )
    store.save_table(snakemake.output.loss, pd.DataFrame({"step": range(1, len(loss) + 1), "loss": loss}))
    models.save(network, snakemake.output.weights, models.all_options(p["options"], next(iter(i.diffusion), None)))
