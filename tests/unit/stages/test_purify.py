"""Purified images and states are those of the purifier under the draws that they are said to be of."""

import numpy as np
import pytest
import torch
from jobs import checked, job

from purity import purifiers
from purity.noise import Noise
from purity.stages.purify import purify_and_judge, states

N, R, XI = 8, 3, Noise(3, torch.arange(8) + 40)


@pytest.fixture(scope="module")
def x0(images):
    return images[:N].double().numpy()


@pytest.fixture(scope="module")
def x(x0):
    return np.clip(x0 + 0.1 * np.random.default_rng(0).standard_normal(x0.shape), 0, 1)


@pytest.fixture(scope="module")
def ddpm(unet64):
    return purifiers.ddpm(unet64, t=30, steps=2, sigma="small", clip=True, forward="one-step")


@pytest.fixture(scope="module")
def judged(x0, x, cnn64, ddpm):
    return purify_and_judge(x0, x, XI, job=job(), classify=cnn64, purify=checked(ddpm), fresh_draws=R)


def test_images_are_purified_and_classified_under_the_fixed_and_under_fresh_draws(judged, x, cnn64, ddpm):
    x = torch.from_numpy(x)
    with torch.no_grad():
        fixed, *fresh = (ddpm(x, XI.at(draw)) for draw in range(R + 1))
    assert np.array_equal(judged["fixed"], fixed) and np.array_equal(judged["fixed_logits"], cnn64(fixed))
    assert np.array_equal(judged["varying"], fresh[0]) and not np.array_equal(fresh[0], fixed)
    for logits, wanted in zip(judged["varying_logits"], fresh, strict=True):
        # several draws in one batch: sums of float64 in another order
        np.testing.assert_allclose(logits, cnn64(wanted), atol=1e-12)


def test_features_are_of_the_images_before_and_after(judged, x, cnn64):
    assert np.array_equal(judged["features_before"], cnn64.features(torch.from_numpy(x)))
    assert np.array_equal(judged["features_after"], cnn64.features(torch.from_numpy(judged["fixed"])))


def test_given_features_go_before_those_of_the_classifier_and_without_both_there_are_none(x0, x, cnn64, ddpm):
    given = {"job": job(), "purify": ddpm, "fresh_draws": 1}
    mine = purify_and_judge(x0, x, XI, classify=cnn64, features=lambda x: x.flatten(1)[:, :2], **given)
    assert np.array_equal(mine["features_before"], x.reshape(N, -1)[:, :2])
    assert mine["features_after"].shape == (N, 2)
    plain = purify_and_judge(x0, x, XI, classify=lambda x: cnn64(x), **given)
    assert not [name for name in plain if "features" in name]


def test_the_path_is_the_distance_of_every_state_from_the_clean_image(judged, x0, x, cnn64, ddpm):
    shown = states(x0, x, XI, job=job(), classify=cnn64, purify=ddpm)
    away = (shown["states"] - x0).reshape(len(shown["time"]), N, -1)
    assert judged["path_time"].tolist() == shown["time"].tolist() and len(shown["time"]) > 3
    assert judged["path_l2"] == pytest.approx(np.linalg.norm(away, axis=2), abs=1e-12)
    assert judged["path_linf"] == pytest.approx(np.abs(away).max(axis=2), abs=1e-12)


def test_states_run_from_the_image_to_what_is_judged(judged, x0, x, cnn64, ddpm):
    shown = states(x0, x, XI, job=job(), classify=cnn64, purify=checked(ddpm))
    assert np.array_equal(shown["states"][0], x) and np.array_equal(shown["states"][-1], judged["fixed"])
    assert (np.diff(shown["time"]) > 0).all() and shown["states"].shape == (len(shown["time"]), *x.shape)
    wanted = dict(purifiers.states(ddpm, torch.from_numpy(x), XI))
    assert list(wanted) == shown["time"].tolist()
    for made, state in zip(shown["states"], wanted.values(), strict=True):
        assert np.array_equal(made, state.detach())


def test_states_come_with_what_the_classifier_alone_takes_them_for(judged, x0, x, cnn64, ddpm):
    shown = states(x0, x, XI, job=job(3), classify=cnn64, purify=ddpm)
    with torch.no_grad():
        clean, attacked = (cnn64(torch.from_numpy(images)).numpy() for images in (x0, x))
    # float64, in batches of another size
    assert shown["clean_logits"] == pytest.approx(clean, abs=1e-11)
    assert shown["logits"][0] == pytest.approx(attacked, abs=1e-11)
    assert shown["logits"][-1] == pytest.approx(judged["fixed_logits"], abs=1e-11)


def test_a_purifier_that_tells_no_states_has_its_two_ends(x0, x, cnn64):
    shown = states(x0, x, XI, job=job(3), classify=cnn64, purify=checked(lambda x, xi: x / 2))
    assert shown["time"].tolist() == [0, 1] and np.array_equal(shown["states"], np.stack([x, x / 2]))


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_batch_changes_nothing(batch, judged, x0, x, cnn64, ddpm):
    """Float64 rounding of other sums, over a few layers: 1e-12."""
    given = {"job": job(batch), "purify": ddpm}
    found = purify_and_judge(x0, x, XI, classify=cnn64, fresh_draws=R, **given)
    for name, value in judged.items():
        assert found[name].shape == value.shape and found[name] == pytest.approx(value, abs=1e-11), name
    wanted, found = (states(x0, x, XI, classify=cnn64, **given | {"job": job(b)}) for b in (N, batch))
    for name, value in wanted.items():
        assert found[name].shape == value.shape and found[name] == pytest.approx(value, abs=1e-12), name


def test_the_draw_of_the_given_noise_does_not_matter(judged, x0, x, cnn64, ddpm):
    """Draw 0 is meant whatever it stands at."""
    assert np.array_equal(
        states(x0, x, XI.at(7), job=job(), classify=cnn64, purify=ddpm)["states"][-1], judged["fixed"]
    )
