"""The fastest exact way to J_f: reverse or forward mode, the primal shared or not.

    uv run python benchmarks/jacobian.py [--chunk 64] [--steps 10] [--width 16] [--side 8] [--device cpu]

Seconds for the whole Jacobian of one image under DDPM purification by the embedded network with random weights,
medians of several rounds in turns, and what each keeps in memory at its peak (on a GPU). The ways are
those of purity/stages/jacobian.py, an experiment's `jacobian.mode`.
"""

import argparse
import sys
from pathlib import Path

import torch
from attack import rounds

sys.path.insert(0, str(Path(__file__).parents[1]))

from purity import purifiers
from purity.noise import Noise
from purity.run import checkpoints
from purity.run.job import prepare_torch
from purity.stages.jacobian import MODES, basis


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunk", type=int, default=64, help="directions at once (default 64)")
    parser.add_argument("--steps", type=int, default=10, help="network evaluations of a purification (default 10)")
    parser.add_argument("--width", type=int, default=16, help="of the network (default 16)")
    parser.add_argument("--side", type=int, default=8, help="of the image in pixels (default 8)")
    parser.add_argument("--device", default="cpu")
    a = parser.parse_args()
    prepare_torch(threads=1)
    unet = checkpoints.load("purity.networks:unet", {"channels": 1, "width": a.width, "embedding": 64}, None, a.device)
    with torch.no_grad():  # the last layer of an untrained network is zero
        unet.leave.weight.normal_(std=0.05, generator=torch.Generator(a.device).manual_seed(0))
    purify = purifiers.ddpm(unet, t=100, steps=a.steps, sigma="large", clip=True, forward="iterated", recompute=False)
    x = torch.rand(1, 1, a.side, a.side, generator=torch.Generator().manual_seed(0)).to(a.device)
    chunks = torch.arange(x.numel(), device=a.device).split(a.chunk)
    xi = Noise(0, torch.zeros(1, dtype=torch.int64))
    peaks: dict[str, float] = {}

    def measured(name, run):
        def call():
            if a.device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            run()
            if a.device == "cuda":
                peaks[name] = torch.cuda.max_memory_allocated() / 2**20

        return call

    def whole(mode):
        def run():
            linear = MODES[mode](lambda z: purify(z, xi.rows(torch.zeros(len(z), dtype=torch.int64))), x)
            for columns in chunks:
                linear(basis(columns, x))

        return run

    seconds = rounds({mode: measured(mode, whole(mode)) for mode in MODES}, a.device)
    print(f"J of one image on {a.device}: {x.numel()} dimensions, {a.chunk} directions at once,")
    print(f"{a.steps} evaluations of a network of width {a.width}")
    for name, s in seconds.items():
        memory = f"{peaks[name]:>10.0f} MiB" if peaks else ""
        print(f"{name:10}{s * 1e3:>10.1f} ms{s / seconds['rows']:>8.2f} of rows{memory}")


if __name__ == "__main__":
    main()
