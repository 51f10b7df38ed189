"""What a purifier, classifier, attack or loader of the user's promises, held against what it does.

docs/contract.md has a line for each rule; a refusal names the part, what differs, and that line. Two kinds of help:

`check_…` call a part on a few rows: repeated, in another order, each row alone. Meant for the start of a job or a dry
run. `protected_…` wrap a part for a whole job: it gets copies, so that it cannot change what is stored or used again,
and what it returns is checked at every call. They cost copies of images and logits, and no further evaluation.
"""

import copy
import inspect
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor

from purity.defence import Classifier, Defence
from purity.geometry import BALLS
from purity.noise import Noise
from purity.run.devices import no_memory
from purity.run.rules import PAGE, broken, first_line

# A float32 network rounds every number to 24 bits, and adds in another order when the batch is another one. Its errors
# grow with the layers: half of the bits are given to them, 2¹³ ε ≈ 10⁻³, a quarter of a grey level of 8-bit images.
# What depends on other rows or on chance by less than that moves no decision that is not on the edge already.
ROUNDING_BITS = 13

# A result may lie outside [0, 1] by a few roundings, as 2·((x + 1)/2) − 1 does; it is cut then.
ULPS = 8

Purifier = Callable[[Tensor, Noise], Tensor]


# What parts return.


def image_of(out: object, x: Tensor, maker: str, ranged: bool = True) -> Tensor:
    """`out` if it may be made of the images x: a tensor of the same shape, type and device, finite, in [0, 1].

    Outside by a few roundings is cut to [0, 1], and the gradient passes. Else ValueError that names the maker.
    ranged: False asks no [0, 1].
    """
    if not isinstance(out, Tensor):
        raise broken(f"{maker} returned {type(out).__name__}, not a tensor", "image")
    if out.layout != x.layout:
        raise broken(f"{maker} returned a tensor of layout {out.layout}, not {x.layout}", "image")
    if out.shape != x.shape:
        raise broken(f"{maker} returned shape {tuple(out.shape)} for images of {tuple(x.shape)}", "image")
    if out.dtype != x.dtype or out.device != x.device:
        found, given = f"{out.dtype} on {out.device}", f"{x.dtype} on {x.device}"
        raise broken(f"{maker} returned {found} for images of {given}".replace("torch.", ""), "image")
    # the range is NaN if a value is; one transfer from the device, since this is asked at every call
    low, high = torch.stack(torch.aminmax(out.detach())).tolist()
    if not np.isfinite([low, high]).all():
        raise broken(f"{maker} returned NaN or infinite values", "image")
    if not ranged:
        return out
    slack = ULPS * torch.finfo(out.dtype).eps
    if low < -slack or high > 1 + slack:
        raise broken(f"{maker} returned values from {low:.9g} to {high:.9g}, which leave [0, 1]", "image")
    if low < 0 or high > 1:
        return out - (out - out.clamp(0, 1)).detach()
    return out


def adversarial_of(made: object, x: Tensor, maker: str, run: Callable, options: Mapping, blind: bool) -> Tensor:
    """What an attack made of the images x, without a graph. ValueError as in `image_of`.

    A blind attack whose option `cut` is false, said or by default, may leave [0, 1]: the papers' uniform noise does.
    """
    said = inspect.signature(run).parameters.get("cut")
    ranged = not blind or options.get("cut", said.default if said else None) is not False
    return image_of(made.detach() if isinstance(made, Tensor) else made, x, maker, ranged)


def logits_of(output: object, x: Tensor, name: str) -> Tensor:
    """Logits (B, K) of what a classifier returned for x: a tensor, or the one that a common container holds.

    Containers: a mapping or object with `logits` (the ModelOutput of transformers, namedtuples), a tuple or list in
    which one member only could be logits. Else ValueError: several such members, other shapes, integers, half
    precision, NaN.
    """
    who = f"classifier '{name}'"
    found = _inside(output, len(x), who)
    if not isinstance(found, Tensor):
        raise broken(f"{who} returned {_described(output)}, in which there are no logits (B, K)", "logits")
    if found.ndim != 2 or len(found) != len(x):
        raise broken(f"{who} returned shape {tuple(found.shape)} for {len(x)} images, not logits (B, K)", "logits")
    if found.dtype not in (torch.float32, torch.float64) or found.device != x.device:
        said = f"{found.dtype} on {found.device}".replace("torch.", "")
        raise broken(f"{who} returned {said} for images on {x.device}; logits are float32 or float64 there", "logits")
    if not torch.isfinite(found.detach()).all():
        raise broken(f"{who} returned NaN or infinite logits", "logits")
    return found


