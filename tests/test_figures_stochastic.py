"""Figures of the stochastic perspective show the numbers of their tables, as these are read back from disk."""

import inspect
import warnings
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from mpl_toolkits.mplot3d import Axes3D
from test_figures import data_axes, legends
from test_figures_of_parts import SHOWN, colours, together
from test_tables_stochastic import boxed, hardened, walked

from purity import figures, figures_stochastic, tables_stochastic
from purity.run import store

ODD = {"none": ["none"], "NA": ["none"], "007": ["none", "forward"]}  # names that other tables would not keep
TUNED = {"NA": ("none", False), "007": ("none", True)}
MANY = {f"ddpm-addt-{i}": ("ddpm", i > 0) for i in range(4)}
# figure: {what an experiment may leave: the records}
CASES = {
    "dw-box": {
        "all": boxed,
        "one purifier, attack and seed": lambda: boxed({"ddpm": ["none"]}, ["pgd"], [0]),
        "one image": lambda: boxed(n=1),
        "odd names": lambda: boxed(ODD),
        "nothing fooled": lambda: boxed(right=1),
        "nothing robust": lambda: boxed(right=0),
    },
    "addt": {
        "all": hardened,
        "one seed": lambda: hardened(seeds=[0]),
        "one image": lambda: hardened(n=1),
        "odd names": lambda: hardened(TUNED),
        "many": lambda: hardened(MANY),
        "nothing fooled": lambda: hardened(right=1),
        "nothing robust": lambda: hardened(right=0),
    },
    "attack-paths": {
        "all": walked,
        "one purifier and repeat": lambda: walked(["ddpm"], repeats=1),
        "one step": lambda: walked(steps=1),
        "odd names": lambda: walked(["none", "NA", "007"]),
    },
    "landscape": {
        "all": walked,
        "one purifier and image": lambda: walked(["ddpm"], ids=[7]),
        "odd names": lambda: walked(["none", "NA", "007"]),
    },
}
# What is listed first is drawn first, yet what attackers know and do always stands in one order.
for name, make in {"dw-box": boxed, "addt": hardened}.items():
    CASES[name]["the other way round"] = lambda make=make: {"measured": make()["measured"][::-1]}
EVERY = [(name, case) for name, cases in CASES.items() for case in cases]


class Drawn(NamedTuple):
    figure: Figure
    tables: dict[str, pd.DataFrame]
    given: list[pd.DataFrame]  # copies of them, as the figure leaves them
    texts: list[tuple[Text, np.ndarray]]  # what is written, and its left, bottom, right, top in pixels
    surfaces: dict[Axes3D, tuple[list, dict]]  # what was asked of each panel


def function(module, identifier: str):
    return getattr(module, identifier.replace("-", "_"))


