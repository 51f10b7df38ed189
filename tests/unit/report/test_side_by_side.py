"""Two experiments, paired by image."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from purity import stats
from purity.report import pages
from purity.report.side_by_side import paired
from purity.run.experiment import Cell, Experiment
from purity.run.inheritance import inherited, seen_by
from purity.run.pairs import differences, shared
from purity.studies.records import Record
from unit.report.test_pages import Page

ROOT = Path(__file__).parents[3]

CELLS = [Cell("ddpm", "clean", "none"), Cell("ddpm", "pgd", "all")]


def records(right: float, seeds=(0, 1), n=40, worse=()) -> list[Record]:
    """The same images for all: hardness is the image's. worse: images that are wrong whatever happens."""
    hardness = np.random.default_rng(0).random((2, n))
    made = []
    for cell in CELLS:
        for seed in seeds:
            correct = (hardness[seed] < right) & ~np.isin(np.arange(n), worse)
            arrays = {"correct_fixed": correct, "correct_varying": correct[None]}
            arrays |= dict.fromkeys(("alpha", "l2_after", "linf_after", "ssim_after"), hardness[seed] * right)
            made.append(Record(cell._asdict() | {"seed": seed}, arrays))
    return made


def test_beside_itself_nothing_differs():
    table = paired(records(0.7), records(0.7), CELLS, 40)
    assert (table["difference"] == 0).all() and (table["one"] == table["other"]).all()
    accuracy = table[table["measure"] == "accuracy"]
    assert (accuracy["low"] < 0).all() and (accuracy["high"] > 0).all()  # 40 images that agree: others may differ


def test_differences_are_of_the_same_images_and_their_interval_is_that_of_paired_values():
    table = paired(records(0.7), records(0.7, worse=[3, 4, 5, 6]), CELLS, 40).set_index(["attack", "measure"])
    one, other = (
        np.mean([r.arrays["correct_fixed"] for r in made if r.keys["attack"] == "pgd"], axis=0)
        for made in (records(0.7), records(0.7, worse=[3, 4, 5, 6]))
    )
    row = table.loc["pgd", "accuracy"]
    assert (row["one"], row["other"]) == (one.mean(), other.mean())
    assert tuple(row[["difference", "low", "high"]]) == pytest.approx(stats.mean_interval(other - one))
    unpaired = np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 40)
    assert row["high"] - row["low"] < 2 * 1.9 * unpaired  # pairing tells more than two samples would


def test_only_images_that_both_have_and_finite_values_count():
    few, many = records(0.7, n=40), records(0.7, n=40)
    for r in many:
        r.arrays["alpha"] = np.where(np.arange(40) < 2, np.nan, r.arrays["alpha"])
    table = paired(few, many, CELLS, 10).set_index(["attack", "measure"])
    assert table.loc[("pgd", "accuracy"), "n"] == 10 and table.loc[("pgd", "compression rate α"), "n"] == 8


@pytest.fixture
def tiny():
    return yaml.safe_load((ROOT / "tests/tiny/config.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def pair(tiny):
    said = {"like": "tiny", "images": 4, "presets": {"attacks": {"pgd": {"options": {"epsilon": 0.3}}}}}
    config = inherited({**tiny, "experiments": {**tiny["experiments"], "strong": said}})
    return tuple(Experiment(seen_by(config, name), name) for name in ("tiny", "strong"))


def test_what_differs_is_named_by_its_key(pair):
    assert differences(*pair) == [
        ("images", "6", "4"),
        ("attacks.pgd.options.epsilon", "0.14", "0.3"),
    ]


def test_what_cannot_be_paired_is_refused(pair):
    one, other = pair
    assert Cell("ddpm", "pgd", "all") in shared(one, other)
    with pytest.raises(ValueError, match="beside itself"):
        shared(one, one)
    other.config["datasets"] = {"digits": {"load": "purity.data:torchvision"}}
    other.presets.config["datasets"] = other.config["datasets"]
    with pytest.raises(ValueError, match="have other images"):
        shared(one, other)


def test_the_page_says_what_differs_and_each_difference():
    table = paired(records(0.9), records(0.3), CELLS, 40)
    page = Page(pages.side_by_side(table, [("attacks.<pgd>", "0.14", "0.3")], "one", "other"))
    config, accuracy, *_ = page.tables
    assert config[1] == ["attacks.<pgd>", "0.14", "0.3"]
    assert accuracy[0] == ["purifier", "attack, who knows", "one", "other", "difference", "n"]
    assert [row[:2] for row in accuracy[1:]] == [["ddpm", "clean"], ["ddpm", "pgd, all"]]
    assert len(page.said["b"]) >= 2  # differences whose interval leaves out 0
