"""The same results in other blocks, a small run, and what it costs."""

import shutil

import numpy as np
from workspace import Workspace

from purity.run.store import load

R = "results/tiny"


def test_blocks_are_the_same_images_in_other_files(finished, tmp_path):
    """Bit for bit, at the same compute batch."""
    where = {
        ("adversarial/ddpm/pgd/all", "seed-0"): ["x", "y", "ids"],
        ("purified/ddpm/attacked", "pgd/all/seed-0"): ["fixed", "varying", "varying_logits", "path_l2", "path_time"],
        ("fuzzy/ddpm/pgd/none", "seed-0"): ["predictions"],
        ("probes/ddpm", "seed-0"): ["alpha", "robust", "features"],
        ("budget/pgd", "seed-0"): ["robust", "scale"],
    }
    copy = finished.copy(tmp_path / "in two blocks")
    copy.configure(lambda c: c.update(block=c["batch"]))
    for stage in ("data", "adversarial", "purified", "fuzzy", "probes", "budget"):
        shutil.rmtree(copy.path / R / stage)
    paths = {of: [f"{R}/{of[0]}/images-{span}.zarr.zip" for span in ("00000-00002", "00003-00005")] for of in where}
    copy.run(*(path for of_stage in paths.values() for path in of_stage))
    for (stage, part), names in where.items():
        whole = load([finished.path / f"{R}/{stage}/images-00000-00005.zarr.zip"], *names, part=part)
        parts = load([copy.path / path for path in paths[stage, part]], *names, part=part)
        for name, a, b in zip(names, whole, parts, strict=True):
            assert a.dtype == b.dtype and np.array_equal(a, b), f"{stage}, {part}: {name}"


def test_a_small_run_has_results_of_its_own_and_runs_to_its_end(tmp_path):
    """`--config small=True`, of one attack; how all parts are made smaller is of tests/unit/run."""
    workspace = Workspace.fresh(tmp_path / "small")
    workspace.keep_attacks({"ddpm": {"pgd": ["all"]}})
    workspace.run("--config", "small=True")
    assert (workspace.path / "results/tiny-small/comparison.html").exists()
    assert not (workspace.path / R).exists()
    assert "Nothing to be done" in workspace.run("--config", "small=True")


def test_the_cost_of_what_is_done_is_nothing_more(finished, tmp_path):
    workspace = finished.copy(tmp_path / "copy")
    said = workspace.run("cost")
    (total,) = [line.split() for line in said.splitlines() if line.split()[:1] == ["all"]]
    jobs, done, hours_left = int(total[1]), int(total[2]), float(total[-1])
    assert jobs == done > 10 and hours_left == 0
    assert "tiny: hours on one " in said
