"""CIFAR-10's config through the same Snakefile on a CPU: real images, the real architectures, few steps."""

import json
import math

import pytest
import torch
from papers import brought, table
from workspace import ROOT

from purity import inception
from purity.run import checkpoints


def published(name, generator) -> dict[str, torch.Tensor]:
    """Random numbers under the keys of a published checkpoint; what divides is 1."""
    listed = json.loads((ROOT / f"tests/data/keys/{name}.json").read_text())["keys"]

    def entry(key, shape, dtype):
        if dtype != "float32":
            return torch.zeros(shape, dtype=getattr(torch, dtype))
        if key.endswith("running_var"):
            return torch.ones(shape)
        return torch.randn(shape, generator=generator) / max(1, math.prod(shape[1:])) ** 0.5

    return {key: entry(key, shape, dtype) for key, shape, dtype, kind in listed}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache with checkpoints that have the published keys, and shapes, and random numbers."""
    folder, generator = tmp_path_factory.mktemp("cache"), torch.Generator().manual_seed(0)
    torch.save(published("pesser_cifar10", generator), folder / "ema_diffusion_cifar10.ckpt")
    standard = published("robustbench_standard_wrn28_10", generator)
    torch.save({"state_dict": standard}, folder / "robustbench-cifar10-Linf-Standard.pt")
    torch.save(inception.inception(dims=768).state_dict(), folder / "inception.pth")
    return folder


def test_cifar10_with_the_networks_of_the_papers(tmp_path, cache):
    def change(config, experiment):
        unanswered = "http://127.0.0.1:9/"  # the discard port: nobody listens
        for group, name in (("classifiers", "standard"), ("diffusions", "ddpm-cifar10")):
            file = config[group][name]["weights"]["file"]
            config[group][name]["weights"] = {"file": file, "url": unanswered + file}
        config["features"]["fid"]["weights"] = str(cache / "inception.pth")
        experiment["attacked"] = {"ddpm": {"uniform": ["none"], "pgd": ["all"]}}
        experiment["gallery"]["attack"] = "pgd"

    workspace = brought(tmp_path, "cifar10", 10, change)
    given = ("--configfile", "mine.yaml")

    # without the files: a line for each that is missing, before any job
    said = workspace.run(*given, fails=True, PURITY_CACHE=str(tmp_path / "empty"))
    for file in ("robustbench-cifar10-Linf-Standard.pt", "ema_diffusion_cifar10.ckpt"):
        (line,) = [line for line in said.splitlines() if line.startswith(f"{file} from http://127.0.0.1:9/{file}: ")]
        assert str(tmp_path / "empty" / file) in line
    assert "Traceback" not in said and not workspace.done(said) and not workspace.files()

    environment = {"PURITY_CACHE": str(cache)}
    workspace.run(*given, **environment)
    receipt = json.loads((workspace.path / "results/models/diffusions/ddpm-cifar10.json").read_text())
    assert receipt["file"] == "ema_diffusion_cifar10.ckpt" and len(receipt["sha256"]) == 64
    distances = table(workspace, "cifar10", "distances")
    assert {"l2", "linf", "ssim", "fid"} == set(distances["measure"]) and distances["mean"].notna().all()
    assert set(table(workspace, "cifar10", "robustness")["n"]) == {10}
    assert "Nothing to be done" in workspace.run(*given, **environment)

    # the published network, fine-tuned: a checkpoint like any other
    target = "results/models/diffusions/ddpm-cifar10-addt.safetensors"
    workspace.run(target, *given, **environment)
    original = torch.load(cache / "ema_diffusion_cifar10.ckpt", weights_only=True)["temb.dense.0.weight"]
    tuned = checkpoints.load(
        "purity.unets:pesser", {}, str(workspace.path / target)
    ).unet.time_embedding.linear_1.weight
    moved = (tuned - original).abs().max()
    assert 0 < moved < 1e-3  # one step of AdamW moves a weight by its rate, 2e-4

    # other weights under the same name: their digest is in the receipt, and all that they made is made again
    (workspace.path / "results/models/diffusions/ddpm-cifar10.json").unlink()
    pending = {rule for rule, _ in workspace.pending(*given)}
    assert {"fetch", "attack", "purify"} <= pending and "perturb" not in pending
