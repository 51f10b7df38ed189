"""DW-box, from small records whose numbers are counted by hand."""

import pandas as pd
from made_up import answers, boxed, only

from purity.studies import dw_box as study
from purity.studies import robustness

EIGHT = [
    answers(attack="clean", knowledge="none", fixed=[1, 1, 1, 0], fresh=[[1, 1, 0, 0], [1, 0, 0, 0]]),
    answers(attack="pgd-eot", knowledge="none", fixed=[0, 0, 0, 0], fresh=[[1, 1, 1, 0], [1, 1, 1, 1]]),
    answers(
        attack="pgd-eot",
        knowledge="forward",
        fixed=[1, 1, 1, 1],
        fresh=[[1, 1, 1, 1]],
        partly=[[1, 0, 0, 0], [1, 1, 0, 0]],
    ),
    answers(attack="pgd", knowledge="reverse", fixed=[0, 0, 0, 0], fresh=[[0, 0, 0, 0]], partly=[[1, 1, 0, 0]]),
    answers(attack="pgd", knowledge="all", fixed=[1, 0, 0, 0], fresh=[[1, 1, 1, 1]]),
]


def test_an_attack_and_the_one_that_averages_are_of_one_family():
    made = study.dw_box(EIGHT)
    of_all = made[(made["seed"] == "all") & (made["attack"] != "clean")]
    assert set(of_all["family"]) == {"pgd"}
    assert dict(zip(of_all["knowledge"], of_all["attack"], strict=True)) == {
        "none": "pgd-eot",
        "forward": "pgd-eot",
        "reverse": "pgd",
        "all": "pgd",
    }


def test_an_attack_averages_if_it_says_so_whatever_its_name():
    named = {"of-many-gradients": "pgd", "pgd-eot": None, "pgd-eot-20": "pgd-eot"}
    made = study.dw_box([answers(attack=name, eot_of=of) for name, of in named.items()])
    assert made[made["seed"] == "all"]["family"].tolist() == ["pgd", "pgd-eot", "pgd-eot"]


def test_who_knows_a_part_is_judged_with_the_rest_fresh_and_others_as_ever():
    made = study.dw_box(EIGHT)
    found = {
        knowledge: (row["judged"], row["mean"])
        for knowledge in ("none", "forward", "reverse", "all")
        for row in [only(made, family="pgd", knowledge=knowledge, seed="all")]
    }
    assert found == {
        "none": ("fresh", 7 / 8),
        "forward": ("rest-fresh", 3 / 8),
        "reverse": ("rest-fresh", 2 / 4),
        "all": ("fixed", 1 / 4),
    }


def test_clean_images_are_judged_under_both_and_are_a_family_of_their_own():
    clean = study.dw_box(EIGHT).query("attack == 'clean' and seed == 'all'")
    assert dict(zip(clean["judged"], clean["mean"], strict=True)) == {"fresh": 3 / 8, "fixed": 3 / 4}
    assert set(clean["family"]) == {"clean"}


def test_but_for_families_it_is_the_table_of_robustness():
    measured = boxed()["measured"]
    made, wanted = study.dw_box(measured), robustness.robustness(measured)
    assert list(made) == ["purifier", "attack", "family", *list(wanted)[2:]]
    pd.testing.assert_frame_equal(made.drop(columns="family"), wanted)
    assert len(made) == 2 * (2 + 8) * 3
