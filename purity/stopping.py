"""Stop on success: an image that is fooled costs no more gradients.

Meant for an attacker who knows all of ξ: then what fools once fools for good. What comes back of such an image is the
first iterate that fooled, where the attack itself would go on to its last one, which may be right again. So accuracy is
never higher than the attack's own (docs/attacks.md says by how much lower), and distances, α and whatever else is
measured of attacked images are those of another iterate: compare them with no number of the papers.
"""

from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from purity.attacks import PARTS
from purity.defence import Defence, Draw
from purity.losses import Loss, cross_entropy, margin
from purity.noise import Noise

STOPPING = ("pgd", "bpda", "apgd")


def until_fooled(
    defence: Defence, x: Tensor, y: Tensor, noise: Noise, progress=iter, *, attack: str, epsilon: float, **options
) -> Tensor:
    """`attack` (of STOPPING) with its options; an image leaves the batch at the first gradient that finds it fooled.

    The others' noise and results are what they are among all. A job that was stopped itself and goes on asks about all
    of its images once more. ValueError: unless all of ξ is known; for several draws.
    """
    if attack not in STOPPING:
        raise ValueError(f"until_fooled: there is no attack '{attack}' that can stop; there are {', '.join(STOPPING)}")
    if defence.knowledge != "all" or options.get("draws", 1) != 1:
        raise ValueError(
            "until_fooled: under fresh ξ nothing is fooled for good; it takes knowledge `all` and one draw"
        )
    given = {f.name: getattr(defence, f.name) for f in fields(Defence)}
    fooled = _Fooled(x.clone(), torch.zeros(len(x), dtype=torch.bool))
    made = PARTS[attack](_Dropping(**given, fooled=fooled), x, y, noise, progress, epsilon=epsilon, **options)
    made[fooled.rows] = fooled.images[fooled.rows]
    return made


@dataclass
class _Fooled:
    """Which rows (B,) have been fooled, and by what images (B, C, H, W). logits (B, K): the last of each."""

    images: Tensor
    rows: Tensor
    logits: Tensor | None = None


@dataclass(frozen=True)
class _Dropping(Defence):
    """Asks about those alone that are not fooled yet. To the attack the others have no gradient any more."""

    fooled: _Fooled = field(kw_only=True)

    def slope(self, x: Tensor, y: Tensor, k: Draw = 0, loss: Loss = cross_entropy) -> tuple[Tensor, Tensor]:
        known, gradient = self.fooled, torch.zeros_like(x)
        if len(left := (~known.rows).nonzero().flatten()):
            logits, gradient[left] = Defence.slope(Defence.rows(self, left), x[left], y[left], k, loss)
            if known.logits is None:
                known.logits = logits.new_zeros(len(x), logits.shape[1])
            known.logits[left] = logits
            now = left[(margin(logits, y[left]) > 0).cpu()]
            known.images[now], known.rows[now] = x[now], True
        return known.logits.clone(), gradient
