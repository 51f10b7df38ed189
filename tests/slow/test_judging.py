"""The tutorial of docs/judge-your-defence.md, word for word: its files, its commands, and what it says comes out."""

import re

import pandas as pd
import pytest
from workspace import ROOT, Workspace, block, once

TUTORIAL = (ROOT / "docs/judge-your-defence.md").read_text(encoding="utf-8")
R = "results/judged-quick"


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> Workspace:
    def make(folder):
        workspace = Workspace.fresh(folder)
        (folder / "config/config.yaml").write_bytes((ROOT / "config/config.yaml").read_bytes())
        (folder / "my_defence.py").write_text(block(TUTORIAL, "python", "# my_defence.py"), encoding="utf-8")
        (folder / "judge.yaml").write_text(block(TUTORIAL, "yaml", "# judge.yaml"), encoding="utf-8")
        (commands,) = re.findall(r"```\nmake install\n(.*?)```", TUTORIAL, re.DOTALL)
        said = [workspace.run(*line.removeprefix("uv run snakemake ").split()) for line in commands.splitlines()]
        (folder / "printed").write_text(said[-1], encoding="utf-8")

    return once(tmp_path_factory, "judged", make)


def numbers(judged) -> pd.DataFrame:
    return pd.read_csv(judged.path / f"{R}/tables/judgement-numbers.csv").set_index(["purifier", "quantity"])


def test_the_cost_is_said_before_the_first_attack(judged):
    printed = (judged.path / "printed").read_text(encoding="utf-8")
    assert "rounded: 454 gradients" in printed and "results/judged-quick/judgement.html" in printed
    assert "hours" in (judged.path / f"{R}/cost/judgement.txt").read_text(encoding="utf-8")


def test_the_defence_that_looks_robust_is_caught(judged):
    attacks = pd.read_csv(judged.path / f"{R}/tables/judgement.csv").query("seed == 'all' and attack == 'judge-pgd'")
    pgd = attacks.set_index(["purifier", "knowledge", "judged"])["mean"]
    assert pgd["rounded", "none", "fresh"] > pgd["noisy", "none", "fresh"] + 0.2  # it looks the better one
    known = numbers(judged)["mean"]
    assert pgd["rounded", "none", "fresh"] > known["rounded", "known"] + 0.5
    checks = pd.read_csv(judged.path / f"{R}/tables/judgement-checks.csv").set_index(["purifier", "quantity"])[
        "verdict"
    ]
    assert checks["rounded", "unseen"] == checks["rounded", "bpda"] == "failed"
    assert checks["noisy", "unseen"] != "failed" and checks["noisy", "bpda"] != "failed"


def test_the_page_says_so_in_its_first_line(judged):
    page = (judged.path / f"{R}/judgement.html").read_text(encoding="utf-8")
    rounded, noisy = re.findall(r'<p class="headline \w+">(.*?)</p>', page)
    assert rounded.startswith("It looks robust and is not what it looks.") and "looks" not in noisy


def test_the_tutorials_numbers_are_those_of_its_commands(judged):
    """Up to the machine that trains the classifier: within their own intervals."""
    found = numbers(judged)
    shown = re.findall(r"^\| `(\w+)` \| (\d+) % .*?\| (\d+) % .*?\| (\d+) % ", TUTORIAL, re.MULTILINE)
    assert {row[0] for row in shown} == {"rounded", "noisy", "undefended"}
    for name, *percents in shown:
        for quantity, percent in zip(("clean", "unknown", "known"), percents, strict=True):
            row = found.loc[name, quantity]
            assert row["low"] - 0.05 <= int(percent) / 100 <= row["high"] + 0.05, (name, quantity)


def test_again_there_is_nothing_to_do_and_a_defence_alone_computes_nothing_new(judged):
    assert judged.pending("judge", "--configfile", "judge.yaml") == []
    alone = judged.pending("judge", "--config", "defence=my_defence:rounded", "quick=True")
    assert {rule for rule, _ in alone} <= {"judgement_tables", "judgement_page", "judgement_cost", "calibrate"} | {
        "judgement_budget_figure",
        "judgement_repeats_figure",
    }
