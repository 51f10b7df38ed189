"""Distances of samples where they are known."""

import numpy as np
import pytest
from made_up import record

from purity import metrics
from purity.studies import samples as study


def test_distances_are_of_each_set_to_the_images_and_of_pairs_of_sets():
    rng = np.random.default_rng(0)
    images, sets = rng.normal(size=(30, 3)), rng.normal(size=(2, 2, 30, 3)) + 1
    made = study.samples([record(seed=s, features=sets[s], features_images=images) for s in (0, 1)])
    to, between = (made[made["frechet"] == kind].iloc[0] for kind in ("to-images", "between-samples"))
    flat = sets.reshape(4, 30, 3)
    assert to["mean"] == pytest.approx(np.mean([metrics.frechet(f, images) for f in flat]))
    assert between["mean"] == pytest.approx(np.mean([metrics.frechet(*flat[:2]), metrics.frechet(*flat[2:])]))
    assert (to["n"], between["n"], to["samples"]) == (4, 2, 30)


def test_samples_of_the_images_own_distribution_are_as_far_as_from_each_other():
    """Features are drawn alike: both distances are those of chance. A shift of 1 in each of 3 axes adds 3."""
    rng = np.random.default_rng(1)
    images, sets = rng.normal(size=(400, 3)), rng.normal(size=(20, 400, 3))
    alike = study.samples([record(seed=0, features=sets, features_images=images)]).set_index("frechet")["mean"]
    apart = study.samples([record(seed=0, features=sets + 1, features_images=images)]).set_index("frechet")["mean"]
    assert alike["to-images"] < 0.05 and alike["between-samples"] < 0.05
    assert apart["to-images"] == pytest.approx(3, rel=0.15)


def test_without_features_there_is_no_row():
    assert study.samples([record(seed=0, x=np.zeros((2, 3, 1, 4, 4)))]).empty


@pytest.mark.parametrize("shape", [(40, 1, 8, 8), (5, 3, 8, 8)])
def test_the_figure_shows_the_first_samples(shape):
    x = np.random.default_rng(0).random(shape)
    figure = study.draw_samples({"ddpm": x, "ddim": x})
    shown = [image for part in figure.subfigs for ax in part.axes for image in ax.get_images()]
    assert len(shown) == 2 * min(36, len(x))
    assert np.array_equal(shown[0].get_array(), x[0, 0] if shape[1] == 1 else x[0].transpose(1, 2, 0))
