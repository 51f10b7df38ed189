"""Studies, one question of the papers each: which records they read, which tables and figures they make.

A study is declared by its rules file, one of the user's own by the config; both are the same from here on.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from purity.run.codehash import Project
from purity.run.experiment import Cell, Experiment

OWN = "9 Studies of your own"  # section of the report
CAPTION = Path(__file__).parents[2] / "workflow/report/own.rst"  # of figures that come without one


class Figure(NamedTuple):
    draw: str  # module:function
    shows: list[str]  # tables, in the order of the function's arguments


class Study(NamedTuple):
    name: str
    reads: dict[str, str]  # records, by the argument that its functions call them: names of RECORDS
    tables: dict[str, str]  # id: module:function
    figures: dict[str, Figure]
    evidence: str | None  # module:function
    claims: str | None  # a file of claims that rest on it
    section: str  # of the report
    caption: str | None  # a file in reStructuredText

    def functions(self) -> list[str]:
        """What its tables and evidence are made by."""
        return [*self.tables.values(), *([self.evidence] if self.evidence else [])]

    def part(self) -> str | None:
        """The part of an experiment's config that it needs beyond the main ones."""
        return next((part for kind in self.reads.values() if (part := RECORDS[kind].part) not in MAIN), None)

    def parts(self) -> set[str]:
        """The parts of an experiment's config that what it reads belongs to."""
        return {part for kind in self.reads.values() if (part := RECORDS[kind].part) is not None}

    def made(self, experiment: Experiment) -> bool:
        """Whether the experiment has all that it reads."""
        return all(experiment.part(part) for part in self.parts())


def declared(
    name: str,
    *,
    reads: dict[str, str],
    tables: Iterable[str] = (),
    figures: dict[str, list[str]] | None = None,
    evidence: bool = False,
    section: str,
    module: str | None = None,
) -> Study:
    """A study of the package: purity.studies.<name> has a function for each table and figure, named as their ids."""
    module = module or f"purity.studies.{name.replace('-', '_')}"
    return Study(
        name,
        reads,
        {table: f"{module}:{_function(table)}" for table in tables},
        {f: Figure(f"{module}:draw_{_function(f)}", list(shows)) for f, shows in (figures or {}).items()},
        f"{module}:evidence" if evidence else None,
        None,
        section,
        None,
    )


def _function(identifier: str) -> str:
    return identifier.replace("-", "_")


def own(config: dict) -> list[Study]:
    """The studies that a checked config brings."""
    return [
        Study(
            name,
            said["reads"],
            said["tables"],
            {figure: Figure(f["draw"], f["shows"]) for figure, f in said.get("figures", {}).items()},
            said.get("evidence"),
            said.get("claims"),
            said.get("section", OWN),
            said.get("caption", str(CAPTION)),
        )
        for name, said in config.get("studies", {}).items()
    ]


# Records.


class Records(NamedTuple):
    """What a study reads: stores, and which of their parts. cells: in the order that tables have them; None: all."""

    paths: list[str]
    purifiers: list[str]
    cells: list[Cell] | None = None
    seeds: list[int] | None = None


class Kind(NamedTuple):
    part: str | None  # of an experiment's config, without which there are none
    find: Callable[[Experiment], Records]


MAIN = {None, "ball"}  # parts that the main findings go into


def _data(e: Experiment) -> Records:
    return Records(e.data(), [])


def _judged(kind: str, group: str) -> Callable[[Experiment], Records]:
    def find(e: Experiment) -> Records:
        cells = e.cells(group)
        return Records(e.of_cells(kind, cells), _purifiers(cells), cells, e.seeds_of(group))

    return find


def _crafted(e: Experiment) -> Records:
    """Adversarial images that looked at their defence."""
    cells = [cell for cell in e.cells("attacked") if cell.attack in e.presets.sighted]
    return Records(e.adversarial(cells), _purifiers(cells), cells, e.seeds)


def _of_purifiers(kind: str, part: str) -> Callable[[Experiment], Records]:
    return lambda e: _stores(e, kind, e.part(part)["purifiers"])