def _inside(output: object, n: int, who: str) -> object:
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        return output.get("logits")
    if hasattr(output, "logits"):
        return output.logits
    if isinstance(output, tuple | list):
        able = [member for member in output if isinstance(member, Tensor) and member.ndim == 2 and len(member) == n]
        if len(able) > 1:
            shapes = ", ".join(str(tuple(member.shape)) for member in able)
            raise broken(f"{who} returned {len(able)} tensors that could be logits, {shapes}: return one", "logits")
        return able[0] if able else None
    return None


def _described(output: object) -> str:
    if isinstance(output, Mapping):
        return f"{type(output).__name__} with {', '.join(map(str, output)) or 'nothing'}"
    if isinstance(output, tuple | list):
        return f"{type(output).__name__} of {', '.join(type(member).__name__ for member in output) or 'nothing'}"
    return type(output).__name__


def features_of(out: object, x: Tensor, maker: str) -> Tensor:
    """Features (B, F) of what a network of features returned for x. ValueError: anything else, or NaN."""
    found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
    if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != len(x) or out.shape[1] == 0:
        raise broken(f"{maker} returned {found} for {len(x)} images, not features (B, F)", "features")
    if out.dtype not in (torch.float32, torch.float64) or not torch.isfinite(out.detach()).all():
        said = f"{out.dtype}".replace("torch.", "")
        raise broken(f"{maker} returned features that are no finite float32 or float64 numbers ({said})", "features")
    return out


def _refuse_probabilities(logits: Tensor, who: str) -> None:
    """No network's logits are all ≥ 0 and sum to 1 in every row."""
    if (logits >= 0).all() and ((logits.sum(1) - 1).abs() < 1e-4).all():
        raise broken(f"{who} returned probabilities, whose gradients fade: leave its softmax out", "logits")


def check_classes(logits: Tensor, y: Tensor, name: str) -> None:
    """Every label has a column. y (N,): labels of all images there are, not only of those rows."""
    k, highest, lowest = logits.shape[1], int(y.max()), int(y.min())
    if k < 2:
        raise broken(f"classifier '{name}' has {k} logit: two classes need two", "classes")
    if highest >= k or lowest < 0:
        said = f"labels reach from {lowest} to {highest}, the logits of classifier '{name}' have {k} columns"
        raise broken(f"{said}: labels count from 0", "classes")


# Parts for a whole job.


def _copy(xi: Noise) -> Noise:
    def same(draw):
        return draw.clone() if isinstance(draw, Tensor) else draw

    forward, backward = same(xi.forward_draw), same(xi.reverse_draw)
    return replace(xi, ids=xi.ids.clone(), forward_draw=forward, reverse_draw=backward)


def protected_purifier(purify: Purifier, name: str) -> Purifier:
    """f with copies of x and ξ, returning a copy: it keeps no hold on what others use. Every result is an image.

    Its `states`, if it has them, are copied too; only the last one has to be an image. One row of the largest batch yet
    is asked for alone too. ValueError as in `image_of` and `check_purifier`.
    """
    maker = f"purifier '{name}'"
    in_company = _Company(maker, _values_apart)

    def protected(x: Tensor, xi: Noise) -> Tensor:
        def answer(images: Tensor, rows: Tensor) -> Tensor:
            some = images[rows.to(images.device)]
            with _blamed(maker, some):
                return image_of(purify(some, _copy(xi.rows(rows))), some, maker)

        with _blamed(maker, x):
            out = purify(x.clone(), _copy(xi))
        made = image_of(out, x, maker).clone()
        in_company.compare(answer, x, made)
        return made

    def states(x: Tensor, xi: Noise) -> Iterator[tuple[int, Tensor]]:
        with _blamed(maker, x):
            last = None
            for t, state in purify.states(x.clone(), _copy(xi)):
                if last is not None:
                    yield last
                last = t, state.clone() if isinstance(state, Tensor) else state
        if last is None:
            raise broken(f"{maker} has states and yields none", "states")
        yield last[0], image_of(last[1], x, maker)

    if hasattr(purify, "states"):
        protected.states = states
    protected.__name__ = name
    return protected


