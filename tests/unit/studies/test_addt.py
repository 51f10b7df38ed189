"""ADDT, from small records whose numbers are counted by hand."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawings import STOCHASTIC, bars_by_name, named, tables_of, together
from made_up import TUNED, answers, hardened, only
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from purity import stats
from purity.studies import addt as study
from purity.studies import drawing, robustness


def hundredfold(seed, vanilla, tuned, **of):
    """Two records of which the second is of the purifier fine-tuned from that of the first."""
    return [
        answers("ddpm", seed=seed, **{**of, **vanilla}),
        answers("tuned", seed=seed, vanilla="ddpm", ablation=False, **{**of, **tuned}),
    ]


PAIR = [
    *hundredfold(0, {"fixed": [1, 0, 0, 0]}, {"fixed": [1, 1, 1, 0]}),
    *hundredfold(1, {"fixed": [1, 1, 0, 0]}, {"fixed": [1, 1, 0, 0]}),
]


def test_what_is_gained_is_counted_image_by_image_over_seeds():
    row = only(study.addt(PAIR), measure="gain")
    gained = np.array([0, 0.5, 0.5, 0])
    assert (row["purifier"], row["attack"], row["knowledge"], row["judged"]) == ("tuned", "pgd", "all", "fixed")
    assert (row["seed"], row["seeds"], row["n"]) == ("all", 2, 4)
    assert (row["mean"], row["low"], row["high"]) == stats.mean_interval(gained)


def test_the_interval_is_of_pairs_and_not_of_two_accuracies():
    """Images are hard or easy; each is gained alike."""
    generator = np.random.default_rng(0)
    hard = np.sort(generator.random(1000)) < 0.5
    tuned = hard.copy()
    tuned[np.flatnonzero(~hard)[:100]] = True
    row = only(study.addt(hundredfold(0, {"fixed": hard}, {"fixed": tuned})), measure="gain")
    assert row["mean"] == pytest.approx(0.1)
    # √(.1·.9/1000), not √(2·.25/1000)
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * np.sqrt(0.09 / 1000), rel=0.01)


@pytest.mark.parametrize(("attack", "knowledge"), [("clean", "none"), ("pgd-eot", "none")])
def test_who_knows_nothing_gains_over_fresh_draws(attack, knowledge):
    """Also where numbers of draws or seeds differ: of each purifier its own mean counts."""
    of = {"attack": attack, "knowledge": knowledge, "fixed": [0, 0]}
    records = hundredfold(0, {"fresh": [[1, 0], [0, 0]]}, {"fresh": [[1, 1]]}, **of)
    records += hundredfold(1, {"fresh": [[0, 0], [0, 0]]}, {"fresh": [[1, 0]]}, **of)[:1]
    made = study.addt(records)
    row = only(made, measure="gain")
    assert (row["mean"], row["low"], row["high"]) == stats.mean_interval(np.array([1 - 0.25, 1 - 0]))
    assert row["judged"] == "fresh" and row["seeds"] == 1


def test_a_gain_is_the_difference_of_two_accuracies_of_the_table():
    made = study.addt(hardened()["measured"])
    of_all = made[made["seed"] == "all"]
    gains = of_all[of_all["measure"] == "gain"]
    assert len(gains) == 6
    for row in gains.itertuples():
        same = {"measure": "accuracy", "attack": row.attack, "knowledge": row.knowledge}
        tuned, vanilla = (only(of_all, purifier=purifier, **same) for purifier in (row.purifier, row.vanilla))
        assert row.mean == pytest.approx(tuned["mean"] - vanilla["mean"], abs=1e-12)
        assert row.low < row.mean < row.high


def test_accuracies_are_those_of_the_table_of_robustness():
    """Of clean images, those under fresh ξ."""
    measured = hardened()["measured"]
    made, wanted = study.addt(measured), robustness.robustness(measured)
    wanted = wanted[(wanted["attack"] != "clean") | (wanted["judged"] == "fresh")]
    found = made[made["measure"] == "accuracy"][list(wanted)]
    pd.testing.assert_frame_equal(found.reset_index(drop=True), wanted.reset_index(drop=True))


def test_vanilla_purifiers_have_no_gain():
    made = study.addt(hardened()["measured"])
    assert set(made[made["measure"] == "gain"]["purifier"]) == set(TUNED)
    assert made[made["purifier"] == "ddpm"]["vanilla"].isna().all()
    assert set(made[made["purifier"] == "ddpm-addt"]["vanilla"]) == {"ddpm"}


def test_a_purifier_tuned_from_one_that_was_tuned_has_its_gain_over_that_one():
    tuned = {"once": ("ddpm", False), "twice": ("once", True)}
    made = study.addt(hardened(tuned)["measured"])
    gains = made[made["measure"] == "gain"].groupby("purifier")["vanilla"].unique()
    assert gains.map(list).to_dict() == {"once": ["ddpm"], "twice": ["once"]}


def test_without_the_vanilla_purifier_under_the_same_attack_nothing_is_said_to_be_gained():
    tuned = PAIR[1]
    other = answers("ddpm", attack="pgd-eot", knowledge="none")
    for records in ([tuned], [tuned, other]):
        made = study.addt(records)
        assert set(made["measure"]) == {"accuracy"}
        assert only(made, purifier="tuned", seed="all")["mean"] == 0.75


def test_the_order_of_records_does_not_matter_to_a_gain():
    vanilla_last = only(study.addt(PAIR[::-1]), measure="gain")
    pd.testing.assert_series_equal(vanilla_last, only(study.addt(PAIR), measure="gain"), check_names=False)


def test_what_is_gained_by_several_trainings_has_the_interval_of_images_and_trainings():
    """Another training has a vanilla purifier of its own, and no row of what it gains."""
    fixed = {"ddpm": [1, 0, 0, 0], "tuned": [1, 1, 1, 0], "ddpm-1": [0, 0, 0, 0], "tuned-1": [1, 1, 0, 0]}
    said = {"tuned": {"vanilla": "ddpm"}, "tuned-1": {"vanilla": "ddpm-1", "again_of": "tuned"}}
    records = [answers(purifier, fixed=right, **said.get(purifier, {})) for purifier, right in fixed.items()]
    made = study.addt(records)
    row = only(made, measure="gain")
    assert (row["purifier"], row["trainings"], row["n"]) == ("tuned", 2, 4)
    gained = np.array([[0, 1, 1, 0], [1, 1, 0, 0]], float)
    assert (row["mean"], row["low"], row["high"]) == pytest.approx(stats.crossed_interval(gained))
    assert only(study.addt(records[:2]), measure="gain")["trainings"] == 1
    with drawing.style():
        figure = study.draw_addt(made)
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["ddpm", "tuned"]
    plt.close(figure)


def test_ablations_are_marked():
    made = study.addt(hardened()["measured"])
    assert made.groupby("purifier")["ablation"].unique().map(list).to_dict() == {
        "ddpm": [False],
        "ddpm-addt": [False],
        "ddpm-addt-no-rbgm": [True],
    }


def test_of_a_single_image_a_gain_has_no_interval():
    row = only(study.addt(hundredfold(0, {"fixed": [0]}, {"fixed": [1]})), measure="gain")
    assert row["mean"] == 1 and np.isnan(row["low"]) and np.isnan(row["high"])


# The figure.


UNDERS = {("clean", "none"): "clean", ("pgd-eot", "none"): "white-box EOT", ("pgd", "all"): "DW-box"}


@pytest.mark.parametrize("case", STOCHASTIC["addt"])
def test_bars_are_the_accuracies_of_vanilla_and_fine_tuned_purifiers(case, drawn):
    figure, tables, *_ = drawn("addt", case)
    table = together(tables["addt"], measure="accuracy")
    wanted = {(row.purifier, UNDERS[row.attack, row.knowledge]): row.mean for row in table.itertuples()}
    assert list(named(figure)) == list(UNDERS.values())
    left = figure.axes[0]
    assert bars_by_name(left, figure) == wanted and len(wanted) == 3 * table["purifier"].nunique()
    assert [under for _, under in bars_by_name(left, figure)] == table["purifier"].nunique() * list(UNDERS.values())
    assert [text.get_text() for text in left.get_xticklabels()] == list(table["purifier"].unique())


def gains(figure: Figure) -> dict[tuple[str, str], list[float]]:
    """Mean, low and high by purifier and label, as drawn to the right."""
    right = figure.axes[1]
    tuned, shown = [text.get_text() for text in right.get_yticklabels()], {}
    label = {colour: name for name, colour in named(figure).items()}
    for container in right.containers:
        points, _, (lines,) = container.lines
        assert to_hex(points.get_color()) == to_hex(lines.get_color()[0])
        for x, y, segment in zip(*points.get_data(), lines.get_segments(), strict=True):
            shown[tuned[round(y)], label[to_hex(points.get_color())]] = [x, *segment[:, 0]]
    return shown


@pytest.mark.parametrize("case", [case for case in STOCHASTIC["addt"] if case != "one image"])
def test_to_the_right_is_what_the_fine_tuned_ones_gain_with_its_interval(case, drawn):
    figure, tables, *_ = drawn("addt", case)
    table = together(tables["addt"], measure="gain")
    found = gains(figure)
    assert len(found) == len(table) == 3 * table["purifier"].nunique()
    for row in table.itertuples():
        numbers = found[row.purifier, UNDERS[row.attack, row.knowledge]]
        assert numbers == pytest.approx([row.mean, row.low, row.high], abs=1e-12)
    assert "gained" in figure.axes[1].get_xlabel()


def test_a_gain_without_an_interval_is_a_point(drawn):
    figure, tables, *_ = drawn("addt", "one image")
    table = together(tables["addt"], measure="gain")
    assert table["low"].isna().all()
    found = [x for container in figure.axes[1].containers for x in container.lines[0].get_xdata()]
    assert sorted(found) == sorted(table["mean"])


def test_without_gains_there_are_the_accuracies(tmp_path):
    made = {"measured": [r for r in hardened()["measured"] if r.keys["purifier"] != "ddpm"]}
    with drawing.style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = study.draw_addt(tables_of("addt", made, tmp_path)["addt"])
        figure.draw_without_rendering()
    assert len(bars_by_name(figure.axes[0], figure)) == 6
    assert not [x for container in figure.axes[1].containers for x in container.lines[0].get_xdata()]
    plt.close(figure)
