"""A purifier whose network has its drop-out left on, as a program that forgets `eval()` runs it.

The papers do not say whether theirs was off. What falls out is part of ξ here, so that it is a purifier like others.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import NormalDist

from torch import Tensor, nn

from purity import purifiers
from purity.diffusion import schedules
from purity.noise import Noise
from purity.purifiers import Purifier


def ddpm_with_drop_out(network: nn.Module, *, drop_out: float, **options) -> Purifier:
    """`purity.purifiers.ddpm` with every `nn.Dropout` of the network on: 0 < drop_out < 1, the probability to fall out.

    options: of ddpm. ValueError: the probability is none, or the network has no `nn.Dropout`.
    """
    if not 0 < drop_out < 1:
        raise ValueError(f"drop_out: {drop_out} is not between 0 and 1")
    layers = [module for module in network.modules() if isinstance(module, nn.Dropout)]
    if not layers:
        raise ValueError("the diffusion network has no drop-out to leave on")

    def purify(x: Tensor, xi: Noise) -> Tensor:
        def dropping(z: Tensor, index: Tensor) -> Tensor:
            with _on(layers, drop_out, xi, int(index)):
                return network(z, index)

        return purifiers.ddpm(dropping, **options)(x, xi)

    return purify


@contextmanager
def _on(layers: list[nn.Dropout], p: float, xi: Noise, index: int) -> Iterator[None]:
    """Meanwhile each layer zeroes values with probability p and divides the others by 1 − p (Srivastava et al. 2014).

    A value falls out where the reverse noise at a step of its own is low: layer j's at the evaluation `index` is
    (j + 1) T + index, behind all steps of the chain.
    """
    low = NormalDist().inv_cdf(p)

    def dropped(j: int):
        step = (j + 1) * schedules.T + index
        return lambda layer, inputs, h: h * (xi.reverse(step, like=h) > low) / (1 - p)

    hooks = [layer.register_forward_hook(dropped(j)) for j, layer in enumerate(layers)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
