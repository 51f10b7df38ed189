"""Purifiers f_ξ(x): images in [0, 1] and noise ξ in, images in [0, 1] out. The only room that knows [-1, 1].

Each public function here makes one purifier from the options of its preset in the config; a purifier of your own is
made the same way, by any importable function. A purifier may have a method `states(x, xi)` that yields what it passes
through; the trajectory figure and the gallery then show it. One that evaluates a network many times hands it to
`purity.diffusion.chain.chained`, and its gradients fit the memory.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from purity.diffusion import samplers, schedules
from purity.diffusion.chain import Evaluate, chained
from purity.diffusion.denoiser import Network, denoiser
from purity.diffusion.resizing import resized
from purity.diffusion.samplers import State
from purity.diffusion.schedules import Schedule
from purity.noise import Noise

Purifier = Callable[[Tensor, Noise], Tensor]


def identity() -> Purifier:
    """f(x) = x: the undefended classifier. Noise that was not cut to [0, 1] is cut here; the gradient passes."""
    return lambda x, xi: x - (x - x.clamp(0, 1)).detach()


def gaussian(sigma: float) -> Purifier:
    """f_ξ(x) = x + N(0, σ²) (earlier version, eq. 3), cut to [0, 1] as all images are."""
    return lambda x, xi: (x + sigma * xi.forward(0, like=x)).clamp(0, 1)


@dataclass(frozen=True)
class Diffusion:
    """A forward process, then a reverse process, on the same schedule.

    forward(x, s, xi), reverse(x, s, xi): generators of (t, x_t) in [-1, 1], as in purity.diffusion.samplers.
    side: images are resized to side × side before and back after, bilinearly; None: they have the network's size.
    """

    schedule: Schedule
    forward: Callable[[Tensor, Schedule, Noise], Iterator[State]]
    reverse: Callable[[Tensor, Schedule, Noise], Iterator[State]]
    side: int | None = None

    def __call__(self, x: Tensor, xi: Noise) -> Tensor:
        """x (B, C, H, W) in [0, 1] → purified, same shape, in [0, 1]."""
        ((_, purified),) = deque(self.states(x, xi), maxlen=1)
        return purified

    def states(self, x: Tensor, xi: Noise) -> Iterator[State]:
        """(time, image) from x to f_ξ(x): time runs 0 … t forward and t … 2t back; only the ends are cut to [0, 1]."""
        s, size = self.schedule, x.shape[2:]
        end = s.time(s.steps)
        z = 2 * (x if self.side is None else resized(x, self.side, self.side)) - 1
        yield 0, x
        for t, noisy in self.forward(z, s, xi):
            z = noisy
            yield s.time(t), resized((z + 1) / 2, *size)
        for t, denoised in self.reverse(z, s, xi):
            image = resized((denoised + 1) / 2, *size)
            yield 2 * end - s.time(t), image if t > 0 else image.clamp(0, 1)


def states(purify: Purifier, x: Tensor, xi: Noise) -> Iterator[State]:
    """What x passes through, (time, image); for a purifier that does not tell, its two ends."""
    if hasattr(purify, "states"):
        yield from purify.states(x, xi)
    else:
        yield 0, x
        yield 1, purify(x, xi)


FORWARD = {"iterated": samplers.diffuse, "one-step": samplers.q_sample}


def ddpm(
    network: Network,
    *,
    t: int,
    steps: int,
    sigma: str,
    clip: bool,
    forward: str,
    recompute: bool = True,
    side: int | None = None,
) -> Purifier:
    """DiffPure: forward noise to strength t, then the ancestral chain.

    network(x, index) predicts ε; t in 1 … 1000; steps: evaluations kept of the t (respacing); sigma: small, large or
    learned; clip: x̂₀ to [-1, 1]; forward: iterated (one noise a step) or one-step; recompute: for
    gradients, repeat the evaluations whose activations do not fit the memory at hand (purity.diffusion.chain; false:
    keep those of all); side: of the network's images, if the images have another.
    """
    s = schedules.strength(schedules.linear(), t, steps)
    return Diffusion(s, FORWARD[forward], _ancestral(network, s, sigma, clip, recompute), side)


def reverse(
    network: Network,
    *,
    t: int,
    steps: int,
    sigma: str,
    clip: bool,
    recompute: bool = True,
    side: int | None = None,
) -> Purifier:
    """RevPure: the chain of `ddpm` started at the image itself, without forward noise."""
    s = schedules.strength(schedules.linear(), t, steps)
    return Diffusion(s, samplers.stay, _ancestral(network, s, sigma, clip, recompute), side)


def ddim(
    network: Network,
    *,
    t: int,
    steps: int,
    clip: bool,
    forward: str,
    clipped_epsilon: str = "derived",
    recompute: bool = True,
    side: int | None = None,
) -> Purifier:
    """Forward noise, then the deterministic chain (η = 0).

    clipped_epsilon: with clip, ε is derived anew from the clipped x̂₀ (guided diffusion) or kept (diffusers).
    """
    s = schedules.strength(schedules.linear(), t, steps)
    step = samplers.implicit(denoiser(network, s, "small", clip, keep_eps=clipped_epsilon == "kept"), s)
    return Diffusion(s, FORWARD[forward], partial(samplers.deterministic, _kept(step, s, recompute)), side)


def one_step(network: Network, *, t: int, clip: bool, recompute: bool = True, side: int | None = None) -> Purifier:
    """Forward noise in one step, then x̂₀ by one evaluation (Carlini et al. 2022), which there is no use to repeat."""
    s = schedules.strength(schedules.linear(), t)
    return Diffusion(s, samplers.q_sample, partial(samplers.one_step, denoiser(network, s, "small", clip)), side)


def _ancestral(network: Network, s: Schedule, sigma: str, clip: bool, recompute: bool):
    step = samplers.posterior(denoiser(network, s, sigma, clip), s)
    return partial(samplers.ancestral, _kept(step, s, recompute))


def _kept(step: Evaluate, s: Schedule, recompute: bool) -> Evaluate:
    return chained(step, s.steps) if recompute else step
