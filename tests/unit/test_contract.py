"""What breaks the contract is refused in one line that leads to its rule; what keeps it is let alone, bit by bit."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import broken_parts as parts
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from purity import attacks, contract, data, purifiers
from purity.autoattack import autoattack
from purity.defence import Defence
from purity.gradients import GradientCount
from purity.libraries import advertorch
from purity.noise import Noise
from purity.run.checkpoints import untrained
from purity.stages.jacobian import MODES, basis
from purity.training import train_classifier

ROOT = Path(__file__).parents[2]
XI = Noise(0, torch.tensor([3, 17, 29]))
Y = torch.arange(10)
PGD = {"epsilon": 0.15, "steps": 2, "relative_step": 0.5}
WORST = [{"run": "apgd", "steps": 3}, {"run": "apgd_targeted", "steps": 2, "targets": 2}]


@pytest.fixture
def x(images):
    return images[:3]


def named(values):
    return [pytest.param(part, words, id=getattr(part, "__qualname__", str(part))) for part, words in values.items()]


def refusal(call, *words) -> str:
    with pytest.raises(ValueError) as error:
        call()
    line = str(error.value)
    assert "\n" not in line and "docs/contract.md#" in line and "\x1b" not in line
    for word in words:
        assert word in line, line
    return line


def defence(purify, classify=parts.linear):
    purify = contract.protected_purifier(purify, "f")
    return Defence(contract.protected_classifier(classify, "g"), purify, XI)


# The page.


def refused_rules() -> set[str]:
    """Rules that some code of the package refuses by."""
    found = set()
    for room in (ROOT / "purity").rglob("*.py"):
        for node in ast.walk(ast.parse(room.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "broken":
                assert isinstance(node.args[1], ast.Constant), f"{room}: a rule is named where it is broken"
                found.add(node.args[1].value)
    return found


def test_each_rule_has_one_line_on_the_page_and_each_line_is_a_rule():
    lines = (ROOT / "docs/contract.md").read_text(encoding="utf-8").splitlines()
    anchored = [rule for line in lines for rule in re.findall(r'<a id="([a-z0-9-]+)"></a>', line)]
    assert sorted(anchored) == sorted(refused_rules())
    assert all(line.count("<a id=") <= 1 for line in lines)


# Purifiers.


@pytest.mark.parametrize(("part", "words"), named(parts.PURIFIERS))
def test_a_purifier_that_breaks_a_rule_is_refused_by_name(part, words, x):
    refusal(lambda: contract.check_purifier(part, x, XI, "mine"), "purifier 'mine'", *words)


@pytest.mark.parametrize(
    ("make", "word"), [(parts.Counting, "#repeats"), (parts.dropout, "#generators")], ids=["counting", "dropout"]
)
def test_a_purifier_with_a_state_of_its_own_is_refused(make, word, x):
    refusal(lambda: contract.check_purifier(make(), x, XI, "mine"), word)


def test_a_part_that_changes_later_is_refused_when_it_is_asked_once_more(x):
    contract.check_purifier(parts.Tiring(20), x, XI, "mine")()
    again = contract.check_purifier(parts.Tiring(5), x, XI, "mine")
    refusal(again, "purifier 'mine'", "repeated", "#repeats")
    tired = parts.Tiring(5)
    refusal(contract.check_classifier(lambda x: parts.linear(tired(x)), x, Y, "mine"), "classifier 'mine'", "#repeats")
    tired = parts.Tiring(5)
    refusal(contract.check_features(lambda x: tired(x).flatten(1), x, "features 'mine'"), "features 'mine'", "#repeats")
    for batchwise, calls in ((False, 4), (True, 2)):
        moved = parts.Tiring(calls + 1)
        given = ({}, None, x, Y[:3], XI, "mine", batchwise)
        again = contract.check_attack(lambda *given, moved=moved: moved(given[1]), *given)
        refusal(again, "attack 'mine'", "repeated", "#repeats")


@pytest.mark.parametrize("mixing", [parts.mean_of_large_batches, parts.neighbours_in_fours])
def test_rows_that_depend_on_others_in_large_batches_only_are_refused_there(mixing, images):
    x = 0.2 + 0.8 * images[:9]
    xi = Noise(0, torch.arange(9))
    contract.check_purifier(mixing, x[:3], XI, "mine")
    made = contract.protected_purifier(mixing, "mine")
    made(x[:3], XI)
    refusal(lambda: made(x, xi), "purifier 'mine'", "alone", "#rows")
    classify = contract.protected_classifier(lambda x: parts.linear(mixing(x)), "mine")
    refusal(lambda: classify(x.requires_grad_()), "classifier 'mine'", "alone", "#rows")
    features = contract.protected_features(lambda x: mixing(x).flatten(1), "features 'mine'")
    refusal(lambda: features(x), "features 'mine'", "alone", "#rows")


def test_what_changes_within_a_job_is_not_taken_for_company(images):
    made = contract.protected_purifier(parts.Tiring(2), "mine")
    refusal(lambda: made(0.2 + 0.8 * images[:9], Noise(0, torch.arange(9))), "purifier 'mine'", "repeated", "#repeats")


def test_a_row_is_asked_for_alone_once_for_each_larger_batch(images):
    seen = []

    def purify(x, xi):
        seen.append(len(x))
        return parts.doubles_every_rounding(x, xi)

    made = contract.protected_purifier(purify, "mine")
    for n in (4, 4, 2, 6, 1):
        made(images[:n], Noise(0, torch.arange(n)))
    assert [n for n in seen if n > 1] == [4, 4, 2, 6] and seen.count(1) <= 5


@pytest.mark.parametrize("part", parts.KEPT, ids=lambda part: part.__name__)
def test_a_purifier_that_keeps_the_rules_is_let_alone(part, x):
    contract.check_purifier(part, x, XI, "mine")
    contract.check_purifier(contract.protected_purifier(part, "mine"), x, XI, "mine")


def test_the_projects_own_purifiers_keep_the_rules(unet, x):
    for t in (10, 1000):
        options = {"t": t, "clip": False}
        steps = {"steps": 10, "sigma": "large"}
        made = [
            purifiers.identity(),
            purifiers.gaussian(0.15),
            purifiers.ddpm(unet, **options, **steps, forward="iterated"),
            purifiers.reverse(unet, **options, **steps),
            purifiers.ddim(unet, **options, steps=10, forward="one-step"),
            purifiers.one_step(unet, **options),
        ]
        for f in made:
            contract.check_purifier(f, x, XI, "ours")


def test_a_classifier_in_the_place_of_the_images_is_checked_in_float64_too(x, cnn64):
    contract.check_purifier(parts.noisy, x.double(), XI, "mine")
    contract.check_classifier(cnn64, x.double(), Y, "mine")


@pytest.mark.parametrize("part", [parts.one_rounding_too_high, parts.one_rounding_too_low])
def test_a_rounding_outside_is_cut_and_its_gradient_passes(part, x):
    white = torch.cat([x, torch.ones_like(x[:1]), torch.zeros_like(x[:1])]).requires_grad_()
    raw = part(white, None)
    assert raw.max() > 1 or raw.min() < 0
    cut = contract.image_of(raw, white, "f")
    assert cut.min() >= 0 and cut.max() <= 1 and torch.equal(cut, raw.clamp(0, 1))
    (gradient,) = torch.autograd.grad(cut.sum(), white)
    assert (gradient != 0).all()


def test_what_is_further_outside_is_said_with_all_its_digits():
    x = torch.full((1, 1, 2, 2), 0.5)
    out = x.clone()
    out[0, 0, 0, 0] = 1.00001
    line = refusal(lambda: contract.image_of(out, x, "f"), "leave [0, 1]")
    assert "1.00001" in line and "0.5" in line


def test_an_image_comes_back_as_it_is(x):
    assert contract.image_of(x, x, "f") is x


# Protection.


def test_a_part_cannot_change_what_it_is_given(x):
    ids = XI.ids.clone()
    for part in (parts.rounds_in_place, parts.ids_in_place):
        before = x.clone()
        contract.protected_purifier(part, "f")(x, XI)
        assert torch.equal(x, before) and torch.equal(XI.ids, ids)
    for part in (parts.in_place, parts.inside_a_view):
        before = x.clone()
        logits = contract.protected_classifier(part, "g")(x)
        assert torch.equal(x, before) and torch.equal(logits, part(x.clone()))
    y = Y[:3].clone()
    before = x.clone()

    def greedy(defence, x, y, noise, progress, *, epsilon, scales):
        y.zero_(), noise.ids.zero_(), scales.append(1)
        return x.add_(epsilon).clamp_(0, 1)

    scales = [1, 2]
    made = contract.protected_attack(greedy, "a")(None, x, y, XI, iter, epsilon=0.1, scales=scales)
    assert torch.equal(x, before) and torch.equal(y, Y[:3]) and torch.equal(XI.ids, ids) and scales == [1, 2]
    assert torch.equal(made, (x + 0.1).clamp(0, 1))


def test_a_result_does_not_change_when_the_part_is_called_again(x):
    f = contract.protected_purifier(parts.Buffered(), "f")
    once = f(x, XI)
    kept = once.clone()
    f(x, XI.at(1))
    assert torch.equal(once, kept)
    buffer = torch.empty(3, 10)
    g = contract.protected_classifier(lambda x: buffer[: len(x)].copy_(parts.linear(x)), "g")
    once = g(x)
    kept = once.clone()
    g(1 - x)
    assert torch.equal(once, kept)


def test_states_are_protected_and_only_the_last_has_to_be_an_image(x):
    class Walking:
        def __call__(self, x, xi):
            return x

        def states(self, x, xi):
            moving = x
            yield 0, moving
            for t in (1, 2):
                yield t, moving.add_(1)
            yield 3, moving.sub_(2)

    f = contract.protected_purifier(Walking(), "f")
    before = x.clone()
    times, states = zip(*f.states(x, XI), strict=True)
    assert times == (0, 1, 2, 3) and torch.equal(x, before)
    for state, wanted in zip(states, (x, x + 1, x + 1 + 1, x + 1 + 1 - 2), strict=True):
        assert torch.equal(state, wanted.clamp(0, 1) if wanted.max() < 1.5 else wanted)
    assert not hasattr(contract.protected_purifier(parts.noisy, "f"), "states")

    class Leaving(Walking):
        def states(self, x, xi):
            yield 0, x
            yield 1, x + 1

    refusal(lambda: list(contract.protected_purifier(Leaving(), "f").states(x, XI)), "#image")


def test_the_last_state_is_what_a_purifier_returns(x):
    class Two:
        def __call__(self, x, xi):
            return parts.noisy(x, xi)

        def states(self, x, xi):
            yield 0, x
            yield 1, self.end(x, xi)

    for end, refused in ((parts.noisy, False), (lambda x, xi: parts.noisy(x, xi.at(1)), True)):
        purify = Two()
        purify.end = end
        if refused:
            refusal(lambda f=purify: contract.check_purifier(f, x, XI, "mine"), "purifier 'mine'", "#states")
        else:
            contract.check_purifier(purify, x, XI, "mine")
    purify.states = lambda x, xi: iter(())
    refusal(lambda: contract.check_purifier(purify, x, XI, "mine"), "yields none", "#states")


def test_a_mistake_that_a_part_says_itself_is_said_with_its_name(x):
    def unwilling(*given, **options):
        raise ValueError("needs\nmore")

    for call, who in (
        (lambda: contract.protected_purifier(unwilling, "f")(x, XI), "purifier 'f': needs"),
        (lambda: contract.protected_classifier(unwilling, "g")(x), "classifier 'g': needs"),
        (lambda: contract.protected_attack(unwilling, "a")(None, x, Y[:3], XI), "attack 'a': needs"),
    ):
        with pytest.raises(ValueError) as error:
            call()
        assert str(error.value) == who


def test_protection_changes_no_bit_of_value_or_gradient(x, cnn, unet):
    f = purifiers.ddpm(unet, t=20, steps=3, sigma="large", clip=True, forward="iterated")
    y = torch.tensor([1, 2, 3])
    plain = Defence(cnn, f, XI)
    held = Defence(contract.protected_classifier(cnn, "g"), contract.protected_purifier(f, "f"), XI)
    assert torch.equal(plain(x), held(x)) and torch.equal(plain.gradient(x, y), held.gradient(x, y))
    a = attacks.pgd(plain, x, y, XI, **PGD)
    assert torch.equal(a, contract.protected_attack(attacks.pgd, "pgd")(held, x, y, XI, iter, **PGD))
    g = contract.protected_classifier(cnn, "g")
    assert torch.equal(g.features(x), cnn.features(x))
    assert not hasattr(contract.protected_classifier(parts.linear, "g"), "features")


@pytest.mark.parametrize("mode", MODES)
def test_a_protected_purifier_has_the_same_jacobian(mode, images, unet64):
    f = purifiers.ddim(unet64, t=20, steps=2, clip=False, forward="one-step")
    held = contract.protected_purifier(f, "f")
    x = images[:1].double()
    e = basis(torch.arange(0, 64, 16), x)
    wanted, found = (MODES[mode](lambda z, p=p: p(z, XI.rows(torch.zeros(len(z)).long())), x)(e) for p in (f, held))
    assert torch.equal(wanted, found)


def test_a_callable_without_a_name_is_an_attack(x):
    made = contract.protected_attack(parts.Callable(), "mine")
    assert torch.equal(made(None, x, Y[:3], XI, iter, epsilon=0.1), x) and made.__name__ == "mine"
    contract.check_attack(parts.Callable(), {"epsilon": 0.1}, None, x, Y[:3], XI, "mine")


def test_lack_of_memory_stays_what_it_is(x):
    def full(*given, **options):
        raise RuntimeError("CUDA error: out of memory")

    for call in (
        lambda: contract.protected_classifier(full, "g")(x),
        lambda: contract.protected_purifier(full, "f")(x, XI),
        lambda: contract.protected_attack(full, "a")(defence(parts.noisy), x, Y[:3], XI, iter, epsilon=0.1),
        lambda: contract.check_gradient(Defence(full, full, XI), x),
    ):
        with pytest.raises(RuntimeError, match="out of memory"):
            call()


# Classifiers.


@pytest.mark.parametrize(("part", "words"), named(parts.CLASSIFIERS))
def test_a_classifier_that_breaks_a_rule_is_refused_by_name(part, words, x):
    refusal(lambda: contract.check_classifier(part, x, Y, "mine"), "classifier 'mine'", *words)


@pytest.mark.parametrize("part", parts.UNWRAPPED.values(), ids=parts.UNWRAPPED)
def test_logits_are_found_in_common_containers(part, x):
    contract.check_classifier(part, x, Y, "mine")
    assert torch.equal(contract.protected_classifier(part, "mine")(x), parts.linear(x))


def test_the_projects_own_classifier_keeps_the_rules(cnn, x):
    contract.check_classifier(cnn, x, Y, "ours")


@pytest.mark.parametrize(("labels", "said"), [([0, 10], "from 0 to 10"), ([1, 10], "from 1 to 10"), ([-1], "-1")])
def test_labels_are_columns_of_the_logits(labels, said, x):
    refusal(lambda: contract.check_classifier(parts.linear, x, torch.tensor(labels), "g"), said, "#classes")
    contract.check_classifier(parts.linear, x, torch.tensor([0, 9]), "g")


# Attacks.


@pytest.mark.parametrize(("part", "words"), named(parts.ATTACKS))
def test_an_attack_that_breaks_a_rule_is_refused_by_name(part, words, x):
    def check():
        contract.check_attack(part, {"epsilon": 0.15}, defence(parts.noisy), x, Y[:3], XI, "mine")

    refusal(check, "attack 'mine'", *words)


def test_an_attack_may_depend_on_its_batch_if_it_says_so(x):
    part = parts.of_the_whole_batch
    contract.check_attack(part, {"epsilon": 0.15}, defence(parts.noisy), x, Y[:3], XI, "mine", batchwise=True)


@pytest.mark.parametrize("part", [parts.leaves_ball, parts.leaves_l2_ball, parts.one_row_leaves, parts.random_start])
def test_an_attack_is_held_to_its_ball_and_noise_in_every_batch(part, x):
    run = contract.protected_attack(part, "mine")
    refusal(lambda: run(defence(parts.noisy), x, Y[:3], XI, iter, epsilon=0.15), "attack 'mine'")


@pytest.mark.parametrize("norm", ["l2", "L2", 2])
def test_the_norm_is_that_of_the_options(norm, x):
    run = contract.protected_attack(parts.leaves_ball, "mine")
    f = defence(parts.noisy)
    refusal(lambda: run(f, x, Y[:3], XI, iter, epsilon=0.05, norm=norm), "ℓ2")
    assert run(f, x, Y[:3], XI, iter, epsilon=0.0, norm=norm).shape == x.shape


def test_an_epsilon_that_only_the_function_names_counts(x):
    run = contract.protected_attack(parts.leaves_by_its_own_epsilon, "mine")
    refusal(lambda: run(None, x, Y[:3], XI, iter), "0.1", "#ball")
    assert run(None, x, Y[:3], XI, iter, epsilon=0.2).shape == x.shape


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("size", [8, 224])
def test_a_step_to_the_edge_of_the_ball_stays_in_it_by_rounding(norm, size):
    """In float32, on images of the papers' size, with an ε that float32 does not hold."""
    x = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    g = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    for epsilon in (4 / 255, 0.5, 0.15):
        d = contract.BALLS[norm].project(1e6 * g, epsilon)
        contract.check_ball(x + d, x, epsilon, norm, "a")  # not clamped: the whole length counts
        with pytest.raises(ValueError, match="ball"):
            contract.check_ball(x + 1.01 * d, x, epsilon, norm, "a")


