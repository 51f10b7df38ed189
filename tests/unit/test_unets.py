"""Published checkpoints fit, key by key, and the networks can be differentiated in every way the pipeline does."""

import json
import math
from pathlib import Path

import pytest
import torch

from purity import unets
from purity.run import checkpoints
from purity.stages.jacobian import MODES, basis

KEYS = Path(__file__).parents[1] / "data" / "keys"
SMALL = {"resolution": 8, "ch": 32, "ch_mult": (1, 2), "num_res_blocks": 1, "attn_resolutions": (4,)}


def listed(name):
    return json.loads((KEYS / f"{name}.json").read_text())


def checkpoint(name, seed=0):
    """Random numbers under the very keys of a published checkpoint."""
    generator = torch.Generator().manual_seed(seed)
    return {
        key: torch.randn(shape, generator=generator) / max(1, math.prod(shape[1:])) ** 0.5
        for key, shape, dtype, kind in listed(name)["keys"]
    }


def loaded(module, state):
    module.load_state_dict(module.adapted(state))
    return module.eval().requires_grad_(False)


PUBLISHED = {
    "pesser_cifar10": (unets.pesser, "map_pesser_to_diffusers_cifar10", 35_746_307, (2, 3, 32, 32), 3),
    "guided_256x256_uncond": (unets.guided, "map_guided_to_diffusers_256", 552_814_086, (1, 3, 64, 64), 6),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_checkpoint_with_the_published_keys_loads_and_runs(name):
    make, mapping, parameters, shape, channels = PUBLISHED[name]
    state, module = checkpoint(name), make()
    assert sum(p.numel() for p in module.parameters()) == parameters
    adapted = module.adapted(state)
    for old, new, _ in listed(mapping)["pairs"]:
        names = [new] if isinstance(new, str) else new
        # as many numbers arrive as were there, under the names that were checked one by one
        assert sum(adapted[f"unet.{n}"].numel() for n in names) == state[old].numel(), old
    assert len(adapted) == sum(1 if isinstance(new, str) else len(new) for _, new, _ in listed(mapping)["pairs"])
    module.load_state_dict(adapted)
    with torch.no_grad():
        out = module.eval()(torch.zeros(shape), torch.tensor([5]))
    assert out.shape == (shape[0], channels, *shape[2:]) and out.isfinite().all()


def test_the_original_and_diffusers_layouts_of_one_checkpoint_are_one_network():
    """Names new and old, with a parallel module's prefix, and inside another dict."""
    state = checkpoint("pesser_cifar10")
    pairs = listed("map_pesser_to_diffusers_cifar10")["pairs"]
    of = {e[0]: e[1] for e in listed("diffusers_cifar10")["keys"]}
    renamed = {new: state[old].reshape(of[new]) for old, new, _ in pairs}
    before = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old_names = dict(renamed)
    for key in renamed:
        for new, old in before.items():
            if f".{new}." in key:
                old_names[key.replace(f".{new}.", f".{old}.")] = old_names.pop(key)
    assert old_names.keys() != renamed.keys()
    wanted = unets.pesser().adapted(state)
    module = unets.pesser()
    layouts = [renamed, old_names, {f"module.{k}": v for k, v in state.items()}, {"state_dict": state, "step": 790000}]
    for layout in layouts:
        found = module.adapted(layout)
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_the_options_of_diffusers_own_config_give_the_same_network():
    named = listed("diffusers_cifar10")
    module = unets.diffusers(_class_name="UNet2DModel", **named["kwargs"])
    assert [(k, list(v.shape)) for k, v in module.unet.state_dict().items()] == [(e[0], e[1]) for e in named["keys"]]


def test_a_checkpoint_of_something_else_is_refused_with_its_keys(tmp_path):
    state = checkpoint("pesser_cifar10")
    state["extra.weight"] = state.pop("conv_out.weight")
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a\.pt does not fit purity\.unets:pesser.*conv_out") as refused:
        checkpoints.load("purity.unets:pesser", {}, str(tmp_path / "a.pt"))
    assert "\n" not in str(refused.value)


def test_what_unet2dmodel_cannot_represent_is_refused():
    with pytest.raises(ValueError, match="channel_mult"):
        unets.guided(channel_mult=(2, 4), num_channels=32)


def test_a_folder_in_diffusers_format_is_a_checkpoint(tmp_path):
    """As save_pretrained writes it: config.json beside the weights, safetensors or not."""
    made = unets.pesser(**SMALL)
    x, index = torch.rand(2, 3, 8, 8), torch.tensor([3])
    for folder, safe in ((tmp_path / "safe", True), (tmp_path / "bin", False)):
        made.unet.save_pretrained(folder, safe_serialization=safe)
        found = checkpoints.load("purity.unets:diffusers", {}, str(folder))
        assert torch.equal(found(x, index), made.eval()(x, index))
        assert not any(p.requires_grad for p in found.parameters())
    (tmp_path / "bin/config.json").unlink()
    with pytest.raises(ValueError, match=r"bin.*config\.json"):
        checkpoints.load("purity.unets:diffusers", {}, str(tmp_path / "bin"))


# As google/ddpm-cifar10-32 has it.
DDPM = {
    "_class_name": "DDPMScheduler",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "clip_sample": True,
    "num_train_timesteps": 1000,
    "trained_betas": None,
    "variance_type": "fixed_large",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network in diffusers' format."""
    path = tmp_path_factory.mktemp("pipeline") / "unet"
    unets.pesser(**SMALL).unet.save_pretrained(path)
    return path


@pytest.fixture(
    params=["scheduler_config.json", "scheduler/scheduler_config.json", "../scheduler/scheduler_config.json"]
)
def told(request, folder):
    """told(what): a scheduler's config in one of the places where it may lie."""
    place = folder / request.param

    def write(what):
        place.parent.mkdir(exist_ok=True)
        place.write_text(what if isinstance(what, str) else json.dumps(what))

    yield write
    place.unlink(missing_ok=True)


@pytest.mark.parametrize(
    "said",
    [
        DDPM,
        {},
        {"_class_name": "DDIMScheduler", "prediction_type": "epsilon", "clip_sample": False},
        DDPM | {"trained_betas": [1e-4 + i * (0.02 - 1e-4) / 999 for i in range(1000)], "beta_schedule": "any"},
    ],
    ids=["ddpm", "nothing", "ddim", "trained betas"],
)
def test_a_folder_that_says_what_purifiers_do_is_loaded(said, folder, told):
    told(said)
    checkpoints.load("purity.unets:diffusers", {}, str(folder))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"prediction_type": "v_prediction"}, "prediction_type: v_prediction"),
        ({"prediction_type": "sample"}, "prediction_type: sample"),
        ({"predict_epsilon": False}, "prediction_type: sample"),
        ({"beta_schedule": "squaredcos_cap_v2"}, "beta_schedule: squaredcos_cap_v2"),
        ({"beta_schedule": "scaled_linear"}, "beta_schedule: scaled_linear"),
        ({"beta_end": 0.012}, "from 0.0001 to 0.012"),
        ({"beta_start": 0.00085}, "from 0.00085 to 0.02"),
        ({"num_train_timesteps": 4000}, "4000 steps"),
        ({"num_train_timesteps": 100}, "100 steps"),
        ({"trained_betas": [0.01] * 1000}, "trained_betas"),
        ({"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr"),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler"}, "FlowMatchEulerDiscreteScheduler"),
        ({"_class_name": "ScoreSdeVeScheduler"}, "ScoreSdeVeScheduler"),
        ({"_class_name": "EDMDPMSolverMultistepScheduler"}, "EDMDPMSolverMultistepScheduler"),
    ],
    ids=lambda value: str(value),
)
def test_a_folder_that_says_otherwise_is_refused_by_what_it_says(change, word, folder, told):
    told(DDPM | change)
    with pytest.raises(ValueError) as error:
        checkpoints.load("purity.unets:diffusers", {}, str(folder))
    line = str(error.value)
    assert "\n" not in line and str(folder) in line and word in line and "docs/contract.md#weights" in line


