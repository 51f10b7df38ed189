"""The fastest exact way to J_f: a copy of the image for each row, forward mode, or rows that share one evaluation of f.

    uv run python benchmarks/jacobian.py [--network cifar10] [--side 16] [--steps 2] [--chunk 16]

Seconds for some directions of one image's Jacobian under DDPM purification, medians of rounds in turns; random weights
of the CIFAR-10 DDPM architecture or of the embedded network (--network digits). `shared` (purity/diffusion/jacobian.py)
keeps the graph of one evaluation, `shared, all kept` that of the whole chain; the others are of
purity/stages/jacobian.py. Memory is the peak of a process of its own above what it held with the network loaded.
Directions that share take less of it: --chunk-shared is how many go together then.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import torch
from attack import rounds
from gradient import checkpointed, peak

sys.path.insert(0, str(Path(__file__).parents[1]))

from purity import unets
from purity.diffusion import samplers
from purity.diffusion.chain import chained
from purity.diffusion.denoiser import denoiser
from purity.diffusion.jacobian import pullback
from purity.diffusion.schedules import linear, strength
from purity.noise import Noise
from purity.run import checkpoints
from purity.run.job import prepare_torch
from purity.stages import jacobian

# name: how a step is evaluated, and the linear map
WAYS = {
    "rows": (checkpointed, jacobian.repeated),
    "forward": (lambda step: step, jacobian.pushforward),
    "shared": (partial(chained, keep=1), pullback),
    "shared, all kept": (lambda step: step, pullback),
}


def network_of(name: str):
    if name == "cifar10":
        return unets.pesser().eval().requires_grad_(False)
    unet = checkpoints.load("purity.networks:unet", {"channels": 1, "width": 16, "embedding": 64}, None, "cpu")
    with torch.no_grad():  # the last layer of an untrained network is zero
        unet.leave.weight.normal_(std=0.05, generator=torch.Generator().manual_seed(0))
    return unet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=["cifar10", "digits"], default="cifar10")
    parser.add_argument("--side", type=int, default=16, help="of the image in pixels (default 16)")
    parser.add_argument("--steps", type=int, default=2, help="network evaluations of a purification (default 2)")
    parser.add_argument("--directions", type=int, default=64, help="that are taken in all (default 64)")
    parser.add_argument("--chunk", type=int, default=16, help="directions at once (default 16)")
    parser.add_argument("--chunk-shared", type=int, default=64, help="the same where they share (default 64)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--device", default="cpu")
    a = parser.parse_args()
    prepare_torch(threads=1)
    network, s = network_of(a.network).to(a.device), strength(linear(), 100, a.steps)
    channels = 3 if a.network == "cifar10" else 1
    x = torch.rand(1, channels, a.side, a.side, generator=torch.Generator().manual_seed(0)).to(a.device)
    e = torch.eye(x.numel(), device=a.device)[: a.directions].view(-1, *x.shape[1:])

    def products(way: str):
        through, mode = WAYS[way]
        posterior = samplers.posterior(denoiser(network, s, "large", clip=True), s)
        step = through(posterior, n=s.steps) if way == "shared" else through(posterior)

        def f(z):
            *_, (_, out) = samplers.ancestral(step, z, s, Noise(0, torch.zeros(len(z), dtype=torch.int64)))
            return out

        def run():
            linear_map = mode(f, x)
            chunk = a.chunk_shared if way.startswith("shared") else a.chunk
            return torch.cat([linear_map(part) for part in e.split(chunk)])

        return run

    peaks = {way: peak(products(way), a.device) for way in a.ways}
    runs = {way: products(way) for way in a.ways}
    print(f"{len(e)} of {x.numel()} directions, {a.steps} evaluations of {a.network}'s network")
    print(f"{a.chunk} directions at once, {a.chunk_shared} where they share")
    exact = runs[a.ways[0]]()
    error = {way: (run() - exact).abs().max().item() for way, run in runs.items() if way != "forward"}
    seconds = rounds(runs, a.device, a.rounds)
    for way, took in seconds.items():
        off = f"   apart by {error[way]:.1e}" if way in error else ""
        each, faster = took * 1e3 / len(e), seconds[a.ways[0]] / took
        print(f"{way:18}{each:>9.1f} ms each{faster:>7.2f} × as fast{peaks[way]:>8.0f} MiB{off}", flush=True)


if __name__ == "__main__":
    main()
