"""The curve of a training."""

import numpy as np
import pandas as pd
import pytest
from drawings import data_axes

from purity.studies import drawing, training


@pytest.mark.parametrize("steps", [1, 60, 3000])
def test_a_loss_curve_of_any_length_can_be_drawn(steps):
    table = pd.DataFrame({"step": range(1, steps + 1), "loss": np.random.default_rng(0).random(steps) + 0.1})
    with drawing.style():
        (ax,) = data_axes(training.draw_loss(table))
    assert ax.get_xlabel() and ax.get_ylabel() == "loss"
