"""Adversarial denoising diffusion training (ADDT): a diffusion model fine-tuned to take out what an attacker puts in.

Liu et al., Towards Understanding the Robustness of Diffusion-Based Purification: A Stochastic Perspective (ICLR 2025).
Each step of training puts a perturbation δ into the noise, ε′ = √(1−λ_t²) ε + λ_t δ, finds the δ that misleads a
classifier about the one-step x̂₀ (CGPO), gives it Gaussian marginals by ranks (RBGM), and trains ε_θ to predict ε′.
What the paper leaves open follows the authors' code; images are in [-1, 1] here as in any diffusion model.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from purity.batching import most
from purity.defence import Classifier
from purity.diffusion import schedules
from purity.diffusion.denoiser import Network
from purity.training import MovingAverage, Point, Snapshots, denoising_loss, noisy

Draw = Callable[[], Tensor]  # N(0, 1) in the shape of the batch, new at every call


def rbgm(g: Tensor, z: Tensor) -> Tensor:
    """Rank-based Gaussian mapping: z put in the order of g, in each image and channel of (B, C, H, W) by itself.

    The r-th smallest entry of g becomes the r-th smallest of z; where entries of g are equal, z keeps its own order.
    """
    g, rows = g.flatten(2), z.flatten(2)
    ascending, of_z = rows.sort(dim=2)
    of_g = of_z.gather(2, g.gather(2, of_z).argsort(dim=2, stable=True))
    return torch.empty_like(rows).scatter(2, of_g, ascending).view_as(z)


def modulation(abar: Tensor, lambda_unit: float, lambda_max: float) -> Tensor:
    """λ_t = clip(λ_unit γ_t, 0, λ_max), γ_t = √ᾱ_t / √(1−ᾱ_t): the share of δ that a δ in the image would have."""
    return (lambda_unit * gamma(abar)).clamp(0, lambda_max)


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


class Perturbation(Protocol):
    """How δ is mixed into the noise, and how the δ that raises an objective is found."""

    def mix(self, eps: Tensor, delta: Tensor, abar: Tensor) -> Tensor:
        """ε′ (B, C, H, W)."""

    def find(self, network: Network, at: Point, objective: Objective, draw: Draw) -> Tensor:
        """δ (B, C, H, W)."""


@dataclass(frozen=True)
class Ranked:
    """Perturbations with Gaussian marginals, found by CGPO: ADDT itself."""

    lambda_unit: float = 0.03
    lambda_max: float = 0.3
    iterations: int = 5

    def mix(self, eps: Tensor, delta: Tensor, abar: Tensor) -> Tensor:
        """ε′ = √(1−λ²) ε + λ δ, of unit variance where ε and δ are."""
        lam = modulation(abar, self.lambda_unit, self.lambda_max)
        return (1 - lam**2).sqrt() * eps + lam * delta

    def find(self, network: Network, at: Point, objective: Objective, draw: Draw) -> Tensor:
        """Classifier-guided perturbation optimisation. δ begins as noise; each iteration adds the slope under fresh
        noise to a sum, and δ is new noise put in the order of that sum (RBGM). No step size, no sign, no ball."""
        delta, total = draw(), torch.zeros_like(at.x0)
        for _ in range(self.iterations):
            total = total + slope(network, at, self.mix, draw(), delta, objective)
            delta = rbgm(total, draw())
        return delta


@dataclass(frozen=True)
class Bounded:
    """The ablation without RBGM: δ by sign steps, within ε of x₀ and inside the range of images.

    epsilon, step: on images in [0, 1]. gamma_max: where γ_t is cut.
    """

    epsilon: float = 8 / 255
    step: float = 4 / 255
    gamma_max: float = 10.0
    iterations: int = 5

    def mix(self, eps: Tensor, delta: Tensor, abar: Tensor) -> Tensor:
        """ε′ = ε + clip(γ_t, 0, γ_max) δ: δ in the image, where γ_t is not cut."""
        return eps + gamma(abar).clamp(0, self.gamma_max) * delta

    def find(self, network: Network, at: Point, objective: Objective, draw: Draw) -> Tensor:
        """Projected sign steps of the slope under fresh noise, from δ = 0."""
        delta = torch.zeros_like(at.x0)
        for _ in range(self.iterations):
            up = slope(network, at, self.mix, draw(), delta, objective).sign()
            delta = (delta + 2 * self.step * up).clamp(-2 * self.epsilon, 2 * self.epsilon)
            delta = (at.x0 + delta).clamp(-1, 1) - at.x0
        return delta


PERTURBATIONS: dict[str, Callable[..., Perturbation]] = {"ranked": Ranked, "bounded": Bounded}
OBJECTIVES: dict[str, Callable[[Classifier, Tensor], Objective]] = {
    "classifier": by_classifier,
    "prediction": by_prediction,
}


def drawing(generator: torch.Generator, shape: tuple[int, ...], device: torch.device) -> Callable[[Tensor], Draw]:
    """Draws of one step of training, for the rows asked for. The k-th draw is made once, for the whole batch; parts of
    the batch get their rows of it, so that the numbers do not depend on how the batch is divided."""
    drawn: list[Tensor] = []

    def draws_of(rows: Tensor) -> Draw:
        place = count()

        def draw() -> Tensor:
            if (k := next(place)) == len(drawn):
                drawn.append(torch.randn(shape, generator=generator))
            return drawn[k][rows].to(device)

        return draw

    return draws_of


@dataclass(frozen=True)
class FineTuning:
    """One fine-tuning, as a preset states it.

    steps, batch, rate: of AdamW. decay: of the moving average of the weights, from 1 − (1+i)^(−3/4) up. seed: of all
    draws. flip: half of the images left to right. perturbation: a name of PERTURBATIONS, with its options; objective:
    a name of OBJECTIVES.
    """

    steps: int
    batch: int
    rate: float
    decay: float
    seed: int
    flip: bool = False
    perturbation: str = "ranked"
    objective: str = "classifier"
    options: dict = field(default_factory=dict)


class _Training:
    """All that changes while a network is fine-tuned."""

    def __init__(self, network: nn.Module, setting: FineTuning, snapshots: Snapshots) -> None:
        self.network = network.eval().requires_grad_()
        self.average = MovingAverage(network)
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=setting.rate, betas=(0.95, 0.999), weight_decay=1e-6
        )
        self.generator = torch.Generator().manual_seed(setting.seed)
        self.changing = {"network": network, "average": self.average.network, "optimiser": self.optimiser}
        self.changing["generator"] = self.generator
        self.losses = snapshots.restore(self.changing)

    def update(self, decay: float) -> None:
        """A step of the optimiser along the gradients that are there, and of the average."""
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.average.update(decay)


def fine_tune(
    network: nn.Module,
    classify: Classifier,
    x: Tensor,
    y: Tensor,
    setting: FineTuning,
    progress=iter,
    *,
    max_batch: int | None = None,
    snapshots: Snapshots | None = None,
) -> list[float]:
    """ADDT of a network that predicts ε. x (N, C, H, W) in [0, 1], y (N,) → loss of each step.

    classify: g, frozen. `network` ends with the moving average of its weights. It stays in eval mode: dropout would
    draw from torch's own generator. max_batch: images of the batch that the network sees together; unless given, as
    many as fit the memory. The result differs by rounding only.
    """
    snapshots = snapshots or Snapshots()
    training = _Training(network, setting, snapshots)
    parts = torch.arange(setting.batch).split(max_batch or _fitting(network, x))
    perturbation = PERTURBATIONS[setting.perturbation](**setting.options)
    objective_for = OBJECTIVES[setting.objective]
    for i in progress(range(len(training.losses), setting.steps)):
        at, labels = _batch(x, y, setting, training.generator, next(network.parameters()).device)
        draws, total = drawing(training.generator, at.x0.shape, at.x0.device), 0.0
        training.optimiser.zero_grad()
        for rows in parts:
            part, draw = Point(at.x0[rows], at.index[rows], at.abar[rows]), draws(rows)
            delta = perturbation.find(network, part, objective_for(classify, labels[rows]), draw)
            eps = perturbation.mix(draw(), delta, part.abar)
            loss = denoising_loss(network, part, eps) * len(part.x0) / setting.batch
            loss.backward()
            total += loss.item()
        training.update(min(setting.decay, 1 - (1 + i) ** -0.75))
        training.losses.append(total)
        snapshots.after(training.losses, training.changing)
    training.average.copy_to(network)
    network.requires_grad_(False)
    return training.losses


def _fitting(network: nn.Module, x: Tensor) -> int:
    """How many images the memory has room for; δ and the loss have a graph each."""
    like = next(network.parameters())
    index = torch.zeros(1, dtype=torch.int64, device=like.device)
    return most(lambda z: network(z, index), x[:1].to(like))


def _batch(
    x: Tensor, y: Tensor, setting: FineTuning, generator: torch.Generator, device: torch.device
) -> tuple[Point, Tensor]:
    """Images of a step of training, drawn with replacement, at times drawn uniformly; and their labels."""
    rows = torch.randint(len(x), (setting.batch,), generator=generator)
    index = torch.randint(schedules.T, (setting.batch,), generator=generator).to(device)
    x0 = 2 * x[rows].to(device) - 1
    if setting.flip:
        coin = torch.rand(setting.batch, 1, 1, 1, generator=generator).to(device)
        x0 = torch.where(coin < 0.5, x0, x0.flip(3))
    abar = schedules.linear().abar[1:].to(device, x.dtype)
    return Point(x0, index, abar[index][:, None, None, None]), y[rows].to(device)
