"""Figures drawn of made-up records, and what can be read off them."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from itertools import product
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from made_up import (
    boxed,
    cap_record,
    features_apart,
    hardened,
    keys,
    known_outcomes,
    margin_record,
    of_attack,
    of_purifier,
    probe,
    record,
    walked,
)
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.text import Text
from mpl_toolkits.mplot3d import Axes3D

from purity.run import store
from purity.studies import (
    addt,
    budget,
    cap,
    drawing,
    dw_box,
    fuzzy,
    jacobian,
    law,
    paths,
    pca,
    predictors,
    sensitivity,
    timesteps,
)
from purity.studies import margins as margins_study
from purity.studies.law import images_drawn
from purity.studies.records import Record
from purity.studies.tabulate import made_by

inf, nan = np.inf, np.nan


def texts(figure: Figure) -> set[str]:
    """Everything written on a figure."""
    return {t.get_text() for t in figure.findobj(plt.Text) if t.get_visible() and t.get_text()}


def legends(figure: Figure) -> list:
    return figure.findobj(plt.matplotlib.legend.Legend)


def data_axes(figure: Figure) -> list:
    return [ax for ax in figure.findobj(plt.Axes) if ax.has_data() and ax.get_visible()]


Made = dict[str, list[Record]]


SWEPT = {"gaussian": [None], "ddpm": [10, 50, 100, 200], "reverse": [50, 200], "ddim": [100], "one-step": [100]}


ELEVEN = {f"purifier-{i}": [10 * (i + 1)] for i in range(11)}


def jacobians(purifiers=("ddpm", "reverse", "ddim"), seeds=(0, 1, 2), right=0.5, n=6, attack=True) -> Made:
    generator = np.random.default_rng(0)
    of_each = [(p, s) for p in purifiers for s in seeds]
    falling = lambda j: (0.5 + 0.2 * j) * -np.sort(-2 * generator.random((n, 16)))  # noqa: E731
    measured = [known_outcomes(generator.random(n + 2) < right, p, s) for p, s in of_each] if attack else []
    return {
        "jacobians": [record(p, s, singular_values=falling(j)) for j, (p, s) in enumerate(of_each)],
        "outcomes": measured,
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
                "robust_protocol": hardness[seed] < share + 0.1,
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
    return {"thresholds": made}


THREE = {"ddpm": [10, 50, 100]}


def variants(number: int = 9, seeds=(0, 1), n: int = 20, robust: float = 0.5) -> Made:
    """What the part sensitivity leaves: a purifier, and others that differ from it in something."""
    g, made = np.random.default_rng(0), []
    for purifier, seed in product(["ddpm", *(f"ddpm-{k}" for k in range(number))], seeds):
        arrays = {"alpha": g.random(n), "robust": g.random(n) < robust, "clean_fixed": g.random(n) < 0.9}
        said = {} if purifier == "ddpm" else {"variant_of": "ddpm", "differs": f"steps {purifier[5:]}"}
        made.append(Record(of_purifier(purifier, seed, t=100) | said, arrays))
    return {"varied": made}


STRENGTHS = {"all": lambda: probes(lost=3), "one purifier and seed": lambda: probes(THREE, [0])}


LAW = STRENGTHS | {
    "images that all end alike": lambda: probes(clean=1, robust=0),
    "no strengths, nothing fooled": lambda: probes({"gaussian": [None], "median": [None], "jpeg": [None]}, robust=1),
    "two points recognised, no features": lambda: probes(lost=7, features=False),
    "nothing recognised": lambda: probes(clean=0),
}


NEVER = {"slope": np.full(20, nan), "middle": np.full(20, nan), "threshold": np.full(20, inf)}


STEPS = np.resize([inf, -inf, 20], 20)


# Of the parts. figure: {what an experiment may leave: the records}
PARTS = {
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
    "sensitivity": {
        "all": lambda: variants(),
        "one variant, image and seed": lambda: variants(1, [0], n=1),
        "nothing robust": lambda: variants(robust=0),
    },
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


ODD = {"none": ["none"], "NA": ["none"], "007": ["none", "forward"]}  # names that other tables would not keep


TUNED_ODD = {"NA": ("none", False), "007": ("none", True)}


MANY = {f"ddpm-addt-{i}": ("ddpm", i > 0) for i in range(4)}


# Of the stochastic perspective. figure: {what an experiment may leave: the records}
STOCHASTIC = {
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
        "odd names": lambda: hardened(TUNED_ODD),
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
    STOCHASTIC[name]["the other way round"] = lambda make=make: {"measured": make()["measured"][::-1]}


# figure: the study, and its tables in the order of the function's arguments
FIGURES = {
    "jacobian": (jacobian, ["jacobian-spectrum", "jacobian"]),
    "pca": (pca, ["pca"]),
    "timesteps": (timesteps, ["timesteps"]),
    "clean-t": (timesteps, ["clean-t"]),
    "sensitivity": (sensitivity, ["sensitivity"]),
    "law": (law, ["law", "law-fit"]),
    "budget": (budget, ["budget", "law", "law-fit"]),
    "predictors": (predictors, ["predictors", "predictors-rank"]),
    "fuzzy": (fuzzy, ["fuzzy", "fuzzy-grades"]),
    "cap": (cap, ["cap-images", "cap-transition", "cap-slices"]),
    "margins": (margins_study, ["margins-images", "margins-roc"]),
    "dw-box": (dw_box, ["dw-box"]),
    "addt": (addt, ["addt"]),
    "attack-paths": (paths, ["attack-paths"]),
    "landscape": (paths, ["landscape", "landscape-paths"]),
}


class Drawn(NamedTuple):
    figure: Figure
    tables: dict[str, pd.DataFrame]
    given: list[pd.DataFrame]  # copies of them, as the figure leaves them
    folder: Path  # where they lie
    texts: list[tuple[Text, np.ndarray]]  # what is written, and its left, bottom, right, top in pixels
    surfaces: dict[Axes3D, tuple[list, dict]]  # what was asked of each panel


def drawing_of(name: str):
    """The function that draws a figure."""
    return getattr(FIGURES[name][0], f"draw_{name.replace('-', '_')}")


def maker_of(name: str, table: str):
    """The function that makes a table of a figure; of the law where the study itself has none."""
    function = table.replace("-", "_")
    return getattr(FIGURES[name][0], function, None) or getattr(law, function)


def tables_of(name: str, made: Made, folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of a figure, made of the records that their arguments name, read back from disk."""
    if name in ("timesteps", "clean-t"):  # only of purifiers with a strength
        made = made | {"probes": [r for r in made["probes"] if r.keys["t"] is not None]}
    tables, _ = made_by({table: maker_of(name, table) for table in FIGURES[name][1]}, None, made)
    read = {}
    for table, frame in tables.items():
        path = folder / f"{table}.csv"
        store.save_table(path, frame)
        read[table] = store.load_table(path)
    return read


