"""ξ, the randomness of a purification, as a value that is looked up and not as a stream that is drawn.

The noise at (base seed, image id, draw, direction, step) is a pure function of that address, by the counter-based
generator Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). Hence one image meets
the same noise at any batch size, in any shard and order, on any device; no generator of torch or numpy is touched.
The address goes into Philox's 128-bit counter and 64-bit key unmixed, so no two addresses collide.

`PublishedNoise` reproduces the papers' own seedings instead, for checking against them. Those do collide (see there).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor

# Streams: what the numbers are for. Two uses never share one.
FORWARD, REVERSE, START, BALL, PLANE = range(5)

# Draws below this one judge; those from it on belong to attackers who do not know ξ (see purity.defence).
ATTACKER = 2**31

_WORD = 0xFFFFFFFF


def philox4x32(counter: list[Tensor], key: tuple[int | Tensor, int]) -> list[Tensor]:
    """Ten rounds of Philox4x32. counter: four int64 tensors of 32-bit words (they broadcast) -> four such tensors.

    key: two words, the first also a tensor that broadcasts with these. On the CPU by numpy, whose unsigned products
    need no masks: the same words in half the time.
    """
    plain = all(c.device.type == "cpu" and not is_functorch_wrapped_tensor(c) for c in counter)
    return _on_host(counter, key) if plain else _on_tensors(counter, key)


_PRODUCTS, _STEPS = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)


def _on_tensors(counter: list[Tensor], key: tuple[int | Tensor, int]) -> list[Tensor]:
    """int64 products wrap modulo 2⁶⁴, which keeps all 64 bits of a 32×32 product; masks undo the sign."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * _PRODUCTS[0], c2 * _PRODUCTS[1]
        c0, c1, c2, c3 = (
            ((p1 >> 32) & _WORD) ^ c1 ^ k0,
            p1 & _WORD,
            ((p0 >> 32) & _WORD) ^ c3 ^ k1,
            p0 & _WORD,
        )
        k0, k1 = (k0 + _STEPS[0]) & _WORD, (k1 + _STEPS[1]) & _WORD
    return [c0, c1, c2, c3]


def _on_host(counter: list[Tensor], key: tuple[int | Tensor, int]) -> list[Tensor]:
    """The even words c0, c2 and the odd ones c1, c3 go through together: half as many operations."""
    words = np.broadcast_arrays(*(c.numpy().view(np.uint64) for c in counter))
    even, odd = np.stack(words[0::2]), np.stack(words[1::2])
    shape = (2, *[1] * words[0].ndim)
    product, step = (np.array(pair, np.uint64).reshape(shape) for pair in (_PRODUCTS, _STEPS))
    first = (
        key[0].numpy().astype(np.uint64)
        if isinstance(key[0], Tensor)
        else np.full([1] * words[0].ndim, key[0], np.uint64)
    )
    k = np.stack([first, np.full_like(first, key[1])])
    low, half = np.uint64(_WORD), np.uint64(32)
    for _ in range(10):
        p = even * product
        even = (p >> half)[::-1] ^ odd
        even ^= k
        odd = (p & low)[::-1]
        k = (k + step) & low
    return [torch.from_numpy(np.array(w, order="C").view(np.int64)) for w in (even[0], odd[0], even[1], odd[1])]