def own_network(**options):
    """A user's, which says nothing of schedules."""
    return unets.diffusers(**options).unet


def of_v(**options):
    """One that was trained otherwise, turns what it predicts into ε, and judges by itself."""
    made = own_network(**options)
    object.__setattr__(made, "check_scheduler", lambda said, folder: None)
    return made


def test_what_a_folder_says_holds_for_its_file_alone_and_for_networks_of_ones_own(folder, told, monkeypatch):
    monkeypatch.setattr(unets, "own_network", own_network, raising=False)
    monkeypatch.setattr(unets, "of_v", of_v, raising=False)
    options, file = json.loads((folder / "config.json").read_text()), folder / "diffusion_pytorch_model.safetensors"
    given = [("diffusers", {}, folder), ("diffusers", options, file)]
    given += [("own_network", {}, folder), ("own_network", options, file)]
    for network, said, path in given:
        told(DDPM)
        checkpoints.load(f"purity.unets:{network}", said, str(path))
        told(DDPM | {"prediction_type": "v_prediction"})
        with pytest.raises(ValueError, match="prediction_type: v_prediction"):
            checkpoints.load(f"purity.unets:{network}", said, str(path))
    checkpoints.load("purity.unets:of_v", {}, str(folder))


@pytest.mark.parametrize("told_so", ["{", "[1]", '{"num_train_timesteps": "1000"}', '{"_class_name": 3}'])
def test_a_schedulers_config_that_cannot_be_read_is_named(folder, told, told_so):
    told(told_so)
    with pytest.raises(ValueError, match=r"no readable scheduler_config\.json"):
        checkpoints.load("purity.unets:diffusers", {}, str(folder))


