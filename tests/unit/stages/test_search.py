"""A search asks no gradient, remembers what it has measured, and verifies what the table says."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from jobs import Stopped, Watched, job

from purity import attacks, family, metrics, purifiers, search
from purity.attacks import Attack
from purity.defence import FIXED, Defence
from purity.noise import Noise
from purity.run.progress import Done
from purity.stages import search as stage

SPACE = {"sampler": ["ancestral", "one-step"], "t": {"low": 20, "high": 60}, "steps": 3, "forward": [0.0, 0.5, 1.0]}
GIVEN = {"space": SPACE, "candidates": 5, "rungs": 2, "island": 0, "verify": {"front": 2, "poor": 1}, "code": "c"}
GIVEN |= {"classifier": {"network": "a"}, "diffusion": {"network": "b"}, "noise": {"seed": 0, "seeding": "address"}}
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
    for other in (
        {"code": "other code"},
        {"classifier": {"network": "a", "engine": {"precision": "bf16"}}},
        {"diffusion": {"network": "b", "options": {"width": 8}}},
        {"noise": {"seed": 0, "seeding": "s2"}},
    ):
        before = len(calls)
        found(arrays, counted, cnn, tmp_path / "island-0.zarr.zip", **other)
        assert len(calls) > before, other


def test_a_changed_space_finds_what_it_shares(arrays, unet, cnn, tmp_path):
    """A member that both propose is measured once, whatever else there was to propose."""
    one = {"sampler": "one-step", "t": 40, "forward": 1.0}
    calls = []

    def counted(x, index):
        calls.append(len(x))
        return unet(x, index)

    # steps do nothing there, and a vote of one is none
    for space in (one, one | {"steps": {"low": 2, "high": 9}}, one | {"vote": 1}):
        found(arrays, counted, cnn, tmp_path / "island-0.zarr.zip", space=space, candidates=2)
    assert sum(calls) == 2 * 4  # clean and noisy, four images each


def test_a_vote_of_the_space_is_measured_by_forward_passes(arrays, unet, cnn):
    x0, y, noisy = arrays
    space = {"sampler": "ancestral", "t": 40, "steps": 2, "vote": 3}
    made = found(arrays, unet, cnn, space=space, candidates=1)
    assert json.loads(made["members"].tobytes()) == [space]
    rows = search.rung_rows(search.selected(8), made["rung"][0], 2)
    xi, one = XI.rows(torch.from_numpy(rows)).at(FIXED), family.member(unet, sampler="ancestral", t=40, steps=2)
    with torch.no_grad():
        parts = [[one(torch.from_numpy(x[rows]), xi.later(i * 1000)) for x in (x0, noisy)] for i in range(3)]
        right = sum(cnn(anchor).softmax(1) for anchor, _ in parts).argmax(1).numpy() == y[rows]
    alphas = [metrics.compression_rate(f.numpy(), anchor.numpy(), noisy[rows], x0[rows]) for anchor, f in parts]
    assert np.array_equal(made["right"][0, : len(rows)], right)
    assert np.allclose(made["alphas"][0, : len(rows)], np.sqrt(np.mean(np.square(alphas), axis=0)), rtol=1e-3)


@pytest.mark.parametrize("room", [1, 3])
def test_a_search_whose_batches_are_halved_says_what_it_says_undisturbed(arrays, unet64, cnn64, room):
    x0, y, noisy = arrays
    doubled = x0.astype(float), y, noisy.astype(float)
    wanted = found(doubled, unet64, cnn64)
    counter: list[int] = []
    classify, network = (Watched(made, counter, room=room) for made in (cnn64, unet64))
    halved = found(doubled, network, classify)
    assert max(counter) <= room and halved.keys() == wanted.keys()
    for name, value in wanted.items():
        assert (halved[name].dtype, halved[name].shape) == (value.dtype, value.shape), name
        assert halved[name] == pytest.approx(value, rel=1e-9, nan_ok=True), name


def test_a_search_that_was_stopped_goes_on_to_the_same_bytes(arrays, unet, cnn, tmp_path):
    """In any call of a network: what is measured is not measured again."""

    def run(folder, **watching):
        counter: list[int] = []
        classify, network = (Watched(made, counter, **watching) for made in (cnn, unet))
        return found(arrays, network, classify, tmp_path / folder / "island-0.zarr.zip"), counter

    wanted, calls = run("undisturbed")
    measured = len(list((tmp_path / "undisturbed/measured").iterdir()))
    for stopped_in in (0, len(calls) // 3, len(calls) - 1):
        folder = str(stopped_in)
        with pytest.raises(Stopped):
            run(folder, stopped_in=stopped_in)
        there = len(list((tmp_path / folder / "measured").glob("*"))) if stopped_in else 0
        made, rest = run(folder)
        assert len(rest) < len(calls) or not there
        assert len(list((tmp_path / folder / "measured").iterdir())) == measured
        assert made.keys() == wanted.keys()
        for name, value in wanted.items():
            assert made[name].dtype == value.dtype and made[name].tobytes() == value.tobytes(), name


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
    alone = pgd(Defence(cnn, purifiers.identity(), XI), *map(torch.from_numpy, (x0, y)), XI)
    with torch.no_grad():
        moved, anchor = (purify(x, XI.at(FIXED)).numpy() for x in (alone, torch.from_numpy(x0)))
    wanted = metrics.compression_rate(moved, anchor, alone.numpy(), x0)
    assert np.allclose(one["alpha_adversarial"], wanted, rtol=1e-3)


def test_a_vote_is_verified_as_what_it_is(arrays, unet, cnn):
    """Judged by its vote, attacked through all of its purifications: who knows ξ moves what it decides by."""
    x0, y, noisy = arrays
    member = {"sampler": "ancestral", "t": 40, "steps": 2, "vote": 2}
    pgd = Attack(attacks.pgd, {"epsilon": 0.3, "steps": 3, "relative_step": 0.5, "random_start": False})
    given = {"attack": pgd, "eot": pgd, "judgings": 2, "jacobians": 1, "classify": cnn, "network": unet}
    made = stage.verify(x0, y, noisy, XI, job=job(4), member=member, **given)
    purify, decide = family.defended(unet, cnn, **member)
    x = torch.from_numpy(x0)
    worst = pgd(Defence(decide, purify, XI, "all"), x, torch.from_numpy(y), XI)
    with torch.no_grad():
        for name, images in (("clean", x), ("robust", worst)):
            assert np.array_equal(made[name], decide(purify(images, XI.at(FIXED))).argmax(1).numpy() == y)
    assert made["robust_fresh"].shape == (2, 8) and made["alpha_attacked"].shape == (8,)
    single = stage.verify(x0, y, noisy, XI, job=job(4), member=member | {"vote": 1}, **given)
    assert np.allclose(made["largest"], single["largest"])


def test_a_verification_that_is_stopped_within_an_attack_goes_on_within_it(arrays, unet, cnn, tmp_path):
    x0, y, noisy = arrays
    pgd = Attack(attacks.pgd, {"epsilon": 0.1, "steps": 4, "relative_step": 0.5, "random_start": False})
    given = {"attack": pgd, "eot": pgd, "judgings": 2, "jacobians": 1}

    def run(folder, **watching):
        counter: list[int] = []
        classify, network = (Watched(made, counter, **watching) for made in (cnn, unet))
        of = replace(job(8, Done(tmp_path / folder / "0.zarr.zip", {})), keep_every=0.0)
        member = {"sampler": "one-step", "t": 40, "recompute": False}
        return stage.verify(
            x0, y, noisy, XI, job=of, classify=classify, network=network, member=member, **given
        ), counter

    wanted, calls = run("undisturbed")
    with pytest.raises(Stopped):
        run("stopped", stopped_in=5)  # two calls a step: in the third step of the first attack
    made, rest = run("stopped")
    assert len(rest) == len(calls) - 4
    assert all(made[name].tobytes() == value.tobytes() for name, value in wanted.items())


def test_the_largest_singular_value_is_that_of_the_whole_jacobian(arrays, unet):
    x = torch.from_numpy(arrays[0][:1])
    purify = family.member(unet, sampler="implicit", t=40, steps=2)
    noise = XI.rows(torch.tensor([0])).at(FIXED)
    whole = torch.autograd.functional.jacobian(lambda z: purify(z, noise), x).reshape(64, 64)
    assert stage._gain(purify, x, XI, 0) == pytest.approx(float(torch.linalg.svdvals(whole)[0]), rel=0.02)
