"""What the README says under its first figure is what the kept run measured."""

import json
import re

import pandas as pd
from made_up import only
from workspace import ROOT

from purity.studies.drawing import all_seeds

KEPT = ROOT / "docs/fashion-mnist"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def accuracy(**keys) -> str:
    """Mean over images and seeds, as the README writes it."""
    row = only(all_seeds(pd.read_csv(KEPT / "tables/robustness.csv")), **keys)
    return f"{100 * row['mean']:.1f} %"


def test_the_numbers_under_the_first_figure_are_those_of_the_run_it_is_of():
    figure, caption = re.search(r"!\[[^]]*\]\((\S+)\)\n\n\*(.+?)\*\n\n", README, re.DOTALL).groups()
    assert (ROOT / figure).is_relative_to(KEPT) and (ROOT / figure).exists()
    said = re.findall(r"\d+\.\d %", " ".join(caption.split()))
    assert said == [
        accuracy(purifier="identity", attack="clean", judged="fresh"),
        accuracy(purifier="identity", attack="pgd"),
        accuracy(purifier="ddpm", attack="pgd", knowledge="none"),
        accuracy(purifier="ddpm", attack="standard-eot", knowledge="none"),
        accuracy(purifier="ddpm", attack="standard", knowledge="all"),
    ]


def test_the_run_says_what_made_it():
    run = json.loads((KEPT / "run.json").read_text(encoding="utf-8"))
    assert run["jobs"] > 100 and run["versions"]["torch"] and run["devices"]
    assert set(run["commits"]) and len(run["kept_at_commit"]) == 40