@pytest.mark.parametrize(
    ("run", "options", "blind"),
    [
        (attacks.uniform, {"epsilon": 0.15, "cut": True}, True),
        (attacks.pgd, PGD, False),
        (attacks.pgd, PGD | {"norm": "l2", "draws": 2}, False),
        (attacks.bpda, PGD, False),
        (attacks.uniform, {"epsilon": 0.15}, True),
        (attacks.pgd, PGD | {"schedule": "cosine", "loss": "margin"}, False),
        (attacks.apgd, {"epsilon": 0.15, "steps": 4}, False),
        (attacks.apgd_targeted, {"epsilon": 0.15, "steps": 3, "targets": 2}, False),
        (attacks.worst_of, {"epsilon": 0.15, "attacks": WORST}, False),
        (attacks.worst_of, {"epsilon": 0.15, "attacks": WORST, "norm": "l2", "judgings": 2}, False),
    ],
)
def test_the_projects_own_attacks_keep_the_rules(run, options, blind, x, cnn, unet):
    f = purifiers.ddpm(unet, t=20, steps=2, sigma="large", clip=True, forward="iterated")
    on = None if blind else defence(f, cnn)
    contract.check_attack(run, options, on, x, Y[:3], XI, "ours")


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_autoattack_keeps_the_rules(norm, x, cnn):
    options = {"epsilon": 0.15, "norm": norm, "steps": 2, "queries": 5}
    contract.check_attack(autoattack, options, defence(purifiers.identity(), cnn), x, Y[:3], XI, "aa")


