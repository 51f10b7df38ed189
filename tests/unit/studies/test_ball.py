"""Tables of balls from small records whose answers are known."""

import numpy as np
import pytest
from made_up import of_purifier, only

from purity.studies import ball as study
from purity.studies.records import Record


def ball(seed: int, value: float, purifier: str = "ddpm") -> Record:
    per_image = ("directions_xi", "directions_input", "variance_total", "variance_input", "variance_internal", "snr")
    arrays = {name: np.array([value, value + 2]) for name in per_image}
    arrays |= {f"centroid_{v}": np.array([[[1.0, 3.0]], [[value, value]]]) for v in ("input", "xi", "both")}
    arrays |= {"centroid_initial": np.array([[1.0, 3.0], [value, value]])}
    arrays |= {"matrix_xi": np.array([[1.0, 0.2], [0.2, 1.0]]), "matrix_input": np.full((3, 3), value)}
    return Record(of_purifier(purifier, seed), arrays)


@pytest.mark.parametrize(
    ("table", "which"),
    [
        (study.directions, {"varied": "xi"}),
        (study.directions, {"varied": "input"}),
        (study.variance, {"component": "snr"}),
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
    row = only(study.variance([record]), component="snr", seed="all")
    assert (row["n"], row["mean"]) == (1, 4.0)


def test_distances_to_centroids_are_averaged_image_by_image():
    made = study.centroids([ball(0, 4.0)])
    for varied in ("initial", "input", "xi", "both"):
        row = only(made, varied=varied, seed="all")
        assert (row["mean"], row["n"]) == (3.0, 2) and row["std"] == pytest.approx(np.sqrt(2))  # of the means 2 and 4


def test_a_histogram_integrates_to_one_and_holds_every_distance():
    made = study.centroids_histogram([ball(0, 4.0), ball(1, 0.5)], bins=8)
    assert len(made) == 4 * 8
    for _, bars in made.groupby("varied"):
        assert (bars["density"] * (bars["right"] - bars["left"])).sum() == pytest.approx(1)
        assert bars["left"].iloc[0] == 0 and bars["right"].iloc[-1] == 4
        assert bars["left"].tolist()[1:] == bars["right"].tolist()[:-1]
        assert set(bars["n"]) == {8}


def test_the_matrices_are_those_of_the_first_seed_entry_by_entry():
    made = study.directions_matrix([ball(1, 7.0), ball(0, 5.0)])
    over_xi = made[made["varied"] == "xi"].pivot(index="i", columns="j", values="correlation")
    assert over_xi.to_numpy().tolist() == [[1, 0.2], [0.2, 1]]
    assert (made[made["varied"] == "input"]["correlation"] == 5.0).all() and set(made["seed"]) == {0}
