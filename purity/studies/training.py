"""How the training of a network went."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from purity.studies.drawing import COLUMN


def draw_loss(table: pd.DataFrame) -> Figure:
    """Training loss, with a running mean when it is noisy."""
    figure, ax = plt.subplots(figsize=(COLUMN, 2.0))
    every = max(1, len(table) // 100)
    if every > 1:
        ax.plot(table["step"], table["loss"], lw=0.3, color="0.75")
    ax.plot(table["step"], table["loss"].rolling(every, min_periods=1).mean(), lw=1.1)
    ax.set(xlabel="epoch" if every == 1 else "step", ylabel="loss", yscale="log")
    return figure
