"""Probes against the stages that keep their images, budgets against attacks and a half-space, whose margin is known.

The stage `jacobian` is in test_jacobian.py, `ball_spectrum` in test_pca.py.
"""

import numpy as np
import pytest
import torch

from purity import attacks, metrics, purifiers, stages, stages_compression
from purity.noise import Noise

N = 24
XI = Noise(3, torch.arange(N) + 40)
PGD = {"epsilon": 0.1, "steps": 5, "relative_step": 0.3}


@pytest.fixture(scope="module")
def x0(images):
    return images[:N].double().numpy()


@pytest.fixture(scope="module")
def y(cnn64, x0):
    """What the network says, but for every fourth image."""
    said = cnn64(torch.from_numpy(x0)).argmax(1).numpy()
    return np.where(np.arange(N) % 4, said, (said + 1) % 10)


@pytest.fixture(scope="module")
def noisy(x0, y):
    return stages.attack(x0, y, XI, run=attacks.uniform, options={"epsilon": 0.1}, batch=N)


@pytest.fixture(scope="module")
def ddpm(unet64):
    return purifiers.ddpm(unet64, t=30, steps=2, sigma="small", clip=True, forward="one-step")


@pytest.fixture(scope="module")
def attacked(x0, y, cnn64, ddpm):
    options = {"classify": cnn64, "purify": ddpm, "knowledge": "all", "batch": N}
    return stages.attack(x0, y, XI, run=attacks.pgd, options=PGD | {"steps": 2}, **options)


def probe(x0, y, noisy, attacked, classify, purify, xi=XI, batch=N) -> dict[str, np.ndarray]:
    return stages_compression.probe(
        x0, y, noisy, attacked, xi, classify=classify, purify=purify, name="mine", batch=batch
    )


# Probes.


def test_a_probe_says_what_the_stages_that_keep_their_images_say(x0, y, noisy, attacked, cnn64, ddpm):
    common = {"classify": cnn64, "purify": ddpm, "name": "mine", "fresh_draws": 1, "batch": N}
    anchor, of_noise, of_attack = (stages.purify_and_judge(x0, x, XI, **common) for x in (x0, noisy, attacked))
    clean, noise, attack = (
        metrics.judged(x0, y, x, purified, anchor)
        for x, purified in ((x0, anchor), (noisy, of_noise), (attacked, of_attack))
    )
    wanted = {
        "clean_fixed": clean["correct_fixed"],
        "clean_fresh": clean["correct_varying"][0],
        "alpha": noise["alpha"],
        "robust": attack["correct_fixed"],
        "alpha_attacked": attack["alpha"],
        "magnitude": attack["l2_before"],
        "features": of_attack["features_after"],
        "features_clean": anchor["features_before"],
    }
    found = probe(x0, y, noisy, attacked, cnn64, ddpm)
    assert found.keys() == wanted.keys()
    assert metrics.frechet(found["features"], found["features_clean"]) == attack["frechet_after"]
    for name, value in wanted.items():
        assert np.array_equal(found[name], value), name
    # outcomes that tell the draws and the images apart
    assert len({tuple(found[name]) for name in ("clean_fixed", "clean_fresh", "robust")}) == 3
    assert 0 < found["robust"].mean() < found["clean_fixed"].mean() < 1
    assert np.abs(found["alpha"] - found["alpha_attacked"]).max() > 0.01


def test_no_images_are_kept(x0, y, noisy, attacked, cnn64, ddpm):
    found = probe(x0, y, noisy, attacked, cnn64, ddpm)
    assert {found.pop(name).shape for name in ("features", "features_clean")} == {(N, 16)}
    assert {value.shape for value in found.values()} == {(N,)}
    kinds = {name: value.dtype.kind for name, value in found.items()}
    assert [name for name, kind in kinds.items() if kind == "b"] == ["clean_fixed", "clean_fresh", "robust"]
    assert {kind for kind in kinds.values() if kind != "b"} == {"f"}


def test_without_an_attack_what_the_attack_would_say_is_left_out(x0, y, noisy, attacked, cnn64, ddpm):
    found, whole = probe(x0, y, noisy, None, cnn64, ddpm), probe(x0, y, noisy, attacked, cnn64, ddpm)
    assert found.keys() == {"clean_fixed", "clean_fresh", "alpha"}
    for name, value in found.items():
        assert np.array_equal(value, whole[name])


def test_without_features_of_a_classifier_there_are_none(x0, y, noisy, attacked, cnn64, ddpm):
    whole = probe(x0, y, noisy, attacked, cnn64, ddpm)
    found = probe(x0, y, noisy, attacked, lambda x: cnn64(x), ddpm)
    assert found.keys() == whole.keys() - {"features", "features_clean"}


