"""The gallery."""

import warnings

import numpy as np
import pytest
from drawings import data_axes, texts

from purity.studies import drawing, gallery
from purity.studies.records import Shown


def drawn(channels, n, steps, wrong=()):
    images, labels = np.random.default_rng(0).random((n, channels, 8, 8)), np.arange(n) % 10
    states = 3 * np.random.default_rng(1).random((steps, channels, 8, 8)) - 1  # noisy states leave [0, 1]
    taken_for = np.where(np.isin(np.arange(n), wrong), labels + 1, labels)
    rows = {"clean": Shown(images, labels), "ddpm": Shown(images / 2, taken_for)}
    way = Shown(states, np.zeros(steps, int))
    with drawing.style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = gallery.draw_gallery(rows, labels, np.arange(steps) * 10, way, "ddpm")
        figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize(("channels", "n", "steps"), [(1, 6, 21), (3, 1, 2), (1, 20, 4)])
def test_a_gallery_shows_every_image_and_the_first_and_last_state(channels, n, steps):
    figure = drawn(channels, n, steps)
    pictures = [image.get_array() for ax in data_axes(figure) for image in ax.images]
    assert len(pictures) == 2 * n + min(steps, gallery.ACROSS)
    assert {"clean", "ddpm", "t=0", f"{10 * (steps - 1)}"} <= texts(figure)
    limits = [image.get_clim() for ax in data_axes(figure) for image in ax.images if channels == 1]
    assert set(limits) <= {(0, 1)}  # one grey scale for all


def test_under_each_image_is_what_it_is_taken_for_and_whether_that_is_right():
    figure = drawn(1, 12, 3, wrong=[2, 11])
    said = [ax.get_xlabel() for ax in data_axes(figure)]
    clean = [f"{k % 10} ✓" for k in range(12)]
    ddpm = [f"{k % 10 + 1} ✗" if k in (2, 11) else f"{k % 10} ✓" for k in range(12)]
    # nine images in a line, clean ones above; below the way of the first image
    assert said == [*clean[:9], *ddpm[:9], *clean[9:], *ddpm[9:], "0 ✓", "0 ✓", "0 ✓"]
