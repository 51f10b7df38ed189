"""ξ as a value: published vectors, independence of batch, shard and order, normality, and the papers' seedings."""

import numpy as np
import pytest
import torch
from scipy import stats

from purity import noise as room
from purity.noise import (
    ATTACKER,
    BALL,
    FORWARD,
    REVERSE,
    SEEDINGS,
    START,
    Noise,
    PublishedNoise,
    from_spec,
    hash_s2,
    normals,
    philox4x32,
    seed_s2,
    seed_s3,
    together,
    uniforms,
)

IMAGE = torch.empty(0, 3, 5, 5)  # 75 numbers: no multiple of Philox's four words
SEEDED = {"address": Noise, "s2": PublishedNoise, "s3": lambda s, ids: PublishedNoise(s, ids, seed_of=seed_s3)}


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("00000000 " * 4, "00000000 " * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_philox_gives_the_published_vectors(counter, key, expected):
    """Random123's kat_vectors for philox4x32-10."""
    found = philox4x32([torch.tensor(word) for word in words(counter)], tuple(words(key)))
    assert [word.item() for word in found] == words(expected)


@pytest.mark.parametrize("shapes", [[(7, 1)] * 4, [(5,), (3, 1), (3, 1), (3, 1)], [(), (4,), (), (2, 4)], [(0, 1)] * 4])
def test_philox_by_numpy_is_that_by_torch(shapes):
    """The second is what devices other than the CPU run."""
    generator = torch.Generator().manual_seed(0)
    counter = [torch.randint(2**32, shape, generator=generator) for shape in shapes]
    for a, b in zip(room._on_host(counter, (2**32 - 1, 7)), room._on_tensors(counter, (2**32 - 1, 7)), strict=True):
        assert torch.equal(a, b.expand_as(a)) and a.dtype == torch.int64


def test_noise_inside_torchs_transforms_is_that_outside():
    """There a tensor that is made is wrapped, and numpy does not see it."""

    def f(x):
        return x + Noise(0, torch.full((len(x),), 3)).forward(2, like=x)

    x, plain = torch.zeros(2, 3), Noise(0, torch.tensor([3, 3])).forward(2, torch.zeros(2, 3))
    assert torch.equal(torch.func.jvp(f, (x,), (x,))[0], plain)
    assert torch.equal(torch.func.vmap(lambda v: torch.func.jvp(f, (x,), (v,))[0])(torch.zeros(1, 2, 3))[0], plain)


def test_philox_is_the_same_for_every_element_of_a_batch():
    counters = torch.tensor([words("243f6a88 85a308d3 13198a2e 03707344"), [0] * 4, words("ffffffff " * 4)])
    together = torch.stack(philox4x32(list(counters.T), (1, 2)), dim=1)
    alone = torch.stack([torch.stack(philox4x32(list(c), (1, 2))) for c in counters])
    assert torch.equal(together, alone)


# The same address, the same bits.


def every_kind(xi, like):
    """All noises of a ξ, stacked: forward, reverse, random start, point of the ball."""
    return torch.stack(
        [xi.forward(4, like), xi.reverse(4, like), xi.start(like)(0), xi.start(like)(1), xi.ball(3, like)(0)], dim=1
    )


@pytest.mark.parametrize("seeding", SEEDED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_does_not_depend_on_the_batch(seeding, dtype):
    xi = SEEDED[seeding](5, torch.arange(100))
    full = every_kind(xi, IMAGE.new_empty(100, 3, 5, 5, dtype=dtype))
    for size in (1, 7, 33):
        parts = [
            every_kind(xi.rows(rows), IMAGE.new_empty(len(rows), 3, 5, 5, dtype=dtype))
            for rows in torch.arange(100).split(size)
        ]
        assert torch.equal(torch.cat(parts), full)


@pytest.mark.parametrize("seeding", SEEDED)
def test_noise_goes_with_its_image_in_any_order_and_when_repeated(seeding):
    xi = SEEDED[seeding](5, torch.arange(20) * 3)
    full = every_kind(xi, IMAGE.new_empty(20, 3, 5, 5))
    index = torch.tensor([19, 3, 3, 0, 11])
    assert torch.equal(every_kind(xi.rows(index), IMAGE.new_empty(5, 3, 5, 5)), full[index])


@pytest.mark.parametrize("seeding", SEEDED)
def test_draws_of_their_own_go_with_their_rows(seeding):
    ids = torch.arange(6)
    like = IMAGE.new_empty(6, 3, 5, 5)
    xi = SEEDED[seeding](5, ids)
    draws, others = torch.tensor([4, 0, 9, 4, 1, 2]), torch.tensor([0, 0, 1, 1, 2, 2])
    mixed = xi.at(draws, others)
    for row in range(6):
        alone = xi.rows(ids[row : row + 1]).at(draws[row].item(), others[row].item())
        assert torch.equal(mixed.forward(2, like)[row], alone.forward(2, like[:1])[0])
        assert torch.equal(mixed.reverse(2, like)[row], alone.reverse(2, like[:1])[0])
    index = torch.tensor([5, 2, 2])
    assert torch.equal(mixed.rows(index).forward(2, like[:3]), mixed.forward(2, like)[index])
    assert torch.equal(mixed.rows(index).reverse(2, like[:3]), mixed.reverse(2, like)[index])


@pytest.mark.parametrize("seeding", SEEDED)
def test_noises_of_several_seeds_together_are_those_of_each(seeding):
    each = [SEEDED[seeding](seed, torch.arange(4) + 2) for seed in (5, 0, 5, 2**32 - 1002)]
    like = IMAGE.new_empty(16, 3, 5, 5)
    draws = torch.arange(16) % 3

    def asked(xi, draws):
        return every_kind(xi.at(draws), like[: len(draws)])

    alone = torch.cat([asked(xi, draws[4 * k : 4 * k + 4]) for k, xi in enumerate(each)])
    assert torch.equal(asked(together(each), draws), alone)
    index = torch.tensor([15, 2, 2, 7])
    assert torch.equal(asked(together(each).rows(index), draws[index]), alone[index])


@pytest.mark.parametrize("seeding", SEEDED)
def test_the_same_address_gives_the_same_noise_again_whatever_was_asked_between(seeding):
    xi, like = SEEDED[seeding](5, torch.arange(3)), IMAGE.new_empty(3, 3, 5, 5)
    before = every_kind(xi, like)
    every_kind(xi.at(7), like)
    assert torch.equal(every_kind(SEEDED[seeding](5, torch.arange(3)), like), before)


@pytest.mark.parametrize("seeding", SEEDED)
def test_no_global_generator_is_touched_or_read(seeding):
    xi, like = SEEDED[seeding](5, torch.arange(3)), IMAGE.new_empty(3, 3, 5, 5)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()
    before = every_kind(xi, like)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy_state, strict=True))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        assert torch.equal(every_kind(xi, like), before)


