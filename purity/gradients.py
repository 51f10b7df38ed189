"""How much of the gradients that an attack asks for can move an image: what is zero or no number moves no pixel.

A defence whose gradients vanish is no obstacle to an attack by gradients, it is out of its sight (obfuscated gradients,
Athalye et al. 2018).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor


@dataclass(frozen=True)
class GradientCount:
    """Of all gradients ∇ₓ that passed a defence: how many, and how many of their entries were zero or not finite.

    asked, zero, non_finite (n,) int64: by image, so that neither the order of batches nor of draws changes a sum.
    rows (B,): the image that each row of the defence is. An average over draws counts as many gradients; a loss that is
    flat has one of zeros.
    """

    asked: Tensor
    zero: Tensor
    non_finite: Tensor
    rows: Tensor

    @classmethod
    def of(cls, x: Tensor) -> "GradientCount":
        """Of nothing yet, for the images x (n, …)."""
        return cls(*torch.zeros(3, len(x), dtype=torch.int64, device=x.device), torch.arange(len(x)))

    def of_rows(self, index: Tensor) -> "GradientCount":
        """The same count, fed by some of the rows."""
        return replace(self, rows=self.rows[index])

    def watched(self, x: Tensor) -> Tensor:
        """x, whose gradients are counted whenever they are computed."""
        if not (torch.is_grad_enabled() and x.requires_grad) or is_functorch_wrapped_tensor(x):
            return x
        x = x.view_as(x)
        x.register_hook(self.add)
        return x

    def add(self, gradient: Tensor) -> None:
        """Count a gradient (B, …) of the rows. What torch.func computes, and rows that are not ours, are left out."""
        if is_functorch_wrapped_tensor(gradient) or len(gradient) != len(self.rows):
            return
        entries, rows = gradient.detach().flatten(1), self.rows.to(gradient.device)
        self.asked.index_add_(0, rows, torch.ones_like(rows))
        self.zero.index_add_(0, rows, (entries == 0).sum(1))
        self.non_finite.index_add_(0, rows, (~entries.isfinite()).sum(1))

    def shares(self, entries: int) -> dict[str, Tensor]:
        """By image (n,): `gradients`, how many there were; `zero_gradients` and `non_finite_gradients`, which share of
        their entries was so, float64 in [0, 1], NaN where none was asked for. entries: of one image."""
        of_all = self.asked.double() * entries
        return {
            "gradients": self.asked,
            "zero_gradients": self.zero / of_all,
            "non_finite_gradients": self.non_finite / of_all,
        }

    def useless(self, entries: int) -> float:
        """The share of zeros and of no numbers among all entries; NaN if no gradient was asked for."""
        return ((self.zero + self.non_finite).sum() / (self.asked.sum() * entries)).item()