@pytest.mark.parametrize(
    "options",
    [{"_class_name": "UNet2DConditionModel"}, {"num_class_embeds": 10}, {"class_embed_type": "timestep"}],
    ids=str,
)
def test_a_network_that_wants_more_than_x_and_t_is_refused(options):
    with pytest.raises(ValueError, match=r"config\.json says"):
        unets.diffusers(**options)


PATCHED = {
    "patch": 2,
    "sample_size": 4,
    "in_channels": 12,
    "out_channels": 12,
    "layers_per_block": 1,
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D"),
    "norm_num_groups": 4,
}


@pytest.fixture(scope="module", params=[(unets.pesser, SMALL), (unets.diffusers, PATCHED)], ids=["pesser", "patched"])
def network(request):
    """A small network with every weight drawn: the last layer starts at zero."""
    torch.manual_seed(0)
    make, options = request.param
    module = make(**options)
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.2 / max(1, p[0].numel()) ** 0.25) if p.ndim > 1 else None
    return module.eval().requires_grad_(False).double()


def test_on_patches_it_is_the_network_of_one_pixel_for_four():
    """Pixel (2i + a, 2j + b) of channel c is pixel (i, j) of channel 4c + 2a + b, into the network and out of it."""
    torch.manual_seed(0)
    module = unets.diffusers(**PATCHED).eval().requires_grad_(False)
    x, index = torch.rand(2, 3, 8, 8), torch.tensor([7])
    corners = [(a, b) for a in (0, 1) for b in (0, 1)]
    seen = torch.stack([x[:, :, a::2, b::2] for a, b in corners], 2).flatten(1, 2)
    expected = torch.empty(2, 3, 8, 8)
    for (a, b), part in zip(corners, module.unet(seen, index).sample.unflatten(1, (3, 4)).unbind(2), strict=True):
        expected[:, :, a::2, b::2] = part
    assert torch.equal(module(x, index), expected)


def test_forward_and_reverse_mode_agree(network):
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    index = torch.tensor([7])
    e = basis(torch.arange(0, x.numel(), 16), x)
    f = lambda z: network(z, index)  # noqa: E731
    forward = MODES["forward"](f, x)(e).flatten(1)  # rows: columns of J
    full = MODES["rows"](f, x)(basis(torch.arange(x.numel()), x)).flatten(1)  # J
    assert torch.allclose(forward, full.T[::16], atol=1e-10)
    assert torch.allclose(MODES["reverse"](f, x)(e).flatten(1), full[::16], atol=1e-10)


def test_the_gradient_is_that_of_finite_differences(network):
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64).requires_grad_()
    v, w = torch.randn(2, 1, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    f = lambda z: (w * network(z, torch.tensor([7]))).sum()  # noqa: E731
    (g,) = torch.autograd.grad(f(x), x)
    h = 1e-5
    assert (f(x + h * v) - f(x - h * v)).item() / (2 * h) == pytest.approx((g * v).sum().item(), rel=1e-7)


def test_a_row_does_not_depend_on_the_batch(network):
    x = torch.rand(5, 3, 8, 8, dtype=torch.float64)
    together = network(x, torch.tensor([7]))
    assert torch.allclose(together, torch.cat([network(r[None], torch.tensor([7])) for r in x]), atol=1e-12)


def test_what_is_saved_of_a_published_network_is_loaded_again(tmp_path):
    """As a fine-tuned one is, under the module's own names."""
    path = str(tmp_path / "tuned.safetensors")
    for network, options in (
        ("purity.unets:pesser", SMALL),
        (
            "purity.unets:guided",
            {"num_channels": 32, "channel_mult": (1, 1), "num_res_blocks": 1, "num_head_channels": 16},
        ),
    ):
        module = checkpoints.untrained(network, options, seed=3)
        checkpoints.save(module, path)
        again = checkpoints.load(network, options, path).state_dict()
        assert all(torch.equal(value, again[name]) for name, value in module.state_dict().items())


def test_a_network_of_a_folder_is_saved_with_the_options_that_the_folder_gave(tmp_path):
    """A fine-tuned one has no config.json beside it."""
    folder, path = tmp_path / "model", str(tmp_path / "tuned.safetensors")
    blocks = {"down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"]}
    config = {
        "_class_name": "UNet2DModel",
        "sample_size": 8,
        "block_out_channels": [32, 64],
        "layers_per_block": 1,
        **blocks,
    }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    made = unets.diffusers(**config)
    torch.save(made.unet.state_dict(), folder / "diffusion_pytorch_model.bin")

    network = checkpoints.load("purity.unets:diffusers", {}, str(folder))
    checkpoints.save(network, path, checkpoints.all_options({}, str(folder)))
    again = checkpoints.load("purity.unets:diffusers", {}, path)
    x, index = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([5])
    assert torch.equal(again(x, index), network(x, index))
    with pytest.raises(ValueError, match="does not fit"):
        checkpoints.load("purity.unets:diffusers", {"layers_per_block": 2}, path)  # what is set counts
