"""Faster arithmetic changes roundings, is asked for by a preset, and never by default."""

import copy

import pytest
import torch

from purity.run import checkpoints, engine
from purity.run.presets import Presets

INDEX = torch.tensor([50])
PRESET = {"network": "purity.networks:unet", "options": {"width": 8, "embedding": 16}}


@pytest.fixture
def network(unet):
    return copy.deepcopy(unet)


@pytest.fixture(autouse=True)
def flags():
    """Those of torch are put back."""
    kept = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = kept


def slope(network, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(network(2 * x - 1, INDEX).square().sum(), x)[0]


def test_nothing_asked_for_changes_no_bit(network, unet, images):
    assert torch.equal(engine.prepared(network, "cpu")(images, INDEX), unet(images, INDEX))


def test_bf16_is_near_float32_and_comes_out_as_float32(network, unet, images):
    """bf16 rounds to 2⁻⁹; errors of a network of some ten layers are of that size, gradients turn by a few degrees."""
    exact, made = unet(images, INDEX), engine.prepared(network, "cpu", precision="bf16")(images, INDEX)
    assert made.dtype == torch.float32
    off = (made - exact).norm() / exact.norm()
    assert 1e-5 < off < 0.05
    cosine = torch.nn.functional.cosine_similarity(slope(network, images).flatten(1), slope(unet, images).flatten(1))
    assert 0.98 < cosine.min() < 1


def test_channels_last_is_another_order_of_sums(network, unet, images):
    made = engine.prepared(network, "cpu", channels_last=True)
    assert any(p.is_contiguous(memory_format=torch.channels_last) for p in made.parameters() if p.ndim == 4)
    torch.testing.assert_close(made(images, INDEX), unet(images, INDEX), atol=1e-5, rtol=1e-5)


def test_tf32_is_a_flag_of_torch(network):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    engine.prepared(network, "cpu")
    assert not torch.backends.cudnn.allow_tf32
    engine.prepared(network, "cpu", precision="tf32")
    assert torch.backends.cuda.matmul.allow_tf32 and torch.backends.cudnn.allow_tf32


def test_what_is_no_module_is_refused():
    with pytest.raises(ValueError, match="engine: only a torch module"):
        engine.prepared(lambda x, index: x, "cpu", precision="bf16")


@pytest.mark.parametrize(("asked", "mode"), [(True, None), ("graphs", "reduce-overhead")])
def test_what_is_compiled_is_what_the_network_computes(asked, mode, network, unet, images, monkeypatch):
    modes = []

    def compiled(forward, mode):
        modes.append(mode)
        return forward

    monkeypatch.setattr(torch, "compile", compiled)
    made = engine.prepared(network, "cpu", compile=asked)
    assert torch.equal(made(images, index=INDEX), unet(images, INDEX)) and modes == [mode]


def test_a_preset_asks_for_it_and_its_training_does_not(images):
    fast = PRESET | {"training": {"dataset": "d"}, "engine": {"precision": "bf16"}}
    config = {"diffusions": {"plain": PRESET, "fast": fast, "tuned": {"fine_tuning": {"of": "fast"}}}, "attacks": {}}
    config["datasets"] = {"d": {"load": "purity.data:digits"}}
    presets = Presets(config)
    assert presets.model("diffusions", "plain") == PRESET
    assert (
        presets.model("diffusions", "tuned")
        == presets.model("diffusions", "fast")
        == PRESET | {"engine": {"precision": "bf16"}}
    )
    assert "engine" not in presets.training("diffusions", "fast")
    plain, fast = (checkpoints.network(presets.model("diffusions", name), [], "cpu") for name in ("plain", "fast"))
    for loaded in (plain, fast):  # the last layer of an untrained network is zero
        torch.nn.init.normal_(loaded.leave.weight, generator=torch.Generator().manual_seed(0))
    exact = plain(images, INDEX)
    assert 0 < (exact - fast(images, INDEX)).abs().max() < 0.05 * exact.abs().max()
