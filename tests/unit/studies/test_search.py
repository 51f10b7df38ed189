"""Candidates, predictions and verification from records whose answers are known."""

import json

import numpy as np
import pandas as pd
import pytest

from purity.studies import search as study
from purity.studies import verified as after
from purity.studies.law import Sigmoid
from purity.studies.records import Record

LAW = Sigmoid(0.9, 6.0, 0.4)
N = 400


def point(t, alpha, rng, law=LAW, n=N, purifier="ddpm"):
    """A purifier of the law: α with a little spread, robustness by its chance."""
    right = rng.random(n) < law(alpha)
    given = {"alpha": alpha + 0.02 * rng.standard_normal(n), "robust": right, "clean_fixed": rng.random(n) < 0.95}
    return Record({"purifier": purifier, "seed": 0, "t": t}, given)


def probes(seed=0):
    rng = np.random.default_rng(seed)
    return [point(t, alpha, rng) for t, alpha in zip(range(10, 90, 10), np.linspace(0.1, 0.9, 8), strict=True)]


def islands(alphas=(0.2, 0.3, 0.5, 0.7, 0.85), wanted=(2, 1, 1), m=N // 2, seed=1):
    rng = np.random.default_rng(seed)
    members = [
        {"sampler": "ancestral" if k % 2 else "implicit", "t": 20 * (k + 1), "steps": 3} for k in range(len(alphas))
    ]
    right = (rng.random((len(alphas), m)) < 0.9).astype(float)
    by_image = np.array(alphas)[:, None] + 0.02 * rng.standard_normal((len(alphas), m))
    arrays = {
        "members": np.frombuffer(json.dumps(members).encode(), np.uint8),
        "rung": np.ones(len(alphas), int),
        "clean": right.mean(1),
        "alpha": by_image.mean(1),
        "right": right,
        "alphas": by_image,
        "wanted": np.array(wanted),
    }
    return [Record({"island": 0, "seed": 0}, arrays)]


def under_attack(table, law=LAW, n=N, seed=2):
    """What verification finds if the law holds for the candidates too."""
    rng = np.random.default_rng(seed)
    made = []
    for row in table[table["place"].notna()].itertuples():
        given = {"clean": rng.random(n) < 0.95, "robust": rng.random(n) < law(row.alpha)}
        given |= {"robust_fresh": rng.random((3, n)) < 0.6, "alpha": np.full(n, row.alpha)}
        given |= {"alpha_attacked": np.full(n, 2 * row.alpha), "largest": np.full(4, 3 * row.alpha)}
        given |= {"alpha_adversarial": np.full(n, 1.5 * row.alpha)}
        made.append(Record({"place": int(row.place), "seed": 0}, given))
    return made


def test_predictions_are_the_laws_and_intervals_cover_what_is_verified():
    table = study.search(islands(), probes())
    # the law's own 8 points of 400 images: standard error of a fitted accuracy below .02
    assert np.allclose(table["predicted"], LAW(table["alpha"].to_numpy()), atol=0.05)
    assert (table["predicted_low"] < table["predicted"]).all() and (table["predicted"] < table["predicted_high"]).all()


def test_intervals_cover_in_95_of_100():
    """100 verified accuracies of candidates on the law; a share of .95 has a standard error of .022, four of them."""
    within = []
    for seed in range(25):
        table = study.search(islands(seed=seed + 7), probes(seed))
        found = under_attack(table, seed=seed + 1000)
        within += list(after.search_verified(found, islands(seed=seed + 7), probes(seed))["within"])
    assert len(within) == 100 and 0.95 - 4 * 0.022 < np.mean(within) <= 1


def test_a_scatter_of_purifiers_about_the_law_widens_the_intervals():
    narrow = study.predictor(*study.law_points(probes()))
    rng = np.random.default_rng(5)
    off = [
        point(t, alpha, rng, Sigmoid(0.9, 6.0, 0.4 + 0.25 * (-1) ** t))
        for t, alpha in zip(range(8), np.linspace(0.1, 0.9, 8), strict=True)
    ]
    wide = study.predictor(*study.law_points(off))
    assert wide.misfit > 0.1 > narrow.misfit
    spreads = [np.diff(p(np.array([0.5]), np.array([0.0]), N)[1:], axis=0)[0, 0] for p in (narrow, wide)]
    assert spreads[1] > 2 * spreads[0]


def test_the_best_predicted_some_others_and_the_poorest_are_verified_each_once():
    table = study.search(islands(), probes())
    chosen = table[table["place"].notna()].sort_values("place")
    assert list(chosen["role"]) == ["front", "front", "other", "poor"] and list(chosen["place"]) == [0, 1, 2, 3]
    assert chosen["options"].is_unique
    assert chosen["alpha"].iloc[-1] == table["alpha"].drop(chosen.index[:-1]).max()


def test_candidates_that_two_islands_share_are_verified_once():
    one = islands(wanted=(5, 3, 3))[0]
    two = Record({"island": 1, "seed": 0}, one.arrays)
    table = study.search([one, two], probes())
    assert len(table) == 10 and table["place"].notna().sum() == 5


def test_ranks_are_perfect_where_accuracy_follows_alpha():
    found = islands()
    table = after.search_verified(under_attack(study.search(found, probes())), found, probes())
    ranks = after.search_predictors(table)
    assert list(ranks["predictor"][ranks["beside"] == ""]) == [
        *("alpha", "alpha_adversarial", "largest", "clean", "t", "alpha_attacked")
    ]
    alone = ranks[ranks["beside"] == ""].set_index("predictor")["mean"]
    assert alone["alpha"] == alone["largest"] == alone["alpha_adversarial"] == pytest.approx(-1)


def test_alpha_is_compared_with_other_predictors_whichever_way_they_point():
    """t here falls as robustness rises: as a guess that more noise is more robust it is as wrong as can be."""
    n = 6
    robust = np.linspace(0.2, 0.8, n)
    table = pd.DataFrame({"robust": robust, "alpha": 1 - robust, "alpha_adversarial": 1 - robust, "clean": robust})
    table = table.assign(t=-100 * robust, largest=3 - robust, alpha_attacked=1 - robust)
    ranks = after.search_predictors(table).set_index(["predictor", "beside"])["mean"]
    assert ranks["alpha", "t"] == pytest.approx(2) and ranks["alpha", "clean"] == pytest.approx(0)
    assert ranks["t", ""] == pytest.approx(-1) and ranks["clean", ""] == pytest.approx(1)


def test_a_sampler_that_is_off_the_law_of_the_others_is_told():
    given = probes()
    more = islands(alphas=np.linspace(0.15, 0.9, 12), wanted=(12, 0, 0))
    whole = study.search(more, given)
    held = under_attack(whole)
    samplers = whole.set_index("place")["sampler"]
    broken = [
        Record(r.keys, {**r.arrays, "robust": np.zeros(N, bool)}) if samplers[r.keys["place"]] == "implicit" else r
        for r in held
    ]
    right, wrong = (
        after.search_left_out(v, after.search_verified(v, more, given)).set_index("sampler") for v in (held, broken)
    )
    assert right.loc["implicit", "left_out"] < 0.1 < wrong.loc["implicit", "left_out"]


def test_the_winner_is_chosen_by_half_of_the_images_and_reported_by_the_others():
    """The best verified gains .2 on every image that it is not chosen by, and loses nothing clean."""
    found, given = islands(wanted=(2, 0, 0)), probes()
    table = study.search(found, given)
    best_paper = max(np.mean(r.arrays["robust"]) for r in given)
    rng = np.random.default_rng(3)
    made = []
    for r in under_attack(table):
        robust = rng.random(N) < (min(1, best_paper + 0.2) if r.keys["place"] == 1 else 0.1)
        made.append(Record(r.keys, {**r.arrays, "robust": robust}))
    verified_table = after.search_verified(made, found, given)
    assert list(verified_table["place"][verified_table["best"]]) == [1]
    ranks = after.search_predictors(verified_table)
    said = {e.quantity: e for e in after.evidence(made, given, verified_table, ranks)}
    assert said["search-winner-gain"].n == N // 2 and said["search-winner-gain"].case.startswith("place 1 −")
    assert said["search-winner-gain"].low < min(1, best_paper + 0.2) - best_paper < said["search-winner-gain"].high
    assert said["search-regret"].mean > 0.3 and set(said) == set(after.QUANTITIES)


def test_the_figure_shows_every_candidate_and_every_verified_one():
    found = islands()
    table = study.search(found, probes())
    verified = after.search_verified(under_attack(table), found, probes())
    figure = after.draw_search(table, verified)
    left, right = figure.axes
    shown = [x for line in left.lines if line.get_label() != "nobody beats these" for x in line.get_xdata()]
    assert sorted(shown) == pytest.approx(sorted(table["alpha"]))
    given = [x for line in right.lines if line.get_marker() in "osv" for x in line.get_xdata()]
    assert sorted(given) == pytest.approx(sorted(verified["robust"]))
