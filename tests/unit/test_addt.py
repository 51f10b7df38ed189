"""ADDT: the rank mapping, the perturbation that a classifier guides, and training with it."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from purity import addt
from purity.diffusion import schedules
from purity.training import Snapshots

ABAR = schedules.linear().abar[1:]


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def normal(*shape, generator, dtype=torch.float64):
    return torch.randn(*shape, generator=generator, dtype=dtype)


def ranks(a):
    return a.flatten(2).argsort(dim=2).argsort(dim=2)


def test_the_rank_mapping_is_that_of_the_reference_arrays():
    given = np.load(Path(__file__).parents[1] / "data/rbgm.npz")
    g, z, out = (torch.from_numpy(given[name]) for name in ("G", "z", "out"))
    assert torch.equal(addt.rbgm(g, z), out)


def test_rows_of_the_mapping_are_permutations_of_the_noise_with_the_ranks_of_the_input(generator):
    g, z = normal(3, 2, 5, 7, generator=generator), normal(3, 2, 5, 7, generator=generator)
    out = addt.rbgm(g, z)
    assert torch.equal(out.flatten(2).sort(dim=2).values, z.flatten(2).sort(dim=2).values)
    assert torch.equal(ranks(out), ranks(g))
    # only ranks count
    assert torch.equal(addt.rbgm(g.exp() - 100, z), out)


def test_where_the_input_says_nothing_the_noise_stays_as_it_was_drawn(generator):
    z = normal(2, 3, 4, 4, generator=generator)
    assert torch.equal(addt.rbgm(torch.zeros_like(z), z), z)
    half = torch.zeros(1, 1, 1, 6, dtype=torch.float64)
    half[..., 3:] = 1
    out = addt.rbgm(half, z.flatten()[:6].view_as(half)).flatten()
    assert out[:3].max() < out[3:].min()
    drawn = z.flatten()[:6]
    assert torch.equal(out[:3].argsort(), drawn[:3].argsort()) and torch.equal(out[3:].argsort(), drawn[3:].argsort())


def test_no_order_of_the_noise_follows_the_slope_better(generator):
    """Rearrangement: ⟨g, δ⟩ is largest when both are in the same order."""
    g, z = normal(1, 1, 2, 3, generator=generator), normal(1, 1, 2, 3, generator=generator)
    best = (g * addt.rbgm(g, z)).sum()
    for _ in range(200):
        other = z.flatten()[torch.randperm(6, generator=generator)].view_as(z)
        assert (g * other).sum() <= best + 1e-12


def test_modulation_is_that_of_the_authors_code():
    """λ_t = clip(0.03 γ_t, 0, 0.3): cut up to index 26, .088 at 100, .009 at 500."""
    lam = addt.modulation(ABAR, 0.03, 0.3)
    assert (lam == 0.3).nonzero().max() == 26
    assert lam[100] == pytest.approx(0.088, abs=5e-4) and lam[500] == pytest.approx(0.009, abs=5e-4)


def test_a_mixture_keeps_the_variance_of_its_parts(generator):
    eps, delta = normal(1, 1, 300, 300, generator=generator), normal(1, 1, 300, 300, generator=generator)
    mixed = addt.Ranked(lambda_unit=0.1, lambda_max=0.9).mix(eps, delta, ABAR[50])
    # the variance of n normals is within 1 ± 5 √(2/n)
    assert abs(mixed.var() - 1) < 5 * math.sqrt(2 / mixed.numel())
    assert torch.equal(addt.Ranked(lambda_unit=0.0).mix(eps, delta, ABAR[50]), eps)


def test_a_bounded_perturbation_is_one_of_the_image(generator):
    """x_t of x₀ under ε + γ δ is x_t of x₀ + δ under ε, where γ is not cut."""
    x0, delta, eps = (normal(1, 3, 4, 4, generator=generator) for _ in range(3))
    mixed = addt.Bounded().mix(eps, delta, ABAR[100])
    assert torch.allclose(addt.noisy(x0, mixed, ABAR[100]), addt.noisy(x0 + delta, eps, ABAR[100]), atol=1e-12)


class Predictor(nn.Module):
    """A noise predictor that is no constant anywhere, small enough for finite differences."""

    def __init__(self, channels=1):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.time = nn.Embedding(schedules.T, channels)

    def forward(self, x, index):
        return torch.tanh(self.conv(x)) + 0.1 * self.time(index)[:, :, None, None]


@pytest.fixture
def problem(generator):
    """A predictor, a classifier, a point and draws, in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = Predictor().double()
        classify = nn.Sequential(nn.Flatten(), nn.Linear(16, 5)).double()
    index = torch.tensor([3, 100, 700])
    at = addt.Point(normal(3, 1, 4, 4, generator=generator).clamp(-1, 1), index, ABAR[index][:, None, None, None])
    return network, classify, at, torch.tensor([0, 4, 2]), lambda: normal(3, 1, 4, 4, generator=generator)