def test_float32_noise_is_the_rounded_float64_noise():
    xi = Noise(5, torch.arange(10))
    double = every_kind(xi, torch.empty(10, 3, 5, 5, dtype=torch.float64))
    assert torch.equal(every_kind(xi, torch.empty(10, 3, 5, 5)), double.float())


# Different addresses, independent normals. `axes()` moves one coordinate through 0 … 399 with the others at rest.

N = 400


def axes() -> dict[str, torch.Tensor]:
    """(400, 400) float64 normals by coordinate: row a is the noise of 400 pixels at value a of that coordinate."""
    one, many = torch.tensor([7]), torch.arange(N)

    def each(noise):
        return torch.cat([noise(a) for a in range(N)])

    return {
        "seed": each(lambda a: normals(a, FORWARD, one, 0, 3, (N,))),
        "id": normals(2, FORWARD, many, 0, 3, (N,)),
        "draw": normals(2, FORWARD, torch.full((N,), 7), many, 3, (N,)),
        "attacker's draw": normals(2, FORWARD, torch.full((N,), 7), ATTACKER + many, 3, (N,)),
        "step": each(lambda a: normals(2, FORWARD, one, 0, a, (N,))),
        "pixel": normals(2, FORWARD, one, 0, 3, (N * N,)).view(N, N).T.contiguous(),
        "reverse step": each(lambda a: normals(2, REVERSE, one, 0, a, (N,))),
    }


