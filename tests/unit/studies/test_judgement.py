"""Verdicts from made-up records whose answers are known."""

from itertools import product

import numpy as np
import pytest
from made_up import only

from purity import stats
from purity.studies import judgement as study
from purity.studies.records import Record

N, DRAWS = 200, 4
PROTOCOL = {  # attack: (part, knowledge)
    "judge-noise": ("noise", "none"),
    "judge-pgd": ("first", "none"),
    "judge-pgd-eot": ("first", "none"),
    "judge-standard": ("strongest", "all"),
    "judge-standard-eot": ("strongest", "none"),
    "judge-bpda": ("bpda", "all"),
    "judge-longer": ("longer", "all"),
    "judge-longer-eot": ("longer", "none"),
    "judge-bpda-longer-eot": ("longer", "none"),
    "judge-x2": ("budget", "all"),
    "judge-x8": ("budget", "all"),
}
REAL = {  # share of images that is right: under the fixed ξ, under fresh ones
    "clean": (0.95, 0.9),
    "judge-noise": (0.9, 0.9),
    "judge-pgd": (0.8, 0.7),
    "judge-pgd-eot": (0.7, 0.65),
    "judge-standard": (0.4, 0.7),
    "judge-standard-eot": (0.6, 0.6),
    "judge-bpda": (0.5, 0.7),
    "judge-longer": (0.4, 0.7),
    "judge-longer-eot": (0.6, 0.6),
    "judge-bpda-longer-eot": (0.8, 0.8),  # the weaker one
    "judge-x2": (0.1, 0.5),
    "judge-x8": (0.0, 0.0),
}
ALONE = dict.fromkeys(("judge-pgd", "judge-standard"), (0.1, 0.1)) | {"clean": (1.0, 1.0)}


def first(share: float) -> np.ndarray:
    """The first so many images are right: attacks are nested, so that the worst is that of the smallest share."""
    return np.arange(N) < round(share * N)


def records(purifier: str, shares: dict, zero: tuple = (), seeds=(0,)) -> list[Record]:
    """zero: attacks whose gradients are."""
    made = []
    for (attack, (fixed, fresh)), seed in product(shares.items(), seeds):
        part, knowledge = PROTOCOL.get(attack, (None, "none"))
        keys = {"purifier": purifier, "attack": attack, "knowledge": knowledge, "seed": seed}
        scale = float(attack.partition("-x")[2] or 1)
        keys |= {} if part is None else {"part": part, "scale": scale}
        arrays = {"correct_fixed": first(fixed), "correct_varying": np.tile(first(fresh), (DRAWS, 1))}
        arrays |= {"alpha": np.full(N, 0.5)}
        if part not in (None, "noise"):
            zeros = {"zero_gradients": np.full(N, float(attack in zero)), "non_finite_gradients": np.zeros(N)}
            arrays |= zeros | {"gradients": np.full(N, 10)}
        made.append(Record(keys, arrays))
    return made


MEASURED = [*records("undefended", ALONE), *records("mine", REAL)]


def judgings(purifier: str, attack: str, right: float, r: int = 20) -> Record:
    generator = np.random.default_rng(1)
    keys = {"purifier": purifier, "attack": attack, "knowledge": "none", "seed": 0}
    return Record(keys, {"predictions": (generator.random((r, N)) >= right).astype(np.int16), "y": np.zeros(N, int)})


JUDGED = [judgings("mine", "clean", 0.9), judgings("mine", "judge-standard-eot", 0.6)]


def number(quantity, measured=MEASURED, purifier="mine"):
    return only(study.judgement_numbers(measured, JUDGED), quantity=quantity, purifier=purifier)


def test_known_is_the_worst_of_all_attacks_image_by_image():
    assert number("known")["mean"] == 0.4
    shares = REAL | {"judge-standard": (1.0, 1.0), "judge-longer": (1.0, 1.0)}
    other = records("mine", shares)
    for r in other:  # one attack takes the first half of the images, another the second
        if r.keys["attack"] == "judge-bpda":
            r.arrays["correct_fixed"][:] = np.arange(N) < N / 2
        if r.keys["attack"] == "judge-longer":
            r.arrays["correct_fixed"][:] = np.arange(N) >= N / 2
    assert number("known", [*records("undefended", ALONE), *other])["mean"] == 0


def test_larger_budgets_are_no_part_of_what_is_known():
    assert number("known")["mean"] == 0.4 and REAL["judge-x8"][0] == 0


def test_unknown_is_the_attack_that_leaves_least_under_fresh_noise_and_says_which():
    row = number("unknown")
    assert (row["mean"], row["by"]) == (0.6, "judge-standard-eot")
    transferred = REAL | {"judge-bpda": (0.5, 0.3)}
    row = number("unknown", [*records("undefended", ALONE), *records("mine", transferred)])
    assert (row["mean"], row["by"]) == (0.3, "judge-bpda, made for another ξ")


def test_luck_gain_and_cost_are_differences_of_the_same_images():
    for quantity, expected in (("luck", 0.2), ("gain", 0.3), ("cost", 0.1), ("alpha", 0.5)):
        row = number(quantity)
        assert row["mean"] == pytest.approx(expected) and row["low"] <= expected <= row["high"] and row["n"] == N
    _, low, high = stats.mean_interval(first(0.6).astype(float) - first(0.4))
    assert (number("luck")["low"], number("luck")["high"]) == pytest.approx((low, high))


