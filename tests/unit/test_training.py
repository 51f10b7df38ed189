"""Training by its promises: the seed is all the randomness there is, losses fall, ε of Gaussian data is found."""

import pytest
import torch
from torch import nn

from purity.diffusion import schedules
from purity.run import checkpoints
from purity.training import Snapshots, train_classifier, train_diffusion

CLASSIFIER = {"epochs": 4, "batch": 25, "rate": 1e-2}
DIFFUSION = {"steps": 6, "batch": 8, "rate": 1e-3, "decay": 0.99}


@pytest.fixture(scope="module")
def labels(images):
    """Whether the left half is the brighter one: easy to learn."""
    return (images[..., :4].mean((1, 2, 3)) > images[..., 4:].mean((1, 2, 3))).long()


def fresh(seed=0):
    """The two networks of the project, as their stages start with them."""
    return (
        checkpoints.untrained("purity.networks:cnn", {"classes": 2, "width": 8, "features": 8}, seed),
        checkpoints.untrained("purity.networks:unet", {"width": 8, "embedding": 16}, seed),
    )


def trained(images, labels, seed):
    """Losses and weights of both trainings, as one list of tensors."""
    cnn, unet = fresh()
    losses = train_classifier(cnn, images, labels, **CLASSIFIER, seed=seed)
    losses += train_diffusion(unet, images, **DIFFUSION, seed=seed)
    assert not cnn.training and not unet.training
    return [torch.tensor(losses), *cnn.state_dict().values(), *unet.state_dict().values()]


def test_a_seed_gives_the_same_weights_and_another_seed_others(images, labels):
    once, again, other = (trained(images, labels, seed) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(once, other, strict=True) if a.numel() > 1)


def test_training_neither_reads_nor_touches_the_global_generator(images, labels):
    state = torch.get_rng_state()
    once = trained(images, labels, 5)
    assert torch.equal(torch.get_rng_state(), state)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        again = trained(images, labels, 5)
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


