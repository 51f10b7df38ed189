"""Networks from checkpoints, frozen and on their device. Checkpoints are read and written only here."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from purity.naming import resolve
from purity.store import replacing


def untrained(network: str, options: dict, seed: int = 0) -> nn.Module:
    """The network function's module with weights initialised from `seed`; the global generator is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return resolve(network)(**options)


def save(network: nn.Module, path: str) -> None:
    """Weights as safetensors, in one move."""
    from safetensors.torch import save as to_bytes

    with replacing(path) as temporary:
        Path(temporary).write_bytes(to_bytes({k: v.cpu().contiguous() for k, v in network.state_dict().items()}))


def load(network: str, options: dict, weights: str | None, device: str = "cpu") -> nn.Module:
    """The network in eval mode, frozen. weights: .safetensors or a .pt state dict; None: as the function made it."""
    module = untrained(network, options)
    if weights is not None:
        try:
            module.load_state_dict(_state(weights))
        except (RuntimeError, KeyError) as error:
            first = str(error).strip().splitlines()
            raise ValueError(f"checkpoint {weights} does not fit {network}: {' '.join(first[:2])}") from error
    if isinstance(module, nn.Module):
        module = module.eval().requires_grad_(False).to(device)
    return module


def _state(path: str) -> dict[str, torch.Tensor]:
    if not Path(path).is_file():
        raise ValueError(f"checkpoint {path} does not exist")
    if path.endswith(".safetensors"):
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"checkpoint {path} is truncated or not a safetensors file: {error}") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or unsafe pickle
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"checkpoint {path} cannot be read with weights_only: {first}") from error
    if not isinstance(state, dict) or not all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()
    ):
        raise ValueError(f"checkpoint {path} holds no state dict")
    return state


def classifier(preset: dict, weights: list[str], device: str) -> Callable:
    """The classifier of a preset: network, options; weights: none or one file."""
    return load(preset["network"], preset["options"], next(iter(weights), None), device)


def purifier(preset: dict, weights: list[str], device: str) -> Callable:
    """The purifier of a preset: make(**options), with the diffusion model first if the preset names one."""
    make, diffusion = resolve(preset["make"]), preset["diffusion"]
    if diffusion is None:
        return make(**preset["options"])
    return make(
        load(diffusion["network"], diffusion["options"], next(iter(weights), None), device), **preset["options"]
    )
