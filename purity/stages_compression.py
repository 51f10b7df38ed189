"""Stages about the compression of image space, as those of purity.stages: arrays in, arrays out, `batch` at a time.

All of them take classify, purify: the classifier and purifier on `device`, and xi: ξ of all images (n rows) at draw 0.
"""

from collections.abc import Callable
from itertools import product

import numpy as np
import torch

from purity import metrics, purifiers
from purity.defence import FIXED, Classifier
from purity.jacobian import MODES, basis, singular_values
from purity.noise import Noise
from purity.pca import Moments
from purity.purifiers import Purifier
from purity.stages import Arrays, Features, attack, blocks, perturbed


def jacobian(
    x0: np.ndarray,
    xi: Noise,
    *,
    purify: Purifier,
    mode: str,
    batch: int,
    device: str = "cpu",
    progress=iter,
) -> np.ndarray:
    """Singular values of J_f at each image under its fixed ξ, exactly: (n, d) float64, largest first.

    mode: see purity.jacobian. One d × d matrix of one image is held at a time, `batch` of its rows are made at once.
    """
    n, d = len(x0), x0[0].size
    columns = torch.arange(d).split(batch)
    images = torch.from_numpy(x0)
    out, matrix = np.empty((n, d)), torch.empty(d, d, dtype=images.dtype, device=device)
    for i, chosen in progress(list(product(range(n), columns))):
        if chosen[0] == 0:
            x = images[i : i + 1].to(device)
            linear = MODES[mode](_at(purify, xi, i), x)
        matrix[chosen] = linear(basis(chosen, x)).flatten(1).detach()
        if chosen[-1] == d - 1:
            out[i] = singular_values(matrix).cpu().numpy()
    return out


def _at(purify: Purifier, xi: Noise, i: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """f_ξ of image i, for any number of copies of it."""
    return lambda x: purify(x, xi.rows(torch.full((len(x),), i)))


@torch.no_grad()
def ball_spectrum(
    x0: np.ndarray,
    xi: Noise,
    *,
    purify: Purifier,
    name: str,
    epsilon: float,
    points: int,
    batch: int,
    device: str = "cpu",
    progress=iter,
) -> Arrays:
    """Principal variances of uniform points of the ℓ∞ ball around each image, before and after the fixed ξ purifies
    them: before, after (n, d) float64, largest first. Points are streamed; d × d numbers are held, twice."""
    n, d = len(x0), x0[0].size
    out = {"before": np.empty((n, d)), "after": np.empty((n, d))}
    rows = list(blocks(points, batch))
    for i, p in progress(list(product(range(n), rows))):
        if p[0] == 0:
            before, after = Moments(d, device), Moments(d, device)
        noise = xi.rows(torch.full((len(p),), i))
        x = perturbed(torch.from_numpy(x0[[i]]).to(device).expand(len(p), *x0.shape[1:]), noise, p, epsilon)
        before.add(x)
        after.add(purifiers.check(purify(x, noise.at(FIXED)), x, f"purifier '{name}'"))
        if p[-1] == points - 1:
            out["before"][i], out["after"][i] = before.spectrum().cpu(), after.spectrum().cpu()
    return out


@torch.no_grad()
def probe(
    x0: np.ndarray,
    y: np.ndarray,
    noisy: np.ndarray,
    attacked: np.ndarray | None,
    xi: Noise,
    *,
    classify: Classifier,
    purify: Purifier,
    name: str,
    batch: int,
    features: Features | None = None,
    device: str = "cpu",
    progress=iter,
) -> Arrays:
    """What a purifier of some strength does, in numbers per image: no images are kept.

    x0, noisy, attacked (n, C, H, W): clean, under uniform noise, under an attack that knows ξ (or None). Returns
    clean_fixed, clean_fresh (n,) whether clean images are classified right under the fixed ξ and under draw 1; alpha
    (n,), α of the noise. With an attack also robust (n,), right under the fixed ξ; alpha_attacked and magnitude (n,),
    ‖x − x₀‖; and, by `features` or else the classifier's method of that name, frechet (1,), of purified attacked images
    to clean ones.
    """

    def purified(images: np.ndarray, draw: int) -> np.ndarray:
        def f(x, rows):
            return purifiers.check(purify(x, xi.rows(rows).at(draw)), x, f"purifier '{name}'")

        return _in_blocks(f, images, batch, device, progress)

    def right(images: np.ndarray) -> np.ndarray:
        return _in_blocks(lambda x, rows: classify(x).argmax(dim=1), images, batch, device) == y

    anchor = purified(x0, FIXED)
    arrays = {
        "clean_fixed": right(anchor),
        "clean_fresh": right(purified(x0, FIXED + 1)),
        "alpha": metrics.compression_rate(purified(noisy, FIXED), anchor, noisy, x0),
    }
    if attacked is None:
        return arrays
    f = purified(attacked, FIXED)
    arrays |= {
        "robust": right(f),
        "alpha_attacked": metrics.compression_rate(f, anchor, attacked, x0),
        "magnitude": metrics.l2(attacked, x0),
    }
    features = features or getattr(classify, "features", None)
    if features is not None:
        after, clean = (_in_blocks(lambda x, rows: features(x), images, batch, device) for images in (f, x0))
        arrays["frechet"] = np.array([metrics.frechet(after, clean)])
    return arrays


def _in_blocks(of: Callable, images: np.ndarray, batch: int, device: str, progress=iter) -> np.ndarray:
    """of(x, rows) of `batch` images at a time, put together again; rows: their numbers."""
    x = torch.from_numpy(images)
    return torch.cat([of(x[rows].to(device), rows).cpu() for rows in progress(list(blocks(len(x), batch)))]).numpy()


def budget(
    x: np.ndarray,
    y: np.ndarray,
    xi: Noise,
    *,
    run: Callable,
    options: dict,
    scales: list[float],
    classify: Classifier,
    batch: int,
    device: str = "cpu",
    progress=iter,
) -> Arrays:
    """The undefended classifier under an attack of budget ε·α for each α of `scales` (Liu & Wei Fig. 3c).

    Returns scale (S,), epsilon (S,) and robust (S, n), whether it still classifies right. options: the attack's, with
    `epsilon`; its steps shrink with its budget.
    """
    kwargs = {"run": run, "classify": classify, "purify": purifiers.identity(), "name": "identity"}
    kwargs |= {"knowledge": "none", "batch": batch, "device": device, "progress": progress}
    robust = []
    for scale in scales:
        scaled = options | {"epsilon": options["epsilon"] * scale}
        crafted = attack(x, y, xi, options=scaled, **kwargs)
        with torch.no_grad():
            robust.append(_in_blocks(lambda x, rows: classify(x).argmax(dim=1), crafted, batch, device) == y)
    scale = np.array(scales, np.float64)
    return {"scale": scale, "epsilon": scale * options["epsilon"], "robust": np.stack(robust)}
