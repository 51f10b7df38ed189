"""Planes that attackers walk in, and tables of paths and landscapes counted by hand."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawings import STOCHASTIC, named
from made_up import (
    of_purifier,
    only,
    walked,
)
from matplotlib.colors import to_hex

from purity.studies import drawing
from purity.studies import paths as study
from purity.studies.paths import principal_plane
from purity.studies.records import Record

# Sums of some dozen products of numbers of about 1 in float64, each rounded to 1e-16.
ROUNDING = 1e-12


SHAPES = [(2, 2), (5, 3), (3, 40), (40, 7), (100, 64)]  # fewer places than dimensions, and more


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def planes(count: int, d: int, seed: int = 1) -> np.ndarray:
    """Orthonormal axes (count, 2, d) of random planes."""
    return np.linalg.qr(normal(count, d, 2, seed=seed))[0].swapaxes(1, 2)


def share(moved: np.ndarray, axes: np.ndarray) -> float:
    """Of squared length, what lies in the plane of these axes."""
    return float(((moved @ axes.T) ** 2).sum() / (moved**2).sum())


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# The principal plane.


@pytest.mark.parametrize("shape", SHAPES)
def test_the_axes_are_orthonormal(shape):
    axes, _ = principal_plane(normal(*shape), normal(shape[1], seed=9))
    assert axes.shape == (2, shape[1])
    assert axes @ axes.T == pytest.approx(np.eye(2), abs=ROUNDING)


@pytest.mark.parametrize("d", [2, 3, 50])
def test_places_in_a_plane_are_kept_whole_with_their_distances(d):
    (spanned,) = planes(1, d)
    at = normal(12, 2) * [3, 0.2]
    axes, kept = principal_plane(at @ spanned, normal(d, seed=9))
    found = at @ spanned @ axes.T
    assert kept == pytest.approx(1, abs=ROUNDING)
    apart = lambda x: np.linalg.norm(x[:, None] - x[None], axis=2)  # noqa: E731
    assert apart(found) == pytest.approx(apart(at), abs=ROUNDING)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.linalg.norm(at, axis=1), abs=ROUNDING)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_kept_is_the_share_that_lies_in_the_plane(shape):
    moved = normal(*shape)
    axes, kept = principal_plane(moved, moved[-1])
    assert kept == pytest.approx(share(moved, axes), abs=ROUNDING) and 0 < kept < 1 + ROUNDING


@pytest.mark.parametrize("shape", SHAPES)
def test_no_other_plane_keeps_more(shape):
    moved = normal(*shape)
    _, kept = principal_plane(moved, moved[-1])
    others = [share(moved, axes) for axes in planes(300, shape[1])]
    assert max(others) <= kept + ROUNDING


def test_nor_does_any_plane_close_by():
    moved = normal(20, 6) * [3, 2, 1.9, 1, 1, 1]
    axes, kept = principal_plane(moved, moved[-1])
    for seed in range(50):
        (turned,) = np.linalg.qr((axes + 0.01 * normal(2, 6, seed=seed)).T[None])[0].swapaxes(1, 2)
        assert share(moved, turned) < kept


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_kept_is_of_the_two_largest_eigenvalues_of_the_second_moment(shape):
    moved = normal(*shape)
    values = np.linalg.eigvalsh(moved.T @ moved)
    axes, kept = principal_plane(moved, moved[-1])
    assert kept == pytest.approx(values[-2:].sum() / values.sum(), abs=ROUNDING)
    lengths = ((moved @ axes.T) ** 2).sum(axis=0)
    assert lengths == pytest.approx(values[:-3:-1], rel=1e-9)  # the first axis is the larger one


def test_no_mean_is_subtracted():
    """Places far from the origin and close to each other: their mean is the first axis."""
    mean = np.zeros(8)
    mean[3] = 10
    axes, kept = principal_plane(mean + 0.01 * normal(30, 8), mean)
    assert axes[0, 3] == pytest.approx(1, abs=1e-4) and kept > 0.999
    centred = 0.01 * normal(30, 8)
    assert principal_plane(centred - centred.mean(axis=0), mean)[1] < 0.9


@pytest.mark.parametrize("seed", range(10))
def test_the_place_in_front_has_no_negative_coordinate(seed):
    moved, front = normal(9, 5, seed=seed), normal(5, seed=100 + seed)
    axes, kept = principal_plane(moved, front)
    assert (axes @ front >= 0).all()
    behind, kept_too = principal_plane(moved, -front)
    assert np.array_equal(behind, -axes) and kept == kept_too


def test_places_in_another_order_have_the_same_plane():
    moved, front = normal(30, 12), normal(12, seed=9)
    wanted, kept = principal_plane(moved, front)
    for seed in range(5):
        axes, kept_too = principal_plane(moved[np.random.default_rng(seed).permutation(30)], front)
        # rounding over the gap of the singular values
        assert axes == pytest.approx(wanted, abs=1e-9) and kept_too == pytest.approx(kept, abs=ROUNDING)


def test_places_twice_as_far_have_the_same_plane():
    moved, front = normal(30, 12), normal(12, seed=9)
    (axes, kept), (wanted, kept_before) = (principal_plane(scale * moved, front) for scale in (2, 1))
    assert axes == pytest.approx(wanted, abs=ROUNDING) and kept == pytest.approx(kept_before)


def test_the_origin_itself_among_the_places_changes_nothing():
    moved, front = normal(30, 12), normal(12, seed=9)
    axes, kept = principal_plane(np.concatenate([np.zeros((4, 12)), moved]), front)
    wanted, kept_before = principal_plane(moved, front)
    assert axes == pytest.approx(wanted, abs=1e-9) and kept == pytest.approx(kept_before)


def test_float32_places_are_computed_with_in_float64():
    moved = normal(9, 5).astype(np.float32)
    axes, kept = principal_plane(moved, moved[0])
    wanted, kept_before = principal_plane(moved.astype(np.float64), moved[0].astype(np.float64))
    assert axes.dtype == np.float64 and np.array_equal(axes, wanted) and kept == kept_before


@pytest.mark.parametrize("m", [0, 1, 2, 7])
def test_places_that_are_all_the_origin_are_no_failure(m):
    axes, kept = principal_plane(np.zeros((m, 5)), np.zeros(5))
    assert axes.shape == (2, 5) and np.isfinite(axes).all() and kept == 0


@pytest.mark.parametrize("m", [1, 4])
def test_places_on_one_line_are_kept_whole_on_the_first_axis(m):
    line = normal(5)
    axes, kept = principal_plane(np.arange(1, m + 1)[:, None] * line, line)
    assert axes.shape == (2, 5) and kept == pytest.approx(1, abs=ROUNDING)
    assert axes @ line == pytest.approx([np.linalg.norm(line), 0], abs=ROUNDING)


def test_places_of_a_single_dimension_have_one_coordinate():
    axes, kept = principal_plane(np.array([[1.0], [-2.0]]), np.array([-3.0]))
    assert axes.tolist() == [[-1], [0]] and kept == 1


# Paths.


def path_record(moved: dict, x0=0.5, ids=(4,), purifier="ddpm", seed=0, **losses) -> Record:
    """moved: by kind (n, R, S + 1, 4), the places less x₀, of images of 2×2."""
    arrays = {"ids": np.array(ids)}
    for kind in study.KINDS:
        of = np.array(moved[kind], float)
        arrays[kind] = (x0 + of).reshape(*of.shape[:3], 1, 2, 2).astype(np.float32)
        arrays[f"{kind}_loss"] = np.array(losses.get(kind, np.zeros(of.shape[:3])), np.float32)
    return Record(of_purifier(purifier, seed, attack="pgd"), arrays)


# In a plane of the first and last of four pixels, largest along the first: in binary fractions.
FLAT = {
    "white_box": [[[[0, 0, 0, 0], [-0.25, 0, 0, 0.125]], [[0, 0, 0, 0], [0.25, 0, 0, -0.125]]]],
    "eot": [[[[0, 0, 0, 0], [0.25, 0, 0, 0.125]], [[0, 0, 0, 0], [0.25, 0, 0, 0.125]]]],
    "dw_box": [[[[0, 0, 0, 0], [-0.25, 0, 0, 0.125]]]],
}


def test_a_path_has_a_row_for_each_kind_repeat_and_step():
    made = study.attack_paths(walked()["paths"])
    assert len(made) == 2 * 3 * (3 + 3 + 1) * 5
    assert list(dict.fromkeys(made["kind"])) == ["white-box", "white-box EOT", "DW-box"]
    assert list(dict.fromkeys(made["image"])) == [7, 3, 11]
    for _, part in made.groupby(["purifier", "image"]):
        assert part.groupby("kind")["repeat"].nunique().to_dict() == {"white-box": 3, "white-box EOT": 3, "DW-box": 1}
        assert part["step"].tolist() == 7 * [0, 1, 2, 3, 4]


def test_places_in_a_plane_are_counted_there_by_hand():
    """Lengths and angles are those of the images."""
    made = study.attack_paths([path_record(FLAT)])
    assert made["kept"].to_numpy() == pytest.approx(np.ones(10))
    end = lambda kind, repeat: only(made, kind=kind, repeat=repeat, step=1)[["u", "v"]].to_numpy(float)  # noqa: E731
    length = np.hypot(0.25, 0.125)
    for kind, repeat in (("white-box", 0), ("white-box", 1), ("white-box EOT", 0), ("DW-box", 0)):
        assert np.hypot(*end(kind, repeat)) == pytest.approx(length)
        assert only(made, kind=kind, repeat=repeat, step=0)[["u", "v"]].tolist() == [0, 0]
    assert end("white-box", 0) == pytest.approx(end("DW-box", 0))
    assert end("white-box", 1) == pytest.approx(-end("DW-box", 0))
    # the cosine of (−2, 1) and (2, 1) is −3/5
    assert end("DW-box", 0) @ end("white-box EOT", 1) == pytest.approx(-0.6 * length**2)
    assert (end("DW-box", 0) >= 0).all()


def test_where_the_path_of_who_knows_ends_no_coordinate_is_negative():
    made = study.attack_paths(walked(ids=range(20))["paths"])
    ends = made[(made["kind"] == "DW-box") & (made["step"] == 4)]
    assert len(ends) == 40 and (ends[["u", "v"]] >= 0).all(axis=None) and (ends[["u", "v"]] > 0.01).any(axis=None)
    assert (made["u"] < 0).any() and (made["v"] < 0).any()


def test_the_share_that_is_kept_is_that_of_the_largest_two_moments_of_all_places_of_the_image():
    (record,) = walked(["ddpm"])["paths"]
    made = study.attack_paths([record])
    for i, image in enumerate(record.arrays["ids"]):
        places = np.concatenate([record.arrays[kind][i].reshape(-1, 6) for kind in study.KINDS]).astype(float)
        moved = places - places[0]
        values = np.linalg.eigvalsh(moved.T @ moved)
        part = made[made["image"] == image]
        assert part["kept"].to_numpy() == pytest.approx(np.full(len(part), values[-2:].sum() / values.sum()))
        assert (part["u"] ** 2).sum() == pytest.approx(values[-1])
        assert (part["v"] ** 2).sum() == pytest.approx(values[-2])
        assert (np.hypot(part["u"], part["v"]) <= np.linalg.norm(moved, axis=1) + 1e-9).all()


def test_every_image_has_a_plane_of_its_own():
    """The second moves in the other two pixels; both are kept whole."""
    two = {kind: [of[0], np.array(of[0])[..., [1, 0, 3, 2]]] for kind, of in FLAT.items()}
    made = study.attack_paths([path_record(two, ids=[4, 9])])
    assert made["kept"].to_numpy() == pytest.approx(np.ones(20))
    one, other = (made[made["image"] == image][["u", "v"]].to_numpy() for image in (4, 9))
    assert one == pytest.approx(other)


def test_heights_are_the_losses_of_the_same_steps():
    records = walked()["paths"]
    made = study.attack_paths(records)
    for row in made.iloc[::7].itertuples():
        (record,) = [r for r in records if r.keys["purifier"] == row.purifier]
        (kind,) = [kind for kind, name in study.KINDS.items() if name == row.kind]
        i = record.arrays["ids"].tolist().index(row.image)
        assert row.loss == record.arrays[f"{kind}_loss"][i, row.repeat, row.step]


def test_paths_that_stay_at_the_image_are_no_failure():
    still = {kind: np.zeros_like(of) for kind, of in FLAT.items()}
    made = study.attack_paths([path_record(still)])
    assert not made[["u", "v", "kept"]].any(axis=None) and len(made) == 10


# Landscapes.


def test_the_landscape_is_the_mean_over_images_at_each_point():
    """a is the first axis of the array, b the second."""
    lost = np.array([[[1, 2], [3, 4]], [[3, 6], [5, 4]]], np.float32)
    arrays = {"at": np.array([0, 1.5]), "loss": lost}
    made = study.landscape([Record({"purifier": "ddpm", "attack": "pgd", "seed": 3}, arrays)])
    assert made[["a", "b", "mean"]].to_numpy().tolist() == [[0, 0, 2], [0, 1.5, 4], [1.5, 0, 4], [1.5, 1.5, 4]]
    assert made["std"].to_numpy() == pytest.approx(np.array([2, 4, 2, 0]) / np.sqrt(2))
    assert set(made["n"]) == {2} and set(made["seed"]) == {3} and set(made["purifier"]) == {"ddpm"}


def test_every_purifier_has_a_landscape_of_its_own():
    made = study.landscape(walked()["landscapes"])
    assert made.groupby("purifier", sort=False).size().to_dict() == {"ddpm": 25, "ddpm-addt": 25}
    assert not np.array_equal(made["mean"][:25], made["mean"][25:])


def test_paths_on_a_landscape_are_means_over_images_of_the_first_repeat():
    made = walked(["ddpm"])
    (landscape,), (paths,) = made["landscapes"], made["paths"]
    found = study.landscape_paths(made["landscapes"], made["paths"])
    assert list(dict.fromkeys(found["kind"])) == ["white-box EOT", "DW-box"]
    for kind, name in (("eot", "white-box EOT"), ("dw_box", "DW-box")):
        part = found[found["kind"] == name]
        assert part["step"].tolist() == [0, 1, 2, 3, 4] and set(part["n"]) == {3}
        assert part[["a", "b"]].to_numpy() == pytest.approx(landscape.arrays[kind].mean(axis=0))
        assert part["loss"].to_numpy() == pytest.approx(paths.arrays[f"{kind}_loss"][:, 0].mean(axis=0))


def test_paths_and_landscapes_are_paired_by_purifier_not_by_place():
    made = walked()
    wanted = study.landscape_paths(made["landscapes"], made["paths"])
    pd.testing.assert_frame_equal(study.landscape_paths(made["landscapes"], made["paths"][::-1]), wanted)
    assert wanted.groupby(["purifier", "step"])["loss"].sum().nunique() == 10


# The figure.


def lines_of(ax, colour: str) -> list[np.ndarray]:
    """(S, 3) each."""
    return [np.array(line.get_data_3d()).T for line in ax.lines if to_hex(line.get_color()) == colour]


@pytest.mark.parametrize("case", STOCHASTIC["attack-paths"])
def test_every_path_of_the_image_shown_is_a_line_through_its_places(case, drawn):
    figure, tables, *_ = drawn("attack-paths", case)
    table = tables["attack-paths"]
    table = table[table["image"] == shown_in(figure)]
    of_legend = named(figure)
    assert list(of_legend) == ["white-box", "white-box EOT", "DW-box"]
    assert len(figure.axes) == table["purifier"].nunique()
    for ax, purifier in zip(figure.axes, table["purifier"].unique(), strict=True):
        part = table[table["purifier"] == purifier]
        repeats = part.groupby("kind")["repeat"].nunique()
        assert len(ax.lines) == repeats.sum() and repeats["DW-box"] == 1
        for kind, colour in of_legend.items():
            ways = [way for _, way in part[part["kind"] == kind].groupby("repeat")]
            for line, way in zip(lines_of(ax, colour), ways, strict=True):
                assert np.array_equal(line, way.sort_values("step")[["u", "v", "loss"]].to_numpy())


@pytest.mark.parametrize("case", STOCHASTIC["attack-paths"])
def test_a_panel_says_how_much_its_plane_keeps(case, drawn):
    figure, tables, *_ = drawn("attack-paths", case)
    kept = tables["attack-paths"].query(f"image == {shown_in(figure)}").groupby("purifier", sort=False)["kept"].first()
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == [f"{purifier}: {share:.0%} of squared length in the plane" for purifier, share in kept.items()]


@pytest.mark.parametrize(
    ("name", "case"), [(name, case) for name in ("attack-paths", "landscape") for case in STOCHASTIC[name]]
)
def test_all_panels_have_the_same_heights_and_nothing_sticks_out(name, case, drawn):
    figure = drawn(name, case).figure
    ((low, high),) = {ax.get_zlim() for ax in figure.axes}
    heights = np.concatenate([np.ravel(line.get_data_3d()[2]) for ax in figure.axes for line in ax.lines])
    surfaces = [np.ravel(arrays[2]) for arrays, _ in drawn(name, case).surfaces.values()]
    assert low == 0
    assert heights.min() >= 0 and 0.9 * high < max(heights.max(), *(z.max() for z in surfaces), 0) <= high


def shown_in(figure) -> int:
    return int(figure.get_suptitle().removeprefix("image "))


@pytest.mark.parametrize("case", STOCHASTIC["attack-paths"])
def test_the_image_shown_is_that_of_middling_harm(case, drawn):
    """Not one that was picked: as many do better on the first purifier as do worse."""
    figure, tables, *_ = drawn("attack-paths", case)
    table = tables["attack-paths"]
    known = table[(table["kind"] == "DW-box") & (table["purifier"] == table["purifier"].iloc[0])]
    last = known[known["step"] == known["step"].max()].set_index("image")["loss"]
    below = (last < last[shown_in(figure)]).sum()
    assert 0 <= (last > last[shown_in(figure)]).sum() - below <= 1 or last.duplicated().any()


def test_only_one_image_is_shown(drawn):
    figure, tables, *_ = drawn("attack-paths")
    alone = tables["attack-paths"].query(f"image == {shown_in(figure)}")
    with drawing.style():
        figure = study.draw_attack_paths(alone)
    for ax, other in zip(figure.axes, drawn("attack-paths").figure.axes, strict=True):
        assert all(np.array_equal(a.get_data_3d(), b.get_data_3d()) for a, b in zip(ax.lines, other.lines, strict=True))
        assert ax.get_zlim() == other.get_zlim()
    plt.close(figure)


@pytest.mark.parametrize("case", STOCHASTIC["landscape"])
def test_the_surface_of_each_purifier_is_its_mean_loss(case, drawn):
    figure, tables, *_, surfaces = drawn("landscape", case)
    table = tables["landscape"]
    purifiers = table["purifier"].unique()
    assert [ax.get_title() for ax in figure.axes] == list(purifiers) and len(surfaces) == len(purifiers)
    for ax in figure.axes:
        (a, b, z), _ = surfaces[ax]
        part = table[table["purifier"] == ax.get_title()].set_index(["a", "b"])["mean"]
        assert z.shape == (5, 5) and len(part) == 25
        found = {(x, y): height for x, y, height in zip(*map(np.ravel, np.broadcast_arrays(a, b, z)), strict=True)}
        assert found == part.to_dict()
        assert "DW-box" in ax.get_xlabel() and "EOT" in ax.get_ylabel()


@pytest.mark.parametrize("case", STOCHASTIC["landscape"])
def test_all_surfaces_have_one_scale_of_colours(case, drawn):
    one = drawn("landscape", case)
    (limits,) = {(look["vmin"], look["vmax"]) for _, look in one.surfaces.values()}
    assert limits == (0, max(one.tables["landscape"]["mean"].max(), one.tables["landscape-paths"]["loss"].max()))


@pytest.mark.parametrize("case", STOCHASTIC["landscape"])
def test_the_mean_paths_of_both_attacks_are_lines(case, drawn):
    figure, tables, *_ = drawn("landscape", case)
    table, of_legend = tables["landscape-paths"], named(figure)
    assert list(of_legend) == ["white-box EOT", "DW-box"]
    for ax in figure.axes:
        assert len(ax.lines) == 2
        for kind, colour in of_legend.items():
            (line,) = lines_of(ax, colour)
            way = table[(table["purifier"] == ax.get_title()) & (table["kind"] == kind)].sort_values("step")
            assert len(way) == 5 and np.array_equal(line, way[["a", "b", "loss"]].to_numpy())


def test_attackers_have_the_same_colours_on_paths_and_landscapes(drawn):
    assert named(drawn("landscape").figure).items() <= named(drawn("attack-paths").figure).items()


@pytest.mark.parametrize(
    ("case", "said"), [("all", "mean over 3 images;"), ("one purifier and image", "mean over 1 image;")]
)
def test_a_landscape_says_of_how_many_images_it_is(case, said, drawn):
    figure, tables, *_ = drawn("landscape", case)
    assert figure.get_suptitle().startswith(said)
    assert tables["landscape"]["std"].isna().all() == ("one" in case)
