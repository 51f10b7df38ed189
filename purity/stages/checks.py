"""Every part that a user may have brought, tried on a few images before anything long: `snakemake check`."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from purity import contract, data, noise
from purity.defence import Classifier, Defence
from purity.gradients import GradientCount
from purity.noise import Noise
from purity.run import checkpoints
from purity.run.naming import resolve
from purity.run.rules import first_line
from purity.stages.arguments import FEW, made_anew, making


class Tried(NamedTuple):
    """A part of an experiment as it was found: what refuses it, if anything, or else what it made and a remark."""

    part: str
    seconds: float
    refused: str | None = None
    made: Any = None
    remark: str = ""

    def __str__(self) -> str:
        if self.refused:
            return f"REFUSED {self.part}: {self.refused}"
        return f"ok {self.part} ({', '.join(filter(None, (f'{self.seconds:.1f} s', self.remark)))})"


class Few(NamedTuple):
    """What parts are tried on: x (B, C, H, W) and y (B,), the labels (N,) of all images, ξ of the few."""

    x: Tensor
    y: Tensor
    labels: Tensor
    xi: Noise


def checks(spec: dict, device: str) -> Iterator[Tried]:
    """Every part of an experiment, one after the other. spec: of purity.run.checks.spec.

    A part that is refused does not end it: what does not rest on it is tried too. Networks whose weights a rule has yet
    to make are tried untrained.
    """
    found = _tried(f"data set {spec['dataset']['name']}, test", partial(_images, spec["dataset"], "test"))
    yield found
    for trained_on in spec["training"]:
        yield _tried(f"data set {trained_on['name']}, train", partial(_images, trained_on, "train"))
    if found.refused:
        return
    few = _few(*found.made, spec["noise"], device)
    g = _tried(f"classifier {spec['classifier']['name']}", partial(_classifier, spec["classifier"], few, device))
    yield g
    if spec["features"]:
        yield _tried(f"features {spec['features']['name']}", partial(_features, spec["features"], few, device))
    for name, preset in spec["purifiers"].items():
        f = _tried(f"purifier {name}", partial(_purifier, preset, few, device))
        yield f
        if g.refused or f.refused:
            continue
        defence = Defence(g.made, f.made, few.xi)
        for attack in spec["attacked"][name]:
            said = spec["attacks"][attack]
            if not said["blind"]:
                yield _tried(f"attack {attack} on {name}", partial(_attack, attack, said, defence, few))
    for attack, said in spec["attacks"].items():
        if said["blind"]:
            yield _tried(f"attack {attack}", partial(_attack, attack, said, None, few))


def report(found: Sequence[Tried]) -> str:
    """A line for each part. ValueError if one is refused."""
    if refused := [one for one in found if one.refused]:
        raise ValueError(f"{len(refused)} of {len(found)} parts are refused: {', '.join(one.part for one in refused)}")
    return "".join(f"{one}\n" for one in found)


def _tried(part: str, check: Callable[[], tuple[object, str]]) -> Tried:
    """check: gives what the part made and a remark."""
    begun = time.monotonic()
    try:
        made, remark = check()
    except (ValueError, OSError) as error:
        return Tried(part, time.monotonic() - begun, first_line(error))
    return Tried(part, time.monotonic() - begun, None, made, remark)


def _images(said: dict, split: str) -> tuple[data.Images, str]:
    made = data.check_loader(resolve(said["load"]), split, said["images"], said["options"], said["name"])
    classes = data.class_names(resolve(said["load"]), split, said["options"])
    return made, f"classes by label: {', '.join(classes)}" if classes and len(classes) <= 10 else ""


def _few(x: np.ndarray, y: np.ndarray, ids: np.ndarray, said: dict, device: str) -> Few:
    images, labels = torch.from_numpy(x[:FEW]).to(device), torch.from_numpy(y)
    return Few(images, labels[:FEW].to(device), labels, noise.from_spec(said, ids[:FEW]))


def _weights(said: dict) -> tuple[list[str], str]:
    """The checkpoint, and a remark where it is not there yet."""
    if said["made"] and not all(Path(path).exists() for path in said["weights"]):
        return [], "untrained: its weights are not there yet"
    return said["weights"], ""


def _classifier(said: dict, few: Few, device: str) -> tuple[Classifier, str]:
    weights, remark = _weights(said)
    make = partial(checkpoints.classifier, said, weights, device)
    with making(f"classifier '{said['name']}'"):
        made = make()
    contract.check_classifier(made, few.x, few.labels, said["name"], made_anew(make, said))
    return contract.protected_classifier(made, said["name"]), remark


def _features(said: dict, few: Few, device: str) -> tuple[None, str]:
    weights, remark = _weights(said)
    make = partial(checkpoints.features, said, weights, device)
    with making(f"features '{said['name']}'"):
        made = make()
    contract.check_features(made, few.x, f"features '{said['name']}'", made_anew(make, said))
    return None, remark


def _purifier(said: dict, few: Few, device: str) -> tuple[Callable, str]:
    weights, remark = _weights(said["diffusion"]) if said["diffusion"] else ([], "")
    make = partial(checkpoints.purifier, said, weights, device)
    with making(f"purifier '{said['name']}'"):
        made = make()
    contract.check_purifier(made, few.x, few.xi, said["name"], made_anew(make, said))
    return contract.protected_purifier(made, said["name"]), remark


def _attack(name: str, said: dict, defence: Defence | None, few: Few) -> tuple[None, str]:
    """In full, and once more to count its gradients."""
    run, options = resolve(said["run"]), said["options"]
    anew = made_anew(lambda: resolve(said["run"]), said)
    contract.check_attack(run, options, defence, few.x, few.y, few.xi, name, said["batchwise"], anew)
    if defence is None:
        return None, ""
    counted = GradientCount.of(few.x)
    given = (replace(defence, counted=counted), few.x, few.y, few.xi)
    contract.protected_attack(run, name)(*given, iter, **options)
    useless = counted.useless(few.x[0].numel())
    warning = f"{100 * useless:.0f} % of its gradients are zero or no numbers, which is no robustness"
    return None, warning if useless > 0.5 else ""
