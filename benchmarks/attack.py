"""What an attack costs beside the network evaluations it cannot do without, and what batching saves.

    uv run python benchmarks/attack.py [--batch 100] [--steps 10] [--device cpu] [--system-malloc]

All are ratios of times measured in turns within this one run, medians of several rounds; the embedded networks with
random weights. `overhead` is one PGD step on DDPM purification over its bare evaluations (forward and backward) at the
same batch: noise and the update are the rest, and with `recomputing`, where there is room for no graph but the last
one's, evaluations that are repeated. `batch 1` is the papers' protocol. `EOT` averages five draws, shown one after the
other or all in one batch.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from unittest.mock import patch

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from purity import attacks, purifiers
from purity.batching import best_batch
from purity.defence import Defence
from purity.noise import Noise
from purity.run import checkpoints
from purity.run.job import prepare_torch

UNET = ("purity.networks:unet", {"channels": 1, "width": 16, "embedding": 64})
CNN = ("purity.networks:cnn", {"channels": 1, "classes": 10, "width": 32, "features": 32})


def timed(run: Callable[[], object], device: str) -> float:
    """Seconds; on a CPU those of this process, of one thread, so that what else runs on the machine counts less."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    started = clock()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def rounds(runs: dict[str, Callable[[], object]], device: str, n: int = 7) -> dict[str, float]:
    """Median seconds of each, measured in turns after one warm-up round."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(n + 1):
        for name, run in runs.items():
            seconds = timed(run, device)
            if i > 0:
                times[name].append(seconds)
    return {name: median(took) for name, took in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=100, help="images at once (default 100)")
    parser.add_argument("--steps", type=int, default=10, help="network evaluations of a purification (default 10)")
    parser.add_argument(
        "--find", type=int, metavar="LIMIT", help="find the best batch of at most so many, nothing else"
    )
    parser.add_argument("--rounds", type=int, default=7, help="of times (default 7)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--system-malloc", action="store_true", help="leave malloc as it is, unlike the pipeline")
    a = parser.parse_args()
    if not a.system_malloc:
        prepare_torch(threads=1)  # as a job of the pipeline
    torch.set_num_threads(1)
    unet, cnn = checkpoints.load(*UNET, None, a.device), checkpoints.load(*CNN, None, a.device)
    options = {"t": 100, "steps": a.steps, "sigma": "large", "clip": True, "forward": "iterated"}
    index = torch.tensor([50], device=a.device)

    def images(batch):
        x = torch.rand(batch, 1, 8, 8, generator=torch.Generator().manual_seed(0)).to(a.device)
        return x, torch.zeros(batch, dtype=torch.int64, device=a.device)

    def attack(batch, recompute=False, draws=1, max_batch=0):
        x, y = images(batch)
        purify = purifiers.ddpm(unet, **options, recompute=recompute)
        defence = Defence(cnn, purify, Noise(0, torch.arange(batch)), "none", max_batch=max_batch)

        def run():
            with patch("purity.diffusion.memory.at_hand", return_value=0):  # room for no graph but the last
                attacks.pgd(defence, x, y, defence.xi, epsilon=0.15, steps=1, relative_step=1 / 30, draws=draws)

        return run

    def bare(batch):
        x, _ = images(batch)

        def run():
            for network in [lambda z: unet(2 * z - 1, index)] * a.steps + [cnn]:
                z = x.clone().requires_grad_()
                torch.autograd.grad(network(z).sum(), z)

        return run

    if a.find:
        found = best_batch(
            lambda batch: timed(attack(batch), a.device),
            a.find,
            clock=time.perf_counter if a.device == "cuda" else time.process_time,
        )
        print(f"best batch of at most {a.find}, an attack step of {a.steps} evaluations, {a.device}: {found}")
        return
    runs = {
        "bare": bare(a.batch),
        "attack": attack(a.batch),
        "recomputing": attack(a.batch, recompute=True),
        "single": attack(1),
        "EOT": attack(a.batch, draws=5),
        "EOT, together": attack(a.batch, draws=5, max_batch=5 * a.batch),
    }
    s = rounds(runs, a.device, a.rounds)
    print(f"PGD step on ddpm, {a.steps} evaluations, {a.device}, {torch.get_num_threads()} thread")
    print(f"{'':42}{'ms an image':>12}")
    print(f"bare evaluations, batch {a.batch:<18}{s['bare'] / a.batch * 1e3:>12.3f}")
    print(f"attack step, batch {a.batch:<23}{s['attack'] / a.batch * 1e3:>12.3f}")
    print(f"attack step, recomputing, batch {a.batch:<10}{s['recomputing'] / a.batch * 1e3:>12.3f}")
    print(f"attack step, batch 1 (papers' protocol)   {s['single'] * 1e3:>12.3f}")
    print(f"overhead: attack / bare                    {s['attack'] / s['bare']:>11.2f}")
    print(f"overhead: recomputing / bare               {s['recomputing'] / s['bare']:>11.2f}")
    print(f"batch 1 / batch {a.batch}, an image           {s['single'] / (s['attack'] / a.batch):>14.1f}")
    print(f"EOT of 5 draws, one by one / together      {s['EOT'] / s['EOT, together']:>11.2f}")


if __name__ == "__main__":
    main()
