"""The inception features against pytorch-fid's own network with the same weights."""

import numpy as np
import pytest
import pytorch_fid.inception
import torch
from PIL import Image
from pytorch_fid.fid_score import get_activations

from purity.inception import LAST
from purity.run import checkpoints

INCEPTION = "purity.inception:inception"
GENERATOR = torch.Generator().manual_seed(0)
SMALL, LARGE = (torch.rand(2, 3, size, size, generator=GENERATOR) for size in (32, 224))


class NoNetwork(Exception):
    pass


@pytest.fixture(scope="module", autouse=True)
def no_network(tmp_path_factory):
    """No cached file and no connection: whoever downloads fails."""

    def refused(*_, **__):
        raise NoNetwork

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("empty")))
        patch.setattr("socket.getaddrinfo", refused)
        yield


@pytest.fixture(scope="module")
def published(no_network):
    """pytorch-fid's whole network, made by its own function, with drawn weights in the place of the published ones."""
    drawn = {}

    def state_of(network):
        generator = torch.Generator().manual_seed(1)
        for name, tensor in network.state_dict().items():
            if tensor.ndim > 1:  # keeps the size of activations through ReLUs
                drawn[name] = torch.randn(tensor.shape, generator=generator) * (2 / tensor[0].numel()) ** 0.5
            elif tensor.ndim == 1:
                drawn[name] = 0.5 + torch.rand(tensor.shape, generator=generator)
            else:
                drawn[name] = tensor
        return drawn

    load = torch.nn.Module.load_state_dict
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytorch_fid.inception, "load_state_dict_from_url", lambda *_, **__: None)
        patch.setattr("torchvision.models.Inception3.load_state_dict", lambda self, _: load(self, state_of(self)))
        network = pytorch_fid.inception.fid_inception_v3()
    return network.eval(), drawn


@pytest.fixture(scope="module")
def checkpoint(published, tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "pt_inception-2015-12-05-6726825d.pth"
    torch.save(published[1], path)
    return str(path)


@pytest.fixture(scope="module")
def features(checkpoint):
    return checkpoints.load(INCEPTION, {}, checkpoint)


@pytest.fixture
def oracle(published, monkeypatch):
    """oracle(dims): pytorch-fid's network up to that block."""
    monkeypatch.setattr(pytorch_fid.inception, "fid_inception_v3", lambda: published[0])
    blocks = pytorch_fid.inception.InceptionV3.BLOCK_INDEX_BY_DIM
    return lambda dims: pytorch_fid.inception.InceptionV3([blocks[dims]]).eval()


def assert_same(found, wanted):
    """1e-5 of the largest feature: float32 rounding through some sixty layers, in whatever order a batch sums."""
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * wanted.abs().max().item())


@torch.no_grad()
def test_without_the_published_file_pytorch_fid_itself_would_go_to_the_network():
    with pytest.raises(NoNetwork):
        pytorch_fid.inception.fid_inception_v3()


def test_the_published_file_has_the_names_that_pytorch_fid_loads(published):
    _, state = published
    assert state["fc.weight"].shape == (1008, 2048) and "Mixed_5b.branch1x1.conv.weight" in state
    assert not [name for name in state if name.startswith("AuxLogits")]


@torch.no_grad()
@pytest.mark.parametrize("x", [SMALL, LARGE], ids=["32", "224"])
def test_features_are_those_of_pytorch_fid(x, features, oracle):
    (block,) = oracle(768)(x)
    wanted = block.mean((2, 3))
    assert wanted.std(1).min() > 0.1 * wanted.abs().mean() > 0  # they differ among channels
    assert_same(features(x), wanted)


@torch.no_grad()
@pytest.mark.parametrize("dims", sorted(set(LAST) - {768}))
def test_features_of_each_width_are_those_of_pytorch_fid(dims, checkpoint, oracle):
    (block,) = oracle(dims)(SMALL)
    found = checkpoints.load(INCEPTION, {"dims": dims}, checkpoint)(SMALL)
    assert found.shape == (2, dims)
    assert_same(found, block.mean((2, 3)))


def test_features_are_the_activations_of_image_files(features, oracle, tmp_path):
    """The whole way of pytorch-fid's command, from 8-bit files."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    files = [tmp_path / f"{i}.png" for i in range(len(pixels))]
    for image, file in zip(pixels, files, strict=True):
        Image.fromarray(image).save(file)
    wanted = get_activations(files, oracle(768), batch_size=3, dims=768, num_workers=0)
    found = features(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
    assert_same(found.double(), torch.from_numpy(wanted))


@torch.no_grad()
def test_features_of_an_image_do_not_depend_on_its_batch(features):
    assert_same(torch.cat([features(SMALL[:1]), features(SMALL[1:])]), features(SMALL))


@torch.no_grad()
def test_a_grey_image_is_the_same_in_three_channels(features):
    grey = SMALL[:, :1]
    assert torch.equal(features(grey), features(grey.repeat(1, 3, 1, 1)))
    assert not torch.allclose(features(grey), features(SMALL))


# Loading.


def test_every_weight_is_used_or_lies_after_the_features(published, checkpoint):
    _, state = published
    found = checkpoints.load(INCEPTION, {}, checkpoint).state_dict()
    assert all(torch.equal(found[name], state[name]) for name in found)
    assert {name.split(".")[0] for name in state.keys() - found.keys()} == {"Mixed_7a", "Mixed_7b", "Mixed_7c", "fc"}


def test_weights_that_were_loaded_load_again(features, tmp_path):
    checkpoints.save(features, str(tmp_path / "f.safetensors"))
    again = checkpoints.load(INCEPTION, {}, str(tmp_path / "f.safetensors")).state_dict()
    assert all(torch.equal(again[name], value) for name, value in features.state_dict().items())


@pytest.mark.parametrize("change", ["missing", "surplus"])
def test_a_file_of_another_network_is_refused_by_name(change, published, tmp_path):
    state = dict(published[1])
    if change == "missing":
        del state["Mixed_6e.branch_pool.conv.weight"]
    else:
        state["AuxLogits.fc.weight"] = torch.zeros(1)  # torchvision's own inception_v3 has it
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(ValueError) as error:
        checkpoints.load(INCEPTION, {}, str(tmp_path / "other.pth"))
    named = "Mixed_6e.branch_pool.conv.weight" if change == "missing" else "AuxLogits.fc.weight"
    assert named in str(error.value) and "other.pth" in str(error.value)


def test_another_width_is_refused():
    with pytest.raises(ValueError, match="100") as error:
        checkpoints.untrained(INCEPTION, {"dims": 100})
    assert "768" in str(error.value) and "\n" not in str(error.value)
