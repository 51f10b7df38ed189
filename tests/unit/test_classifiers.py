"""Published files load into published networks as RobustBench and torchvision load them, without a connection.

The files are drawn at random in the published layouts. RobustBench's own `load_model` reads them from where it keeps
its downloads: with the same weights in the same layers, its logits and ours are equal bit by bit.
"""

import json
import re
import sys
import types
from functools import partial
from pathlib import Path

import pytest
import torch
import torchvision

from purity import classifiers, contract, repairs
from purity.run import checkpoints

ROBUSTBENCH, TORCHVISION = "purity.classifiers:robustbench", "purity.classifiers:torchvision_model"
KEYS = Path(__file__).parents[1] / "data" / "keys"
X, X64 = (torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) for size in (32, 64))

LAYOUTS = {
    "plain": lambda state: state,
    "inside": lambda state: {"state_dict": state, "epoch": 9},
    "parallel": lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}},
    "in parallel with another": lambda state: {f"module.model.{key}": value for key, value in state.items()},
}


class NoConnection(Exception):
    pass


@pytest.fixture(scope="module", autouse=True)
def downloads(tmp_path_factory):
    """torch's folder of downloads, empty, and no way to the network: whatever would download fails."""

    def refused(*_, **__):
        raise NoConnection

    folder = tmp_path_factory.mktemp("torch") / "hub/checkpoints"
    folder.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(folder.parents[1]))
        patch.setattr("socket.getaddrinfo", refused)
        patch.setattr("socket.socket.connect", refused)
        yield folder


def options(name, dataset="cifar10", threat="Linf"):
    return {"name": name, "dataset": dataset, "threat": threat}


def listed(name):
    entries = json.loads((KEYS / f"{name}.json").read_text())["keys"]
    return [(key, tuple(shape), getattr(torch, dtype)) for key, shape, dtype, _ in entries]


def drawn(entries):
    """{name: random tensor} for (name, shape, type) each; weights keep the size of what goes through the layers."""
    generator, state = torch.Generator().manual_seed(1), {}
    for name, shape, dtype in entries:
        if not dtype.is_floating_point:
            state[name] = torch.tensor(7)
        elif len(shape) > 1:
            state[name] = torch.randn(shape, generator=generator) * (2 / torch.Size(shape[1:]).numel()) ** 0.5
        else:
            state[name] = 0.5 + torch.rand(shape, generator=generator)
    return state


def drawn_like(network, without=()):
    state = network.state_dict()
    return drawn((key, value.shape, value.dtype) for key, value in state.items() if key not in without)


def in_zoo(checkpoint, given, folder):
    """The file, where RobustBench looks for its download of that network."""
    path = folder / given["dataset"] / given["threat"] / f"{given['name']}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, path)
    return path


@torch.no_grad()
def assert_as_robustbench(path, given, folder, x):
    """Logits equal load_model's and tell the images apart. Gives the loaded network."""
    name, dataset, threat = given.values()
    wanted = repairs.robustbench().utils.load_model(name, folder, dataset, threat)(x)
    network = checkpoints.load(ROBUSTBENCH, given, str(path))
    assert torch.equal(network(x), wanted)
    assert wanted.isfinite().all() and not torch.equal(wanted[0], wanted[1])
    return network


@torch.no_grad()
def assert_as_torchvision(path, given):
    """1e-5 of the largest logit: pixels that are normalised in another order are rounded otherwise."""
    made = torchvision.models.get_model(given["name"], weights="DEFAULT").eval()
    wanted = made(torchvision.transforms.functional.normalize(X64, classifiers.MEAN, classifiers.STD))
    found = checkpoints.load(TORCHVISION, given, str(path))(X64)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * wanted.abs().max().item())
    assert not torch.allclose(wanted[0], wanted[1])


def same(found, wanted):
    return found.keys() == wanted.keys() and all(torch.equal(found[key], wanted[key]) for key in wanted)


