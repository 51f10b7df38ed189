"""The state dict of a network in what a checkpoint file holds, whatever was wrapped round it.

Training scripts put a state dict into dicts (`{"state_dict": …, "epoch": 9}`, the moving average beside it) and put the
names of what held the network before each of its keys (`module.`, `_orig_mod.`, Lightning's `model.` or any other).
One rule for all: every state dict in the file is tried, under every prefix that its keys share; only what fits the
network key by key is taken; of those that fit the averaged one (EMA), else the only one. The log says which it was.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from purity.run.rules import broken

State = dict[str, Tensor]

# Names of averaged weights: ema, model_ema, state_dict_ema, params_ema, netG_EMA, swa, averaged_model, shadow …
_AVERAGED = re.compile(r"(?i:(?:^|[^a-z])(?:ema|swa|avg|average|averaged|shadow)(?:[^a-z]|$))|EMA")

# What holds a network in other programs, for networks that know only the names their publisher gives.
_HOLDER = re.compile(r"(?:module|model|net|network|unet|diffusion_model|denoise_fn|online_model|\w*ema\w*)\.")

# Where a file keeps its state dict by custom, the first that is there. Beside `best`, RobustBench takes `last`.
_CUSTOM = ("last", "state_dict", "model_state_dict", "model")


class Found(NamedTuple):
    """A state dict in a file: the keys that lead to it, and the prefix of its own keys, which they lack here."""

    place: tuple[str, ...]
    prefix: str
    state: State

    @property
    def averaged(self) -> bool:
        return any(map(_AVERAGED.search, (*self.place, *self.prefix.split("."))))

    def __str__(self) -> str:
        return ".".join(filter(None, (*self.place, self.prefix.rstrip("."))))


def all_in(content: object, place: tuple[str, ...] = ()) -> Iterator[Found]:
    """Every dict with tensors under names, from the outside in."""
    if isinstance(content, dict):
        inside = [(key, value) for key, value in content.items() if isinstance(key, str)]
        tensors = {_plain(key): value for key, value in inside if isinstance(value, Tensor)}
        if tensors:
            yield Found(place, "", tensors)
    else:
        inside = [(str(i), value) for i, value in enumerate(content)] if isinstance(content, list | tuple) else []
    for key, value in inside:
        yield from all_in(value, (*place, key))


def _plain(key: str) -> str:
    """Without the name that torch.compile puts anywhere between."""
    return ".".join(name for name in key.split(".") if name != "_orig_mod")


def bare(content: object) -> State:
    """The state dict of a file by custom: of several the averaged one, else the first of `_CUSTOM`; without `module.`.

    For networks that know only the names their publisher gives. RuntimeError, like load_state_dict's, if there is none.
    """
    found = list(all_in(content))
    if not found and isinstance(content, dict) and content and all(isinstance(key, str) for key in content):
        return content
    if not found:
        raise RuntimeError(f"there is no state dict in it, nor under one of {', '.join(_CUSTOM)}")

    def rank(one: Found) -> tuple[bool, int]:
        last = one.place[-1] if one.place else ""
        return not one.averaged, _CUSTOM.index(last) if last in _CUSTOM else len(_CUSTOM)

    state = min(found, key=rank).state
    while all(key.startswith("module.") for key in state):
        state = _behind("module.", state)
    return state


def _behind(prefix: str, state: State) -> State:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


@runtime_checkable
class _Adapting(Protocol):
    """A module that knows its published state dict under other names."""

    def adapted(self, state: State, /) -> State: ...


def fitted(network: nn.Module, content: object, path: str) -> State:
    """What a file holds of this network, under the network's own names. path: the file, in messages.

    A module's method `adapted(state)` gives a published state dict under the module's names. ValueError in one line:
    there is no state dict; several fit and none is the average; an average is there and does not fit. What fits nothing
    comes back by custom, for load_state_dict to say what is wrong with it.
    """
    tried = list(all_in(content))
    if not tried:
        raise broken(f"checkpoint {path} holds no state dict: save that of network.state_dict() into it", "weights")
    fits = [fit for found in tried for fit in _fits(network, found)]
    if not fits:
        state = bare(content)
        return network.adapted(state) if isinstance(network, _Adapting) else state
    averaged = [fit for fit in fits if fit.averaged]
    plain = [fit for fit in fits if not fit.averaged]
    if not averaged and (unread := next(_unread_averages(content, tried, plain), None)):
        said = f"checkpoint {path} holds averaged weights under '{unread}' that are not all of the network's"
        raise broken(f"{said}, and plain ones under '{plain[0]}': save the state dict that you mean alone", "weights")
    chosen = _only(averaged or plain, path)
    if not isinstance(network, _Adapting):  # which knows what it leaves out
        _refuse_left_out(next(found for found in tried if found.place == chosen.place), fits, path)
    _refuse_integers(network, chosen.state, path)
    if len(chosen.state) < len(network.state_dict()) and plain:  # an average of parameters, without buffers
        chosen = chosen._replace(state={**_only(plain, path).state, **chosen.state})
    if str(chosen):
        beside = f", averaged; '{plain[0]}' is left" if averaged and plain else ""
        logging.info("checkpoint %s: the weights are those of '%s'%s", path, chosen, beside)
    return chosen.state


def _fits(network: nn.Module, found: Found) -> Iterator[Found]:
    """The state dict under every prefix under which it is the network's, key by key."""
    own = network.state_dict()
    names = _names(own)
    if isinstance(network, _Adapting) and names.keys() != found.state.keys():
        for prefix in _prefixes(found.state):
            try:
                state = network.adapted(_behind(prefix, found.state))
            except (RuntimeError, LookupError, ValueError, AttributeError, TypeError):
                continue  # names of another network
            if state.keys() == own.keys():
                yield Found(found.place, prefix, state)
        return
    parameters = {name for name, _ in network.named_parameters()}
    learned = {name for name, key in names.items() if key in parameters}
    anchor = next(iter(learned or names), "")
    for prefix in {key.removesuffix(anchor) for key in found.state if f".{key}".endswith(f".{anchor}")}:
        inside = _behind(prefix, found.state)
        fit = Found(found.place, prefix, {names[name]: value for name, value in inside.items() if name in names})
        if inside.keys() == names.keys() or (fit.averaged and learned and inside.keys() == learned):
            yield fit