@pytest.mark.parametrize("kind", [addt.Ranked(), addt.Bounded()], ids=["ranked", "bounded"])
@pytest.mark.parametrize("objective", addt.OBJECTIVES)
def test_the_slope_is_that_of_finite_differences(problem, kind, objective):
    network, classify, at, y, draw = problem
    raised = addt.OBJECTIVES[objective](classify, y)
    eps, delta, along = draw(), 0.1 * draw(), draw()
    up = addt.slope(network, at, kind.mix, eps, delta, raised)

    def value(d):
        x_t = addt.noisy(at.x0, kind.mix(eps, d, at.abar), at.abar)
        predicted = network(x_t, at.index)
        estimate = (x_t - (1 - at.abar).sqrt() * predicted) / at.abar.sqrt()
        return raised(estimate, predicted, eps).item()

    h = 1e-5  # error of the difference h², of its rounding 1e-16/h
    assert (value(delta + h * along) - value(delta - h * along)) / (2 * h) == pytest.approx(
        (up * along).sum().item(), rel=1e-5, abs=1e-8
    )


def test_what_the_classifier_ignores_has_no_slope(problem):
    network, classify, at, y, draw = problem
    seen = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    seen[..., :2] = 1
    half = addt.by_classifier(lambda x: classify(x * seen), y)
    # a predictor that does not look around leaves each pixel to itself
    up = addt.slope(lambda x, index: 0.5 * x, at, addt.Ranked().mix, draw(), draw(), half)
    assert (up[..., 2:] == 0).all() and (up[..., :2] != 0).all()
    blind = addt.by_classifier(lambda x: 0 * classify(x), y)
    assert (addt.slope(network, at, addt.Ranked().mix, draw(), draw(), blind) == 0).all()


def test_rows_are_perturbed_independently(problem):
    network, classify, at, y, draw = problem
    drawn = [draw() for _ in range(20)]

    def found(rows):
        some = iter(drawn)
        point = addt.Point(at.x0[rows], at.index[rows], at.abar[rows])
        return addt.Ranked().find(network, point, addt.by_classifier(classify, y[rows]), lambda: next(some)[rows])

    together = found(torch.arange(3))
    assert torch.equal(torch.cat([found(torch.tensor([i])) for i in range(3)]), together)


@pytest.mark.parametrize(
    "kind", [addt.Ranked(lambda_unit=0.3, lambda_max=0.9), addt.Bounded()], ids=["ranked", "bounded"]
)
def test_a_perturbation_misleads_the_classifier(problem, kind):
    """More than the same pixels in any other order do, on average over the noise."""
    network, classify, at, y, draw = problem
    raised = addt.by_classifier(classify, y)
    found = kind.find(network, at, raised, draw)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(2))
    shuffled = found.flatten(2)[..., order].view_as(found)

    def value(d, eps):
        x_t = addt.noisy(at.x0, kind.mix(eps, d, at.abar), at.abar)
        predicted = network(x_t, at.index)
        return raised((x_t - (1 - at.abar).sqrt() * predicted) / at.abar.sqrt(), predicted, eps).item()

    gains = [value(found, eps) - value(shuffled, eps) for eps in (draw() for _ in range(300))]
    assert np.mean(gains) > 3 * np.std(gains) / math.sqrt(300)