AXES = axes()


@pytest.mark.parametrize("axis", AXES)
def test_moments_are_those_of_the_normal_law_along(axis):
    """n = 160,000: within four standard errors of 0, 1, 0 and 3 (variances of sample moments: 1, 2, 15, 96 over n)."""
    z = AXES[axis]
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(z.pow(power).mean().item() - expected) < 4 * (variance / z.numel()) ** 0.5


@pytest.mark.parametrize("axis", AXES)
def test_neighbours_are_uncorrelated_along(axis):
    """Lags 1 and 2, of z and of z² (Box and Muller's pairs share a radius): four standard errors of a correlation."""
    z = AXES[axis]
    for values in (z, z.square()):
        centred = (values - values.mean()) / values.std()
        for lag in (1, 2):
            products = centred[lag:] * centred[:-lag]
            assert abs(products.mean().item()) < 4 / products.numel() ** 0.5


@pytest.mark.parametrize("axis", AXES)
def test_noise_is_normal_along(axis):
    """Kolmogorov-Smirnov at fixed data, so it passes always or never; a right generator fails at 1e-3 once in 1,000."""
    assert stats.kstest(AXES[axis].flatten().numpy(), "norm").pvalue > 1e-3


def test_directions_and_purposes_see_independent_numbers():
    """Of 100,000 pairs the correlation stays below four standard errors."""
    ids = torch.arange(1000)
    streams = [normals(2, stream, ids, 0, 3, (100,)).flatten() for stream in (FORWARD, REVERSE, START, BALL)]
    correlation = torch.corrcoef(torch.stack(streams)) - torch.eye(4)
    assert correlation.abs().max() < 4 / 100_000**0.5


def test_no_two_addresses_share_a_number():
    """Every coordinate moved by one, at the ends of its range too: all first words of 64 bits differ."""
    ends = (0, 1, 2**31, 2**32 - 1)
    heads = {
        tuple(uniforms(seed, stream, torch.tensor([i]), draw, step, (2,))[0].tolist())
        for seed in ends
        for stream in (FORWARD, REVERSE, START, BALL)
        for i in ends
        for draw in ends
        for step in (0, 1, 999)
    }
    assert len(heads) == 4 * 4 * 4 * 4 * 3


def test_uniforms_are_uniform():
    u = uniforms(2, START, torch.arange(400), 0, 0, (400,)).flatten().numpy()
    assert stats.kstest(u, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float64,
        torch.float32,  # where a word above 2³²−129 would round to 1
    ],
)
def test_uniforms_never_reach_the_ends(dtype):
    """Seed 16, image 388, pixel 2044 has a word within 128 of 2³²; 1 would put an ℓ2 start at infinity."""
    u = Noise(16, torch.tensor([388])).start(torch.empty(1, 3, 32, 32, dtype=dtype))(0)
    assert u.max() > 1 - 1e-6  # the address still is what makes this test one
    assert u.min() > 0 and u.max() < 1


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_outside_32_bits_is_refused(seed):
    with pytest.raises(ValueError, match=f"base seed {seed}"):
        Noise(seed, torch.arange(2))


@pytest.mark.parametrize("i", [-1, 2**32])
def test_an_id_outside_32_bits_is_refused(i):
    with pytest.raises(ValueError, match="image ids"):
        Noise(0, torch.tensor([3, i]))


# The papers' seedings.


def test_published_seeds_follow_the_papers_formulas():
    """Worked by hand for s = 1, i = 2, t = 3: products 83492791, 147712186, 116097978 (2t) and 135447641 (2t+1)."""
    assert hash_s2(0, 0, 0) == 0
    assert seed_s2(1, 2, 3, FORWARD) == 83492791 ^ 147712186 ^ 116097978
    assert seed_s2(1, 2, 3, REVERSE) == 83492791 ^ 147712186 ^ 135447641
    assert hash_s2(99, 999, 0) == (8265786309 % 2**32) ^ (73782236907 % 2**32)  # both products overflow 32 bits
    assert seed_s3(1, 2, 3, FORWARD) == 14007
    assert seed_s3(1, 2, 3, REVERSE) == 14006


