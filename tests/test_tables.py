"""Tables from small records whose answers are known."""

import numpy as np
import pandas as pd
import pytest
from made_up import experiment, keys

from purity import stats, tables
from purity.tables import Record

X0 = np.full((2, 1, 4, 4), 0.5)


def only(table: pd.DataFrame, **wanted) -> pd.Series:
    """The one row with these keys."""
    chosen = table[np.logical_and.reduce([table[key] == value for key, value in wanted.items()])]
    assert len(chosen) == 1, f"{len(chosen)} rows of {wanted}"
    return chosen.iloc[0]


def measured(purifier="ddpm", attack="pgd", knowledge="all", seed=0, **arrays) -> Record:
    return Record(keys(purifier, attack, knowledge, seed), {name: np.array(value) for name, value in arrays.items()})


def outcomes(seed: int, fixed: list[int], varying: list[list[int]], **named) -> Record:
    right = {"correct_fixed": fixed, "correct_varying": varying}
    right |= {"correct_partly": named.pop("partly")} if "partly" in named else {}
    return measured(seed=seed, **named, **{name: np.array(of, bool) for name, of in right.items()})


# Robustness.


def test_an_accuracy_is_the_share_of_right_answers_per_seed_and_over_all():
    made = tables.robustness([outcomes(0, [1, 1, 0, 0], [[1, 1, 1, 1]]), outcomes(1, [1, 0, 0, 0], [[0, 0, 0, 0]])])
    assert [only(made, seed=seed)["mean"] for seed in (0, 1, "all")] == [0.5, 0.25, 0.375]
    together = only(made, seed="all")
    assert (together["n"], together["seeds"]) == (4, 2)
    assert together["std"] == pytest.approx(0.25 / np.sqrt(2))  # over the two seeds
    stacked = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool)
    assert (together["low"], together["high"]) == stats.share_interval(stacked)


def test_fresh_draws_of_one_seed_are_counted_together_and_the_spread_is_over_seeds():
    records = [
        outcomes(0, [1, 1], [[1, 1], [1, 0]], knowledge="none"),
        outcomes(1, [1, 1], [[0, 0], [1, 0]], knowledge="none"),
    ]
    together = only(tables.robustness(records), seed="all")
    assert together["mean"] == 0.5 and together["std"] == pytest.approx(0.5 / np.sqrt(2))  # of .75 and .25
    assert only(tables.robustness(records), seed=0)["mean"] == 0.75


@pytest.mark.parametrize(
    ("attack", "knowledge", "judged"),
    [
        ("clean", "none", {"fresh", "fixed"}),
        ("pgd", "none", {"fresh"}),
        ("pgd", "all", {"fixed"}),
        ("pgd", "forward", {"rest-fresh"}),
        ("pgd", "reverse", {"rest-fresh"}),
    ],
)
def test_an_attack_is_judged_as_its_knowledge_means_it(attack, knowledge, judged):
    right = outcomes(0, [1, 1], [[0, 0]], partly=[[0, 1]], attack=attack, knowledge=knowledge)
    made = tables.robustness([right])
    assert set(made["judged"]) == judged
    assert {(j, m) for j, m in zip(made["judged"], made["mean"], strict=True)} <= {
        ("fixed", 1.0),
        ("fresh", 0.0),
        ("rest-fresh", 0.5),
    }


def test_one_seed_has_no_spread():
    made = tables.robustness([outcomes(0, [1, 0], [[1, 0]])])
    assert np.isnan(only(made, seed="all")["std"]) and only(made, seed="all")["seeds"] == 1


# Trajectories and distances.


def test_a_trajectory_has_a_row_for_each_state_over_all_seeds():
    record = lambda seed, shift: measured(  # noqa: E731
        seed=seed,
        path_time=[0, 50, 100],
        path_l2=np.array([[1, 3], [4, 6], [2, 2]]) + shift,
        path_linf=np.zeros((3, 2)),
    )
    made = tables.trajectory([record(0, 0), record(1, 2)])
    l2 = made[made["distance"] == "l2"]
    assert l2["time"].tolist() == [0, 50, 100] and l2["step"].tolist() == [0, 1, 2]
    assert l2["mean"].tolist() == [3, 6, 3]  # of (1, 3, 3, 5), (4, 6, 6, 8), (2, 2, 4, 4)
    assert l2["n"].tolist() == [4, 4, 4] and set(l2["seeds"]) == {2}
    assert l2["std"].iloc[2] == pytest.approx(np.std([2, 2, 4, 4], ddof=1))


