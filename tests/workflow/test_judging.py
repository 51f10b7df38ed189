"""`snakemake judge` plans the whole protocol; tests/slow runs it as the tutorial does."""

import pytest
import yaml
from workspace import Workspace

JUDGE = {"dataset": "digits", "classifier": "small", "epsilon": 0.14, "images": 6}
JUDGE |= {"attacks": {"known": "pgd", "unknown": "box-eot"}, "beside": ["ddpm"]}


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    workspace = Workspace.fresh(tmp_path / "new")
    (workspace.path / "mine.yaml").write_text(yaml.safe_dump({"judge": JUDGE}), encoding="utf-8")
    (workspace.path / "mine.py").write_text("def defend(x):\n    return x\n", encoding="utf-8")
    return workspace


def test_it_attacks_the_defence_what_is_beside_it_and_the_classifier_alone(workspace):
    planned = workspace.pending("judge", "--configfile", "mine.yaml", "--config", "defence=mine:defend")
    rules, made = {rule for rule, _ in planned}, {output for _, output in planned}
    assert {"results/judged/judgement.html", "results/judged/cost/judgement.txt"} <= made
    assert {"train_classifier", "train_diffusion", "calibrate", "fuzzy", "judgement_tables"} <= rules
    attacked = {path.split("/")[3] for path in made if path.startswith("results/judged/adversarial/")}
    assert attacked == {"any", "defend", "ddpm", "undefended"}
    assert not [path for path in made if path.startswith("results/tiny")]


def test_without_a_defence_it_says_how_to_name_one(workspace):
    printed = workspace.run("judge", "-n", "--configfile", "mine.yaml", fails=True)
    assert "config: judge.defences: there is none to judge" in printed and "Traceback" not in printed