def beyond(defence, x, y, noise, progress, *, epsilon, cut=True):
    """An attack that leaves [0, 1]."""
    return x + epsilon * (2 * (x > 0.5) - 1)


def test_only_a_blind_attack_that_says_so_may_leave_the_range_of_images(x):
    """`cut: false` in its options or by default; it is held to its ball all the same."""
    on = defence(parts.noisy)
    for check in (
        lambda d, options: contract.check_attack(beyond, options, d, x, Y[:3], XI, "mine"),
        lambda d, options: contract.protected_attack(beyond, "mine")(d, x, Y[:3], XI, iter, **options),
    ):
        check(None, {"epsilon": 2.0, "cut": False})
        for d, options in ((None, {}), (None, {"cut": True}), (on, {"cut": False})):
            refusal(
                lambda c=check, d=d, o=options: c(d, {"epsilon": 2.0} | o), "attack 'mine'", "leave [0, 1]", "#image"
            )
    contract.check_attack(
        lambda *given, epsilon, cut=False: beyond(*given, epsilon=epsilon), {"epsilon": 2.0}, None, x, Y[:3], XI, "mine"
    )
    run = contract.protected_attack(lambda *given, epsilon, cut: beyond(*given, epsilon=2 * epsilon), "mine")
    refusal(lambda: run(None, x, Y[:3], XI, iter, epsilon=2.0, cut=False), "attack 'mine'", "#ball")


