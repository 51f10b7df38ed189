"""Images as they are: clean, attacked, purified, and one on its way through a purifier."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure


def draw_gallery(rows: dict[str, np.ndarray], time: np.ndarray, states: np.ndarray, purifier: str) -> Figure:
    """Rows of images (n, C, H, W) by name above; below one image on its way (S, C, H, W) through `purifier`."""
    n = len(next(iter(rows.values())))
    shown = np.unique(np.linspace(0, len(states) - 1, min(len(states), 11)).round().astype(int))
    cell = 0.6  # inches an image
    figure = plt.figure(figsize=(max(cell * (n + 1.6), cell * len(shown)), cell * (len(rows) + 2)))
    above, below = figure.subfigures(2, 1, height_ratios=[len(rows), 2])
    axes = above.subplots(len(rows), n, squeeze=False)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        for ax, image in zip(line, images, strict=True):
            _show(ax, image)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    axes = below.subplots(1, len(shown), squeeze=False)[0]
    for ax, step in zip(axes, shown, strict=True):
        _show(ax, states[step].clip(0, 1))
        ax.set_xlabel(f"t = {time[step]}", fontsize=6)
    above.suptitle("each purifier on the attack made for it", fontsize=8)
    below.suptitle(f"the first image on its way through {purifier}", fontsize=8)
    return figure


def _show(ax, image: np.ndarray) -> None:
    grey = image.shape[0] == 1
    ax.imshow(image[0] if grey else image.transpose(1, 2, 0), cmap="gray" if grey else None, vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
