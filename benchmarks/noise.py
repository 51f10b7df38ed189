"""What ξ costs beside the network: one step's noise over one evaluation without and with its gradient.

    uv run python benchmarks/noise.py [--device cpu]

Addressed noise (purity/noise.py) and torch's own generator, for comparison; medians of rounds in turns within this run.
"""

import argparse
import sys
from pathlib import Path

import torch
from attack import UNET, rounds

sys.path.insert(0, str(Path(__file__).parents[1]))

from purity import unets
from purity.noise import Noise
from purity.run import checkpoints
from purity.run.job import prepare_torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cifar10", type=int, nargs="*", default=[4], help="batches of 32 × 32 images (default 4)")
    parser.add_argument("--digits", type=int, nargs="*", default=[1, 100, 500], help="batches of digits")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    a = parser.parse_args()
    prepare_torch(threads=1)
    networks = {
        "cifar10": (unets.pesser().eval().requires_grad_(False).to(a.device), (3, 32, 32), a.cifar10),
        "digits": (checkpoints.load(*UNET, None, a.device), (1, 8, 8), a.digits),
    }
    index = torch.tensor([50], device=a.device)
    print(f"{'':20}{'noise, ms':>10}{'of forward':>12}{'of gradient':>13}{'torch.randn, ms':>17}")
    for name, (network, shape, batches) in networks.items():
        for batch in batches:
            x = torch.rand(batch, *shape, device=a.device)
            xi = Noise(0, torch.arange(batch))

            def forward(x=x, network=network):
                with torch.no_grad():
                    network(x, index)

            def gradient(x=x, network=network):
                z = x.clone().requires_grad_()
                torch.autograd.grad(network(z, index).sum(), z)

            runs = {
                "noise": lambda x=x, xi=xi: xi.reverse(50, like=x),
                "forward": forward,
                "gradient": gradient,
                "randn": lambda x=x: torch.randn_like(x),
            }
            s = rounds(runs, a.device, a.rounds)
            share = s["noise"] / s["forward"], s["noise"] / s["gradient"]
            print(
                f"{name + ', batch ' + str(batch):20}{s['noise'] * 1e3:>10.2f}{100 * share[0]:>10.2f} %"
                f"{100 * share[1]:>11.2f} %{s['randn'] * 1e3:>17.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
