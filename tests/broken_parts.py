"""Small parts of a user's that break a rule of docs/contract.md, or keep it in an unusual way.

Each of the first kind once ran to exit code 0 with false numbers, or died in a traceback. Names say what is wrong.
"""

import itertools
import random
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# Purifiers (x, xi) → image.


def own_randomness(x, xi):
    return (x + 0.15 * torch.randn_like(x)).clamp(0, 1)


def own_generator(x, xi):
    noise = np.random.default_rng().standard_normal(x.shape)
    return (x + 0.15 * torch.from_numpy(noise).to(x)).clamp(0, 1)


def pythons_randomness(x, xi):
    return (x + 0.1 * random.random()).clamp(0, 1)


def seldom_random(x, xi):
    """Draws at every call, and uses it in one of a million."""
    return x.flip(3) if torch.rand(()) < 1e-6 else x


def seeds_by_itself(x, xi):
    """The same at every call, and not the same for a row in another place."""
    generator = torch.Generator().manual_seed(0)
    return (x + 0.15 * torch.randn(x.shape, generator=generator).to(x)).clamp(0, 1)


class Counting:
    """Another result at every call, without any randomness."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x, xi):
        self.calls += 1
        return x * (1 - 0.1 * (self.calls % 3))


class Tiring:
    """Another one from some call on, as what is cached, warmed up or read from a clock may be."""

    def __init__(self, calls: int):
        self.calls = calls

    def __call__(self, x, *xi):
        self.calls -= 1
        return x * (1 if self.calls > 0 else 0.5)


def dropout():
    layer = nn.Dropout2d(0.5)  # that nobody put into eval mode
    return lambda x, xi: layer(x).clamp(0, 1)


def mean_of_the_batch(x, xi):
    return (x + 0.1 * (x.mean() - 0.5)).clamp(0, 1)


def largest_of_the_batch(x, xi):
    return x / x.max()


def mean_of_large_batches(x, *xi):
    """Each row by itself, in batches that a part is tried on."""
    return x - 0.2 * x.mean() * (len(x) > 4)


def neighbours_in_fours(x, *xi):
    """As attention in groups of a fixed size: what is not whole is left alone."""
    groups = x[: len(x) // 4 * 4].unflatten(0, (-1, 4))
    return torch.cat(((0.9 * groups + 0.1 * groups.mean(1, keepdim=True)).flatten(0, 1), x[len(x) // 4 * 4 :]))


def first_rows_noise(x, xi):
    return (x + 0.15 * xi.forward(0, like=x)[:1]).clamp(0, 1)


def ids_by_place(x, xi):
    row = torch.arange(len(x), device=x.device).view(-1, 1, 1, 1)
    return (x + 0.05 * row).clamp(0, 1)


def rounds_in_place(x, xi):
    return x.mul_(8).round_().div_(8)


def ids_in_place(x, xi):
    xi.ids.add_(1)
    return (x + 0.1 * xi.forward(0, like=x)).clamp(0, 1)


class Buffered:
    """Returns the same tensor, filled anew at every call."""

    def __init__(self):
        self.buffer = None

    def __call__(self, x, xi):
        if self.buffer is None or self.buffer.shape != x.shape:
            self.buffer = torch.empty_like(x)
        return self.buffer.copy_((x + 0.1 * xi.forward(0, like=x)).clamp(0, 1))


def half_precision(x, xi):
    return x.half()


def as_float64(x, xi):
    return torch.from_numpy(x.detach().cpu().numpy().astype(np.float64))


def as_array(x, xi):
    return x.detach().cpu().numpy()


def as_pair(x, xi):
    return x, None


def in_minus_one_to_one(x, xi):
    return 2 * x - 1


def in_bytes(x, xi):
    return 255 * x


def smaller(x, xi):
    return F.avg_pool2d(x, 2)


def sparse(x, xi):
    return x.to_sparse()


def exits(x, xi):
    raise SystemExit(0)


def not_a_number(x, xi):
    return x / 0 * 0


def three_channels_only(x, xi):
    return F.conv2d(x, torch.ones(3, 3, 1, 1) / 9).clamp(0, 1)


def no_such_name(x, xi):
    return x.no_such_method()


PURIFIERS = {  # part: words of its refusal
    own_randomness: ["torch's global generator", "#generators"],
    own_generator: ["repeated", "#repeats"],
    pythons_randomness: ["Python's global generator", "#generators"],
    seldom_random: ["torch's global generator", "#generators"],
    seeds_by_itself: ["order", "#order"],
    mean_of_the_batch: ["alone", "#rows"],
    largest_of_the_batch: ["alone", "#rows"],
    first_rows_noise: ["order", "#order"],
    ids_by_place: ["order", "#order"],
    rounds_in_place: ["changes the images", "clone", "#copies"],
    half_precision: ["float16", "#image"],
    as_float64: ["float64", "float32", "#image"],
    as_array: ["ndarray", "#image"],
    as_pair: ["tuple", "#image"],
    in_minus_one_to_one: ["[0, 1]", "#image"],
    in_bytes: ["[0, 1]", "#image"],
    smaller: ["shape (3, 1, 4, 4)", "(3, 1, 8, 8)", "#image"],
    sparse: ["layout", "#image"],
    exits: ["SystemExit", "#takes-images"],
    not_a_number: ["NaN", "#image"],
    three_channels_only: ["(3, 1, 8, 8)", "RuntimeError", "3 channels", "#takes-images"],
    no_such_name: ["AttributeError", "no_such_method", "#takes-images"],
}

# Without gradient: refused under an attack by gradients only.


def detached(x, xi):
    return (x + 0.15 * xi.forward(0, like=x)).clamp(0, 1).detach()


def through_numpy(x, xi):
    return torch.from_numpy(np.round(x.detach().cpu().numpy(), 1))


def through_numpy_undetached(x, xi):
    return torch.from_numpy(np.round(x.numpy(), 1))


@torch.no_grad()
def without_grad(x, xi):
    return (x * 0.9).clamp(0, 1)


@torch.inference_mode()
def in_inference_mode(x, xi):
    return (x * 0.9).clamp(0, 1)


def in_bits(x, xi):
    return (255 * x).to(torch.uint8).to(x.dtype) / 255


def constant_but_learned(x, xi):
    """Its result has a graph, of a weight and not of x."""
    return x.detach() * nn.Parameter(torch.tensor(0.9))


WITHOUT_GRADIENT = [
    detached,
    through_numpy,
    through_numpy_undetached,
    without_grad,
    in_inference_mode,
    in_bits,
    constant_but_learned,
]


def rounding(x, xi):
    """Allowed; all of its gradients are zero."""
    return (8 * x).round() / 8


def jpeg(x, xi):
    """As libraries do it: through an encoder."""
    import io

    from PIL import Image

    out = []
    for image in (255 * x).round().byte().cpu().numpy():
        file = io.BytesIO()
        Image.fromarray(image[0]).save(file, "jpeg", quality=50)
        out.append(np.asarray(Image.open(file), dtype=np.float32)[None] / 255)
    return torch.from_numpy(np.stack(out)).to(x)


# Allowed.


def one_rounding_too_high(x, xi):
    return x * (1 + 2**-23) + 2**-23


def one_rounding_too_low(x, xi):
    return x * (1 - 2**-22) - 2**-24


def noisy(x, xi):
    return (x + 0.15 * xi.forward(0, like=x)).clamp(0, 1)


def doubles_every_rounding(x, xi):
    """A chaotic map of every pixel, 40 times: one bit of x is all of the result, for each row by itself."""
    x = 0.1 + 0.8 * (x * x.flatten(1).cumsum(1).view_as(x) % 1)
    for _ in range(40):
        x = 3.99 * x * (1 - x)
    return x


KEPT = [one_rounding_too_high, one_rounding_too_low, noisy, rounding, detached, through_numpy, jpeg]
KEPT.append(doubles_every_rounding)


# Classifiers x → logits.

WEIGHT = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))


def linear(x):
    return x.flatten(1) @ WEIGHT.to(x)


def in_place(x):
    return linear(x.sub_(0.1).div_(0.9))


def inside_a_view(x):
    x.view(len(x), -1)[:, 0] = 0
    return linear(x)


def batch_statistics():
    norm = [nn.BatchNorm2d(1)]  # in a list, where eval() does not reach it
    return lambda x: linear(norm[0].train()(x))


def gpus_of_dropout():
    return lambda x: linear(F.dropout(x, 0.2))  # training by default


def nan_logits(x):
    return linear(x) * float("nan")


def infinite_for_one(x):
    return linear(x).index_fill(0, torch.tensor([len(x) - 1]), float("inf"))


def classes_only(x):
    return linear(x).argmax(1)


def one_hot(x):
    return F.one_hot(linear(x).argmax(1), 10)


def flat(x):
    return linear(x)[0]


def maps(x):
    return linear(x)[..., None, None]


def few_logits(x):
    return linear(x)[:, :5]


def one_logit(x):
    return linear(x)[:, :1]


def probabilities(x):
    return linear(x).softmax(1)


def halves(x):
    return linear(x).half()


def with_features(x):
    return linear(x), linear(x)[:, :7]


def other_key(x):
    return {"out": linear(x), "aux": linear(x)}


def nothing(x):
    linear(x)


def array(x):
    return linear(x).numpy()


def rgb_only(x):
    return F.conv2d(x, torch.ones(10, 3, 8, 8)).flatten(1)


CLASSIFIERS = {
    in_place: ["changes the images", "#copies"],
    inside_a_view: ["changes the images", "#copies"],
    batch_statistics(): ["alone", "#rows"],
    gpus_of_dropout(): ["torch's global generator", "#generators"],
    nan_logits: ["NaN", "#logits"],
    infinite_for_one: ["infinite", "#logits"],
    classes_only: ["shape (3,)", "(B, K)", "#logits"],
    one_hot: ["int64", "#logits"],
    flat: ["shape (10,)", "#logits"],
    maps: ["shape (3, 10, 1, 1)", "#logits"],
    few_logits: ["reach from 0 to 9", "5 columns", "#classes"],
    one_logit: ["1 logit", "#classes"],
    probabilities: ["softmax", "#logits"],
    halves: ["float16", "#logits"],
    with_features: ["(3, 10), (3, 7)", "#logits"],
    other_key: ["dict with out, aux", "#logits"],
    nothing: ["NoneType", "#logits"],
    array: ["ndarray", "#logits"],
    rgb_only: ["(3, 1, 8, 8)", "3 channels", "#takes-images"],
}


class Output(OrderedDict):
    """As transformers has it."""

    logits = property(lambda self: self["logits"])


UNWRAPPED = {
    "tensor": linear,
    "pair with None": lambda x: (linear(x), None),
    "list": lambda x: [linear(x)],
    "with a loss": lambda x: (torch.tensor(0.1), linear(x)),
    "dict": lambda x: {"loss": None, "logits": linear(x)},
    "model output": lambda x: Output(logits=linear(x), hidden_states=(x,)),
    "object": lambda x: SimpleNamespace(logits=linear(x), aux_logits=linear(x)),
}

# Attacks.


def leaves_ball(defence, x, y, noise, progress, *, epsilon, norm="linf"):
    return (x + 5 * epsilon * defence.gradient(x, y).sign()).clamp(0, 1)


def leaves_l2_ball(defence, x, y, noise, progress, *, epsilon, norm="l2"):
    """In the ℓ∞ ball of the same ε."""
    return (x + epsilon * defence.gradient(x, y).sign()).clamp(0, 1)


def one_row_leaves(defence, x, y, noise, progress, *, epsilon):
    moved = x.clone()
    moved[-1] = 1 - moved[-1]
    return moved


def leaves_by_its_own_epsilon(defence, x, y, noise, progress, *, epsilon=0.1):
    return (x + 0.2).clamp(0, 1)


def random_start(defence, x, y, noise, progress, *, epsilon):
    return (x + epsilon * (2 * torch.rand_like(x) - 1)).clamp(0, 1)


_PLACES = itertools.count()


def own_start(defence, x, y, noise, progress, *, epsilon):
    """In one pixel, at every call another one: a generator could take the same twice, and the test would fail then."""
    made, place = x.clone(), next(_PLACES) % 64
    made.view(len(x), -1)[:, place] = (made.view(len(x), -1)[:, place] - epsilon).abs()
    return made


def moves_in_place(defence, x, y, noise, progress, *, epsilon):
    return x.add_(epsilon).clamp_(0, 1)


def of_the_whole_batch(defence, x, y, noise, progress, *, epsilon):
    """One perturbation for all."""
    return (x + epsilon * defence.gradient(x, y).sum(0, keepdim=True).sign()).clamp(0, 1)


def unclamped(defence, x, y, noise, progress, *, epsilon):
    return x + epsilon * defence.gradient(x, y).sign()


def nothing_made(defence, x, y, noise, progress, *, epsilon):
    defence.gradient(x, y)


def numbers(defence, x, y, noise, progress, *, epsilon):
    return x.numpy()


ATTACKS = {
    leaves_ball: ["ℓ∞", "0.15", "#ball"],
    leaves_l2_ball: ["ℓ2", "0.15", "#ball"],
    one_row_leaves: ["ℓ∞", "#ball"],
    random_start: ["torch's global generator", "#generators"],
    own_start: ["repeated", "#repeats"],
    moves_in_place: ["changes the images", "#copies"],
    of_the_whole_batch: ["#rows"],
    unclamped: ["[0, 1]", "#image"],
    nothing_made: ["NoneType", "#image"],
    numbers: ["ndarray", "#image"],
}


class Callable:
    """It has no __name__, and needs none."""

    def __call__(self, defence, x, y, noise, progress, *, epsilon):
        return x


# Loaders (split, n) → x, y, ids.


def _digits(split, n=None):
    from purity.data import digits

    return digits(split, n)


def shuffled(split, n=None):
    x, y, ids = _digits(split)
    order = np.random.default_rng().permutation(len(x))[:n]
    return x[order], y[order], ids[order]


def other_ids(split, n=None):
    x, y, _ = _digits(split, n)
    return x, y, np.random.default_rng().permutation(len(x))


def shuffled_by_n(split, n=None):
    """The same for the same n."""
    x, y, ids = _digits(split, n)
    order = np.random.default_rng(0).permutation(len(x))
    return x[order], y[order], ids[order]


def the_last(split, n=None):
    return tuple(a[-n:] for a in _digits(split))


def all_of_them(split, n=None):
    return _digits(split)


def decimal_labels(split, n=None):
    x, y, ids = _digits(split, n)
    return x, y + 0.5, ids


def float_labels(split, n=None):
    x, y, ids = _digits(split, n)
    return x, y.astype(np.float32), ids


def byte_labels(split, n=None):
    x, y, ids = _digits(split, n)
    return x, y.astype(np.uint8), ids


def names_for_labels(split, n=None):
    x, y, ids = _digits(split, n)
    return x, np.array([f"digit {label}" for label in y]), ids


def one_hot_labels(split, n=None):
    x, y, ids = _digits(split, n)
    return x, np.eye(10, dtype=np.int64)[y], ids


def negative_labels(split, n=None):
    x, y, ids = _digits(split, n)
    return x, y - 1, ids


def no_ids(split, n=None):
    return _digits(split, n)[:2]


def in_255(split, n=None):
    x, y, ids = _digits(split, n)
    return 255 * x, y, ids


def tensors(split, n=None):
    return tuple(map(torch.from_numpy, _digits(split, n)))


def negative_ids(split, n=None):
    x, y, ids = _digits(split, n)
    return x, y, ids - 5


def empty(split, n=None):
    return tuple(a[:0] for a in _digits(split, n))


def broken_file(split, n=None):
    raise KeyError("images")


LOADERS = {
    shuffled: ["asked again", "#same-images"],
    other_ids: ["ids", "asked again", "#same-images"],
    shuffled_by_n: ["first 6 of 12", "#first-n"],
    the_last: ["first 6 of 12", "#first-n"],
    all_of_them: ["12", "300", "#first-n"],
    decimal_labels: ["float64", "#labels"],
    float_labels: ["float32", "#labels"],
    byte_labels: ["uint8", "#labels"],
    names_for_labels: ["<U", "#labels"],
    one_hot_labels: ["(12, 10)", "#labels"],
    negative_labels: ["-1", "#labels"],
    no_ids: ["tuple of ndarray, ndarray", "#image-set"],
    in_255: ["[0, 1]", "#image-set"],
    tensors: ["Tensor", "#image-set"],
    negative_ids: ["ids", "#image-set"],
    empty: ["no images", "#image-set"],
    broken_file: ["KeyError", "images", "#image-set"],
}


# As configs name them: a function that makes the part of this name.


def made(part):
    return globals()[part]


def cannot_be_made():
    raise KeyError("weights")
