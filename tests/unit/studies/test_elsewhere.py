"""Another classifier that obeys the law, and one that does not."""

import numpy as np
import pytest

from purity.studies import elsewhere as study
from purity.studies.law import Sigmoid
from purity.studies.records import Record

LAW = Sigmoid(0.95, 8.0, 0.4)
N = 1000
ALPHAS = np.linspace(0.1, 0.9, 8)


def records(law, elsewhere, seed):
    rng, made = np.random.default_rng(seed), []
    for k, alpha in enumerate(ALPHAS):
        said = {"of": "ddpm", "strength": 10 * k, "attack": "pgd", "knowledge": "all"}
        keys = said | {"purifier": f"ddpm@t={10 * k}"} if elsewhere else {"purifier": "ddpm", "t": 10 * k}
        arrays = {"alpha": alpha + 0.01 * rng.standard_normal(N), "robust": rng.random(N) < law(alpha)}
        arrays["clean" if elsewhere else "clean_fixed"] = rng.random(N) < 0.95
        made.append(Record(keys | {"seed": 0}, arrays))
    return made


def found(law):
    probes, tried = records(LAW, False, 0), records(law, True, 1)
    table = study.elsewhere(probes, tried)
    return table, {e.quantity: e for e in study.evidence(table, tried)}


def test_one_that_obeys_the_law_is_predicted():
    table, said = found(LAW)
    assert set(said) == set(study.QUANTITIES)
    assert said["elsewhere-calibration"].mean >= 7 / 8
    assert abs(said["elsewhere-gap"].mean) < 0.03 and said["elsewhere-rank"].high < 0
    assert np.allclose(table["here"], LAW(ALPHAS), atol=0.06) and np.allclose(table["clean"], 0.95, atol=0.03)


def test_one_that_is_fooled_more_easily_is_told_by_its_gap_though_the_order_stays():
    _, said = found(Sigmoid(0.95, 8.0, 0.2))
    assert said["elsewhere-gap"].high < -0.1 and said["elsewhere-calibration"].mean < 0.7
    assert said["elsewhere-rank"].high < 0


def test_purifiers_that_the_first_classifier_never_met_are_predicted_all_the_same():
    probes, tried = records(LAW, False, 0)[:5], records(LAW, True, 1)
    table = study.elsewhere(probes, tried)
    assert table["here"].isna().sum() == 3 and table["predicted"].notna().all()


def test_the_figure_shows_every_purifier_beside_the_law():
    from purity.studies import law

    probes, tried = records(LAW, False, 0), records(LAW, True, 1)
    table = study.elsewhere(probes, tried)
    (ax,) = study.draw_elsewhere(table, law.law(probes), law.law_fit(probes, steps=5)).axes
    shown = [
        x
        for line in ax.lines
        if line.get_label() == "_nolegend_" or len(line.get_xdata()) == 8
        for x in line.get_xdata()
    ]
    assert set(np.round(table["alpha"], 9)) <= set(np.round(np.array(shown, float), 9))


def test_nothing_gives_nothing():
    assert not list(study.evidence(study.elsewhere(records(LAW, False, 0), []), []))
    assert pytest.approx(0.95) == LAW.top
