"""Networks from checkpoints, frozen and on their device. Checkpoints are read and written only here."""

import hashlib
import io
import json
import logging
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from purity.run.engine import prepared
from purity.run.naming import resolve
from purity.run.rules import broken, first_line
from purity.run.state_dicts import fitted
from purity.run.store import replacing
from purity.run.weights import checked, located


def untrained(network: str, options: dict, seed: int = 0) -> nn.Module:
    """The network function's module with weights initialised from `seed`; the global generator is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return resolve(network)(**options)


def save(network: nn.Module, path: str, options: dict | None = None) -> None:
    """Weights as safetensors, in one move. options: of the network, kept with them for `load`."""
    from safetensors.torch import save as to_bytes

    state = {k: v.cpu().contiguous() for k, v in network.state_dict().items()}
    metadata = {"options": json.dumps(options, sort_keys=True)} if options else None
    with replacing(path) as temporary:
        Path(temporary).write_bytes(to_bytes(state, metadata))


Save = Callable[[dict], None]


def snapshots(folder: Path, name: str = "training.pt", device: str = "cpu") -> tuple[Save, dict | None]:
    """How to save in this folder all that a training, or an attack, goes on from; and what a stopped one left there."""
    path = folder / name
    return partial(_save_state, path), _saved_state(path, device)


_DIGEST = hashlib.sha256().digest_size  # bytes that a state begins with, of the others


def _save_state(path: Path, state: dict) -> None:
    """Tensors, numbers, lists, tuples and dicts of them, in one move."""
    written = io.BytesIO()
    torch.save(state, written)
    content = written.getvalue()
    with replacing(path) as temporary:
        Path(temporary).write_bytes(hashlib.sha256(content).digest() + content)


def _saved_state(path: Path, device: str) -> dict | None:
    """The same read back. None if there is no file, or if it is damaged."""
    if not path.is_file():
        return None
    written = path.read_bytes()
    digest, content = written[:_DIGEST], written[_DIGEST:]
    if hashlib.sha256(content).digest() != digest:  # torch itself does not notice flipped bytes
        logging.info("%s is damaged; what it kept is done again", path)
        return None
    state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    logging.info("goes on from %s", path)
    return state


def load(network: str, options: dict, weights: str | None, device: str = "cpu", digest: str | None = None) -> nn.Module:
    """The network in eval mode, frozen.

    weights: .safetensors or a state dict that torch.load reads; a folder in diffusers' format; the receipt of a
    published file (purity.run.weights); None: as the function made it. digest: what they were when the run was planned.
    Options that are not set are those kept with the weights, or of the folder's config.json. A module's method
    `adapted(checkpoint)` gives the state dict under the module's own names. ValueError naming the checkpoint if it is
    not there, cannot be read, does not fit, or is not what it was.
    """
    path = None if weights is None else checked(weights, digest)
    module = untrained(network, all_options(options, weights))
    if path is not None:
        if path.is_dir():
            _check_scheduler(module, path)
            path = _weights_in(path)
        elif path.name in _WEIGHTS:
            _check_scheduler(module, path.parent)
        content = _state(str(path))
        try:
            module.load_state_dict(fitted(module, content, str(path)))
        except (RuntimeError, LookupError, AttributeError, TypeError) as error:
            said = shorten(" ".join(str(error).splitlines()[:2]), 300, placeholder=" …")
            raise ValueError(f"checkpoint {path} does not fit {network}: {said}") from error
    return _frozen(module, device)


def _frozen(module: nn.Module, device: str) -> nn.Module:
    """In eval mode, without gradients of its weights, on its device."""
    return module.eval().requires_grad_(False).to(device)


def _ready(made: Callable, device: str) -> Callable:
    """A module frozen; another callable as it is."""
    return _frozen(made, device) if isinstance(made, nn.Module) else made


def all_options(options: dict, weights: str | None) -> dict:
    """A network's options with those that its checkpoint brings and that are not set."""
    path = None if weights is None else located(weights)
    if path is not None and path.is_dir():
        return {**_config_in(path), **options}
    if path is not None and path.suffix == ".safetensors" and path.is_file():
        return {**_options_in(path), **options}
    return options