@pytest.mark.parametrize("kind, every, stopped_after", [("classifier", 1, 2), ("diffusion", 2, 5)])
def test_stopped_training_goes_on_to_the_same_bits(images, labels, kind, every, stopped_after, tmp_path):
    """Killed between two snapshots, it goes on from the earlier one: losses and weights of an undisturbed run."""

    def train(network, progress=iter, snapshots=None):
        if kind == "classifier":
            return train_classifier(network, images, labels, progress, **CLASSIFIER, seed=5, snapshots=snapshots)
        return train_diffusion(network, images, progress, **DIFFUSION, seed=5, snapshots=snapshots)

    def killed(steps):
        for i, step in enumerate(steps):
            if i == stopped_after:
                raise InterruptedError
            yield step

    undisturbed, stopped, resumed = (fresh()[kind == "diffusion"] for _ in range(3))
    losses = train(undisturbed)
    with pytest.raises(InterruptedError):
        train(stopped, killed, Snapshots(*checkpoints.snapshots(tmp_path), every=every))
    left = []
    snapshots = Snapshots(*checkpoints.snapshots(tmp_path), every=every)
    assert train(resumed, lambda steps: left.extend(steps) or steps, snapshots) == losses
    assert left == list(range(stopped_after // every * every, len(losses)))
    assert all(torch.equal(a, resumed.state_dict()[k]) for k, a in undisturbed.state_dict().items())


def test_untrained_weights_follow_their_seed():
    once, again, other = ([*n[0].parameters(), *n[1].parameters()] for n in (fresh(1), fresh(1), fresh(2)))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(once, other, strict=True))


def test_the_classifier_learns_what_is_easy(images, labels):
    """One number tells the classes apart; chance is log 2 = .69 and half of the labels."""
    network = fresh()[0]
    losses = train_classifier(network, images, labels, epochs=30, batch=25, rate=1e-2, seed=0)
    assert len(losses) == 30 and losses[-1] < 0.3 < losses[0]
    assert (network(images).argmax(1) == labels).double().mean() > 0.9


def test_the_diffusion_loss_falls(images):
    """An untrained network says 0, so the loss starts at E ε² = 1."""
    losses = train_diffusion(fresh()[1], images, steps=150, batch=32, rate=4e-3, decay=0.99, seed=0)
    first, last = torch.tensor(losses[:10]).mean(), torch.tensor(losses[-30:]).mean()
    assert abs(first - 1) < 0.1 and last < 0.5


class Affine(nn.Module):
    """ε_θ(x, index) = a(t) x + b(t), a and b by a small network of t: it can say the truth about Gaussian data."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 32), nn.SiLU(), nn.Linear(32, 2))

    def forward(self, x, index):
        t = index.float()[:, None] / schedules.T
        a, b = self.net(torch.cat([t, t.sqrt()], dim=1)).T[:, :, None, None, None]
        return a * x + b


def test_training_on_gaussian_data_finds_the_known_epsilon():
    """ε(x_t) = √(1−ᾱ)(x_t − √ᾱ m)/(ᾱ v + 1 − ᾱ) for data N(m, v) in [-1, 1].

    Its mean square is (1−ᾱ)/v_t, about 1 over most of the chain. 1,500 steps of a small network come within 0.01 of
    it in the mean square, where the trained loss itself (what ε cannot be known) leaves more than 0.1.
    """
    generator = torch.Generator().manual_seed(0)
    m, v = 0.4, 0.25
    z = m + v**0.5 * torch.randn(2000, 1, 4, 4, generator=generator)
    network = checkpoints.untrained(f"{__name__}:Affine", {})
    losses = train_diffusion(network, (z + 1) / 2, steps=1500, batch=64, rate=1e-2, decay=0.99, seed=1)

    t = torch.randint(schedules.T, (2000,), generator=generator)
    abar = schedules.linear().abar[1:].float()[t][:, None, None, None]
    x = abar.sqrt() * z + (1 - abar).sqrt() * torch.randn(z.shape, generator=generator)
    truth = (1 - abar).sqrt() * (x - abar.sqrt() * m) / (abar * v + 1 - abar)
    with torch.no_grad():
        error = (network(x, t) - truth).square().mean().item()
    assert error < 0.01
    unknowable = (abar * v / (abar * v + 1 - abar)).mean().item()
    assert abs(torch.tensor(losses[-300:]).mean().item() - unknowable) < 0.05


def test_the_diffusion_network_ends_with_the_moving_average_of_its_weights(images):
    """average ← average + (1 − d)(weights − average), d = min(decay, (1+i)/(10+i)), from the first weights on."""
    network = checkpoints.untrained(f"{__name__}:Affine", {})
    path = []

    def watched(steps):
        for i in steps:
            path.append(nn.utils.parameters_to_vector(network.parameters()).detach().clone())
            yield i
        path.append(nn.utils.parameters_to_vector(network.parameters()).detach().clone())

    train_diffusion(network, images, watched, steps=12, batch=4, rate=1e-2, decay=0.3, seed=0)
    average = path[0]
    for i, weights in enumerate(path[1:]):
        average = average + (1 - min(0.3, (1 + i) / (10 + i))) * (weights - average)
    found = nn.utils.parameters_to_vector(network.parameters())
    torch.testing.assert_close(found, average, atol=1e-6, rtol=0)  # float32, twelve updates of numbers below 1
    assert (found - path[-1]).abs().max() > 1e-4  # and not with the last ones


def test_a_classifier_that_wraps_its_logits_is_trained_and_one_without_logits_is_refused(images, labels):
    class Wrapped(nn.Module):
        def __init__(self, wrap):
            super().__init__()
            self.network, self.wrap = fresh()[0], wrap

        def forward(self, x):
            return self.wrap(self.network(x))

    options = {"epochs": 1, "batch": 10, "rate": 1e-3, "seed": 0}
    losses = [
        train_classifier(Wrapped(wrap), images, labels, **options)
        for wrap in (lambda z: z, lambda z: {"logits": z}, lambda z: (z, None))
    ]
    assert losses[0] == losses[1] == losses[2]
    with pytest.raises(ValueError, match="'to be trained' returned shape"):
        train_classifier(Wrapped(lambda z: z.argmax(1)), images, labels, **options)
