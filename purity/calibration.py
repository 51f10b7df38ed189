"""What purifiers and attacks take on this device: the measurement that purity.run.cost makes hours of.

Evaluations are counted, not derived: purifiers and attacks of any making run once on one image with stand-ins for the
networks. Seconds are measured, on batches that grow until one takes long enough.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from purity.batching import most
from purity.defence import Classifier, Defence
from purity.diffusion import memory
from purity.diffusion.chain import graph, steps_that_fit
from purity.diffusion.denoiser import Network
from purity.noise import Noise
from purity.purifiers import Purifier


def evaluations(make: Callable[..., Purifier], options: dict, network: Network | None, x: Tensor) -> tuple[int, Tensor]:
    """How often one purification asks the network, and what it shows it (1, C, H, W); (0, x) without one.

    network is asked once, for the shape of its answer. x (1, C, H, W).
    """
    if network is None:
        return 0, x
    shown: list[Tensor] = []
    answers: list[Tensor] = []

    def stand_in(z: Tensor, index: Tensor) -> Tensor:
        shown.append(z)
        if not answers:
            answers.append(torch.zeros_like(network(z, index)))
        return answers[0]

    with torch.no_grad():
        make(stand_in, **options)(x, _noise(x))
    return len(shown), shown[0]


def calls(run: Callable, options: dict, x: Tensor, classes: int) -> dict[str, int]:
    """How often an attack on one image purifies and classifies, with a gradient and without.

    The classifier never errs, so an attack that stops at success runs to its end.
    """
    counted = {"purify": 0, "purify_gradient": 0, "classify": 0, "classify_gradient": 0}
    right = torch.zeros(1, classes, device=x.device)
    right[0, 0] = 1.0

    def count(what: str, z: Tensor) -> None:
        counted[f"{what}_gradient" if torch.is_grad_enabled() and z.requires_grad else what] += len(z)

    def purify(z: Tensor, xi: Noise) -> Tensor:
        count("purify", z)
        return 1 * z

    def classify(z: Tensor) -> Tensor:
        count("classify", z)
        return right + 0 * z.flatten(1).sum(dim=1, keepdim=True)

    run(Defence(classify, purify, _noise(x), "all"), x, x.new_zeros(1).long(), _noise(x), **options)
    return counted


def _noise(x: Tensor) -> Noise:
    return Noise(0, torch.arange(len(x)))


def seconds(f: Callable[[Tensor], Tensor], x: Tensor, gradient: bool, max_batch: int, enough: float = 1.0) -> float:
    """Seconds an image of f, with the gradient of its sum or without; x (1, C, H, W).

    Batches double up to `max_batch` images, or until one takes `enough` seconds; the last one counts.
    """
    size = 1
    while True:
        batch = x.expand(size, *x.shape[1:]).clone()
        _timed(f, batch, gradient)  # what is done once only, and what is not in the cache yet
        took = _timed(f, batch, gradient)
        if size >= max_batch or took >= enough:
            return took / size
        size = min(max_batch, 2 * size)


def repeated(f: Callable[[Tensor], Tensor], x: Tensor, n: int, batch: int) -> float:
    """The share of n evaluations f of so many images that a gradient makes twice here (purity.diffusion.chain)."""
    size, _ = graph(f, x)
    return 1 - steps_that_fit(n, size * batch, memory.at_hand(x.device)) / n if n else 0.0


def _timed(f: Callable[[Tensor], Tensor], x: Tensor, gradient: bool) -> float:
    _wait(x)
    started = time.perf_counter()
    if gradient:
        x = x.requires_grad_()
        out = f(x).sum()
        if out.requires_grad:  # else it is only attacked past it, by BPDA
            torch.autograd.grad(out, x)
    else:
        with torch.no_grad():
            f(x)
    _wait(x)
    return time.perf_counter() - started


def _wait(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize()


def calibrated(
    x0: np.ndarray,
    *,
    classify: Classifier,
    purifiers: dict[str, tuple[Callable[..., Purifier], dict, Network | None]],
    attacks: dict[str, tuple[Callable, dict]],
    batch: int | None,
    device: str = "cpu",
    progress=iter,
) -> dict:
    """Everything purity.run.cost needs to know of an experiment, JSON-able. x0 (n, C, H, W), at least one image.

    purifiers: name: maker, options, network; attacks: name: function, options. batch: images at once, at most; None
    or 0: as many as the memory has room for. Returns device, pixels, classify (seconds an image, `forward` and
    `gradient`), purifiers by name (evaluations a purification; `forward`, `gradient`, seconds a purification) and
    attacks by name (`calls`).
    """
    x = torch.from_numpy(x0[:1]).to(device)
    with torch.no_grad():
        classes = classify(x).shape[1]
    together = batch or most(classify, x)
    timed = {kind: seconds(classify, x, kind == "gradient", together) for kind in ("forward", "gradient")}
    known: dict[tuple, dict[str, float]] = {}  # purifiers share networks
    measured = {}
    for name, (make, options, network) in progress(list(purifiers.items())):
        n, z = evaluations(make, options, network, x)
        if network is None:
            purify = make(**options)
            f, times, key = (lambda v, purify=purify: purify(v, _noise(v))), 1, (name,)
        else:
            index = torch.zeros(1, dtype=torch.long, device=device)
            f, times, key = (lambda v, network=network, index=index: network(v, index)), n, (id(network), *z.shape)
        together = batch or most(f, z)
        if key not in known:
            known[key] = {kind: seconds(f, z, kind == "gradient", together) for kind in ("forward", "gradient")}
        forward, gradient = known[key]["forward"], known[key]["gradient"]
        if network is not None and options.get("recompute", True):
            gradient += repeated(f, z, n, together) * forward
        measured[name] = {"evaluations": n, "forward": times * forward, "gradient": times * gradient}
    named = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    counted = {name: calls(run, options, x, classes) for name, (run, options) in attacks.items()}
    return {"device": named, "pixels": x.numel(), "classify": timed, "purifiers": measured, "attacks": counted}