def test_what_is_no_number_is_refused_uncut_too(x):
    run = contract.protected_attack(lambda d, x, *given, cut: x / 0, "mine")
    refusal(lambda: run(None, x, Y[:3], XI, iter, cut=False), "NaN or infinite", "#image")


@pytest.mark.parametrize("make", ["identity", "gaussian", "ddpm", "one_step"])
def test_purifiers_take_uncut_noise_and_give_images(make, x, unet):
    f = {
        "identity": lambda: purifiers.identity(),
        "gaussian": lambda: purifiers.gaussian(0.1),
        "ddpm": lambda: purifiers.ddpm(unet, t=20, steps=2, sigma="large", clip=True, forward="iterated"),
        "one_step": lambda: purifiers.one_step(unet, t=20, clip=True),
    }[make]()
    noisy = attacks.uniform(None, x, None, XI, epsilon=0.6)
    assert noisy.min() < 0 and noisy.max() > 1
    made = contract.protected_purifier(f, make)(noisy, XI)  # which refuses what is no image
    assert made.min() >= 0 and made.max() <= 1


# Gradients.


def by_hand(defence, x, y, noise, progress, *, epsilon):
    """A user's attack that does not ask the defence for the gradient."""
    x = x.requires_grad_()
    (g,) = torch.autograd.grad(F.cross_entropy(defence(x), y), x)
    return (x + epsilon * g.sign()).clamp(0, 1)


