"""One function for each stage that works on tensors: arrays in, arrays out, `batch` images at a time.

`batch` changes how fast a result comes, not which: every row meets its own noise. All of them take
classify, purify: the classifier and purifier on `device`;
xi: ξ of all images (n rows) at draw 0, see purity.noise.SEEDINGS;
kept: where those that take hours keep the batches that are done (purity.run.progress).
Those that come in blocks say on which axis of an array the images are, if not the first: <STAGE>_AXES.
"""

import logging
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from purity import purifiers
from purity.defence import FIXED, KNOWLEDGE, PARTLY, Classifier, Defence
from purity.geometry import BALLS, l2_norm, linf_norm
from purity.noise import Noise
from purity.purifiers import Purifier
from purity.run.batches import Kept, Part, Size, in_batches

Arrays = dict[str, np.ndarray]
Features = Callable[[Tensor], Tensor]  # images in [0, 1] (B, C, H, W) → (B, F), the space of a Fréchet distance


def attack(
    x: np.ndarray,
    y: np.ndarray,
    xi: Noise,
    *,
    run: Callable,
    options: dict,
    classify: Classifier | None = None,
    purify: Purifier | None = None,
    knowledge: str = "none",
    name: str = "",
    batch: int,
    device: str = "cpu",
    progress=iter,
    kept: Kept | None = None,
) -> np.ndarray:
    """Adversarial images (n, C, H, W) of an attack function (purity.attacks); without a classifier it is blind.

    ValueError if the attack or the purifier, called `name`, returns what is no image.
    """
    images, labels, size = torch.from_numpy(x), torch.from_numpy(y), Size(batch)

    def crafted(rows: Tensor) -> Part:
        logging.info("images %d to %d of %d", rows[0] + 1, rows[-1] + 1, len(x))
        xs, ys, noise = images[rows].to(device), labels[rows].to(device), xi.rows(rows)
        defence = None
        if classify is not None:
            with torch.no_grad():  # a purifier that cannot work should say so before an attack of hours
                purifiers.check(purify(xs, noise), xs, f"purifier '{name}'")
            defence = Defence(classify, purify, noise, knowledge, at_once=size.batch)
        made = run(defence, xs, ys, noise, progress, **options).detach()
        return {"x": purifiers.check(made, xs, f"attack {run.__name__}")}

    return in_batches(len(x), size, crafted, kept)["x"]


PURIFY_AXES = {"varying": 1, "varying_logits": 1, "partly_logits": 1, "path_l2": 1, "path_linf": 1, "path_time": None}


@torch.no_grad()
def purify_and_judge(
    x0: np.ndarray,
    x: np.ndarray,
    xi: Noise,
    *,
    classify: Classifier,
    purify: Purifier,
    name: str,
    fresh_draws: int,
    batch: int,
    knowledge: str = "none",
    features: Features | None = None,
    device: str = "cpu",
    progress=iter,
    kept: Kept | None = None,
) -> Arrays:
    """x purified and classified under the fixed ξ (draw 0) and under `fresh_draws` others (1, 2, …).

    Returns fixed (n, C, H, W), fixed_logits (n, K), varying (R, n, C, H, W), varying_logits (R, n, K); of an attack by
    one who knows a part of ξ also partly_logits (R, n, K), with that part fixed and the rest fresh; the way from x to
    `fixed` as path_time (S,), path_l2 and path_linf (S, n), distances to x0; and, by `features` or else the
    classifier's method of that name, features_before and features_after (n, F) of x and `fixed`.
    """
    features = features or getattr(classify, "features", None)
    clean, images, maker = torch.from_numpy(x0), torch.from_numpy(x), f"purifier '{name}'"
    fresh = range(FIXED + 1, FIXED + 1 + fresh_draws)

    def judged(rows: Tensor) -> Part:
        x0s, xs, noise = clean[rows].to(device), images[rows].to(device), xi.rows(rows)
        part = _path(x0s, xs, noise.at(FIXED), purify)
        part["fixed"] = purifiers.check(part["fixed"], xs, maker)
        part["fixed_logits"] = classify(part["fixed"])
        varying = [purifiers.check(purify(xs, noise.at(draw)), xs, maker) for draw in fresh]
        part["varying"] = torch.stack(varying, dim=1)
        part["varying_logits"] = torch.stack([classify(v) for v in varying], dim=1)
        if knowledge in PARTLY:
            partly = [classify(purify(xs, noise.at(*KNOWLEDGE[knowledge](draw)))) for draw in fresh]
            part["partly_logits"] = torch.stack(partly, dim=1)
        if features is not None:
            part["features_before"], part["features_after"] = features(xs), features(part["fixed"])
        return part

    out = in_batches(len(x), batch, judged, kept, progress)
    time = out.pop("path_time")[0]
    turned = {name: np.swapaxes(out[name], 0, PURIFY_AXES.get(name, 0)) for name in out}
    return {**turned, "path_time": time}


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
def sample_ball(
    x0: np.ndarray,
    xi: Noise,
    *,
    purify: Purifier,
    name: str,
    epsilon: float,
    points: int,
    draws: int,
    batch: int,
    device: str = "cpu",
    progress=iter,
    kept: Kept | None = None,
) -> Arrays:
    """Uniform points of the ℓ∞ ball around each image, each purified under the same `draws` ξ.

    x (n, P, C, H, W) the points, f (n, P, Ξ, C, H, W) what becomes of them. Draw k of ξ is shared by all points of an
    image: the grid is a full one, as the law of total variance needs.
    """
    n = len(x0)
    images = torch.from_numpy(x0)
    i, p, k = torch.meshgrid(torch.arange(n), torch.arange(points), torch.arange(draws), indexing="ij")
    i, p, k = i.flatten(), p.flatten(), k.flatten()

    def purified(rows: Tensor) -> Part:
        noise = xi.rows(i[rows])
        xs = perturbed(images[i[rows]].to(device), noise, p[rows], epsilon)
        return {"f": purifiers.check(purify(xs, noise.at(k[rows])), xs, f"purifier '{name}'")}

    f = in_batches(len(i), batch, purified, kept, progress)["f"]
    first = k == 0
    x = perturbed(images[i[first]], xi.rows(i[first]), p[first], epsilon).numpy()
    return {"x": x.reshape(n, points, *x0.shape[1:]), "f": f.reshape(n, points, draws, *x0.shape[1:])}


def perturbed(x0: Tensor, xi: Noise, point: Tensor, epsilon: float) -> Tensor:
    """x₀ and the point-th random point of the ℓ∞ ball around it, cut to [0, 1]; point (B,) int64."""
    return (x0 + BALLS["linf"].point(xi.ball(point, x0), epsilon)).clamp(0, 1)


@torch.no_grad()
def walk(x: np.ndarray, xi: Noise, *, purify: Purifier, device: str = "cpu") -> Arrays:
    """Every state between x and f_ξ(x) under the fixed ξ: time (S,), states (S, n, C, H, W)."""
    times, images = zip(
        *((t, z.cpu().numpy()) for t, z in purifiers.states(purify, torch.from_numpy(x).to(device), xi)), strict=True
    )
    return {"time": np.array(times), "states": np.stack(images)}
