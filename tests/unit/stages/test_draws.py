"""Draws in one batch are the draws one by one."""

import pytest
import torch

from purity.defence import FIXED, KNOWLEDGE
from purity.noise import Noise
from purity.purifiers import gaussian
from purity.stages.draws import purified

XI, DRAWS = Noise(2, torch.arange(5) + 9), range(1, 8)


def shifts(x, xi):
    """By forward and by reverse noise, so that both are seen."""
    return x + xi.forward(0, like=x) + 10 * xi.reverse(0, like=x)


@pytest.mark.parametrize("knowledge", KNOWLEDGE)
@pytest.mark.parametrize("room", [1, 5, 12, 34, 35, 1000])
def test_each_draw_is_the_one_of_its_number(images, room, knowledge):
    """Noise is bit-equal at any batch size, and so are sums of it."""
    x = images[:5]
    found = list(purified(x, XI, DRAWS, shifts, room, knowledge))
    assert len(found) == len(DRAWS)
    for f, draw in zip(found, DRAWS, strict=True):
        assert torch.equal(f, shifts(x, XI.at(*KNOWLEDGE[knowledge](draw))))
        assert torch.equal(f, shifts(x, XI.at(FIXED))) == (knowledge == "all")


def test_no_more_go_through_at_once_than_there_is_room_for(images):
    sizes = []

    def watched(x, xi):
        sizes.append(len(x))
        return gaussian(0.1)(x, xi)

    list(purified(images[:5], XI, DRAWS, watched, 16))
    assert sizes == [15, 15, 5]
