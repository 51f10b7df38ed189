"""Figures of the parts (compression, fuzzy robustness, caps, margins): they can be drawn of what an experiment may
leave, say what they show, and show the numbers of their tables."""

import ast
import inspect
import re
import subprocess
import sys
import warnings
from functools import wraps
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from made_up import keys
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.text import Text
from test_figures import data_axes, legends
from test_tables_compression import outcomes, probe, record
from test_tables_earlier import cap_record, margin_record
from test_tables_earlier import record as of_attack

from purity import figures, figures_compression, figures_earlier, store, tables_compression, tables_earlier
from purity.law import images_drawn
from purity.tables import Record

inf, nan = np.inf, np.nan
RULES = Path(__file__).parents[1] / "workflow/rules/targets.smk"
# id: tables, in the order of the function's arguments, as the rules have it
SHOWN = ast.literal_eval(re.search(r"^SHOWN = (\{.*?^\})", RULES.read_text(encoding="utf-8"), re.M | re.S)[1])

# Made-up records: of each kind a list, by the name under which tables take them.

Made = dict[str, list[Record]]
SWEPT = {"gaussian": [None], "ddpm": [10, 50, 100, 200], "reverse": [50, 200], "ddim": [100], "one-step": [100]}
ELEVEN = {f"purifier-{i}": [10 * (i + 1)] for i in range(11)}


def jacobians(purifiers=("ddpm", "reverse", "ddim"), seeds=(0, 1, 2), right=0.5, n=6, attack=True) -> Made:
    generator = np.random.default_rng(0)
    of_each = [(p, s) for p in purifiers for s in seeds]
    falling = lambda j: (0.5 + 0.2 * j) * -np.sort(-2 * generator.random((n, 16)))  # noqa: E731
    measured = [outcomes(generator.random(n + 2) < right, p, s) for p, s in of_each] if attack else []
    return {
        "jacobians": [record(p, s, singular_values=falling(j)) for j, (p, s) in enumerate(of_each)],
        "measured": measured,
    }


def spectra(purifiers=("ddpm", "reverse"), seeds=(0, 1, 2), n=3, points=64) -> Made:
    """Of fewer points than pixels no more components than points have a variance."""
    generator = np.random.default_rng(0)
    falling = lambda: -np.sort(-generator.random((n, 16)) - 0.1) * (np.arange(16) < points - 1)  # noqa: E731
    return {"spectra": [record(p, s, before=falling(), after=0.1 * falling()) for p in purifiers for s in seeds]}


def probes(strengths=None, seeds=(0, 1, 2), n=20, features=True, lost=0, robust=None, clean=0.95, scales=None) -> Made:
    """A law: who compresses more is more robust. The `lost` points that compress most lose clean images, too.

    robust: the share of images that is, instead. scales: of the budget.
    """
    strengths, generator = strengths or SWEPT, np.random.default_rng(0)
    points = [(p, t) for p, ts in strengths.items() for t in ts]
    hardness = generator.random((max(seeds) + 1, n))
    made = []
    for j, (purifier, t) in enumerate(points):
        middle = 1.1 - (j + 1) / (len(points) + 1)
        recognised = 0.4 * clean if j >= len(points) - lost else clean
        share = 0.9 * (1 - 0.9 * middle) if robust is None else robust
        for seed in seeds:
            arrays = {
                "alpha": middle + 0.05 * generator.standard_normal(n),
                "magnitude": 1 + generator.random(n),
                "robust": hardness[seed] < share,
                "clean_fixed": hardness[seed] < recognised,
                "clean_fresh": hardness[seed] < 0.9 * recognised,
            }
            arrays |= {"frechet": generator.random(1)} if features else {}
            made.append(probe(purifier, t, seed, **arrays))
    swept = [p for p, ts in strengths.items() if len(ts) > 1]
    of_clean = ("alpha", "clean_fixed", "clean_fresh")
    made += [
        probe(p, t, s, **{name: 0.1 * (t < 700) + 0.1 * hardness[s] for name in of_clean})
        for p in swept
        for t in (300, 1000)
        for s in seeds
    ]
    scales = np.array(scales if scales is not None else [0, 0.25, 0.5, 1])
    budgets = [
        Record(keys("identity", a, "none", s), {"scale": scales, "epsilon": 0.15 * scales, "robust": right})
        for j, a in enumerate(("pgd", "pgd-l2"))
        for s in seeds
        for right in [hardness[s] < 0.95 - (0.6 + 0.2 * j) * scales[:, None]]
    ]
    return {"probes": made, "budgets": budgets}


