"""Images purified and classified, and their way through a purifier."""

import numpy as np
import torch
from torch import Tensor

from purity import purifiers
from purity.defence import FIXED, PARTLY, Classifier
from purity.geometry import l2_norm, linf_norm
from purity.noise import Noise
from purity.purifiers import Purifier
from purity.run.batches import Arrays, BatchLimit, Part, in_batches, on_axes
from purity.run.job import Job
from purity.stages import Features
from purity.stages.draws import purified

AXES = {"varying_logits": 1, "partly_logits": 1, "path_l2": 1, "path_linf": 1, "path_time": None}
AXES |= {"states": 1, "logits": 1, "time": None}


@torch.no_grad()
def purify_and_judge(
    x0: np.ndarray,
    x: np.ndarray,
    xi: Noise,
    *,
    job: Job,
    classify: Classifier,
    purify: Purifier,
    fresh_draws: int,
    knowledge: str = "none",
    features: Features | None = None,
) -> Arrays:
    """x purified and classified under the fixed ξ (draw 0) and under `fresh_draws` others (1, 2, …).

    Returns fixed (n, C, H, W), fixed_logits (n, K); under fresh ξ, which arrays call `varying` and tables `fresh`,
    varying_logits (R, n, K), and varying (n, C, H, W) under draw 1; of an attack by one who knows a part of ξ also
    partly_logits (R, n, K), with that part fixed and the rest fresh; the way from x to `fixed` as path_time (S,),
    path_l2 and path_linf (S, n), distances to x0; and, by `features` or else the classifier's method of that name,
    features_before and features_after (n, F) of x and `fixed`.
    """
    features = features or getattr(classify, "features", None)
    clean, images, limit = torch.from_numpy(x0), torch.from_numpy(x), BatchLimit(job.batch)
    draws = range(FIXED + 1, FIXED + 1 + fresh_draws)

    def judged(rows: Tensor) -> Part:
        x0s, xs, noise = clean[rows].to(job.device), images[rows].to(job.device), xi.rows(rows)
        part = _path(x0s, xs, noise.at(FIXED), purify)
        part["fixed_logits"] = classify(part["fixed"])
        fresh = list(purified(xs, noise, draws, purify, limit.batch))
        part |= {"varying": fresh[0], "varying_logits": torch.stack([classify(f) for f in fresh], dim=1)}
        if knowledge in PARTLY:
            partly = purified(xs, noise, draws, purify, limit.batch, knowledge)
            part["partly_logits"] = torch.stack([classify(f) for f in partly], dim=1)
        if features is not None:
            part |= {"features_before": features(xs), "features_after": features(part["fixed"])}
        return part

    return on_axes(in_batches(len(x), judged, job, limit), AXES)


def _path(x0: Tensor, x: Tensor, xi: Noise, purify: Purifier) -> Part:
    times, l2, linf = [], [], []
    for time, state in purifiers.states(purify, x, xi):
        times.append(time)
        l2.append(l2_norm((state - x0).double()))
        linf.append(linf_norm((state - x0).double()))
    return {
        "path_time": torch.tensor(times).expand(len(x), -1),
        "path_l2": torch.stack(l2, dim=1),
        "path_linf": torch.stack(linf, dim=1),
        "fixed": state,
    }


@torch.no_grad()
def states(x0: np.ndarray, x: np.ndarray, xi: Noise, *, job: Job, classify: Classifier, purify: Purifier) -> Arrays:
    """Every state between x and f_ξ(x) under the fixed ξ, and what each is taken for without further purification.

    Returns time (S,), states (S, n, C, H, W), their logits (S, n, K), cut to [0, 1] before, and those of x0,
    clean_logits (n, K).
    """
    clean, images = torch.from_numpy(x0), torch.from_numpy(x)

    def passed(rows: Tensor) -> Part:
        xs = images[rows].to(job.device)
        times, through = zip(*purifiers.states(purify, xs, xi.rows(rows).at(FIXED)), strict=True)
        return {
            "time": torch.tensor(times).expand(len(rows), -1),
            "states": torch.stack(through, dim=1),
            "logits": torch.stack([classify(state.clamp(0, 1)) for state in through], dim=1),
            "clean_logits": classify(clean[rows].to(job.device)),
        }

    return on_axes(in_batches(len(x), passed, job), AXES)
