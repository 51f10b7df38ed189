"""What a purifier of some strength does, in numbers (Liu & Wei §5)."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from purity import metrics
from purity.defence import FIXED, Classifier
from purity.noise import Noise
from purity.purifiers import Purifier
from purity.run.batches import Arrays, Part, in_batches
from purity.run.job import Job
from purity.stages import Features


@torch.no_grad()
def probe(
    x0: np.ndarray,
    y: np.ndarray,
    noisy: np.ndarray,
    x: np.ndarray | None,
    x_protocol: np.ndarray | None,
    xi: Noise,
    *,
    job: Job,
    classify: Classifier,
    purify: Purifier,
    features: Features | None = None,
) -> Arrays:
    """Compression, clean and robust accuracy, image by image: no images are kept.

    noisy (n, C, H, W): x0 under uniform noise; x: x0 under an attack that knows ξ, or None; x_protocol: under a paper's
    attack, or None. Returns clean_fixed, clean_fresh (n,) whether clean images are classified right under the fixed ξ
    and under draw 1; alpha (n,), α of the noise. With an attack also what `_attacked` returns; with a paper's
    robust_protocol (n,), whether its images are classified right under the fixed ξ.
    """
    features = features or getattr(classify, "features", None)
    clean, labels, disturbed = (torch.from_numpy(a) for a in (x0, y, noisy))

    def probed(rows: Tensor) -> Part:
        x0s, ys, noisys = (a[rows].to(job.device) for a in (clean, labels, disturbed))
        fixed, fresh = (xi.rows(rows).at(draw) for draw in (FIXED, FIXED + 1))
        anchor = purify(x0s, fixed)
        part = {"clean_fixed": _right(classify, anchor, ys), "clean_fresh": _right(classify, purify(x0s, fresh), ys)}
        part["alpha"] = _per_image(metrics.compression_rate, purify(noisys, fixed), anchor, noisys, x0s)
        if x is not None:
            xs = torch.from_numpy(x)[rows].to(job.device)
            part |= _attacked(xs, purify(xs, fixed), x0s, anchor, ys, classify, features)
        if x_protocol is not None:
            xs = torch.from_numpy(x_protocol)[rows].to(job.device)
            part["robust_protocol"] = _right(classify, purify(xs, fixed), ys)
        return part

    return in_batches(len(x0), probed, job)


def _attacked(
    x: Tensor, f: Tensor, x0: Tensor, anchor: Tensor, y: Tensor, classify: Classifier, features: Features | None
) -> Part:
    """robust (B,), whether f = f_ξ(x) is classified right; alpha_attacked and magnitude (B,), ‖x − x₀‖; and, by
    `features`, features and features_clean (B, F) of f and x₀, for the Fréchet distance between them."""
    part = {"robust": _right(classify, f, y)}
    part["alpha_attacked"] = _per_image(metrics.compression_rate, f, anchor, x, x0)
    part["magnitude"] = _per_image(metrics.l2, x, x0)
    if features is not None:
        part |= {"features": features(f), "features_clean": features(x0)}
    return part


def _right(classify: Classifier, x: Tensor, y: Tensor) -> Tensor:
    return classify(x).argmax(dim=1) == y


def _per_image(metric: Callable[..., np.ndarray], *images: Tensor) -> Tensor:
    return torch.from_numpy(metric(*(image.cpu().numpy() for image in images)))
