"""A network with other channels than its images, or none for the variance that it is asked for, is refused."""

import pytest
import torch

from purity import purifiers
from purity.noise import Noise


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("make", [purifiers.ddpm, purifiers.reverse])
def test_learned_variance_needs_channels_for_it(make, channels):
    """One channel by itself would be spread over none without a word."""
    options = {"t": 5, "steps": 2, "clip": True, "recompute": False}
    if make is purifiers.ddpm:
        options["forward"] = "iterated"
    x, xi = torch.rand(2, channels, 4, 4), Noise(0, torch.arange(2))
    narrow, wide = (lambda z, index: z), (lambda z, index: torch.cat([z, 0 * z], dim=1))
    with pytest.raises(ValueError, match=f"sigma: learned needs .* {2 * channels} channels.*#denoiser"):
        make(narrow, **options, sigma="learned")(x, xi)
    assert make(wide, **options, sigma="learned")(x, xi).shape == x.shape
    for network in (narrow, wide):
        assert make(network, **options, sigma="large")(x, xi).shape == x.shape


@pytest.mark.parametrize(("given", "images"), [(1, 3), (3, 1), (4, 3), (5, 3)])
def test_other_channels_than_the_images_are_refused(given, images):
    network = lambda z, index: z.new_zeros(len(z), given, *z.shape[2:])  # noqa: E731
    f = purifiers.one_step(network, t=5, clip=True)
    with pytest.raises(ValueError, match=f"gives {given} channels for images of {images}.*#denoiser"):
        f(torch.rand(2, images, 4, 4), Noise(0, torch.arange(2)))