def judgings(attacks=("clean", "pgd", "bpda-eot"), seeds=(0, 1), r=10, n=22, right=None, purifiers=("ddpm",)) -> Made:
    """Image j is fooled j of r times by the first attack, and less often by the others. right: always that share."""
    generator = np.random.default_rng(0)
    made = []
    for purifier in purifiers:
        for i, attack in enumerate(attacks):
            for seed in seeds:
                times = np.arange(n) % (r + 1) // (i + 1) if right is None else np.full(n, round(r * (1 - right)))
                fooled = generator.permuted(np.arange(r)[:, None] < times, axis=0).astype(np.int16)
                made.append(of_attack(purifier, attack, "none", seed, y=np.zeros(n, np.int64), predictions=fooled))
    return {"judgings": made}


def caps(seeds=(0, 1), n=20, points=300, planes=2, **changed) -> Made:
    """Discs of radius 2 whose decision is a step with some noise; the first image is not usable."""
    generator = np.random.default_rng(0)
    made = []
    for seed in seeds:
        threshold = generator.uniform(0.2, 1.8, n)
        projection = generator.uniform(-2, 2, (n, points))
        usable = np.arange(n) > 0
        arrays = {
            "y": np.zeros(n, np.int64),
            "usable": usable,
            "slope": 10 ** generator.uniform(-1, 2, n),
            "middle": threshold,
            "threshold": threshold,
            "changes": np.ones(n, np.int64),
            "overlap": np.full(n, 0.5 if planes == 2 else 0.9999),
            "projection": projection,
            "outcome": projection + 0.2 * generator.standard_normal((n, points)) > threshold[:, None],
            "shown": np.array([3, 1]),
            "maps": (generator.random((2, 2, 5, 5)) < 0.4).astype(np.int16),
        } | changed
        if not np.any(arrays["usable"]):
            arrays |= {"shown": np.empty(0, np.int64), "maps": np.empty((0, 2, 5, 5), np.int16)}
        made.append(cap_record(seed, ids=np.arange(n), **arrays))
    return {"caps": made}


def margins(purifiers=("ddpm", "reverse", "ddim"), seeds=(0, 1), n=30, robust=0.6, usable=0.9, beyond=0.1) -> Made:
    """robust, usable: shares, the same for all purifiers or one for each. Robust images are further from the edge."""
    generator = np.random.default_rng(0)
    made = []
    for j, purifier in enumerate(purifiers):
        shares = [value[j] if isinstance(value, tuple) else value for value in (robust, usable)]
        for seed in seeds:
            right = generator.random(n) < shares[0]
            threshold = np.where(generator.random(n) < beyond, inf, 0.5 * right + generator.random(n))
            arrays = {
                "ids": np.arange(n),
                "usable": generator.random(n) < shares[1],
                "robust": right,
                "length": 1.5 - 0.5 * right + generator.random(n),
                "threshold": threshold,
                "attack_length": generator.random(n),
                "changes": np.ones(n, np.int64),
            }
            made.append(margin_record(seed, purifier, **arrays))
    return {"margins": made}