@pytest.mark.parametrize(("name", "seed_of"), [("s2", seed_s2), ("s3", seed_s3)])
def test_published_noise_is_torchs_generator_at_batch_size_one(name, seed_of):
    """Positions, not ids, are hashed."""
    xi = SEEDINGS[name](3, torch.tensor([500, 40, 7]))
    like = torch.empty(3, 1, 4, 4)
    for position in range(3):
        for direction, noise in ((FORWARD, xi.forward), (REVERSE, xi.reverse)):
            generator = torch.Generator().manual_seed(seed_of(3, position, 9, direction))
            assert torch.equal(noise(9, like)[position], torch.randn(1, 4, 4, generator=generator))


@pytest.mark.parametrize("seeding", SEEDED)
def test_another_draw_or_seed_is_another_noise(seeding):
    like = IMAGE.new_empty(3, 3, 5, 5)
    xi = SEEDED[seeding](5, torch.arange(3))
    others = [xi.at(1), xi.at(ATTACKER), xi.at(ATTACKER + 1), SEEDED[seeding](6, torch.arange(3))]
    seen = [noise(2, like) for one in (xi, *others) for noise in (one.forward, one.reverse)]
    assert all(not torch.equal(a, b) for n, a in enumerate(seen) for b in seen[:n])


@pytest.mark.parametrize("seeding", SEEDINGS)
def test_seedings_of_the_config_reach_their_noise(seeding):
    xi = from_spec({"seed": 4, "seeding": seeding}, np.array([10, 11]))
    ids = torch.tensor([10, 11] if seeding == "address" else [0, 1])
    like = IMAGE.new_empty(2, 3, 5, 5)
    assert torch.equal(xi.reverse(1, like), SEEDED[seeding](4, ids).reverse(1, like))


@pytest.mark.parametrize("seeding", SEEDINGS)
def test_a_block_under_several_seeds_meets_the_noise_of_each(seeding):
    spec, ids, like = {"seed": 4, "seeding": seeding, "first": 3}, np.arange(5) * 6, IMAGE.new_empty(10, 3, 5, 5)
    found = from_spec(spec, np.tile(ids, 2), [9, 4]).forward(1, like)
    apart = [from_spec(spec | {"seed": seed}, ids).forward(1, like[:5]) for seed in (9, 4)]
    assert torch.equal(found, torch.cat(apart))


@pytest.mark.parametrize("seeding", SEEDINGS)
def test_blocks_of_an_experiments_images_meet_the_noise_that_they_meet_together(seeding):
    spec, ids, like = {"seed": 4, "seeding": seeding}, np.arange(7) * 6, IMAGE.new_empty(7, 3, 5, 5)
    parts = [
        from_spec(spec | {"first": rows[0]}, ids[rows]).forward(1, like[rows]) for rows in ([0, 1, 2], [3, 4, 5], [6])
    ]
    assert torch.equal(torch.cat(parts), from_spec(spec, ids).forward(1, like))


def collisions(seeds: np.ndarray) -> tuple[int, int]:
    """How many addresses share their seed with another one, and how many seeds there are at all. Sorts in place."""
    seeds.sort()
    same = np.concatenate([[False], seeds[1:] == seeds[:-1], [False]])
    return int((same[1:] | same[:-1]).sum()), int(len(seeds) - same.sum())


@pytest.mark.parametrize(
    ("seed_of", "sharing", "distinct"),
    [(seed_s2, 831_436, 59_783_268), (seed_s3, 60_193_980, 899_990)],
    ids=["s2", "s3"],
)
def test_published_seeds_collide(seed_of, sharing, distinct):
    """Of the 60.2 million addresses s < 100, i < 1000, t ≤ 300, both directions. Theirs, not ours: here for the docs.

    The project's own functions take arrays as they take numbers. S2's hash spreads n = 60.2 million addresses over 2³²
    seeds, where chance alone makes n(1 − exp(−n/2³²)) = 838,000 of them share; S3 has 3 million seeds at most.
    """
    s, i, t = np.ogrid[:100, :1000, :301]
    both = [seed_of(s, i, t, direction).astype(np.uint32).ravel() for direction in (FORWARD, REVERSE)]
    assert collisions(np.concatenate(both)) == (sharing, distinct)