@contextmanager
def few_resamples() -> Iterator[None]:
    """Of the images of the law; how wide its band is does not matter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(law, "images_drawn", lambda n: images_drawn(n, resamples=12))
        yield


def draw(name: str, case: str, folder: Path) -> Drawn:
    """A figure laid out as it is saved; a warning, of its tables too, is an error."""
    texts, surfaces, write, lay = [], {}, Text.draw, Axes3D.plot_surface

    @wraps(write)
    def noted(text, renderer):
        write(text, renderer)
        if text.get_visible() and text.get_text().strip():
            texts.append((text, text.get_window_extent(renderer).extents))

    def laid(ax, *arrays, **look):
        surfaces[ax] = ([np.array(array) for array in arrays], look)
        return lay(ax, *arrays, **look)

    with few_resamples(), drawing.style(), warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("error")
        tables = tables_of(name, (PARTS | STOCHASTIC)[name][case](), folder)
        given = [table.copy() for table in tables.values()]
        patch.setattr(Text, "draw", noted)
        patch.setattr(Axes3D, "plot_surface", laid)
        figure = drawing_of(name)(*given)
        figure.draw_without_rendering()
        plt.close(figure)
    return Drawn(figure, tables, given, folder, texts, surfaces)


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


def named(figure: Figure) -> dict[str, str]:
    """Colour by label, of the one legend there is; without opacity."""
    (legend,) = legends(figure)
    return {label: colour[:7] for label, colour in colours(legend).items()}


def bars_by_name(ax, figure: Figure) -> dict[tuple[str, str], float]:
    """Heights by the names below and the labels of colours."""
    label = {colour: name for name, colour in named(figure).items()}
    places = [text.get_text() for text in ax.get_xticklabels()]
    return {
        (places[round(bar.get_x() + bar.get_width() / 2)], label[to_hex(bar.get_facecolor())]): bar.get_height()
        for bar in ax.patches
        if np.isfinite(bar.get_height())
    }