NEVER = {"slope": np.full(20, nan), "middle": np.full(20, nan), "threshold": np.full(20, inf)}
STRENGTHS = {
    "all": lambda: probes(),
    "one seed": lambda: probes(seeds=[0]),
    "one purifier": lambda: probes({"ddpm": [10, 50, 100]}),
    "one purifier and seed": lambda: probes({"ddpm": [10, 50, 100]}, [0]),
    "images that all end alike": lambda: probes(clean=1, robust=0),
    "eleven purifiers": lambda: probes(ELEVEN, [0]),
}
LAW = STRENGTHS | {
    "no strengths": lambda: probes({"gaussian": [None], "median": [None], "jpeg": [None]}),
    "no features": lambda: probes(features=False),
    "three points not recognised": lambda: probes(lost=3),
    "two points recognised": lambda: probes(lost=7),
    "nothing recognised": lambda: probes(clean=0),
    "nothing fooled": lambda: probes(robust=1, clean=1),
}
# figure: {what an experiment may leave: the records}
CASES = {
    "jacobian": {
        "all": lambda: jacobians(),
        "one seed": lambda: jacobians(seeds=[0]),
        "one purifier, seed and image": lambda: jacobians(["ddpm"], [0], n=1),
        "nothing fooled": lambda: jacobians(right=1),
        "nothing robust": lambda: jacobians(right=0),
        "no attack": lambda: jacobians(attack=False),
        "eleven purifiers": lambda: jacobians(ELEVEN, [0]),
    },
    "pca": {
        "all": lambda: spectra(),
        "one purifier and seed": lambda: spectra(["ddpm"], [0]),
        "one image": lambda: spectra(["ddpm"], [0], n=1),
        "few points": lambda: spectra(points=6),
        "eleven purifiers": lambda: spectra(ELEVEN, [0]),
    },
    "timesteps": STRENGTHS,
    "clean-t": STRENGTHS,
    "law": LAW,
    "budget": {c: LAW[c] for c in ("all", "one purifier and seed", "three points not recognised", "nothing fooled")}
    | {"scales in no order": lambda: probes(scales=[1, 0, 0.5, 0.25])},
    "predictors": {c: LAW[c] for c in LAW if "recognised" not in c},
    "fuzzy": {
        "all": lambda: judgings(),
        "one attack and seed": lambda: judgings(["clean", "pgd"], [0]),
        "two judgings": lambda: judgings(r=2),
        "a hundred judgings": lambda: judgings(seeds=[0], r=100, n=101),
        "two purifiers": lambda: judgings(purifiers=["reverse", "ddpm"]),
        "nothing fooled": lambda: judgings(right=1),
        "nothing robust": lambda: judgings(right=0),
        "eleven attacks": lambda: judgings([f"attack-{i}" for i in range(11)], [0]),
    },
    "cap": {
        "all": lambda: caps(),
        "one seed": lambda: caps([0]),
        "few points": lambda: caps(points=12),
        "infinite slopes": lambda: caps(slope=np.resize([inf, -inf], 20)),
        "nothing crossed": lambda: caps(**NEVER, outcome=np.zeros((20, 300), bool)),
        "one plane": lambda: caps(planes=1),
        "one usable image": lambda: caps([0], usable=np.arange(20) == 3, shown=[3], maps=np.zeros((1, 2, 5, 5))),
        "no usable image": lambda: caps(usable=np.zeros(20, bool)),
    },
    "margins": {
        "all": lambda: margins(),
        "one purifier and seed": lambda: margins(["ddpm"], [0]),
        "nothing fooled": lambda: margins(robust=1.0),
        "nothing robust": lambda: margins(robust=0.0),
        "one purifier that nothing fools": lambda: margins(robust=(1.0, 0.5, 0.5)),
        "all thresholds beyond": lambda: margins(beyond=1),
        "one purifier without a usable image": lambda: margins(usable=(0, 0.9, 0.9)),
        "no usable image": lambda: margins(usable=0),
    },
}
EVERY = [(name, case) for name, cases in CASES.items() for case in cases]
FULL = [(name, "all") for name in CASES]


class Drawn(NamedTuple):
    figure: Figure
    tables: dict[str, pd.DataFrame]
    texts: list[tuple[Text, np.ndarray]]  # what is written, and its left, bottom, right, top in pixels


def function(kind: str, identifier: str):
    rooms = {"tables": (tables_compression, tables_earlier), "figures": (figures_compression, figures_earlier)}[kind]
    (found,) = (f for room in rooms if (f := getattr(room, identifier.replace("-", "_"), None)))
    return found


