"""Judgings are the predictions under fresh draws, and nothing else."""

import numpy as np
import pytest
import torch
from jobs import checked, job

from purity.noise import Noise
from purity.purifiers import gaussian, identity
from purity.stages.fuzzy import judgings
from purity.stages.purify import purify_and_judge

HUNDRED = Noise(5, torch.arange(1000, 1100))


def judge(images, cnn, purify=None, xi=HUNDRED, rows=slice(None), r=4, batch=32):
    rows = torch.arange(100)[rows]
    given = {"job": job(batch), "classify": cnn, "purify": checked(purify or gaussian(0.3), "f")}
    return judgings(images.numpy()[rows.numpy()], xi.rows(rows), judgings=r, **given)["predictions"]


def test_a_judging_is_the_prediction_under_the_draw_of_its_number(images, cnn):
    """Counted from 1: draw 0 is the one that attackers may know."""
    predictions = judge(images, cnn)
    purify = gaussian(0.3)
    for k, row in enumerate(predictions):
        assert row.tolist() == cnn(purify(images, HUNDRED.at(k + 1))).argmax(dim=1).tolist()
    at_zero = cnn(purify(images, HUNDRED.at(0))).argmax(dim=1).tolist()
    assert all(row.tolist() != at_zero for row in predictions)


def test_judgings_are_those_of_the_fresh_draws_of_the_other_version(images, cnn):
    x = images.numpy()
    options = {"classify": cnn, "purify": gaussian(0.3), "fresh_draws": 4, "job": job(32)}
    wanted = purify_and_judge(x, x, HUNDRED, **options)["varying_logits"].argmax(axis=2)
    assert judge(images, cnn).tolist() == wanted.tolist()


@pytest.mark.parametrize("batch", [1, 7, 33, 1000])
def test_judgings_do_not_depend_on_the_batch(batch, images, cnn):
    assert np.array_equal(judge(images, cnn, batch=batch), judge(images, cnn, batch=100))


def test_judgings_do_not_depend_on_the_shard(images, cnn):
    parts = [judge(images, cnn, rows=rows) for rows in (slice(0, 13), slice(13, 80), slice(80, None))]
    assert np.array_equal(np.concatenate(parts, axis=1), judge(images, cnn))


def test_more_judgings_begin_with_the_same_ones(images, cnn):
    assert np.array_equal(judge(images, cnn, r=6)[:2], judge(images, cnn, r=2))


def test_a_deterministic_purifier_is_judged_alike_each_time_and_a_random_one_is_not(images, cnn):
    for purify in (identity(), lambda x, xi: 1 - x):
        rows = judge(images, cnn, purify)
        assert (rows == rows[0]).all()
        assert rows[0].tolist() == cnn(purify(images, HUNDRED)).argmax(dim=1).tolist()
    rows = judge(images, cnn)
    assert (rows != rows[0]).any(axis=1).tolist() == [False, True, True, True]


def test_of_a_judging_only_the_class_is_kept(images, cnn):
    found = judge(images, cnn, r=3)
    assert isinstance(found, np.ndarray) and found.shape == (3, 100) and found.dtype == np.int16


def test_a_purifier_that_returns_no_images_is_named(images, cnn):
    with pytest.raises(ValueError, match="purifier 'f' returned values"):
        judge(images, cnn, lambda x, xi: x + 1)
