"""Long strengths whose distance from the law has a known reason."""

import numpy as np
import pytest

from purity.studies import third_regime as study
from purity.studies.law import Sigmoid
from purity.studies.records import Record

LAW = Sigmoid(1.0, 8.0, 0.4)
N = 1000


def probe(t, alpha, rng, clean=1.0, robust=None, purifier="ddpm"):
    """Of who is recognised clean, as many stay so as the law says; of the others none."""
    recognised = rng.random(N) < clean
    held = recognised & (rng.random(N) < (LAW(alpha) if robust is None else robust))
    arrays = {"alpha": np.full(N, alpha), "robust": held, "clean_fixed": recognised}
    return Record({"purifier": purifier, "t": t, "seed": 0, "attack": "pgd", "knowledge": "all"}, arrays)


def probes(long, seed=0):
    rng = np.random.default_rng(seed)
    return [probe(10 * k, alpha, rng) for k, alpha in enumerate(np.linspace(0.1, 0.9, 7), 1)] + [long(rng)]


def tried(attack="pgd@epsilon=0.6", scale=4.0, robust=0.0, seed=0, **roles):
    keys = {"purifier": "ddpm@t=300", "attack": attack, "knowledge": "all", "seed": seed}
    keys |= {"of": "ddpm", "strength": 300, "scale": scale} | roles
    arrays = {"robust": np.arange(N) < robust * N, "gradients": np.full(N, 12), "zero_gradients": np.full(N, 0.3)}
    return Record(keys, arrays)


def evidence(given, others, long=()):
    table = study.third_regime(given, others)
    return table, {(e.quantity, e.case): e for e in study.evidence(table, given, others, list(long))}


def test_one_that_is_on_the_law_is_found_on_it():
    table, _ = evidence(probes(lambda rng: probe(300, 0.3, rng)), [tried()])
    (row,) = table.to_dict("records")
    assert row["points"] == 7 and row["law"] == pytest.approx(LAW(0.3), abs=0.03)
    assert row["gap_low"] < 0 < row["gap_high"]


def test_the_fall_of_clean_accuracy_explains_the_gap_that_it_makes():
    """40 % are lost clean: .6 of the law is left, which is the law among those that are recognised."""
    given = probes(lambda rng: probe(300, 0.3, rng, clean=0.6))
    table, found = evidence(given, [tried()])
    (row,) = table.to_dict("records")
    assert row["gap"] == pytest.approx(-0.4 * LAW(0.3), abs=0.05) and row["clean"] == pytest.approx(0.6, abs=0.05)
    assert row["gap_held"] == pytest.approx(0, abs=0.05)
    assert found["regime-gap", "ddpm, t = 300"].high < 0 < found["regime-explained", "ddpm, t = 300"].low


def test_robustness_above_the_law_is_not_explained_by_clean_accuracy_that_does_not_fall():
    given = probes(lambda rng: probe(300, 0.6, rng, robust=0.7))
    _, found = evidence(given, [tried()])
    gap, explained = (found[q, "ddpm, t = 300"] for q in ("regime-gap", "regime-explained"))
    assert gap.low > 0.4 and explained.low <= 0 <= explained.high + 1e-12


def test_attacks_are_compared_on_the_seeds_that_both_were_made_for():
    rng = np.random.default_rng(1)
    given = probes(lambda r: probe(300, 0.3, r, robust=0.5))
    another = probe(300, 0.3, rng, robust=0.0)
    given.append(Record(another.keys | {"seed": 1}, another.arrays))
    left = given[7].arrays["robust"].mean()
    others = [
        tried(robust=0.02),
        tried("pgd@epsilon=0.3", 2.0, 0.2),
        tried("more", None, 0.25),
        tried("bpda", None, 0.6, twin_of="pgd"),
    ]
    crafted = tried("pgd", 1.0, 0.0)
    crafted = crafted._replace(keys={k: v for k, v in crafted.keys.items() if k not in ("of", "strength", "scale")})
    table, found = evidence(given, others, [crafted])
    case = "ddpm, t = 300"
    assert found["regime-large-budget", f"{case}, ε × 4"].mean == pytest.approx(0.02)
    assert found["regime-harder", f"{case}, more"].mean == pytest.approx(left - 0.25)
    assert found["regime-bpda", f"{case}, bpda"].mean == pytest.approx(left - 0.6)
    assert found["regime-zero", case].mean == pytest.approx(0.3)
    assert {quantity for quantity, _ in found} == set(study.QUANTITIES)
    attacks = study.third_regime_attacks(given, others, [crafted])
    shown = attacks[attacks["seed"].astype(str) == "all"]
    assert list(shown["mean"]) == pytest.approx([left, 0.02, 0.2, 0.25, 0.6])
    assert np.allclose(shown["zero_gradients"], 0.3) and shown["scale"].tolist()[:3] == [1.0, 4.0, 2.0]
    law = table.assign(accuracy=table["law"])
    _, right_panel = study.draw_third_regime(table, attacks, law).axes
    assert [text.get_text() for text in right_panel.get_yticklabels()] == [
        *("pgd", "pgd,\nε × 4", "pgd,\nε × 2", "more", "bpda")
    ]


def test_without_long_strengths_there_is_nothing_to_say():
    table, found = evidence(probes(lambda rng: probe(80, 0.3, rng)), [])
    assert table.empty and not found
