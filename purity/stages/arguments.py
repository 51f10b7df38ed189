"""What stages are given besides arrays and numbers: noise, attacks and networks, made from their specs.

Parts that a user may have brought are held to their contract (docs/contract.md): on a few images when they are loaded,
and at every call.
"""

from collections.abc import Mapping

import numpy as np
import torch

from purity import contract, noise
from purity.attacks import Attack
from purity.run import checkpoints
from purity.run.job import Job
from purity.run.naming import resolve

FEW = 3  # images that a part is tried on before it counts


class Blind:
    """xi and attack: all that a perturbation needs that looks at no defence."""

    def __call__(self, name: str, spec: dict, arrays: Mapping[str, np.ndarray]):
        if name == "xi":
            return noise.from_spec(spec["noise"], arrays["ids"])
        if name in ("attack", "eot") and name in spec:
            said = spec["keys"].get("attack", name)
            return Attack(contract.protected_attack(resolve(spec[name]["run"]), said), spec[name]["options"])
        return None


class Sighted(Blind):
    """These, and classify, purify and features: networks from the checkpoints among a job's inputs, loaded once."""

    def __init__(self, inputs, job: Job):
        self.inputs, self.job, self.loaded = inputs, job, {}
        self.made = {"classify": self._classify, "purify": self._purify, "features": self._features}

    def __call__(self, name: str, spec: dict, arrays: Mapping[str, np.ndarray]):
        if name not in self.made:
            return super().__call__(name, spec, arrays)
        if name not in self.loaded:
            self.loaded[name] = self.made[name](spec, arrays)
        return self.loaded[name]

    def _classify(self, spec: dict, arrays: Mapping[str, np.ndarray]):
        said = spec["classifier"]
        made = checkpoints.classifier(said, self.inputs.classifier, self.job.device, self.job.watch)
        x = self._few(arrays)
        labels = torch.from_numpy(arrays["y"]) if "y" in arrays else torch.zeros(len(x), dtype=torch.int64)
        contract.check_classifier(made, x, labels, said["network"])
        return contract.protected_classifier(made, said["network"])

    def _purify(self, spec: dict, arrays: Mapping[str, np.ndarray]):
        said = spec["purifier"]
        made = checkpoints.purifier(said, self.inputs.get("diffusion") or [], self.job.device, self.job.watch)
        x = self._few(arrays)
        contract.check_purifier(made, x, noise.from_spec(spec["noise"], arrays["ids"][: len(x)]), said["name"])
        return contract.protected_purifier(made, said["name"])

    def _features(self, spec: dict, arrays: Mapping[str, np.ndarray]):
        return checkpoints.features(spec.get("features"), self.inputs.get("features") or [], self.job.device)

    def _few(self, arrays: Mapping[str, np.ndarray]) -> torch.Tensor:
        images = arrays["x0"] if "x0" in arrays else arrays["x"]
        return torch.from_numpy(images[:FEW]).to(self.job.device)
