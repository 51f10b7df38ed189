"""Every figure can be drawn from what an experiment may leave, is labelled, and comes out the same each time."""

import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawings import data_axes, legends, texts
from made_up import experiment
from matplotlib.figure import Figure

from purity.run import store
from purity.studies import ball, compression, distances, drawing, robustness, trajectory, transfer

FULL = {
    "identity": {"pgd": ["none"]},
    "gaussian": {"pgd": ["none", "all"]},
    "ddpm": {"uniform": ["none"], "bpda": ["none", "all"], "pgd": ["none", "all"], "pgd-eot": ["none"]},
    "reverse": {"uniform": ["none"], "pgd": ["none", "all"]},
}
# (what is attacked, base seeds, with features): what an experiment may be
EXPERIMENTS = {
    "all": (FULL, [0, 1, 2], True),
    "one seed": (FULL, [0], True),
    "one purifier": ({"ddpm": {"uniform": ["none"], "pgd": ["none", "all"]}}, [0, 1], True),
    "one purifier and seed": ({"ddpm": {"uniform": ["none"], "pgd": ["none", "all"]}}, [0], True),
    "no features": ({"ddpm": {"uniform": ["none"], "pgd": ["none", "all"]}}, [0, 1], False),
    "a purifier that does not show its way": ({"gaussian": {"pgd": ["none", "all"]}}, [0, 1], True),
    "nobody knows the randomness": ({"ddpm": {"pgd": ["none"]}}, [0, 1], True),
    "everybody knows the randomness": ({"ddpm": {"pgd": ["all"]}}, [0, 1], True),
    "part of the randomness": ({"ddpm": {"pgd": ["none", "forward", "reverse"]}}, [0, 1], True),
    "blind only": ({"ddpm": {"uniform": ["none"]}}, [0, 1], True),
    "undefended": ({"identity": {"pgd": ["none"]}}, [0, 1], True),
}


def made_up(case: str) -> dict:
    attacked, seeds, features = EXPERIMENTS[case]
    return experiment(attacked, seeds, features=features)


STUDY = {
    "trajectory": trajectory,
    "distances": distances,
    "robustness": robustness,
    "transfer": transfer,
    "compression": compression,
    "directions": ball,
    "centroids": ball,
    "variance": ball,
}


def drawing_of(name: str):
    """The function that draws a figure."""
    return getattr(STUDY[name], f"draw_{name}")


NAMES = ("trajectory", "distances", "robustness", "transfer", "compression", "directions", "centroids", "variance")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def shown(name: str, made: dict, folder: Path) -> list[pd.DataFrame]:
    """The tables of a figure, as the rules pair them, read back from disk."""
    attacked = [record for record in made["measured"] if record.keys["attack"] != "clean"]
    from_records = {
        "trajectory": lambda: [trajectory.trajectory([r for r in made["purified"] if r.keys["attack"] != "clean"])],
        "distances": lambda: [distances.distances(attacked)],
        "robustness": lambda: [robustness.robustness(made["measured"])],
        "transfer": lambda: [transfer.transfer(attacked, made["crafted"], made["subset"])],
        "compression": lambda: [compression.compression(attacked)],
        "directions": lambda: [ball.directions(made["balls"]), ball.directions_matrix(made["balls"])],
        "centroids": lambda: [ball.centroids_histogram(made["balls"])],
        "variance": lambda: [ball.variance(made["balls"])],
    }
    paths = []
    for i, table in enumerate(from_records[name]()):
        paths.append(folder / f"{name}-{i}.csv")
        store.save_table(paths[-1], table)
    return [store.load_table(path) for path in paths]


def drawn(name: str, made: dict, folder: Path) -> Figure:
    """A figure laid out as it is saved; a warning (no room, no glyph, nothing to show) is an error."""
    with drawing.style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = drawing_of(name)(*shown(name, made, folder))
        figure.draw_without_rendering()
    return figure


OF_BALLS = ("directions", "centroids", "variance")  # which do not hang on who is attacked how
DRAWN = [
    (n, c) for n in NAMES for c in EXPERIMENTS if n not in OF_BALLS or c in ("one purifier and seed", "undefended")
]


@pytest.mark.parametrize(("name", "case"), DRAWN)
def test_a_figure_can_be_drawn_of_every_experiment_that_a_config_allows(name, case, tmp_path):
    assert isinstance(drawn(name, made_up(case), tmp_path), Figure)


