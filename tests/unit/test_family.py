"""The papers' purifiers are members of the family, what lies between them lies between, and its parts do what they say."""

from itertools import pairwise

import pytest
import torch

from purity import family, purifiers
from purity.defence import Defence
from purity.diffusion import schedules
from purity.noise import ATTACKER, Noise

XI = Noise(1, torch.arange(6) + 20)
CHAIN = {"t": 50, "steps": 4}


@pytest.fixture(scope="module")
def x(images):
    return 0.2 + 0.6 * images[:6].double()


@pytest.mark.parametrize("sigma", ["small", "large"])
@pytest.mark.parametrize("clip", [True, False])
def test_ddpm_and_reverse_are_members(unet64, x, sigma, clip):
    """The same numbers in the same order: bit for bit."""
    given = CHAIN | {"sigma": sigma, "clip": clip}
    full = family.member(unet64, sampler="ancestral", forward=1, **given)
    none = family.member(unet64, sampler="ancestral", forward=0, **given)
    assert torch.allclose(full(x, XI), purifiers.ddpm(unet64, forward="one-step", **given)(x, XI), atol=1e-12)
    assert torch.equal(none(x, XI), purifiers.reverse(unet64, **given)(x, XI))


@pytest.mark.parametrize("clip", [True, False])
def test_ddim_and_one_step_are_members(unet64, x, clip):
    ddim = family.member(unet64, sampler="implicit", eta=0, clip=clip, **CHAIN)
    one = family.member(unet64, sampler="one-step", t=50, clip=clip)
    assert torch.allclose(
        ddim(x, XI), purifiers.ddim(unet64, forward="one-step", clip=clip, **CHAIN)(x, XI), atol=1e-12
    )
    assert torch.allclose(one(x, XI), purifiers.one_step(unet64, t=50, clip=clip)(x, XI), atol=1e-12)


def test_with_eta_one_ddim_is_the_ancestral_chain_of_small_sigma(unet64, x):
    """Song et al. 2021, §4.1. Two formulas for the same numbers: float64 leaves some 10⁻¹⁵ of each step."""
    implicit = family.member(unet64, sampler="implicit", eta=1, clip=False, **CHAIN)
    ancestral = family.member(unet64, sampler="ancestral", sigma="small", clip=False, **CHAIN)
    assert torch.allclose(implicit(x, XI), ancestral(x, XI), atol=1e-12)


