"""A network finds its state dict in a file whatever was wrapped round it, the averaged one if there is one."""

import logging
import pickle
import re

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from purity.run import checkpoints, state_dicts

CNN, UNET, SMALL = (
    "purity.networks:cnn",
    "purity.networks:unet",
    {"channels": 1, "classes": 10, "width": 8, "features": 8},
)
DIFFUSERS = "purity.unets:pesser"
TINY = {"resolution": 8, "ch": 32, "ch_mult": (1, 2), "num_res_blocks": 1, "attn_resolutions": (4,)}


class WithBuffers(nn.Module):
    """Layers of every kind of name: buffers, and one that has an `ema` of its own."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.ema_block = nn.Linear(3, 2)


NETWORKS = {
    "cnn": lambda seed: checkpoints.untrained(CNN, SMALL, seed),
    "buffers": lambda seed: _drawn(WithBuffers(), seed),
    "published": lambda seed: checkpoints.untrained(DIFFUSERS, TINY, seed),
    "one layer": lambda seed: _drawn(nn.Linear(3, 4), seed),
}


def _drawn(module, seed):
    generator = torch.Generator().manual_seed(seed)
    for value in module.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.randn(value.shape, generator=generator))
    return module


@pytest.fixture(params=NETWORKS)
def pair(request):
    """A network and the state dict of another of its kind, and a third."""
    made, state, other = (NETWORKS[request.param](seed) for seed in (0, 1, 2))
    return made, state.state_dict(), other.state_dict()


def before(prefix, state):
    return {f"{prefix}{key}": value for key, value in state.items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def refusal(call, *words):
    with pytest.raises(ValueError) as error:
        call()
    line = str(error.value)
    assert "\n" not in line and "\x1b" not in line
    for word in words:
        assert word in line, line


ADAM = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}

WRAPPED = {
    "plain": lambda state: state,
    "beside numbers": lambda state: {**state, "epoch": 3},
    "state_dict": lambda state: {"state_dict": state, "epoch": 9, "optimizer": ADAM},
    "model_state_dict": lambda state: {"model_state_dict": state, "optimizer_state_dict": ADAM},
    "under any name": lambda state: {"denoiser": state},
    "twice": lambda state: {"checkpoint": {"model": state}},
    "in a list": lambda state: [state, ADAM, 3],
    "parallel": lambda state: before("module.", state),
    "compiled": lambda state: before("_orig_mod.", state),
    "compiled and parallel": lambda state: before("_orig_mod.module.", state),
    "parallel and compiled": lambda state: {"model": before("module._orig_mod.", state)},
    "compiled inside": lambda state: {
        re.sub(r"\.", "._orig_mod.", key, count=1): value for key, value in state.items()
    },
    "lightning model": lambda state: {"state_dict": before("model.", state), "pytorch-lightning_version": "2.0"},
    "lightning net": lambda state: {"state_dict": before("net.", state), "hyper_parameters": {"lr": 1}},
    "lightning compiled": lambda state: {"state_dict": before("model._orig_mod.", state)},
    "lightning with a loss": lambda state: {"state_dict": {**before("model.", state), "loss.weight": torch.ones(3)}},
    "the same twice": lambda state: {"state_dict": {**before("model.", state), **before("net.", state)}},
}


@pytest.mark.parametrize("layout", WRAPPED)
def test_weights_are_found_whatever_is_round_them(layout, pair):
    network, state, _ = pair
    assert same(state_dicts.fitted(network, WRAPPED[layout](state), "a.pt"), state)


@pytest.mark.parametrize("kind", ["cnn", "buffers", "one layer"])
def test_a_network_that_is_wrapped_itself_reads_what_is_not(kind):
    network, state = NETWORKS[kind](0), NETWORKS[kind](1).state_dict()
    for wrapped, prefix in ((nn.DataParallel(network), "module."), (torch.compile(network), "_orig_mod.")):
        for layout in ("plain", "lightning model", "compiled", "parallel"):
            assert same(state_dicts.fitted(wrapped, WRAPPED[layout](state), "a.pt"), before(prefix, state))


AVERAGED = {
    "beside": lambda state, ema: {"model": state, "ema": ema},
    "before": lambda state, ema: {"ema": ema, "model": state},
    "timm": lambda state, ema: {"state_dict": state, "state_dict_ema": ema, "epoch": 3},
    "model_ema": lambda state, ema: {"model": state, "model_ema": before("module.", ema), "optimizer": ADAM},
    "deep": lambda state, ema: {"ema": {"state_dict": ema, "decay": 0.99}, "state_dict": state},
    "beneath": lambda state, ema: {"state": {"params": state, "params_ema": ema}},
    "upper case": lambda state, ema: {"netG": state, "netG_EMA": ema},
    "lightning": lambda state, ema: {"state_dict": {**before("model.", state), **before("ema_model.", ema)}},
    "lightning, other order": lambda state, ema: {
        "state_dict": {**before("model_ema.", ema), **before("model.", state)}
    },
    "ema-pytorch": lambda state, ema: {
        **before("online_model.", state),
        **before("ema_model.", ema),
        "initted": torch.tensor(True),
        "step": torch.tensor(7),
    },
    "with a decay": lambda state, ema: {
        "model": state,
        "ema": {**ema},
        "ema_decay": 0.999,
        "ema_steps": torch.tensor(3),
    },
    "swa": lambda state, ema: {
        "state_dict": state,
        "swa_state_dict": before("module.", ema) | {"n_averaged": torch.tensor(2)},
    },
}


@pytest.mark.parametrize("layout", AVERAGED)
def test_the_average_is_taken_whatever_the_nesting_and_the_log_says_so(layout, pair, caplog):
    network, state, ema = pair
    caplog.set_level(logging.INFO)
    assert same(state_dicts.fitted(network, AVERAGED[layout](state, ema), "a.pt"), ema)
    (line,) = caplog.messages
    assert "a.pt" in line and "averaged" in line


def test_an_average_of_the_parameters_leaves_the_buffers_to_the_plain_weights():
    network, state, ema = (NETWORKS["buffers"](seed) for seed in (0, 1, 2))
    parameters = {name: value.detach() for name, value in ema.named_parameters()}
    found = state_dicts.fitted(network, {"model": state.state_dict(), "ema": {"shadow": parameters}}, "a.pt")
    assert same(found, {**state.state_dict(), **parameters})


def test_torchs_own_average_is_read():
    network, ema = NETWORKS["cnn"](0), AveragedModel(NETWORKS["cnn"](1))
    assert same(state_dicts.fitted(network, ema.state_dict(), "a.pt"), ema.module.state_dict())


@pytest.mark.parametrize(
    "layout",
    [
        lambda state: {"model": state, "ema": {"decay": 0.9, "shadow_params": [torch.ones(3), torch.ones(2, 2)]}},
        lambda state: {"model": state, "model_ema": {"other.weight": torch.ones(3)}},
        lambda state: {"state_dict": {**before("model.", state), "model_ema.modelweight": torch.ones(3)}},
    ],
    ids=["list", "other names", "glued names"],
)
def test_an_average_that_cannot_be_read_is_not_passed_over(layout, pair):
    network, state, _ = pair
    refusal(
        lambda: state_dicts.fitted(network, layout(state), "a.pt"),
        "a.pt",
        "averaged",
        "ema",
        "docs/contract.md#weights",
    )


def test_numbers_called_ema_are_no_average(pair):
    network, state, _ = pair
    content = {"state_dict": before("model.", state) | {"model_ema.decay": torch.tensor(0.9)}, "ema_decay": 0.9}
    assert same(state_dicts.fitted(network, content, "a.pt"), state)


@pytest.mark.parametrize(
    "layout",
    [
        lambda a, b: {"student": a, "teacher": b},
        lambda a, b: {"state_dict": {**before("g.", a), **before("d.", b)}},
        lambda a, b: {"ema_0.999": a, "ema_0.9999": b},
        lambda a, b: [a, b],
    ],
    ids=["two", "two prefixes", "two averages", "list"],
)
def test_of_two_that_fit_none_is_guessed(layout, pair):
    network, a, b = pair
    if hasattr(network, "adapted"):  # of prefixes it knows only those of holders
        layout = lambda a, b: {"student": a, "teacher": b}  # noqa: E731
    refusal(lambda: state_dicts.fitted(network, layout(a, b), "a.pt"), "a.pt", "several", "#weights")


def test_of_best_and_last_the_last_is_taken(pair):
    network, state, other = pair
    assert same(state_dicts.fitted(network, {"best": other, "last": state}, "a.pt"), state)


@pytest.mark.parametrize(
    "content", [{}, [], None, 3, {"epoch": 3}, {1: torch.ones(2)}, [torch.ones(3)], ADAM["param_groups"]], ids=repr
)
def test_a_file_without_names_and_tensors_holds_no_state_dict(content, pair):
    refusal(lambda: state_dicts.fitted(pair[0], content, "a.pt"), "a.pt", "no state dict", "#weights")


# Through `load`, as jobs do it.


@pytest.mark.parametrize("layout", ["lightning net", "compiled", "twice"])
def test_every_network_is_loaded_by_the_same_rule(layout, tmp_path, pair):
    torch.save(WRAPPED[layout](NETWORKS["cnn"](1).state_dict()), tmp_path / "g.pt")
    found = checkpoints.load(CNN, SMALL, str(tmp_path / "g.pt")).state_dict()
    assert same(found, NETWORKS["cnn"](1).state_dict())


def test_a_pickled_network_is_told_to_save_its_state_dict(tmp_path):
    torch.save(NETWORKS["one layer"](0), tmp_path / "whole.pt")
    refusal(
        lambda: checkpoints.load(CNN, SMALL, str(tmp_path / "whole.pt")),
        "whole.pt",
        "torch.nn.modules.linear.Linear",
        "state_dict",
        "#weights",
    )


def test_a_pickled_object_beside_the_weights_is_named(tmp_path):
    import argparse

    torch.save({"state_dict": NETWORKS["cnn"](0).state_dict(), "args": argparse.Namespace(lr=1)}, tmp_path / "g.pt")
    refusal(
        lambda: checkpoints.load(CNN, SMALL, str(tmp_path / "g.pt")), "argparse.Namespace", "state_dict", "weights_only"
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_torchscript_program_is_told_to_save_its_state_dict(tmp_path):
    torch.jit.script(NETWORKS["one layer"](0)).save(tmp_path / "script.pt")
    refusal(lambda: checkpoints.load(CNN, SMALL, str(tmp_path / "script.pt")), "script.pt", "TorchScript", "state_dict")


def test_weights_for_other_channels_are_refused_in_one_line(tmp_path):
    torch.save(checkpoints.untrained(CNN, SMALL | {"channels": 3}).state_dict(), tmp_path / "rgb.pt")
    refusal(lambda: checkpoints.load(CNN, SMALL, str(tmp_path / "rgb.pt")), "rgb.pt", "size mismatch", "[8, 3, 3, 3]")


def test_what_normalises_images_is_not_left_out_without_a_word(tmp_path):
    """Weights behind a layer that the network lacks would see other images than in training."""
    network = checkpoints.untrained(CNN, SMALL, 0)
    for mean, prefix in (("0.mean", "1."), ("normalize.std", "model."), ("pixel_mean", "net.")):
        path = tmp_path / f"{prefix}pt"
        torch.save({"state_dict": {mean: torch.zeros(1)} | before(prefix, network.state_dict())}, path)
        with pytest.raises(ValueError, match=rf"{path} holds 'state_dict.{mean}', by which images are normalised"):
            checkpoints.load(CNN, SMALL, str(path))
    torch.save({"loss.weight": torch.ones(2)} | before("model.", network.state_dict()), path)
    assert same(checkpoints.load(CNN, SMALL, str(path)).state_dict(), network.state_dict())


def test_quantised_weights_are_refused_and_halves_are_not(tmp_path):
    state, path = checkpoints.untrained(CNN, SMALL, 0).state_dict(), tmp_path / "w.pt"
    torch.save({key: value.to(torch.int8) for key, value in state.items()}, path)
    with pytest.raises(ValueError, match=rf"{path} holds 'convolutions.0.weight' as int8.*#weights"):
        checkpoints.load(CNN, SMALL, str(path))
    torch.save({key: value.bfloat16() for key, value in state.items()}, path)
    assert checkpoints.load(CNN, SMALL, str(path)).state_dict().keys() == state.keys()


@pytest.mark.parametrize("written", [b"<html></html>", pickle.dumps({"a": 1})], ids=["html", "pickle"])
def test_what_torch_did_not_write_is_refused_without_its_advice(written, tmp_path):
    (tmp_path / "w.pt").write_bytes(written)
    with pytest.raises(ValueError, match=r"w\.pt (is|holds) no state dict") as error:
        checkpoints.load(CNN, SMALL, str(tmp_path / "w.pt"))
    assert "PyTorch 2.6" not in str(error.value)


@pytest.mark.parametrize("options", ["no json", "[1]"])
def test_metadata_that_are_no_options_are_named(options, tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(checkpoints.untrained(CNN, SMALL, 0).state_dict(), path, {"options": options})
    with pytest.raises(ValueError, match=rf"checkpoint {path} has metadata whose `options`"):
        checkpoints.load(CNN, SMALL, str(path))
