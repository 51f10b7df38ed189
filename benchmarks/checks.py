"""What it takes of a job that its parts are tried on a few images first.

    uv run python benchmarks/checks.py [--steps 10] [--device cpu]

Seconds of the checks, before a job and at its end, of a classifier, a purifier (DDPM, the embedded networks with
random weights) and an attack of one's own (PGD with two steps), and what share they are of a job of a minute; the share
of a job of 100 images and 40 steps in which the same attack is made for one base seed, from the time of one batch of
one step.
"""

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from attack import CNN, UNET, rounds

from purity import attacks, contract, purifiers
from purity.defence import Defence
from purity.noise import Noise
from purity.run import checkpoints
from purity.run.job import prepare_torch
from purity.stages.arguments import FEW, PAIR

PGD = {"epsilon": 0.15, "relative_step": 1 / 30}
MINUTE, IMAGES, STEPS = 60.0, 100, 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10, help="network evaluations of a purification (default 10)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    args = parser.parse_args()
    prepare_torch(1)
    network = checkpoints.untrained(*UNET).eval().requires_grad_(False).to(args.device)
    classify = checkpoints.untrained(*CNN).eval().requires_grad_(False).to(args.device)
    purify = purifiers.ddpm(network, t=100, steps=args.steps, sigma="large", clip=True, forward="iterated")
    x, y = (
        torch.rand(IMAGES, 1, 8, 8, generator=torch.Generator().manual_seed(0)).to(args.device),
        torch.arange(IMAGES) % 10,
    )
    xi, y = Noise(0, torch.arange(IMAGES)), y.to(args.device)
    few = (x[:FEW], y[:FEW], xi.rows(torch.arange(FEW)))
    pair = (x[:PAIR], y[:PAIR], xi.rows(torch.arange(PAIR)))
    on = Defence(classify, purify, pair[2])
    two, one = ({**PGD, "steps": steps} for steps in (2, 1))
    times = rounds(
        {
            "classifier": lambda: contract.check_classifier(classify, few[0], y, "g")(),
            "purifier": lambda: contract.check_purifier(purify, few[0], few[2], "f")(),
            "attack": lambda: contract.check_attack(attacks.pgd, two, on, *pair, "a")(),
            "step": lambda: attacks.pgd(Defence(classify, purify, xi), x, y, xi, **one),
        },
        args.device,
        n=3,
    )
    checks, own = sum(times[part] for part in ("classifier", "purifier", "attack")), times["attack"]
    for part in ("classifier", "purifier", "attack"):
        print(f"{part}: {times[part]:.3f} s")
    print(f"of a job of a minute: {checks / MINUTE:.2%}; without an attack of one's own {(checks - own) / MINUTE:.2%}")
    print(f"of the attack on {IMAGES} images, {STEPS} steps: {checks / (STEPS * times['step']):.2%}")


if __name__ == "__main__":
    main()
