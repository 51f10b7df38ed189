"""The defended classifier g(f_ξ(x)) as an attacker meets it: which ξ he sees is what he knows.

Draw 0 is the ξ of the base seed: `fixed`. Draws 1, 2, … are fresh ones nobody attacked. What attackers do not know of ξ
they see at draws from ATTACKER on, another one for every gradient.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from purity.gradients import GradientCount
from purity.losses import Loss, cross_entropy
from purity.noise import ATTACKER, Noise
from purity.purifiers import Purifier

Classifier = Callable[[Tensor], Tensor]

FIXED = 0

Draw = int | Tensor  # for all rows, or (B,) one a row

# Draw of what is not known → (forward draw, reverse draw): what is known is that of the fixed ξ, in attack and judging.
KNOWLEDGE: dict[str, Callable[[Draw], tuple[Draw, Draw]]] = {
    "none": lambda draw: (draw, draw),
    "all": lambda draw: (FIXED, FIXED),
    "forward": lambda draw: (FIXED, draw),
    "reverse": lambda draw: (draw, FIXED),
}
PARTLY = ("forward", "reverse")  # neither nothing nor all


@dataclass(frozen=True)
class Defence:
    """classify: images in [0, 1] (B, C, H, W) → logits (B, K). purify: f(x, ξ). xi: ξ of these rows at draw 0.

    first: the attacker's draws begin there, for all rows or (B,) for each. max_batch: how many rows may be
    asked together; an attack that averages shows several draws of each image where there is room. counted: counts the
    gradients that are asked for.
    """

    classify: Classifier
    purify: Purifier
    xi: Noise
    knowledge: str = "all"
    first: Draw = ATTACKER
    max_batch: int = 0
    counted: GradientCount | None = None

    def __call__(self, x: Tensor, k: Draw = 0) -> Tensor:
        """Logits (B, K) as the attacker computes them at his k-th draw."""
        x = x if self.counted is None else self.counted.watched(x)
        return self.classify(self.purify(x, self.xi.at(*KNOWLEDGE[self.knowledge](self.first + k))))

    def gradient(self, x: Tensor, y: Tensor, k: Draw = 0) -> Tensor:
        """∇ₓ L[g(f_ξ(x)), y] at draw k (eq. 8), L = cross-entropy summed over the batch: rows stay independent."""
        return self.slope(x, y, k)[1]

    def slope(self, x: Tensor, y: Tensor, k: Draw = 0, loss: Loss = cross_entropy) -> tuple[Tensor, Tensor]:
        """Logits (B, K) at draw k and the gradient of the loss, summed over the batch."""
        x = x.detach().requires_grad_()
        logits = self(x, k)
        if not logits.requires_grad:
            said = "torch.no_grad in it, or something that has no derivative; bpda goes past that of a purifier"
            raise ValueError(f"no gradient passes the defence: {said}")
        return logits.detach(), torch.autograd.grad(loss(logits, y).sum(), x)[0]

    def straight_through(self) -> "Defence":
        """The same forward pass, the identity backward through the purifier (BPDA, Athalye et al. 2018)."""
        return replace(self, purify=straight_through(self.purify))

    def rows(self, index: Tensor) -> "Defence":
        """The defence of some of the images; their ξ goes with them."""
        first = self.first[index] if isinstance(self.first, Tensor) else self.first
        counted = self.counted and self.counted.of_rows(index)
        return replace(self, xi=self.xi.rows(index), first=first, counted=counted)


class _Identity(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, purified):
        return purified

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


def straight_through(purify: Purifier) -> Purifier:
    """f forward, identity backward. No graph is built through f. Of k purifications (B, k, …) each has the identity."""

    def bpda(x: Tensor, xi: Noise) -> Tensor:
        with torch.no_grad():
            purified = purify(x, xi)
        if purified.ndim > x.ndim:
            return torch.stack([_Identity.apply(x, one.clone()) for one in purified.unbind(1)], dim=1)
        return _Identity.apply(x, purified.clone())

    return bpda
