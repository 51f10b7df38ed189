"""The workflow as a module of another, as the workflow catalog deploys it: from a git address, or from a folder.

Nothing of the project lies in the user's folder but his config, his Snakefile, and a purifier of his own.
"""

import subprocess
import textwrap

import pytest
from workspace import ROOT, Workspace

R = "results/tiny"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """The project at a commit of its own, with a file in the working tree that is no longer that of the commit."""
    workspace = Workspace.fresh(tmp_path_factory.mktemp("module") / "repository")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(workspace.path)]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"], ["tag", "v1"]):
        subprocess.run([*git, *command], check=True)
    return workspace


def deployed(folder, snakefile: str) -> Workspace:
    """What `snakedeploy deploy-workflow` leaves: a Snakefile that imports the module, and the config."""
    (folder / "workflow").mkdir(parents=True)
    (folder / "config").mkdir()
    (folder / "config/config.yaml").write_text((ROOT / "tests/tiny/config.yaml").read_text())
    (folder / "mine.py").write_text("def halve():\n    return lambda x, xi: x.clamp(0, 1) / 2\n")
    (folder / "workflow/Snakefile").write_text(
        textwrap.dedent(f"""
        configfile: "config/config.yaml"
        module purity:
            snakefile: "{snakefile}"
            config: config
        use rule * from purity
        """)
    )
    workspace = Workspace(folder)
    workspace.configure(lambda c: c["purifiers"].update(mine={"make": "mine:halve"}))
    workspace.configure(
        lambda c: c["experiments"]["tiny"]["attacked"].update(mine={"uniform": ["none"], "pgd": ["all"]})
    )
    return workspace


@pytest.mark.parametrize("address", ["git+file://{}/workflow/Snakefile@v1", "{}/workflow/Snakefile"])
def test_a_module_from_an_address_runs_its_jobs_with_its_own_package(address, repository, tmp_path):
    workspace = deployed(tmp_path / "mine", address.format(repository.path))
    target = f"{R}/purified/mine/attacked/images-00000-00005.zarr.zip"
    measures = f"{R}/measures/mine/attacked.zarr.zip"
    workspace.run(target, measures, "--config", "device=cpu")
    assert (workspace.path / target).exists() and (workspace.path / measures).exists()
    planned = {rule for rule, _ in workspace.pending()}  # default target, with tables, figures and their captions
    assert {"robustness_figure", "comparison_page", "gallery"} <= planned
    assert not (workspace.path / "purity").exists()


def test_a_git_address_means_what_was_committed(repository, tmp_path):
    (repository.path / "workflow/scripts/subset.py").write_text("this is no Python")
    try:
        workspace = deployed(tmp_path / "mine", f"git+file://{repository.path}/workflow/Snakefile@v1")
        workspace.run(f"{R}/data/images-00000-00005.zarr.zip")
    finally:
        subprocess.run(["git", "-C", str(repository.path), "checkout", "-q", "."], check=True)
