"""Images as they are: clean, attacked, purified, and one on its way through a purifier; and what each is taken for."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from purity.studies.drawing import COLUMN, SMALL
from purity.studies.records import Shown

ACROSS = 9  # images in a line: more would leave no room for what they are taken for
MARKS = {"fontsize": SMALL, "labelpad": 1, "fontfamily": "DejaVu Sans"}  # a font that has ✓ and ✗


def draw_gallery(rows: dict[str, Shown], labels: np.ndarray, time: np.ndarray, way: Shown, purifier: str) -> Figure:
    """Rows of images by name above, labels (n,); below the first image on its way (S, C, H, W) through `purifier`.

    Under each image is the class that the classifier takes it for, ✓ if that is its label.
    """
    n, name_room = len(labels), 0.85  # inches that names of rows take
    lines = [(name, slice(first, first + ACROSS)) for first in range(0, n, ACROSS) for name in rows]
    states = np.unique(np.linspace(0, len(time) - 1, min(len(time), ACROSS)).round().astype(int))
    cell = (COLUMN - name_room) / min(n, ACROSS)
    heights = [(min(cell, 0.5) + 0.14) * len(lines) + 0.4, COLUMN / ACROSS + 0.62]
    figure = plt.figure(figsize=(COLUMN, sum(heights)))
    above, below = figure.subfigures(2, 1, height_ratios=heights)
    axes = above.subplots(len(lines), min(n, ACROSS), squeeze=False)
    for line, (name, part) in zip(axes, lines, strict=True):
        of_line = zip(rows[name].images[part], rows[name].taken_for[part], labels[part], strict=True)
        for ax, (image, taken_for, label) in zip(line, of_line, strict=False):
            _show(ax, image)
            _say(ax, taken_for, label)
        for ax in line[len(labels[part]) :]:
            ax.set_axis_off()
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=SMALL)
    axes = below.subplots(1, len(states), squeeze=False)[0]
    for ax, step in zip(axes, states, strict=True):
        _show(ax, way.images[step].clip(0, 1))
        _say(ax, way.taken_for[step], labels[0])
        ax.set_title(f"t={time[step]}" if ax is axes[0] else f"{time[step]}", fontsize=SMALL)
    above.suptitle("each purifier on the attack made for it;\nbelow each image what it is taken for, ✓ if right")
    below.suptitle(f"the first image on its way through {purifier}")
    return figure


def _say(ax, taken_for: int, label: int) -> None:
    look = {"color": "0.4"} if taken_for == label else {"color": "0", "fontweight": "bold"}
    ax.set_xlabel(f"{taken_for} {'✓' if taken_for == label else '✗'}", **MARKS, **look)


def _show(ax, image: np.ndarray) -> None:
    grey = image.shape[0] == 1
    ax.imshow(image[0] if grey else image.transpose(1, 2, 0), cmap="gray" if grey else None, vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