def refusal(network, given, checkpoint, folder):
    path = folder / "other.pt"
    torch.save(checkpoint, path)
    with pytest.raises(ValueError) as error:
        checkpoints.load(network, given, str(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.filterwarnings("ignore::UserWarning:torchvision")  # what RobustBench calls is deprecated
def test_the_libraries_themselves_would_go_to_the_network(tmp_path):
    with pytest.raises(NoConnection):
        repairs.robustbench().utils.load_model("Standard_R50", tmp_path, "imagenet", "Linf")
    with pytest.raises(NoConnection):
        torchvision.models.resnet18(weights="DEFAULT")


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (classifiers.robustbench, options("Standard")),
        (classifiers.robustbench, options("Debenedetti2022Light_XCiT-S12")),
        (classifiers.robustbench, options("Standard_R50", "imagenet")),
        (classifiers.robustbench, options("Standard_R50", "imagenet", "corruptions")),
        (classifiers.robustbench, options("AlexNet", "imagenet", "corruptions")),
        (classifiers.torchvision_model, {"name": "resnet50"}),
    ],
)
def test_nothing_is_downloaded_when_a_network_is_made(make, given, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with torch.device("meta"):
        make(**given)
    assert not list(tmp_path.iterdir())


# RobustBench: networks for CIFAR.


def test_the_standard_network_is_robustbenchs(tmp_path):
    given, published = options("Standard"), drawn(listed("robustbench_standard_wrn28_10"))
    network = assert_as_robustbench(in_zoo(published, given, tmp_path), given, tmp_path, X)
    plain = network.adapted(published)
    assert {id(value) for value in plain.values()} == {id(value) for value in published.values()}
    for layout in LAYOUTS.values():
        assert same(network.adapted(layout(published)), plain)


def test_a_published_file_of_a_parallel_network_is_loaded_to_the_last_weight(tmp_path):
    """Carmon's is a WRN-28-10 with a copy of its first block that is never used."""
    given, published = options("Carmon2019Unlabeled"), drawn(listed("robustbench_standard_wrn28_10"))
    published |= {f"sub_{key}": value for key, value in published.items() if key.startswith("block1.")}
    path = in_zoo(LAYOUTS["parallel"](published), given, tmp_path)
    assert same(checkpoints.load(ROBUSTBENCH, given, str(path)).network.state_dict(), published)


@pytest.mark.parametrize("layout", ["inside", "in parallel with another"])
def test_constants_that_a_file_lacks_are_the_networks(layout, tmp_path):
    given = options("Wong2020Fast")
    published = drawn_like(classifiers.robustbench(**given).network, without=("mu", "sigma"))
    network = assert_as_robustbench(in_zoo(LAYOUTS[layout](published), given, tmp_path), given, tmp_path, X)
    assert network.network.mu.flatten().tolist() == pytest.approx([0.4914, 0.4822, 0.4465])


def test_constants_in_a_file_come_before_the_networks():
    network = classifiers.robustbench(**options("Wong2020Fast"))
    published = drawn_like(network.network)
    assert same(network.adapted(published), {f"network.{key}": value for key, value in published.items()})


def test_constants_that_were_learned_are_not_made_up(tmp_path):
    given = options("Modas2021PRIMEResNet18", threat="corruptions")
    published = drawn_like(classifiers.robustbench(**given).network, without=("mu", "sigma"))
    assert "network.mu" in refusal(ROBUSTBENCH, given, published, tmp_path)


def test_of_two_states_in_a_file_the_last_is_taken(tmp_path):
    given = options("Andriushchenko2020Understanding")
    published = drawn_like(classifiers.robustbench(**given).network)
    file = {"best": {key: torch.zeros_like(value) for key, value in published.items()}, "last": published}
    assert_as_robustbench(in_zoo(file, given, tmp_path), given, tmp_path, X)


@pytest.mark.parametrize(
    ("given", "surplus"),
    [
        (options("Pang2020Boosting"), "model_preact_hl1.1.weight"),
        (options("Diffenderfer2021Winning_LRR", threat="corruptions"), "conv1.scores"),
    ],
)
def test_what_no_network_has_is_dropped_where_files_have_it(given, surplus):
    with torch.device("meta"):
        network = classifiers.robustbench(**given)
        published = {key: torch.empty(1) for key in [*network.network.state_dict(), surplus]}
    assert network.adapted(published).keys() == network.state_dict().keys()


def test_a_network_of_timms_is_read_as_timm_reads_it(downloads, tmp_path):
    """Its file is that of the network inside the normalisation, with the positions under an older name."""
    given = options("Debenedetti2022Light_XCiT-S12")
    inside = classifiers.robustbench(**given).network.model
    published = {key.replace("pos_embed.", "pos_embeder."): value for key, value in drawn_like(inside).items()}
    assert published.keys() != inside.state_dict().keys()
    path = downloads / "debenedetti2022light-xcit-s-cifar10-linf.pth.tar"
    torch.save(published, path)
    assert_as_robustbench(path, given, tmp_path, X)


# RobustBench: networks for ImageNet, behind a normalisation.


def test_a_published_resnet_is_robustbenchs(tmp_path):
    given = options("Salman2020Do_R50", "imagenet")
    published = drawn_like(classifiers.robustbench(**given).network.model)
    layouts = {**LAYOUTS, "with its prefix": lambda state: {f"model.{key}": value for key, value in state.items()}}
    path = in_zoo(layouts["with its prefix"](published), given, tmp_path)
    network = assert_as_robustbench(path, given, tmp_path, X64)
    plain = network.adapted(published)
    for layout in layouts.values():
        assert same(network.adapted(layout(published)), plain)


@pytest.mark.filterwarnings("ignore::UserWarning:torchvision")  # what RobustBench calls is deprecated
def test_the_standard_resnet_is_torchvisions_file_in_either_library(downloads, tmp_path):
    given, path = options("Standard_R50", "imagenet"), downloads / "resnet50-0676ba61.pth"
    behind = drawn(listed("robustbench_standard_r50"))
    del behind["normalize.mean"], behind["normalize.std"]
    published = {key.removeprefix("model."): value for key, value in behind.items()}
    torch.save(published, path)
    network = assert_as_robustbench(path, given, tmp_path, X64)
    torchvisions = checkpoints.load(TORCHVISION, {"name": "resnet50"}, str(path))
    assert torch.equal(torchvisions(X64), network(X64))
    for module in (network, torchvisions):
        used = {id(value) for value in module.adapted(published).values()}
        assert used >= {id(value) for value in published.values()}
    whole = behind | {key: value for key, value in network.network.state_dict().items() if "normalize" in key}
    assert whole.keys() == {key for key, *_ in listed("robustbench_standard_r50")}
    assert same(network.adapted(whole), network.adapted(published))


# Refusals.


@pytest.mark.parametrize("given", [options("Wong2020Fast"), options("Salman2020Do_R18", "imagenet")], ids=str)
def test_a_file_of_another_network_is_refused(given):
    """RobustBench itself takes any names for its ImageNet networks, and leaves the weights as they were drawn."""
    network = classifiers.robustbench(**given)
    own = getattr(network.network, "model", network.network).state_dict()
    published = {key: value for key, value in own.items() if key not in ("mu", "sigma")}
    network.load_state_dict(network.adapted(published))
    others = {
        r"Missing .*layer1\.0\.conv1\.weight": {k: v for k, v in published.items() if k != "layer1.0.conv1.weight"},
        r"Unexpected .*extra\.weight": published | {"extra.weight": torch.zeros(1)},
        r"Missing .*\.conv1\.weight": {f"of.another.{k}": v for k, v in published.items()},
    }
    for message, other in others.items():
        with pytest.raises(RuntimeError, match=message):
            network.load_state_dict(network.adapted(other))


@pytest.mark.parametrize("checkpoint", [{}, {"epoch": 3}, {1: torch.zeros(1)}, {"state_dict": {1: torch.zeros(1)}}])
@pytest.mark.parametrize(
    ("network", "given"), [(ROBUSTBENCH, options("Wong2020Fast")), (TORCHVISION, {"name": "resnet18"})]
)
def test_a_file_without_a_state_dict_is_refused(checkpoint, network, given, tmp_path):
    refusal(network, given, checkpoint, tmp_path)


def test_ensembles_are_refused():
    zoo = repairs.robustbench().model_zoo.model_dicts
    ensembles = [
        options(name, dataset.value, threat.value)
        for dataset, by_threat in zoo.items()
        for threat, table in by_threat.items()
        for name, entry in table.items()
        if isinstance(entry["gdrive_id"], list)
    ]
    assert options("Chen2020Adversarial") in ensembles
    for given in ensembles:
        with pytest.raises(ValueError, match=given["name"]) as error:
            classifiers.robustbench(**given)
        assert "own" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "given", "close"),
    [
        (classifiers.robustbench, options("Carmon2019"), "Carmon2019Unlabeled"),
        (classifiers.robustbench, options("Standard_R50"), "Standard"),
        (classifiers.robustbench, options("Standard", "imagenet"), "Standard_R50"),
        (classifiers.robustbench, options("Standard", "svhn"), "cifar10 Linf"),
        (classifiers.robustbench, options("Standard_R50", "imagenet", "L2"), "imagenet Linf"),
        (classifiers.torchvision_model, {"name": "resnet5"}, "resnet50"),
        (classifiers.torchvision_model, {"name": "fcn_resnet50"}, "resnet50"),  # segments
        (classifiers.timm_model, {"name": "resnet5"}, "resnet50"),
        (classifiers.timm_model, {"name": "resnet18", "options": {"no_such": 1}}, "no_such"),
    ],
)
def test_an_unknown_name_is_refused_with_close_ones(make, given, close):
    with pytest.raises(ValueError) as error:
        make(**given)
    assert close in str(error.value) and "\n" not in str(error.value)


