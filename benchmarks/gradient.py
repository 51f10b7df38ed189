"""What a full gradient through a chain of evaluations costs: the graph kept, repeated in part or at every step.

    uv run python benchmarks/gradient.py [--side 16] [--batch 4] [--steps 10] [--memory 10 30 100 300] [--device cpu]

The CIFAR-10 DDPM architecture with random weights. Times are ratios to plain autograd, which keeps the whole graph,
medians of rounds in turns within this one run: `last k` keep the graph of the k evaluations nearest to the result
(purity.diffusion.chain), `checkpoint` is torch's own at every step. Memory is the most that a process of its own held
for one gradient, above what it held with the network loaded, at so many evaluations where one graph is kept.
"""

import argparse
import multiprocessing
import sys
from functools import partial
from pathlib import Path

import torch
from attack import rounds
from torch.utils.checkpoint import checkpoint

sys.path.insert(0, str(Path(__file__).parents[1]))

from purity import unets
from purity.diffusion import samplers
from purity.diffusion.chain import chained, graph
from purity.diffusion.denoiser import denoiser
from purity.diffusion.schedules import linear, strength
from purity.noise import Noise
from purity.run.job import prepare_torch


def checkpointed(step):
    return lambda x, t: checkpoint(step, x, t, use_reentrant=False, preserve_rng_state=False)


def gradient(network, x, steps: int, through):
    """∇ₓ Σ f_ξ(x) of an ancestral chain; through(step) is the step as it is evaluated."""
    s = strength(linear(), max(steps, 100), steps)
    step = through(samplers.posterior(denoiser(network, s, "large", clip=False), s))
    xi = Noise(0, torch.arange(len(x)))

    def run():
        z = x.clone().requires_grad_()
        *_, (_, out) = samplers.ancestral(step, z, s, xi)
        return torch.autograd.grad(out.sum(), z)[0]

    return run


def ways(steps: int) -> dict:
    """name: step ↦ how it is evaluated."""
    kept = sorted({1, max(1, steps // 2), steps})
    return {
        "all": lambda step: step,
        **{f"last {k}": partial(chained, n=steps, keep=k) for k in kept},
        "checkpoint": checkpointed,
    }


def peak(run, device: str) -> float:
    """MiB that run() takes at its peak, above what is held now. On a CPU (Linux) in a child of its own: call it before
    anything has run here, or memory that was freed and kept is not seen."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - before) / 2**20

    def child(pipe) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak until now
        before = resident("VmRSS")
        run()
        pipe.send(resident("VmHWM") - before)

    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=child, args=(there,))
    process.start()
    there.close()
    mib = here.recv()
    process.join()
    return mib


def resident(key: str) -> float:
    """MiB of this process, now (VmRSS) or at its peak (VmHWM)."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=16, help="of the images in pixels (default 16)")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=10, help="evaluations that are timed (default 10)")
    parser.add_argument("--memory", type=int, nargs="*", default=[10, 30, 100, 300], help="evaluations, memory only")
    parser.add_argument("--rounds", type=int, default=5, help="of times (default 5); 0: memory only")
    parser.add_argument("--ways", nargs="+", help="to be timed, in the words of the table; all unless given")
    parser.add_argument("--device", default="cpu")
    a = parser.parse_args()
    prepare_torch(threads=1)
    network = unets.pesser().eval().requires_grad_(False).to(a.device)
    x = torch.rand(a.batch, 3, a.side, a.side, generator=torch.Generator().manual_seed(0)).to(a.device)
    print(f"CIFAR-10 DDPM network, side {a.side}, batch {a.batch}, {a.device}")
    first = None
    wanted = [(way, n) for way in ("last 1", "checkpoint") if not a.ways or way in a.ways for n in a.memory]
    for way, steps in wanted:
        mib = peak(gradient(network, x, steps, ways(steps)[way]), a.device)
        first = mib if first is None else first
        print(f"{way:12}{steps:>5} evaluations{mib:>10.0f} MiB{mib / first:>8.2f} of the first", flush=True)
    size, _ = graph(lambda z: network(z, torch.zeros(1, dtype=torch.long, device=a.device)), x)
    print(f"graph of one evaluation {size / 2**20:.1f} MiB, a state {x.numel() * 4 / 2**20:.3f} MiB")
    if not a.rounds:
        return
    print(f"time of {a.steps} evaluations")
    asked = a.ways or list(ways(a.steps))
    runs = {way: gradient(network, x, a.steps, ways(a.steps)[way]) for way in dict.fromkeys(["all", *asked])}
    seconds = rounds(runs, a.device, a.rounds)
    exact = runs["all"]()
    for name, s in seconds.items():
        same = "same bits" if torch.equal(runs[name](), exact) else "other bits"
        print(f"{name:12}{s:>8.2f} s{s / seconds['all']:>8.2f} of all   {same}")


if __name__ == "__main__":
    main()
