"""Where decisions change, for classifiers whose boundaries are known in closed form."""

import numpy as np
import pytest
import torch

from purity.boundary import along, critical_threshold, orthogonal
from purity.geometry import normalized

SHAPE = (1, 4, 4)


def random(n: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a.double() * b.double()).flatten(1).sum(dim=1)


NORMAL = normalized(random(1, seed=100))


def half_space(b: float = 0.0):
    """Class 1 where w·x > b, else class 0; w = NORMAL."""

    def classify(x: torch.Tensor) -> torch.Tensor:
        logit = (x * NORMAL.to(x.dtype)).flatten(1).sum(dim=1) - b
        return torch.stack([-logit, logit], dim=1)

    return classify


def slabs(*edges: float):
    """Class 0 where w·x is below the first edge; from each edge on the next class."""

    def classify(x: torch.Tensor) -> torch.Tensor:
        position = (x * NORMAL.to(x.dtype)).flatten(1).sum(dim=1)
        index = torch.bucketize(position, torch.tensor(edges, dtype=x.dtype))
        return torch.nn.functional.one_hot(index, len(edges) + 1).double()

    return classify


def facing(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Origins on the side w·x < 0 and directions that lead to the other, at angles of up to 70° to w."""
    origin, tilt = random(n, seed), random(n, seed + 1)
    origin = origin - NORMAL * (dot(origin, NORMAL) + torch.linspace(0.1, 3, n)).view(-1, 1, 1, 1)
    angle = torch.linspace(0, 1.2, n, dtype=torch.float64).view(-1, 1, 1, 1)
    return origin, angle.cos() * NORMAL + angle.sin() * orthogonal(tilt, NORMAL.expand_as(tilt))


def of_class(label: int, n: int) -> torch.Tensor:
    return torch.full((n,), label)


# Thresholds.


@pytest.mark.parametrize(("grid", "halvings"), [(100, 20), (10, 5), (7, 0), (1, 30)])
@pytest.mark.parametrize("b", [-0.05, 0.0, 0.5])
def test_the_threshold_of_a_half_space_is_the_distance_to_its_plane(b, grid, halvings):
    """γ = (b − w·x₀)/(w·u). What is found is the first known to be wrong: γ or a last halving beyond it."""
    origin, u = facing(12)
    wanted = (b - dot(origin, NORMAL)) / dot(u, NORMAL)
    reach = 20.0
    assert wanted.max() < reach
    found = critical_threshold(half_space(b), of_class(0, 12), origin, u, reach, grid, halvings)
    error = found.threshold - wanted
    assert error.min() > -1e-12 and error.max() < reach / grid / 2**halvings + 1e-12  # float64 sums of 16 terms
    assert found.threshold.dtype == torch.float64


def test_in_float32_the_threshold_is_as_good_as_the_classifier():
    """w·x and x₀ + γu are rounded to 2⁻²⁴ of |x| < 20, 16 terms in quadrature, over w·u > 0.36: below 2e-5."""
    origin, u = facing(12)
    origin, u = origin.float(), u.float()
    wanted = -dot(origin, NORMAL) / dot(u, NORMAL)
    found = critical_threshold(half_space(), of_class(0, 12), origin, u, 20.0)
    assert found.threshold.numpy() == pytest.approx(wanted.numpy(), abs=2e-5)


def test_a_classifier_that_the_direction_leads_away_from_never_gives_way():
    origin, u = facing(5)
    found = critical_threshold(half_space(), of_class(0, 5), origin, -u, 20.0)
    assert torch.isinf(found.threshold).all() and (found.threshold > 0).all() and found.changes.tolist() == [0] * 5


def test_a_threshold_beyond_reach_is_infinite_and_one_within_is_not():
    origin = torch.zeros(1, *SHAPE, dtype=torch.float64)
    for reach, wanted in ((0.999, np.inf), (1.001, 1.0), (50.0, 1.0)):
        found = critical_threshold(half_space(1.0), of_class(0, 1), origin, NORMAL, reach)
        assert found.threshold.item() == pytest.approx(wanted, abs=1e-6) and found.changes.item() == (reach > 1)


def test_a_wrong_origin_has_threshold_zero_even_if_the_decision_turns_right_later():
    origin, u = facing(5)
    found = critical_threshold(half_space(), of_class(1, 5), origin, u, 20.0)
    assert found.threshold.tolist() == [0.0] * 5 and found.changes.tolist() == [1] * 5
    found = critical_threshold(half_space(), of_class(1, 5), origin, -u, 20.0)
    assert found.threshold.tolist() == [0.0] * 5 and found.changes.tolist() == [0] * 5


def test_of_a_slab_the_first_face_is_the_threshold_and_both_are_counted():
    origin = torch.zeros(1, *SHAPE, dtype=torch.float64)

    def classify(x):
        position = (x * NORMAL).flatten(1).sum(dim=1)
        return torch.stack([torch.zeros_like(position), (position - 1) * (1.5 - position)], dim=1)

    found = critical_threshold(classify, of_class(0, 1), origin, NORMAL, 4.0)
    assert found.threshold.item() == pytest.approx(1.0, abs=4 / 100 / 2**20 + 1e-12) and found.changes.item() == 2


def test_changes_are_between_right_and_wrong_and_not_between_wrong_classes():
    origin = torch.zeros(1, *SHAPE, dtype=torch.float64)
    three = slabs(1.0, 2.0)
    found = critical_threshold(three, of_class(0, 1), origin, NORMAL, 4.0)
    assert found.threshold.item() == pytest.approx(1.0, abs=1e-6) and found.changes.item() == 1
    found = critical_threshold(three, of_class(1, 1), origin + 1.25 * NORMAL, NORMAL, 4.0)
    assert found.threshold.item() == pytest.approx(0.75, abs=1e-6) and found.changes.item() == 1
    found = critical_threshold(three, of_class(1, 1), origin, NORMAL, 4.0)
    assert found.threshold.item() == 0 and found.changes.item() == 2


def test_every_change_within_reach_is_counted():
    edges = [0.5, 0.9, 1.3, 2.1, 3.7]

    def parity(x):
        index = slabs(*edges)(x).argmax(dim=1)
        return torch.nn.functional.one_hot(index % 2, 2).double()

    origin = torch.zeros(1, *SHAPE, dtype=torch.float64)
    for reach in (0.45, 0.6, 1.0, 2.0, 3.0, 4.0):
        found = critical_threshold(parity, of_class(0, 1), origin, NORMAL, reach)
        assert found.changes.item() == sum(edge < reach for edge in edges)


def test_images_are_not_cut_to_the_unit_interval_on_the_way():
    corner = torch.ones(1, *SHAPE, dtype=torch.float64)
    direction = normalized(corner)

    def classify(x):
        brightness = x.flatten(1).mean(dim=1) - 1.5
        return torch.stack([-brightness, brightness], dim=1)

    found = critical_threshold(classify, of_class(0, 1), corner, direction, 5.0)
    assert found.threshold.item() == pytest.approx(0.5 * 4, abs=1e-6)  # 16 pixels that rise by ½ each


def test_rows_of_a_batch_know_nothing_of_each_other():
    """Near ones, far ones, wrong ones and endless ones together and alone; to a last halving, as sums may reorder."""
    origin, u = facing(12)
    u = torch.where(torch.arange(12).view(-1, 1, 1, 1) % 4 == 0, -u, u)
    y = (torch.arange(12) % 3 == 1).long()
    together = critical_threshold(half_space(), y, origin, u, 5.0)
    assert {0.0, np.inf} < set(together.threshold.tolist())
    for i in range(12):
        alone = critical_threshold(half_space(), y[[i]], origin[[i]], u[[i]], 5.0)
        assert alone.threshold.item() == pytest.approx(together.threshold[i].item(), abs=5 / 100 / 2**19)
        assert alone.changes.item() == together.changes[i].item()


# Lines and directions.


def test_a_distance_is_one_for_all_rows_or_one_for_each():
    origin, u = random(3), normalized(random(3, seed=1))
    for distances in ([2.0, 2.0, 2.0], [0.0, -1.0, 3.0]):
        moved = along(origin, u, torch.tensor(distances, dtype=torch.float64))
        wanted = torch.stack([origin[i] + d * u[i] for i, d in enumerate(distances)])
        assert torch.equal(moved, wanted)
    assert torch.equal(along(origin, u, 2.0), along(origin, u, torch.full((3,), 2.0)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_unit_rows_have_length_one_and_keep_their_direction(dtype):
    """Tolerances: sixteen roundings in quadrature, 4 · 2⁻²⁴ or 4 · 2⁻⁵³, and two more."""
    scale = torch.tensor([1e-6, 1e-3, 1.0, 1e3, 1e6], dtype=dtype).view(-1, 1, 1, 1)
    d = random(5, dtype=dtype)
    found = normalized(scale * d)
    eps = 8 * torch.finfo(dtype).eps
    assert found.dtype == dtype and found.shape == d.shape
    assert dot(found, found).numpy() == pytest.approx(np.ones(5), abs=eps)
    assert torch.allclose(found, normalized(d), atol=eps) and (dot(found, d) > 0).all()


def test_rows_of_zeros_have_no_direction_and_stay():
    d = random(3)
    d[1] = 0
    found = normalized(d)
    assert (found[1] == 0).all() and dot(found, found).tolist() == pytest.approx([1, 0, 1])
    assert (orthogonal(d, normalized(random(3, seed=1)))[1] == 0).all()
    assert torch.equal(orthogonal(random(3), torch.zeros(3, *SHAPE, dtype=torch.float64)), normalized(random(3)))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-14)])
def test_the_orthogonal_part_is_at_a_right_angle_of_length_one_and_in_the_plane_of_both(dtype, tolerance):
    """Tolerances: a few roundings, over the sine of the angle between the two, which is 0.3 or more."""
    d, to = random(20, dtype=dtype), normalized(random(20, seed=1, dtype=dtype))
    d[:10] = d[:10] + 8 * to[:10]
    found = orthogonal(d, to)
    sine = (1 - dot(normalized(d), to) ** 2).sqrt()
    assert sine.min() > 0.3 and found.dtype == dtype
    assert dot(found, to).numpy() == pytest.approx(np.zeros(20), abs=tolerance)
    assert dot(found, found).numpy() == pytest.approx(np.ones(20), abs=tolerance)
    back = dot(normalized(d), to).view(-1, 1, 1, 1) * to + sine.view(-1, 1, 1, 1) * found
    assert torch.allclose(back, normalized(d).double(), atol=tolerance) and (dot(found, d) > 0).all()


def test_what_is_at_a_right_angle_already_is_only_scaled():
    to = normalized(random(4))
    d = orthogonal(random(4, seed=1), to)
    assert torch.allclose(orthogonal(7 * d, to), d, atol=1e-14)
