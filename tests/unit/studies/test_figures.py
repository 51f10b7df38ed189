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


@pytest.mark.parametrize("case", ["all", "one purifier and seed"])
@pytest.mark.parametrize("name", NAMES)
def test_a_legend_has_one_entry_a_thing_each_with_a_look_of_its_own(name, case, tmp_path):
    figure = drawn(name, made_up(case), tmp_path)
    (legend,) = legends(figure)
    labels = [text.get_text() for text in legend.get_texts()]
    assert len(labels) >= 2 and len(set(labels)) == len(labels)
    looks = [
        (h.get_color() if hasattr(h, "get_color") else tuple(h.get_facecolor()) + tuple(h.get_edgecolor()))
        for h in legend.legend_handles
    ]
    assert len({str(look) for look in looks}) == len(labels)


def test_robustness_names_every_attack_and_what_it_knows_once(full, tmp_path):
    (legend,) = legends(drawn("robustness", full, tmp_path))
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels[0] == "clean"
    wanted = {(a, k) for attacks in FULL.values() for a, knowledges in attacks.items() for k in knowledges}
    assert sorted(labels[1:]) == sorted(a if k == "none" else f"{a}, knows {k}" for a, k in wanted)


def test_eleven_attacks_look_different(tmp_path):
    """The palette has ten colours."""
    attacks = {f"attack-{i}": ["none"] for i in range(11)}
    for name in ("robustness", "trajectory"):
        (legend,) = legends(drawn(name, experiment({"ddpm": attacks}, [0, 1]), tmp_path))
        looks = {str(h.get_color() if hasattr(h, "get_color") else h.get_facecolor()) for h in legend.legend_handles}
        assert len(looks) == len(legend.get_texts())


def bars(ax) -> list[float]:
    return sorted(patch.get_height() for patch in ax.patches if np.isfinite(patch.get_height()))


def test_robustness_shows_the_means_of_all_seeds(full, tmp_path):
    (ax,) = data_axes(drawn("robustness", full, tmp_path))
    table = robustness.robustness(full["measured"])
    table = table[(table["seed"] == "all") & ((table["attack"] != "clean") | (table["judged"] == "fresh"))]
    assert bars(ax) == pytest.approx(sorted(table["mean"]))


def test_bars_have_the_colours_of_the_legend(full, tmp_path):
    figure = drawn("robustness", full, tmp_path)
    (ax,), (legend,) = data_axes(figure), legends(figure)
    colours = {str(handle.get_facecolor()) for handle in legend.legend_handles}
    assert {str(patch.get_facecolor()) for patch in ax.patches if np.isfinite(patch.get_height())} == colours


def test_the_height_of_bars_does_not_hang_on_the_order_of_rows(full, tmp_path):
    (table,) = shown("robustness", full, tmp_path)
    with drawing.style():
        one, other = (data_axes(robustness.draw_robustness(t))[0] for t in (table, table.iloc[::-1]))
    assert bars(one) == pytest.approx(bars(other))


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
