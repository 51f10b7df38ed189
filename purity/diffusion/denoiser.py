"""What a network says at step t: x̂₀, ε and σ_t. The named options of a diffusion purifier live here."""

from collections.abc import Callable

import torch
from torch import Tensor

from purity.diffusion.samplers import Denoise, Estimate
from purity.diffusion.schedules import Schedule
from purity.run.rules import broken

Network = Callable[[Tensor, Tensor], Tensor]
Sigma = Callable[[Tensor, int], Tensor]


def _small(s: Schedule) -> Sigma:
    table = s.sigma_small
    return lambda v, t: table[t]


def _large(s: Schedule) -> Sigma:
    table = s.sigma_large
    return lambda v, t: table[t]


def _learned(s: Schedule) -> Sigma:
    """log σ² = w log β + (1−w) log β̃, w = (v+1)/2 (Nichol & Dhariwal 2021, eq. 15); β̃_1 takes β̃_2's place."""
    log_beta, log_posterior = s.beta.log(), s.posterior_variance.log()
    log_posterior[1] = log_posterior[2] if s.steps > 1 else log_beta[1]

    def sigma(v: Tensor, t: int) -> Tensor:
        w = (v + 1) / 2
        return (0.5 * (w * log_beta[t] + (1 - w) * log_posterior[t])).exp()

    return sigma


SIGMAS = {"small": _small, "large": _large, "learned": _learned}


def denoiser(network: Network, s: Schedule, sigma: str, clip: bool, keep_eps: bool = False) -> Denoise:
    """`denoise(x, t)` of a network that predicts ε, (B, C, H, W) in [-1, 1] → Estimate.

    network(x, index): index (1,) int64 → ε (B, C, H, W), or (B, 2C, H, W) with the variance fraction v behind it.
    sigma: small, large or learned. clip: x̂₀ to [-1, 1]; zeroes the gradient outside.
    keep_eps: with clipping, keep the network's ε (diffusers' DDIM); else derive it from the clipped x̂₀ (guided
    diffusion's).
    """
    sigma_at = SIGMAS[sigma](s)

    def denoise(x: Tensor, t: int) -> Estimate:
        out = network(x, torch.tensor([s.index[t]], device=x.device))
        _check_channels(out, x, sigma)
        eps, v = out[:, : x.shape[1]], out[:, x.shape[1] :]
        x0 = (x - (1 - s.abar[t]).sqrt() * eps) / s.abar[t].sqrt()
        if clip:
            x0 = x0.clamp(-1, 1)
            if not keep_eps:
                eps = (x - s.abar[t].sqrt() * x0) / (1 - s.abar[t]).sqrt()
        return Estimate(x0, eps, sigma_at(v, t))

    return denoise


def _check_channels(out: Tensor, x: Tensor, sigma: str) -> None:
    """ValueError unless the network gave ε of x, and v behind it where σ is learned."""
    channels, given = x.shape[1], out.shape[1]
    if given not in (channels, 2 * channels):
        raise broken(f"the diffusion network gives {given} channels for images of {channels}", "denoiser")
    if sigma == "learned" and given == channels:
        said = f"sigma: learned needs a network that gives {2 * channels} channels, this one gives {given}"
        raise broken(f"{said}: it has learned no variance; take small or large", "denoiser")