def protected_classifier(classify: Callable, name: str) -> Classifier:
    """g with a copy of x, returning a copy of its logits, unwrapped as in `logits_of`. Its `features`, if any, too.

    A row of the largest batch yet is asked for alone too."""
    maker = f"classifier '{name}'"
    in_company = _Company(maker, _logits_apart)

    def answer(x: Tensor, rows: Tensor) -> Tensor:
        some = x[rows.to(x.device)]
        with _blamed(maker, some):
            return logits_of(classify(some), some, name)

    def protected(x: Tensor) -> Tensor:
        with _blamed(maker, x):
            out = classify(x.clone())
        made = logits_of(out, x, name).clone()
        in_company.compare(answer, x, made)
        return made

    if hasattr(classify, "features"):
        protected.features = protected_features(classify.features, f"the features of {maker}")
    protected.__name__ = name
    return protected


def protected_features(features: Callable, maker: str) -> Callable[[Tensor], Tensor]:
    """A network of features with a copy of x, returning a copy of what `features_of` lets pass. maker: in messages."""

    in_company = _Company(maker, _logits_apart)

    def answer(x: Tensor, rows: Tensor) -> Tensor:
        some = x[rows.to(x.device)]
        with _blamed(maker, some):
            return features_of(features(some), some, maker)

    def protected(x: Tensor) -> Tensor:
        with _blamed(maker, x):
            out = features(x.clone())
        made = features_of(out, x, maker).clone()
        in_company.compare(answer, x, made)
        return made

    return protected


def protected_attack(run: Callable, name: str) -> Callable:
    """An attack with copies of all that it gets. What it returns is an image in its ball, without a graph.

    ValueError: what `adversarial_of` and `check_ball` say; it draws from a global generator; it needs a gradient that
    the purifier or the classifier does not pass, with the word BPDA where that would help.
    """
    maker = f"attack '{name}'"

    def protected(defence: Defence | None, x: Tensor, y: Tensor, noise: Noise, progress=iter, **options) -> Tensor:
        with _drawing_nothing(maker), _blamed(maker, x, defence):
            made = run(defence, x.clone(), y.clone(), _copy(noise), progress, **copy.deepcopy(options))
        made = adversarial_of(made, x, maker, run, options, blind=defence is None).clone()
        check_ball(made, x, *ball_of(run, options), name)
        return made

    protected.__name__ = name
    return protected