@pytest.mark.parametrize("right", [0.0, 1.0])
@pytest.mark.parametrize("n", [6, 7, 100])
@pytest.mark.parametrize("name", ["robustness", "transfer", "compression"])
def test_accuracies_of_nothing_and_of_everything_can_be_drawn(name, n, right, tmp_path):
    made = experiment({"ddpm": {"uniform": ["none"], "pgd": ["none", "all"]}}, [0, 1], n=n, right=right)
    drawn(name, made, tmp_path)


@pytest.fixture(scope="module")
def full():
    return made_up("all")


@pytest.mark.parametrize("name", NAMES)
def test_every_purifier_and_every_quantity_is_named(name, full, tmp_path):
    figure = drawn(name, full, tmp_path)
    purifiers = {  # of some figures only those that it is about
        "trajectory": {"ddpm", "reverse"},
        "distances": {"gaussian", "ddpm", "reverse"},
        "transfer": {"gaussian", "ddpm", "reverse"},
        "compression": {"gaussian", "ddpm", "reverse"},
    }.get(name, set(FULL))
    written = " ".join(texts(figure))
    for purifier in purifiers:
        assert purifier in written, purifier
    for ax in data_axes(figure):
        matrix = bool(ax.images)
        inner = ax.get_subplotspec() is None or not (ax.get_subplotspec().is_first_col() and len(ax.get_yticks()))
        named = ax.get_ylabel() or ax.get_title() or ax.get_title(loc="left") or ax.get_xlabel()
        assert matrix or inner or named, "an axis without a name"


@pytest.mark.parametrize("name", [n for n in NAMES if n != "trajectory"])
def test_a_scale_with_numbers_has_a_label_or_a_title(name, full, tmp_path):
    for ax in data_axes(drawn(name, full, tmp_path)):
        if len(ax.get_yticks()) and any(t.get_text() for t in ax.get_yticklabels()):
            categories = not any(t.get_text().lstrip("−-").replace(".", "").isdigit() for t in ax.get_yticklabels())
            assert categories or ax.get_ylabel() or ax.get_title(), ax


IN_ROWS = ("robustness", "compression")  # each row has its name beside it: there is no legend


@pytest.mark.parametrize("case", ["all", "one purifier and seed"])
@pytest.mark.parametrize("name", [n for n in NAMES if n not in IN_ROWS])
def test_a_legend_has_one_entry_a_thing_each_with_a_look_of_its_own(name, case, tmp_path):
    figure = drawn(name, made_up(case), tmp_path)
    (legend,) = legends(figure)
    labels = [text.get_text() for text in legend.get_texts()]
    assert len(labels) >= 2 and len(set(labels)) == len(labels)
    assert len({str(look_of_handle(h)) for h in legend.legend_handles}) == len(labels)


def look_of_handle(handle) -> tuple:
    if isinstance(handle, plt.Line2D):
        return handle.get_color(), handle.get_linestyle(), handle.get_marker(), handle.get_markerfacecolor()
    return tuple(handle.get_facecolor()), tuple(handle.get_edgecolor()), handle.get_linestyle()


def rows(ax) -> dict[tuple[str, str], plt.Line2D]:
    """The point of each row, by purifier and name."""
    found, purifier = {}, ""
    points = {line.get_ydata()[0]: line for bars in ax.containers for line in bars.lines[:1]}
    for place, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True):
        if label.get_fontweight() == "bold":
            purifier = label.get_text()
        else:
            found[purifier, label.get_text()] = points[place]
    return found


def test_robustness_has_a_row_for_every_attack_and_what_it_knows_with_its_mean(full, tmp_path):
    (ax,) = data_axes(drawn("robustness", full, tmp_path))
    table = robustness.robustness(full["measured"])
    table = table[(table["seed"] == "all") & ((table["attack"] != "clean") | (table["judged"] == "fresh"))]
    wanted = {(row["purifier"], drawing.label_of(row)): row["mean"] for _, row in table.iterrows()}
    assert {key: point.get_xdata()[0] for key, point in rows(ax).items()} == pytest.approx(wanted)


