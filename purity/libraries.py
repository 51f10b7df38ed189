"""Attacks of foolbox and of advertorch by name, on a defended classifier and whatever of ξ is known.

They have the form of purity.attacks. Each image is attacked alone (purity.lockstep): every query meets the ξ of its own
image, and what a library draws at random belongs to the image and the base seed, not to the batch. To who does not know
ξ every query is another draw, so a library that ends at its first success ends at a lucky one: judge by fresh draws.
"""

import inspect
from collections.abc import Sequence
from difflib import get_close_matches
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from purity import repairs
from purity.defence import Defence
from purity.geometry import BALLS
from purity.lockstep import Model, each_alone
from purity.noise import Noise


def foolbox(
    defence: Defence,
    x: Tensor,
    y: Tensor,
    noise: Noise,
    progress=iter,
    *,
    attack: str,
    epsilon: float | None,
    **options: Any,
) -> Tensor:
    """The attack of that name in foolbox.attacks (Rauber et al. 2020), e.g. LinfDeepFoolAttack; options: its own.

    epsilon: radius of the ball in the attack's own norm, into which what it finds is brought; None leaves a minimal
    perturbation as it is. ValueError if there is no such attack or option.
    """
    return foolbox_budgets(defence, x, y, noise, progress, attack=attack, epsilons=[epsilon], **options)[:, 0]


def foolbox_budgets(
    defence: Defence,
    x: Tensor,
    y: Tensor,
    noise: Noise,
    progress=iter,
    *,
    attack: str,
    epsilons: Sequence[float | None],
    **options: Any,
) -> Tensor:
    """The same at several radii (B, E, C, H, W). Those that minimise a perturbation search once for all of them."""
    import foolbox

    made = _made(
        _named(foolbox.attacks, attack, "foolbox", foolbox.attacks.base.Attack), f"foolbox's {attack}", options
    )

    def alone(model: Model, image: Tensor, label: Tensor) -> Tensor:
        theirs = foolbox.PyTorchModel(_Module(model).eval(), bounds=(0, 1), device="cpu")
        _, within, _ = made(theirs, image, foolbox.Misclassification(label), epsilons=list(epsilons))
        return torch.stack(within, dim=1).clamp(0, 1)

    return each_alone(alone, defence, x, y, noise, progress)


def advertorch(
    defence: Defence,
    x: Tensor,
    y: Tensor,
    noise: Noise,
    progress=iter,
    *,
    attack: str,
    epsilon: float,
    norm: str = "linf",
    **options: Any,
) -> Tensor:
    """The attack of that name in advertorch.attacks (Ding et al. 2019), e.g. LinfMomentumIterativeAttack.

    epsilon: its `eps`, if it has one. What it finds is brought into the ball of that radius in the norm linf or l2.
    options: its own, `num_classes` filled in where it needs it. ValueError if there is no such attack or option.
    """
    theirs = repairs.advertorch()
    kind = _named(theirs.attacks, attack, "advertorch", theirs.attacks.Attack)
    needed = inspect.signature(kind).parameters
    known = {"eps": epsilon, "clip_min": 0.0, "clip_max": 1.0}
    given = {name: value for name, value in known.items() if name in needed} | options

    def alone(model: Model, image: Tensor, label: Tensor) -> Tensor:
        classes = {"num_classes": model(image).shape[1]} if "num_classes" in needed else {}
        found = _made(kind, f"advertorch's {attack}", classes | given, model).perturb(image, label).detach()
        return (image + BALLS[norm].project(found - image, epsilon)).clamp(0, 1)

    return each_alone(alone, defence, x, y, noise, progress)


class _Module(nn.Module):
    """A model as foolbox wants it."""

    def __init__(self, model: Model):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def _named(module: ModuleType, name: str, library: str, base: type) -> type:
    """The class of that name. ValueError names the closest others."""
    kinds = {n: k for n, k in vars(module).items() if inspect.isclass(k) and issubclass(k, base)}
    if name not in kinds:
        close = ", ".join(get_close_matches(name, kinds, n=3, cutoff=0))
        raise ValueError(f"{library} has no attack '{name}'; its closest names: {close}")
    return kinds[name]


def _made(kind: type, said: str, options: dict, *first: Any) -> Any:
    try:
        inspect.signature(kind).bind(*first, **options)
    except TypeError as error:
        raise ValueError(f"{said}: {error}") from error
    return kind(*first, **options)