@pytest.mark.parametrize("run", [attacks.pgd, by_hand], ids=["pgd", "by hand"])
@pytest.mark.parametrize("part", [*parts.WITHOUT_GRADIENT, parts.jpeg], ids=lambda part: part.__name__)
def test_a_purifier_without_gradient_is_refused_under_gradients_and_bpda_is_named(part, run, x):
    attack = contract.protected_attack(run, "mine")
    options = PGD if run is attacks.pgd else {"epsilon": 0.15}
    refusal(
        lambda: attack(defence(part), x, Y[:3], XI, iter, **options),
        "purifier 'f'",
        "attack 'mine'",
        "BPDA",
        "#gradient",
    )


@pytest.mark.parametrize("part", [*parts.WITHOUT_GRADIENT, parts.jpeg], ids=lambda part: part.__name__)
def test_a_purifier_without_gradient_is_fine_under_bpda_and_blind_attacks(part, x):
    for run, options in ((attacks.bpda, PGD), (attacks.uniform, {"epsilon": 0.15, "cut": True})):
        made = contract.protected_attack(run, "a")(defence(part), x, Y[:3], XI, iter, **options)
        assert not torch.equal(made, x)


def test_a_classifier_without_gradient_is_named_and_not_the_purifier(x):
    g = lambda x: parts.linear(x).detach()  # noqa: E731
    for run in (attacks.pgd, attacks.bpda):
        attack = contract.protected_attack(run, "mine")
        refusal(
            lambda a=attack: a(defence(parts.detached, g), x, Y[:3], XI, iter, **PGD), "classifier 'g'", "#gradient"
        )


