"""The same gradient as other code takes it: time, memory, the largest batch in 8 GiB, error against float64.

    uv run python benchmarks/peers.py [--side 16] [--batch 2] [--steps 20] [--device cpu]

The CIFAR-10 DDPM architecture with random weights, an ancestral chain of so many evaluations (respaced from t = 100),
the same noise for all. Written again from what they publish, in a few lines each:
`whole graph`: a respaced chain differentiated as it stands (Lee and Kim 2023). `checkpoint`: torch.utils.checkpoint at
every step, as ADBM and ADDT do. `BPDA`: forward without a graph, the identity on the way back (DiffPure's; no gradient
of f). `ours, flat` keeps the graph of one evaluation, `ours` as many as fit the memory at hand. Times are ratios to the
whole graph, medians of rounds in turns; memory is the peak of a process of its own above what it held with the network
loaded; the largest batch is from the line through two batches' peaks. Error: from float64's gradient, over its norm.
"""

import argparse
import sys
from pathlib import Path

import torch
from attack import rounds
from gradient import peak
from torch.utils.checkpoint import checkpoint

sys.path.insert(0, str(Path(__file__).parents[1]))

from purity import unets
from purity.diffusion import samplers
from purity.diffusion.chain import chained
from purity.diffusion.denoiser import denoiser
from purity.diffusion.schedules import linear, strength
from purity.noise import Noise
from purity.run.job import prepare_torch

WAYS = ("whole graph", "checkpoint", "BPDA", "ours, flat", "ours")


def gradient(way: str, network, x, steps: int):
    """() ↦ ∇ₓ Σ w·f_ξ(x), w of both signs."""
    s, xi = strength(linear(), 100, steps), Noise(0, torch.arange(len(x)))
    abar, beta, sigma = (table.to(x) for table in (s.abar, s.beta, s.sigma_large))
    w = torch.linspace(-1, 1, x.numel(), dtype=x.dtype, device=x.device).view_as(x)
    index = [torch.tensor([k], device=x.device) for k in s.index]

    def theirs(z, t):
        """x_t → the mean of x_{t−1}, as in Ho et al. 2020, Algorithm 2."""
        eps = network(z, index[t])
        return (z - beta[t] / (1 - abar[t]).sqrt() * eps) / (1 - beta[t]).sqrt()

    def saved(z, t):
        return checkpoint(theirs, z, t, use_reentrant=False) if z.requires_grad else theirs(z, t)

    def loop(step):
        def f(z):
            z = abar[-1].sqrt() * z + (1 - abar[-1]).sqrt() * xi.forward(s.index[-1], like=z)
            for t in range(s.steps, 0, -1):
                z = step(z, t)
                if t > 1:
                    z = z + sigma[t] * xi.reverse(s.index[t], like=z)
            return z

        return f

    def ours(keep):
        step = chained(samplers.posterior(denoiser(network, s, "large", clip=False), s), s.steps, keep)

        def f(z):
            ((_, z),) = samplers.q_sample(z, s, xi)
            *_, (_, z) = samplers.ancestral(step, z, s, xi)
            return z

        return f

    f = {"whole graph": loop(theirs), "checkpoint": loop(saved), "BPDA": loop(theirs)}.get(way)
    f = f or ours(1 if way == "ours, flat" else None)

    def run():
        z = x.clone().requires_grad_()
        if way == "BPDA":
            with torch.no_grad():
                f(z)
            return w.clone()
        return torch.autograd.grad((w * f(z)).sum(), z)[0]

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=16, help="of the images in pixels (default 16)")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20, help="evaluations (default 20)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    a = parser.parse_args()
    prepare_torch(threads=1)
    network = unets.pesser().eval().requires_grad_(False).to(a.device)

    def images(batch):
        return torch.rand(batch, 3, a.side, a.side, generator=torch.Generator().manual_seed(0)).to(a.device) * 2 - 1

    def taken(way, batch):
        return peak(gradient(way, network, images(batch), a.steps), a.device)

    peaks = {way: (taken(way, a.batch), taken(way, 2 * a.batch)) for way in WAYS}
    x = images(a.batch)
    runs = {way: gradient(way, network, x, a.steps) for way in WAYS}
    print(f"{a.steps} evaluations of the CIFAR-10 DDPM network, side {a.side}, batch {a.batch}, {a.device}")
    seconds = rounds(runs, a.device, a.rounds)
    made = {way: run().double() for way, run in runs.items()}
    exact = gradient("whole graph", network.double(), x.double(), a.steps)()
    print(f"{'':12}{'time':>7}{'MiB':>9}{'batch in 8 GiB':>17}{'error':>10}{'cosine':>9}")
    for way in WAYS:
        small, large = peaks[way]
        each = (large - small) / a.batch
        most = int((8 * 1024 - small) / each + a.batch) if each > 0 else 0
        error = ((made[way] - exact).norm() / exact.norm()).item()
        cosine = torch.nn.functional.cosine_similarity(made[way].flatten(), exact.flatten(), dim=0).item()
        ratio = seconds[way] / seconds["whole graph"]
        print(f"{way:12}{ratio:>7.2f}{small:>9.0f}{most or '?':>17}{error:>10.1e}{cosine:>9.3f}", flush=True)


if __name__ == "__main__":
    main()