def test_without_noise_all_draws_are_one(unet64, x):
    silent = family.member(unet64, sampler="ancestral", scale=0, forward=0, **CHAIN)
    assert torch.equal(silent(x, XI), silent(x, XI.at(5)))
    loud = family.member(unet64, sampler="ancestral", scale=0.5, forward=0, **CHAIN)
    assert not torch.equal(loud(x, XI), loud(x, XI.at(5)))


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_forward_noise_keeps_unit_variance_and_has_its_part_of_it(level):
    """Of x₀ ~ N(0, 1): x_n has variance 1, and correlation √(1−w) with x₀. 200,000 pixels: 4/√N ≈ .009."""
    s = schedules.strength(schedules.linear(), 300)
    xi = Noise(0, torch.arange(50))
    x = torch.randn(50, 1, 40, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ((_, noisy),) = family.partly(x, s, xi, level=level)
    w = level * (1 - s.abar[300])
    assert abs(noisy.var() - 1) < 4 * (2 / x.numel()) ** 0.5
    assert abs((noisy * x).mean() - (1 - w).sqrt()) < 4 / x.numel() ** 0.5


@pytest.mark.parametrize("t, steps", [(100, 10), (100, 100), (30, 1), (7, 3), (20, 19)])
@pytest.mark.parametrize("power", [0.5, 1, 2, 5])
def test_spacing_keeps_both_ends_and_never_stands_still(t, steps, power):
    s = family.spaced(schedules.linear(), t, steps, power)
    visited = [i + 1 for i in s.index[1:]]
    assert len(visited) == steps and visited[-1] == t and visited[0] == (t if steps == 1 else 1)
    assert all(a < b for a, b in pairwise(visited))
    assert torch.allclose(s.abar[-1], schedules.linear().abar[t])
    if power == 1:
        assert s.index == schedules.strength(schedules.linear(), t, steps).index


def test_more_power_goes_nearer_to_the_image():
    even, late = (family.spaced(schedules.linear(), 100, 10, power) for power in (1, 2))
    assert sum(late.index) < sum(even.index)


def test_a_mean_is_the_mean_of_purifications_under_parts_of_one_xi(unet64, x):
    one = family.member(unet64, sampler="ancestral", **CHAIN)
    three = family.member(unet64, sampler="ancestral", mean=3, **CHAIN)
    parts = [one(x, XI.later(i * 1000)) for i in range(3)]
    assert torch.allclose(three(x, XI), sum(parts) / 3, atol=1e-14)
    assert torch.equal(parts[0], one(x, XI)) and not torch.equal(parts[0], parts[1])


def test_rounds_purify_what_came_out_under_noise_of_their_own(unet64, x):
    once = family.member(unet64, sampler="ancestral", mean=2, **CHAIN)
    twice = family.member(unet64, sampler="ancestral", mean=2, rounds=2, **CHAIN)
    assert torch.equal(twice(x, XI), once(once(x, XI), XI.later(2000)))
    assert [time for time, _ in twice.states(x, XI)] == [0, 1, 2]


@pytest.mark.parametrize(
    "options",
    [
        {"sampler": "ancestral", "scale": 0.7, "forward": 0.5, "spacing": 2.0, "sigma": "large", **CHAIN},
        {"sampler": "implicit", "eta": 0.5, "mean": 2, **CHAIN},
        {"sampler": "one-step", "t": 80, "rounds": 2},
    ],
    ids=lambda options: options["sampler"],
)
def test_rows_are_their_own_and_gradients_are_those_of_keeping_everything(unet64, x, options):
    kept, again = (family.member(unet64, recompute=recompute, **options) for recompute in (False, True))
    assert torch.allclose(again(x, XI)[2:3], again(x[2:3], XI.rows(torch.tensor([2]))), atol=1e-10)
    gradients = []
    for purify in (kept, again):
        z = x.clone().requires_grad_()
        gradients.append(torch.autograd.grad((purify(z, XI) ** 2).sum(), z)[0])
    assert torch.allclose(*gradients, atol=1e-10)


# A vote.

ANCESTRAL = {"sampler": "ancestral", "forward": 0.5, **CHAIN}


def vote_of(unet64, cnn64, k, knowledge="all", **given):
    purify, decide = family.defended(unet64, cnn64, vote=k, **ANCESTRAL, **given)
    return Defence(decide, purify, XI, knowledge)


def test_a_vote_is_the_mean_of_probabilities_of_purifications_under_parts_of_one_xi(unet64, cnn64, x):
    one = family.member(unet64, mean=2, rounds=2, **ANCESTRAL)
    parts = torch.stack([cnn64(one(x, XI.later(i * 4000))).softmax(1) for i in range(3)])
    voted = vote_of(unet64, cnn64, 3, mean=2, rounds=2)(x)
    assert torch.allclose(voted.exp(), parts.mean(0), atol=1e-12)
    assert torch.allclose(voted.exp().sum(1), torch.ones(len(x)).double())
    assert family.defended(unet64, cnn64, vote=1, **ANCESTRAL)[1] is cnn64


def test_one_of_k_purifications_moves_no_probability_by_more_than_its_part(cnn64, x):
    """However sure the classifier is of it: a mean of logits would follow it anywhere."""
    sure = lambda z: 1e4 * cnn64(z)  # noqa: E731
    four = x[None, :4].repeat(2, 1, 1, 1, 1)  # (2, 4, C, H, W)
    other = four.clone()
    other[:, 0] = 1 - other[:, 0]
    before, after = (family.voted(sure)(images).exp() for images in (four, other))
    assert 0 < (before - after).abs().max() <= 0.25 + 1e-12


@pytest.mark.parametrize("knowledge", ["all", "none"])
def test_the_gradient_of_a_vote_is_that_of_its_formula(unet64, cnn64, x, knowledge):
    """Through every purification under the draw that the attacker sees, recomputed or kept; and by differences."""
    y, k = torch.arange(6), 3
    defence = vote_of(unet64, cnn64, 2, knowledge)
    draw = 0 if knowledge == "all" else ATTACKER + k
    one, z = family.member(unet64, recompute=False, **ANCESTRAL), x.clone().requires_grad_()
    mean = sum(cnn64(one(z, XI.at(draw).later(i * 1000))).softmax(1) for i in range(2)) / 2
    (wanted,) = torch.autograd.grad(-mean[torch.arange(6), y].log().sum(), z)
    found = defence.gradient(x, y, k)
    assert torch.allclose(found, wanted, rtol=1e-8, atol=1e-10) and found.flatten(1).any(1).all()
    v = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(0))
    ends = [torch.nn.functional.cross_entropy(defence(x + h * v, k), y, reduction="sum") for h in (1e-5, -1e-5)]
    assert float((found * v).sum()) == pytest.approx(float(ends[0] - ends[1]) / 2e-5, rel=1e-4)


def test_bpda_through_a_vote_takes_each_purification_for_the_image(unet64, cnn64, x):
    defence, y = vote_of(unet64, cnn64, 2), torch.arange(6)
    with torch.no_grad():
        purified = defence.purify(x, XI.at(0))
    z = x.clone().requires_grad_()
    logits = defence.classify(purified + (z - z.detach())[:, None])
    (wanted,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, y, reduction="sum"), z)
    assert torch.allclose(defence.straight_through().gradient(x, y), wanted, atol=1e-12)


def test_an_image_has_its_vote_at_any_batch(unet64, cnn64, x):
    defence = vote_of(unet64, cnn64, 3, "none")
    rows = torch.tensor([4, 1])
    assert torch.allclose(defence.rows(rows)(x[rows], 5), defence(x, 5)[rows], atol=1e-10)


def test_a_vote_of_nobody_is_refused(unet64, cnn64):
    with pytest.raises(ValueError, match="a vote of 0 purifications"):
        family.defended(unet64, cnn64, vote=0, **ANCESTRAL)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"sampler": "euler", "t": 5}, "sampler euler is none of"),
        ({"sampler": "one-step", "t": 5, "forward": 1.5}, r"forward in \[0, 1\]"),
        ({"sampler": "implicit", "t": 5, "steps": 6}, "steps = 6 is outside"),
        ({"sampler": "ancestral", "t": 5, "steps": 2, "mean": 0}, "mean and rounds from 1 on"),
    ],
)
def test_what_is_no_member_is_refused(unet64, options, said):
    with pytest.raises(ValueError, match=said):
        family.member(unet64, **options)
