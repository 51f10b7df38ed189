"""Faster arithmetic, what it gains and what it does to gradients.

    uv run python benchmarks/precision.py [--network digits] [--batch 100] [--steps 10] [--device cpu] [--ways bf16 …]

Full gradients of the cross-entropy through DDPM purification, random weights: float32 as the pipeline computes it, over
what `engine` of a network's preset offers (purity/run/engine.py; torch.compile takes minutes, TF32 needs a GPU). gain:
float32's time over the option's, medians of rounds in turns. cosine: mean over images between their gradients; flips:
share of pixels whose gradient changes sign, which is what a sign step sees. `float64` is what float32's own rounding
does. What comes of it for accuracy: harm.py.
"""

import argparse
import sys
from pathlib import Path

import torch
from attack import CNN, UNET, rounds
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))

from purity import purifiers, unets
from purity.defence import Defence
from purity.noise import Noise
from purity.run import checkpoints
from purity.run.engine import prepared
from purity.run.job import prepare_torch

ENGINES = {
    "float32": {},
    "bf16": {"precision": "bf16"},
    "channels_last": {"channels_last": True},
    "TF32": {"precision": "tf32"},
    "compile": {"compile": True},
    "graphs": {"compile": "graphs"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=["cifar10", "digits"], default="digits")
    parser.add_argument("--side", type=int, default=16, help="of cifar10's images (default 16)")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--steps", type=int, default=10, help="network evaluations of a purification (default 10)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ways", nargs="+", choices=ENGINES, default=["float32", "bf16", "channels_last"])
    a = parser.parse_args()
    prepare_torch(threads=1)
    cifar = a.network == "cifar10"
    shape = (3, a.side, a.side) if cifar else (1, 8, 8)

    def loaded(dtype=torch.float32):
        """(network, classifier), the same weights every time."""
        torch.manual_seed(0)
        network = unets.pesser().eval().requires_grad_(False) if cifar else checkpoints.load(*UNET, None, "cpu")
        if not cifar:
            with torch.no_grad():  # the last layer of an untrained network is zero
                network.leave.weight.normal_(std=0.05)
        classify = checkpoints.load(CNN[0], CNN[1] | {"channels": shape[0]}, None, "cpu")
        return network.to(a.device, dtype), classify.to(a.device, dtype)

    def gradient(engine: dict, dtype=torch.float32):
        network, classify = loaded(dtype)
        network = prepared(network, a.device, **engine)
        options = {"t": 100, "steps": a.steps, "sigma": "large", "clip": True, "forward": "iterated"}
        purify = purifiers.ddpm(network, **options)
        x = torch.rand(a.batch, *shape, generator=torch.Generator().manual_seed(0)).to(a.device, dtype)
        y = torch.arange(a.batch, device=a.device) % 10
        defence = Defence(classify, purify, Noise(0, torch.arange(a.batch)))

        def run():
            flag = engine.get("precision") == "tf32"
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = flag
            return defence.gradient(x, y)

        return run

    runs = {way: gradient(ENGINES[way]) for way in dict.fromkeys(["float32", *a.ways])}
    seconds = rounds(runs, a.device, a.rounds)
    exact = runs["float32"]()
    runs["float64"] = gradient({}, torch.float64)
    print(f"gradient through {a.steps} evaluations, {a.network}, {shape[1]} × {shape[2]}, batch {a.batch}, {a.device}")
    print(f"{'':15}{'gain':>6}{'cosine':>10}{'flips':>10}")
    for name, run in runs.items():
        g = run()
        cosine = F.cosine_similarity(g.flatten(1).double(), exact.flatten(1).double()).mean().item()
        flips = (g.sign() != exact.sign()).double().mean().item()
        gain = f"{seconds['float32'] / seconds[name]:.2f}" if name in seconds else ""
        print(f"{name:15}{gain:>6}{cosine:>10.5f}{100 * flips:>8.2f} %", flush=True)


if __name__ == "__main__":
    main()