def test_distances_are_spread_over_images_before_and_after():
    arrays = {f"{m}_{w}": [1.0, 3.0] for m in ("l2", "linf", "ssim") for w in ("before", "after")}
    arrays["ssim_after"] = [0.5, np.nan]
    made = tables.distances([measured(seed=0, **arrays), measured(seed=1, **arrays)])
    row = only(made, measure="l2", when="before", seed="all")
    assert (row["n"], row["mean"]) == (4, 2.0) and row["std"] == pytest.approx(np.std([1, 3, 1, 3], ddof=1))
    assert only(made, measure="ssim", when="after", seed=0)["n"] == 1
    assert not (made["measure"] == "frechet-classifier").any()


def test_a_frechet_distance_is_of_all_images_and_spread_over_seeds():
    arrays = {f"{m}_{w}": [1.0, 3.0, 2.0] for m in ("l2", "linf", "ssim") for w in ("before", "after")}
    of_seed = lambda seed, value: measured(seed=seed, **arrays, frechet_before=[0.0], frechet_after=[value])  # noqa: E731
    made = tables.distances([of_seed(0, 1.0), of_seed(1, 2.0)])
    row = only(made, measure="frechet-classifier", when="after", seed="all")
    assert (row["mean"], row["n"], row["seeds"]) == (1.5, 3, 2) and row["std"] == pytest.approx(1 / np.sqrt(2))
    assert np.isnan(only(made, measure="frechet-classifier", when="after", seed=0)["std"])


# Transfer.


def perturbed(*eta: np.ndarray, **named) -> Record:
    return Record(keys(**named), {"x": X0 + 0.1 * np.stack(eta)})


def pattern(i: int) -> np.ndarray:
    """Walsh functions: (1, 4, 4), of mean zero, norm 1, orthogonal to one another."""
    signs = np.array([(-1) ** bin(i & j).count("1") for j in range(16)])
    return signs.reshape(1, 4, 4) / 4


def test_correlations_are_over_all_pairs_of_different_seeds():
    """Perturbations that share a pattern with weight c have correlation c."""
    c = 0.3
    mixed = c * pattern(1) + np.sqrt(1 - c**2) * pattern(2)
    fixed = [perturbed(pattern(1), pattern(1), purifier="ddpm", attack="pgd", knowledge="all", seed=0)]
    fixed += [perturbed(mixed, -mixed, purifier="ddpm", attack="pgd", knowledge="all", seed=1)]
    eot = [perturbed(pattern(3), pattern(3), purifier="ddpm", attack="eot", knowledge="none", seed=0)]
    eot += [perturbed(pattern(1), pattern(1), purifier="ddpm", attack="eot", knowledge="none", seed=1)]
    made = tables.transfer([], fixed + eot, [Record({}, {"x": X0})])
    same = only(made, attack="pgd", other="pgd")
    assert same["seeds"] == 1 and same["n"] == 2  # one pair of seeds, two images
    assert same["mean"] == pytest.approx(0, abs=1e-12) and same["std"] == pytest.approx(2 * c / np.sqrt(2))  # c and −c
    across = only(made, attack="eot", other="pgd")
    assert across["seeds"] == 2 and across["n"] == 4
    assert across["mean"] == pytest.approx((0 + 0 + 1 + 1) / 4)  # seed 0 with 1: 0, seed 1 with 0: 1
    assert len(made) == 2  # nothing is compared with an attack that does not know ξ


def test_purifiers_are_not_compared_with_each_other():
    records = [
        perturbed(pattern(1), pattern(2), purifier=purifier, attack="pgd", knowledge="all", seed=seed)
        for purifier in ("ddpm", "ddim")
        for seed in (0, 1, 2)
    ]
    made = tables.transfer([], records, [Record({}, {"x": X0})])
    assert made["purifier"].tolist() == ["ddpm", "ddim"] and made["seeds"].tolist() == [3, 3]
    assert made["mean"].to_numpy() == pytest.approx([1, 1])