def shown(name: str, made: Made, folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of a figure, made of the records that their arguments name, read back from disk."""
    if name in ("timesteps", "clean-t"):  # only of purifiers with a strength
        made = made | {"probes": [r for r in made["probes"] if r.keys["t"] is not None]}
    read = {}
    for identifier in SHOWN[name]:
        make = function("tables", identifier)
        named = inspect.signature(make).parameters.keys() & made.keys()
        path = folder / f"{name}-{identifier}.csv"
        store.save_table(path, make(**{argument: made[argument] for argument in named}))
        read[identifier] = store.load_table(path)
    return read


def draw(name: str, case: str, folder: Path) -> Drawn:
    """A figure laid out as it is saved; a warning, of its tables too, is an error."""
    texts, original = [], Text.draw

    @wraps(original)
    def noted(text, renderer):
        original(text, renderer)
        if text.get_visible() and text.get_text().strip():
            texts.append((text, text.get_window_extent(renderer).extents))

    with figures.style(), warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("error")
        patch.setattr(Text, "draw", noted)
        given = shown(name, CASES[name][case](), folder)
        figure = function("figures", name)(*(table.copy() for table in given.values()))
        figure.draw_without_rendering()
        plt.close(figure)
    return Drawn(figure, given, texts)


@pytest.fixture(scope="module", autouse=True)
def fewer_resamples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables_compression.lawful, "images_drawn", lambda n: images_drawn(n, resamples=10))
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """drawn(name, case): each is drawn once for all tests."""
    folder, made = tmp_path_factory.mktemp("parts"), {}

    def get(name: str, case: str = "all") -> Drawn:
        if (name, case) not in made:
            made[name, case] = draw(name, case, folder)
        return made[name, case]

    return get


# What holds for all of them.


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


def strokes(artist) -> list[tuple[str, str]]:
    """Colour, and style of line, marker or fill."""
    if isinstance(artist, plt.Line2D):
        styles = [artist.get_linestyle(), artist.get_marker()]
        return [(to_hex(artist.get_color()), style) for style in styles if style not in ("None", "", " ")]
    if isinstance(artist, Rectangle):
        return [(to_hex(artist.get_facecolor(), keep_alpha=True), "fill")]
    return [(to_hex(artist.get_edgecolor()), "-")] if isinstance(artist, StepPatch) else []


def is_there(artist) -> bool:
    """Something of it is seen: a point, or an area."""
    if isinstance(artist, plt.Line2D):
        return bool(np.isfinite(np.array(artist.get_data(), float)).all(axis=0).any())
    if isinstance(artist, StepPatch):
        return bool((artist.get_data().values > 0).any())
    return bool(np.isfinite(artist.get_height()) and artist.get_height() > 0)


STYLES = {"vote of k", "all of k right"}  # these name a style of line, whatever its colour


@pytest.mark.parametrize(("name", "case"), EVERY)
def test_every_entry_of_a_legend_names_something_that_is_drawn_and_has_a_look_of_its_own(name, case, drawn):
    figure = drawn(name, case).figure
    ink = {s for ax in data_axes(figure) for a in (*ax.lines, *ax.patches) if is_there(a) for s in strokes(a)}
    for legend in legends(figure):
        labels, looks = [text.get_text() for text in legend.get_texts()], []
        for label, handle in zip(labels, legend.legend_handles, strict=True):
            looks.append(look(handle))
            if label in STYLES:
                assert {style for _, style in looks[-1]} <= {style for _, style in ink}, label
            else:
                assert set(looks[-1]) <= ink, label
        assert len(set(labels)) == len(labels) and len({str(own) for own in looks}) == len(labels)


def look(handle) -> list[tuple[str, str]]:
    if isinstance(handle, plt.matplotlib.collections.LineCollection):  # of an error bar
        return [(to_hex(handle.get_color()[0]), "-")]
    return strokes(handle)


@pytest.mark.parametrize(("name", "case"), EVERY)
def test_what_is_written_lies_in_the_figure(name, case, drawn):
    figure, _, texts = drawn(name, case)
    for text, (left, bottom, right, top) in texts:
        inside = left > -1 and bottom > -1 and right < figure.bbox.width + 1 and top < figure.bbox.height + 1
        assert inside, (text.get_text(), (left, bottom, right, top), figure.bbox.bounds)


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_can_be_read(name, drawn):
    assert {text.get_text(): size for text, _ in drawn(name).texts if (size := text.get_fontsize()) < 6} == {}


@pytest.mark.parametrize(("name", "case"), EVERY)
def test_a_number_that_is_not_known_is_not_written(name, case, drawn):
    assert [t.get_text() for t, _ in drawn(name, case).texts if re.search(r"\b(nan|inf)\b", t.get_text())] == []


@pytest.mark.parametrize("name", CASES)
def test_a_figure_leaves_its_tables_and_matplotlibs_settings_as_they_were(name, drawn):
    settings, given = dict(plt.rcParams), list(drawn(name).tables.values())
    copies = [table.copy() for table in given]
    with figures.style():
        plt.close(function("figures", name)(*copies))
    assert dict(plt.rcParams) == settings
    for table, copy in zip(given, copies, strict=True):
        pd.testing.assert_frame_equal(table, copy)


def test_all_figures_of_parts_are_here():
    others = {"trajectory", "distances", "robustness", "transfer", "compression", "directions", "centroids", "variance"}
    assert set(CASES) == set(SHOWN) - others