def _stores(e: Experiment, kind: str, purifiers: list[str]) -> Records:
    """Stores that there is one of for each purifier."""
    paths = [path for purifier in purifiers for path in e.stores(kind, purifier=purifier)]
    return Records(paths, list(dict.fromkeys(map(e.presets.base, purifiers))), seeds=e.seeds)


def _variants(e: Experiment) -> Records:
    """Probes of purifiers and of their variants."""
    return _stores(e, "probes", e.varied())._replace(seeds=e.seeds_of("sensitivity"))


def _of_known(kind: str, part: str) -> Callable[[Experiment], Records]:
    """About the attack that knows ξ, on the purifiers of a part."""

    def find(e: Experiment) -> Records:
        cells = e.known(e.part(part)["purifiers"], e.part(part)["attack"])
        paths = e.of_cells(kind, cells) if kind == "measures" else _each(e, kind, cells)
        return Records(paths, _purifiers(cells), cells, e.seeds)

    return find


def _headline(e: Experiment) -> Records:
    """What the main findings rest on, of the seeds that attacks are tried harder for."""
    cells = e.headline()
    return Records(e.of_cells("measures", cells), _purifiers(cells), cells, e.seeds_of("strength"))


def _tried(e: Experiment) -> Records:
    """Images of all these attacks."""
    cells = [cell for cell in (*e.headline(), *e.strength_roles()) if cell.attack != "clean"]
    cells = list(dict.fromkeys(cells))
    return Records(e.adversarial(cells), _purifiers(cells), cells, e.seeds_of("strength"))


def _fuzzy(e: Experiment) -> Records:
    return Records(_each(e, "fuzzy", e.rejudged()), _purifiers(e.rejudged()), e.rejudged(), e.seeds)


def _cap(e: Experiment) -> Records:
    cells = [Cell(e.part("cap")["purifier"], e.part("cap")["attack"], "none")]
    return Records(_each(e, "cap", cells), _purifiers(cells), cells, e.seeds)


def _budget(e: Experiment) -> Records:
    return Records([p for attack in e.part("budget")["attacks"] for p in e.stores("budget", attack=attack)], [])


def _paths(kind: str) -> Callable[[Experiment], Records]:
    def find(e: Experiment) -> Records:
        purifiers, attack = e.part("paths")["purifiers"], e.part("paths")["attack"]
        paths = [path for purifier in purifiers for path in e.stores(kind, purifier=purifier, attack=attack)]
        return Records(paths, purifiers, seeds=e.seeds[:1])

    return find


def _tried_in(part: str) -> Callable[[Experiment], Records]:
    def find(e: Experiment) -> Records:
        cells = list(e.tried(part))
        return Records(e.on_trial(part), _purifiers(cells), cells, e.seeds_of(part))

    return find


def _long(e: Experiment) -> Records:
    """Images of the sweep's attack on the purifiers of the third regime, with what its gradients were worth."""
    cells = [Cell(f, e.part("sweep")["attack"], "all") for f in _purifiers(e.tried("third-regime"))]
    return Records(e.adversarial(cells), _purifiers(cells), cells, e.seeds_of("third-regime"))


def _each(e: Experiment, kind: str, cells: list[Cell]) -> list[str]:
    return [path for cell in cells for path in e.stores(kind, **cell._asdict())]


def _purifiers(cells: Iterable[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.purifier for cell in cells))


