"""Figures of the parts (compression, fuzzy robustness, caps, margins): they can be drawn of what an experiment may
leave, say what they show, and show the numbers of their tables."""

import ast
import inspect
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from made_up import features_apart, keys
from matplotlib import get_cachedir
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.text import Text
from test_figures import data_axes, legends
from test_tables_compression import outcomes, probe, record
from test_tables_earlier import cap_record, margin_record
from test_tables_earlier import record as of_attack

from purity import figures, figures_compression, figures_earlier, tables_compression, tables_earlier
from purity.law import images_drawn
from purity.run import store
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
            arrays |= features_apart(generator.random(), n) if features else {}
            made.append(probe(purifier, t, seed, **arrays))
    swept = [p for p, ts in strengths.items() if len(ts) > 1]
    of_clean = ("alpha", "clean_fixed", "clean_fresh")
    made += [
        probe(p, t, s, **dict.fromkeys(of_clean, 0.1 * (t < 700) + 0.1 * hardness[s]))
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


THREE = {"ddpm": [10, 50, 100]}
STRENGTHS = {"all": lambda: probes(lost=3), "one purifier and seed": lambda: probes(THREE, [0])}
LAW = STRENGTHS | {
    "images that all end alike": lambda: probes(clean=1, robust=0),
    "no strengths, nothing fooled": lambda: probes({"gaussian": [None], "median": [None], "jpeg": [None]}, robust=1),
    "two points recognised, no features": lambda: probes(lost=7, features=False),
    "nothing recognised": lambda: probes(clean=0),
}
NEVER = {"slope": np.full(20, nan), "middle": np.full(20, nan), "threshold": np.full(20, inf)}
STEPS = np.resize([inf, -inf, 20], 20)
# figure: {what an experiment may leave: the records}
CASES = {
    "jacobian": {
        "all": lambda: jacobians(),
        "one purifier, seed and image": lambda: jacobians(["ddpm"], [0], n=1),
        "nothing fooled": lambda: jacobians(right=1),
        "nothing robust": lambda: jacobians(right=0),
        "eleven purifiers, no attack": lambda: jacobians(ELEVEN, [0], attack=False),
    },
    "pca": {
        "all": lambda: spectra(),
        "one purifier, seed and image": lambda: spectra(["ddpm"], [0], n=1),
        "few points": lambda: spectra(points=6),
        "eleven purifiers": lambda: spectra(ELEVEN, [0]),
    },
    "timesteps": STRENGTHS,
    "clean-t": STRENGTHS,
    "law": LAW,
    "budget": {
        "all": LAW["all"],
        "one purifier and seed, scales in no order": lambda: probes(THREE, [0], scales=[1, 0, 0.5, 0.25]),
    },
    "predictors": LAW | {"eleven purifiers": lambda: probes(ELEVEN, [0])},
    "fuzzy": {
        "all": lambda: judgings(),
        "one attack and seed, two judgings": lambda: judgings(["clean", "pgd"], [0], r=2),
        "a hundred judgings of two purifiers": lambda: judgings(r=100, n=101, purifiers=["reverse", "ddpm"]),
        "nothing fooled": lambda: judgings(right=1),
        "nothing robust": lambda: judgings(right=0),
        "eleven attacks": lambda: judgings([f"attack-{i}" for i in range(11)], [0]),
    },
    "cap": {
        "all": lambda: caps(),
        "few points": lambda: caps(points=12),
        "one plane, infinite slopes": lambda: caps([0], planes=1, slope=STEPS),
        "nothing crossed": lambda: caps(**NEVER, outcome=np.zeros((20, 300), bool)),
        "one usable image": lambda: caps([0], usable=np.arange(20) == 3, shown=[3], maps=np.zeros((1, 2, 5, 5))),
        "no usable image": lambda: caps(usable=np.zeros(20, bool)),
    },
    "margins": {
        "all": lambda: margins(),
        "one purifier and seed": lambda: margins(["ddpm"], [0]),
        "nothing fooled": lambda: margins(["ddpm"], robust=1),
        "nothing robust": lambda: margins(["ddpm"], robust=0),
        "all thresholds beyond": lambda: margins(["ddpm"], beyond=1),
        "one that nothing fools, one without a usable image": lambda: margins(robust=(1, 0.5, 0.5), usable=(1, 1, 0)),
        "no usable image": lambda: margins(usable=0),
    },
}
EVERY = [(name, case) for name, cases in CASES.items() for case in cases]


class Drawn(NamedTuple):
    figure: Figure
    tables: dict[str, pd.DataFrame]
    given: list[pd.DataFrame]  # copies of them, as the figure leaves them
    folder: Path  # where they lie
    texts: list[tuple[Text, np.ndarray]]  # what is written, and its left, bottom, right, top in pixels


def function(kind: str, identifier: str):
    rooms = {"tables": (tables_compression, tables_earlier), "figures": (figures_compression, figures_earlier)}[kind]
    name = identifier.replace("-", "_")
    (found,) = (f for room in rooms if inspect.isfunction(f := getattr(room, name, None)))
    return found


def shown(name: str, made: Made, folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of a figure, made of the records that their arguments name, read back from disk."""
    if name in ("timesteps", "clean-t"):  # only of purifiers with a strength
        made = made | {"probes": [r for r in made["probes"] if r.keys["t"] is not None]}
    read = {}
    for identifier in SHOWN[name]:
        make = function("tables", identifier)
        records = {kind: made[kind] for kind in inspect.signature(make).parameters if kind in made}
        path = folder / f"{identifier}.csv"
        store.save_table(path, make(**records))
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
        tables = shown(name, CASES[name][case](), folder)
        given = [table.copy() for table in tables.values()]
        figure = function("figures", name)(*given)
        figure.draw_without_rendering()
        plt.close(figure)
    return Drawn(figure, tables, given, folder, texts)


@contextmanager
def few_resamples() -> Iterator[None]:
    """Of the images of the law; how wide its band is does not matter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables_compression.lawful, "images_drawn", lambda n: images_drawn(n, resamples=12))
        yield


@pytest.fixture(scope="module", autouse=True)
def quickly():
    with few_resamples():
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """drawn(name, case): each is drawn once for all tests."""
    made = {}

    def get(name: str, case: str = "all") -> Drawn:
        if (name, case) not in made:
            made[name, case] = draw(name, case, tmp_path_factory.mktemp(name))
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
        both = [(artist.get_color(), artist.get_linestyle()), (artist.get_markeredgecolor(), artist.get_marker())]
        return [(to_hex(colour), style) for colour, style in both if style not in ("None", "", " ")]
    if isinstance(artist, Rectangle):
        return [(to_hex(artist.get_facecolor(), keep_alpha=True), "fill")]
    if isinstance(artist, LineCollection):  # error bars
        return [(to_hex(artist.get_color()[0]), "-")]
    return [(to_hex(artist.get_edgecolor()), "-")] if isinstance(artist, StepPatch) else []


def is_there(artist) -> bool:
    """Something of it is seen: a point, or an area."""
    if isinstance(artist, plt.Line2D):
        return bool(np.isfinite(np.array(artist.get_data(), float)).all(axis=0).any())
    if isinstance(artist, StepPatch):
        return bool((artist.get_data().values > 0).any())
    if isinstance(artist, Rectangle):
        return bool(np.isfinite(artist.get_height()) and artist.get_height() > 0)
    return isinstance(artist, LineCollection) and any(np.isfinite(s).all() for s in artist.get_segments())


STYLES = {"vote of k", "all of k right"}  # these name a style of line, whatever its colour


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
    figure, *_, texts = drawn(name, case)
    for text, (left, bottom, right, top) in texts:
        inside = left > -1 and bottom > -1 and right < figure.bbox.width + 1 and top < figure.bbox.height + 1
        assert inside, (text.get_text(), (left, bottom, right, top), figure.bbox.bounds)


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_can_be_read(name, drawn):
    assert {text.get_text(): size for text, _ in drawn(name).texts if (size := text.get_fontsize()) < 6} == {}


@pytest.mark.parametrize("case", CASES["predictors"])
def test_a_number_that_is_not_known_is_not_written(case, drawn):
    """Three points have a rank correlation without an interval, and equal ones have none."""
    assert [t.get_text() for t, _ in drawn("predictors", case).texts if "nan" in t.get_text()] == []


@pytest.mark.parametrize("name", CASES)
def test_a_figure_leaves_its_tables_as_they_were(name, drawn):
    one = drawn(name)
    for table, left in zip(one.tables.values(), one.given, strict=True):
        pd.testing.assert_frame_equal(table, left)


def test_all_figures_of_parts_are_here():
    others = {"trajectory", "distances", "robustness", "transfer", "compression", "directions", "centroids", "variance"}
    others |= {"dw-box", "addt", "attack-paths", "landscape"}  # tests/test_figures_stochastic.py
    assert set(CASES) == set(SHOWN) - others


# What each of them shows.


def colours(legend) -> dict[str, str]:
    return {t.get_text(): strokes(h)[0][0] for t, h in zip(legend.get_texts(), legend.legend_handles, strict=True)}


def of_colour(lines: list, colour: str) -> list:
    return [line for line in lines if to_hex(line.get_color()) == colour and is_there(line)]


def xy(line) -> list:
    return np.array(line.get_data(), float).T.tolist()


def same(found, table: pd.DataFrame) -> bool:
    """The same rows in the same order."""
    return np.shape(found) == table.shape and found == pytest.approx(table.to_numpy(float))


def band(ax, colour: str) -> list:
    """x, lowest and highest of what is filled in a colour."""
    (filled,) = [c for c in ax.collections if len(c.get_facecolor()) and to_hex(c.get_facecolor()[0]) == colour]
    vertices = pd.DataFrame(filled.get_paths()[0].vertices, columns=["x", "y"])
    limits = vertices.groupby("x")["y"].agg(["min", "max"]).reset_index()
    return limits.to_numpy()


def whiskers(container) -> np.ndarray:
    """x, low and high of error bars."""
    return np.array([[s[0, 0], *s[:, 1]] for s in container.lines[2][0].get_segments()])


def together(table: pd.DataFrame, **wanted) -> pd.DataFrame:
    """Rows of all seeds with these keys."""
    chosen = table[table["seed"] == "all"]
    for key, value in wanted.items():
        chosen = chosen[chosen[key] == value]
    return chosen


def test_singular_values_by_rank_and_the_largest_by_outcome_are_those_of_the_tables(drawn):
    figure, given, *_ = drawn("jacobian")
    (left, right), (spectrum, summary) = data_axes(figure), given.values()
    named = colours(left.get_legend())
    assert list(named) == ["ddpm", "reverse", "ddim"]
    for purifier, colour in named.items():
        (line,) = of_colour(left.lines, colour)
        part = spectrum[spectrum["purifier"] == purifier]
        assert same(xy(line), part[["rank", "mean"]])
        assert same(band(left, colour), part[["rank", "low", "high"]])
    outcome = {colour: label for label, colour in colours(figure.legends[0]).items()}
    purifiers = [t.get_text() for t in right.get_xticklabels()]
    shown = {
        (purifiers[round(bar.get_x() + bar.get_width() / 2)], outcome[strokes(bar)[0][0]]): bar.get_height()
        for bar in right.patches
        if np.isfinite(bar.get_height())
    }
    largest = together(summary, measure="largest").set_index(["purifier", "outcome"])["mean"]
    assert len(largest) == 9 and shown == pytest.approx(largest.to_dict())


@pytest.mark.parametrize(("case", "outcome"), [("nothing fooled", "robust"), ("nothing robust", "fooled")])
def test_an_outcome_that_no_image_has_has_no_bar(case, outcome, drawn):
    figure = drawn("jacobian", case).figure
    assert list(colours(figure.legends[0])) == ["any", outcome]
    assert sum(np.isfinite(bar.get_height()) for bar in data_axes(figure)[1].patches) == 6


def test_principal_variances_are_those_of_the_table(drawn):
    figure, given, *_ = drawn("pca")
    (ax,), (table,) = data_axes(figure), given.values()
    named = colours(ax.get_legend())
    assert list(named) == ["before", "after ddpm", "after reverse"] and ax.get_yscale() == "log"
    for label, colour in named.items():
        when, _, purifier = label.partition(" ")
        part = table[(table["when"] == when) & (table["purifier"] == (purifier or "ddpm"))]
        (line,) = of_colour(ax.lines, colour)
        assert len(part) == 16 and same(xy(line), part[["component", "mean"]])


@pytest.mark.parametrize(
    ("name", "measures"), [("timesteps", ["alpha", "robust-accuracy"]), ("clean-t", ["clean-fixed", "alpha"])]
)
def test_what_hangs_on_the_strength_is_shown_at_each_strength(name, measures, drawn):
    figure, given, *_ = drawn(name)
    axes, (table,) = data_axes(figure), given.values()
    (named,) = (colours(legend) for legend in legends(figure))
    assert list(named) == ["ddpm", "reverse", "ddim", "one-step"]
    for ax, measure in zip(axes, measures, strict=True):
        assert ("accuracy" in ax.get_ylabel()) == (measure != "alpha") and len(ax.containers) == len(named)
        assert ax.get_xscale() == "log" and ax.get_xlabel() == "strength t"
        for (purifier, colour), bars in zip(named.items(), ax.containers, strict=True):
            part = together(table, measure=measure, purifier=purifier)
            assert to_hex(bars.lines[0].get_color()) == colour and same(xy(bars.lines[0]), part[["t", "mean"]])
            if measure == "alpha":
                part = part.assign(low=part["mean"] - part["std"], high=part["mean"] + part["std"])
            assert same(whiskers(bars), part[["t", "low", "high"]])
        ticks = [t.get_text() for t in ax.get_xticklabels()]
        assert len(ticks) >= 4 and set(map(int, ticks)) <= set(table["t"])  # of close neighbours one is named


LAW_POINTS = {"all": (9, 3), "one purifier and seed": (3, 0), "two points recognised, no features": (9, 7)}


@pytest.mark.parametrize("case", LAW_POINTS)
def test_points_of_the_law_are_those_of_the_table_and_hollow_where_clean_images_are_lost(case, drawn):
    figure, given, *_ = drawn("law", case)
    (ax,), points = data_axes(figure), given["law"]
    assert (len(points), (~points["recognised"]).sum()) == LAW_POINTS[case]
    named = {label: colour for label, colour in colours(figure.legends[0]).items() if label in SWEPT}
    assert list(named) == list(dict.fromkeys(points["purifier"]))
    seen = 0
    for bars in ax.containers:
        point = bars.lines[0]
        if point.get_marker() == "o" and is_there(point):
            colour, filling = to_hex(point.get_color()), to_hex(point.get_markerfacecolor())
            (purifier,) = [name for name, own in named.items() if own == colour]
            part = points[(points["purifier"] == purifier) & (points["recognised"] == (filling == colour))]
            assert filling in (colour, "#ffffff")
            assert same(xy(point), part[["alpha", "accuracy"]])
            assert same(whiskers(bars), part[["alpha", "low", "high"]])
            seen += len(part)
    assert seen == len(points)


@pytest.mark.parametrize("case", LAW_POINTS)
def test_the_sigmoid_goes_through_the_filled_points_if_there_are_three(case, drawn):
    figure, given, *_ = drawn("law", case)
    (ax,), fit = data_axes(figure), given["law-fit"]
    names = {"sigmoid through all": ("all", "--"), "sigmoid through filled points": ("recognised", "-")}
    wanted = list(names)[: 1 if case.startswith("two points") else 2]
    assert [label for label in colours(figure.legends[0]) if "sigmoid" in label] == wanted
    for label in wanted:
        through, style = names[label]
        (line,) = [line for line in ax.lines if line.get_label() == label]
        curve = fit[(fit["quantity"] == "curve") & (fit["through"] == through)]
        assert len(curve) == 41 and same(xy(line), curve[["alpha", "mean"]]) and line.get_linestyle() == style
    assert same(band(ax, to_hex("0.25")), curve[["alpha", "low", "high"]])  # of the best of them
    clean = fit[(fit["quantity"] == "clean") & (fit["through"] == through)].assign(alpha=0)
    (star,) = [bars for bars in ax.containers if bars.lines[0].get_marker() == "*"]
    assert same(xy(star.lines[0]), clean[["alpha", "mean"]]) and same(whiskers(star), clean[["alpha", "low", "high"]])


def test_strengths_are_written_at_the_points_of_purifiers_that_have_several(drawn):
    figure, given, *_ = drawn("law")
    (ax,), points = data_axes(figure), given["law"]
    points = points[points["purifier"].isin(["ddpm", "reverse"])]
    wanted = {(row.alpha, row.accuracy): f"{row.t:.0f}" for row in points.itertuples()}
    assert {text.xy: text.get_text() for text in ax.texts} == wanted and len(wanted) == 6
    assert not data_axes(drawn("law", "no strengths, nothing fooled").figure)[0].texts


@pytest.mark.parametrize("case", CASES["budget"])
def test_the_budget_is_shown_from_its_least_to_its_largest_scale_beside_the_law(case, drawn):
    figure, given, *_ = drawn("budget", case)
    (ax,), table, points = data_axes(figure), given["budget"], given["law"]
    named = colours(figure.legends[0])
    for attack in ("pgd", "pgd-l2"):
        colour = named[f"classifier alone, {attack} with ε·α"]
        (line,) = of_colour(ax.lines, colour)
        part = together(table, attack=attack).sort_values("scale")
        assert same(xy(line), part[["scale", "mean"]]) and same(band(ax, colour), part[["scale", "low", "high"]])
    found = [pair for bars in ax.containers for pair in xy(bars.lines[0])]
    assert sorted(found) == pytest.approx(np.array(sorted(points[["alpha", "accuracy"]].to_numpy().tolist())))
    assert {to_hex(bars.lines[0].get_color()) for bars in ax.containers} == {named["purifiers"]}


@pytest.mark.parametrize("case", ["all", "two points recognised, no features"])
def test_predictors_have_their_points_and_their_rank_correlation(case, drawn):
    figure, given, *_ = drawn("predictors", case)
    axes, (table, rank) = data_axes(figure), given.values()
    named, predictors = colours(figure.legends[0]), list(rank["predictor"])
    assert predictors == ["alpha", "magnitude", "frechet"][: 2 if "no features" in case else 3]
    assert list(named) == list(SWEPT)
    for ax, predictor in zip(axes, predictors, strict=True):
        assert {"alpha": "compression", "magnitude": "magnitude", "frechet": "Fréchet"}[predictor] in ax.get_xlabel()
        of = table[table["predictor"] == predictor]
        for purifier, colour in named.items():
            (line,) = of_colour(ax.lines, colour)
            assert same(xy(line), of[of["purifier"] == purifier][["value", "accuracy"]])
        (row,) = rank[rank["predictor"] == predictor].itertuples()
        numbers = [float(number) for number in re.findall(r"-?\d\.\d\d", ax.get_title())]
        assert numbers == pytest.approx([row.mean, row.low, row.high], abs=0.0051) and "ρ" in ax.get_title()


@pytest.mark.parametrize("case", ["all", "a hundred judgings of two purifiers", "one attack and seed, two judgings"])
def test_fuzzy_robustness_of_the_first_purifier_is_that_of_the_tables(case, drawn):
    figure, given, *_ = drawn("fuzzy", case)
    (_, middle, right), (table, grades) = data_axes(figure), given.values()
    purifier, r = grades["purifier"][0], table["judgings"][0]
    assert figure.get_suptitle() == f"{purifier}; every attack judged under {r} fresh ξ"
    table, grades = table[table["purifier"] == purifier], grades[grades["purifier"] == purifier]
    named = colours(figure.legends[0])
    assert list(named) == list(dict.fromkeys(table["attack"]))
    for attack, colour in named.items():
        (curve,) = of_colour(middle.lines, colour)
        part = grades[grades["attack"] == attack]
        assert same(xy(curve), part[["grade", "cfr"]]) and same(band(middle, colour), part[["grade", "low", "high"]])
        styles = {line.get_linestyle(): xy(line) for line in of_colour(right.lines, colour)}
        for style, measure in (("-", "vote"), ("--", "worst-of")):
            assert same(styles[style], together(table, attack=attack, measure=measure)[["k", "mean"]])
    legend = {
        t.get_text(): h.get_linestyle()
        for t, h in zip(right.get_legend().texts, right.get_legend().legend_handles, strict=True)
    }
    assert legend == {"vote of k": "-", "all of k right": "--"}


@pytest.mark.parametrize("case", CASES["fuzzy"])
def test_a_grade_on_the_border_of_two_bins_is_counted_in_the_upper_one(case, drawn):
    """Grade j/r lies in the tenth ⌊10 j/r⌋, in numbers that are whole; the last has the grade 1, too."""
    figure, given, *_ = drawn("fuzzy", case)
    left, grades = data_axes(figure)[0], given["fuzzy-grades"]
    r = given["fuzzy"]["judgings"][0]
    named = colours(figure.legends[0])
    for attack, colour in named.items():
        part = grades[(grades["attack"] == attack) & (grades["purifier"] == grades["purifier"][0])]
        wanted = np.bincount([min(10 * j // r, 9) for j in range(r + 1)], part["share"], 10)
        (stairs,) = [patch for patch in left.patches if to_hex(patch.get_edgecolor()) == colour]
        assert stairs.get_data().values == pytest.approx(wanted) and wanted.sum() == pytest.approx(1)


def counts(ax, colour: str | None = None) -> np.ndarray:
    return np.array(
        [bar.get_height() for bar in ax.patches if colour in (None, to_hex(bar.get_facecolor(), keep_alpha=True))]
    )


@pytest.mark.parametrize("case", ["all", "one plane, infinite slopes", "few points"])
def test_caps_are_those_of_the_tables(case, drawn):
    figure, given, *_ = drawn("cap", case)
    images, transition, slices = given.values()
    planes = list(dict.fromkeys(slices["plane"]))
    assert planes == ["random", "adversarial"][: 1 if "one plane" in case else 2]
    *maps, slopes, mean, thresholds, volumes = data_axes(figure)
    for ax, plane in zip(maps, planes, strict=True):
        part = slices[(slices["plane"] == plane) & (slices["image"] == slices["image"][0])]
        (image,) = ax.images
        assert image.origin == "lower" and image.get_extent() == [-2.5, 2.5, -2.5, 2.5]
        shown = np.array(image.get_array()).astype(bool)
        wanted = part.sort_values(["across", "along"])["correct"].to_numpy().reshape(5, 5)
        assert (shown == wanted).all() and 0 < wanted.mean() < 1
        dark, light = (sum(image.cmap(image.norm(value))[:3]) for value in (0.0, 1.0))
        assert dark < light and {"random": "random", "adversarial": "another attack"}[plane] in ax.get_ylabel()
    assert counts(slopes).sum() == counts(thresholds).sum() == counts(volumes).sum() == len(images)
    steep = counts(slopes)[-1]
    assert steep == (images["slope"] >= 28).sum() and steep > 0
    assert counts(slopes)[:3].sum() == (images["slope"] < 6).sum()
    assert thresholds.patches[-1].get_x() + thresholds.patches[-1].get_width() == pytest.approx(2)
    fitted = of_colour(mean.lines, to_hex("0.1"))
    assert same(xy(fitted[0]), transition[["offset", "fitted"]])
    observed = [line for line in mean.lines if line.get_marker() == "o" and is_there(line)]
    enough = transition[transition["n"] > 20]
    assert len(observed) == (len(enough) > 0) == ("few points" not in case)
    assert all(same(xy(line), enough[["offset", "observed"]]) for line in observed)


@pytest.mark.parametrize("case", ["all", "all thresholds beyond", "one that nothing fools, one without a usable image"])
def test_margins_are_those_of_the_tables(case, drawn):
    figure, given, *_ = drawn("margins", case)
    axes, (images, roc) = figure.axes, given.values()
    purifiers = list(dict.fromkeys(images["purifier"]))
    assert [ax.get_title(loc="left") for ax in axes[::3]] == purifiers
    outcome = {
        text.get_text(): to_hex(handle.get_facecolor(), keep_alpha=True)
        for text, handle in zip(figure.legends[0].texts, figure.legends[0].legend_handles, strict=True)
    }
    (beside,) = [colours(legend) for legend in legends(figure) if legend not in figure.legends]
    scores = dict(zip(("threshold", "length", "attack_length"), beside.values(), strict=True))
    finite = images["threshold"][np.isfinite(images["threshold"])]
    for purifier, threshold, length, curves in zip(purifiers, axes[::3], axes[1::3], axes[2::3], strict=True):
        part = images[images["purifier"] == purifier]
        for name, colour in outcome.items():
            of = part[part["outcome"] == name]
            assert counts(threshold, colour).sum() == counts(length, colour).sum() == len(of)
            assert counts(threshold, colour)[-1:].sum() >= np.isinf(of["threshold"]).sum()
            if len(of):
                longest = images["length"].max()
                assert counts(length, colour) == pytest.approx(np.histogram(of["length"], 25, (0, longest))[0])
            if len(finite):
                below = of["threshold"] < finite.quantile(0.98) * 24 / 25
                assert counts(threshold, colour)[:-1].sum() == below.sum()
        for score, colour in scores.items():
            own = roc[(roc["purifier"] == purifier) & (roc["score"] == score)]
            lines = of_colour(curves.lines, colour)
            assert len(lines) == (len(own) > 0) == part["outcome"].nunique() - 1
            assert all(same(xy(line), own[["false_positive", "true_positive"]]) for line in lines)


# Saved.

SAVE = """
import sys
from matplotlib.pyplot import close, rc_context
from purity import figures
from purity.run import store
from purity.run.naming import resolve

out, *drawings = sys.argv[1:]
with figures.style(), rc_context({"savefig.dpi": 50}):
    for drawing in drawings:
        name, function, *tables = drawing.split("|")
        figure = resolve(function)(*map(store.load_table, tables))
        store.save_figure(figure, png=f"{out}/{name}.png", pdf=f"{out}/{name}.pdf")
        close(figure)
"""


def test_figures_of_parts_come_out_byte_for_byte_the_same_in_another_process(drawn, tmp_path):
    """With lines, bands, bars, steps, points, pictures, legends in and outside, and logarithms; of few pixels."""
    drawings = []
    for name in ("jacobian", "law", "fuzzy", "cap"):
        case = next(case for case in CASES[name] if case.startswith("one "))
        make, folder = function("figures", name), drawn(name, case).folder
        tables = [f"{folder}/{identifier}.csv" for identifier in SHOWN[name]]
        drawings.append("|".join([name, f"{make.__module__}:{make.__name__}", *tables]))
    processes = []
    for seed in ("1", "7"):
        (tmp_path / seed).mkdir()
        environment = {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONHASHSEED": seed}
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
