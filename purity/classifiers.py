"""Classifiers of RobustBench, torchvision, timm and transformers by name, and of the user's own behind a normalisation.

Nothing is downloaded here, whatever the libraries do.

Images (B, 3, H, W) in [0, 1] → logits (B, K); the normalisation of the pixels belongs to the network. The weights come
from the files that the libraries publish: `adapted` turns what such a file holds into a state dict under the network's
own names. It drops nothing and adds nothing but what is listed here, so that strict loading refuses a wrong file.
"""

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from purity import repairs
from purity.run.naming import resolve
from purity.run.state_dicts import bare

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels, red, green and blue

# The constants of a normalisation, buffers of RobustBench's networks that many of its files lack.
_CONSTANTS = ("mean", "std", "mu", "sigma")

# In files, but in no network: a second head (Pang2020Boosting) and pruning scores (Diffenderfer2021Winning).
_SURPLUS = re.compile(r"^model_preact_hl1\.|\.scores$")

# A dot too many, norm.1 for norm1, in the files of torchvision's densenets: they are older than its names.
_DENSE = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)")


class Published(nn.Module):
    """A network and how its files are read. renamed: (network, state dict of a file) → the network's state dict."""

    def __init__(self, network: nn.Module, renamed: Callable[[nn.Module, dict], dict]):
        super().__init__()
        self.network, self.renamed = network, renamed

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)

    def adapted(self, checkpoint: dict) -> dict[str, Tensor]:
        """What a published file holds, as a state dict of this module; such a state dict itself stays as it is.

        RuntimeError, like load_state_dict's, if the file holds no state dict.
        """
        if checkpoint.keys() == self.state_dict().keys():
            return checkpoint
        return {f"network.{key}": value for key, value in self.renamed(self.network, bare(checkpoint)).items()}


class Normalised(nn.Module):
    """model((x − mean) / std), mean and std (C,) by channel; they are no part of the state dict."""

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.model((x - self.mean) / self.std)


def robustbench(name: str, dataset: str, threat: str) -> nn.Module:
    """RobustBench's network of that name (Croce et al. 2021), untrained; `adapted` reads the file that it publishes.

    dataset: cifar10, cifar100 or imagenet. threat: Linf, L2 or corruptions. The file is read as
    robustbench.utils.load_model (1.1.1) reads it. Standard_R50 of imagenet is torchvision's file, resnet50 with
    IMAGENET1K_V1. ValueError: no such name, which then names others, or an ensemble of several files.
    """
    with _installed("robustbench", name):
        library = repairs.robustbench()
    tables = {(d.value, t.value): table for d, by in library.model_zoo.model_dicts.items() for t, table in by.items()}
    if (dataset, threat) not in tables:
        known = ", ".join(f"{d} {t}" for d, t in tables)
        raise ValueError(f"RobustBench has no networks for dataset '{dataset}' and threat '{threat}', but for: {known}")
    table = tables[dataset, threat]
    _check_name(name, table, f"RobustBench ({dataset}, {threat})")
    if isinstance(table[name]["gdrive_id"], list):
        raise ValueError(f"'{name}' is an ensemble of several files: name a network function of your own that makes it")
    network = _architecture(library, name, dataset, threat, table[name]["model"])
    # Modas2021PRIME's constants are learned: those that its networks start with are placeholders.
    return Published(network, partial(_robustbench_names, constants=not name.startswith("Modas2021PRIME")))


def _architecture(
    library: ModuleType, name: str, dataset: str, threat: str, make: Callable[[], nn.Module]
) -> nn.Module:
    import timm
    from torchvision.models import get_model

    registered = f"{name}_{dataset}_{threat}".lower().replace("-", "_")
    if timm.is_model(registered):
        classes = library.utils.DATASET_CLASSES[library.utils.BenchmarkDataset(dataset)]
        return timm.create_model(registered, num_classes=classes, pretrained=False)
    if (name, dataset) == ("Standard_R50", "imagenet"):  # the one entry that downloads while it is made
        zoo = library.model_zoo.imagenet
        return zoo.normalize_model(get_model("resnet50", weights=None), zoo.mu, zoo.sigma)
    return make()


def _robustbench_names(network: nn.Module, weights: dict, constants: bool) -> dict:
    """The renaming of robustbench.utils.load_model. constants: whether the network's own stand in for missing ones."""
    utils = repairs.robustbench().utils
    own = network.state_dict()
    weights = utils.rm_substr_from_state_dict(weights, "module.")
    if weights.keys() != own.keys():
        weights = utils.rm_substr_from_state_dict(weights, "model.")
        behind = all(key.startswith(("normalize.", "model.")) for key in own)
        model = network.model if behind else network
        timm_names = getattr(inspect.getmodule(type(model)), "checkpoint_filter_fn", None)  # from its older releases
        if timm_names is not None:
            weights = timm_names(weights, model)
        if behind:
            weights = utils.add_substr_to_state_dict(weights, "model.")
    buffers = {key: own[key] for key, _ in network.named_buffers() if key.split(".")[-1] in _CONSTANTS}
    return (buffers if constants else {}) | {key: w for key, w in weights.items() if not _SURPLUS.search(key)}