@pytest.mark.parametrize("c", [0.0, 0.25, 0.5])
def test_a_contraction_by_c_has_compression_rate_c(c, x0, y, noisy, attacked, cnn64):
    """f(x) = c x + b(ξ), b in (0, ½): the same b for clean and perturbed, or α would not be c; another b for each image
    and draw."""

    def purify(x, xi):
        return c * x + 0.5 * xi.forward(0, x).sigmoid()

    found = probe(x0, y, noisy, attacked, cnn64, purify)
    assert found["alpha"] == pytest.approx(np.full(N, c), abs=1e-12)
    assert found["alpha_attacked"] == pytest.approx(np.full(N, c), abs=1e-12)
    assert found["magnitude"] == pytest.approx(np.linalg.norm((attacked - x0).reshape(N, -1), axis=1), rel=1e-12)


def test_images_are_judged_under_their_fixed_noise_and_fresh_under_draw_one(x0, noisy):
    """The purifier paints the sign of its ξ on the whole image, the classifier reads it."""
    like = torch.from_numpy(x0)

    def purify(x, xi):
        return torch.ones_like(x) * (xi.forward(0, x)[:, :, :1, :1] > 0)

    def classify(x):
        return torch.stack([1 - x.mean((1, 2, 3)), x.mean((1, 2, 3))], dim=1)

    y = np.ones(N, np.int64)
    found = probe(x0, y, noisy, x0, classify, purify)
    fixed, fresh = ((XI.at(draw).forward(0, like)[:, 0, 0, 0] > 0).numpy() for draw in (0, 1))
    assert (fixed != fresh).any()
    assert np.array_equal(found["clean_fixed"], fixed) and np.array_equal(found["clean_fresh"], fresh)
    assert np.array_equal(found["robust"], fixed)


def test_clean_outcomes_are_of_clean_images_and_robust_ones_of_attacked_images(x0):
    """Clean images are dark, noisy and attacked ones bright, and dark is right."""

    def classify(x):
        return torch.stack([1 - x.mean((1, 2, 3)), x.mean((1, 2, 3))], dim=1)

    dark, bright, y = 0.1 * x0, 0.9 + 0.1 * x0, np.zeros(N, np.int64)
    found = probe(dark, y, bright, bright, classify, purifiers.identity())
    assert found["clean_fixed"].all() and found["clean_fresh"].all() and not found["robust"].any()
    found = probe(dark, y, bright, dark, classify, purifiers.identity())
    assert found["clean_fixed"].all() and found["clean_fresh"].all() and found["robust"].all()


def test_unmoved_images_have_no_compression_rate(x0, y, noisy, cnn64, ddpm, recwarn):
    some = noisy.copy()
    some[3] = x0[3]
    found = probe(x0, y, some, x0, cnn64, ddpm)
    assert np.isnan(found["alpha"]).tolist() == [i == 3 for i in range(N)]
    assert np.isnan(found["alpha_attacked"]).all() and (found["magnitude"] == 0).all()
    assert np.array_equal(found["robust"], found["clean_fixed"])
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


@pytest.mark.parametrize("batch", [1, 7, 23, 1000])
def test_batch_changes_no_probe(batch, x0, y, noisy, attacked, cnn64, ddpm):
    """23 leaves one image for the last block. Float64 rounding of other sums: 1e-12 a pixel, over perturbations of
    norm .5."""
    found, expected = (probe(x0, y, noisy, attacked, cnn64, ddpm, batch=b) for b in (batch, N))
    for name, value in expected.items():
        if value.dtype == bool:
            assert np.array_equal(found[name], value), name
        else:
            assert found[name] == pytest.approx(value, abs=1e-10), name


def test_some_of_the_images_say_what_they_say_among_all(x0, y, noisy, attacked, cnn64, ddpm):
    index = torch.tensor([20, 3, 11])
    found = probe(x0[index], y[index], noisy[index], attacked[index], cnn64, ddpm, XI.rows(index))
    whole = probe(x0, y, noisy, attacked, cnn64, ddpm)
    for name in found:
        assert found[name] == pytest.approx(whole[name][index], abs=1e-10), name


@pytest.mark.parametrize("which", ["clean", "noisy", "attacked"])
def test_what_is_no_image_is_refused_by_the_purifiers_name(which, x0, y, cnn64):
    """The only bright images are those of one kind."""
    dark, bright = 0.1 * x0, np.full_like(x0, 0.9)
    given = [bright if kind == which else dark for kind in ("clean", "noisy", "attacked")]
    with pytest.raises(ValueError, match=r"purifier 'mine'.*outside"):
        probe(given[0], y, *given[1:], cnn64, lambda x, xi: 2 * x)