# What a study may read, by the names that rules files and configs use.
RECORDS = {
    "data": Kind(None, _data),
    "adversarial": Kind(None, _crafted),
    "purified": Kind(None, _judged("purified", "attacked")),
    "measures": Kind(None, _judged("measures", "attacked")),
    "ball": Kind("ball", _of_purifiers("ball", "ball")),
    "ball-measures": Kind("ball", _of_purifiers("ball-measures", "ball")),
    "jacobian": Kind("jacobian", _of_purifiers("jacobian", "jacobian")),
    "jacobian-outcomes": Kind("jacobian", _of_known("measures", "jacobian")),
    "pca": Kind("pca", _of_purifiers("pca", "pca")),
    "samples": Kind("samples", _of_purifiers("samples", "samples")),
    "search": Kind("search", lambda e: Records(e.searched(), [], None, None)),
    "verified": Kind("search", lambda e: Records(e.verified(), [], None, None)),
    "strengths": Kind("sweep", lambda e: _stores(e, "probes", e.strengths("attacked", "clean"))),
    "papers": Kind("sweep", lambda e: _stores(e, "probes", e.papers_purifiers())),
    "third-regime": Kind("third-regime", _tried_in("third-regime")),
    "long": Kind("third-regime", _long),
    "elsewhere": Kind("elsewhere", _tried_in("elsewhere")),
    "law-purifiers": Kind("sweep", lambda e: _stores(e, "probes", e.law_purifiers())),
    "variants": Kind("sensitivity", _variants),
    "budget": Kind("budget", _budget),
    "fuzzy": Kind("fuzzy", _fuzzy),
    "cap": Kind("cap", _cap),
    "margins": Kind("margins", _of_known("margins", "margins")),
    "dw-box": Kind("dw-box", _judged("measures", "dw-box")),
    "addt": Kind("addt", _judged("measures", "addt")),
    "strength": Kind("strength", _judged("measures", "strength")),
    "headline": Kind("strength", _headline),
    "tried": Kind("strength", _tried),
    "paths": Kind("paths", _paths("paths")),
    "landscape": Kind("paths", _paths("landscape")),
    "judged": Kind("judgement", _judged("measures", "attacked")),
}


def inputs(study: Study, experiment: Experiment) -> dict[str, list[str]]:
    """Stores by the argument that the study calls them."""
    return {argument: RECORDS[kind].find(experiment).paths for argument, kind in study.reads.items()}


def spec(study: Study, experiment: Experiment, project: Project) -> dict:
    """What its tables depend on of the config: their functions, which records, and what presets say they are."""
    read = {argument: RECORDS[kind].find(experiment) for argument, kind in study.reads.items()}
    purifiers = list(dict.fromkeys(p for records in read.values() for p in records.purifiers))
    of_cells = (cell.attack for records in read.values() for cell in records.cells or [])
    attacks = [attack for attack in dict.fromkeys(of_cells) if attack != "clean"]
    tuned = {name: said for name, said in experiment.fine_tuned().items() if name in purifiers}
    variants = {name: said for name, said in experiment.variants().items() if "variants" in study.reads.values()}
    features = experiment.said.get("features")
    told: dict = {}
    if "strength" in study.reads.values():
        told["cells"] = {"/".join(cell): said for cell, said in experiment.strength_roles().items()}
    for part in {"third-regime", "elsewhere"} & set(study.reads.values()):
        told["cells"] = {"/".join(cell): said for cell, said in experiment.tried(part).items()}
    if {"strengths", "papers", "law-purifiers"} & set(study.reads.values()):
        sweep = experiment.part("sweep")
        told["swept"] = {"attack": sweep["attack"], "beside": sweep.get("protocol"), "knowledge": "all"}
    return {
        "tables": study.tables,
        "evidence": study.evidence,
        "quantities": list(quantities(study, project)),
        "records": {
            argument: {"cells": None if r.cells is None else [list(cell) for cell in r.cells], "seeds": r.seeds}
            for argument, r in read.items()
        },
        "roles": experiment.presets.roles(purifiers, attacks)
        | {"fine_tuned": tuned, "variants": variants, "features": features}
        | told,
    }


def quantities(study: Study, project: Project) -> tuple[str, ...]:
    """What its evidence measures, as its module declares it: QUANTITIES = ("…", …). Nothing is imported.

    ValueError if there is no such list.
    """
    if study.evidence is None:
        return ()
    module = study.evidence.partition(":")[0]
    said = project.constant(module, "QUANTITIES")
    if not isinstance(said, tuple | list):
        raise ValueError(f"studies.{study.name}.evidence: {module} has no QUANTITIES = (…), what its evidence measures")
    return tuple(said)


def claims_files(studies: Iterable[Study], reference: Path) -> list[str]:
    """The papers' claims, and those of studies of the user's own."""
    return [str(reference / "claims.yaml"), *(study.claims for study in studies if study.claims)]