def _names(own: State) -> dict[str, str]:
    """The network's names by what is left of them without wrappers, which the network itself may have too."""
    names = {_plain(key): key for key in own}
    while names and all(name.startswith("module.") for name in names):
        names = {name.removeprefix("module."): key for name, key in names.items()}
    return names


def _prefixes(state: State) -> list[str]:
    """Names of holders that keys begin with, the shortest first."""
    found = {""}
    for key in state:
        end = 0
        while holder := _HOLDER.match(key, end):
            end = holder.end()
            found.add(key[:end])
    return sorted(found, key=len)


def _only(fits: list[Found], path: str) -> Found:
    """The one that is meant; of RobustBench's `last` and `best` the last. ValueError if that is not clear."""
    first, *others = fits
    if all(_same(first.state, other.state) for other in others):
        return first
    last = [fit for fit in fits if fit.place[-1:] == ("last",)]
    if len(last) == 1 and all("best" in ".".join(fit.place) for fit in fits if fit is not last[0]):
        return last[0]
    known = ", ".join(f"'{fit}'" for fit in fits)
    said = f"checkpoint {path} holds several state dicts that fit, {known}"
    raise broken(f"{said}: save the one that you mean alone", "weights")


_NORMALISING = re.compile(r"(?:^|[._])(?:mean|std|mu|sigma|normali[sz]er?)(?:$|[._])", re.IGNORECASE)


def _refuse_left_out(held: Found, fits: Iterable[Found], path: str) -> None:
    """ValueError if beside the network, under no prefix that fits, there is what normalises its images."""
    prefixes = tuple(fit.prefix for fit in fits if fit.place == held.place)
    beside = [key for key in held.state if not key.startswith(prefixes)]
    if found := [key for key in beside if _NORMALISING.search(key)]:
        said = f"checkpoint {path} holds '{'.'.join((*held.place, found[0]))}', by which images are normalised"
        todo = "make it a part of the network (options `mean` and `std` of purity.classifiers:normalised), and"
        raise broken(f"{said}, and the network has none: {todo} save its state dict alone", "weights")


def _refuse_integers(network: nn.Module, state: State, path: str) -> None:
    """ValueError if whole numbers would be taken for weights: quantised ones mean nothing without their scales."""
    for name, own in network.state_dict().items():
        if name in state and own.is_floating_point() and not state[name].is_floating_point():
            said = f"'{name}' as {state[name].dtype}".replace("torch.", "")
            raise broken(f"checkpoint {path} holds {said}, the network's is floating point", "weights")


def _same(a: State, b: State) -> bool:
    return all(a[key] is b[key] or torch.equal(a[key], b[key]) for key in a)


def _unread_averages(content: object, tried: Iterable[Found], read: list[Found]) -> Iterator[str]:
    """Averaged weights in a file of which none was read."""
    for found in tried:
        weights = [key for key, value in found.state.items() if value.ndim]
        if weights and found.averaged:
            yield str(found)
        prefixes = tuple(fit.prefix for fit in read if fit.place == found.place)
        for key in weights:
            holders = key.split(".")[:-1]
            if any(map(_AVERAGED.search, holders)) and prefixes and not key.startswith(prefixes):
                yield ".".join((*found.place, *holders[:1]))
    yield from _averaged_lists(content, ())


def _averaged_lists(content: object, place: tuple[str, ...]) -> Iterator[str]:
    """Averages without names: tensors in the order of the parameters."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _averaged_lists(value, (*place, str(key)))
    elif isinstance(content, list | tuple):
        tensors = any(isinstance(value, Tensor) and value.ndim for value in content)
        if tensors and any(map(_AVERAGED.search, place)):
            yield ".".join(place)