def torchvision_model(
    name: str, mean: Sequence[float] = MEAN, std: Sequence[float] = STD, classes: int | None = None
) -> nn.Module:
    """torchvision's classifier of that name behind (x − mean) / std, untrained; `adapted` reads the file it publishes.

    mean, std: by channel, ImageNet's; inception_v3 and googlenet take 0.5 for all six, which is what torchvision makes
    of ImageNet's inside them. classes: K, if not torchvision's 1000. ValueError: no such name, which then names others.
    """
    with _installed("torchvision", name):
        from torchvision import models

    _check_name(name, models.list_models(module=models), "torchvision")
    options = {} if classes is None else {"num_classes": classes}
    return Published(Normalised(models.get_model(name, weights=None, **options), mean, std), _torchvision_names)


def _torchvision_names(network: nn.Module, weights: dict) -> dict:
    return {"model." + _DENSE.sub(r"\1", key): value for key, value in weights.items()}


def timm_model(
    name: str,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    classes: int | None = None,
    options: dict | None = None,
) -> nn.Module:
    """timm's classifier of that name (`vit_small_patch16_224`) behind (x − mean) / std, untrained.

    mean, std: by channel; left out, those that timm says the network was trained with. classes: K, if not that of the
    published weights. options: of timm.create_model (img_size, in_chans …). Its file is a state dict with timm's own
    names, as published. ValueError: no such name, which then names others, or options that it does not take.
    """
    with _installed("timm", name):
        import timm

    architecture = name.partition(".")[0]  # what follows a dot says which weights
    _check_name(architecture, timm.list_models(), "timm")
    chosen = (options or {}) | ({} if classes is None else {"num_classes": classes})
    try:
        network = timm.create_model(name, pretrained=False, **chosen)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"timm cannot make '{name}' with {chosen}: {error}") from error
    said = network.pretrained_cfg
    normalised = Normalised(network, mean or said.get("mean", MEAN), std or said.get("std", STD))
    return Published(normalised, lambda _, weights: {f"model.{key}": value for key, value in weights.items()})


def transformers_model(name: str, mean: Sequence[float] | None = None, std: Sequence[float] | None = None) -> nn.Module:
    """An image classifier of the library transformers behind (x − mean) / std, with its weights, from a folder on disk
    or from what that library has fetched before.

    name: of the folder (`config.json` and weights), or of a hub repository in its cache. mean, std: by channel; left
    out, those of its image processor (`preprocessor_config.json`), which its images are not resized by: say `resize`
    and `crop` in the data set. ValueError: the library is not installed, or there is no such model here.
    """
    with _installed("transformers", name):
        import transformers

    place = str(Path(name).expanduser())
    try:
        network = transformers.AutoModelForImageClassification.from_pretrained(place, local_files_only=True)
        if mean is None or std is None:
            processor = transformers.AutoImageProcessor.from_pretrained(place, local_files_only=True)
            mean, std = mean or processor.image_mean, std or processor.image_std
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())[:300]
        raise ValueError(f"transformers has no classifier '{name}' on this machine: {said}") from error
    return Normalised(network, mean, std)


def normalised(call: str, mean: Sequence[float], std: Sequence[float], options: dict | None = None) -> nn.Module:
    """A network of the user's own that takes normalised pixels: call(**options) behind (x − mean) / std by channel.

    One that normalises inside is named by `network` itself. Its weights are those of the network that `call` makes.
    ValueError: as many means as deviations, and no deviation of 0.
    """
    if len(mean) != len(std) or not all(s > 0 for s in std):
        raise ValueError(f"'{call}' behind mean {list(mean)} and std {list(std)}: one std above 0 for each mean")
    network = resolve(call)(**(options or {}))
    if not isinstance(network, nn.Module):
        raise ValueError(f"'{call}' made {type(network).__name__}, not a torch module")
    return Published(Normalised(network, mean, std), lambda _, weights: {f"model.{k}": w for k, w in weights.items()})


@contextmanager
def _installed(library: str, name: str) -> Iterator[None]:
    """ValueError that says how to get a library that cannot be imported here."""
    try:
        yield
    except ImportError as error:
        said = f"the library {library} is not installed; `uv pip install {library}` in this environment brings it"
        raise ValueError(f"classifier '{name}': {said}") from error


def _check_name(name: str, known: Collection[str], library: str) -> None:
    if name not in known:
        close = ", ".join(get_close_matches(name, known, n=3, cutoff=0))
        raise ValueError(f"{library} has no network '{name}'; its closest names: {close}")
