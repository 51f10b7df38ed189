"""What holds for the figures of all parts that add to the main findings."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pandas as pd
import pytest
from drawings import (
    ELEVEN,
    FIGURES,
    PARTS,
    STOCHASTIC,
    SWEPT,
    data_axes,
    drawing_of,
    is_there,
    legends,
    strokes,
)
from matplotlib import get_cachedir
from matplotlib.figure import Figure

from purity import studies
from purity.studies.law import HOLLOW

EVERY = [(name, case) for name, cases in PARTS.items() for case in cases]


STYLES = {"vote of k", "all of k right", HOLLOW}  # these name a style, whatever its colour


SAVE = """
import sys
from matplotlib.pyplot import close, rc_context
from purity.run import store
from purity.run.naming import resolve
from purity.studies.drawing import style

out, *drawings = sys.argv[1:]
with style(), rc_context({"savefig.dpi": 50}):
    for drawing in drawings:
        name, function, *tables = drawing.split("|")
        figure = resolve(function)(*map(store.load_table, tables))
        store.save_figure(figure, png=f"{out}/{name}.png", pdf=f"{out}/{name}.pdf")
        close(figure)
"""


@pytest.mark.parametrize(("name", "case"), EVERY)
def test_a_figure_can_be_drawn_of_whatever_its_part_may_leave(name, case, drawn):
    assert isinstance(drawn(name, case).figure, Figure)


@pytest.mark.parametrize(("name", "case"), EVERY)
def test_every_axis_says_what_it_shows(name, case, drawn):
    """A shared y axis once in its row, an x axis once in its column; categories say it themselves."""
    axes = data_axes(drawn(name, case).figure)
    place = lambda ax: (ax.get_subplotspec().rowspan.start, ax.get_subplotspec().colspan.start)  # noqa: E731
    for ax in axes:
        row, column = place(ax)
        below = [other for other in axes if place(other)[1] == column and place(other)[0] >= row]
        categories = {t.get_text() for t in ax.get_xticklabels()} & set(SWEPT | ELEVEN)
        assert categories or any(other.get_xlabel() for other in below), (row, column)
        beside = [o for o in axes if o is ax or o.get_shared_y_axes().joined(o, ax)]
        assert any(o.get_ylabel() for o in beside), (row, column)


@pytest.mark.parametrize(("name", "case"), EVERY)
def test_every_entry_of_a_legend_names_something_that_is_drawn_and_has_a_look_of_its_own(name, case, drawn):
    figure = drawn(name, case).figure
    ink = {s for ax in data_axes(figure) for a in ax.get_children() if is_there(a) for s in strokes(a)}
    styles = {style for _, style in ink}
    nothing = []
    for legend in legends(figure):
        labels, looks = [text.get_text() for text in legend.get_texts()], list(map(strokes, legend.legend_handles))
        assert len(set(labels)) == len(labels) and len({str(own) for own in looks}) == len(labels)
        for label, own in zip(labels, looks, strict=True):
            found = {style for _, style in own} <= styles if label in STYLES else set(own) <= ink
            nothing += [] if found else [label]
    assert nothing == []


@pytest.mark.parametrize(("name", "case"), EVERY)
def test_what_is_written_lies_in_the_figure(name, case, drawn):
    figure, *_, texts, _ = drawn(name, case)
    for text, (left, bottom, right, top) in texts:
        inside = left > -1 and bottom > -1 and right < figure.bbox.width + 1 and top < figure.bbox.height + 1
        assert inside, (text.get_text(), (left, bottom, right, top), figure.bbox.bounds)


@pytest.mark.parametrize("name", PARTS)
def test_what_is_written_can_be_read(name, drawn):
    assert {text.get_text(): size for text, _ in drawn(name).texts if (size := text.get_fontsize()) < 6} == {}


@pytest.mark.parametrize("name", PARTS)
def test_a_figure_leaves_its_tables_as_they_were(name, drawn):
    one = drawn(name)
    for table, left in zip(one.tables.values(), one.given, strict=True):
        pd.testing.assert_frame_equal(table, left)


def test_every_figure_of_the_studies_is_drawn_by_some_test():
    modules = [import_module(f"purity.studies.{module.name}") for module in iter_modules(studies.__path__)]
    functions = {name for module in modules for name in vars(module) if name.startswith("draw_")}
    main = {"trajectory", "distances", "robustness", "transfer", "compression", "directions", "centroids", "variance"}
    assert set(FIGURES) == set(PARTS) | set(STOCHASTIC)
    here = {f"draw_{name.replace('-', '_')}" for name in {*FIGURES, *main, "gallery", "loss"}}
    written = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert here <= functions
    assert {name for name in functions - here if name not in written} == set()  # others have tests of their own


def test_figures_of_parts_come_out_byte_for_byte_the_same_in_another_process(drawn, tmp_path):
    """With lines, bands, bars, steps, points, pictures, legends in and outside, and logarithms; of few pixels."""
    drawings = []
    for name in ("jacobian", "law", "fuzzy", "cap"):
        case = next(case for case in PARTS[name] if case.startswith("one "))
        make, folder = drawing_of(name), drawn(name, case).folder
        tables = [f"{folder}/{identifier}.csv" for identifier in FIGURES[name][1]]
        drawings.append("|".join([name, f"{make.__module__}:{make.__name__}", *tables]))
    processes = []
    for seed in ("1", "7"):
        (tmp_path / seed).mkdir()
        environment = {"PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONHASHSEED": seed}
        environment |= {"HOME": str(tmp_path), "MPLCONFIGDIR": get_cachedir()}  # where the list of fonts is
        command = [sys.executable, "-c", SAVE, str(tmp_path / seed), *drawings]
        processes.append(subprocess.Popen(command, env=environment))
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / seed).iterdir()} for seed in ("1", "7"))
    assert len(one) == 2 * len(drawings) and one.keys() == other.keys()
    for name, content in one.items():
        assert other[name] == content, name
