"""The gallery."""

import warnings

import numpy as np
import pytest
from drawings import data_axes, texts

from purity.studies import drawing, gallery


@pytest.mark.parametrize(("channels", "n", "steps"), [(1, 6, 21), (3, 1, 2), (1, 20, 4)])
def test_a_gallery_shows_every_image_and_the_first_and_last_state(channels, n, steps):
    images = np.random.default_rng(0).random((n, channels, 8, 8))
    states = 3 * np.random.default_rng(1).random((steps, channels, 8, 8)) - 1  # noisy states leave [0, 1]
    with drawing.style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = gallery.draw_gallery({"clean": images, "ddpm": images / 2}, np.arange(steps) * 10, states, "ddpm")
        figure.draw_without_rendering()
    pictures = [image.get_array() for ax in data_axes(figure) for image in ax.images]
    assert len(pictures) == 2 * n + min(steps, 11)
    assert {"clean", "ddpm", "t = 0", f"t = {10 * (steps - 1)}"} <= texts(figure)
    limits = [image.get_clim() for ax in data_axes(figure) for image in ax.images if channels == 1]
    assert set(limits) <= {(0, 1)}  # one grey scale for all
