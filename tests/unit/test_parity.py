"""The project against numbers of the reference implementations (tests/data/parity/README.md).

Independent recomputations agree to 2e-6 with these float32 arrays; 1e-5 leaves room for another machine's kernels and
is 50 times below the smallest distance between two variants (5e-4, the two DDIM conventions).
"""

from collections import deque
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from purity import attacks, purifiers, unets
from purity.defence import Defence
from purity.diffusion import samplers
from purity.diffusion.denoiser import denoiser
from purity.diffusion.schedules import linear, strength
from purity.noise import Noise

DATA = Path(__file__).parents[1] / "data" / "parity"
TOLERANCE = 1e-5


def arrays(name: str) -> dict[str, Tensor]:
    with np.load(DATA / f"{name}.npz") as stored:
        return {key: torch.from_numpy(stored[key]) for key in stored.files}


def assert_equal(found: Tensor, reference: Tensor) -> None:
    torch.testing.assert_close(found, reference, atol=TOLERANCE, rtol=0)


def assert_gradient(found: Tensor, reference: Tensor) -> None:
    """Relative to the largest entry: rounding of a sum scales with its largest terms."""
    torch.testing.assert_close(found, reference, atol=TOLERANCE * reference.abs().max().item(), rtol=0)


def gradient(f, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """f(x) and d/dx Σ w·f(x)."""
    x = x.clone().requires_grad_()
    out = f(x)
    return out.detach(), torch.autograd.grad((w * out).sum(), x)[0]


@dataclass
class Given:
    """ξ as given arrays. z: by network index; index 0 is missing, whoever asks for it fails."""

    fwd: Tensor | None = None
    z: dict[int, Tensor] | None = None

    def forward(self, step: int, like: Tensor) -> Tensor:
        return self.fwd

    def reverse(self, step: int, like: Tensor) -> Tensor:
        return self.z[step]


def given(fwd: Tensor, z: Tensor, index: tuple[int, ...]) -> Given:
    """index: as in a schedule, index[t] is what the network is told at step t."""
    return Given(fwd, dict(zip(index[2:], z[1:], strict=True)))


# Networks, from checkpoints under the references' names.


def network(make, weights: str, **options):
    module = make(**options)
    module.load_state_dict(module.adapted(arrays(weights)))
    return module.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def pesser():
    return network(
        unets.pesser, "A_weights", resolution=16, ch=32, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(8,)
    )


@pytest.fixture(scope="module")
def guided():
    return network(
        unets.guided,
        "B_weights",
        image_size=64,  # the flag; the arrays are 16 × 16
        num_channels=32,
        channel_mult=(1, 2),
        num_res_blocks=1,
        attention_resolutions=(32,),
        num_head_channels=16,
    )


def test_pessers_network(pesser):
    a = arrays("A_io")
    out, grad = gradient(lambda x: pesser(x, a["t"]), a["x"], a["w"])
    assert_equal(out, a["eps"])
    assert_gradient(grad, a["grad"])


def test_guided_diffusions_network(guided):
    b = arrays("B_io")
    out, grad = gradient(lambda x: guided(x, b["t"]), b["x"], b["w6"])
    assert_equal(out, b["out"])
    assert_gradient(grad, b["grad"])


# Single steps: the first state of a chain that starts there.


def first(states) -> Tensor:
    return next(states)[1]


@pytest.mark.parametrize("sigma", ["large", "small"])
@pytest.mark.parametrize("at", ["step", "step0"])
def test_one_ancestral_step_is_pessers(pesser, at, sigma):
    a = arrays("A_io")
    for row, t in enumerate(a[f"{at}_t"].tolist()):
        x, noise = a["x"][row : row + 1], a[f"{at}_noise"][row : row + 1]
        s = strength(linear(), t + 1)
        denoise = denoiser(pesser, s, sigma, clip=True)
        assert_equal(denoise(x, t + 1).x0, a[f"{at}_pred_xstart"][row : row + 1])
        step = first(samplers.ddpm(denoise, x, s, Given(z={t: noise})))
        assert_equal(step, a[f"{at}_fixed{sigma}"][row : row + 1])


@pytest.mark.parametrize("clip", [True, False], ids=["clip", "noclip"])
@pytest.mark.parametrize("t", [149, 30, 1, 0])
def test_one_step_with_learned_sigma_is_guided_diffusions(guided, t, clip):
    b, suffix = arrays("B_io"), f"{t}_clip" if clip else f"{t}_noclip"
    denoise = denoiser(guided, strength(linear(), 150), "learned", clip)
    estimate = denoise(b["x"], t + 1)
    assert_equal(estimate.x0, b[f"pred_xstart_{suffix}"])
    assert_equal(2 * estimate.sigma.log(), b[f"log_variance_{t}"])

    s = strength(linear(), t + 1)
    silent, noisy = Given(z={t: torch.zeros(())}), Given(z={t: b[f"noise_{t}"]})
    assert_equal(first(samplers.ddpm(denoise, b["x"], s, silent)), b[f"mean_{suffix}"])
    out, grad = gradient(lambda x: first(samplers.ddpm(denoise, x, s, noisy)), b["x"], b["w3"])
    assert_equal(out, b[f"sample_{suffix}"])
    assert_gradient(grad, b[f"grad_sample_{suffix}"])
    if t != 1:  # the reference takes 1−ᾱ in float32 there, 1e-4 off
        out, grad = gradient(lambda x: first(samplers.ddim(denoise, x, s, Given())), b["x"], b["w3"])
        assert_equal(out, b[f"ddim_{suffix}"])
        assert_gradient(grad, b[f"grad_ddim_{suffix}"])


# Whole purifications.


def presets() -> dict:
    """Purifier makers by the name of their output in C_io: network → purifier."""
    made = {}
    for clip, cut in ((True, "clip"), (False, "noclip")):
        for sigma in ("large", "small"):
            options = {"sigma": sigma, "clip": clip}
            made[f"ddpm_{sigma}_{cut}"] = partial(purifiers.ddpm, t=10, steps=10, forward="one-step", **options)
            made[f"resp_ddpm_{sigma}_{cut}"] = partial(purifiers.ddpm, t=100, steps=10, forward="one-step", **options)
            made[f"reverse_{sigma}_{cut}"] = partial(purifiers.reverse, t=10, steps=10, **options)
        made[f"onestep_{cut}"] = partial(purifiers.one_step, t=10, clip=clip)
    ddim = partial(purifiers.ddim, steps=10, forward="one-step")
    made["ddim_noclip"] = partial(ddim, t=10, clip=False)
    made["resp_ddim_noclip"] = partial(ddim, t=100, clip=False)
    made["ddim_clip_rederived"] = partial(ddim, t=10, clip=True, clipped_epsilon="derived")
    made["ddim_clip_kept"] = partial(ddim, t=10, clip=True, clipped_epsilon="kept")
    return made


PRESETS = presets()


def uncut(purifier: purifiers.Diffusion, x: Tensor, xi: Given) -> Tensor:
    """The purified image before it is cut to [0, 1], as the references return it."""
    s, z = purifier.schedule, 2 * x - 1
    for process in (purifier.forward, purifier.reverse):
        ((_, z),) = deque(process(z, s, xi), maxlen=1)
    return (z + 1) / 2


def noise_of(c: dict[str, Tensor], purifier: purifiers.Diffusion, name: str) -> Given:
    prefix = "resp_" if name.startswith("resp_") else ""
    return given(c[f"{prefix}fwd"], c[f"{prefix}z"], purifier.schedule.index)


@pytest.mark.parametrize("name", PRESETS)
def test_purification_is_the_references(pesser, name):
    c = arrays("C_io")
    purifier = PRESETS[name](pesser)
    xi = noise_of(c, purifier, name)
    out, grad = gradient(lambda x: uncut(purifier, x, xi), c["x"], c["w"])
    assert_equal(out, c[name])
    if name != "ddim_clip_kept":  # there clipped pixels come back to ±1 but for rounding, and the mask hangs on it
        assert_gradient(grad, c[f"grad_{name}"])
    with torch.no_grad():
        assert_equal(purifier(c["x"], xi), c[name].clamp(0, 1))


def test_every_state_on_the_way_is_the_references(pesser):
    c = arrays("C_io")
    purifier = PRESETS["ddpm_large_clip"](pesser)
    _, *states = purifier.states(c["x"], noise_of(c, purifier, "ddpm_large_clip"))
    # The forward jump is the first state, then evaluations 9 … 0.
    assert len(states) == 11
    for (_, found), reference in zip(states, c["traj_ddpm_large_clip"].flip(0), strict=True):
        assert_equal(2 * found - 1, reference)


@pytest.mark.parametrize("name", ["clip", "noclip"])
def test_purification_with_learned_sigma_is_guided_diffusions(guided, name):
    b = arrays("B_io")
    make = partial(purifiers.ddpm, t=4, steps=4, sigma="learned", forward="one-step")
    purifier = make(guided, clip=name == "clip")
    xi = given(b["chain_fwd"], b["chain_z"], purifier.schedule.index)
    out, grad = gradient(lambda x: uncut(purifier, x, xi), b["chain_x01"], b["w3"])
    assert_equal(out, b[f"chain_{name}"])
    assert_gradient(grad, b[f"grad_chain_{name}"])


# Attacks.


@pytest.fixture(scope="module")
def toy():
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.GroupNorm(2, 8),
        nn.SiLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
    layers.load_state_dict(arrays("F_weights"))
    return layers.requires_grad_(False)


def attacked(toy, f, norm: str, **options) -> tuple[Tensor, list[Tensor]]:
    """Where PGD ends, and every state at which it asked for a gradient."""
    seen = []

    def classify(x):
        seen.append(x.detach().clone())
        return toy(x)

    xi = Noise(0, torch.arange(len(f["x"])))
    end = attacks.pgd(Defence(classify, purifiers.identity(), xi), f["x"], f["y"], xi, norm=norm, **options)
    return end, seen


def loss(toy, x: Tensor, y: Tensor) -> float:
    return F.cross_entropy(toy(x), y, reduction="sum").item()


def test_linf_pgd_is_foolboxs(toy, given_start):
    f = arrays("F_io")
    norm = given_start("linf", f["linf_start"], f["x"])
    end, seen = attacked(toy, f, norm, epsilon=8 / 255, steps=40, relative_step=0.01 / 0.3)
    assert_equal(end, f["linf_end"])
    for step, reference in zip((0, 1, 5, 20), f["linf_states"], strict=True):
        assert_equal(seen[step], reference)
    found = torch.tensor([loss(toy, x, f["y"]) for x in [*seen, end]], dtype=torch.float64)
    assert_equal(found, f["linf_losses"])
    assert torch.equal(toy(end).argmax(1) != f["y"], f["linf_success"])


def test_l2_pgd_is_foolboxs(toy, given_start):
    f = arrays("F_io")
    norm = given_start("l2", f["l2_start"], f["x"])
    end, seen = attacked(toy, f, norm, epsilon=0.5, steps=20, relative_step=0.2)
    assert_equal(end, f["l2_end"])
    found = torch.tensor([loss(toy, x, f["y"]) for x in [*seen, end]], dtype=torch.float64)
    assert_equal(found, f["l2_losses"])


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_gradient_of_the_undefended_classifier_is_the_references(toy, norm):
    f = arrays("F_io")
    defence = Defence(toy, purifiers.identity(), Noise(0, torch.arange(4)))
    assert_gradient(defence.gradient(f[f"{norm}_start"], f["y"]), f[f"{norm}_grad0"])


def test_bpda_gradient_is_advertorchs(toy):
    def quantise(x, xi):
        return 0.9 * torch.round(31 * x) / 31 + 0.05

    f = arrays("F_io")
    defence = Defence(toy, quantise, Noise(0, torch.arange(4)))
    assert_equal(defence(f["x"]), f["bpda_logits"])
    assert_gradient(defence.straight_through().gradient(f["x"], f["y"]), f["bpda_grad"])
    assert not defence.gradient(f["x"], f["y"]).any()  # the true gradient of a quantiser is 0


@dataclass
class Fixed(Given):
    """Given arrays whatever the draw."""

    def at(self, *draws) -> "Fixed":
        return self


def test_gradients_through_a_purification_are_the_references(toy, pesser):
    f, c = arrays("F_io"), arrays("C_io")
    purifier = PRESETS["ddpm_large_noclip"](pesser)
    xi = noise_of(c, purifier, "ddpm_large_noclip")
    defence = Defence(toy, partial(uncut, purifier), Fixed(xi.fwd, xi.z))
    assert_equal(defence(c["x"]), f["chain_logits"])
    assert_gradient(defence.gradient(c["x"], f["chain_y"]), f["chain_full_grad"])
    assert_gradient(defence.straight_through().gradient(c["x"], f["chain_y"]), f["chain_bpda_grad"])
