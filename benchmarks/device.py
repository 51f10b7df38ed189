"""The gradient engine on an accelerator, in ten minutes: its rate against the device's, its memory, what options gain.
Each with its harm.

    uv run python benchmarks/device.py [--minutes 10] [--device cuda] [--network cifar10] [--side 32]

The CIFAR-10 DDPM architecture with random weights. Tables, each printed as soon as it is there; what there is no time
left for is left out, and said so:
`ceiling`: images a second of a matrix product, of a plain forward and backward at its best batch, and of an attack step
through a chain of evaluations, as a share of the second. `batch`: batch 1 (the papers' protocol) against the best.
`memory`: peak of one gradient at t = 100 and 300. `noise`: of an evaluation. `precision`: gain of TF32, bf16,
channels_last, torch.compile and CUDA graphs, cosine of gradients and share of sign flips. `paper`: PGD of 1,000 images,
40 steps, t = 100, from a tenth of it measured or less, as said. With --device cpu and small numbers it runs anywhere.
"""

import argparse
import copy
import sys
import time
from pathlib import Path
from statistics import median

import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))

from purity import attacks, batching, purifiers, unets
from purity.defence import Defence
from purity.diffusion import memory
from purity.noise import Noise
from purity.run import checkpoints
from purity.run.engine import prepared
from purity.run.job import prepare_torch

CNN = ("purity.networks:cnn", {"channels": 3, "classes": 10, "width": 32, "features": 32})
ENGINES = {
    "TF32": {"precision": "tf32"},
    "bf16": {"precision": "bf16"},
    "channels_last": {"channels_last": True},
    "TF32, channels_last": {"precision": "tf32", "channels_last": True},
    "compile": {"compile": True},
    "graphs": {"compile": "graphs"},
    "bf16, compile": {"precision": "bf16", "compile": True},
}


class Bench:
    """The network, the clock, and what is asked of both."""

    def __init__(self, device: str, side: int, network: str):
        self.device, self.shape = device, (3, side, side)
        torch.manual_seed(0)
        options = {} if network == "cifar10" else {"ch": 32, "num_res_blocks": 1, "ch_mult": (1, 2)}
        self.network = unets.pesser(**options).eval().requires_grad_(False)
        for parameter in list(self.network.parameters())[-2:]:  # that of the last layer may be zero
            torch.nn.init.normal_(parameter, std=0.02)
        self.network.to(device)
        self.classify = checkpoints.load(*CNN, None, device)
        self.index = torch.tensor([50], device=device)
        torch.cuda.init() if device == "cuda" else None

    def seconds(self, run, repeats: int = 3) -> float:
        """Median, after one that is not counted."""
        run()
        times = []
        for _ in range(repeats):
            self.wait()
            started = time.perf_counter()
            run()
            self.wait()
            times.append(time.perf_counter() - started)
        return median(times)

    def wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def images(self, batch: int) -> torch.Tensor:
        return torch.rand(batch, *self.shape, generator=torch.Generator().manual_seed(0)).to(self.device)

    def plain(self, network, batch: int):
        """A forward and a backward pass, the bare work."""
        x = self.images(batch)

        def run():
            z = x.clone().requires_grad_()
            return torch.autograd.grad(network(z, self.index).sum(), z)[0]

        return run

    def defence(self, network, batch: int, t: int, steps: int) -> Defence:
        purify = purifiers.ddpm(network, t=t, steps=steps, sigma="large", clip=True, forward="one-step")
        return Defence(self.classify, purify, Noise(0, torch.arange(batch)), "all", max_batch=batch)

    def step(self, network, batch: int, steps: int):
        """One gradient of an attack, of `steps` evaluations."""
        x, y = self.images(batch), torch.zeros(batch, dtype=torch.int64, device=self.device)
        defence = self.defence(network, batch, 100, steps)
        return lambda: defence.gradient(x, y)


def ceiling(bench: Bench, batch: int, steps: int) -> None:
    n = 4096 if bench.device == "cuda" else 512
    a = torch.randn(n, n, device=bench.device)
    flops = 2 * n**3 / bench.seconds(lambda: a @ a)
    print(f"matrix product, float32, {n} × {n}: {flops / 1e12:.2f} TFLOP/s")
    plain = batch / bench.seconds(bench.plain(bench.network, batch))
    print(f"plain forward and backward, batch {batch}: {plain:,.0f} images/s")
    chain = steps * batch / bench.seconds(bench.step(bench.network, batch, steps), 1)
    print(f"attack's gradient, {steps} evaluations: {chain:,.0f} evaluations/s = {chain / plain:.2f} of that")


def single(bench: Bench, batch: int, steps: int) -> None:
    one, best = (bench.seconds(bench.step(bench.network, b, steps), 1) / b for b in (1, batch))
    print(f"an image at batch 1 / at batch {batch}: {one / best:.1f}")


