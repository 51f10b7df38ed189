"""What the rules would pass to each job, worked out from the rules files without starting Snakemake.

A part of a store is made again exactly if its own digest differs (purity.run.parts.made); a table, a figure or a
network if its params do.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from purity.run import studies
from purity.run.codehash import Project
from purity.run.experiment import STORES, Experiment
from purity.run.presets import Presets, functions

# Rules whose jobs ask a purifier of the config.
STAGES_OF_PURIFIERS = {"attack", "purify", "states", "sample_ball", "jacobian", "pca", "samples", "probe", "fuzzy"}
STAGES_OF_PURIFIERS |= {"paths", "landscape", "third_regime", "elsewhere"}

Plan = dict[tuple[str, str], str]  # (rule, output or part of it): what it depends on but for its inputs


def plan(root: Path, config: dict, project: Project | None = None) -> Plan:
    """Every part of every store of the first experiment to run, its tables and figures, and all networks made here.

    project: of the same root, if its code has not been edited since.
    """
    project, e = project or Project(root, root), Experiment(config, config["run"][0])
    stages = dict(_stages(root))
    found: Plan = {}
    for path in [*e.data(), *e.all_stores()]:
        kind, wildcards = _kind(path, e)
        rule, stage, script = stages[kind]
        spec = getattr(e, stage)(**wildcards)
        common = {"code": _code(project, root, script, spec)} | {k: v for k, v in spec.items() if k != "parts"}
        for part, own in spec.get("parts", {"": {}}).items():
            found[rule, f"{_below(path, e)}:{part}"] = _said(common, own)
    for study in declared(root) + studies.own(config):
        if not study.made(e):
            continue
        code = project.digest(root / "workflow/scripts/tables.py", *study.functions())
        said = _said(studies.spec(study, e, project), studies.inputs(study, e), code)
        found |= {("tables", table): said for table in study.tables}
        for figure, shown in study.figures.items():
            drawn = {"draw": shown.draw}
            found["figure", figure] = _said(drawn, shown.shows, _code(project, root, "figure", drawn))
    found["gallery", "gallery"] = _said(e.gallery(), e.gallery_stores(), _code(project, root, "gallery"))
    found["findings", "findings"] = _said(_code(project, root, "findings"))
    presets = Presets(config)
    for kind, rule in (("classifiers", "train_classifier"), ("diffusions", "train_diffusion")):
        for name, preset in config[kind].items():
            if "training" in preset:
                spec = presets.training(kind, name)
                found[rule, name] = _said(spec, _code(project, root, rule, spec))
    for name in presets.fine_tuned:
        spec = presets.fine_tuning(name)
        found["fine_tune", name] = _said(spec, _code(project, root, "fine_tune", spec))
    return found


def new(before: Plan, after: Plan) -> set[tuple[str, str]]:
    """What is made again, or for the first time, for a reason of its own: what follows from it is Snakemake's matter."""
    return {key for key, said in after.items() if before.get(key) != said}


def declared(root: Path) -> list[studies.Study]:
    """The studies of the rules files."""
    made = []
    for path in sorted((root / "workflow/rules").glob("*.smk")):
        for block in re.findall(r"^study\(.*?^\)", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            exec(block, {"study": lambda name, **said: made.append(studies.declared(name, **said))})
    return made


def _stages(root: Path) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Kind of store: the rule that makes it, the method of Experiment that gives its spec, the script."""
    for path in sorted((root / "workflow/rules").glob("*.smk")):
        for rule, body in re.findall(
            r"^rule (\w+):\n((?:    .*\n|\n)*)", path.read_text(encoding="utf-8"), re.MULTILINE
        ):
            kind = re.search(r'output:\n        store\("([^"]+)"\)', body)
            script = re.search(r'script:\n        "\.\./scripts/(\w+)\.py"', body)
            if kind:
                stage = re.search(r"experiment\(w\)\.(\w+)\(w\.block\),\n        code|staged\(\"(\w+)\"", body)
                yield kind[1], (rule, stage[1] or stage[2], script[1])


def _kind(path: str, e: Experiment) -> tuple[str, dict[str, str]]:
    for kind, template in STORES.items():
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template))
        if found := re.fullmatch(pattern, _below(path, e)):
            return kind, found.groupdict()
    raise ValueError(f"no kind of store lies at {path}")


def _below(path: str, e: Experiment) -> str:
    return path.removeprefix(f"results/{e.name}/").removesuffix(".zarr.zip")


def _code(project: Project, root: Path, script: str, *specs: dict) -> str:
    return project.digest(root / f"workflow/scripts/{script}.py", *functions(*specs))


def _said(*values: object) -> str:
    return json.dumps(values, sort_keys=True)