@contextmanager
def _blamed(maker: str, x: Tensor, defence: Defence | None = None) -> Iterator[None]:
    """What goes wrong inside a part is said in one line that names it; a part without gradient is, if that is why.
    Lack of memory stays what it is."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except (Exception, SystemExit) as error:  # a user's code raises what it likes
        if PAGE in str(error):
            raise  # of a part inside this one, which is named
        said = first_line(error) if str(error) else "nothing said"
        if no_memory(error):
            raise
        if re.search("grad|in the graph|Inference tensor", said):  # torch's words where it cannot differentiate
            if x.requires_grad:
                raise  # the attack that asks for it is blamed, below
            if defence is not None:
                check_gradient(defence, x, maker)
        if isinstance(error, ValueError):
            raise ValueError(f"{maker}: {said}") from error
        said = f"{maker} fails on images of shape {tuple(x.shape)}: {type(error).__name__}: {said}"
        raise broken(said, "takes-images") from error


@contextmanager
def _drawing_nothing(maker: str) -> Iterator[None]:
    before = _generators()
    yield
    for name, state in _generators().items():
        if name in before and state != before[name]:
            raise broken(f"{maker} draws from {name}: its randomness comes from xi or noise", "generators")


def _generators() -> dict[str, object]:
    """The states of the global generators."""
    of_numpy = np.random.get_state(legacy=False)["state"]
    states = {
        "torch's global generator": torch.get_rng_state().numpy().tobytes(),
        "numpy's global generator": (of_numpy["key"].tobytes(), of_numpy["pos"]),
        "Python's global generator": random.getstate(),
    }
    if torch.cuda.is_initialized():
        states["torch's global generator of the device"] = torch.cuda.get_rng_state().numpy().tobytes()
    return states


# The ball of an attack.


def ball_of(run: Callable, options: Mapping) -> tuple[float | None, str]:
    """ε and norm that an attack has by its options or else its own defaults.

    Norms other than ℓ2 are held to ℓ∞: it is the smallest of the p-norms, so that its ball holds theirs.
    """
    try:
        defaults = {k: p.default for k, p in inspect.signature(run).parameters.items()}
    except (TypeError, ValueError):  # some built-in callables have none
        defaults = {}
    given = {k: v for k, v in defaults.items() if v is not inspect.Parameter.empty} | dict(options)
    epsilon = given.get("epsilon", given.get("eps"))
    number = isinstance(epsilon, int | float) and not isinstance(epsilon, bool)
    norm = str(given.get("norm", "linf")).lower().removeprefix("l")
    return float(epsilon) if number else None, "l2" if norm in ("2", "2.0") else "linf"


def check_ball(made: Tensor, x: Tensor, epsilon: float | None, norm: str, name: str) -> None:
    """Every row of `made` is within ε of its own row of x. No ε: nothing to hold it to.

    Rounding x + δ moves a pixel by 2⁻²⁴ in float32 at most; eight of these are allowed in ℓ∞, two in every pixel in ℓ2,
    where they do not add up in one direction. ε and the length that an attack scales by are rounded too, a sum of d
    squares by less than 2⁻¹⁶ of itself.
    """
    if epsilon is None:
        return
    moved = BALLS[norm].norm((made - x).double())
    half = torch.finfo(x.dtype).eps / 2
    rounded = 2 * half * x[0].numel() ** 0.5 if norm == "l2" else 8 * half
    furthest = moved.max().item()
    if furthest > epsilon * (1 + 2**-16) + rounded:
        said = f"moved an image by {furthest:.6g} in {'ℓ2' if norm == 'l2' else 'ℓ∞'}"
        raise broken(f"attack '{name}' {said}, its epsilon is {epsilon:.6g}", "ball")


# Checks on a few rows.


def _contrasts(x: Tensor) -> Tensor:
    """The images, every second one at half its contrast, so that no statistic of the batch is that of every row."""
    half = x.clone()
    half[1::2] = 0.25 + half[1::2] / 2
    return half


Answer = Callable[[Tensor, Tensor], Tensor]  # images (N, …), numbers of some of the rows → the part's answer for these
Again = Callable[[], None]  # asks a part again, at the end of a job; ValueError if it answers otherwise
Anew = Callable[[], Callable | None]  # makes a part once more, from modules imported anew; None if that cannot be


def _unchanging(part: Callable[[Tensor], object], x: Tensor, maker: str, defence: Defence | None = None) -> object:
    """part(x), or ValueError if it changes x. defence: what the part attacks."""
    given = x.clone()
    with _blamed(maker, x, defence):
        out = part(given)
    if not torch.equal(given, x):
        raise broken(f"{maker} changes the images that it is given: begin with x = x.clone()", "copies")
    return out


def _check_rows(
    answer: Answer,
    x: Tensor,
    together: Tensor,
    maker: str,
    differ: Callable[[Tensor, Tensor], Tensor],
    repeated: float = 1.0,
) -> Again:
    """Refuses a part whose answer for x, `together`, is another one when repeated, in another order, for a row alone.

    differ(a, b): by row, how far apart two answers are; 1 is what rounding may do, `repeated` what may differ without.
    """
    rows = torch.arange(len(x))
    with _drawing_nothing(maker):
        # a row alone is in another place too: no order need be tried for what is the same alone
        alone = torch.cat([answer(x, row) for row in rows.split(1)])
    by_company = differ(together, alone)
    if by_company.max() > repeated:
        _again(answer, x, rows, together, maker, differ, repeated)()
    if by_company.max() > 1:
        by_order = differ(together, answer(x, rows.flip(0)).flip(0))
        _refuse_company(answer, x, alone, by_order, by_company, maker, differ)
    return _again(answer, x, rows[:1], alone[:1], maker, differ, repeated)


def _refuse_company(
    answer: Answer,
    x: Tensor,
    alone: Tensor,
    by_order: Tensor | None,
    by_company: Tensor,
    maker: str,
    differ: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """Refuses what differs in another order, or for a row alone, unless the rows do so by themselves: a chain that
    doubles every rounding is none of the part's fault. How far does x · (1 − 2⁻²⁰) move a row?"""
    nearly = x * (1 - 2**-20)
    own = differ(alone, torch.cat([answer(nearly, row) for row in torch.arange(len(x)).split(1)]))
    allowed = (16 * own).clamp(min=1)
    if by_order is not None and (by_order > allowed).any():
        raise broken(f"{maker} differs in another order{_times(by_order.max())}: rows go by their place", "order")
    if (by_company > allowed).any():
        raise broken(f"{maker} differs for a row alone{_times(by_company.max())}: it depends on other rows", "rows")


