"""What stages are given besides arrays and numbers: noise, attacks and networks, made from their specs.

Parts that a user may have brought are held to their contract (docs/contract.md): on a few images when they are loaded,
and at every call.
"""

import sys
from collections.abc import Callable, Mapping

import numpy as np
import torch

from purity import batching, contract, noise
from purity.attacks import Attack
from purity.run import checkpoints
from purity.run.job import Job
from purity.run.naming import parameters, resolve

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

    def batch(self, spec: dict, arrays: Mapping[str, np.ndarray]) -> int:
        """How many images at once, where the config leaves it to the program: what fits, since nothing is evaluated."""
        return batching.of_arithmetic(next(iter(arrays.values()))[:1].nbytes)


class Sighted(Blind):
    """These, and classify, purify and features: networks from the checkpoints among a job's inputs, loaded once."""

    def __init__(self, inputs, job: Job):
        self.inputs, self.job, self.loaded = inputs, job, {}
        self.networks: dict[str, torch.nn.Module] = {}
        self.made = {"classify": self._classify, "purify": self._purify, "features": self._features}

    def __call__(self, name: str, spec: dict, arrays: Mapping[str, np.ndarray]):
        if name not in self.made:
            return super().__call__(name, spec, arrays)
        if name not in self.loaded:
            self.loaded[name] = self.made[name](spec, arrays)
        return self.loaded[name]

    def batch(self, spec: dict, arrays: Mapping[str, np.ndarray]) -> int:
        """The best for the networks of a stage, found once: with gradients if its module says GRADIENTS."""
        if "batch" not in self.loaded:
            gradient = getattr(sys.modules[resolve(spec["stage"]).__module__], "GRADIENTS", False)
            f, x, times = self._evaluated(spec, arrays)
            repeats = "purifier" in spec and _repeats(spec["purifier"])
            self.loaded["batch"] = batching.found(f, x, gradient=gradient, times=times, repeats=repeats)
        return self.loaded["batch"]

    def _evaluated(self, spec: dict, arrays: Mapping[str, np.ndarray]):
        """What a stage's images mostly pass through, what it is shown (1, C, H, W), and how often in a row."""
        x = self._few(arrays)[:1]
        if "purifier" not in spec:
            return self("classify", spec, arrays), x, 1
        purify = self("purify", spec, arrays)
        xi = noise.from_spec(spec["noise"], arrays["ids"][:1])
        if "diffusion" in self.networks and (calls := _calls(self.networks["diffusion"], lambda: purify(x, xi))):
            (z, *others), named = calls[-1]
            return (lambda v: self.networks["diffusion"](v, *others, **named)), z, len(calls)

        def purified(z: torch.Tensor) -> torch.Tensor:
            return purify(z, xi.rows(torch.zeros(len(z), dtype=torch.int64)))

        if "classifier" not in spec:
            return purified, x, 1
        classify = self("classify", spec, arrays)
        return (lambda z: classify(purified(z))), x, 1

    def _watch(self, what: str, network: torch.nn.Module) -> None:
        self.networks[what] = network
        self.job.watch(what, network)

    def _classify(self, spec: dict, arrays: Mapping[str, np.ndarray]):
        said = spec["classifier"]
        made = checkpoints.classifier(said, self.inputs.classifier, self.job.device, self._watch)
        x = self._few(arrays)
        labels = torch.from_numpy(arrays["y"]) if "y" in arrays else torch.zeros(len(x), dtype=torch.int64)
        contract.check_classifier(made, x, labels, said["network"])
        return contract.protected_classifier(made, said["network"])

    def _purify(self, spec: dict, arrays: Mapping[str, np.ndarray]):
        said = spec["purifier"]
        made = checkpoints.purifier(said, self.inputs.get("diffusion") or [], self.job.device, self._watch)
        x = self._few(arrays)
        contract.check_purifier(made, x, noise.from_spec(spec["noise"], arrays["ids"][: len(x)]), said["name"])
        return contract.protected_purifier(made, said["name"])

    def _features(self, spec: dict, arrays: Mapping[str, np.ndarray]):
        return checkpoints.features(spec.get("features"), self.inputs.get("features") or [], self.job.device)

    def _few(self, arrays: Mapping[str, np.ndarray]) -> torch.Tensor:
        images = arrays["x0"] if "x0" in arrays else arrays["x"]
        return torch.from_numpy(images[:FEW]).to(self.job.device)


def _repeats(purifier: dict) -> bool:
    """Whether its gradients repeat what does not fit the memory."""
    return "recompute" in parameters(resolve(purifier["make"])) and purifier["options"].get("recompute", True)


@torch.no_grad()
def _calls(network: torch.nn.Module, run: Callable[[], object]) -> list[tuple[tuple, dict]]:
    """What a network is given, call by call, while run() runs."""
    calls: list[tuple[tuple, dict]] = []
    hook = network.register_forward_pre_hook(lambda _, given, named: calls.append((given, named)), with_kwargs=True)
    try:
        run()
    finally:
        hook.remove()
    return calls
