"""A search asks no gradient, remembers what it has measured, and verifies what the table says."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from jobs import job

from purity import attacks, family, metrics, search
from purity.attacks import Attack
from purity.defence import FIXED
from purity.noise import Noise
from purity.stages import search as stage

SPACE = {"sampler": ["ancestral", "one-step"], "t": {"low": 20, "high": 60}, "steps": 3, "forward": [0.0, 0.5, 1.0]}
GIVEN = {"space": SPACE, "candidates": 5, "rungs": 2, "island": 0, "verify": {"front": 2, "poor": 1}, "code": "c"}
XI = Noise(0, torch.arange(8))


@pytest.fixture
def arrays(images):
    x0 = images[:8].numpy()
    noisy = np.clip(x0 + np.random.default_rng(0).uniform(-0.1, 0.1, x0.shape).astype(np.float32), 0, 1)
    return x0, np.arange(8) % 10, noisy


def found(arrays, network, cnn, output="", **changed):
    given = GIVEN | {"classify": cnn, "network": network} | changed
    return stage.search(*arrays, XI, job=replace(job(4), output=str(output)), **given)


def test_what_is_measured_is_clean_accuracy_and_compression_of_half_of_the_images(arrays, unet, cnn):
    x0, y, noisy = arrays
    made = found(arrays, unet, cnn)
    members = json.loads(made["members"].tobytes())
    rows = search.selected(8)
    assert len(members) == 5 and made["right"].shape == (5, 4) and made["wanted"].tolist() == [2, 0, 1]
    for k, options in enumerate(members):
        asked = search.rung_rows(rows, made["rung"][k], 2)
        xi, purify = XI.rows(torch.from_numpy(asked)).at(FIXED), family.member(unet, **options)
        with torch.no_grad():
            anchor, moved = (purify(torch.from_numpy(x[asked]), xi) for x in (x0, noisy))
            right = (cnn(anchor).argmax(1).numpy() == y[asked]).astype(float)
        alpha = metrics.compression_rate(moved.numpy(), anchor.numpy(), noisy[asked], x0[asked])
        # batches of another size: rounding of float32 networks
        assert (
            np.allclose(made["alphas"][k, : len(asked)], alpha, rtol=1e-3)
            and np.isnan(made["alphas"][k, len(asked) :]).all()
        )
        assert np.array_equal(made["right"][k, : len(asked)], right)
        assert made["alpha"][k] == pytest.approx(alpha.mean(), rel=1e-3) and made["clean"][k] == right.mean()


def test_no_gradient_is_asked_for(arrays, unet, cnn):
    def watched(x, index):
        assert not torch.is_grad_enabled()
        return unet(x, index)

    found(arrays, watched, cnn)


def test_a_longer_search_finds_there_what_a_shorter_one_measured(arrays, unet, cnn, tmp_path):
    calls = []

    def counted(x, index):
        calls.append(len(x))
        return unet(x, index)

    short = found(arrays, counted, cnn, tmp_path / "island-0.zarr.zip")
    first = len(calls)
    again = found(arrays, counted, cnn, tmp_path / "island-0.zarr.zip")
    assert first > 0 and len(calls) == first
    assert all(np.array_equal(short[name], again[name], equal_nan=True) for name in short)
    longer = found(arrays, counted, cnn, tmp_path / "island-0.zarr.zip", candidates=7)
    assert json.loads(longer["members"].tobytes())[:5] == json.loads(short["members"].tobytes())
    assert np.array_equal(longer["alpha"][:5], short["alpha"])
    before = len(calls)
    found(arrays, counted, cnn, tmp_path / "island-0.zarr.zip", code="other code")
    assert len(calls) > before


def test_a_verified_candidate_is_attacked_with_and_without_its_noise(arrays, unet, cnn):
    x0, y, noisy = arrays
    member = {"sampler": "ancestral", "t": 40, "steps": 2}
    pgd = Attack(attacks.pgd, {"epsilon": 0.1, "steps": 2, "relative_step": 0.5, "random_start": False})
    given = {"attack": pgd, "eot": pgd, "judgings": 3, "jacobians": 2, "classify": cnn, "network": unet}
    one, other = (stage.verify(x0, y, noisy, XI, job=job(b), member=member, **given) for b in (3, 8))
    assert one["robust_fresh"].shape == (3, 8) and one["largest"].shape == (2,)
    assert (one["largest"] > 0).all() and np.isfinite(one["alpha_attacked"]).all()
    assert np.allclose(one["alpha"], other["alpha"], rtol=1e-3)
    purify = family.member(unet, **member)
    with torch.no_grad():
        clean = cnn(purify(torch.from_numpy(x0), XI.at(FIXED))).argmax(1).numpy() == y
    assert np.array_equal(one["clean"], clean)


def test_the_largest_singular_value_is_that_of_the_whole_jacobian(arrays, unet):
    x = torch.from_numpy(arrays[0][:1])
    purify = family.member(unet, sampler="implicit", t=40, steps=2)
    noise = XI.rows(torch.tensor([0])).at(FIXED)
    whole = torch.autograd.functional.jacobian(lambda z: purify(z, noise), x).reshape(64, 64)
    assert stage._gain(purify, x, XI, 0) == pytest.approx(float(torch.linalg.svdvals(whole)[0]), rel=0.02)
