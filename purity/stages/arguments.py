"""What stages are given besides arrays and numbers: noise, attacks and networks, made from their specs."""

from collections.abc import Mapping

import numpy as np

from purity import noise, purifiers
from purity.attacks import Attack
from purity.run import checkpoints
from purity.run.job import Job
from purity.run.naming import resolve


class Blind:
    """xi and attack: all that a perturbation needs that looks at no defence."""

    def __call__(self, name: str, spec: dict, arrays: Mapping[str, np.ndarray]):
        if name == "xi":
            return noise.from_spec(spec["noise"], arrays["ids"])
        if name in ("attack", "eot") and name in spec:
            return Attack(resolve(spec[name]["run"]), spec[name]["options"])
        return None


class Sighted(Blind):
    """These, and classify, purify and features: networks from the checkpoints among a job's inputs, loaded once."""

    def __init__(self, inputs, job: Job):
        self.inputs, self.job, self.loaded = inputs, job, {}

    def __call__(self, name: str, spec: dict, arrays: Mapping[str, np.ndarray]):
        if name not in LOADED:
            return super().__call__(name, spec, arrays)
        if name not in self.loaded:
            self.loaded[name] = LOADED[name](spec, self.inputs, self.job)
        return self.loaded[name]


def _classify(spec: dict, inputs, job: Job):
    given = spec.get("classifier")
    return given and checkpoints.classifier(given, inputs.classifier, job.device, job.watch)


def _purify(spec: dict, inputs, job: Job):
    given = spec.get("purifier")
    if not given:
        return None
    made = checkpoints.purifier(given, inputs.get("diffusion") or [], job.device, job.watch)
    return purifiers.checked(made, given["name"])


def _features(spec: dict, inputs, job: Job):
    return checkpoints.features(spec.get("features"), inputs.get("features") or [], job.device)


LOADED = {"classify": _classify, "purify": _purify, "features": _features}