def test_one_seed_has_no_pairs():
    record = perturbed(pattern(1), pattern(2), purifier="ddpm", attack="pgd", knowledge="all", seed=0)
    assert tables.transfer([], [record], [Record({}, {"x": X0})]).empty


def test_what_knows_the_randomness_is_judged_under_it_and_under_another():
    records = [outcomes(0, [0, 0], [[1, 1]], knowledge="all"), outcomes(0, [0, 0], [[1, 0]], knowledge="none")]
    records += [outcomes(0, [1, 1], [[1, 1]], attack="clean", knowledge="none")]
    made = tables.transfer(records, [], [Record({}, {"x": X0})])
    assert only(made, knowledge="all", judged="fixed", seed="all")["mean"] == 0.0
    assert only(made, knowledge="all", judged="fresh", seed="all")["mean"] == 1.0
    assert only(made, knowledge="none", judged="fresh", seed="all")["mean"] == 0.5
    assert len(made) == 6 and "clean" not in set(made["attack"])


# Compression.


def test_compression_is_split_by_outcome():
    records = [
        measured(seed=0, alpha=[1.0, 2.0, 3.0], correct_fixed=np.array([1, 1, 0], bool)),
        measured(seed=1, alpha=[4.0, 5.0, 6.0], correct_fixed=np.array([0, 0, 0], bool)),
    ]
    made = tables.compression(records)
    means = {o: only(made, measure="alpha", outcome=o, seed="all")["mean"] for o in ("any", "robust", "fooled")}
    assert means == {"any": 3.5, "robust": 1.5, "fooled": 4.5}
    nobody = only(made, measure="alpha", outcome="robust", seed=1)
    assert nobody["n"] == 0 and np.isnan(nobody["mean"])
    assert only(made, measure="alpha", outcome="robust", seed="all")["n"] == 2
    assert only(made, measure="accuracy", seed="all")["mean"] == pytest.approx(1 / 3)


def test_the_outcomes_together_are_all_images():
    made = tables.compression(experiment({"ddpm": {"pgd": ["all"]}}, [0, 1])["measured"])
    for seed in (0, 1, "all"):
        row = {o: only(made, measure="alpha", outcome=o, seed=seed) for o in ("any", "robust", "fooled")}
        assert row["any"]["n"] == row["robust"]["n"] + row["fooled"]["n"]
        total = sum(row[o]["n"] * row[o]["mean"] for o in ("robust", "fooled"))
        assert row["any"]["n"] * row["any"]["mean"] == pytest.approx(total)


def test_what_does_not_know_the_randomness_is_not_split_and_clean_images_have_no_rate():
    made = tables.compression(experiment({"ddpm": {"uniform": ["none"], "pgd": ["none"]}}, [0])["measured"])
    assert set(made["outcome"]) == {"any"} and set(made["attack"]) == {"uniform", "pgd"}
    assert dict(zip(made["attack"], made["blind"], strict=True)) == {"uniform": True, "pgd": False}


# Balls.


def ball(seed: int, value: float, purifier: str = "ddpm") -> Record:
    per_image = ("directions_xi", "directions_input", "variance_total", "variance_input", "variance_internal", "snr")
    arrays = {name: np.array([value, value + 2]) for name in per_image}
    arrays |= {f"centroid_{v}": np.array([[[1.0, 3.0]], [[value, value]]]) for v in ("input", "xi", "both")}
    arrays |= {"centroid_initial": np.array([[1.0, 3.0], [value, value]])}
    arrays |= {"matrix_xi": np.array([[1.0, 0.2], [0.2, 1.0]]), "matrix_input": np.full((3, 3), value)}
    return Record({"purifier": purifier, "seed": seed}, arrays)


@pytest.mark.parametrize(
    ("table", "which"),
    [
        (tables.directions, {"varied": "xi"}),
        (tables.directions, {"varied": "input"}),
        (tables.variance, {"component": "snr"}),
    ],
)
def test_measures_of_balls_are_spread_over_images_and_seeds(table, which):
    made = table([ball(0, 0.0), ball(1, 1.0)])
    assert only(made, seed=0, **which)["mean"] == 1.0
    together = only(made, seed="all", **which)
    assert (together["mean"], together["n"], together["seeds"]) == (1.5, 4, 2)  # of 0, 2, 1, 3