def peaks(bench: Bench, batch: int, ts: list[int]) -> None:
    if bench.device != "cuda":
        print("peaks are of a GPU; on a CPU: benchmarks/gradient.py --memory")
        return
    room, memory.at_hand = memory.at_hand, lambda device: 0  # one graph alone
    for t in ts:
        x, y = bench.images(batch), torch.zeros(batch, dtype=torch.int64, device=bench.device)
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        bench.defence(bench.network, batch, t, t).gradient(x, y)
        print(f"t = {t}, batch {batch}: {(torch.cuda.max_memory_allocated() - held) / 2**20:,.0f} MiB", flush=True)
    memory.at_hand = room


def noise(bench: Bench, batch: int) -> None:
    x, xi = bench.images(batch), Noise(0, torch.arange(batch))

    def forward():
        with torch.no_grad():
            bench.network(x, bench.index)

    share = bench.seconds(lambda: xi.reverse(50, like=x)) / bench.seconds(forward)
    print(f"a step's noise / its evaluation without gradient, batch {batch}: {100 * share:.2f} %")


def precision(bench: Bench, batch: int, steps: int, names: list[str], share_left) -> None:
    exact, base = bench.step(bench.network, batch, steps)(), bench.seconds(bench.step(bench.network, batch, steps), 1)
    print(f"{'':22}{'gain':>6}{'cosine':>10}{'flips':>10}   gradient of {steps} evaluations, batch {batch}")
    for name in names:
        engine = ENGINES[name]
        enough = share_left() > (0.3 if "compile" in engine else 0.1)  # compilers take minutes
        if not enough or ("tf32" in engine.values() and bench.device == "cpu"):
            print(f"{name:22}left out")
            continue
        try:
            run = bench.step(prepared(copy.deepcopy(bench.network), bench.device, **engine), batch, steps)
            g, seconds = run(), bench.seconds(run, 1)
            cosine = F.cosine_similarity(g.flatten(1).double(), exact.flatten(1).double()).mean().item()
            flips = 100 * (g.sign() != exact.sign()).double().mean().item()
            print(f"{name:22}{base / seconds:>6.2f}{cosine:>10.5f}{flips:>8.2f} %", flush=True)
        except Exception as error:  # of compilers; what one option lacks should not cost the other tables
            print(f"{name:22}fails: {type(error).__name__}: {str(error).splitlines()[0][:80]}")
        finally:
            prepare_torch(threads=torch.get_num_threads())  # puts flags of torch back


def paper(bench: Bench, batch: int, t: int, most: float) -> None:
    """PGD's steps until the time is over, at full t."""
    x, y = bench.images(batch), torch.zeros(batch, dtype=torch.int64, device=bench.device)
    defence, started, done = bench.defence(bench.network, batch, t, t), time.perf_counter(), 0
    options = {"epsilon": 8 / 255, "relative_step": 0.1}
    while done == 0 or (time.perf_counter() - started < most and done * batch < 4000):
        attacks.pgd(defence, x, y, defence.xi, steps=1, **options)
        bench.wait()
        done += 1
    each = (time.perf_counter() - started) / (done * batch)
    share = done * batch / 40_000
    print(f"PGD, 1,000 images × 40 steps × t = {t}: {40_000 * each / 60:,.1f} min, from {100 * share:.1f} % of it")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--network", choices=["cifar10", "tiny"], default="cifar10")
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20, help="evaluations of a gradient that is timed (default 20)")
    parser.add_argument("--t", type=int, nargs="+", default=[100, 300], help="strengths, for memory")
    parser.add_argument("--batch", type=int, help="instead of the best one")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    a = parser.parse_args()
    started = time.perf_counter()
    prepare_torch(threads=torch.get_num_threads() if a.device == "cuda" else 1)
    bench = Bench(a.device, a.side, a.network)

    def left() -> float:
        return 60 * a.minutes - (time.perf_counter() - started)

    named = torch.cuda.get_device_name() if a.device == "cuda" else f"CPU, {torch.get_num_threads()} thread"
    print(f"{named}, torch {torch.__version__}; {a.network} network, side {a.side}")

    def f(z):
        return bench.network(z, bench.index)

    batch = a.batch or batching.found(f, bench.images(1), gradient=True, times=100)
    print(f"best batch of a gradient: {batch}", flush=True)
    tables = {
        "ceiling": lambda: ceiling(bench, batch, a.steps),
        "batch": lambda: single(bench, batch, a.steps),
        "memory": lambda: peaks(bench, batch, a.t),
        "noise": lambda: noise(bench, batch),
        "paper": lambda: paper(bench, batch, a.t[0], 0.3 * left()),
        "precision": lambda: precision(bench, batch, a.steps, a.engines, lambda: left() / 60 / a.minutes),
    }
    for name, table in tables.items():
        print(f"\n{name}" + ("" if left() > 0 else ": no time left"), flush=True)
        if left() > 0:
            table()


if __name__ == "__main__":
    main()
