"""Paths of attackers are those of the attacks themselves, and the losses along and around them those of the images."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from jobs import job

from purity import attacks, purifiers
from purity.attacks import Attack
from purity.defence import KNOWLEDGE, Defence
from purity.noise import ATTACKER, Noise
from purity.stages.attack import attack
from purity.stages.paths import SPAN, attack_paths, loss_landscape

N, R, STEPS, EPSILON = 5, 2, 3, 0.15
XI = Noise(5, torch.arange(N) + 40)
PGD = {"epsilon": EPSILON, "steps": STEPS, "relative_step": 0.4}
RUNS = {"pgd": attacks.pgd, "bpda": attacks.bpda}
KINDS = {"white_box": R, "eot": R, "dw_box": 1}

# What float64 leaves in losses of about 1 when a batch is another one.
ROUNDING = 1e-12


@pytest.fixture(scope="module")
def defended(unet64, cnn64, images):
    """Images, labels, a classifier and a purifier that meets noise both ways."""
    x = images[:N].double()
    ddpm = {"t": 100, "steps": 2, "sigma": "large", "clip": True, "recompute": False, "forward": "one-step"}
    y = cnn64(x).argmax(1)
    return x.numpy(), y.numpy(), {"classify": cnn64, "purify": purifiers.ddpm(unet64, **ddpm)}


def paths_of(defended, run="pgd", draws=3, repeats=R, batch=N * R, xi=XI, rows=slice(None), **options):
    x, y, judges = defended
    options = PGD | options
    return attack_paths(
        x[rows],
        y[rows],
        xi,
        job=job(batch),
        attack=Attack(RUNS[run], options),
        eot=Attack(RUNS[run], options | {"draws": draws}),
        repeats=repeats,
        **judges,
    )


@pytest.fixture(scope="module")
def made_paths(defended):
    """made_paths(run, **options): paths, made once."""
    made = {}

    def get(run="pgd", **options):
        key = run, *sorted(options.items())
        if key not in made:
            made[key] = paths_of(defended, run, **options)
        return made[key]

    return get


STARTS = [("pgd", True), ("pgd", False), ("bpda", True)]


# Paths.


def test_a_path_is_there_for_every_image_repeat_and_step(made_paths):
    paths = made_paths()
    assert paths.keys() == {*KINDS, *(f"{kind}_loss" for kind in KINDS)}
    for kind, repeats in KINDS.items():
        assert paths[kind].shape == (N, repeats, STEPS + 1, 1, 8, 8) and paths[kind].dtype == np.float64
        assert paths[f"{kind}_loss"].shape == (N, repeats, STEPS + 1)


@pytest.mark.parametrize(("run", "start"), STARTS)
def test_every_path_begins_at_the_image(made_paths, defended, run, start):
    """With a random start, too, which is no step."""
    paths = made_paths(run, random_start=start)
    for kind in KINDS:
        assert (paths[kind][:, :, 0] == defended[0][:, None]).all()


@pytest.mark.parametrize(("run", "start"), STARTS)
@pytest.mark.parametrize(
    ("kind", "knowledge", "draws"), [("white_box", "none", 1), ("eot", "none", 3), ("dw_box", "all", 1)]
)
def test_a_path_ends_at_the_adversarial_image_of_the_attack(made_paths, defended, run, start, kind, knowledge, draws):
    """Bit for bit, that of the first repeat."""
    x, y, judges = defended
    options = PGD | {"random_start": start, "draws": draws}
    wanted = attack(x, y, XI, job=job(N), attack=Attack(RUNS[run], options), knowledge=knowledge, **judges)["x"]
    assert np.array_equal(made_paths(run, random_start=start)[kind][:, 0, -1], wanted)
    assert not np.array_equal(wanted, x)


@pytest.mark.parametrize("kind", KINDS)
def test_the_places_of_a_path_are_the_iterates_of_the_attack(made_paths, defended, kind):
    """PGD of fewer steps ends earlier on the same path."""
    for steps in range(1, STEPS):
        assert np.array_equal(made_paths(steps=steps)[kind][:, :, -1], made_paths()[kind][:, :, steps])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_step_is_no_longer_than_it_may_be_and_stays_in_the_ball_and_the_range_of_images(made_paths, kind, norm):
    epsilon = {"linf": EPSILON, "l2": 1.0}[norm]
    paths = made_paths(norm=norm, epsilon=epsilon, random_start=False)[kind]
    flat = paths.reshape(*paths.shape[:3], -1)
    length = partial(np.linalg.norm, axis=-1, ord={"linf": np.inf, "l2": 2}[norm])
    steps, far = length(np.diff(flat, axis=2)), length(flat - flat[:, :, :1])
    assert steps.max() <= 0.4 * epsilon + ROUNDING and steps.min() > 0
    assert far.max() <= epsilon + ROUNDING and far[:, :, -1].min() > 0.4 * epsilon
    assert paths.min() >= 0 and paths.max() <= 1


@pytest.mark.parametrize("kind", ["white_box", "eot"])
def test_another_repeat_meets_other_draws_on_its_way_from_the_same_start(made_paths, kind):
    paths = made_paths()[kind]
    assert np.array_equal(paths[:, 0, 0], paths[:, 1, 0])
    apart = (paths[:, 0] != paths[:, 1]).reshape(N, STEPS + 1, -1).any(axis=2)
    assert apart[:, 1:].all()


def test_repeats_begin_at_draws_a_span_apart(made_paths, defended):
    """The second repeat of an image is the attack whose draws begin there."""
    x, y, judges = defended
    defence = Defence(**judges, xi=XI, knowledge="none", first=ATTACKER + SPAN)
    for kind, draws in (("white_box", 1), ("eot", 3)):
        end = attacks.pgd(defence, torch.from_numpy(x), torch.from_numpy(y), XI, **PGD, draws=draws)
        assert np.array_equal(made_paths()[kind][:, 1, -1], end.numpy())


def test_the_three_attackers_go_different_ways(made_paths):
    ends = [made_paths()[kind][:, 0, -1].reshape(N, -1) for kind in KINDS]
    for i, one in enumerate(ends):
        assert all((one != other).any(axis=1).all() for other in ends[:i])


def test_to_average_over_one_draw_is_to_follow_single_gradients(made_paths):
    paths = made_paths(draws=1)
    assert np.array_equal(paths["eot"], paths["white_box"]) and np.array_equal(
        paths["eot_loss"], paths["white_box_loss"]
    )


def test_more_repeats_leave_the_first_ones_as_they_are(made_paths):
    """To the rounding of another batch."""
    few, more = made_paths(), made_paths(repeats=3, batch=1)
    for kind in ("white_box", "eot"):
        assert more[kind].shape[1] == 3 and more[kind][:, :R] == pytest.approx(few[kind], abs=ROUNDING)
    assert more["dw_box"] == pytest.approx(few["dw_box"], abs=ROUNDING)


def towards_black(defence, x, y, noise, progress=iter, *, by: float):
    """An attack that says nothing of its steps, and looks at no defence."""
    return (x - by).clamp(0, 1)


def untold(defence, x, y, noise, progress=iter, *, by: float):
    """One that says nothing of the gradients that it asks for."""
    for k in range(2):
        x = (x + by * defence.gradient(x, y, k).sign()).clamp(0, 1)
    return x


@pytest.mark.parametrize("run", [towards_black, untold])
def test_of_an_attack_that_tells_no_steps_the_path_is_its_two_ends(defended, run):
    x, y, judges = defended
    given = Attack(run, {"by": 0.1})
    paths = attack_paths(x, y, XI, job=job(N * R), attack=given, eot=given, repeats=R, **judges)
    wanted = attack(x, y, XI, job=job(N), attack=given, knowledge="all", **judges)["x"]
    assert paths["dw_box"].shape == (N, 1, 2, 1, 8, 8) and paths["dw_box_loss"].shape == (N, 1, 2)
    assert np.array_equal(paths["dw_box"][:, 0, 0], x) and np.array_equal(paths["dw_box"][:, 0, 1], wanted)


def test_attacks_of_different_length_have_paths_of_their_own_length(defended):
    x, y, judges = defended
    given = {"attack": Attack(attacks.pgd, PGD), "eot": Attack(attacks.pgd, PGD | {"steps": 1, "draws": 2})}
    paths = attack_paths(x, y, XI, job=job(N), repeats=1, **given, **judges)
    assert [paths[kind].shape[2] for kind in KINDS] == [STEPS + 1, 2, STEPS + 1]


# Losses.


def lost(x: np.ndarray, defended, xi: Noise = XI) -> np.ndarray:
    """Cross-entropy of images (n, …, C, H, W) under draw 0, one call for each place."""
    _, y, judges = defended
    places = torch.from_numpy(x).unflatten(0, (len(x), 1)).flatten(1, -4).unbind(1)
    with torch.no_grad():
        logits = [judges["classify"](judges["purify"](place, xi)) for place in places]
    chosen = [(row.logsumexp(1) - row[torch.arange(len(x)), torch.from_numpy(y)]).numpy() for row in logits]
    return np.stack(chosen, axis=1).reshape(x.shape[:-3])


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_losses_are_the_cross_entropy_under_the_fixed_draw(made_paths, defended, run, kind):
    """The same one for all: all paths of an image begin at the same loss."""
    paths = made_paths(run)
    assert paths[f"{kind}_loss"] == pytest.approx(lost(paths[kind], defended), abs=ROUNDING)
    assert paths[f"{kind}_loss"][:, :, 0] == pytest.approx(paths["dw_box_loss"][:, [0] * KINDS[kind], 0], abs=ROUNDING)


def test_the_draw_of_the_given_noise_does_not_matter(made_paths, defended):
    """Draw 0 is meant whatever it stands at."""
    for kind, value in paths_of(defended, xi=XI.at(7)).items():
        assert np.array_equal(value, made_paths()[kind])


def test_who_knows_the_noise_raises_the_loss_under_it(made_paths):
    """By a lot, on every image: an untrained classifier is no safe one."""
    loss = made_paths()["dw_box_loss"][:, 0]
    assert (loss[:, -1] > loss[:, 0] + 0.1).all()
    assert loss[:, -1].mean() > made_paths()["white_box_loss"][:, :, -1].mean()


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("batch", [1, 3, 100])
def test_paths_do_not_depend_on_the_batch(made_paths, run, batch):
    wanted, found = made_paths(run), made_paths(run, batch=batch)
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype and found[name] == pytest.approx(value, abs=ROUNDING), name


def test_paths_of_some_images_are_those_among_all(made_paths, defended):
    rows = [3, 1]
    found = paths_of(defended, rows=rows, xi=XI.rows(torch.tensor(rows)))
    for name, value in made_paths().items():
        assert found[name] == pytest.approx(value[rows], abs=ROUNDING), name


# Landscapes.


def surface(defended, known, expected, points=3, reach=2.0, batch=100, xi=XI):
    """known, expected (n, S + 1, C, H, W): one path of each attacker."""
    x, y, judges = defended
    n, paths = len(known), (known[:, None], expected[:, None])
    given = {"job": job(batch), "points": points, "reach": reach}
    return loss_landscape(x[:n], y[:n], *paths, xi, **given, **judges)


@pytest.fixture(scope="module")
def ways(made_paths):
    """Paths of who knows ξ and of who averages over it, inside the range of images but not everywhere."""
    return tuple(made_paths()[kind][:, 0] for kind in ("dw_box", "eot"))


@pytest.fixture(scope="module")
def seen(defended, ways):
    return surface(defended, *ways)


def directions_of(x, known, expected):
    """d, r and the coefficient of d in the EOT perturbation, from their definition."""
    d, e = (way[:, -1] - x for way in (known, expected))
    coefficient = ((d * e).sum((1, 2, 3)) / (d * d).sum((1, 2, 3))).reshape(-1, 1, 1, 1)
    return d, e - coefficient * d, coefficient


def test_a_landscape_has_a_loss_at_every_point_of_its_grid(seen):
    assert seen.keys() == {"at", "loss", "dw_box", "eot"}
    assert seen["at"].tolist() == [0, 1, 2]
    assert seen["loss"].shape == (N, 3, 3) and seen["loss"].dtype == np.float64
    assert seen["dw_box"].shape == seen["eot"].shape == (N, STEPS + 1, 2)


def test_its_corner_is_the_loss_of_the_clean_image(seen, defended):
    assert seen["loss"][:, 0, 0] == pytest.approx(lost(defended[0], defended), abs=ROUNDING)


def test_one_length_along_the_direction_of_who_knows_is_the_loss_of_his_image(seen, made_paths):
    """a is the first axis, not the second."""
    assert seen["loss"][:, 1, 0] == pytest.approx(made_paths()["dw_box_loss"][:, 0, -1], abs=ROUNDING)
    assert (np.abs(seen["loss"][:, 0, 1] - seen["loss"][:, 1, 0]) > 1e-3).all()


def test_every_loss_is_that_of_the_point_cut_to_the_range_of_images(seen, defended, ways):
    x = defended[0]
    d, r, _ = directions_of(x, *ways)
    cut = 0
    for j, a in enumerate(seen["at"]):
        for k, b in enumerate(seen["at"]):
            point = x + a * d + b * r
            cut += ((point < -0.01) | (point > 1.01)).any()
            assert seen["loss"][:, j, k] == pytest.approx(lost(point.clip(0, 1), defended), abs=ROUNDING)
    assert cut > 3


def test_one_length_of_the_residual_beside_its_part_of_the_direction_is_the_image_of_who_averages(
    defended, made_paths, ways
):
    """Image by image, whose coefficients of d differ: a grid that reaches to it has its last point there."""
    x, y, judges = defended
    _, r, coefficient = directions_of(x, *ways)
    coefficient = coefficient.ravel()
    assert (coefficient > 0.05).all() and np.ptp(coefficient) > 0.01
    for i in range(N):
        # a grid of two points reaches (c, c); with the residual divided by c, its length is that of 1
        stretched = ways[1][[i]].copy()
        stretched[:, -1] = x[[i]] + (ways[1][i, -1] - x[i] - r[i]) + r[i] / coefficient[i]
        one = (x[[i]], y[[i]], judges)
        found = surface(one, ways[0][[i]], stretched, points=2, reach=coefficient[i], xi=XI.rows(torch.tensor([i])))
        assert found["loss"][0, 1, 1] == pytest.approx(made_paths()["eot_loss"][i, 0, -1], abs=ROUNDING)


def test_in_its_coordinates_who_knows_ends_at_one_and_who_averages_at_one_beside(seen, defended, ways):
    *_, coefficient = directions_of(defended[0], *ways)
    assert seen["dw_box"][:, -1] == pytest.approx(np.tile([1.0, 0.0], (N, 1)), abs=ROUNDING)
    assert seen["eot"][:, -1, 1] == pytest.approx(np.ones(N), abs=ROUNDING)
    assert seen["eot"][:, -1, 0] == pytest.approx(coefficient.ravel(), abs=ROUNDING)
    for kind in ("dw_box", "eot"):
        assert not seen[kind][:, 0].any()


def test_the_coordinates_of_a_step_are_its_nearest_point_of_the_plane(seen, defended, ways):
    x = defended[0]
    d, r, _ = (a.reshape(N, -1) for a in directions_of(x, *ways))
    for kind, way in zip(("dw_box", "eot"), ways, strict=True):
        for i in range(N):
            moved = (way[i] - x[i]).reshape(STEPS + 1, -1)
            nearest = np.linalg.lstsq(np.stack([d[i], r[i]], axis=1), moved.T)[0].T
            assert seen[kind][i] == pytest.approx(nearest, abs=1e-10)  # of a system of equations


@pytest.mark.parametrize("batch", [1, 7, 44])
def test_a_landscape_does_not_depend_on_the_batch(seen, defended, ways, batch):
    found = surface(defended, *ways, batch=batch)
    for name, value in seen.items():
        assert found[name] == pytest.approx(value, abs=ROUNDING), name


def test_a_finer_grid_goes_through_the_points_of_a_coarser_one(seen, defended, ways):
    found = surface(defended, *ways, points=5)
    assert found["at"].tolist() == [0, 0.5, 1, 1.5, 2]
    assert found["loss"][:, ::2, ::2] == pytest.approx(seen["loss"], abs=ROUNDING)
    for kind in ("dw_box", "eot"):
        assert np.array_equal(found[kind], seen[kind])


@pytest.mark.parametrize("unmoved", ["dw_box", "eot", "both"])
def test_an_image_that_an_attack_did_not_move_has_numbers_all_the_same(seen, defended, ways, unmoved):
    x = defended[0]
    known, expected = (way.copy() for way in ways)
    for way in {"dw_box": [known], "eot": [expected], "both": [known, expected]}[unmoved]:
        way[2] = x[2]
    with np.errstate(all="raise"):
        found = surface(defended, known, expected)
    assert all(np.isfinite(value).all() for value in found.values())
    others = [0, 1, 3, 4]
    for name in ("loss", "dw_box", "eot"):
        assert found[name][others] == pytest.approx(seen[name][others], abs=ROUNDING)
    clean = lost(x, defended)[2]
    if unmoved != "eot":
        assert not found["dw_box"][2].any()
        assert found["loss"][2] == pytest.approx(np.tile(found["loss"][2, 0], (3, 1)), abs=ROUNDING)
    if unmoved != "dw_box":
        assert not found["eot"][2].any()
        assert found["loss"][2] == pytest.approx(np.tile(found["loss"][2, :, :1], 3), abs=ROUNDING)
    assert found["loss"][2, 0, 0] == pytest.approx(clean, abs=ROUNDING)


def test_with_nothing_random_both_attackers_go_one_way_and_there_is_no_residual(defended):
    x, y, judges = defended
    plain = (x, y, judges | {"purify": purifiers.identity()})
    paths = paths_of(plain)
    assert all(
        np.array_equal(paths[kind][:, k], paths["dw_box"][:, 0]) for kind, times in KINDS.items() for k in range(times)
    )
    found = surface(plain, paths["dw_box"][:, 0], paths["eot"][:, 0])
    assert not found["dw_box"][..., 1].any() and np.array_equal(found["dw_box"], found["eot"])
    assert found["loss"] == pytest.approx(np.tile(found["loss"][:, :, :1], 3), abs=ROUNDING)


def test_in_float32_the_stages_stay_in_it(defended, unet, cnn, images):
    """As the pipeline has it; losses of both stages agree to its rounding, at the ends of both grids."""
    _, y, _ = defended
    x = images[:N].numpy()
    ddpm = purifiers.ddpm(unet, t=100, steps=2, sigma="large", clip=True, recompute=False, forward="one-step")
    low = (x, y, {"classify": cnn, "purify": ddpm})
    paths = paths_of(low)
    assert {value.dtype for value in paths.values()} == {np.dtype(np.float32)}
    found = surface(low, paths["dw_box"][:, 0], paths["eot"][:, 0])
    assert found["loss"].dtype == np.float32 and found["dw_box"].dtype == np.float64
    assert found["loss"][:, 0, 0] == pytest.approx(paths["dw_box_loss"][:, 0, 0], abs=1e-4)
    assert found["loss"][:, 1, 0] == pytest.approx(paths["dw_box_loss"][:, 0, -1], abs=1e-4)


# Where an attacker's draws begin.


FIRST = ATTACKER + torch.tensor([0, 50, 3, 3 * SPAN, 7])


@pytest.mark.parametrize("knowledge", KNOWLEDGE)
def test_a_row_meets_the_draws_that_begin_at_its_own_first(defended, knowledge):
    x, y, judges = defended
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    together = Defence(**judges, xi=XI, knowledge=knowledge, first=FIRST)
    for k in (0, 4):
        found = together.gradient(x, y, k)
        for i, first in enumerate(FIRST.tolist()):
            row = torch.tensor([i])
            alone = Defence(**judges, xi=XI.rows(row), knowledge=knowledge, first=first)
            assert torch.allclose(found[row], alone.gradient(x[row], y[row], k), rtol=0, atol=ROUNDING)


def test_one_first_for_all_is_that_first_for_each(defended):
    x, y, judges = defended
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    for_all, for_each = (
        Defence(**judges, xi=XI, knowledge="none", first=first) for first in (ATTACKER, torch.full((N,), ATTACKER))
    )
    assert torch.equal(for_all(x, 2), for_each(x, 2))
    assert torch.equal(for_all(x), Defence(**judges, xi=XI, knowledge="none")(x))


def test_the_draws_of_as_many_repeats_as_a_config_may_ask_for_are_addresses_of_noise():
    schema = yaml.safe_load((Path(__file__).parents[3] / "config/schema.yaml").read_text(encoding="utf-8"))
    paths = schema["properties"]["experiments"]["additionalProperties"]["properties"]["paths"]
    assert ATTACKER + SPAN * paths["properties"]["repeats"]["maximum"] < 2**32


def test_a_later_first_is_a_later_draw(defended):
    x, _, judges = defended
    x = torch.from_numpy(x)
    late, early = (Defence(**judges, xi=XI, knowledge="none", first=ATTACKER + first) for first in (3, 0))
    assert torch.equal(late(x, 1), early(x, 4)) and not torch.allclose(late(x), early(x), atol=1e-3)


@pytest.mark.parametrize("index", [torch.tensor([4, 1, 1]), torch.tensor([False, True, False, True, False])])
@pytest.mark.parametrize("straight", [False, True])
def test_some_rows_take_their_firsts_along(defended, index, straight):
    x, _, judges = defended
    x = torch.from_numpy(x)
    whole = Defence(**judges, xi=XI, knowledge="none", first=FIRST)
    whole = whole.straight_through() if straight else whole
    some = whole.rows(index)
    assert torch.equal(some.first, FIRST[index]) and torch.equal(some.xi.ids, XI.ids[index])
    assert torch.allclose(some(x[index], 2), whole(x, 2)[index], rtol=0, atol=ROUNDING)
    assert Defence(**judges, xi=XI, first=9).rows(index).first == 9
