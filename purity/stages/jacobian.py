"""J = ∂f_ξ/∂x at a fixed ξ, exactly, some directions at a time (Liu & Wei §2, eq. 6); or its largest singular values.

Three ways with the same result. `rows` makes a copy of the image for each direction: one evaluation forward, one back.
`reverse` and `forward` evaluate f once for all directions and repeat only what is linear, which is quicker for networks
large enough, not for small ones (benchmarks/README.md). `reverse` keeps the activations of one purification, or what of
them fits the memory (purity.diffusion.jacobian), `forward` keeps none, `rows` those of all copies or what fits.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from purity import repairs
from purity.diffusion import jacobian as randomised
from purity.diffusion.jacobian import Linear, pullback
from purity.noise import Noise
from purity.purifiers import Purifier
from purity.run.batches import Arrays, BatchLimit, Part, in_batches
from purity.run.job import Job

GRADIENTS = True

# f maps every one of any number of rows by the same function: one purifier, one ξ.


def repeated(f: Callable[[Tensor], Tensor], x: Tensor) -> Linear:
    """v ↦ Jᵀ v at one image x (1, C, H, W), by reverse mode on as many copies of x as there are directions."""

    def pull(v: Tensor) -> Tensor:
        copies = x.expand(len(v), *x.shape[1:]).clone().requires_grad_()
        return torch.autograd.grad(f(copies), copies, v)[0]

    return pull


def pushforward(f: Callable[[Tensor], Tensor], x: Tensor) -> Linear:
    """v ↦ J v at one image x (1, C, H, W), by forward mode. A custom autograd function inside f needs a `jvp`."""
    repairs.forward_differentiation()

    def push(v: Tensor) -> Tensor:
        return torch.func.jvp(f, (x,), (v[None],))[1][0]

    return torch.func.vmap(push)


MODES: dict[str, Callable[[Callable[[Tensor], Tensor], Tensor], Linear]] = {
    "rows": repeated,
    "reverse": pullback,
    "forward": pushforward,
}


def basis(columns: Tensor, x: Tensor) -> Tensor:
    """Unit vectors e_j of the image space, (c, C, H, W) for x (1, C, H, W) and j in `columns`."""
    e = torch.zeros(len(columns), x.numel(), dtype=x.dtype, device=x.device)
    e[torch.arange(len(columns)), columns] = 1
    return e.view(-1, *x.shape[1:])


def singular_values(matrix: Tensor) -> Tensor:
    """Of J or of its transpose, (d, d) → (d,) float64, largest first."""
    return torch.linalg.svdvals(matrix.double())


def jacobian(x0: np.ndarray, xi: Noise, *, job: Job, purify: Purifier, mode: str, largest: int | None = None) -> Arrays:
    """singular_values (n, d) float64 of J_f at each image under its fixed ξ, exactly, largest first.

    mode: of MODES. One d × d matrix of one image is held at a time, `job.batch` of its rows are made at once, and a job
    that was stopped goes on at the rows that are left. largest: only so many values k, by a randomised range finder
    (purity.diffusion.jacobian.largest): singular_values (n, k), never too large; upper (n, k), too small with the
    probability `risk` (n,) at most; total (n,), Σσ² over all d, estimated, and total_error (n,), its standard error.
    """
    images, limit = torch.from_numpy(x0), BatchLimit(job.batch)

    def values(row: Tensor) -> Part:
        x, f = images[row].to(job.device), _at(purify, xi, int(row))
        if largest is not None:
            return _largest(f, x, mode, min(largest, x.numel()), limit)
        matrix = _matrix(MODES[mode](f, x), x, limit, job.part(f"image-{int(row)}"))
        return {"singular_values": singular_values(matrix)[None]}

    return in_batches(len(x0), values, job, BatchLimit(1))


def _matrix(linear: Linear, x: Tensor, limit: BatchLimit, job: Job) -> Tensor:
    """J (d, d) or its transpose at one image x, row by row; a row that is there already is not made again."""
    d = x.numel()

    def rows(chosen: Tensor) -> Part:
        return {"J": linear(basis(chosen, x)).flatten(1).detach()}

    made = in_batches(d, rows, job if d > limit.batch else replace(job, done=None), limit)
    if job.done:
        job.done.forget()
    return torch.from_numpy(made["J"]).to(job.device)


MORE = 10  # directions than values that are wanted, which makes these sharp (Halko et al. 2011, §1.3)
PROBES = 10  # the bound fails with probability 10⁻¹⁰


def _largest(f: Callable[[Tensor], Tensor], x: Tensor, mode: str, k: int, limit: BatchLimit) -> Part:
    generator = torch.Generator().manual_seed(0)  # the same directions for every image
    directions = min(k + MORE, x.numel())
    drawn = torch.randn(directions + PROBES, *x.shape[1:], generator=generator, dtype=x.dtype).to(x.device)
    pull = repeated(f, x) if mode == "rows" else pullback(f, x)
    found = randomised.largest(
        _in_parts(pull, limit), _in_parts(pushforward(f, x), limit), drawn[:directions], drawn[directions:]
    )
    part = {"singular_values": found.values[:k], "upper": found.upper[:k]}
    part |= {name: torch.tensor(getattr(found, name)) for name in ("risk", "total", "total_error")}
    return {name: value.double()[None] for name, value in part.items()}


def _in_parts(linear: Linear, limit: BatchLimit) -> Linear:
    """The same for any number of directions, as many at once as fit."""

    def mapped(v: Tensor) -> Tensor:
        parts = limit.fitting(torch.arange(len(v)), lambda rows: {"v": linear(v[rows]).detach()})
        return torch.cat([part["v"] for _, part in parts])

    return mapped


def _at(purify: Purifier, xi: Noise, i: int) -> Callable[[Tensor], Tensor]:
    """f_ξ of image i, for any number of copies of it."""
    return lambda x: purify(x, xi.rows(torch.full((len(x),), i)))
