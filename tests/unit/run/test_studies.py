"""Studies: what they read of an experiment; one of the user's own is like ours."""

import copy

import planned
import pytest
import yaml
from workspace import ROOT

from purity.run import judge, studies
from purity.run.codehash import Project
from purity.run.experiment import Cell, Experiment

TINY = yaml.safe_load((ROOT / "tests/tiny/config.yaml").read_text(encoding="utf-8"))
DECLARED = planned.declared(ROOT)
CODE = """
QUANTITIES = ("bright",)
FIVE = 5
def shades(measured): pass
def ranks(shades, *, most=3): pass
def evidence(measured, shades): pass
def draw(shades, ranks, size=1): pass
"""
MINE = {
    "reads": {"measured": "measures"},
    "tables": {"shades": "mine:shades", "ranks": "mine:ranks"},
    "figures": {"shades": {"draw": "mine:draw", "shows": ["shades", "ranks"]}},
    "evidence": "mine:evidence",
    "claims": "mine.yaml",
}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "mine.py").write_text(CODE)
    return Project(ROOT, tmp_path)


def own(study):
    """Mistakes in it are tested with the rest of the config's."""
    return studies.own(TINY | {"studies": {"mine": study}})


def test_a_study_of_ones_own_is_one_like_ours(project):
    (study,) = own(MINE)
    assert study.made(Experiment(TINY, "tiny")) and study.part() is None
    assert study.functions() == ["mine:shades", "mine:ranks", "mine:evidence"]
    assert study.section == studies.OWN and studies.quantities(study, project) == ("bright",)
    spec = studies.spec(study, Experiment(TINY, "tiny"), project)
    assert spec["quantities"] == ["bright"] and spec["records"]["measured"]["seeds"] == [0, 1]


def test_it_may_make_tables_alone(project):
    (study,) = own({key: MINE[key] for key in ("reads", "tables")})
    assert (study.figures, study.evidence, study.claims) == ({}, None, None)
    assert studies.quantities(study, project) == ()


def test_a_figure_may_show_tables_of_another_study():
    (study,) = own(MINE | {"figures": {"mine": {"draw": "mine:draw", "shows": ["law", "ranks"]}}})
    assert study.figures["mine"].shows == ["law", "ranks"]


JUDGED = {"judge": {"dataset": "digits", "classifier": "small", "epsilon": 0.14, "images": 6}, "defence": "mine:defend"}
JUDGED["judge"]["attacks"] = {"known": "pgd", "unknown": "box-eot"}


@pytest.mark.parametrize("study", DECLARED, ids=lambda study: study.name)
def test_every_study_of_ours_reads_stores_that_the_tiny_experiment_makes(study):
    """Or the one that `judge` makes of it."""
    e = Experiment(TINY, "tiny")
    if study.name == "judgement":
        assert not study.made(e)
        e = Experiment(judge.expanded(TINY | JUDGED), "judged")
    assert study.made(e)
    made = {*e.data(), *e.all_stores()}
    for argument, paths in studies.inputs(study, e).items():
        assert paths and set(paths) <= made, argument


PARTS = ("ball", "sweep", "budget", "jacobian", "pca", "samples", "fuzzy", "cap", "margins", "dw-box", "addt", "paths")
PARTS += ("strength", "sensitivity")


@pytest.mark.parametrize("study", DECLARED, ids=lambda study: study.name)
def test_a_study_is_not_made_where_the_part_that_it_reads_is_left_out(study):
    config = copy.deepcopy(TINY)
    for part in PARTS:
        config["experiments"]["tiny"].pop(part)
    e = Experiment(config, "tiny")
    parts = {studies.RECORDS[kind].part for kind in study.reads.values()}
    assert study.made(e) == (parts == {None})


def test_records_are_of_the_cells_and_seeds_of_their_own_group():
    config = copy.deepcopy(TINY)
    config["experiments"]["tiny"]["addt"]["seeds"] = [1]
    read = studies.RECORDS["addt"].find(Experiment(config, "tiny"))
    assert read.seeds == [1] and Cell("ddpm", "box", "all") in read.cells
    assert "results/tiny/measures/ddpm/dw-box.zarr.zip" in read.paths  # which keeps what both judge
