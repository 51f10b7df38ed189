"""Faster arithmetic for a network, at the price of other roundings. Nothing here is a default.

What each gains and what it does to gradients and to accuracy: benchmarks/precision.py.
"""

from collections.abc import Callable

import torch
from torch import nn


def prepared(
    network: Callable, device: str, *, precision: str = "float32", channels_last: bool = False, compile: object = False
) -> nn.Module:
    """The network with its arithmetic changed, in place; in and out it stays float32.

    precision: float32, exact; tf32: products of float32 rounded to 10 bits, on a GPU, for all networks of the process;
    bf16: autocast, products of 8 bits. channels_last: its weights are laid out so. compile: torch.compile; graphs: with
    CUDA graphs too. The network returns a tensor; methods other than `forward` stay exact. ValueError: it is no module.
    """
    if not isinstance(network, nn.Module):
        raise ValueError("engine: only a torch module can compute otherwise, not any callable")
    if precision == "tf32":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    if channels_last:
        network.to(memory_format=torch.channels_last)
    forward = network.forward
    if compile:
        forward = torch.compile(forward, mode="reduce-overhead" if compile == "graphs" else None)
    if compile == "graphs":
        forward = _kept(forward)  # the graph's next run writes where its last one did
    if precision == "bf16":
        forward = _bf16(forward, device)
    network.forward = forward
    return network


def _kept(forward: Callable) -> Callable:
    return lambda *given, **named: forward(*given, **named).clone()


def _bf16(forward: Callable, device: str) -> Callable:
    def run(*given, **named):
        with torch.autocast(device, torch.bfloat16):
            return forward(*given, **named).float()

    return run