def _again(
    answer: Answer,
    x: Tensor,
    rows: Tensor,
    before: Tensor,
    maker: str,
    differ: Callable[[Tensor, Tensor], Tensor],
    repeated: float,
) -> Again:
    """Asks for some rows of x once more, and refuses another answer than before: one that hangs on how often the part
    was called, or on the time."""

    def again() -> None:
        with _drawing_nothing(maker):
            apart = differ(before, answer(x, rows)).max()
        if apart > repeated:
            raise broken(
                f"{maker} differs when repeated{_times(apart)}: same images, same noise, same result", "repeats"
            )

    return again


def _check_anew(
    anew: Anew | None,
    answered: Callable[[Callable, Tensor, Tensor], Tensor],
    x: Tensor,
    before: Tensor,
    maker: str,
    differ: Callable[[Tensor, Tensor], Tensor],
    repeated: float = 1.0,
) -> None:
    """Refuses a part that answers otherwise when it is made and imported anew, as each job does: another one attacks
    than the one that judges. answered: (part, images, rows) ↦ its answer; before: that for all of x."""
    if anew is None or (made := anew()) is None:
        return
    if (apart := differ(before, answered(made, x, torch.arange(len(x)))).max()) > repeated:
        said = f"{maker} differs when made anew{_times(apart)}, as each job makes it"
        raise broken(f"{said}: draw nothing when it is made or imported", "anew")