def tables_of(name: str, made: dict, folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of a figure, made of the records that their arguments name, read back from disk."""
    read = {}
    for identifier in SHOWN[name]:
        make = function(tables_stochastic, identifier)
        path = folder / f"{identifier}.csv"
        store.save_table(path, make(**{kind: made[kind] for kind in inspect.signature(make).parameters}))
        read[identifier] = store.load_table(path)
    return read


def draw(name: str, case: str, folder: Path) -> Drawn:
    """A figure laid out as it is saved; a warning, of its tables too, is an error."""
    texts, surfaces, write, lay = [], {}, Text.draw, Axes3D.plot_surface

    def noted(text, renderer):
        write(text, renderer)
        if text.get_visible() and text.get_text().strip():
            texts.append((text, text.get_window_extent(renderer).extents))

    def laid(ax, *arrays, **look):
        surfaces[ax] = ([np.array(array) for array in arrays], look)
        return lay(ax, *arrays, **look)

    with figures.style(), warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("error")
        tables = tables_of(name, CASES[name][case](), folder)
        given = [table.copy() for table in tables.values()]
        patch.setattr(Text, "draw", noted)
        patch.setattr(Axes3D, "plot_surface", laid)
        figure = function(figures_stochastic, name)(*given)
        figure.draw_without_rendering()
        plt.close(figure)
    return Drawn(figure, tables, given, texts, surfaces)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """drawn(name, case): each is drawn once for all tests."""
    made = {}

    def get(name: str, case: str = "all") -> Drawn:
        if (name, case) not in made:
            made[name, case] = draw(name, case, tmp_path_factory.mktemp(name))
        return made[name, case]

    yield get
    plt.close("all")


# What holds for all of them.


@pytest.mark.parametrize(("name", "case"), EVERY)
def test_a_figure_can_be_drawn_of_whatever_its_part_may_leave(name, case, drawn):
    assert data_axes(drawn(name, case).figure)


@pytest.mark.parametrize(("name", "case"), EVERY)
def test_what_is_written_lies_in_the_figure_and_can_be_read(name, case, drawn):
    one = drawn(name, case)
    for text, (left, bottom, right, top) in one.texts:
        inside = left > -1 and bottom > -1 and right < one.figure.bbox.width + 1 and top < one.figure.bbox.height + 1
        assert inside and text.get_fontsize() >= 6, text.get_text()


@pytest.mark.parametrize(("name", "case"), EVERY)
def test_every_purifier_is_named_and_no_number_is_unknown(name, case, drawn):
    one = drawn(name, case)
    written = [text.get_text() for text, _ in one.texts]
    for purifier in next(iter(one.tables.values()))["purifier"].unique():
        assert any(line == purifier or line.startswith(f"{purifier}: ") for line in written)
    assert not any("nan" in line for line in written)


@pytest.mark.parametrize("name", CASES)
def test_a_figure_leaves_its_tables_as_they_were(name, drawn):
    one = drawn(name)
    for table, left in zip(one.tables.values(), one.given, strict=True):
        pd.testing.assert_frame_equal(table, left)


def named(figure: Figure) -> dict[str, str]:
    """Colour by label, of the one legend there is; without opacity."""
    (legend,) = legends(figure)
    return {label: colour[:7] for label, colour in colours(legend).items()}


def bars(ax, figure: Figure) -> dict[tuple[str, str], float]:
    """Heights by the names below and the labels of colours."""
    label = {colour: name for name, colour in named(figure).items()}
    places = [text.get_text() for text in ax.get_xticklabels()]
    return {
        (places[round(bar.get_x() + bar.get_width() / 2)], label[to_hex(bar.get_facecolor())]): bar.get_height()
        for bar in ax.patches
        if np.isfinite(bar.get_height())
    }


def whiskers(ax) -> np.ndarray:
    """Low and high of all upright error bars, from left to right."""
    lines = [s for c in ax.collections if isinstance(c, LineCollection) for s in c.get_segments()]
    upright = [s for s in lines if s[0, 0] == s[-1, 0] and s[0, 1] != s[-1, 1]]
    return np.array([s[:, 1] for s in sorted(upright, key=lambda s: s[0, 0])])


# What attackers know.


@pytest.mark.parametrize("case", CASES["dw-box"])
def test_bars_are_the_accuracies_by_what_the_attacker_knows(case, drawn):
    figure, tables, *_ = drawn("dw-box", case)
    table = together(tables["dw-box"])
    attacks = [family for family in table["family"].unique() if family != "clean"]
    axes = figure.axes
    assert [ax.get_title() for ax in axes] == attacks and len(attacks) in (1, 2)
    assert list(named(figure)) == [figures_stochastic.KNOWS[k] for k in ("none", "forward", "reverse", "all")]
    for ax, attack in zip(axes, attacks, strict=True):
        part = table[table["family"] == attack]
        wanted = {(row.purifier, figures_stochastic.KNOWS[row.knowledge]): row.mean for row in part.itertuples()}
        assert bars(ax, figure) == wanted and len(wanted) == 4 * table["purifier"].nunique()
        assert [knows for _, knows in bars(ax, figure)] == table["purifier"].nunique() * list(named(figure))
        assert ax.get_ylim() == (0, 1)


@pytest.mark.parametrize("case", ["all", "odd names", "one purifier, attack and seed", "the other way round"])
def test_error_bars_are_the_intervals_of_the_table(case, drawn):
    figure, tables, *_ = drawn("dw-box", case)
    for ax in figure.axes:
        part = together(tables["dw-box"], family=ax.get_title())
        order = part["knowledge"].map(list(figures_stochastic.KNOWS).index) + 4 * part["purifier"].map(
            list(part["purifier"].unique()).index
        )
        wanted = part.assign(order=order).sort_values("order")[["low", "high"]].to_numpy()
        assert whiskers(ax) == pytest.approx(wanted)


@pytest.mark.parametrize("case", CASES["dw-box"])
def test_a_dashed_line_over_the_bars_of_each_purifier_is_its_clean_accuracy_under_fresh_draws(case, drawn):
    figure, tables, *_ = drawn("dw-box", case)
    clean = together(tables["dw-box"], attack="clean", judged="fresh")
    for ax in figure.axes:
        dashed = [s for c in ax.collections if c.get_linestyle()[0][1] for s in c.get_segments()]
        assert [(s[0, 1], s[1, 1]) for s in dashed] == [(mean, mean) for mean in clean["mean"]]
        for k, segment in enumerate(dashed):
            own = [bar for bar in ax.patches if abs(bar.get_x() + bar.get_width() / 2 - k) < 0.5]
            assert len(own) == 4
            assert segment[0, 0] <= min(bar.get_x() for bar in own)
            assert segment[1, 0] >= max(bar.get_x() + bar.get_width() for bar in own)


# Fine-tuned purifiers.

UNDERS = {("clean", "none"): "clean", ("pgd-eot", "none"): "white-box EOT", ("pgd", "all"): "DW-box"}


@pytest.mark.parametrize("case", CASES["addt"])
def test_bars_are_the_accuracies_of_vanilla_and_fine_tuned_purifiers(case, drawn):
    figure, tables, *_ = drawn("addt", case)
    table = together(tables["addt"], measure="accuracy")
    wanted = {(row.purifier, UNDERS[row.attack, row.knowledge]): row.mean for row in table.itertuples()}
    assert list(named(figure)) == list(UNDERS.values())
    left = figure.axes[0]
    assert bars(left, figure) == wanted and len(wanted) == 3 * table["purifier"].nunique()
    assert [under for _, under in bars(left, figure)] == table["purifier"].nunique() * list(UNDERS.values())
    assert [text.get_text() for text in left.get_xticklabels()] == list(table["purifier"].unique())


def gains(figure: Figure) -> dict[tuple[str, str], list[float]]:
    """Mean, low and high by purifier and label, as drawn to the right."""
    right = figure.axes[1]
    tuned, shown = [text.get_text() for text in right.get_yticklabels()], {}
    label = {colour: name for name, colour in named(figure).items()}
    for container in right.containers:
        points, _, (lines,) = container.lines
        assert to_hex(points.get_color()) == to_hex(lines.get_color()[0])
        for x, y, segment in zip(*points.get_data(), lines.get_segments(), strict=True):
            shown[tuned[round(y)], label[to_hex(points.get_color())]] = [x, *segment[:, 0]]
    return shown


@pytest.mark.parametrize("case", [case for case in CASES["addt"] if case != "one image"])
def test_to_the_right_is_what_the_fine_tuned_ones_gain_with_its_interval(case, drawn):
    figure, tables, *_ = drawn("addt", case)
    table = together(tables["addt"], measure="gain")
    found = gains(figure)
    assert len(found) == len(table) == 3 * table["purifier"].nunique()
    for row in table.itertuples():
        numbers = found[row.purifier, UNDERS[row.attack, row.knowledge]]
        assert numbers == pytest.approx([row.mean, row.low, row.high], abs=1e-12)
    assert "gained" in figure.axes[1].get_xlabel()


def test_a_gain_without_an_interval_is_a_point(drawn):
    figure, tables, *_ = drawn("addt", "one image")
    table = together(tables["addt"], measure="gain")
    assert table["low"].isna().all()
    found = [x for container in figure.axes[1].containers for x in container.lines[0].get_xdata()]
    assert sorted(found) == sorted(table["mean"])


def test_without_gains_there_are_the_accuracies(tmp_path):
    made = {"measured": [r for r in hardened()["measured"] if r.keys["purifier"] != "ddpm"]}
    with figures.style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = figures_stochastic.addt(tables_of("addt", made, tmp_path)["addt"])
        figure.draw_without_rendering()
    assert len(bars(figure.axes[0], figure)) == 6
    assert not [x for container in figure.axes[1].containers for x in container.lines[0].get_xdata()]
    plt.close(figure)


# Paths.


def lines_of(ax, colour: str) -> list[np.ndarray]:
    """(S, 3) each."""
    return [np.array(line.get_data_3d()).T for line in ax.lines if to_hex(line.get_color()) == colour]


@pytest.mark.parametrize("case", CASES["attack-paths"])
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


@pytest.mark.parametrize("case", CASES["attack-paths"])
def test_a_panel_says_how_much_its_plane_keeps(case, drawn):
    figure, tables, *_ = drawn("attack-paths", case)
    kept = tables["attack-paths"].query(f"image == {shown_in(figure)}").groupby("purifier", sort=False)["kept"].first()
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == [f"{purifier}: {share:.0%} of squared length in the plane" for purifier, share in kept.items()]


@pytest.mark.parametrize(
    ("name", "case"), [(name, case) for name, case in EVERY if name in ("attack-paths", "landscape")]
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


@pytest.mark.parametrize("case", CASES["attack-paths"])
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
    with figures.style():
        figure = figures_stochastic.attack_paths(alone)
    for ax, other in zip(figure.axes, drawn("attack-paths").figure.axes, strict=True):
        assert all(np.array_equal(a.get_data_3d(), b.get_data_3d()) for a, b in zip(ax.lines, other.lines, strict=True))
        assert ax.get_zlim() == other.get_zlim()
    plt.close(figure)


# Landscapes.


@pytest.mark.parametrize("case", CASES["landscape"])
def test_the_surface_of_each_purifier_is_its_mean_loss(case, drawn):
    figure, tables, _, _, surfaces = drawn("landscape", case)
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


@pytest.mark.parametrize("case", CASES["landscape"])
def test_all_surfaces_have_one_scale_of_colours(case, drawn):
    one = drawn("landscape", case)
    (limits,) = {(look["vmin"], look["vmax"]) for _, look in one.surfaces.values()}
    assert limits == (0, max(one.tables["landscape"]["mean"].max(), one.tables["landscape-paths"]["loss"].max()))


@pytest.mark.parametrize("case", CASES["landscape"])
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


# Saved.


@pytest.mark.parametrize("name", CASES)
def test_a_figure_drawn_and_saved_again_has_the_same_bytes(name, drawn, tmp_path):
    tables = drawn(name).tables
    for time in ("first", "second"):
        with figures.style(), plt.rc_context({"savefig.dpi": 50}):
            figure = function(figures_stochastic, name)(*tables.values())
            store.save_figure(figure, png=tmp_path / f"{time}.png", pdf=tmp_path / f"{time}.pdf")
            plt.close(figure)
    for kind in ("png", "pdf"):
        first, second = ((tmp_path / f"{time}.{kind}").read_bytes() for time in ("first", "second"))
        assert first == second and len(first) > 1000
