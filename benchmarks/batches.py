"""How much the results of the embedded experiment depend on the batch, and on the device: rounding, counted.

    uv run python benchmarks/batches.py [--batches 100 7 1] [--devices cpu] [--images 100]

PGD that knows ξ on ddpm, with the networks that `make` has trained; every batch and device against the first ones.
Noise is the same bits everywhere; what differs is the order in which kernels add up, and a sign of a small gradient.
"""

import argparse
import sys
from itertools import product
from pathlib import Path

import torch
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from purity import attacks, data, purifiers
from purity.noise import Noise
from purity.run import checkpoints
from purity.run.job import Job, prepare_torch
from purity.run.naming import resolve
from purity.stages.attack import attack
from purity.stages.purify import purify_and_judge

ROOT = Path(__file__).parents[1]
MODELS = {"classifiers": "digits-cnn", "diffusions": "digits-unet"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[100, 7, 1])
    parser.add_argument("--devices", nargs="+", default=["cpu"], help="cpu, cuda")
    parser.add_argument("--images", type=int, default=100)
    a = parser.parse_args()
    prepare_torch(threads=1)  # as a job of the pipeline
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    weights = {kind: ROOT / f"results/models/{kind}/{name}.safetensors" for kind, name in MODELS.items()}
    if missing := [path for path in weights.values() if not path.is_file()]:
        sys.exit(f"{missing[0].relative_to(ROOT)} is not there; run make first")
    presets = {kind: config[kind][name] for kind, name in MODELS.items()}
    purifier = config["purifiers"]["ddpm"] | {"diffusion": presets["diffusions"]}
    x, y, ids = data.digits("test", a.images)

    def made(device: str, batch: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """Adversarial images, and whether they are classified right once purified under the ξ that was known."""
        classify = checkpoints.classifier(presets["classifiers"], [str(weights["classifiers"])], device).to(dtype)
        network = checkpoints.network(presets["diffusions"], [str(weights["diffusions"])], device).to(dtype)
        purify = purifiers.checked(resolve(purifier["make"])(network, **purifier["options"]), "ddpm")
        images, xi = x.astype("float64" if dtype == torch.float64 else "float32"), Noise(0, torch.from_numpy(ids))
        given = {"job": Job(batch, device), "classify": classify, "purify": purify}
        pgd = attacks.Attack(attacks.pgd, config["attacks"]["pgd"]["options"])
        crafted = attack(images, y, xi, attack=pgd, knowledge="all", **given)["x"]
        judged = purify_and_judge(images, crafted, xi, fresh_draws=1, **given)
        return torch.from_numpy(crafted), torch.from_numpy(judged["fixed_logits"]).argmax(dim=1) == torch.from_numpy(y)

    for dtype in (torch.float32, torch.float64):
        first, right = made(a.devices[0], a.batches[0], dtype)
        print(f"{str(dtype)[6:]}, {a.devices[0]}, batch {a.batches[0]}: accuracy {right.float().mean():.3f}")
        for device, batch in list(product(a.devices, a.batches))[1:]:
            x_other, right_other = made(device, batch, dtype)
            differs = x_other != first
            print(
                f"    {device}, batch {batch}: {100 * differs.float().mean():.2f} % of pixels differ, in "
                f"{differs.flatten(1).any(dim=1).sum()} images; accuracy {right_other.float().mean():.3f}"
            )


if __name__ == "__main__":
    main()
