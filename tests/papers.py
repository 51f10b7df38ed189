"""The papers' configs in a workspace of their own: real images, the real architectures, few steps."""

import shutil

import pandas as pd
import yaml
from workspace import ROOT, Workspace

PARTS = ("ball", "sweep", "budget", "jacobian", "pca", "fuzzy", "cap", "margins", "dw-box", "addt", "paths")
PARTS += ("strength", "reference")


def brought(tmp_path, name, images, change) -> Workspace:
    """A workspace with one of the papers' configs, so many images, two steps, and none of the parts that add to it."""
    workspace = Workspace.fresh(tmp_path / name)
    shutil.copy2(ROOT / "tests/real.py", workspace.path)
    config = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8"))
    config.update(device="cpu", batch=10)
    config["datasets"] = {name: {"load": "real:foolbox_images", "options": {"name": name}}}
    for preset in (*config["purifiers"].values(), *config["attacks"].values()):
        if "steps" in preset.get("options", {}):
            preset["options"]["steps"] = 2
    for preset in config["diffusions"].values():
        if "fine_tuning" in preset:
            preset["fine_tuning"] |= {
                "steps": 1,
                "batch": 2,
                "options": preset["fine_tuning"]["options"] | {"iterations": 1},
            }
    experiment = config["experiments"][name]
    experiment.update(images=images, seeds=[0])
    for part in PARTS:
        experiment.pop(part, None)
    change(config, experiment)
    (workspace.path / "mine.yaml").write_text(yaml.safe_dump(config))
    return workspace


def table(workspace, name, identifier) -> pd.DataFrame:
    return pd.read_csv(workspace.path / f"results/{name}/tables/{identifier}.csv")