def _options_in(path: Path) -> dict:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            options = json.loads((file.metadata() or {}).get("options", "{}"))
    except SafetensorError:
        return {}  # said when its weights are read
    except ValueError as error:
        raise ValueError(f"checkpoint {path} has metadata whose `options` cannot be read: {error}") from error
    if not isinstance(options, dict):
        raise ValueError(f"checkpoint {path} has metadata whose `options` are {type(options).__name__}, not a dict")
    return options


_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")  # in diffusers' format


def _weights_in(folder: Path) -> Path:
    found = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if found is None:
        raise ValueError(f"checkpoint {folder} holds neither {_WEIGHTS[0]} nor {_WEIGHTS[1]}")
    return found


def _config_in(folder: Path, name: str = "config.json") -> dict:
    try:
        said = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"checkpoint {folder} has no readable {name}: {error}") from error
    if not isinstance(said, dict):
        raise ValueError(f"checkpoint {folder} has no readable {name}: it holds a {type(said).__name__}, no keys")
    return said


_SCHEDULER = "scheduler_config.json"


@runtime_checkable
class _Scheduled(Protocol):
    """A module that judges by itself whether it fits the schedule of its training; others are held to ours."""

    def check_scheduler(self, said: dict, folder: str, /) -> None: ...


def _check_scheduler(module: nn.Module, folder: Path) -> None:
    """What a folder says of the training, in it or in the pipeline that it is a part of, is what purifiers do."""
    places = [folder, folder / "scheduler", folder.parent / "scheduler"]
    if found := [place for place in places if (place / _SCHEDULER).is_file()]:
        ours = resolve("purity.diffusion.schedules:check_scheduler")
        judge = module.check_scheduler if isinstance(module, _Scheduled) else ours
        try:
            judge(_config_in(found[0], _SCHEDULER), str(folder))
        except (TypeError, AttributeError, OverflowError) as error:
            said = f"checkpoint {folder} has no readable {_SCHEDULER}"
            raise ValueError(f"{said}: {first_line(error)}") from error


def _state(path: str) -> object:
    """What the file holds: a state dict, or one inside other dicts."""
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
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or unsafe pickle
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> ValueError:
    said = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # torch prints in colours
    held = re.search(r"(?:GLOBAL|class|global) `?([A-Za-z_][\w.]*\.\w+)", said)
    if held or "TorchScript" in said:
        what = f"a pickled {held[1]}" if held else "a TorchScript program"
        todo = "save the state dict alone, torch.save(network.state_dict(), …)"
        return broken(f"checkpoint {path} holds {what}, which is code and not opened (weights_only): {todo}", "weights")
    if "Weights only load failed" in said:  # a page of torch's, which ends in advice to run what is in the file
        return broken(f"checkpoint {path} is no state dict that torch.save wrote, nor .safetensors by name", "weights")
    first = (said or type(error).__name__).splitlines()[0]
    return ValueError(f"checkpoint {path} cannot be read with weights_only: {first}")


Watch = Callable[[str, Callable], object]  # told of each network, as what it was loaded


def _unwatched(what: str, loaded: Callable) -> None: ...


def network(preset: dict, weights: list[str], device: str) -> Callable:
    """The network of a preset: network, options, engine if it is another than the exact one; weights: one checkpoint,
    or none: then any callable will do."""
    loaded: Callable
    if weights:
        loaded = load(preset["network"], preset["options"], weights[0], device, preset.get("content"))
    else:
        loaded = _ready(untrained(preset["network"], preset["options"]), device)
    return prepared(loaded, device, **preset["engine"]) if "engine" in preset else loaded


def classifier(preset: dict, weights: list[str], device: str, watch: Watch = _unwatched) -> Callable:
    """g of a preset."""
    made = network(preset, weights, device)
    watch("classifier", made)
    return made


def features(preset: dict | None, weights: list[str], device: str) -> Callable | None:
    """The network of a Fréchet distance; None, then the classifier's own method of that name is asked."""
    return None if preset is None else network(preset, weights, device)


def purifier(preset: dict, weights: list[str], device: str, watch: Watch = _unwatched) -> Callable:
    """f of a preset: make(**options), with the diffusion model first if the preset names one."""
    make, diffusion = resolve(preset["make"]), preset["diffusion"]
    if diffusion is None:
        return _ready(make(**preset["options"]), device)
    predictor = network(diffusion, weights, device)
    watch("diffusion", predictor)
    return _ready(make(predictor, **preset["options"]), device)
