"""The study that the README shows, beside the tiny experiment, with the report of both."""

import zipfile

import pytest
from workspace import ROOT, Workspace, block, once


@pytest.fixture(scope="session")
def studied(finished, tmp_path_factory) -> Workspace:
    """What is printed is in `printed`, the report's page in `report.html`."""

    def make(folder):
        workspace, readme = finished.copy(folder), (ROOT / "README.md").read_text(encoding="utf-8")
        (folder / "my_study.py").write_text(block(readme, "python", "# my_study.py"), encoding="utf-8")
        for name in ("my_study.yaml", "my_claims.yaml"):
            (folder / name).write_text(block(readme, "yaml", f"# {name}"), encoding="utf-8")
        mine = ("--configfile", "my_study.yaml")
        (folder / "printed").write_text(workspace.run(*mine), encoding="utf-8")
        workspace.run("--report", "report.zip", *mine)
        with zipfile.ZipFile(folder / "report.zip") as archive:
            (folder / "report.html").write_bytes(archive.read("report/report.html"))

    return once(tmp_path_factory, "studied", make)
