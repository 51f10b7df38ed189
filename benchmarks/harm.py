"""What faster arithmetic, and stopping on success, do to the robust accuracy of the embedded experiment.

    uv run python benchmarks/harm.py [--seeds 0 1 2] [--images 100] [--device cpu] [--results results]

PGD of 20 steps that knows ξ on ddpm, with the networks that `make` has trained. Each option attacks and is judged by
its own arithmetic; `judged exactly`: its images by float32's. less: than float32's accuracy, means over seeds, paired,
with a 95 % interval over images. gain: float32's time over the option's, on a CPU that of the process.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import yaml
from attack import timed

sys.path.insert(0, str(Path(__file__).parents[1]))

from purity import attacks, data, purifiers
from purity.defence import Defence
from purity.noise import Noise
from purity.run import checkpoints
from purity.run.job import prepare_torch
from purity.stats import mean_interval
from purity.stopping import until_fooled

ROOT = Path(__file__).parents[1]
MODELS = {"classifiers": "digits-cnn", "diffusions": "digits-unet"}
PGD = {"epsilon": 0.15, "steps": 20, "relative_step": 0.25, "random_start": False}
WAYS: dict[str, tuple[dict, bool]] = {  # engine of both networks, whether it stops on success
    "float32": ({}, False),
    "bf16": ({"precision": "bf16"}, False),
    "channels_last": ({"channels_last": True}, False),
    "stop on success": ({}, True),
    "TF32": ({"precision": "tf32"}, False),
    "compile": ({"compile": True}, False),
    "graphs": ({"compile": "graphs"}, False),
}
ON_CPU = ("float32", "bf16", "channels_last", "stop on success")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--ways", nargs="+", choices=WAYS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    a = parser.parse_args()
    weights = {kind: a.results / f"models/{kind}/{name}.safetensors" for kind, name in MODELS.items()}
    if missing := [path for path in weights.values() if not path.is_file()]:
        sys.exit(f"{missing[0]} is not there; run make first")
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    options = config["purifiers"]["ddpm"]["options"]
    images, labels, ids = data.digits("test", a.images)
    x, y = torch.from_numpy(images).to(a.device), torch.from_numpy(labels).to(a.device)

    def defence(engine: dict, seed: int) -> Defence:
        prepare_torch(threads=1)  # puts flags of torch back, too
        loaded = {
            kind: checkpoints.network(
                {"network": config[kind][name]["network"], "options": config[kind][name]["options"], "engine": engine},
                [str(weights[kind])],
                a.device,
            )
            for kind, name in MODELS.items()
        }
        purify = purifiers.ddpm(loaded["diffusions"], **options)
        return Defence(loaded["classifiers"], purify, Noise(seed, torch.from_numpy(ids)), "all")

    def right(asked: Defence, crafted: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            return (asked(crafted).argmax(dim=1) == y).double().cpu().numpy()

    found: dict[str, tuple[np.ndarray, np.ndarray, float]] = {}
    for way in a.ways or (list(WAYS) if a.device == "cuda" else ON_CPU):
        engine, stops = WAYS[way]
        own, exactly, seconds = [], [], 0.0
        for seed in a.seeds:
            asked, made = defence(engine, seed), []

            def run(asked=asked, made=made, stops=stops):
                if stops:
                    made[:] = [until_fooled(asked, x, y, asked.xi, attack="pgd", **PGD)]
                else:
                    made[:] = [attacks.pgd(asked, x, y, asked.xi, **PGD)]

            if seed == a.seeds[0]:
                right(asked, x)  # what is done once only
            seconds += timed(run, a.device)
            own.append(right(asked, made[0]))
            exactly.append(right(defence({}, seed), made[0]))
        found[way] = np.mean(own, axis=0), np.mean(exactly, axis=0), seconds
    exact, _, base = found["float32"]
    print(f"PGD, 20 steps, knows ξ, ddpm, {a.images} digits, seeds {a.seeds}, {a.device}: accuracy {exact.mean():.3f}")
    print(f"{'':18}{'gain':>6}{'accuracy':>10}{'less':>8}{'interval':>18}{'judged exactly':>16}")
    for way, (own, exactly, seconds) in found.items():
        mean, low, high = mean_interval(exact - own)
        print(
            f"{way:18}{base / seconds:>6.2f}{own.mean():>10.3f}{mean:>8.3f}{f'[{low:.3f}, {high:.3f}]':>18}"
            f"{exactly.mean():>16.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