class _Company:
    """Whether a part's row is what it is alone, in batches larger than those that it was tried on."""

    def __init__(self, maker: str, differs: Callable[[Tensor], Callable[[Tensor, Tensor], Tensor]]):
        self.maker, self.differs, self.largest = maker, differs, 1

    def compare(self, answer: Answer, x: Tensor, together: Tensor) -> None:
        """ValueError if the row in the middle of x is another one alone; asked only if no batch was as large before."""
        if len(x) <= self.largest or is_functorch_wrapped_tensor(x):
            return
        self.largest = len(x)
        row, x, together = torch.tensor([len(x) // 2]), x.detach(), together.detach()
        differ = self.differs(together)
        with torch.no_grad():
            alone = answer(x, row)
            if (apart := differ(together[row.to(x.device)], alone)).max() <= 1:
                return

            _again(answer, x, torch.arange(len(x)), together, self.maker, differ, 1.0)()

            def one(images: Tensor, _: Tensor) -> Tensor:
                return answer(x.index_copy(0, row.to(x.device), images), row)

            _refuse_company(one, x[row.to(x.device)], alone, None, apart, self.maker, differ)


def _times(apart: Tensor) -> str:
    return f" by {apart.item():.3g} times what rounding may do"


def _logits_apart(together: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """By the largest of them."""
    return _apart(max(1.0, together.abs().max().item()))


def _values_apart(together: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """On images, which lie in [0, 1]."""
    return _apart(1.0)


def _apart(scale: float) -> Callable[[Tensor, Tensor], Tensor]:
    def differ(a: Tensor, b: Tensor) -> Tensor:
        limit = scale * 2**ROUNDING_BITS * torch.finfo(torch.float32).eps
        return (a - b).flatten(1).abs().amax(1).double() / limit

    return differ


def check_purifier(purify: Purifier, x: Tensor, xi: Noise, name: str, anew: Anew | None = None) -> Again:
    """f on a few images x (B, C, H, W) and their ξ. ValueError: it returns no image, changes x, draws from a global
    generator, or is another one when repeated, in another order, for each row alone, or made anew. Returns what repeats
    it later."""
    maker = f"purifier '{name}'"

    @torch.no_grad()
    def answered(f: Purifier, images: Tensor, rows: Tensor) -> Tensor:
        some = images[rows.to(images.device)]
        return image_of(_unchanging(lambda z: f(z, _copy(xi.rows(rows))), some, maker), some, maker)

    answer, images = partial(answered, purify), _contrasts(x)
    together = answer(images, torch.arange(len(x)))
    differ = _values_apart(together)
    again = _check_rows(answer, images, together, maker, differ)
    _check_anew(anew, answered, images, together, maker, differ)
    if hasattr(purify, "states"):
        with torch.no_grad():
            *_, (_, last) = protected_purifier(purify, name).states(images, xi)
        if (apart := differ(together, last).max()) > 1:
            raise broken(f"{maker}: its last state is not what it returns, but differs{_times(apart)}", "states")
    return again


def check_classifier(classify: Callable, x: Tensor, y: Tensor, name: str, anew: Anew | None = None) -> Again:
    """g on a few images x (B, C, H, W), and labels y (N,) of all there are. ValueError as in `check_purifier`,
    `logits_of` and `check_classes`, and for probabilities. Returns what repeats it later."""
    maker = f"classifier '{name}'"

    @torch.no_grad()
    def answered(g: Callable, images: Tensor, rows: Tensor) -> Tensor:
        some = images[rows.to(images.device)]
        return logits_of(_unchanging(g, some, maker), some, name)

    answer, images = partial(answered, classify), _contrasts(x)
    logits = answer(images, torch.arange(len(x)))
    check_classes(logits, y, name)
    _refuse_probabilities(logits, maker)
    differ = _logits_apart(logits)
    again = _check_rows(answer, images, logits, maker, differ)
    _check_anew(anew, answered, images, logits, maker, differ)
    return again


def check_features(features: Callable, x: Tensor, maker: str, anew: Anew | None = None) -> Again:
    """A network of features on a few images x (B, C, H, W). ValueError as in `check_purifier` and `features_of`.
    Returns what repeats it later."""

    @torch.no_grad()
    def answered(network: Callable, images: Tensor, rows: Tensor) -> Tensor:
        some = images[rows.to(images.device)]
        return features_of(_unchanging(network, some, maker), some, maker)

    answer, images = partial(answered, features), _contrasts(x)
    found = answer(images, torch.arange(len(x)))
    differ = _logits_apart(found)
    again = _check_rows(answer, images, found, maker, differ)
    _check_anew(anew, answered, images, found, maker, differ)
    return again


def check_attack(
    run: Callable,
    options: Mapping,
    defence: Defence | None,
    x: Tensor,
    y: Tensor,
    noise: Noise,
    name: str,
    batchwise: bool = False,
    anew: Anew | None = None,
) -> Again:
    """An attack on a few images, twice: give it few steps. batchwise: its rows may depend on their batch.

    ValueError as in `protected_attack`, and if it changes x or is another one when repeated. Signs of gradients turn on
    roundings, so rows alone may differ in a quarter of their pixels.
    """
    maker = f"attack '{name}'"

    def answered(a: Callable, images: Tensor, rows: Tensor) -> Tensor:
        some, on = images[rows.to(images.device)], None if defence is None else defence.rows(rows)
        labels = y[rows.to(y.device)]

        def attacked(z: Tensor) -> Tensor:
            return a(on, z, labels.clone(), noise.rows(rows), iter, **copy.deepcopy(dict(options)))

        made = _unchanging(attacked, some, maker, on)
        made = adversarial_of(made, some, maker, run, options, blind=defence is None)
        check_ball(made, some, *ball_of(run, options), name)
        return made

    answer, rows = partial(answered, run), torch.arange(len(x))
    once = answer(x, rows)
    if batchwise:
        again = _again(answer, x, rows, once, maker, _pixels_apart, repeated=0)
        again()
    else:
        again = _check_rows(answer, x, once, maker, _pixels_apart, repeated=0)
    _check_anew(anew, answered, x, once, maker, _pixels_apart, repeated=0)
    return again


def _pixels_apart(a: Tensor, b: Tensor) -> Tensor:
    """1: a quarter of the pixels."""
    return 4 * ((a - b).abs() > 2**ROUNDING_BITS * torch.finfo(torch.float32).eps).flatten(1).double().mean(1)


# Gradients.


def check_gradient(defence: Defence, x: Tensor, attack: str = "an attack by gradients") -> None:
    """ValueError if no gradient of x passes the classifier or the purifier. attack: what needs it, in messages."""
    purifier, classifier = (getattr(part, "__name__", "of yours") for part in (defence.purify, defence.classify))
    if not _differentiable(defence.classify, x):
        said = f"classifier '{classifier}' passes no gradient, which {attack} needs (and BPDA too)"
        raise broken(f"{said}: attack it with one that needs none", "gradient")
    if not _differentiable(lambda z: defence.purify(z, defence.xi), x):
        said = f"purifier '{purifier}' passes no gradient, which {attack} needs"
        raise broken(
            f"{said}: attack it by BPDA (purity.attacks:bpda; `judge`: gradient: false) or with one that needs none",
            "gradient",
        )


def _differentiable(f: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Whether a gradient of x passes f."""
    given = x.detach().clone().requires_grad_()
    try:
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(f(given).sum(), given, allow_unused=True)
    except Exception as error:  # refused by torch as by numpy, in as many ways as there are
        if no_memory(error):
            raise
        return False
    return gradient is not None
