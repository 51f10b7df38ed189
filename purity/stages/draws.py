"""Images purified under many draws of ξ, several of them in one batch where there is room."""

from collections.abc import Iterator

import torch
from torch import Tensor

from purity.defence import KNOWLEDGE
from purity.noise import Noise
from purity.purifiers import Purifier


def purified(
    x: Tensor, xi: Noise, draws: range, purify: Purifier, room: int, knowledge: str = "none"
) -> Iterator[Tensor]:
    """f_ξ(x), the shape of x, at each of these draws. room: so many images go through f at once, or one draw of x.

    knowledge: what of ξ is fixed in all of them, as in purity.defence.
    """
    together = max(1, room // len(x))
    for first in range(draws.start, draws.stop, together):
        some = range(first, min(first + together, draws.stop))
        rows = torch.arange(len(x)).repeat(len(some))
        draw = torch.tensor(some).repeat_interleave(len(x)) if len(some) > 1 else first
        noise = xi.rows(rows).at(*KNOWLEDGE[knowledge](draw))
        yield from purify(x.repeat(len(some), *[1] * (x.ndim - 1)), noise).split(len(x))