def _words(seed: int | Tensor, stream: int, ids: Tensor, draw: int | Tensor, step: int, n: int) -> Tensor:
    """n 32-bit words per row: (B, n) int64, n a multiple of 4. The address is (seed, stream | word, step, draw, id)."""
    block = torch.arange(n // 4, device=ids.device)
    row = ids[:, None]
    seed = seed[:, None] if isinstance(seed, Tensor) else seed
    draw = draw[:, None] if isinstance(draw, Tensor) else torch.full_like(row, draw)
    words = philox4x32([block, torch.full_like(row, step), draw, row], (seed, stream))
    return torch.stack([w.expand(len(ids), n // 4) for w in words], dim=-1).flatten(1)


def uniforms(
    seed: int | Tensor, stream: int, ids: Tensor, draw: int | Tensor, step: int, shape: tuple[int, ...]
) -> Tensor:
    """U(0, 1) in float64, shape (B, *shape); never exactly 0 or 1."""
    d = math.prod(shape)
    words = _words(seed, stream, ids, draw, step, -(-d // 4) * 4)
    return ((words.double() + 0.5) / 2**32)[:, :d].reshape(len(ids), *shape)


def normals(
    seed: int | Tensor, stream: int, ids: Tensor, draw: int | Tensor, step: int, shape: tuple[int, ...]
) -> Tensor:
    """N(0, 1) in float64 by Box and Muller, shape (B, *shape)."""
    d = math.prod(shape)
    u = uniforms(seed, stream, ids, draw, step, (-(-d // 4) * 4,))
    radius, angle = (-2 * u[:, 0::2].log()).sqrt(), 2 * math.pi * u[:, 1::2]
    z = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1).flatten(1)
    return z[:, :d].reshape(len(ids), *shape)


@dataclass(frozen=True)
class Noise:
    """ξ of a batch: row b's noise is addressed by (seed, ids[b], draw, direction, step).

    seed: base seed, 0 ≤ s < 2³²; an int, or (B,) int64 for one a row. ids: (B,) int64 image ids, 0 ≤ i < 2³².
    forward_draw, reverse_draw: which draw each direction sees, in the same two forms. past: steps that
    another purification of the same images has used before.
    ValueError if one of these is outside its range.
    """

    seed: int | Tensor
    ids: Tensor
    forward_draw: int | Tensor = 0
    reverse_draw: int | Tensor = 0
    past: int = 0

    def __post_init__(self):
        if isinstance(self.seed, int) and not 0 <= self.seed < 2**32:
            raise ValueError(f"base seed {self.seed} is outside 0 … 2³²−1")
        if len(self.ids) and (self.ids.min() < 0 or self.ids.max() >= 2**32):
            raise ValueError("image ids must lie in 0 … 2³²−1")
        for draw in (self.forward_draw, self.reverse_draw):
            if isinstance(draw, int) and not 0 <= draw < 2**32:
                raise ValueError(f"draw {draw} is outside 0 … 2³²−1")

    def at(self, forward: int | Tensor, reverse: int | Tensor | None = None) -> "Noise":
        """The same rows under another draw; one number moves both directions."""
        return replace(self, forward_draw=forward, reverse_draw=forward if reverse is None else reverse)

    def later(self, steps: int) -> "Noise":
        """The same draw from so many steps on, for another purification of the same images under one ξ."""
        return replace(self, past=self.past + steps)

    def rows(self, index: Tensor) -> "Noise":
        """ξ of some of the rows: ids stay with their images when an attack drops or repeats rows."""

        def pick(one):
            return one[index] if isinstance(one, Tensor) else one

        forward, reverse = pick(self.forward_draw), pick(self.reverse_draw)
        seed, ids = pick(self.seed), self.ids[index]
        return replace(self, seed=seed, ids=ids, forward_draw=forward, reverse_draw=reverse)

    def forward(self, step: int, like: Tensor) -> Tensor:
        """Forward noise of one step (a network index), in the shape, type and device of `like` (B, C, H, W)."""
        return self._normals(FORWARD, self.forward_draw, self.past + step, like)

    def reverse(self, step: int, like: Tensor) -> Tensor:
        """Reverse noise added by the evaluation at network index `step`."""
        return self._normals(REVERSE, self.reverse_draw, self.past + step, like)

    def start(self, like: Tensor) -> Callable[[int], Tensor]:
        """j ↦ the j-th U(0, 1) tensor of an attack's random start; the same for every attack of this seed."""
        return lambda j: self._uniforms(START, 0, j, like)

    def ball(self, point: int | Tensor, like: Tensor) -> Callable[[int], Tensor]:
        """The same for the point-th sample of the ball around each image."""
        return lambda j: self._uniforms(BALL, point, j, like)

    def plane(self, like: Tensor) -> Callable[[int], Tensor]:
        """The same for a random direction (j = 0) and random points (j = 1, 2) of a plane through each image."""
        return lambda j: self._uniforms(PLANE, 0, j, like)

    def _uniforms(self, stream, draw, step, like):
        seed, draw = _beside(like, self.seed), _beside(like, draw)
        u = uniforms(seed, stream, self.ids.to(like.device), draw, step, tuple(like.shape[1:]))
        # rounded to float32, a number can become 1
        return u.to(like.dtype).clamp(max=1 - torch.finfo(like.dtype).eps / 2)

    def _normals(self, stream, draw, step, like):
        seed, draw = _beside(like, self.seed), _beside(like, draw)
        z = normals(seed, stream, self.ids.to(like.device), draw, step, tuple(like.shape[1:]))
        return z.to(like.dtype)


def _beside(like: Tensor, one: int | Tensor) -> int | Tensor:
    """On the device of `like`."""
    return one.to(like.device) if isinstance(one, Tensor) else one


def hash_s2(s: int, i: int, t: int) -> int:
    """(83492791·s) ⊕ (73856093·i) ⊕ (19349663·t) mod 2³² (Liu & Wei, newest version, eq. 13)."""
    return ((83492791 * s) ^ (73856093 * i) ^ (19349663 * t)) % 2**32


def seed_s2(s: int, i: int, t: int, direction: int) -> int:
    """hash(s, i, 2t) forward, hash(s, i, 2t+1) reverse (newest version, eq. 12)."""
    return hash_s2(s, i, 2 * t + direction)


def seed_s3(s: int, i: int, t: int, direction: int) -> int:
    """10⁴s + 2(10³i + t) + 1 forward, 10⁴s + 2(10³i + t) reverse (earlier version, eq. 9)."""
    return 10**4 * s + 2 * (10**3 * i + t) + 1 - direction


@dataclass(frozen=True)
class PublishedNoise(Noise):
    """ξ as the papers seeded it: one torch generator per (s, i, t) at their batch size of 1.

    ids are here the *positions* of the images in the subset. The papers know no draws, another ξ is another base
    seed: draw d of seed s is here their seed s + 1000·d, attackers' draws counted from d = 500 on. t is the network
    index, 0 at the last step; whether theirs starts at 0 or 1 they do not say.
    Neither hash is injective. Of the 60,200,000 addresses s < 100, i < 1000, t ≤ 300, both directions, 831,436 share
    their seed with another under s2 (as many as by chance) and 60,193,980 under s3: those see identical noise.
    """

    seed_of: Callable[[int, int, int, int], int] = seed_s2

    def _normals(self, stream, draw, step, like):
        seeds, draws = (one.tolist() if isinstance(one, Tensor) else [one] * len(self.ids) for one in (self.seed, draw))
        rows = []
        for seed, i, d in zip(seeds, self.ids.tolist(), draws, strict=True):
            s = seed + 1000 * (d if d < ATTACKER else 500 + d - ATTACKER)
            generator = torch.Generator().manual_seed(self.seed_of(s, i, step, stream))
            rows.append(torch.randn(like.shape[1:], generator=generator))
        return torch.stack(rows).to(like)


# Seeding by its name in the config: (base seed, ids of a block's images, position of its first one) → ξ at draw 0.
SEEDINGS: dict[str, Callable[..., Noise]] = {
    "address": lambda seed, ids, first=0: Noise(seed, ids),
    "s2": lambda seed, ids, first=0: PublishedNoise(seed, torch.arange(first, first + len(ids)), seed_of=seed_s2),
    "s3": lambda seed, ids, first=0: PublishedNoise(seed, torch.arange(first, first + len(ids)), seed_of=seed_s3),
}


def from_spec(spec: dict, ids: np.ndarray, seeds: Sequence[int] | None = None) -> Noise:
    """ξ of a block's images at draw 0, from the `noise` part of a spec: seed, seeding and, unless it is 0, first.

    seeds: base seeds other than the spec's; ids are then the block's once for each of them, one after the other.
    """
    seeds, seeded = seeds or [spec["seed"]], SEEDINGS[spec["seeding"]]
    each = [
        seeded(s, part, spec.get("first", 0))
        for s, part in zip(seeds, torch.from_numpy(ids).chunk(len(seeds)), strict=True)
    ]
    return each[0] if len(each) == 1 else together(each)


def together(noises: Sequence[Noise]) -> Noise:
    """ξ of the rows of several, one after the other, at draw 0."""
    ids = torch.cat([xi.ids for xi in noises])
    seed = torch.cat([xi.seed if isinstance(xi.seed, Tensor) else torch.full_like(xi.ids, xi.seed) for xi in noises])
    return replace(noises[0], seed=seed, ids=ids)
