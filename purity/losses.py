"""What an attack raises: functions (logits (B, K), labels y (B,)) → (B,). Each row depends on its own logits only."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    """−log softmax(z)_y."""
    return F.cross_entropy(z, y, reduction="none")


def margin(z: Tensor, y: Tensor) -> Tensor:
    """max_{j≠y} z_j − z_y (Carlini & Wagner 2017, f₆): above 0 where the classifier errs, below 0 where it does not."""
    return _others(z, y).amax(dim=1) - _entry(z, y)


def dlr(z: Tensor, y: Tensor) -> Tensor:
    """Difference of logits ratio (Croce & Hein 2020, eq. 6): the margin over z_(1) − z_(3). Needs three classes."""
    top = z.topk(3, dim=1).values
    return margin(z, y) / (top[:, 0] - top[:, 2] + 1e-12)


def toward(target: Tensor) -> Loss:
    """z_target − z_y (Gowal et al. 2019, MultiTargeted). target: (B,), a class other than y for each row."""
    return lambda z, y: _entry(z, target) - _entry(z, y)


def dlr_toward(target: Tensor) -> Loss:
    """(z_target − z_y) / (z_(1) − ½(z_(3) + z_(4))) (Croce & Hein 2020, eq. 7). Needs four classes."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        top = z.topk(4, dim=1).values
        return toward(target)(z, y) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + 1e-12)

    return loss


def cross_entropy_toward(target: Tensor) -> Loss:
    """log softmax(z)_target."""
    return lambda z, y: -F.cross_entropy(z, target, reduction="none")


LOSSES: dict[str, Loss] = {"cross-entropy": cross_entropy, "margin": margin, "dlr": dlr}
TARGETED: dict[str, Callable[[Tensor], Loss]] = {
    "cross-entropy": cross_entropy_toward,
    "margin": toward,
    "dlr": dlr_toward,
}


def _entry(z: Tensor, label: Tensor) -> Tensor:
    return z.gather(1, label[:, None])[:, 0]


def _others(z: Tensor, y: Tensor) -> Tensor:
    return z.scatter(1, y[:, None], -torch.inf)