@pytest.mark.parametrize("name", IN_ROWS)
def test_a_point_has_the_look_of_its_attack_and_is_hollow_where_the_attacker_knows(name, full, tmp_path):
    (ax,) = data_axes(drawn(name, full, tmp_path))
    for (_, label), point in rows(ax).items():
        look = drawing.look_of(label.partition(",")[0])
        assert (point.get_color(), point.get_marker()) == (look.colour, look.marker)
        hollow = "fooled" in label if name == "compression" else "knows all" in label
        assert point.get_fillstyle() == ("none" if hollow else "full")


def test_eleven_attacks_of_unknown_names_look_different(tmp_path):
    attacks = {f"attack-{i}": ["none"] for i in range(11)}
    made = experiment({"ddpm": attacks}, [0, 1])
    (legend,) = legends(drawn("trajectory", made, tmp_path))
    assert len({look_of_handle(h) for h in legend.legend_handles}) == len(legend.get_texts()) == 11
    (ax,) = data_axes(drawn("robustness", made, tmp_path))
    points = rows(ax).values()
    assert len({(p.get_color(), p.get_marker()) for p in points}) == len(points) == 12


def test_where_points_are_does_not_hang_on_the_order_of_rows(full, tmp_path):
    (table,) = shown("robustness", full, tmp_path)
    with drawing.style():
        one, other = (data_axes(robustness.draw_robustness(t))[0] for t in (table, table.iloc[::-1]))
    one, other = ({key: p.get_xdata()[0] for key, p in rows(ax).items()} for ax in (one, other))
    assert one == pytest.approx(other)


def test_no_line_is_drawn_over_a_part_of_the_way_that_has_no_states(full, tmp_path):
    """A way of one step there, or there and back, is points; one that halts at every step is a line."""
    (table,) = shown("trajectory", full, tmp_path)
    times = {"ddpm": [0, 10, 20, 30, 40, 50], "reverse": [0, 100, 125, 150, 175, 200]}
    for purifier, time in times.items():
        table.loc[table["purifier"] == purifier, "time"] = table["step"].map(dict(enumerate(time)))
    with drawing.style():
        axes = trajectory.draw_trajectory(table).axes
    for ax in axes:
        ways = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) > 2]
        joined = "ddpm" in ax.get_title()
        assert ways and all(np.isnan(way).any() != joined for way in ways)
        assert all(way[~np.isnan(way)].tolist() == times["ddpm" if joined else "reverse"] for way in ways)


def test_each_panel_of_distances_says_what_its_spread_is(full, tmp_path):
    titles = [ax.get_title() for ax in data_axes(drawn("distances", full, tmp_path))]
    assert [("over\nimages and seeds" in t, "over 3 seeds" in t) for t in titles] == [(True, False)] * 3 + [
        (False, True)
    ]
    titles = [ax.get_title() for ax in data_axes(drawn("distances", made_up("one seed"), tmp_path))]
    assert titles[-1].endswith("one seed, no spread")


def test_a_figure_leaves_its_table_and_matplotlibs_settings_as_they_were(full, tmp_path):
    settings = dict(plt.rcParams)
    for name in NAMES:
        given = shown(name, full, tmp_path)
        before = [table.copy() for table in given]
        with drawing.style():
            drawing_of(name)(*given)
        for table, copy in zip(given, before, strict=True):
            pd.testing.assert_frame_equal(table, copy)
    assert dict(plt.rcParams) == settings


SAVE = """
import sys
from pathlib import Path
from unit.studies.test_figures import saved
saved(Path(sys.argv[1]))
"""


def saved(folder: Path) -> dict[str, bytes]:
    """Figures with lines, bars, pictures, legends outside, and Greek letters."""
    made = made_up("one purifier")
    for name in ("trajectory", "transfer", "directions"):
        with drawing.style():
            figure = drawing_of(name)(*shown(name, made, folder))
            store.save_figure(figure, png=folder / f"{name}.png", pdf=folder / f"{name}.pdf")
    return {path.name: path.read_bytes() for path in folder.glob("*.p*")}


def test_figures_come_out_byte_for_byte_the_same_in_another_process(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    tests = Path(__file__).parents[2]
    environment = {"PYTHONPATH": f"{tests.parent}:{tests}", "PYTHONHASHSEED": "7", "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", SAVE, str(there)], env=environment, check=True, timeout=120)
    one = saved(here)
    assert len(one) == 6
    for name, content in one.items():
        assert (there / name).read_bytes() == content, name
