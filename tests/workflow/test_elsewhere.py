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

    def made(block):
        copy = finished.copy(tmp_path / f"in blocks of {block}")
        copy.configure(lambda c: c.update(batch=2, block=block))
        for stage in ("data", "adversarial", "purified", "fuzzy", "probes", "budget"):
            shutil.rmtree(copy.path / R / stage)
        spans = [f"{start:05d}-{start + block - 1:05d}" for start in range(0, 6, block)]
        paths = {of: [f"{R}/{of[0]}/images-{span}.zarr.zip" for span in spans] for of in where}
        copy.run(*(path for of_stage in paths.values() for path in of_stage))
        return {of: load([copy.path / path for path in paths[of]], *names, part=of[1]) for of, names in where.items()}

    whole, parts = made(6), made(2)
    for of, names in where.items():
        for name, a, b in zip(names, whole[of], parts[of], strict=True):
            assert a.dtype == b.dtype and np.array_equal(a, b), f"{of}: {name}"


def test_a_small_run_has_results_of_its_own_and_runs_to_its_end(tmp_path):
    """`--config small=True`, of the main findings and two parts; how all are made smaller is of tests/unit/run."""
    workspace = Workspace.fresh(tmp_path / "small")
    left_out = {"search", "third-regime", "elsewhere", "strength", "ball", "jacobian", "pca", "samples", "fuzzy", "cap"}
    left_out |= {"margins", "dw-box", "addt", "paths", "sensitivity"}
    workspace.configure(lambda c: c["experiments"]["tiny"].update(dict.fromkeys(left_out)))
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
