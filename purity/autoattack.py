"""AutoAttack on a defended classifier (Croce & Hein 2020), by the package pyautoattack.

Each image is attacked alone (purity.lockstep): the package asks about rows without saying which, but ξ belongs to the
image.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from purity.defence import Defence
from purity.lockstep import Model, each_alone
from purity.noise import Noise

if TYPE_CHECKING:
    from pyautoattack import AutoAttack

NAMES = {"linf": "Linf", "l2": "L2"}  # the package's, of a norm

# The DLR loss compares the three highest logits, the targeted one of `standard` the four highest.
FEWEST_CLASSES = {"standard": 4, "rand": 3}


def autoattack(
    defence: Defence,
    x: Tensor,
    y: Tensor,
    noise: Noise,
    progress=iter,
    *,
    epsilon: float,
    norm: str = "linf",
    version: str = "standard",
    steps: int | None = None,
    queries: int | None = None,
    draws: int | None = None,
    judgings: int | None = None,
) -> Tensor:
    """Adversarial images of AutoAttack; x in float32. Random starts belong to the image and the base seed.

    version: standard (APGD on the cross-entropy, targeted APGD, targeted FAB, Square) or rand (APGD on the
    cross-entropy and on the DLR loss, gradients averaged), meant for attackers who do not know ξ.
    None is the package's own: steps of APGD and FAB (100), queries of Square (5000), draws averaged a step (20). So an
    image that resists costs standard 7,900 purifications, 1,900 of them with a gradient, and rand 4,000, all with one.

    Every query is another attack draw. judgings: None, as the package does it: an image that is wrong at the draw of
    one query is done, so if ξ is not known many come back clean or nearly so, and the accuracy seems high. A number:
    questions without a gradient are answered by the mean probability of so many draws, APGD returns the iterate of the
    largest loss, and of all parts' results, each judged by so many draws, the one that is wrong most often comes back.
    ValueError if there are too few classes or an image is outside [0, 1].
    """
    if version not in FEWEST_CLASSES or norm not in NAMES:
        raise ValueError(f"autoattack knows version standard or rand and norm linf or l2, not '{version}', '{norm}'")
    if (queries if version == "rand" else draws) is not None:
        raise ValueError("autoattack: queries is an option of version standard only, draws of version rand")
    if x.min() < 0 or x.max() > 1:
        raise ValueError("autoattack: an image is outside [0, 1]")

    def alone(model: Model, image: Tensor, label: Tensor) -> Tensor:
        asked = model if judgings is None else _averaged(model, judgings)
        seed = int(torch.initial_seed() % 2**32)
        attack = _package(asked, image, epsilon, NAMES[norm], version, seed, steps, queries, draws)
        if judgings is None:
            return attack.run_standard_evaluation(image, label, batch_size=1)[0]
        return _worst_part(attack, model, image, label, judgings)

    return each_alone(alone, defence, x, y, noise, progress)


def _package(model, image, epsilon, norm, version, seed, steps, queries, draws) -> "AutoAttack":
    from pyautoattack import AutoAttack

    attack = AutoAttack(model, norm=norm, eps=epsilon, seed=seed, version=version, device=torch.device("cpu"))
    with torch.no_grad():
        classes = model(image).shape[1]
    if classes < FEWEST_CLASSES[version]:
        raise ValueError(f"autoattack {version} needs {FEWEST_CLASSES[version]} classes, the classifier has {classes}")
    attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = min(9, classes - 1)
    if steps is not None:
        attack.fab.n_iter = steps
        for apgd in (attack.apgd, attack.apgd_targeted):
            apgd.n_iter = steps
            # when it looks at its step size, as its constructor has it
            shares = (0.22, 0.06, 0.03)
            apgd.n_iter_2, apgd.n_iter_min, apgd.size_decr = (max(int(share * steps), 1) for share in shares)
    if queries is not None:
        attack.square.n_queries = queries
    if draws is not None:
        attack.apgd.eot_iter = draws
    return attack


def _averaged(model: Model, draws: int) -> Model:
    """Questions without a gradient answered by log E softmax over so many draws."""

    def asked(images: Tensor) -> Tensor:
        if torch.is_grad_enabled() and images.requires_grad:
            return model(images)
        logits = model(images.repeat(draws, 1, 1, 1)).view(draws, len(images), -1)
        return logits.softmax(dim=2).mean(dim=0).log()

    return asked


def _worst_part(attack: "AutoAttack", model: Model, image: Tensor, label: Tensor, judgings: int) -> Tensor:
    """The package's parts one after the other, and the clean image: which of them is wrong most often."""

    def wrong(found: Tensor) -> float:
        with torch.no_grad():
            said = model(found.repeat(judgings, 1, 1, 1)).argmax(dim=1)
        return (said != label).double().mean().item()

    def apgd(loss: str) -> Tensor:
        attack.apgd.loss = loss
        return attack.apgd.perturb(image, label, best_loss=True)

    def fab() -> Tensor:
        attack.fab.targeted, attack.fab.n_restarts = True, 1
        return attack.fab.perturb(image, label)

    parts = {
        "apgd-ce": lambda: apgd("ce"),
        "apgd-dlr": lambda: apgd("dlr"),
        "apgd-t": lambda: attack.apgd_targeted.perturb(image, label),
        "fab-t": fab,
        "square": lambda: attack.square.perturb(image, label),
    }
    worst, most = image, wrong(image)
    for name in attack.attacks_to_run:
        found = parts[name]().detach()
        share = wrong(found)
        if share >= most:  # an attack that does no more harm than none is still one
            worst, most = found, share
        if most == 1:
            break
    return worst
