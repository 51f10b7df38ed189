"""What holds for the figures of the stochastic perspective."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from drawings import (
    STOCHASTIC,
    data_axes,
    drawing_of,
)

from purity.run import store
from purity.studies import drawing

EVERY = [(name, case) for name, cases in STOCHASTIC.items() for case in cases]


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


@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_figure_leaves_its_tables_as_they_were(name, drawn):
    one = drawn(name)
    for table, left in zip(one.tables.values(), one.given, strict=True):
        pd.testing.assert_frame_equal(table, left)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_figure_drawn_and_saved_again_has_the_same_bytes(name, drawn, tmp_path):
    tables = drawn(name).tables
    for time in ("first", "second"):
        with drawing.style(), plt.rc_context({"savefig.dpi": 50}):
            figure = drawing_of(name)(*tables.values())
            store.save_figure(figure, png=tmp_path / f"{time}.png", pdf=tmp_path / f"{time}.pdf")
            plt.close(figure)
    for kind in ("png", "pdf"):
        first, second = ((tmp_path / f"{time}.{kind}").read_bytes() for time in ("first", "second"))
        assert first == second and len(first) > 1000
