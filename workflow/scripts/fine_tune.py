"""A diffusion model fine-tuned adversarially, from the checkpoint of another: checkpoint and loss of each step."""

import pandas as pd
import torch

from purity import contract, data
from purity.addt import FineTuning, fine_tune
from purity.run import checkpoints, store
from purity.run.job import running
from purity.run.naming import resolve
from purity.stages.arguments import FEW
from purity.training import Snapshots

p, i = snakemake.params.spec, snakemake.input
d = p["dataset"]
with running(snakemake) as job:
    x, y, _ = data.training_images(resolve(d["load"]), d["options"], d["load"])
    network = checkpoints.network(p, i.diffusion, job.device)
    job.watch("diffusion", network)
    name = p["classifier"]["network"]
    classify = checkpoints.classifier(p["classifier"], i.classifier, job.device, job.watch)
    contract.check_classifier(classify, torch.from_numpy(x[:FEW]).to(job.device), torch.from_numpy(y), name)
    loss = fine_tune(
        network,
        contract.protected_classifier(classify, name),
        torch.from_numpy(x),
        torch.from_numpy(y),
        FineTuning(**p["fine_tuning"]),
        job.progress,
        max_batch=job.batch,
        snapshots=Snapshots(*checkpoints.snapshots(job.done.place)),
    )
    store.save_table(snakemake.output.loss, pd.DataFrame({"step": range(1, len(loss) + 1), "loss": loss}))
    checkpoints.save(
        network, snakemake.output.weights, checkpoints.all_options(p["options"], next(iter(i.diffusion), None))
    )
