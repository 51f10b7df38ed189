"""ImageNet's config through the same Snakefile on a CPU: real images at their size, a network shaped like the real one."""

import torch
from papers import brought, table

from purity import inception
from purity.run import store


def test_imagenet_with_a_pretrained_classifier(tmp_path):
    """foolbox's 20 images at 224, purified at 256 by a network shaped like guided diffusion's, but small."""
    features = tmp_path / "inception.pth"
    torch.save(inception.inception(dims=768).state_dict(), features)

    def change(config, experiment):
        config["batch"] = 2  # more would not fit what memory the C library keeps
        config["classifiers"] = {"lite0": {"network": "real:efficientnet_lite0"}}
        experiment.update(classifier="lite0", gallery=experiment["gallery"] | {"images": 2, "attack": "bpda"})
        small = {"num_channels": 32, "channel_mult": [1, 1, 1, 1, 2], "num_res_blocks": 1}
        config["diffusions"]["guided-256"] = {
            "network": "purity.unets:guided",
            "options": small | {"attention_resolutions": [16], "num_head_channels": 16},
        }
        config["features"]["fid"]["weights"] = str(features)
        experiment["attacked"] = {"identity": {"bpda": ["none"]}, "guided": {"uniform": ["none"], "bpda": ["all"]}}

    workspace = brought(tmp_path, "imagenet", 20, change)
    given = ("--configfile", "mine.yaml")
    workspace.run(*given)

    robustness = table(workspace, "imagenet", "robustness").query("purifier == 'identity' and seed == 'all'")
    # of 20 images 17 are known to be classified right
    assert set(robustness.query("attack == 'clean'")["mean"]) == {17 / 20}
    assert (robustness.query("attack == 'bpda'")["mean"] < 17 / 20).all()
    distances = table(workspace, "imagenet", "distances")
    assert {"l2", "linf", "ssim", "fid"} == set(distances["measure"]) and distances["mean"].notna().all()
    purified = workspace.path / "results/imagenet/purified/guided/attacked/images-00000-00019.zarr.zip"
    assert store.load(purified, "fixed", part="bpda/all/seed-0")[0].shape == (20, 3, 224, 224)

    said = workspace.run("cost", *given)
    assert "attack" in said and "hours left" in said