# torchvision.


@torch.no_grad()
def test_the_pixels_are_normalised_before_the_network():
    network = classifiers.torchvision_model("resnet18", mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), classes=7).eval()
    weights = {key.removeprefix("network.model."): value for key, value in network.state_dict().items()}
    plain = torchvision.models.resnet18(num_classes=7).eval()
    plain.load_state_dict(weights)
    wanted = plain(torchvision.transforms.functional.normalize(X64, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    assert torch.equal(network(X64), wanted) and wanted.shape == (2, 7)


@torch.no_grad()
def test_a_file_from_before_batches_were_counted_is_read(tmp_path):
    published = drawn_like(torchvision.models.resnet18())
    older = {key: value for key, value in published.items() if not key.endswith("num_batches_tracked")}
    assert len(older) < len(published)
    torch.save(published, tmp_path / "new.pth")
    torch.save(older, tmp_path / "old.pth")
    new, old = (
        checkpoints.load(TORCHVISION, {"name": "resnet18"}, str(tmp_path / f"{age}.pth")) for age in ("new", "old")
    )
    assert torch.equal(new(X64), old(X64))


@torch.no_grad()
def test_a_densenets_older_names_are_read_as_torchvision_reads_them(downloads):
    path, published = downloads / "densenet121-a639ec97.pth", drawn_like(torchvision.models.densenet121())
    old = {re.sub(r"(denselayer\d+\.(norm|conv))(\d)", r"\1.\3", key): value for key, value in published.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save({key: value for key, value in old.items() if not key.endswith("num_batches_tracked")}, path)
    assert_as_torchvision(path, {"name": "densenet121"})


@pytest.mark.parametrize("name", ["mobilenet_v2", "densenet121", "vit_b_16", "efficientnet_b0", "swin_t"])
def test_names_of_today_stay_as_they_are(name):
    with torch.device("meta"):
        network = classifiers.torchvision_model(name)
    names = list(network.network.model.state_dict())
    assert list(network.adapted(dict.fromkeys(names))) == list(network.state_dict())


@pytest.mark.filterwarnings("ignore:The default weight initialization:FutureWarning")
def test_googlenet_behind_halves_is_torchvisions_behind_imagenets(downloads):
    """Its published weights are for (x − 0.5) / 0.5, which torchvision makes of ImageNet's normalisation."""
    path = downloads / "googlenet-1378be20.pth"
    torch.save(drawn_like(torchvision.models.googlenet(init_weights=False)), path)
    assert_as_torchvision(path, {"name": "googlenet", "mean": [0.5] * 3, "std": [0.5] * 3})


# timm.


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet10t", "resnet10t.c3_in1k"])
def test_a_file_of_timms_is_read_behind_the_normalisation_that_timm_tells(name, tmp_path):
    import timm

    plain = timm.create_model("resnet10t", pretrained=False).eval()
    plain.load_state_dict(drawn_like(plain))
    torch.save(plain.state_dict(), tmp_path / "published.pth")
    network = checkpoints.load("purity.classifiers:timm_model", {"name": name}, str(tmp_path / "published.pth"))
    told = plain.pretrained_cfg
    wanted = plain(torchvision.transforms.functional.normalize(X64, told["mean"], told["std"]))
    assert torch.equal(network(X64), wanted)


def test_timm_takes_other_classes_and_other_constants():
    given = {"name": "resnet10t", "classes": 7, "mean": [0.0] * 3, "std": [1.0] * 3, "options": {"in_chans": 3}}
    network = classifiers.timm_model(**given).eval()
    assert network(X).shape == (2, 7) and torch.equal(network(X), network.network.model(X))


# transformers, which is not installed here: in its place what of it is called.


class Output(dict):
    """Like its ModelOutput: a dict whose keys are attributes."""

    __getattr__ = dict.__getitem__


@pytest.fixture
def transformers(monkeypatch, tmp_path):
    """The library, that has one model, in the folder `model`; it is asked to stay off the network."""
    made = types.ModuleType("transformers")

    class Linear(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(3 * 32 * 32, 5, generator=torch.Generator().manual_seed(0)))

        def forward(self, x):
            return Output(logits=x.flatten(1) @ self.weight, hidden_states=None)

    def pretrained(of):
        def from_pretrained(place, local_files_only):
            assert local_files_only
            if not Path(place).is_dir():
                raise OSError(f"We couldn't connect to the hub\nand {place} is no folder")
            return of()

        return types.SimpleNamespace(from_pretrained=from_pretrained)

    processor = types.SimpleNamespace(image_mean=[0.5, 0.4, 0.3], image_std=[0.5, 0.6, 0.7])
    made.AutoModelForImageClassification = pretrained(Linear)
    made.AutoImageProcessor = pretrained(lambda: processor)
    (tmp_path / "model").mkdir()
    monkeypatch.setitem(sys.modules, "transformers", made)
    return tmp_path / "model"


@torch.no_grad()
def test_a_model_output_behind_the_processors_constants_gives_its_logits(transformers):
    network = classifiers.transformers_model(str(transformers))
    normalised = torchvision.transforms.functional.normalize(X, [0.5, 0.4, 0.3], [0.5, 0.6, 0.7])
    wanted = network.model(normalised)["logits"]
    assert torch.equal(contract.protected_classifier(network, "mine")(X), wanted)
    plain = classifiers.transformers_model(str(transformers), mean=[0.0] * 3, std=[1.0] * 3)
    assert torch.equal(plain(X).logits, network.model(X).logits)


def test_a_model_that_is_not_on_this_machine_is_refused_in_a_line(transformers):
    with pytest.raises(ValueError, match="'nobody/nothing' on this machine: We couldn't connect") as error:
        classifiers.transformers_model("nobody/nothing")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("library", ["transformers", "timm", "torchvision", "robustbench"])
def test_without_the_library_one_line_says_how_to_get_it(library, monkeypatch):
    made = {
        "transformers": partial(classifiers.transformers_model, "nobody/nothing"),
        "timm": partial(classifiers.timm_model, "resnet18"),
        "torchvision": partial(classifiers.torchvision_model, "resnet18"),
        "robustbench": partial(classifiers.robustbench, "Standard", "cifar10", "Linf"),
    }
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=f"{library} is not installed; `uv pip install {library}`") as error:
        made[library]()
    assert "\n" not in str(error.value)


# A network of the user's own.

CNN = {"call": "purity.networks:cnn", "options": {"channels": 3, "width": 4, "features": 4}}


@torch.no_grad()
def test_a_network_of_ones_own_gets_normalised_pixels_and_its_own_file(tmp_path):
    own = checkpoints.untrained(CNN["call"], CNN["options"], seed=5).eval()
    torch.save(own.state_dict(), tmp_path / "own.pt")
    given = CNN | {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    network = checkpoints.load("purity.classifiers:normalised", given, str(tmp_path / "own.pt"))
    wanted = own(torchvision.transforms.functional.normalize(X, given["mean"], given["std"]))
    assert torch.allclose(network(X), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mean": [0.1], "std": [0.4, 0.5]}, "one std above 0"),
        ({"mean": [0.1], "std": [0.0]}, "one std above 0"),
        ({"mean": [0.1], "std": [0.5], "call": "purity.purifiers:identity", "options": {}}, "made function"),
        ({"mean": [0.1], "std": [0.5], "call": "no_such:network"}, "no_such"),
    ],
)
def test_constants_and_networks_that_cannot_be_are_refused(given, said):
    with pytest.raises(ValueError, match=said) as error:
        classifiers.normalised(**CNN | given)
    assert "\n" not in str(error.value)


# All.


@pytest.mark.parametrize(
    ("network", "given"),
    [
        (ROBUSTBENCH, options("Salman2020Do_R18", "imagenet")),
        (TORCHVISION, {"name": "resnet18"}),
        ("purity.classifiers:timm_model", {"name": "resnet10t"}),
    ],
)
def test_weights_that_were_loaded_load_again(network, given, tmp_path):
    module = checkpoints.untrained(network, given, seed=3).eval()
    checkpoints.save(module, str(tmp_path / "g.safetensors"))
    again = checkpoints.load(network, given, str(tmp_path / "g.safetensors"))
    assert torch.equal(again(X), module(X)) and same(again.state_dict(), module.state_dict())
