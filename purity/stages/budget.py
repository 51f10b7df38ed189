"""How much of an attack's budget a classifier withstands."""

import numpy as np
import torch
from torch import Tensor

from purity import purifiers
from purity.attacks import Attack
from purity.defence import Classifier, Defence
from purity.noise import Noise
from purity.run.batches import Arrays, BatchLimit, Part, in_batches, on_axes
from purity.run.job import Job

GRADIENTS = True

AXES = {"robust": 1, "scale": None, "epsilon": None}


def budget(
    x0: np.ndarray,
    y: np.ndarray,
    xi: Noise,
    *,
    job: Job,
    attack: Attack,
    scales: list[float],
    classify: Classifier,
) -> Arrays:
    """The undefended classifier under an attack of budget ε·α for each α of `scales` (Liu & Wei Fig. 3c).

    Returns scale (S,), epsilon (S,) and robust (S, n), whether it still classifies right. `attack` has an option
    `epsilon`; its steps shrink with its budget.
    """
    images, labels, limit = torch.from_numpy(x0), torch.from_numpy(y), BatchLimit(job.batch)

    def withstood(rows: Tensor) -> Part:
        x0s, ys, noise = images[rows].to(job.device), labels[rows].to(job.device), xi.rows(rows)
        defence = Defence(classify, purifiers.identity(), noise, "none", max_batch=limit.batch)
        robust = []
        for scale in scales:
            x = attack.scaled(scale)(defence, x0s, ys, noise)
            with torch.no_grad():
                robust.append(classify(x).argmax(dim=1) == ys)
        return {"robust": torch.stack(robust, dim=1)}

    made = on_axes(in_batches(len(x0), withstood, job, limit), AXES)
    scale = np.array(scales, np.float64)
    return {"scale": scale, "epsilon": scale * attack.options["epsilon"], **made}