def test_another_mistake_of_an_attack_is_not_taken_for_a_lack_of_gradient(x):
    def wrong(defence, x, y, noise, progress, *, epsilon):
        return defence(x) @ x

    attack = contract.protected_attack(wrong, "mine")
    line = refusal(
        lambda: attack(defence(parts.detached), x, Y[:3], XI, iter, epsilon=0.1), "attack 'mine'", "RuntimeError"
    )
    assert "BPDA" not in line


@pytest.mark.parametrize("part", [parts.detached, parts.through_numpy, parts.jpeg], ids=lambda part: part.__name__)
@pytest.mark.parametrize(
    ("run", "options"),
    [
        (autoattack, {"epsilon": 0.1, "steps": 2, "queries": 2}),
        (advertorch, {"epsilon": 0.1, "attack": "LinfMomentumIterativeAttack", "nb_iter": 2}),
    ],
    ids=["autoattack", "advertorch"],
)
def test_attacks_of_libraries_name_bpda_too(run, options, part, x):
    y = parts.linear(part(x, XI)).argmax(1)  # who is fooled already is not attacked
    counted = replace(defence(part), counted=GradientCount.of(x))
    attack = contract.protected_attack(run, "mine")
    refusal(lambda: attack(counted, x, y, XI, iter, **options), "purifier 'f'", "attack 'mine'", "BPDA", "#gradient")