def test_a_bounded_perturbation_stays_in_its_ball_and_in_the_range_of_images(problem):
    network, classify, at, y, draw = problem
    kind = addt.Bounded(epsilon=0.05, step=0.04, iterations=3)
    delta = kind.find(network, at, addt.by_classifier(classify, y), draw)
    assert delta.abs().max() <= 0.1 + 1e-12 and (at.x0 + delta).abs().max() <= 1
    assert delta.abs().max() > 0.09


IMAGES = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(3))
LABELS = torch.arange(12) % 5
SETTING = {"batch": 4, "rate": 1e-2, "decay": 0.99, "seed": 7}


def network_and_classifier():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Predictor(), nn.Sequential(nn.Flatten(), nn.Linear(16, 5)).requires_grad_(False)


def fine_tune(network, classify, x=IMAGES, y=LABELS, progress=iter, max_batch=None, snapshots=None, **setting):
    """addt.fine_tune with SETTING and what differs from it."""
    setting = addt.FineTuning(**SETTING | setting)
    return addt.fine_tune(network, classify, x, y, setting, progress, max_batch=max_batch, snapshots=snapshots)


def weights(network):
    return torch.cat([p.flatten() for p in network.state_dict().values()])


def test_without_modulation_it_is_plain_training_of_a_diffusion_model():
    """λ = 0: the loss of every step is Ho et al.'s on the noise that was drawn."""
    network, classify = network_and_classifier()
    plain = copy.deepcopy(network)
    losses = fine_tune(network, classify, steps=6, options={"lambda_unit": 0.0})

    generator = torch.Generator().manual_seed(SETTING["seed"])
    optimiser = torch.optim.AdamW(plain.parameters(), lr=SETTING["rate"], betas=(0.95, 0.999), weight_decay=1e-6)
    expected = []
    for _ in range(6):
        x0 = 2 * IMAGES[torch.randint(12, (4,), generator=generator)] - 1
        index = torch.randint(schedules.T, (4,), generator=generator)
        for _ in range(11):  # the perturbation's own
            torch.randn(x0.shape, generator=generator)
        eps = torch.randn(x0.shape, generator=generator)
        a = ABAR[index].float()[:, None, None, None]
        loss = (plain(a.sqrt() * x0 + (1 - a).sqrt() * eps, index) - eps).square().mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimiser.step()
        expected.append(loss.item())
    assert losses == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("objective", addt.OBJECTIVES)
@pytest.mark.parametrize("perturbation", addt.PERTURBATIONS)
def test_a_step_finds_a_perturbation_and_trains_on_the_noise_that_holds_it(perturbation, objective):
    """δ first, of draws of its own; then ε_θ is to predict ε′ of a new ε."""
    network, classify = network_and_classifier()
    start = copy.deepcopy(network)
    losses = fine_tune(network, classify, steps=1, perturbation=perturbation, objective=objective)

    generator, kind = torch.Generator().manual_seed(SETTING["seed"]), addt.PERTURBATIONS[perturbation]()
    rows = torch.randint(12, (4,), generator=generator)
    index = torch.randint(schedules.T, (4,), generator=generator)
    draw = lambda: torch.randn(4, 1, 4, 4, generator=generator)  # noqa: E731
    at = addt.Point(2 * IMAGES[rows] - 1, index, ABAR[index].float()[:, None, None, None])
    delta = kind.find(start, at, addt.OBJECTIVES[objective](classify, LABELS[rows]), draw)
    assert delta.abs().max() > 0
    mixed = kind.mix(draw(), delta, at.abar)
    with torch.no_grad():
        predicted = start(at.abar.sqrt() * at.x0 + (1 - at.abar).sqrt() * mixed, index)
    assert losses == pytest.approx([(predicted - mixed).square().mean().item()], rel=1e-6)


