"""What figures share: one look for all, colour-blind safe, readable in a column of a two-column page.

A colour belongs to a purifier or to an attack, in every figure and whatever else is shown. What an attacker knows, an
outcome, a source of variance and the like have shades of one grey blue. Each thing differs from others of its figure in
marker, line or lightness too, so that nothing rests on colour alone.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

COLUMN = 8.5 / 2.54  # inches, the width of every figure
SMALL = 6  # points, the least that is written

NAMES = {
    "l2": "ℓ2 to clean",
    "linf": "ℓ∞ to clean",
    "ssim": "SSIM with clean",
    "frechet-classifier": "Fréchet distance,\nclassifier features",
    "fid": "FID,\n768 features",
}
ALPHA = "compression rate α of uniform noise"


@contextmanager
def style() -> Iterator[None]:
    """The look of every figure."""
    import seaborn as sns  # here: tables, which are drawn by nobody, start sooner without it

    rc = {
        "figure.constrained_layout.use": True,
        "font.size": 7,
        "figure.titlesize": 7,
        "axes.titlesize": 7,
        "axes.labelsize": 7,
        "xtick.labelsize": 6.5,
        "ytick.labelsize": 6.5,
        "legend.fontsize": 6.5,
        "legend.frameon": False,
        "legend.title_fontsize": 6.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "pdf.fonttype": 42,
        "savefig.dpi": 400,
    }
    with sns.axes_style("ticks"), mpl.rc_context(rc):
        yield


SLATE = "#3d4b69"  # of what is neither

# Who has which colour. tests/unit/studies/test_drawing.py holds them apart for eyes that lack one of the three cones as
# well, most those of the main findings. A name that is not here has one of OTHERS, by its digest.
PURIFIERS = {
    "ddpm": "#0072b2",
    "reverse": "#e69f00",
    "ddim": "#009e73",
    "one-step": "#cc79a7",
    "gaussian": "#56b4e9",
    "identity": "#9c7830",
    "ddpm-addt": "#882255",
    "ddpm-addt-no-rbgm": "#b4c084",
    "ddpm-addt-no-classifier": "#906cfc",
    "ddpm-longer": "#117733",
    "dp-ddpm": "#003cc0",
    "dp-ddim": "#609c48",
    "dp-ddpm-addt": "#cc0018",
    "dp-ddim-addt": "#f078d8",
    "dp-ddpm-addt-no-rbgm": "#6ccc60",
    "dp-ddpm-addt-no-classifier": "#846084",
    "guided": "#6c6cd8",
    "ddim-addt": "#9c78d8",
    "ddpm-small": "#f09cfc",
    "ddpm-unclipped": "#244884",
    "ddpm-101": "#b49c6c",
    "ddpm-at-once": "#54cca8",
    "ddpm-5": "#9cc048",
    "ddpm-20": "#9c003c",
    "ddpm-50": "#7848d8",
    "ddpm-drop-out": "#0c8490",
    "vp-sde": "#9c0c6c",
    "edm": "#b454c0",
    "ddpm-1": "#6c1854",
    "ddpm-2": "#fc4854",
    "ddpm-addt-1": "#a84830",
    "ddpm-addt-2": "#9084fc",
    "ddpm-150": "#cc0c60",
    "reverse-150": "#c0549c",
    "dp-vp-sde": "#6c009c",
    "dp-edm": "#60549c",
    "guided-reverse": "#841884",
}
ATTACKS = {
    "clean": "#000000",
    "uniform": "#999933",
    "uniform-x4": "#f0a8a8",
    "pgd": "#d55e00",
    "pgd-eot": "#332288",
    "bpda": "#a8249c",
    "bpda-eot": "#005430",
    "standard": "#661100",
    "standard-eot": "#849cfc",
    "standard-bpda": "#c06060",
    "standard-l2": "#78540c",
    "pgd-20": "#6c186c",
    "pgd-20-eot": "#d8a8cc",
    "pgd-20-l2": "#904854",
    "pgd-20-l2-eot": "#fc6084",
    "uniform-32": "#90cc30",
    "uniform-64": "#6c3cb4",
    "uniform-128": "#a878b4",
    "autoattack": "#d80084",
    "autoattack-rand": "#841824",
    "standard-l2-eot": "#cc9018",
    "fgsm": "#6c3000",
    "autoattack-judged": "#849ccc",
    "standard-x10": "#c04848",
    "standard-eot-x10": "#60a890",
    "pgd-restarted": "#c00c6c",
}
OTHERS = (
    "#0060f0", "#54a8b4", "#84b490", "#90840c", "#84189c", "#5400a8", "#0c48e4", "#d800b4", "#cca8d8", "#2484c0",
    "#901848", "#6c54cc", "#006c78", "#c048e4", "#547848", "#cc786c", "#e4a8c0", "#fca86c", "#606024", "#84b448",
    "#54c060", "#e4b430", "#906018", "#cc90c0", "#c07878", "#d87830", "#9cc090", "#cc6090", "#840c18", "#780c3c",
    "#a82400", "#9c24c0", "#9c549c", "#543090", "#e454f0",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES: tuple[str | tuple, ...] = (
    "-",
    (0, (4, 1.2)),
    (0, (1, 1)),
    (0, (4, 1, 1, 1)),
    (0, (7, 1.5)),
    (0, (3, 1, 1, 1, 1, 1)),
)


class Look(NamedTuple):
    """How a purifier or an attack is drawn wherever it is shown."""

    colour: str
    marker: str
    line: str | tuple


def look_of(name: str) -> Look:
    """That of a purifier (at whatever strength) or an attack, by its name alone: it is the same whoever else is there.

    Names that are not ours take a colour that none of ours has, by a digest of the name.
    """
    name = str(name).partition("@t=")[0]
    for ours in (PURIFIERS, ATTACKS):
        if name in ours:
            return _look(ours[name], list(ours).index(name))
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    number, colour = divmod(digest, len(OTHERS))
    return _look(OTHERS[colour], number)


def _look(colour: str, number: int) -> Look:
    """Seven markers and six lines have no common divisor: a pair of them recurs after 42."""
    return Look(colour, MARKERS[number % len(MARKERS)], LINES[number % len(LINES)])


def shades(n: int) -> list[str]:
    """n shades of grey blue from light to dark, for what is neither a purifier nor an attack."""
    dark = np.linspace(0, 1, n) if n != 1 else [1.0]
    return [mpl.colors.to_hex((0.78 - 0.54 * s, 0.82 - 0.52 * s, 0.88 - 0.47 * s)) for s in dark]


def shaded(names: Iterable[str]) -> dict[str, Look]:
    """A shade, a line and a marker for each name, in their order."""
    names = list(names)
    return {
        name: Look(colour, MARKERS[k % len(MARKERS)], LINES[k % len(LINES)])
        for k, (name, colour) in enumerate(zip(names, shades(len(names)), strict=True))
    }


def parts_of(table: pd.DataFrame, column: str) -> list[tuple[Look, str, pd.DataFrame]]:
    """(look, name, part) of each purifier or attack in a column, in order of appearance."""
    return [(look_of(name), name, table[table[column] == name]) for name in dict.fromkeys(table[column])]


def label_of(row: pd.Series) -> str:
    named = row["attack"] if row["knowledge"] == "none" else f"{row['attack']}, knows {row['knowledge']}"
    return f"{named} (protocol)" if row.get("protocol") else named


# What an attacker knows of ξ: the filling of a marker, the style of a line.
FILLED = {"none": "full", "all": "none", "forward": "left", "reverse": "right"}
KNOWN_LINES = {"none": "-", "all": "--", "forward": "-.", "reverse": ":"}


def all_seeds(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["seed"].astype(str) == "all"].copy()


def legend_below(figure: Figure, *axes: Axes, ncols: int = 2, title: str | None = None) -> None:
    """One legend under the panels, where no data are; each label once. ncols: at most, fewer if labels are long."""
    handles = {h.get_label(): h for ax in axes for h in ax.get_legend_handles_labels()[0]}
    if handles:
        width = 30 + 3.6 * max(map(len, handles))  # points: the sample, and half an em a letter
        ncols = max(1, min(ncols, len(handles), int(72 * COLUMN / width)))
        look = {"ncols": ncols, "title": title, "columnspacing": 1.2, "handlelength": 2.2}
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", **look)


def plain_numbers(*axes: Axis) -> None:
    """1, 2, 5, 10, … on logarithmic axes, and not as powers: these are axes of few decades."""
    for axis in axes:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def bars_of(ax, table: pd.DataFrame, x: str, hue: str, low: str | None = None, high: str | None = None) -> None:
    """Groups of bars of `mean` side by side, only those there are, with error bars low … high or ± std.

    hue: what they differ in, in shades; from light to dark as they first appear.
    """
    groups, hues = list(dict.fromkeys(table[x])), list(dict.fromkeys(table[hue]))
    width = 0.85 / table.groupby(x).size().max()
    colours = dict(zip(hues, shades(len(hues)), strict=True))
    for i, group in enumerate(groups):
        bars = table[table[x] == group]
        at = i + (np.arange(len(bars)) - (len(bars) - 1) / 2) * width
        down = bars["mean"] - bars[low] if low else bars["std"]
        up = bars[high] - bars["mean"] if high else bars["std"]
        ax.bar(at, bars["mean"], width * 0.9, color=[colours[value] for value in bars[hue]])
        ax.errorbar(at, bars["mean"], [down, up], fmt="none", ecolor="0.05", elinewidth=0.8)
    for value in hues:
        ax.bar(np.nan, np.nan, color=colours[value], label=value)
    ax.set_xticks(np.arange(len(groups)), groups)
    ax.tick_params(axis="x", length=0)


def dots_of(ax, table: pd.DataFrame, row: str, filling: str, low: str | None = None, high: str | None = None) -> None:
    """A row for each purifier and perturbation, with its name: `mean` as a point, with low … high or ± std.

    row: the column that names it. filling: the column of the markers' filling (FILLED). Marker and colour are the
    attack's. Purifiers stand above their rows, from the top.
    """
    if table.empty:
        return
    at, names, purifiers = 0.0, {}, []
    for purifier, part in table.groupby("purifier", sort=False):
        names[at] = str(purifier)
        purifiers.append(at)
        for _, one in part.iterrows():
            at += 1
            names[at] = one[row]
            look = look_of(one["attack"])
            down = one["mean"] - one[low] if low else one["std"]
            up = one[high] - one["mean"] if high else one["std"]
            dot = {"ms": 4, "fillstyle": one[filling], "markerfacecoloralt": "white", "elinewidth": 0.9}
            ax.errorbar(one["mean"], at, xerr=[[down], [up]], fmt=look.marker, color=look.colour, **dot)
        at += 1.3
    ax.set_yticks(list(names), list(names.values()))
    ax.set_ylim(at - 0.6, -0.8)
    ax.tick_params(axis="y", length=0)
    for place, label in zip(names, ax.get_yticklabels(), strict=True):
        label.set_fontweight("bold" if place in purifiers else "normal")
    ax.grid(axis="x", lw=0.4, color="0.88")
    ax.set_axisbelow(True)


def height_of_dots(table: pd.DataFrame) -> float:
    """Inches that `dots_of` needs for these rows."""
    return 0.75 + 0.125 * (len(table) + 1.3 * table["purifier"].nunique())
