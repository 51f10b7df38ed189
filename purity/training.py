"""Training of the embedded networks. Every draw comes from one generator made from the preset's seed."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from purity.contract import check_classes, logits_of
from purity.diffusion import schedules
from purity.diffusion.denoiser import Network


@dataclass(frozen=True)
class Point:
    """Where a batch of training is: x0 (B, C, H, W) in [-1, 1], index (B,) of the network, abar (B, 1, 1, 1)."""

    x0: Tensor
    index: Tensor
    abar: Tensor


def noisy(x0: Tensor, eps: Tensor, abar: Tensor) -> Tensor:
    """x_t = √ᾱ x₀ + √(1−ᾱ) ε."""
    return abar.sqrt() * x0 + (1 - abar).sqrt() * eps


def denoising_loss(network: Network, at: Point, eps: Tensor) -> Tensor:
    """mean ‖ε_θ(√ᾱ x₀ + √(1−ᾱ) ε, t) − ε‖² (Ho et al. 2020, eq. 14); what else a network predicts is left alone."""
    return F.mse_loss(network(noisy(at.x0, eps, at.abar), at.index)[:, : at.x0.shape[1]], eps)


@dataclass(frozen=True)
class Snapshots:
    """How training survives being stopped: after `every` steps `save` gets a dict of all that the rest depends on, to
    be copied or written before it returns. state: such a dict, from which training goes on as if it had not stopped."""

    save: Callable[[dict], None] = lambda state: None
    state: dict | None = None
    every: int = 50

    def restore(self, parts: dict) -> list[float]:
        """Losses so far. parts: by name what has a state and changes: networks, optimisers, schedules, a generator."""
        if self.state is None:
            return []
        for name, part in parts.items():
            put = part.set_state if isinstance(part, torch.Generator) else part.load_state_dict
            put(self.state[name])
        return list(self.state["losses"])

    def after(self, losses: list[float], parts: dict) -> None:
        """To be called after every step; a snapshot now and then."""
        if len(losses) % self.every == 0:
            states = {
                name: part.get_state() if isinstance(part, torch.Generator) else part.state_dict()
                for name, part in parts.items()
            }
            self.save(states | {"losses": losses})


class MovingAverage:
    """Moving average of a network's weights, from its first ones on. Buffers stay as they were."""

    def __init__(self, network: nn.Module) -> None:
        self.network = copy.deepcopy(network)
        self._pairs = list(self.network.parameters()), list(network.parameters())

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """average ← average + (1 − decay)(weights − average)."""
        torch._foreach_lerp_(*self._pairs, 1 - decay)

    def copy_to(self, network: nn.Module) -> None:
        network.load_state_dict(self.network.state_dict())


def train_classifier(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    progress=iter,
    *,
    epochs: int,
    batch: int,
    rate: float,
    seed: int,
    snapshots: Snapshots | None = None,
) -> list[float]:
    """Cross-entropy by Adam with a one-cycle rate. x (N, C, H, W) in [0, 1], y (N,) → mean loss of each epoch.

    `network` is trained in place, on the device it is on, and left in eval mode. snapshots: a step is an epoch.
    ValueError: it returns no logits, or has no column for a label.
    """
    name = "to be trained"
    device = next(network.parameters()).device
    with torch.no_grad():
        some = x[:2].to(device)
        check_classes(logits_of(network.eval()(some), some, name), y, name)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    steps = epochs * -(-len(x) // batch)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps)
    snapshots = snapshots or Snapshots()
    changing = {"network": network, "optimiser": optimiser, "cycle": cycle, "generator": generator}
    losses = snapshots.restore(changing)
    network.train()
    for _ in progress(range(len(losses), epochs)):
        total = 0.0
        for rows in torch.randperm(len(x), generator=generator).split(batch):
            given = x[rows].to(device)
            loss = F.cross_entropy(logits_of(network(given), given, name), y[rows].to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cycle.step()
            total += loss.item() * len(rows)
        losses.append(total / len(x))
        snapshots.after(losses, changing)
    network.eval()
    return losses


def train_diffusion(
    network: nn.Module,
    x: Tensor,
    progress=iter,
    *,
    steps: int,
    batch: int,
    rate: float,
    decay: float,
    seed: int,
    snapshots: Snapshots | None = None,
) -> list[float]:
    """E‖ε − ε_θ(√ᾱ_t x₀ + √(1−ᾱ_t) ε, t)‖², t uniform over all T (Ho et al. 2020, Alg. 1).

    x (N, C, H, W) in [0, 1] → loss of each step. `network` ends in eval mode with the moving average of its weights.
    decay: of that average, from (1+i)/(10+i) up.
    """
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    abar = schedules.linear().abar[1:].float().to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.0, foreach=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps)
    average = MovingAverage(network)
    snapshots = snapshots or Snapshots()
    changing = {"network": network, "average": average.network, "optimiser": optimiser, "cycle": cycle}
    changing["generator"] = generator
    losses = snapshots.restore(changing)
    network.train()
    for i in progress(range(len(losses), steps)):
        x0 = 2 * x[torch.randint(len(x), (batch,), generator=generator)].to(device) - 1
        t = torch.randint(schedules.T, (batch,), generator=generator).to(device)
        eps = torch.randn(x0.shape, generator=generator).to(device)
        loss = denoising_loss(network, Point(x0, t, abar[t][:, None, None, None]), eps)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        cycle.step()
        average.update(min(decay, (1 + i) / (10 + i)))
        losses.append(loss.item())
        snapshots.after(losses, changing)
    average.copy_to(network)
    network.eval()
    return losses
