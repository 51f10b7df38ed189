"""J = ∂f_ξ/∂x at a fixed ξ, exactly, some directions at a time (Liu & Wei §2, eq. 6).

Three ways with the same result. `rows` makes a copy of the image for each direction: one evaluation forward, one back.
`reverse` and `forward` evaluate f once for all directions and repeat only what is linear, which is quicker for networks
large enough, not for small ones (benchmarks/README.md). `reverse` keeps the activations of one purification, or what of
them fits the memory (purity.diffusion.jacobian), `forward` keeps none, `rows` those of all copies or what fits.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

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


def jacobian(x0: np.ndarray, xi: Noise, *, job: Job, purify: Purifier, mode: str) -> Arrays:
    """singular_values (n, d) float64 of J_f at each image under its fixed ξ, exactly, largest first.

    mode: of MODES. One d × d matrix of one image is held at a time, `job.batch` of its rows are made at once.
    """
    images, d, limit = torch.from_numpy(x0), x0[0].size, BatchLimit(job.batch)

    def values(row: Tensor) -> Part:
        x = images[row].to(job.device)
        linear = MODES[mode](_at(purify, xi, int(row)), x)
        matrix = torch.empty(d, d, dtype=x.dtype, device=job.device)
        for chosen, part in limit.fitting(torch.arange(d), lambda rows: {"J": linear(basis(rows, x))}):
            matrix[chosen] = part["J"].flatten(1).detach()
        return {"singular_values": singular_values(matrix)[None]}

    return in_batches(len(x0), values, job, BatchLimit(1))


def _at(purify: Purifier, xi: Noise, i: int) -> Callable[[Tensor], Tensor]:
    """f_ξ of image i, for any number of copies of it."""
    return lambda x: purify(x, xi.rows(torch.full((len(x),), i)))
