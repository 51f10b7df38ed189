"""Adversarial denoising diffusion training (ADDT): a diffusion model fine-tuned to take out what an attacker puts in.

Liu et al., Towards Understanding the Robustness of Diffusion-Based Purification: A Stochastic Perspective (ICLR 2025).
Each step of training puts a perturbation δ into the noise, ε′ = √(1−λ_t²) ε + λ_t δ, finds the δ that misleads a
classifier about the one-step x̂₀ (CGPO), gives it Gaussian marginals by ranks (RBGM), and trains ε_θ to predict ε′.
What the paper leaves open follows the authors' code; images are in [-1, 1] here as in any diffusion model.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from purity.defence import Classifier
from purity.diffusion import schedules
from purity.diffusion.denoiser import Network
from purity.training import Point, denoising_loss, noisy

Draw = Callable[[], Tensor]  # N(0, 1) in the shape of the batch, new at every call


def rbgm(g: Tensor, z: Tensor) -> Tensor:
    """Rank-based Gaussian mapping: z put in the order of g, in each image and channel of (B, C, H, W) by itself.

    The r-th smallest entry of g becomes the r-th smallest of z; where entries of g are equal, z keeps its own order.
    """
    g, rows = g.flatten(2), z.flatten(2)
    ascending, of_z = rows.sort(dim=2)
    of_g = of_z.gather(2, g.gather(2, of_z).argsort(dim=2, stable=True))
    return torch.empty_like(rows).scatter(2, of_g, ascending).view_as(z)


def modulation(abar: Tensor, unit: float, most: float) -> Tensor:
    """λ_t = clip(λ_unit γ_t, 0, λ_max), γ_t = √ᾱ_t / √(1−ᾱ_t): the share of δ that a δ in the image would have."""
    return (unit * gamma(abar)).clamp(0, most)


def gamma(abar: Tensor) -> Tensor:
    """γ_t = √ᾱ_t / √(1−ᾱ_t), the ratio of image to noise in x_t."""
    return (abar / (1 - abar)).sqrt()


# What a perturbation is to raise, of x̂₀, the predicted and the true noise (B, C, H, W), summed over the batch.
Objective = Callable[[Tensor, Tensor, Tensor], Tensor]


def by_classifier(classify: Classifier, y: Tensor) -> Objective:
    """CE[g(x̂₀), y]; g takes images in [0, 1]."""
    return lambda x0, predicted, eps: F.cross_entropy(classify((x0 + 1) / 2), y, reduction="sum")


def by_prediction(classify: Classifier, y: Tensor) -> Objective:
    """‖ε_θ − ε‖²: the ablation that asks no classifier."""
    return lambda x0, predicted, eps: (predicted - eps).square().sum()


Mix = Callable[[Tensor, Tensor, Tensor], Tensor]  # ε, δ, ᾱ → ε′


def slope(network: Network, at: Point, mix: Mix, eps: Tensor, delta: Tensor, objective: Objective) -> Tensor:
    """∂ objective / ∂δ (B, C, H, W) through the one-step x̂₀ = (x′_t − √(1−ᾱ) ε_θ) / √ᾱ, which is not clipped."""
    delta = delta.detach().requires_grad_()
    x_t = noisy(at.x0, mix(eps, delta, at.abar), at.abar)
    predicted = network(x_t, at.index)[:, : at.x0.shape[1]]
    estimate = (x_t - (1 - at.abar).sqrt() * predicted) / at.abar.sqrt()
    return torch.autograd.grad(objective(estimate, predicted, eps), delta)[0]


@dataclass(frozen=True)
class Ranked:
    """Perturbations with Gaussian marginals, found by CGPO: ADDT itself. unit, most: λ_unit and λ_max."""

    unit: float = 0.03
    most: float = 0.3
    iterations: int = 5

    def mix(self, eps: Tensor, delta: Tensor, abar: Tensor) -> Tensor:
        """ε′ = √(1−λ²) ε + λ δ, of unit variance where ε and δ are."""
        lam = modulation(abar, self.unit, self.most)
        return (1 - lam**2).sqrt() * eps + lam * delta

    def find(self, network: Network, at: Point, objective: Objective, draw: Draw) -> Tensor:
        """Classifier-guided perturbation optimisation. δ begins as noise; each iteration adds the slope under fresh
        noise to a sum, and δ is the order of that sum. No step size, no sign, no ball."""
        delta, total = draw(), torch.zeros_like(at.x0)
        for _ in range(self.iterations):
            total = total + slope(network, at, self.mix, draw(), delta, objective)
            delta = rbgm(total, draw())
        return delta


@dataclass(frozen=True)
class Bounded:
    """The ablation without RBGM: δ by sign steps, within ε of x₀ and inside the range of images.

    epsilon, step: on images in [0, 1]. most: where γ_t is cut.
    """

    epsilon: float = 8 / 255
    step: float = 4 / 255
    most: float = 10.0
    iterations: int = 5

    def mix(self, eps: Tensor, delta: Tensor, abar: Tensor) -> Tensor:
        """ε′ = ε + clip(γ_t, 0, γ_max) δ: δ in the image, where γ_t is not cut."""
        return eps + gamma(abar).clamp(0, self.most) * delta

    def find(self, network: Network, at: Point, objective: Objective, draw: Draw) -> Tensor:
        delta = torch.zeros_like(at.x0)
        for _ in range(self.iterations):
            up = slope(network, at, self.mix, draw(), delta, objective).sign()
            delta = (delta + 2 * self.step * up).clamp(-2 * self.epsilon, 2 * self.epsilon)
            delta = (at.x0 + delta).clamp(-1, 1) - at.x0
        return delta


PERTURBATIONS = {"ranked": Ranked, "bounded": Bounded}
OBJECTIVES = {"classifier": by_classifier, "prediction": by_prediction}


def drawing(generator: torch.Generator, shape: tuple[int, ...], device: torch.device) -> Callable[[slice], Draw]:
    """Draws of a step of training for some of its rows: whole batches are drawn, once, however they are divided."""
    drawn: list[Tensor] = []

    def of(rows: slice) -> Draw:
        place = count()

        def draw() -> Tensor:
            if (k := next(place)) == len(drawn):
                drawn.append(torch.randn(shape, generator=generator))
            return drawn[k][rows].to(device)

        return draw

    return of


def fine_tune(
    network: nn.Module,
    classify: Classifier,
    x: Tensor,
    y: Tensor,
    progress=iter,
    *,
    steps: int,
    batch: int,
    rate: float,
    decay: float,
    seed: int,
    flip: bool = False,
    perturbation: str = "ranked",
    objective: str = "classifier",
    options: dict | None = None,
    max_batch: int | None = None,
    state: dict | None = None,
    snapshot: Callable[[dict], None] | None = None,
    every: int = 50,
) -> list[float]:
    """ADDT of a network that predicts ε. x (N, C, H, W) in [0, 1], y (N,) → loss of each step.

    classify: g, frozen. `network` ends with the moving average of its weights; decay: of that average, from
    1 − (1+i)^(−3/4) up. flip: half of the images left to right. perturbation and objective, by name: PERTURBATIONS with
    their options, OBJECTIVES. The network stays in eval mode: dropout would draw from torch's own generator.
    max_batch: images of the batch that the network sees together, all unless given; it changes the result by rounding.
    state, snapshot: after `every` steps snapshot is given all that the rest depends on, to be copied or written at
    once; from it as `state` training goes on as if it had not stopped.
    """
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    abar = schedules.linear().abar[1:].to(device, x.dtype)
    kind, raised = PERTURBATIONS[perturbation](**(options or {})), OBJECTIVES[objective]
    parts = [slice(start, start + (max_batch or batch)) for start in range(0, batch, max_batch or batch)]
    network.eval().requires_grad_()
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, betas=(0.95, 0.999), weight_decay=1e-6)
    average, losses = copy.deepcopy(network), []
    if state is not None:
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        generator.set_state(state["generator"])
        losses = list(state["losses"])
    pairs = list(average.parameters()), list(network.parameters())
    for i in progress(range(len(losses), steps)):
        rows = torch.randint(len(x), (batch,), generator=generator)
        index = torch.randint(schedules.T, (batch,), generator=generator).to(device)
        x0, labels = 2 * x[rows].to(device) - 1, y[rows].to(device)
        if flip:
            x0 = torch.where(torch.rand(batch, 1, 1, 1, generator=generator).to(device) < 0.5, x0, x0.flip(3))
        draws, total = drawing(generator, x0.shape, device), 0.0
        optimiser.zero_grad()
        for part in parts:
            at, draw = Point(x0[part], index[part], abar[index[part]][:, None, None, None]), draws(part)
            delta = kind.find(network, at, raised(classify, labels[part]), draw)
            loss = denoising_loss(network, at, kind.mix(draw(), delta, at.abar)) * len(at.x0) / batch
            loss.backward()
            total += loss.item()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(*pairs, 1 - min(decay, 1 - (1 + i) ** -0.75))
        losses.append(total)
        if snapshot is not None and len(losses) % every == 0:
            states = {"network": network.state_dict(), "average": average.state_dict()}
            states |= {"optimiser": optimiser.state_dict(), "generator": generator.get_state(), "losses": losses}
            snapshot(states)
    network.load_state_dict(average.state_dict())
    network.requires_grad_(False)
    return losses
