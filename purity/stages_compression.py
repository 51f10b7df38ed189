"""Stages about the compression of image space, as those of purity.stages: arrays in, arrays out, `batch` at a time.

All of them take classify, purify: the classifier and purifier on `device`, and xi: ξ of all images (n rows) at draw 0.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from purity import metrics, purifiers
from purity.defence import FIXED, Classifier
from purity.jacobian import MODES, basis, singular_values
from purity.noise import Noise
from purity.pca import Moments
from purity.purifiers import Purifier
from purity.run.batches import Kept, Part, Size, in_batches
from purity.stages import Arrays, Features, attack, perturbed


def jacobian(
    x0: np.ndarray,
    xi: Noise,
    *,
    purify: Purifier,
    mode: str,
    batch: int,
    device: str = "cpu",
    progress=iter,
    kept: Kept | None = None,
) -> np.ndarray:
    """Singular values of J_f at each image under its fixed ξ, exactly: (n, d) float64, largest first.

    mode: see purity.jacobian. One d × d matrix of one image is held at a time, `batch` of its rows are made at once.
    """
    images, d, size = torch.from_numpy(x0), x0[0].size, Size(batch)

    def values(row: Tensor) -> Part:
        x = images[row].to(device)
        linear = MODES[mode](_at(purify, xi, int(row)), x)
        matrix = torch.empty(d, d, dtype=x.dtype, device=device)
        for chosen, part in size.fitting(torch.arange(d), lambda rows: {"J": linear(basis(rows, x))}):
            matrix[chosen] = part["J"].flatten(1).detach()
        return {"values": singular_values(matrix)[None]}

    return in_batches(len(x0), 1, values, kept, progress)["values"]


def _at(purify: Purifier, xi: Noise, i: int) -> Callable[[Tensor], Tensor]:
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
    kept: Kept | None = None,
) -> Arrays:
    """Principal variances of uniform points of the ℓ∞ ball around each image, before and after the fixed ξ purifies
    them: before, after (n, d) float64, largest first. Points are streamed; d × d numbers are held, twice."""
    images, d, size = torch.from_numpy(x0), x0[0].size, Size(batch)

    def spectra(row: Tensor) -> Part:
        before, after = Moments(d, device), Moments(d, device)

        def purified(p: Tensor) -> Part:
            noise = xi.rows(row.expand(len(p)))
            x = perturbed(images[row].to(device).expand(len(p), *x0.shape[1:]), noise, p, epsilon)
            return {"x": x, "f": purifiers.check(purify(x, noise.at(FIXED)), x, f"purifier '{name}'")}

        for _, part in size.fitting(torch.arange(points), purified):
            before.add(part["x"])
            after.add(part["f"])
        return {"before": before.spectrum()[None], "after": after.spectrum()[None]}

    return in_batches(len(x0), 1, spectra, kept, progress)


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
    kept: Kept | None = None,
) -> Arrays:
    """What a purifier of some strength does, in numbers per image: no images are kept.

    x0, noisy, attacked (n, C, H, W): clean, under uniform noise, under an attack that knows ξ (or None). Returns
    clean_fixed, clean_fresh (n,) whether clean images are classified right under the fixed ξ and under draw 1; alpha
    (n,), α of the noise. With an attack also robust (n,), right under the fixed ξ; alpha_attacked and magnitude (n,),
    ‖x − x₀‖; and, by `features` or else the classifier's method of that name, features and features_clean (n, F) of
    purified attacked images and of clean ones, for the Fréchet distance between them.
    """
    features = features or getattr(classify, "features", None)
    given = {"x0": x0, "y": y, "noisy": noisy} | ({} if attacked is None else {"attacked": attacked})
    tensors = {key: torch.from_numpy(array) for key, array in given.items()}

    def probed(rows: Tensor) -> Part:
        at = {key: tensor[rows].to(device) for key, tensor in tensors.items()}
        noise = xi.rows(rows)

        def purified(images: Tensor, draw: int = FIXED) -> Tensor:
            return purifiers.check(purify(images, noise.at(draw)), images, f"purifier '{name}'")

        def right(images: Tensor) -> Tensor:
            return classify(images).argmax(dim=1) == at["y"]

        def alpha(f: Tensor, x: Tensor) -> Tensor:
            compared = (image.cpu().numpy() for image in (f, anchor, x, at["x0"]))
            return torch.from_numpy(metrics.compression_rate(*compared))

        anchor = purified(at["x0"])
        part = {"clean_fixed": right(anchor), "clean_fresh": right(purified(at["x0"], FIXED + 1))}
        part["alpha"] = alpha(purified(at["noisy"]), at["noisy"])
        if attacked is None:
            return part
        f = purified(at["attacked"])
        part |= {"robust": right(f), "alpha_attacked": alpha(f, at["attacked"])}
        part["magnitude"] = torch.from_numpy(metrics.l2(attacked[rows.numpy()], x0[rows.numpy()]))
        if features is not None:
            part |= {"features": features(f), "features_clean": features(at["x0"])}
        return part

    return in_batches(len(x0), batch, probed, kept, progress)


BUDGET_AXES = {"robust": 1, "scale": None, "epsilon": None}


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
    kept: Kept | None = None,
) -> Arrays:
    """The undefended classifier under an attack of budget ε·α for each α of `scales` (Liu & Wei Fig. 3c).

    Returns scale (S,), epsilon (S,) and robust (S, n), whether it still classifies right. options: the attack's, with
    `epsilon`; its steps shrink with its budget.
    """
    kwargs = {"run": run, "classify": classify, "purify": purifiers.identity(), "name": "identity"}
    kwargs |= {"knowledge": "none", "batch": batch, "device": device}

    def robust(rows: Tensor) -> Part:
        right = []
        for scale in scales:
            scaled = options | {"epsilon": options["epsilon"] * scale}
            chosen = rows.numpy()
            crafted = torch.from_numpy(attack(x[chosen], y[chosen], xi.rows(rows), options=scaled, **kwargs))
            with torch.no_grad():
                right.append(classify(crafted.to(device)).argmax(dim=1).cpu() == torch.from_numpy(y[chosen]))
        return {"robust": torch.stack(right, dim=1)}

    made = in_batches(len(x), batch, robust, kept, progress)["robust"]
    scale = np.array(scales, np.float64)
    return {"scale": scale, "epsilon": scale * options["epsilon"], "robust": made.T}
