"""Probes against the stages that keep their images, and purifiers whose numbers are known."""

import numpy as np
import pytest
import torch
from jobs import checked, job

from purity import attacks, metrics, purifiers
from purity.attacks import Attack
from purity.noise import Noise
from purity.stages import probe as stage
from purity.stages.attack import attack
from purity.stages.purify import purify_and_judge

N = 24
XI = Noise(3, torch.arange(N) + 40)
PGD = {"epsilon": 0.1, "steps": 2, "relative_step": 0.3}


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
    return attack(x0, y, XI, job=job(N), attack=Attack(attacks.uniform, {"epsilon": 0.1}))["x"]


@pytest.fixture(scope="module")
def ddpm(unet64):
    return purifiers.ddpm(unet64, t=30, steps=2, sigma="small", clip=True, forward="one-step")


@pytest.fixture(scope="module")
def attacked(x0, y, cnn64, ddpm):
    options = {"classify": cnn64, "purify": ddpm, "knowledge": "all", "job": job(N)}
    return attack(x0, y, XI, attack=Attack(attacks.pgd, PGD), **options)["x"]


def probe(x0, y, noisy, attacked, classify, purify, xi=XI, batch=N) -> dict[str, np.ndarray]:
    given = {"job": job(batch), "classify": classify, "purify": checked(purify)}
    return stage.probe(x0, y, noisy, attacked, None, xi, **given)


def test_a_probe_says_what_the_stages_that_keep_their_images_say(x0, y, noisy, attacked, cnn64, ddpm):
    common = {"classify": cnn64, "purify": ddpm, "fresh_draws": 1, "job": job(N)}
    anchor, of_noise, of_attack = (purify_and_judge(x0, x, XI, **common) for x in (x0, noisy, attacked))
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


def test_a_papers_attack_beside_is_judged_under_the_same_noise(x0, y, noisy, attacked, cnn64, ddpm):
    alone = probe(x0, y, noisy, attacked, cnn64, ddpm)
    given = {"job": job(N), "classify": cnn64, "purify": checked(ddpm)}
    found = stage.probe(x0, y, noisy, x0, attacked, XI, **given)
    assert np.array_equal(found.pop("robust_protocol"), alone["robust"])
    assert np.array_equal(found["robust"], alone["clean_fixed"]) and found.keys() == alone.keys()


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
    """f(x) = c x + b(ξ), b in (¼, ⅖): the same b for clean and perturbed, or α would not be c; another b for each image
    and draw. f(x) is an image as long as x > −½: the noise is not cut to [0, 1]."""

    def purify(x, xi):
        return c * x + 0.25 + 0.15 * xi.forward(0, x).sigmoid()

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
    with pytest.raises(ValueError, match=r"purifier 'mine'.*leave"):
        probe(given[0], y, *given[1:], cnn64, lambda x, xi: 2 * x)


def test_a_probe_keeps_no_graph_and_touches_no_global_generator(x0, y, noisy, attacked, cnn64, ddpm):
    def purify(x, xi):
        assert not torch.is_grad_enabled()
        return ddpm(x, xi)

    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    probe(x0, y, noisy, attacked, cnn64, purify)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy_state, strict=True))
