"""What stages are given besides arrays and numbers: noise, attacks and networks, made from their specs.

Parts that a user may have brought are held to their contract (docs/contract.md): on a few images when they are loaded,
and at every call.
"""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch

from purity import batching, contract, noise, purifiers
from purity.attacks import Attack
from purity.defence import Defence
from purity.run import checkpoints, store
from purity.run.devices import no_memory
from purity.run.job import Job
from purity.run.naming import imported_anew, own, parameters, resolve
from purity.run.presets import functions, small_options
from purity.run.rules import PAGE, broken, first_line

FEW = 3  # images that a part is tried on before it counts
PAIR = 2  # that an attack is tried on, which asks for gradients

Arrays = Mapping[str, np.ndarray]


class Blind:
    """xi and attack: all that a perturbation needs that looks at no defence."""

    device = "cpu"

    def __init__(self, forget: Callable[[], None] = lambda: None):
        """forget: deletes what the job, and earlier ones of its kind, have done."""
        self.forget, self.tried = forget, set[str]()
        self.repeats: list[contract.Again] = []

    def end(self) -> None:
        """Every part that was tried is asked once more, before what a job made counts. ValueError if one answers
        otherwise: its answers hang on the time, or on how often it was called. What the job has done is forgotten then.
        """
        try:
            for again in self.repeats:
                again()
        except ValueError:
            self.forget()
            raise

    def __call__(self, name: str, spec: dict, arrays: Arrays):
        if name == "xi":
            return noise.from_spec(spec["noise"], arrays["ids"], spec.get("seeds"))
        if name in ("attack", "eot") and name in spec:
            return self._attack(name, spec, arrays)
        return None

    def batch(self, spec: dict, arrays: Arrays) -> int:
        """How many images at once, where the config leaves it to the program: what fits, since nothing is evaluated."""
        return batching.of_arithmetic(next(iter(arrays.values()))[:1].nbytes)

    def _attack(self, name: str, spec: dict, arrays: Arrays) -> Attack:
        """An attack of the user's is tried on a few images and with few steps first; tests try those of the package."""
        run, options, said = resolve(spec[name]["run"]), spec[name]["options"], spec["keys"].get("attack", name)
        if name not in self.tried and not getattr(run, "__module__", "").startswith("purity."):
            self.tried.add(name)
            x, y = self._few(arrays)[:PAIR], torch.from_numpy(arrays["y"][:PAIR]).to(self.device)
            rows, defence = torch.arange(len(x)), self._defence(spec, arrays)
            given = (defence and defence.rows(rows), x, y, self._few_xi(spec, arrays).rows(rows))
            anew = made_anew(lambda: resolve(spec[name]["run"]), spec[name])
            again = contract.check_attack(run, small_options(options), *given, said, "batch" in spec, anew)
            self.repeats.append(again)
        return Attack(contract.protected_attack(run, said), options)

    def _defence(self, spec: dict, arrays: Arrays) -> Defence | None:
        return None

    def _few(self, arrays: Arrays) -> torch.Tensor:
        images = arrays["x0"] if "x0" in arrays else arrays["x"]
        return torch.from_numpy(images[:FEW]).to(self.device)

    def _few_xi(self, spec: dict, arrays: Arrays) -> noise.Noise:
        return noise.from_spec(spec["noise"], arrays["ids"][:FEW])


