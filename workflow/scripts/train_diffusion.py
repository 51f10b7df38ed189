"""A diffusion model trained on the training split of its data set: checkpoint and loss of each step."""

import pandas as pd
import torch

from purity import data
from purity.run import checkpoints, store
from purity.run.job import running
from purity.run.naming import resolve
from purity.training import Snapshots, train_diffusion

p = snakemake.params.spec
d = p["dataset"]
with running(snakemake) as job:
    x, _, _ = data.training_images(resolve(d["load"]), d["options"], d["load"])
    network = checkpoints.untrained(p["network"], p["options"], p["training"]["seed"]).to(job.device)
    options = {key: value for key, value in p["training"].items() if key != "dataset"}
    options["snapshots"] = Snapshots(*checkpoints.snapshots(job.done.place), every=200)
    loss = train_diffusion(network, torch.from_numpy(x), job.progress, **options)
    store.save_table(snakemake.output.loss, pd.DataFrame({"step": range(1, len(loss) + 1), "loss": loss}))
    checkpoints.save(network, snakemake.output.weights)