def test_repeated_judging_has_its_control():
    clean = JUDGED[0].arrays["predictions"] == 0
    assert number("resubmission")["mean"] == pytest.approx(clean.mean() - 0.9**10, abs=0.05)
    assert number("vote")["mean"] > 0.2  # 0.6 is a majority


def test_every_attack_has_its_row_judged_as_its_knowledge_means_it_and_as_a_transfer():
    made = study.judgement(MEASURED)
    assert only(made, purifier="mine", attack="judge-standard", seed="all", judged="fixed")["mean"] == 0.4
    assert only(made, purifier="mine", attack="judge-standard", seed="all", judged="fresh")["mean"] == 0.7
    assert set(made[made["attack"] == "judge-pgd-eot"]["judged"]) == {"fresh"}
    assert only(made, purifier="mine", attack="judge-x8", seed="all", judged="fixed")["scale"] == 8
    assert made["zero_gradients"].notna().sum() == (~made["attack"].isin(["clean", "judge-noise"])).sum()


# Checks.


def checks(shares: dict, zero: tuple = ()) -> dict[str, str]:
    table = study.judgement_checks([*records("undefended", ALONE), *records("mine", shares, zero)])
    assert set(table["purifier"]) == {"mine"}  # not of the classifier alone
    return dict(zip(table["quantity"], table["verdict"], strict=True))


def test_a_defence_whose_attacks_agree_passes_every_check():
    assert checks(REAL | {"judge-bpda": (0.42, 0.7)}) == dict.fromkeys(
        ("unseen", "bpda", "steps", "steps-unknown", "knowing", "budget"), "passed"
    )


@pytest.mark.parametrize(
    ("shares", "zero", "failed"),
    [
        ({}, ("judge-standard",), {"unseen"}),
        ({"judge-bpda": (0.1, 0.7)}, (), {"bpda"}),
        ({"judge-longer": (0.1, 0.7)}, (), {"steps"}),
        ({"judge-longer-eot": (0.4, 0.4)}, (), {"steps-unknown"}),
        ({"judge-bpda-longer-eot": (0.4, 0.4)}, (), {"steps-unknown"}),
        ({"judge-pgd-eot": (0.2, 0.2), "judge-longer-eot": (0.2, 0.2)}, (), {"knowing"}),
        ({"judge-x8": (0.3, 0.3)}, (), {"budget"}),
    ],
)
def test_each_way_to_fall_short_fails_its_own_check(shares, zero, failed):
    said = checks(REAL | shares, zero)
    assert {name for name, verdict in said.items() if verdict == "failed"} == failed


def test_what_is_undecided_says_how_many_images_would_decide():
    table = study.judgement_checks(
        [*records("undefended", ALONE), *records("mine", REAL | {"judge-longer": (0.36, 0.7)})]
    )
    row = only(table, quantity="steps")
    assert row["verdict"] == "undecided" and N < row["needed"] < 100 * N
    decided = table[table["verdict"] != "undecided"]
    assert decided["needed"].isna().all() and len(decided) == len(table) - 1


def test_without_a_gradient_there_is_nothing_to_compare_bpda_with():
    shares = {name: share for name, share in REAL.items() if "bpda" in name or name in ("clean", "judge-noise")}
    shares |= {"judge-longer": (0.5, 0.7)}
    assert not {"unseen", "bpda"} & checks(shares).keys()


def test_seeds_are_averaged_image_by_image():
    twice = [*records("undefended", ALONE, seeds=(0, 1)), *records("mine", REAL, seeds=(0, 1))]
    for quantity in ("clean", "known", "luck", "gain"):
        one, two = number(quantity), number(quantity, twice)
        assert one["mean"] == pytest.approx(two["mean"]) and one["n"] == two["n"]
        assert two["low"] == pytest.approx(one["low"], abs=0.02)  # repeats that add nothing narrow nothing


# Curves and comparison.


def test_the_curve_by_budget_begins_clean_and_goes_through_what_is_known():
    made = study.judgement_curves(MEASURED, JUDGED)
    mine = made[(made["curve"] == "budget") & (made["purifier"] == "mine")]
    assert mine["x"].tolist() == [0, 1, 2, 8] and mine["mean"].tolist() == [0.95, 0.4, 0.1, 0]
    tries = made[(made["curve"] == "tries") & (made["attack"] == "clean")]
    assert tries["x"].tolist() == [1, 2, 3, 5, 10, 20] and (np.diff(tries["mean"]) < 0).all()


@pytest.mark.parametrize("draw", [study.draw_judgement_budget, study.draw_judgement_repeats])
def test_figures_have_a_line_for_each_defence_or_attack(draw):
    figure = draw(study.judgement_curves(MEASURED, JUDGED))
    assert len(figure.axes[0].lines) == (2 if draw is study.draw_judgement_budget else 4)


def test_pairs_are_compared_image_by_image_and_decided_for_all_of_them_together():
    other = records("other", REAL | {"judge-standard": (0.38, 0.7), "judge-longer": (0.38, 0.7)})
    made = study.judgement_compared([*MEASURED, *other])
    assert len(made) == 3 * 3
    row = only(made, first="mine", second="other", quantity="known")
    assert row["mean"] == pytest.approx(0.02) and row["verdict"] == "undecided" and row["needed"] > N
    assert only(made, first="undefended", second="mine", quantity="known")["verdict"] == "less"
    assert only(made, first="undefended", second="mine", quantity="clean")["verdict"] == "more"
    # images that differ are the same ones: two in a hundred, far fewer than two independent samples could tell
    assert row["high"] - row["low"] < 0.05