def test_the_network_ends_with_the_moving_average_of_its_weights():
    """average ← average + (1 − d)(weights − average), d = min(decay, 1 − (1+i)^(−3/4)), from the first weights on."""
    network, classify = network_and_classifier()
    path = [weights(network).clone()]

    def watched(steps):
        for i in steps:
            yield i
            path.append(weights(network).clone())

    fine_tune(network, classify, progress=watched, steps=8, decay=0.6)
    average = path[0]
    for i, reached in enumerate(path[1:]):
        average = average + (1 - min(0.6, 1 - (1 + i) ** -0.75)) * (reached - average)
    torch.testing.assert_close(
        weights(network), average, atol=1e-6, rtol=0
    )  # float32, eight updates of numbers below 1
    assert (weights(network) - path[-1]).abs().max() > 1e-4  # and not with the last ones


@pytest.mark.parametrize("perturbation", addt.PERTURBATIONS)
def test_training_goes_on_from_a_snapshot_as_if_it_had_not_stopped(perturbation):
    network, classify = network_and_classifier()
    start, saved = copy.deepcopy(network), []
    setting = {"steps": 9, "perturbation": perturbation}
    snapshots = Snapshots(lambda state: saved.append(copy.deepcopy(state)), every=4)
    losses = fine_tune(network, classify, snapshots=snapshots, **setting)
    assert [len(state["losses"]) for state in saved] == [4, 8]
    for state in saved:
        again = copy.deepcopy(start)
        assert fine_tune(again, classify, snapshots=Snapshots(state=state), **setting) == losses
        assert torch.equal(weights(again), weights(network))


def test_training_changes_the_network_leaves_the_classifier_and_follows_its_seed():
    network, classify = network_and_classifier()
    before, judged = weights(network).clone(), weights(classify).clone()
    other, same = copy.deepcopy(network), copy.deepcopy(network)
    fine_tune(network, classify, steps=3)
    fine_tune(same, classify, steps=3)
    fine_tune(other, classify, steps=3, seed=8)
    assert not torch.equal(weights(network), before) and torch.equal(weights(classify), judged)
    assert torch.equal(weights(network), weights(same)) and not torch.equal(weights(network), weights(other))
    assert not network.training and not any(p.requires_grad for p in network.parameters())


def test_a_network_with_a_learned_variance_is_trained_on_its_noise_only():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.eps, self.v = Predictor(), Predictor()

        def forward(self, x, index):
            return torch.cat([self.eps(x, index), self.v(x, index)], dim=1)

    _, classify = network_and_classifier()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = Two()
    before = weights(network.eps).clone(), weights(network.v).clone()
    fine_tune(network, classify, steps=2)
    assert not torch.equal(weights(network.eps), before[0])
    assert torch.allclose(weights(network.v), before[1], rtol=1e-6)


@pytest.mark.parametrize("perturbation", ["ranked", "bounded"])
def test_how_many_images_the_network_sees_together_changes_rounding_only(perturbation):
    """float64: ranks are of numbers that differ by far more than the rounding of sums."""
    made = []
    for max_batch in (None, 3, 1):
        network, classify = network_and_classifier()
        network, classify = network.double(), classify.double()
        setting = {"steps": 5, "perturbation": perturbation, "flip": True}
        losses = fine_tune(network, classify, IMAGES.double(), max_batch=max_batch, **setting)
        made.append((losses, weights(network)))
    for losses, found in made[1:]:
        assert losses == pytest.approx(made[0][0], rel=1e-12)
        torch.testing.assert_close(found, made[0][1], atol=1e-9, rtol=0)


def test_flipping_takes_half_of_the_images_left_to_right():
    seen = []

    class Noting(Predictor):
        def forward(self, x, index):
            seen.append(x.detach())
            return super().forward(x, index)

    image = torch.zeros(1, 1, 4, 4)
    image[..., 0] = 1.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = Noting()
    _, classify = network_and_classifier()
    setting = {"batch": 400, "steps": 1, "flip": True, "options": {"lambda_unit": 0.0, "iterations": 0}}
    fine_tune(network, classify, image, LABELS[:1], **setting)
    seen = torch.cat(seen[1:])  # the first is one image, to see how many fit the memory
    bright_left = (seen[..., 0].mean((1, 2)) > seen[..., 3].mean((1, 2))).double().mean()
    assert 0.4 < bright_left < 0.6  # a coin's 400 throws leave [.4, .6] once in 10⁴; late t hide the image, evenly