def test_a_probe_keeps_no_graph_and_touches_no_global_generator(x0, y, noisy, attacked, cnn64, ddpm):
    def purify(x, xi):
        assert not torch.is_grad_enabled()
        return ddpm(x, xi)

    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    probe(x0, y, noisy, attacked, cnn64, purify)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy_state, strict=True))


# Budgets.


def budget(x, y, classify, scales, options=PGD, run=attacks.pgd, batch=N) -> dict[str, np.ndarray]:
    return stages_compression.budget(x, y, XI, run=run, options=options, scales=scales, classify=classify, batch=batch)


def right(classify, x, y) -> np.ndarray:
    return classify(torch.from_numpy(x)).argmax(1).numpy() == y


def test_no_budget_leaves_clean_accuracy(x0, y, cnn64):
    found = budget(x0, y, cnn64, [0.0])
    assert np.array_equal(found["robust"], right(cnn64, x0, y)[None])
    assert 0 < found["robust"].mean() < 1 and found["epsilon"].tolist() == [0.0]


@pytest.mark.parametrize("run", [attacks.pgd, attacks.bpda])
def test_a_budget_is_that_of_an_ordinary_attack_on_the_undefended_classifier(run, x0, y, cnn64):
    options = {"classify": cnn64, "purify": purifiers.identity(), "knowledge": "none", "batch": N}
    scales = [0.0, 0.2, 0.5, 1.0]
    found = budget(x0, y, cnn64, scales, run=run)
    for scale, robust in zip(scales, found["robust"], strict=True):
        crafted = stages.attack(x0, y, XI, run=run, options=PGD | {"epsilon": 0.1 * scale}, **options)
        assert np.array_equal(robust, right(cnn64, crafted, y))
    assert len(set(found["robust"].mean(axis=1))) > 2


def test_a_budget_names_its_scales_and_leaves_the_options_alone(x0, y, cnn64):
    options = dict(PGD)
    found = budget(x0[:3], y[:3], cnn64, [1.0, 0.25], options)
    assert options == PGD
    assert found["scale"].tolist() == [1.0, 0.25] and found["epsilon"] == pytest.approx([0.1, 0.025])
    assert found["robust"].shape == (2, 3) and found["robust"].dtype == bool


@pytest.fixture(scope="module")
def half_space():
    """A direction, images in [.2, .8] and their signed distances w·x − b of the side of their label, wrong for some."""
    generator = np.random.default_rng(0)
    w = generator.standard_normal(64)
    x = generator.uniform(0.2, 0.8, (60, 1, 8, 8))
    z = (x.reshape(60, -1) - 0.5) @ w
    y = np.where(generator.random(60) < 0.85, z < 0, z > 0).astype(np.int64)
    return w, x, y, np.where(y == 0, z, -z)


def of_side(w):
    def classify(x):
        z = (x.flatten(1) - 0.5) @ torch.from_numpy(w)
        return torch.stack([z, -z], dim=1)

    return classify


@pytest.mark.parametrize(
    ("norm", "dual", "epsilon"), [("linf", lambda w: np.abs(w).sum(), 0.06), ("l2", np.linalg.norm, 0.3)]
)
def test_an_image_falls_once_its_margin_is_less_than_the_reach_of_the_budget(norm, dual, epsilon, half_space):
    """PGD of steps along the one gradient goes ε α to its end: robust iff w·x − b > ε α ‖w‖, in the dual norm.

    Ten steps of .3 reach the corner of the ℓ∞ ball from any start; that of the ℓ2 ball starts in the centre. No pixel
    comes near 0 or 1, for either ball ends within .3 · 2/3 of [.2, .8].
    """
    w, x, y, margin = half_space
    scales = [0.0, 0.1, 0.25, 0.5, 0.65]
    reach = epsilon * dual(w) * np.array(scales)
    wanted = margin[None] > reach[:, None]
    assert np.abs(margin[None] - reach[:, None]).min() > 1e-4  # no image is on the edge
    xi = Noise(3, torch.arange(60))
    found = stages_compression.budget(
        x,
        y,
        xi,
        run=attacks.pgd,
        options={"epsilon": epsilon, "steps": 10, "relative_step": 0.3, "norm": norm, "random_start": norm == "linf"},
        scales=scales,
        classify=of_side(w),
        batch=17,
    )
    assert np.array_equal(found["robust"], wanted)
    accuracy = found["robust"].mean(axis=1)
    assert (np.diff(accuracy) < 0).all() and accuracy[-1] > 0


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_batch_changes_no_budget(batch, x0, y, cnn64):
    found, expected = (budget(x0, y, cnn64, [0.5, 1.0], batch=b) for b in (batch, N))
    assert np.array_equal(found["robust"], expected["robust"])