# Features.


class Featured:
    def __init__(self, features):
        self.features = features

    def __call__(self, x):
        return parts.linear(x)


FEATURES = {
    lambda x: x.flatten(1)[:, :, None]: ["(3, 64, 1)", "#features"],
    lambda x: x.flatten(1)[:1]: ["(1, 64)", "#features"],
    lambda x: x.flatten(1)[:, :0]: ["(3, 0)", "#features"],
    lambda x: [x.flatten(1)]: ["list", "#features"],
    lambda x: x.flatten(1).half(): ["float16", "#features"],
    lambda x: x.flatten(1) / 0: ["no finite", "#features"],
}


@pytest.mark.parametrize(("features", "words"), FEATURES.items())
def test_features_that_break_a_rule_are_refused_at_every_call_and_when_they_are_tried(features, words, x):
    x = x.clamp(min=0.1)
    refusal(lambda: contract.check_features(features, x, "features 'mine'"), "features 'mine'", *words)
    refusal(lambda: contract.protected_features(features, "features 'mine'")(x), "features 'mine'", *words)
    protected = contract.protected_classifier(Featured(features), "mine")
    refusal(lambda: protected.features(x), "features of classifier 'mine'", *words)


def test_features_that_see_other_rows_or_change_images_are_refused_when_they_are_tried(x):
    for features, words in (
        (lambda x: x.flatten(1) - x.mean(), ["alone", "#rows"]),
        (lambda x: x.sub_(0.1).flatten(1), ["changes the images", "#copies"]),
        (lambda x: x.flatten(1) + torch.rand(64), ["global generator", "#generators"]),
    ):
        refusal(lambda f=features: contract.check_features(f, x, "features 'mine'"), "features 'mine'", *words)


def test_features_cannot_change_what_is_stored(x):
    given = x.clone()
    contract.protected_features(lambda x: x.sub_(0.1).flatten(1), "features 'mine'")(given)
    assert torch.equal(given, x)


# Loaders.


@pytest.mark.parametrize(("part", "words"), named(parts.LOADERS))
def test_a_loader_that_breaks_a_rule_is_refused_by_name(part, words):
    refusal(lambda: data.check_loader(part, "test", 12, {}, "mine"), "dataset 'mine'", *words)


def test_more_images_than_there_are_is_said_with_their_number():
    refusal(lambda: data.check_loader(parts._digits, "test", 301, {}, "d"), "301", "300", "#enough-images")
    x, y, ids = data.check_loader(parts._digits, "test", 300, {}, "d")
    assert all(np.array_equal(a, b) for a, b in zip((x, y, ids), parts._digits("test"), strict=True))


# Training.


def test_training_needs_a_column_for_every_label():
    network = untrained("purity.networks:cnn", {"classes": 9, "width": 8, "features": 8})
    given = {"epochs": 1, "batch": 5, "rate": 1e-3, "seed": 0}
    refusal(lambda: train_classifier(network, torch.rand(10, 1, 8, 8), Y, **given), "9 columns", "to 9", "#classes")
