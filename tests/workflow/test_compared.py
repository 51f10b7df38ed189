"""Two experiments that differ in one key: both are kept, share what is equal, and stand side by side on a page."""

import pandas as pd
import pytest
import yaml
from workspace import Workspace

from purity.run import store

PAGE = "results/compared/tiny-and-strong.html"
PART = ("clean/none/seed-0", "clean/none/seed-1")


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> Workspace:
    """tiny, of few attacks, and the same with another ε of its own; what is printed is in `printed`."""
    workspace = Workspace.fresh(tmp_path_factory.mktemp("compared") / "project")
    workspace.keep_attacks({"ddpm": {"uniform": ["none"], "pgd": ["none", "all"]}})
    other = {"like": "tiny", "presets": {"attacks": {"pgd": {"options": {"epsilon": 0.9}}}}}
    (workspace.path / "mine.yaml").write_text(yaml.safe_dump({"experiments": {"strong": other}}))
    # first the one, then the other: as a user would
    workspace.run("results/tiny/measures/ddpm/attacked.zarr.zip")
    (workspace.path / "printed").write_text(workspace.run(PAGE, "--configfile", "mine.yaml"))
    return workspace


def test_the_page_has_what_differs_and_the_results_of_the_first_are_those_that_were_there(compared):
    text = (compared.path / PAGE).read_text(encoding="utf-8")
    assert "attacks.pgd.options.epsilon" in text and "0.14" in text and "0.9" in text
    assert "<script" not in text and "http" not in text  # nothing else is loaded
    printed = (compared.path / "printed").read_text()
    assert "results/strong/adversarial/ddpm/pgd/all/" in printed and "results/tiny/adversarial" not in printed


def test_parts_that_depend_on_the_same_are_taken_from_the_other_experiment(compared):
    log = (compared.path / "results/strong/logs/purified/ddpm/attacked/images-00000-00005.log").read_text()
    assert "are there already: clean/none/seed-0, clean/none/seed-1" in log
    where = "purified/ddpm/attacked/images-00000-00005.zarr.zip"
    of = {name: compared.parts(f"results/{name}/purified") for name in ("tiny", "strong")}
    for part in PART:
        assert of["tiny"][f"results/tiny/{where}", part] == of["strong"][f"results/strong/{where}", part]
    assert (
        of["tiny"][f"results/tiny/{where}", "pgd/all/seed-0"]
        != of["strong"][f"results/strong/{where}", "pgd/all/seed-0"]
    )


def test_clean_images_differ_in_nothing_and_a_larger_budget_moves_images_farther(compared):
    table = store.load_table(compared.path / PAGE.replace(".html", ".csv"))
    clean = table[table["attack"] == "clean"]
    assert len(clean) == 1 and (clean["difference"] == 0).all()
    assert isinstance(table, pd.DataFrame) and set(table["n"]) == {6}
    attacked = table[(table["attack"] == "pgd") & (table["knowledge"] == "all")]
    assert set(attacked["measure"]) >= {"accuracy", "compression rate α"}


def test_what_cannot_be_paired_is_said_before_any_job(compared):
    said = compared.run("-n", "results/compared/tiny-and-tiny.html", "--configfile", "mine.yaml", fails=True)
    assert "'tiny' beside itself: name two experiments" in said and "Traceback" not in said