class Sighted(Blind):
    """These, and classify, purify and features: networks from the checkpoints among a job's inputs, loaded once."""

    def __init__(self, inputs, job: Job):
        super().__init__(*([job.done.clear] if job.done else []))
        self.inputs, self.job, self.device, self.loaded = inputs, job, job.device, {}
        self.networks: dict[str, torch.nn.Module] = {}
        self.made = {"classify": self._classify, "purify": self._purify, "features": self._features}
        self.made |= {"network": self._network, "member": self._member}

    def __call__(self, name: str, spec: dict, arrays: Arrays):
        if name not in self.made:
            return super().__call__(name, spec, arrays)
        if name not in self.loaded:
            self.loaded[name] = self.made[name](spec, arrays)
        return self.loaded[name]

    def batch(self, spec: dict, arrays: Arrays) -> int:
        """The best for the networks of a stage, found once: with gradients if its module says GRADIENTS."""
        if "batch" not in self.loaded:
            gradient = getattr(sys.modules[resolve(spec["stage"]).__module__], "GRADIENTS", False)
            f, x, times = self._evaluated(spec, arrays)
            repeats = "purifier" in spec and _repeats(spec["purifier"])
            self.loaded["batch"] = batching.found(f, x, gradient=gradient, times=times, repeats=repeats)
        return self.loaded["batch"]

    def _evaluated(self, spec: dict, arrays: Arrays):
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

    def _watch(self, what: str, network: Callable) -> None:
        if isinstance(network, torch.nn.Module):  # nobody can look into others
            self.networks[what] = network
        self.job.watch(what, network)

    def _defence(self, spec: dict, arrays: Arrays) -> Defence:
        """What an attack meets: the classifier alone where the spec has no purifier."""
        purify = self("purify", spec, arrays) if "purifier" in spec else purifiers.identity()
        return Defence(self("classify", spec, arrays), purify, self._few_xi(spec, arrays), spec.get("knowledge", "all"))

    def _classify(self, spec: dict, arrays: Arrays):
        said = spec["classifier"]
        make = partial(checkpoints.classifier, said, self.inputs.classifier, self.device)
        with making(f"classifier '{said['network']}'"):
            made = make(self._watch)
        x = self._few(arrays)
        labels = torch.from_numpy(arrays["y"]) if "y" in arrays else torch.zeros(len(x), dtype=torch.int64)
        again = contract.check_classifier(made, x, labels, said["network"], made_anew(make, said))
        self.repeats.append(again)
        return contract.protected_classifier(made, said["network"])

    def _purify(self, spec: dict, arrays: Arrays):
        said = spec["purifier"]
        make = partial(checkpoints.purifier, said, self.inputs.get("diffusion") or [], self.device)
        with making(f"purifier '{said['name']}'"):
            made = make(self._watch)
        few = self._few(arrays), self._few_xi(spec, arrays)
        again = contract.check_purifier(made, *few, said["name"], made_anew(make, said))
        self.repeats.append(again)
        return contract.protected_purifier(made, said["name"])

    def _network(self, spec: dict, arrays: Arrays):
        made = checkpoints.network(spec["diffusion"], self.inputs.get("diffusion") or [], self.device)
        self._watch("diffusion", made)
        return made

    def _member(self, spec: dict, arrays: Arrays) -> dict:
        """Options of a member of the family that a search has chosen, by its place in the table."""
        table = store.load_table(self.inputs.table)
        return json.loads(table.loc[table["place"] == spec["place"], "options"].item())

    def _features(self, spec: dict, arrays: Arrays):
        """None where the classifier's own are meant, which its protection holds to the contract."""
        if (said := spec.get("features")) is None:
            return None
        maker = f"features '{said['network']}'"
        make = partial(checkpoints.features, said, self.inputs.get("features") or [], self.device)
        with making(maker):
            made = make()
        self.repeats.append(contract.check_features(made, self._few(arrays), maker, made_anew(make, said)))
        return contract.protected_features(made, maker)


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


def made_anew(make: Callable[[], Callable], spec: dict) -> contract.Anew | None:
    """How a part is made again, as the next job makes it. None where a spec names only functions that are installed."""
    named = [name for name in functions(spec) if own(name)]
    if not named:
        return None

    def made() -> Callable | None:
        try:
            with imported_anew():
                return make()
        except (Exception, SystemExit) as error:  # registered once only, or does not fit the memory twice
            said = first_line(error)
            logging.info("%s is not compared with itself made anew: %s", named[0], said)
            return None

    return made


@contextmanager
def making(part: str) -> Iterator[None]:
    """What a user's function raises when it makes a part is said in one line that names the part."""
    try:
        yield
    except (ValueError, OSError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        if no_memory(error) or PAGE in str(error):
            raise
        said = first_line(error) if str(error) else "nothing said"
        raise broken(f"{part} cannot be made: {type(error).__name__}: {said}", "made") from error
