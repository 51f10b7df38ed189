"""J = ∂f_ξ/∂x at one image under its ξ: f is evaluated once, what is linear is done for many directions at a time.

`pullback` keeps the graph of one purification of one image; a purifier that is `chained` (purity.diffusion.chain) keeps
what fits of it and repeats the rest, once for all directions that go together. Directions on their way back share the
activations, so that c of them take less memory than the gradients of c images. Any f will do, chain or not.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

# Directions (c, C, H, W) → what J, or its transpose, makes of them, same shape.
Linear = Callable[[Tensor], Tensor]


def pullback(f: Callable[[Tensor], Tensor], x: Tensor) -> Linear:
    """v ↦ Jᵀ v at one image x (1, C, H, W), in reverse mode. f(x): (1, C, H, W)."""
    x = x.detach().requires_grad_()
    y = f(x)

    def pull(v: Tensor) -> Tensor:
        return torch.autograd.grad(y, x, v[None], retain_graph=True)[0][0]

    # not grad's own is_grads_batched, whose rules for convolutions and norms take direction after direction
    return torch.func.vmap(pull)


def rows(f: Callable[[Tensor], Tensor], x: Tensor, at_once: int) -> Iterator[tuple[Tensor, Tensor]]:
    """J at one image x (1, C, H, W), d = C·H·W: (numbers of rows (c,), these rows (c, d)), c ≤ at_once, in order.

    Row i is ∂f_i/∂x. Whoever stops in between goes on with `some_rows` of the numbers that are left.
    """
    yield from some_rows(pullback(f, x), x, torch.arange(x.numel(), device=x.device), at_once)


def some_rows(pull: Linear, x: Tensor, numbers: Tensor, at_once: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The same for some rows only, of the pullback at x (1, C, H, W)."""
    for chosen in numbers.split(at_once):
        e = torch.zeros(len(chosen), x.numel(), dtype=x.dtype, device=x.device)
        e[torch.arange(len(chosen)), chosen] = 1
        yield chosen, pull(e.view(-1, *x.shape[1:])).flatten(1)


class Largest(NamedTuple):
    """The largest singular values of J, largest first: `values` (k,) float64 are never too large, `upper` (k,) is too
    small with probability `risk` at most. total: Σ σ² over all of them, estimated, and its standard error."""

    values: Tensor
    upper: Tensor
    risk: float
    total: float
    total_error: float


def largest(pull: Linear, push: Linear, omega: Tensor, probes: Tensor, iterations: int = 1) -> Largest:
    """The k largest singular values of J by a randomised range finder (Halko, Martinsson and Tropp 2011, Alg. 4.4).

    pull, push: v ↦ Jᵀ v and v ↦ J v. omega (k, C, H, W), probes (r, C, H, W): standard normals. With Q an orthonormal
    basis of (JᵀJ)^q Jᵀ Ω, q = iterations: σ_j(JQ) ≤ σ_j(J) ≤ √(σ_j(JQ)² + ‖J(1−QQᵀ)‖²), the right by Weyl for JJᵀ;
    and ‖J(1−QQᵀ)‖ ≤ 10 √(2/π) max_i ‖(1−QQᵀ)Jᵀω_i‖ over r probes but for a probability of 10⁻ʳ (their Lemma 4.1).
    The last of the k values are the least sharp: ask for some more than are wanted. Evaluates pull k (1+q) + r times,
    push k (1+q) times, where all rows take pull d times. ValueError for fewer than two probes.
    """
    if len(probes) < 2:
        raise ValueError(f"{len(probes)} probes bound nothing and have no spread: give two or more")
    shape = omega.shape[1:]

    def basis(v: Tensor) -> Tensor:
        return torch.linalg.qr(v.flatten(1).double().T).Q  # (d, k)

    def images(q: Tensor) -> Tensor:
        return q.T.reshape(-1, *shape).to(omega)

    q = basis(pull(omega))
    for _ in range(iterations):
        q = basis(pull(images(basis(push(images(q))))))
    values = torch.linalg.svdvals(push(images(q)).flatten(1).double())
    seen = pull(probes).flatten(1).double()  # (r, d)
    missed = (seen - seen @ q @ q.T).norm(dim=1).max()
    squares = seen.square().sum(dim=1)
    return Largest(
        values,
        (values**2 + (10 * (2 / torch.pi) ** 0.5 * missed) ** 2).sqrt(),
        10.0 ** -len(probes),
        squares.mean().item(),
        (squares.std() / len(squares) ** 0.5).item(),
    )