def test_an_infinite_ratio_is_left_out_and_not_counted():
    record = ball(0, 1.0)
    record.arrays["snr"] = np.array([np.inf, 4.0])
    row = only(tables.variance([record]), component="snr", seed="all")
    assert (row["n"], row["mean"]) == (1, 4.0)


def test_distances_to_centroids_are_averaged_image_by_image():
    made = tables.centroids([ball(0, 4.0)])
    for varied in ("initial", "input", "xi", "both"):
        row = only(made, varied=varied, seed="all")
        assert (row["mean"], row["n"]) == (3.0, 2) and row["std"] == pytest.approx(np.sqrt(2))  # of the means 2 and 4


def test_a_histogram_integrates_to_one_and_holds_every_distance():
    made = tables.centroids_histogram([ball(0, 4.0), ball(1, 0.5)], bins=8)
    assert len(made) == 4 * 8
    for _, bars in made.groupby("varied"):
        assert (bars["density"] * (bars["right"] - bars["left"])).sum() == pytest.approx(1)
        assert bars["left"].iloc[0] == 0 and bars["right"].iloc[-1] == 4
        assert bars["left"].tolist()[1:] == bars["right"].tolist()[:-1]
        assert set(bars["n"]) == {8}


def test_the_matrices_are_those_of_the_first_seed_entry_by_entry():
    made = tables.directions_matrix([ball(1, 7.0), ball(0, 5.0)])
    over_xi = made[made["varied"] == "xi"].pivot(index="i", columns="j", values="correlation")
    assert over_xi.to_numpy().tolist() == [[1, 0.2], [0.2, 1]]
    assert (made[made["varied"] == "input"]["correlation"] == 5.0).all() and set(made["seed"]) == {0}


# All of them.

ATTACKED = {
    "identity": {"pgd": ["none"]},
    "ddpm": {"uniform": ["none"], "pgd": ["none", "all"], "bpda": ["all", "reverse"]},
}


def every(made: dict) -> dict[str, pd.DataFrame]:
    attacked = [record for record in made["measured"] if record.keys["attack"] != "clean"]
    return {
        "trajectory": tables.trajectory(made["purified"]),
        "distances": tables.distances(attacked),
        "robustness": tables.robustness(made["measured"]),
        "transfer": tables.transfer(attacked, made["crafted"], made["subset"]),
        "compression": tables.compression(attacked),
        **{
            name: getattr(tables, name)(made["balls"])
            for name in ("directions", "directions_matrix", "centroids", "centroids_histogram", "variance")
        },
    }


@pytest.mark.parametrize("seeds", [[0], [3, 1, 2]])
def test_a_row_has_keys_that_no_other_row_has(seeds):
    numbers = ["n", "seeds", "mean", "std", "low", "high", "time", "right", "density", "correlation"]
    for name, table in every(experiment(ATTACKED, seeds)).items():
        assert not table.drop(columns=numbers, errors="ignore").duplicated().any(), name


def test_the_order_of_records_changes_no_number():
    made = experiment(ATTACKED, [0, 1, 2])
    turned = {kind: records[::-1] for kind, records in made.items()}
    for (name, one), other in zip(every(made).items(), every(turned).values(), strict=True):
        by = [c for c in one.columns if one[c].dtype == object or str(one[c].dtype).startswith("str")]
        by += [c for c in ("step", "i", "j", "left") if c in one.columns]
        one, other = (
            t.assign(**{c: t[c].astype(str) for c in by if c != "left"}).sort_values(by) for t in (one, other)
        )
        columns = sorted(one.columns)
        pd.testing.assert_frame_equal(
            one[columns].reset_index(drop=True), other[columns].reset_index(drop=True), rtol=1e-12, obj=name
        )


def test_every_number_says_how_many_images_it_is_made_of():
    made = every(experiment(ATTACKED, [0, 1]))
    del made["directions_matrix"]  # the entries of one image's matrix
    for name, table in made.items():
        assert {"n", "purifier"} <= set(table.columns), name
