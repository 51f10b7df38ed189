"""What a diffusion model that was trained here has learnt: its samples, and how far they are from images."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity import metrics, stats
from purity.studies.drawing import COLUMN
from purity.studies.records import Record, grouped


def samples(drawn: list[Record]) -> pd.DataFrame:
    """Fréchet distance of as many samples as there are images to these images, and of two such sets of samples.

    The second is what so few samples of one distribution are apart: a model without a fault reaches it. n counts
    samples of a set, sets how many distances there are; std is over them.
    """
    rows = []
    for keys, members in grouped(drawn, ("purifier",)):
        sets = [features for r in members for features in r.arrays.get("features", ())]
        if not sets:
            continue
        images = members[0].arrays["features_images"]
        distances = {
            "to-images": [metrics.frechet(one, images) for one in sets],
            "between-samples": [metrics.frechet(a, b) for a, b in zip(sets[::2], sets[1::2], strict=False)],
        }
        for between, values in distances.items():
            row = {"seed": "all", "seeds": len(members), "frechet": between, "samples": len(images)}
            rows.append(keys | row | stats.spread(np.array(values)))
    return pd.DataFrame(rows)


def draw_samples(images: dict[str, np.ndarray], columns: int = 12) -> Figure:
    """The first samples (N, C, H, W) of each purifier's diffusion model, three lines of them each."""
    lines = {name: x[: 3 * columns].clip(0, 1) for name, x in images.items()}
    high = sum(-(-len(x) // columns) for x in lines.values())
    figure = plt.figure(figsize=(COLUMN, COLUMN / columns * high + 0.25 * len(lines)))
    parts = figure.subfigures(len(lines), 1, squeeze=False)[:, 0]
    for part, (name, x) in zip(parts, lines.items(), strict=True):
        axes = part.subplots(-(-len(x) // columns), columns, squeeze=False).ravel()
        for ax in axes:
            ax.axis("off")
        for ax, image in zip(axes, x, strict=False):
            grey = image.shape[0] == 1
            ax.imshow(image[0] if grey else image.transpose(1, 2, 0), cmap="gray" if grey else None, vmin=0, vmax=1)
        part.suptitle(name)
    return figure
