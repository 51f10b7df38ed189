"""What studies find for the papers' claims, from made-up measurements of which the truth is known."""

import re
from collections.abc import Callable
from importlib import import_module
from itertools import product
from pathlib import Path
from pkgutil import iter_modules
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made_up import features_apart, keys, of_purifier, walked
from scipy.stats import norm
from scipy.stats import t as student

from purity import stats, studies
from purity.report import findings as report
from purity.report.claims import read_file
from purity.report.findings import verdict
from purity.studies import (
    addt,
    compression,
    distances,
    dw_box,
    elsewhere,
    fuzzy,
    jacobian,
    law,
    pca,
    predictors,
    robustness,
    strength,
    third_regime,
    timesteps,
    trajectory,
    transfer,
    verified,
)
from purity.studies import (
    ball as balls_study,
)
from purity.studies import (
    budget as budget_study,
)
from purity.studies import (
    cap as cap_study,
)
from purity.studies import (
    margins as margins_study,
)
from purity.studies import (
    paths as paths_study,
)
from purity.studies.records import Evidence, Record, points_under_attack

ROOT = Path(__file__).parents[3]
STUDIES = [import_module(f"purity.studies.{module.name}") for module in iter_modules(studies.__path__)]
QUANTITIES = [quantity for study in STUDIES for quantity in getattr(study, "QUANTITIES", ())]
READ = read_file(ROOT / "config/reference/claims.yaml", QUANTITIES)
CLAIMS = [SimpleNamespace(**claim) for claim in READ]
Z = norm.ppf(0.975)
HOLDS, FAILS, OPEN, MEASURED = "holds", "does not hold", "undecided", "measured"
TURNED = {HOLDS: FAILS, FAILS: HOLDS, OPEN: OPEN}
inf, nan = np.inf, np.nan


LAW_FIT, DRAWN = law.law_fit, law.images_drawn


def evidence_of(**kinds: list[Record]) -> pd.DataFrame:
    """What all studies find, of records by kind; a kind may be missing."""
    measured, hardened, probes, caps, thresholds = (
        kinds.get(kind, []) for kind in ("measured", "hardened", "probes", "caps", "margins")
    )
    found = []
    found += trajectory.evidence(kinds.get("purified", []), measured)
    for study in (distances, robustness, compression):
        found += study.evidence(measured)
    headline, varied = kinds.get("headline", []), kinds.get("varied", [])
    found += strength.evidence(strength.strength_verdicts(headline, varied, []), varied)
    found += paths_study.evidence(kinds.get("paths", []), kinds.get("landscapes", []))
    found += transfer.evidence(measured, kinds.get("crafted", []), kinds.get("subset", []))
    found += balls_study.evidence(kinds.get("balls", []))
    found += jacobian.evidence(kinds.get("jacobians", []), kinds.get("outcomes", []))
    found += pca.evidence(kinds.get("spectra", []))
    found += timesteps.evidence(probes)
    points = points_under_attack(probes)
    if len(points) >= 3:
        found += law.evidence(law.law_fit(probes), probes)
    if points:
        found += predictors.evidence(predictors.predictors_rank(predictors.predictors(probes)), probes)
    found += budget_study.evidence(kinds.get("budgets", []), probes)
    found += fuzzy.evidence(kinds.get("judgings", []))
    if caps:
        found += cap_study.evidence(cap_study.cap_images(caps))
    if thresholds:
        found += margins_study.evidence(thresholds, margins_study.margins(margins_study.margins_images(thresholds)))
    found += dw_box.evidence(kinds.get("boxed", []))
    if hardened:
        found += addt.evidence(hardened, addt.addt(hardened))
    return pd.DataFrame(found, columns=list(Evidence._fields))


def findings(**kinds: list[Record]) -> pd.DataFrame:
    """All of that, held against the papers' claims."""
    return report.findings(READ, evidence_of(**kinds))


def no_fit(probes: list[Record], steps: int = 1) -> pd.DataFrame:
    """A table like that of the fit, in no time: the mean accuracy in place of every quantity."""
    attacked = [r for r in probes if "robust" in r.arrays]
    mean = np.mean([r.arrays["robust"].mean() for r in attacked])
    points = len({(r.keys["purifier"], r.keys["t"]) for r in attacked})
    row = {"through": "all", "points": points, "n": 1, "mean": mean, "low": mean - 0.01, "high": mean + 0.01}
    return pd.DataFrame([row | {"quantity": quantity} for quantity in ("misfit", "at-zero-minus-clean")])


@pytest.fixture(autouse=True)
def without_fits(monkeypatch):
    monkeypatch.setattr(law, "law_fit", no_fit)


@pytest.fixture
def fits(without_fits, monkeypatch):
    """For the tests of the law; 4 resamples, as no verdict here is that close."""
    monkeypatch.setattr(law, "law_fit", LAW_FIT)
    monkeypatch.setattr(law, "images_drawn", lambda n: DRAWN(n, resamples=4))


# What the stages leave.

DEFAULTS = {"l2": (1.0, 2.0), "linf": (0.1, 0.2), "ssim": (0.9, 0.8)}


def measured(n: int, purifier="ddpm", attack="pgd", knowledge="all", seed=0, **arrays) -> Record:
    """Every array that the stage leaves, those that are not given alike for all images."""
    whole = {f"{m}_{w}": np.full(n, v) for m, pair in DEFAULTS.items() for w, v in zip(WHEN, pair, strict=True)}
    whole |= {"alpha": np.full(n, 0.5), "correct_fixed": np.ones(n, bool), "correct_varying": np.ones((1, n), bool)}
    return Record(keys(purifier, attack, knowledge, seed) | {"blind": attack.startswith("uniform")}, whole | arrays)


WHEN = ("before", "after")


def ball(n: int, purifier="ddpm", seed=0, **arrays) -> Record:
    whole = {"directions_xi": np.full(n, 0.2), "directions_input": np.full(n, 0.9), "snr": np.full(n, 0.01)}
    whole |= {"centroid_initial": np.ones((n, 2)), "centroid_input": np.ones((n, 2, 3))}
    whole |= {"centroid_xi": np.ones((n, 2, 3))}
    whole |= {"centroid_both": np.ones((n, 2, 3))}
    return Record(of_purifier(purifier, seed), whole | arrays)


def probe(n: int, t: int | None, purifier="ddpm", seed=0, **arrays) -> Record:
    whole = {"alpha": np.full(n, 0.5), "clean_fixed": np.ones(n, bool), "clean_fresh": np.ones(n, bool)}
    return Record(of_purifier(purifier, seed, t=t), whole | arrays)


def judging(right: np.ndarray, attack="pgd", purifier="ddpm", seed=0) -> Record:
    """right (r, n): whether a judging of an image is right; if not, it says another class."""
    y = np.arange(right.shape[1]) % 10
    predictions = np.where(right, y, (y + 1) % 10).astype(np.int16)
    return Record(keys(purifier, attack, "none", seed), {"predictions": predictions, "y": y})


def cap(n: int, purifier="identity", seed=0, **arrays) -> Record:
    whole = {"ids": np.arange(n), "usable": np.ones(n, bool), "slope": np.full(n, 10.0), "middle": np.zeros(n)}
    whole |= {"threshold": np.ones(n), "changes": np.ones(n, np.int64), "radius": np.float64(2), "dimensions": 16}
    whole |= {"projection": np.zeros((n, 3)), "outcome": np.zeros((n, 3), bool)}
    return Record(keys(purifier, "pgd", "none", seed), whole | arrays)


def margin(robust: np.ndarray, purifier="ddpm", seed=0, **arrays) -> Record:
    n = len(robust)
    whole = {"ids": np.arange(n), "usable": np.ones(n, bool), "robust": robust, "changes": np.ones(n, np.int64)}
    whole |= {name: np.ones(n) for name in ("length", "threshold", "attack_length")}
    return Record(keys(purifier, "pgd", "all", seed), whole | arrays)


def spectrum(n: int, purifier="ddpm", seed=0, d=20, **arrays) -> Record:
    return Record(of_purifier(purifier, seed), {"before": np.ones((n, d)), "after": np.ones((n, d))} | arrays)


def of_claim(start: str, made: pd.DataFrame) -> pd.DataFrame:
    """The cases of the one claim that starts like that."""
    chosen = [c for c in CLAIMS if c.claim.startswith(start)]
    assert len(chosen) == 1, f"{len(chosen)} claims start with '{start}'"
    return made[(made["source"] == chosen[0].source) & (made["claim"] == chosen[0].claim)] if len(made) else made


def only(start: str, **evidence: list[Record]) -> pd.Series:
    cases = of_claim(start, findings(**evidence))
    assert len(cases) == 1, f"{len(cases)} cases of '{start}'"
    return cases.iloc[0]


def assert_mean_of(row: pd.Series, values: np.ndarray) -> None:
    """The mean of values, one an image; and its interval, by the normal law to a quarter of its width."""
    assert row["mean"] == pytest.approx(np.mean(values)) and row["n"] == len(values)
    if len(values) >= 20:
        half = Z * np.std(values, ddof=1) / np.sqrt(len(values))
        limits = (np.mean(values) - half, np.mean(values) + half)
        assert (row["low"], row["high"]) == pytest.approx(limits, abs=half / 4)


# Differences image by image, of what has the values a and what has b. Each as (where the claim starts, the sign of
# a − b where it holds, evidence of a and b).


def as_outcomes(a: np.ndarray) -> np.ndarray:
    return np.asarray(a, bool)


def changed(measure: str) -> Callable:
    return lambda a, b: {
        "measured": [measured(len(a), knowledge="none", **{f"{measure}_after": a, f"{measure}_before": b})]
    }


def larger_noise(a, b):
    n = len(a)
    small = measured(n, attack="uniform", knowledge="none", l2_before=np.full(n, 2.0), l2_after=np.full(n, 2.0))
    return {"measured": [measured(n, attack="uniform-x4", knowledge="none", l2_after=a + 9, l2_before=b + 9), small]}


def against(first: tuple[str, str], second: tuple[str, str]) -> Callable:
    """Two attacks (name, knowledge), judged as their knowledge means it; the judging that it does not is perfect."""

    def made(a, b):
        records = []
        for (attack, knowledge), right in ((first, a), (second, b)):
            name = {"none": "correct_varying", "all": "correct_fixed"}.get(knowledge, "correct_partly")
            judged = as_outcomes(right) if knowledge == "all" else as_outcomes(right)[None]
            records.append(measured(len(a), attack=attack, knowledge=knowledge, **{name: judged}))
        return {"measured": records}

    return made


def boxed(a, b):
    return {"boxed": against(("pgd-20-eot", "none"), ("pgd-20", "all"))(a, b)["measured"]}


def tuned(attack: tuple[str, str]) -> Callable:
    """A fine-tuned purifier and its vanilla one under one attack, and an ablation that gains nothing."""

    def made(a, b):
        (better,), (vanilla,), (other,) = (against(attack, attack)(right, right)["measured"][:1] for right in (a, b, b))
        named = {"purifier": "ddpm-addt", "vanilla": "ddpm", "ablation": False}
        less = {"purifier": "ddpm-less", "vanilla": "ddpm", "ablation": True}
        return {
            "hardened": [vanilla, Record(better.keys | named, better.arrays), Record(other.keys | less, other.arrays)]
        }

    return made


def strengths(name: str, start: int, end: int, purifier="ddpm", as_kind=np.asarray) -> Callable:
    return lambda a, b: {
        "probes": [
            probe(len(a), end, purifier, **{name: as_kind(a)}),
            probe(len(a), start, purifier, **{name: as_kind(b)}),
        ]
    }


def attacked_strengths(a, b):
    n = len(a)
    ordered = [(10, as_outcomes(b)), (200, as_outcomes(a)), (300, np.arange(n) % 3 == 1)]
    return {"probes": [probe(n, t, robust=r, alpha=np.full(n, 1 / t)) for t, r in ordered]}


def of_two(first: str, second: str, **arrays) -> Callable:
    """An attack that knows ξ, or noise, on two purifiers; arrays: of a and of b."""

    def made(a, b):
        said = arrays or {"attack": "pgd", "knowledge": "all"}
        name, as_kind = ("alpha", np.asarray) if said["attack"] == "uniform" else ("correct_fixed", as_outcomes)
        both = ((first, a), (second, b))
        return {"measured": [measured(len(v), purifier, **said, **{name: as_kind(v)}) for purifier, v in both]}

    return made


def part_known(part: str, beside: tuple[str, str]) -> Callable:
    """White-box EOT or DW-box beside who knows a part of ξ, by EOT; all three there."""

    def made(a, b):
        known = {("pgd-20-eot", "none"): np.ones(len(a)), ("pgd-20", "all"): np.zeros(len(a))}
        known |= {("pgd-20-eot", part): b, beside: a} if beside[1] == "none" else {("pgd-20-eot", part): a, beside: b}
        (eot, right), *others = known.items()
        return {"boxed": [r for cell, v in ((eot, right), *others) for r in against(cell, cell)(v, v)["measured"][:1]]}

    return made


def ablated(attack: tuple[str, str], **instead) -> Callable:
    """ADDT and an ablation of it under one attack."""
    whole = {"perturbation": "ranked", "objective": "classifier", "perturbed": True, "vanilla": "ddpm"}

    def made(a, b):
        records = []
        for name, right, said in (("addt", a, {"ablation": False}), ("less", b, {"ablation": True} | instead)):
            record = against(attack, attack)(right, right)["measured"][0]
            records.append(Record(record.keys | whole | {"purifier": name} | said, record.arrays))
        return {"hardened": records}

    return made


def walks(a, b):
    walk = walked(("ddpm",), range(len(a)), repeats=1, steps=1)["paths"][0]
    heights = {f"{kind}_loss": np.stack([v, v], axis=1)[:, None] for kind, v in (("dw_box", a), ("eot", b))}
    return {"paths": [Record(walk.keys, {**walk.arrays, **heights})]}


def landscapes(a, b):
    """Vanilla rises by a in the mean, fine-tuned by b: 4 of 9 points at that, the image at 0."""
    at, made = np.array([0.0, 1.0, 2.0]), []
    for purifier, rise, said in (("ddpm", a, {}), ("tuned", b, {"vanilla": "ddpm"})):
        plane = np.zeros((3, 3))
        plane[1:, 1:] = 9 / 4
        arrays = {"at": at, "loss": 1 + np.asarray(rise)[:, None, None] * plane}
        made.append(Record(of_purifier(purifier, 0) | said, arrays))
    return {"landscapes": made}


def harder(a, b):
    known = {"attack": "harder", "knowledge": "all", "correct_fixed": as_outcomes(b)}
    record = measured(len(b), **known)
    varied = [Record(record.keys | {"beyond": True, "grids": []}, record.arrays)]
    return {"headline": [measured(len(a), correct_fixed=as_outcomes(a))], "varied": varied}


def as_many_gradients(a, b):
    made = []
    for draws, right in ((1, a), (4, b)):
        record = measured(len(right), attack=f"eot-{draws}", knowledge="none", correct_varying=as_outcomes(right)[None])
        grid = {"of": "eot", "set": {}, "place": 0, "varied": ["steps", "draws"], "values": [8 // draws, draws]}
        made.append(Record(record.keys | {"grids": [grid], "beyond": False}, record.arrays))
    return {"varied": made}


def alphas(a, b):
    n = len(a)
    small = measured(n, attack="uniform", knowledge="none", alpha=b)
    large = measured(n, attack="uniform-x4", knowledge="none", alpha=np.full(n, 7.0), l2_before=np.full(n, 9.0))
    return {"measured": [large, small, measured(n, alpha=a)]}


PAIRED = {
    "ℓ2": ("Purification moves attacked images away", +1, changed("l2")),
    "ℓ∞": ("… and in ℓ∞", +1, changed("linf")),
    "SSIM": ("… and structurally", -1, changed("ssim")),
    "small noise": (
        "Uniform noise as small as an attack",
        +1,
        lambda a, b: {"measured": [measured(len(a), attack="uniform", knowledge="none", l2_after=a, l2_before=b)]},
    ),
    "large noise": ("Noise much larger than an attack", -1, larger_noise),
    "directions": (
        "The direction of purification",
        +1,
        lambda a, b: {"balls": [ball(len(a), directions_input=a, directions_xi=b)]},
    ),
    "DW-box": ("An attacker who knows all of ξ", +1, boxed),
    "forward": ("Who knows the forward noise", +1, part_known("forward", ("pgd-20-eot", "none"))),
    "reverse": ("… and so does who knows the reverse", +1, part_known("reverse", ("pgd-20-eot", "none"))),
    "a part": ("Either part alone leaves", +1, part_known("reverse", ("pgd-20", "all"))),
    "height": ("Who knows ξ climbs", +1, walks),
    "flat": ("ADDT flattens", +1, landscapes),
    "RBGM": ("RBGM helps", +1, ablated(("pgd-20-eot", "none"), perturbation="bounded")),
    "RBGM and DW-box": ("… RBGM under DW-box", +1, ablated(("pgd-20", "all"), perturbation="bounded")),
    "guide": ("The classifier's guidance", +1, ablated(("pgd-20-eot", "none"), objective="prediction")),
    "longer": ("It is the perturbations", +1, ablated(("pgd-20-eot", "none"), perturbed=False)),
    "ten times": ("An attack of ten times", +1, harder),
    "draws or steps": ("EOT is stronger at the same", +1, as_many_gradients),
    "reverse, robust": ("The reverse process alone is more robust", +1, of_two("reverse", "ddpm")),
    "reverse, α": (
        "The reverse process alone compresses",
        -1,
        of_two("reverse", "ddpm", attack="uniform", knowledge="none"),
    ),
    "ddim": ("ddim is the least robust", -1, of_two("ddim", "ddpm")),
    "ADDT": ("ADDT raises", +1, tuned(("pgd-20-eot", "none"))),
    "ADDT and DW-box": ("… and under DW-box", +1, tuned(("pgd-20", "all"))),
    "knowing": ("An attacker who knows ξ does", +1, against(("pgd", "none"), ("pgd", "all"))),
    "EOT, stronger": ("EOT is stronger than", +1, against(("pgd", "none"), ("pgd-eot", "none"))),
    "EOT of BPDA": ("EOT is stronger than", +1, against(("bpda", "none"), ("bpda-eot", "none"))),
    "EOT, weaker": ("EOT stays weaker", -1, against(("pgd", "all"), ("pgd-eot", "none"))),
    "BPDA": ("Attacks that take the purifier", +1, against(("bpda", "none"), ("pgd", "none"))),
    "BPDA that knows all": ("Attacks that take the purifier", +1, against(("bpda", "all"), ("pgd", "all"))),
    "BPDA-EOT": ("Attacks that take the purifier", +1, against(("bpda-eot", "none"), ("pgd-eot", "none"))),
    "transfer": (
        "An attack made for one ξ",
        +1,
        lambda a, b: {
            "measured": [measured(len(a), correct_varying=as_outcomes(a)[None], correct_fixed=as_outcomes(b))]
        },
    ),
    "α of attacks": ("Attacks find directions", +1, alphas),
    "α and t": ("More noise compresses more", +1, strengths("alpha", 200, 10)),
    "robustness and t": ("… and is more robust", +1, attacked_strengths),
    "clean accuracy and t": ("Clean accuracy falls", +1, strengths("clean_fixed", 1000, 10, as_kind=as_outcomes)),
    "α of ddpm": ("α of ddpm goes on falling", +1, strengths("alpha", 1000, 200)),
    "α of reverse": ("α of reverse rises", +1, strengths("alpha", 200, 700, "reverse")),
    "α of reverse again": ("… and falls again", +1, strengths("alpha", 1000, 700, "reverse")),
    "reverse beyond 200": ("Beyond that, reverse", +1, strengths("robust", 300, 200, "reverse", as_outcomes)),
}
N = 100


def first(k: int, n: int = N) -> np.ndarray:
    """1 for the first k of n images, 0 for the others."""
    return (np.arange(n) < k).astype(float)


@pytest.fixture(params=PAIRED, ids=str)
def paired(request):
    return PAIRED[request.param]


def test_thirty_images_of_a_hundred_decide_a_difference(paired):
    start, sign, evidence = paired
    said = HOLDS if sign > 0 else FAILS
    row = only(start, **evidence(first(60), first(30)))
    assert_mean_of(row, first(60) - first(30))
    assert row["mean"] == pytest.approx(0.3) and row["verdict"] == said
    turned = only(start, **evidence(first(30), first(60)))
    assert turned["mean"] == pytest.approx(-0.3) and turned["verdict"] == TURNED[said]


def test_as_many_images_one_way_as_the_other_decide_nothing(paired):
    start, _, evidence = paired
    row = only(start, **evidence(first(30), first(60) - first(30)))
    assert row["mean"] == pytest.approx(0, abs=1e-12) and row["low"] < 0 < row["high"] and row["verdict"] == OPEN


def test_what_changes_no_image_is_no_evidence_of_a_change(paired):
    start, _, evidence = paired
    row = only(start, **evidence(first(50), first(50)))
    assert row["mean"] == pytest.approx(0, abs=1e-12) and row["verdict"] != HOLDS


@pytest.mark.parametrize(("n", "worse"), [(1, 1), (10, 1), (40, 3)])
def test_too_few_images_decide_nothing(paired, n, worse):
    start, sign, evidence = paired
    a, b = (first(worse, n), first(0, n))[::sign]
    row = only(start, **evidence(a, b))
    assert row["mean"] == pytest.approx(sign * worse / n) and row["verdict"] == OPEN


@pytest.mark.parametrize("knowledge", ["forward", "reverse"])
def test_who_knows_half_of_it_is_judged_with_that_half_as_he_knows_it(knowledge):
    """As in the table of robustness: the rest is fresh."""
    evidence = against(("bpda", knowledge), ("pgd", knowledge))
    row = only("Attacks that take the purifier", **evidence(first(60), first(30)))
    assert_mean_of(row, first(60) - first(30))
    assert row["verdict"] == HOLDS and row["case"] == f"ddpm, bpda, knows {knowledge}"


def test_a_difference_is_taken_image_by_image():
    """200 of 10,000 images more: if the others are the same, the difference is that of these alone."""
    n = 10_000
    evidence = against(("pgd", "none"), ("pgd", "all"))
    same = only("An attacker who knows ξ does", **evidence(first(5200, n), first(5000, n)))
    others = only("An attacker who knows ξ does", **evidence(first(5200, n), first(5000, n)[::-1]))
    assert same["mean"] == others["mean"] == pytest.approx(0.02)
    assert same["high"] - same["low"] < 0.2 * (others["high"] - others["low"])


def test_the_noise_that_an_attack_is_compared_with_is_that_of_its_purifier():
    other = measured(N, "reverse", "uniform", "none", alpha=np.full(N, 0.9), l2_before=np.full(N, 0.1))
    evidence = alphas(first(60), first(30))["measured"]
    assert_mean_of(only("Attacks find directions", measured=[other, *evidence]), first(60) - first(30))
    assert of_claim("Attacks find directions", findings(measured=[other, evidence[-1]])).empty


def test_accuracies_of_several_seeds_and_draws_are_averaged_image_by_image():
    fresh = [[[1, 1, 0, 1], [0, 1, 1, 1]], [[1, 1, 1, 1], [1, 1, 0, 1]]]  # seed, draw, image
    fixed = [[0, 1, 0, 1], [0, 0, 0, 1]]
    records = [measured(4, knowledge="none", seed=s, correct_varying=np.array(fresh[s], bool)) for s in (0, 1)] + [
        measured(4, knowledge="all", seed=s, correct_fixed=np.array(fixed[s], bool)) for s in (0, 1)
    ]
    assert_mean_of(only("An attacker who knows ξ does", measured=records), [0.75 - 0, 1 - 0.5, 0.5 - 0, 1 - 1])


# Means image by image, that lie somewhere: evidence of values (n,); values for which the claim holds, does not, and of
# which half do.


def ratios(varied: str) -> Callable:
    """Points whose mean distance to the centroid is that many times the one of the inputs, which differs by image: three
    inputs under three ξ, whose centroid is nearer to them than the true one."""

    def made(values):
        start = np.stack([np.arange(1.0, len(values) + 1), np.arange(3.0, len(values) + 3)], axis=1)
        apart = np.sqrt(1 - 1 / 3) * np.array([0.5, 1, 1.5])
        moved = np.einsum("n,j,k->njk", values * start.mean(axis=1), apart, np.ones(3))
        return {"balls": [ball(len(values), centroid_initial=start, **{f"centroid_{varied}": moved})]}

    return made


def singular(low: float, high: float) -> Callable:
    """A share of twenty singular values is `high`, the others are `low`."""

    def made(values):
        large = np.arange(20) < np.rint(20 * np.asarray(values))[:, None]
        return {"jacobians": [Record(of_purifier("ddpm", 0), {"singular_values": np.where(large, high, low)})]}

    return made


def components(values):
    before = np.linspace(0.5, 1.5, 20) * np.arange(1.0, len(values) + 1)[:, None]
    shrunk = np.arange(20) < np.rint(20 * np.asarray(values))[:, None]
    after = np.where(shrunk, 0.99, 1.0) * before.mean(axis=1, keepdims=True)  # as large as the mean is not below it
    return {"spectra": [spectrum(len(values), before=before, after=after)]}


def fuzzy_images(values):
    """1: right in 3 of 10 judgings; 0: in none, or in all."""
    often = np.where(np.asarray(values) == 1, 3, np.where(np.arange(len(values)) % 2, 0, 10))
    return {"judgings": [judging(np.arange(10)[:, None] < often)]}


def share(k: int, n: int) -> np.ndarray:
    return first(k, n)


def about(value: float, scatter: float, n: int = 40) -> np.ndarray:
    return value + scatter * np.where(np.arange(n) % 2, 1.0, -1.0)


def budget_of(values) -> Record:
    record = measured(len(values), attack="pgd@epsilon=1", correct_fixed=as_outcomes(values))
    grid = {"of": "pgd", "set": {}, "place": 0, "varied": ["epsilon"], "values": [1.0]}
    return Record(record.keys | {"grids": [grid], "beyond": False}, record.arrays)


PLACED = {
    "radius at one ξ": ("One ξ compresses the ball", ratios("input"), about(0.25, 0.2), about(1.5, 0.4), about(1, 0.5)),
    "radius over ξ": ("Varying ξ expands it", ratios("xi"), about(3.3, 0.5), about(0.5, 0.4), about(1, 0.5)),
    "SNR": (
        "Internal randomness dominates",
        lambda v: {"balls": [ball(len(v), snr=v)]},
        about(0.006, 0.001),
        about(5, 1),
        about(1, 0.5),
    ),
    "α": (
        "Image space is compressed",
        lambda v: {"measured": [measured(len(v), attack="uniform", knowledge="none", alpha=v)]},
        about(0.23, 0.05),
        about(1.5, 0.1),
        about(1, 0.5),
    ),
    "below ¼": ("Nine of ten directions", singular(0.25, 0.24), about(0.95, 0.05), about(0.5, 0.1), about(0.9, 0.1)),
    "above 1": ("Hardly any direction", singular(1.0, 1.01), first(3, 40) / 20, about(0.5, 0.1), first(10, 40) / 20),
    "components": ("Most principal components", components, about(0.8, 0.1), about(0.2, 0.1), about(0.5, 0.1)),
    "both": (
        "Varying the input as well",
        lambda v: {"balls": [ball(len(v), centroid_both=np.tile(np.sqrt(5 / 4) * (1 + v)[:, None, None], (1, 2, 3)))]},
        about(0.05, 0.02),
        about(0.3, 0.1),
        about(0.138, 0.1),
    ),
    "large budgets": (
        "A large budget fools every image",
        lambda v: {"varied": [budget_of(v)]},
        share(2, N),
        share(40, N),
        share(10, N),
    ),
}

# What has no limit: its mean and interval stand alone.
UNLIMITED = {
    "fuzzy": ("Many attacked images are neither", fuzzy_images),
    "slopes": (
        "The decision changes sharply",
        lambda v: {"caps": [cap(len(v), slope=np.where(v == 1, 6.1, 6.0))]},
    ),
    "changes": ("… and only once", lambda v: {"caps": [cap(len(v), changes=np.where(v == 1, 1, 3))]}),
}


@pytest.mark.parametrize("name", UNLIMITED)
def test_what_no_paper_puts_a_number_to_is_measured_and_not_decided(name):
    start, evidence = UNLIMITED[name]
    for values in (share(97, N), share(30, N)):
        row = only(start, **evidence(values))
        assert_mean_of(row, values)
        assert row["verdict"] == MEASURED and np.isnan(row["p"])


@pytest.fixture(params=PLACED, ids=str)
def placed(request):
    return PLACED[request.param]


def test_a_mean_holds_within_fails_outside_and_is_undecided_about_the_edge(placed):
    start, evidence, *each = placed
    for values, said in zip(each, (HOLDS, FAILS, OPEN), strict=True):
        row = only(start, **evidence(values))
        assert_mean_of(row, values)
        assert row["verdict"] == said


def test_one_image_decides_no_mean(placed):
    start, evidence, inside, outside, _ = placed
    for values in (inside, outside):
        row = only(start, **evidence(values[-1:]))
        assert row["n"] == 1 and np.isnan(row["low"]) and row["verdict"] == OPEN


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("below ¼", np.r_[np.ones(59), 0.5]),
        ("above 1", np.r_[np.zeros(199), 0.2]),
        ("SNR", np.r_[np.full(30, 1e-3), 0.1]),
    ],
    ids=["below ¼", "above 1", "SNR"],
)
def test_a_claim_holds_though_the_normal_interval_goes_beyond_what_a_share_or_a_ratio_can_be(name, values):
    """No share is above one or below zero: the side of the target that says so cannot be missed."""
    start, evidence, *_ = PLACED[name]
    row = only(start, **evidence(values))
    assert row["mean"] == pytest.approx(np.mean(values)) and row["verdict"] == HOLDS


@pytest.mark.parametrize(
    ("start", "evidence"),
    [
        ("An attacker who knows ξ does", lambda: PAIRED["knowing"][2](first(2, 2), first(0, 2))),
        (
            "The critical threshold tells",
            lambda: {"margins": [margin(first(1, 2) == 1, threshold=np.array([2.0, 1.0]))]},
        ),
    ],
    ids=["knowing", "AUC"],
)
def test_a_few_images_that_all_agree_decide_nothing(start, evidence):
    """What has no spread in two or three images is not therefore certain."""
    row = only(start, **evidence())
    assert row["mean"] == 1 and row["verdict"] == OPEN


def test_images_without_a_fit_or_a_threshold_do_not_count_in_caps():
    slope = np.array([7.0, nan, inf, 5.0, 8.0, nan])
    arrays = {"threshold": np.array([1, inf, 0.5, 1, 1, inf]), "changes": np.array([1, 0, 1, 3, 1, 0])}
    record = cap(6, slope=slope, **arrays)
    assert_mean_of(only("The decision changes sharply", caps=[record]), [1, 1, 0, 1])
    assert_mean_of(only("… and only once", caps=[record]), [1, 1, 0, 1])
    nowhere = findings(caps=[cap(6, slope=np.full(6, nan), threshold=np.full(6, inf))])
    assert set(nowhere["n"]) == {0} and set(nowhere["verdict"]) == {MEASURED}
    assert findings(caps=[cap(6, usable=np.zeros(6, bool))]).empty


def test_an_infinite_alpha_or_ratio_does_not_count():
    values = np.array([0.1, nan, 0.3, inf])
    row = only("Internal randomness dominates", balls=[ball(4, snr=values)])
    assert (row["n"], row["mean"]) == (2, pytest.approx(0.2))


# Equivalence.


@pytest.mark.parametrize(
    ("fresh", "fixed", "said"),
    [
        (first(850, 1000), first(855, 1000), HOLDS),
        (first(950, 1000), first(850, 1000), FAILS),
        (first(850, 1000), first(950, 1000), FAILS),
        (first(850, 1000), first(840, 1000), OPEN),
        (first(17, 20), first(17, 20)[::-1], OPEN),
    ],
    ids=["as good", "better", "worse", "at the edge", "few"],
)
def test_clean_accuracies_are_the_same_within_one_point(fresh, fixed, said):
    arrays = {"correct_varying": as_outcomes(fresh)[None], "correct_fixed": as_outcomes(fixed)}
    row = only("Fixing ξ", measured=[measured(len(fresh), attack="clean", knowledge="none", **arrays)])
    assert_mean_of(row, fresh - fixed)
    assert row["verdict"] == said and row["case"] == "ddpm"


def pattern(i: int) -> np.ndarray:
    """Walsh functions: (1, 4, 4), of mean zero, norm 1, orthogonal to one another."""
    return np.array([(-1) ** bin(i & j).count("1") for j in range(16)]).reshape(1, 4, 4) / 4


def crafted(patterns, attack="pgd", knowledge="all", seed=0, purifier="ddpm") -> Record:
    return Record(keys(purifier, attack, knowledge, seed), {"x": 0.5 + 0.1 * np.stack(list(patterns))})


def subset(n: int) -> list[Record]:
    return [Record({}, {"x": np.full((n, 1, 4, 4), 0.5)})]


def mixed(c: float, i: int, j: int) -> np.ndarray:
    return c * pattern(i) + np.sqrt(1 - c**2) * pattern(j)


@pytest.mark.parametrize(("c", "said"), [(0.1, HOLDS), (-0.9, HOLDS), (0.9, FAILS), (0.25, FAILS), (0.1682, OPEN)])
def test_perturbations_that_share_a_pattern_are_correlated_as_they_share_it(c, said):
    each = c + 0.05 * np.where(np.arange(20) % 2, 1, -1)
    records = [crafted([pattern(1)] * 20, seed=0), crafted((mixed(of, 1, 2) for of in each), seed=1)]
    row = only("Attacks for different ξ", crafted=records, subset=subset(20))
    assert_mean_of(row, each)
    assert row["verdict"] == said


def test_perturbations_of_one_seed_are_compared_with_none():
    row = only("Attacks for different ξ", crafted=[crafted([pattern(1)] * 5)], subset=subset(5))
    assert np.isnan(row["mean"]) and row["n"] == 0 and row["verdict"] == OPEN


@pytest.mark.parametrize(("share", "of_others", "said"), [(0.8, 0.0, HOLDS), (0.0, 0.8, FAILS)])
def test_eot_is_like_an_attack_as_far_as_it_shares_its_pattern(share, of_others, said):
    """The attacks that know ξ share a pattern with weight √c each, so c with each other and √c·share with EOT."""
    wobble = 0.02 * np.where(np.arange(20) % 2, 1, -1)
    weight = np.sqrt(of_others + 0.1)
    known = [crafted([mixed(weight, 1, 2 + s)] * 20, seed=s) for s in range(3)]
    eot = [crafted((mixed(share + w, 1, 8) for w in wobble), "pgd-eot", "none", s) for s in range(2)]
    row = only("EOT's perturbation is more like", crafted=[*eot, *known], subset=subset(20))
    assert_mean_of(row, weight * (share + wobble) - weight**2)
    assert row["verdict"] == said


# Two groups.


def assert_difference_of(row: pd.Series, a, b) -> None:
    """The difference of the means, and Welch's interval of it, to a tenth of its width."""
    assert row["mean"] == pytest.approx(np.mean(a) - np.mean(b))
    if min(len(a), len(b)) >= 20:
        half = Z * np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
        assert (row["low"], row["high"]) == pytest.approx((row["mean"] - half, row["mean"] + half), abs=half / 10)


def fooled_alpha(a, b) -> dict:
    right = np.r_[np.zeros(len(a), bool), np.ones(len(b), bool)]
    return {"measured": [measured(len(right), alpha=np.r_[a, b], correct_fixed=right)]}


def largest_singular(a, b) -> dict:
    largest = np.r_[a, b]
    values = np.stack([largest / 3, largest, np.full_like(largest, 0.01)], axis=1)
    right = np.r_[np.zeros(len(a), bool), np.ones(len(b), bool), [False, True]]  # outcomes of two images more
    jacobians = [Record(of_purifier("ddpm", 0), {"singular_values": values})]
    return {"jacobians": jacobians, "outcomes": [measured(len(right), correct_fixed=right)]}


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (about(0.99, 0.2), about(0.8, 0.12, 20), HOLDS),
        (about(0.8, 0.12), about(0.99, 0.2, 20), FAILS),
        (about(0.9, 0.2), about(0.9, 0.2, 20), OPEN),
        (about(0.99, 0.2, 2), about(0.8, 0.2, 2), OPEN),
        (about(0.99, 0.2), about(0.8, 0.2, 1), OPEN),
    ],
    ids=["more", "less", "alike", "few", "one"],
)
def test_fooled_images_are_compressed_less_if_their_alpha_is_larger(a, b, said):
    row = only("… least where they succeed", **fooled_alpha(a, b))
    if len(b) > 1:
        assert_difference_of(row, a, b)
    assert row["n"] == len(a) + len(b) and row["verdict"] == said


def test_an_image_that_the_attack_did_not_move_has_no_alpha_and_does_not_count():
    a, b = about(0.99, 0.2), about(0.8, 0.1)
    row = only("… least where they succeed", **fooled_alpha(np.r_[a, nan], b))
    assert_difference_of(row, a, b)
    assert row["verdict"] == HOLDS


@pytest.mark.parametrize("seeds", [1, 3])
def test_one_fooled_image_is_one_in_however_many_seeds(seeds):
    right = first(30, 31) == 1
    alpha = np.r_[about(0.8, 0.1, 30), 1.5]
    records = [measured(31, seed=s, alpha=alpha, correct_fixed=right) for s in range(seeds)]
    assert only("… least where they succeed", measured=records)["verdict"] == OPEN


def test_the_same_image_fooled_in_one_seed_and_robust_in_another_counts_on_both_sides():
    alpha, right = np.stack([about(0.9, 0.1), about(0.5, 0.1)]), np.stack([first(20, 40), first(30, 40)]) == 1
    records = [measured(40, seed=s, alpha=alpha[s], correct_fixed=right[s]) for s in (0, 1)]
    row = only("… least where they succeed", measured=records)
    assert row["mean"] == pytest.approx(alpha[~right].mean() - alpha[right].mean())
    assert row["n"] == 40


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (about(1.35, 0.2), about(1.3, 0.2, 30), HOLDS),
        (about(1.9, 0.2), about(1.3, 0.2, 30), FAILS),
        (about(1.3, 0.2), about(1.9, 0.2, 30), FAILS),
        (about(1.35, 0.3, 4), about(1.3, 0.3, 4), OPEN),
    ],
    ids=["alike", "more", "less", "few"],
)
def test_spectra_are_alike_if_the_largest_values_of_fooled_and_robust_images_are(a, b, said):
    row = only("The spectra of robust and fooled", **largest_singular(a, b))
    assert_difference_of(row, a, b)
    assert row["n"] == len(a) + len(b) and row["verdict"] == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [([-0.19, -0.2, -0.21], HOLDS), ([0.19, 0.2, 0.21], FAILS), ([-0.1, -0.2, -0.3], OPEN), ([-0.2], OPEN)],
    ids=str,
)
def test_frechet_distances_are_compared_seed_by_seed(changes, said):
    """Three seeds of one tenth more or less are too few, by Student's law, for a mean of −.2."""
    records = [
        measured(
            5, knowledge="none", seed=s, frechet_before=np.array([0.5 + s]), frechet_after=np.array([0.5 + s + change])
        )
        for s, change in enumerate(changes)
    ]
    row = only("Purification brings the distribution", measured=records)
    assert row["mean"] == pytest.approx(np.mean(changes)) and row["n"] == len(changes) and row["verdict"] == said
    if len(changes) > 1:
        half = student.ppf(0.975, len(changes) - 1) * np.std(changes, ddof=1) / np.sqrt(len(changes))
        assert (row["low"], row["high"]) == pytest.approx((row["mean"] - half, row["mean"] + half))


# Repeated judging.


def often(counts, r=10) -> np.ndarray:
    """(r, n): image i is right in the first counts[i] of r judgings."""
    return np.arange(r)[:, None] < np.asarray(counts)


@pytest.mark.parametrize(
    ("counts", "gain", "said"),
    [
        ([7] * 20 + [6] * 20, [0.3] * 20 + [0.4] * 20, HOLDS),
        ([3] * 20 + [4] * 20, [-0.3] * 20 + [-0.4] * 20, FAILS),
        ([3] * 20 + [7] * 20, [-0.3] * 20 + [0.3] * 20, OPEN),
        ([5, 10, 0, 5], [0, 0, 0, 0], None),
    ],
    ids=["most are mostly right", "mostly wrong", "as many", "a tie"],
)
def test_a_vote_gains_what_is_mostly_right(counts, gain, said):
    row = only("A majority vote", judgings=[judging(often(counts))])
    assert_mean_of(row, gain)
    assert row["verdict"] == said if said else row["verdict"] != HOLDS


def test_a_vote_gains_three_tenths_of_judgings_that_are_right_with_chance_seven_tenths():
    """Mean of 300 images of 100 judgings: within five deviations, √(.21/100/300)."""
    right = np.random.default_rng(0).random((100, 300)) < 0.7
    row = only("A majority vote", judgings=[judging(right)])
    assert row["mean"] == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / 30_000)) and row["verdict"] == HOLDS
    assert only("Many attacked images", judgings=[judging(right)])["mean"] == 1


@pytest.mark.parametrize(
    ("counts", "r", "loss"),
    [
        ([9, 10, 0, 5], 10, [0.9, 0, 0, 0.5]),
        ([11, 10, 12, 9], 12, [11 / 12 - 2 / 12, 10 / 12 - 1 / 66, 0, 9 / 12]),  # C(11, 10)/C(12, 10) = 1/6
        ([4, 3, 0, 2], 4, [0, 3 / 4, 0, 2 / 4]),  # of as many as there are
    ],
    ids=["ten of ten", "ten of twelve", "four"],
)
def test_resubmission_loses_what_is_not_right_every_time(counts, r, loss):
    row = only("Submitting a clean image", judgings=[judging(often(counts, r), "clean")])
    assert_mean_of(row, loss)


@pytest.mark.parametrize(
    ("counts", "said"),
    [([9] * 10 + [10] * 10, HOLDS), ([9] + [10] * 19, OPEN), ([9], OPEN)],
    ids=["many", "one", "only"],
)
def test_resubmission_fools_a_defence_that_is_now_and_then_wrong(counts, said):
    assert only("Submitting a clean image", judgings=[judging(often(counts), "clean")])["verdict"] == said


@pytest.mark.parametrize("right", [0, 10])
def test_resubmission_does_not_fool_a_defence_that_always_says_the_same(right):
    row = only("Submitting a clean image", judgings=[judging(often([right] * 20), "clean")])
    assert row["mean"] == 0 and row["verdict"] != HOLDS


def test_clean_images_are_asked_of_resubmission_only_and_attacked_ones_of_the_others():
    made = findings(judgings=[judging(often([9] * 5), "clean"), judging(often([7] * 5), "pgd-eot")])
    assert set(zip(made["quantity"], made["case"], strict=True)) == {
        ("share with grade 0 < m < 1", "ddpm, pgd-eot"),
        ("vote of all judgings − standard", "ddpm, pgd-eot"),
        ("standard − worst of 10", "ddpm, clean"),
    }


# The law.

LAW = law.Sigmoid(0.9, 12, 0.4)
ALPHAS = (0.1, 0.25, 0.35, 0.45, 0.55, 0.7, 0.9)
HARDNESS = (np.arange(400) + 0.5) / 400


def lawful(accuracies=None, clean=None, alphas=ALPHAS, magnitude=None, frechet=None) -> list[Record]:
    """Purifiers along the sigmoid: each right about the images that are no harder than its accuracy."""
    accuracies = LAW(alphas) if accuracies is None else accuracies
    right = (LAW(0.0) if clean is None else clean) > HARDNESS
    n = len(HARDNESS)
    return [
        probe(
            n,
            None,
            f"p{j}",
            alpha=np.full(n, alpha),
            robust=accuracy > HARDNESS,
            clean_fixed=right,
            **({"magnitude": np.full(n, magnitude[j])} if magnitude is not None else {}),
            **(features_apart(frechet[j], n) if frechet is not None else {}),
        )
        for j, (alpha, accuracy) in enumerate(zip(alphas, accuracies, strict=True))
    ]


@pytest.mark.usefixtures("fits")
def test_purifiers_along_a_sigmoid_obey_the_law():
    made = findings(probes=lawful())
    misfit, at_zero = (of_claim(c, made) for c in ("One sigmoid gives", "Its value at α = 0"))
    assert (misfit["mean"] < 1 / 400).all() and (at_zero["mean"].abs() < 0.01).all()
    for cases in (misfit, at_zero):
        assert set(cases["verdict"]) == {MEASURED} and set(cases["n"]) == {400}
        assert len(cases) and cases["case"].str.startswith("7 purifiers").all() and cases["case"].is_unique


@pytest.mark.usefixtures("fits")
def test_purifiers_up_and_down_obey_none():
    cases = of_claim("One sigmoid gives", findings(probes=lawful(np.where(np.arange(7) % 2, 0.9, 0.1))))
    assert (cases["low"] > 0.3).all()


@pytest.mark.usefixtures("fits")
@pytest.mark.parametrize("clean", [1.0, 0.7])
def test_a_law_that_does_not_end_at_the_clean_accuracy_is_found_out(clean):
    cases = of_claim("Its value at α = 0", findings(probes=lawful(clean=clean)))
    assert cases["mean"].to_numpy() == pytest.approx(LAW(0.0) - clean, abs=0.02)
    assert ((cases["low"] > 0) | (cases["high"] < 0)).all()


@pytest.mark.usefixtures("fits")
def test_purifiers_that_lose_clean_images_spoil_the_law_of_all_and_not_that_of_the_others():
    """Little is left of the images by these, attacked or not, however well they compress."""
    lost = [
        Record(r.keys | {"purifier": f"lost-{r.keys['purifier']}"}, r.arrays | {"clean_fixed": r.arrays["robust"]})
        for r in lawful(accuracies=[0.1, 0.1], alphas=ALPHAS[:2])
    ]
    cases = of_claim("One sigmoid gives", findings(probes=[*lawful(), *lost])).set_index("case")
    assert cases["low"]["9 purifiers: all"] > 0.1 and cases["mean"]["7 purifiers: recognised"] < 1 / 400


def without_diffusion(records: list[Record]) -> list[Record]:
    return [Record(r.keys | {"diffusion": False}, r.arrays) for r in records]


@pytest.mark.usefixtures("fits")
def test_the_points_of_the_law_and_of_predictors_are_those_of_their_tables():
    """Purifiers without a diffusion model are points of the figure, so of the claim."""
    probes = [*lawful()[:5], *without_diffusion(lawful()[5:])]
    made = findings(probes=probes)
    assert set(of_claim("One sigmoid gives", made)["case"]) == {"7 purifiers: all", "7 purifiers: recognised"}
    of_law = set(of_claim("One sigmoid gives", made)["case"])
    assert set(of_claim("The compression rate ranks purifiers", made)["case"]) == of_law
    fit = law.law_fit(probes)
    row = fit[(fit["quantity"] == "misfit") & (fit["through"] == "all")].iloc[0]
    found = of_claim("One sigmoid gives", made).set_index("case").loc["7 purifiers: all"]
    assert found[["mean", "low", "high", "n"]].tolist() == row[["mean", "low", "high", "n"]].tolist()


@pytest.mark.usefixtures("fits")
@pytest.mark.parametrize("points", [1, 2])
def test_too_few_points_for_a_law_have_no_table_that_evidence_could_be_taken_from(points):
    with pytest.raises(ValueError, match="3 parameters"):
        law.law_fit(lawful(alphas=ALPHAS[:points]))
    made = findings(probes=lawful(alphas=ALPHAS[:points]))
    assert of_claim("One sigmoid gives", made).empty and of_claim("Its value at α = 0", made).empty


def budget(accuracies, scales=ALPHAS, attack="pgd", seed=0) -> Record:
    """The bare classifier: right about the images that are no harder than its accuracy at each scale."""
    arrays = {"scale": np.array(scales), "epsilon": 0.1 * np.array(scales)}
    return Record({"attack": attack, "seed": seed}, arrays | {"robust": np.asarray(accuracies)[:, None] > HARDNESS})


@pytest.mark.parametrize(
    "shift",
    [0.0, 0.05, 0.2, -0.2],
    ids=["same", "near", "above", "below"],
)
def test_the_classifier_falls_as_the_purifiers_do_if_its_curve_is_theirs(shift):
    accuracies = 0.3 + 0.4 * LAW(ALPHAS)
    row = only("The undefended classifier", probes=lawful(accuracies), budgets=[budget(accuracies + shift)])
    assert row["mean"] == pytest.approx(abs(shift), abs=0.01) and row["verdict"] == MEASURED
    assert row["n"] == 400 and row["low"] <= row["mean"] <= row["high"]


def test_what_is_too_high_at_one_alpha_and_too_low_at_another_is_off():
    """A mean of differences would call it the same."""
    accuracies = 0.3 + 0.4 * LAW(ALPHAS)
    bent = budget(accuracies + 0.2 * np.array([1, -1, 1, 0, -1, 1, -1]))
    row = only("The undefended classifier", probes=lawful(accuracies), budgets=[bent])
    assert row["mean"] == pytest.approx(0.2 * np.sqrt(6 / 7), abs=0.02) and row["low"] > 0.1


def test_the_curve_of_the_classifier_is_read_between_its_scales():
    straight = budget([1.0, 0.0], scales=[0.0, 1.0])
    row = only("The undefended classifier", probes=lawful(1 - np.array(ALPHAS)), budgets=[straight])
    assert row["mean"] == pytest.approx(0, abs=0.01)


def test_the_order_of_scales_changes_nothing():
    scales, accuracies = np.array([0.0, 0.2, 0.5, 1.0]), np.array([0.95, 0.7, 0.3, 0.05])
    made = [
        only("The undefended classifier", probes=lawful(), budgets=[budget(accuracies[order], scales[order])])
        for order in ([0, 1, 2, 3], [3, 1, 0, 2])
    ]
    pd.testing.assert_series_equal(*made)


def test_the_classifier_and_the_purifiers_are_compared_image_by_image():
    """Where they are right about the very same images there is nothing left to scatter."""
    accuracies = LAW(ALPHAS)
    row = only("The undefended classifier", probes=lawful(accuracies), budgets=[budget(accuracies)])
    assert row["high"] - row["low"] < 0.02


# What predicts.

RANKS = np.arange(30)
CENTRED = np.abs(RANKS - 14.5)  # no rank correlation with them


@pytest.mark.parametrize(
    ("start", "name", "values", "mean", "said"),
    [
        ("The compression rate ranks purifiers", "alpha", -RANKS, -1, HOLDS),
        ("The compression rate ranks purifiers", "alpha", RANKS, 1, FAILS),
        ("The compression rate ranks purifiers", "alpha", CENTRED, 0, OPEN),
        ("The magnitude of the attack does not", "magnitude", CENTRED, 0, MEASURED),
        ("The magnitude of the attack does not", "magnitude", -RANKS, -1, MEASURED),
        ("The Fréchet distance does not", "frechet", -RANKS, -1, MEASURED),
    ],
)
def test_a_predictor_is_ranked_by_the_robust_accuracies(start, name, values, mean, said):
    of_point = {name: 2 + values / 30} if name != "alpha" else {}
    alphas = 2 + values / 30 if name == "alpha" else 2 - RANKS / 30
    cases = of_claim(start, findings(probes=lawful((RANKS + 1) / 40, alphas=alphas, **of_point)))
    assert cases["case"].tolist() == ["30 purifiers: all", "30 purifiers: recognised"]
    for _, row in cases.iterrows():
        assert row["mean"] == pytest.approx(mean, abs=1e-9) and row["verdict"] == said and row["n"] == 30


@pytest.mark.parametrize(
    ("alpha", "magnitude", "said"),
    [(-RANKS, CENTRED, HOLDS), (CENTRED, -RANKS, FAILS), (-RANKS, -RANKS, OPEN)],
    ids=["better", "worse", "as well"],
)
def test_alpha_ranks_better_where_the_other_does_not_rank(alpha, magnitude, said):
    probes = lawful((RANKS + 1) / 40, alphas=2 + alpha / 30, magnitude=2 + magnitude / 30)
    cases = of_claim("The compression rate ranks better", findings(probes=probes))
    assert cases["case"].tolist() == [f"30 purifiers: {t}, beside magnitude" for t in ("all", "recognised")]
    assert set(cases["verdict"]) == {said}


def test_few_purifiers_rank_nothing():
    probes = lawful(
        np.linspace(0.1, 0.9, 5), alphas=np.linspace(0.9, 0.1, 5), magnitude=[1, 3, 2, 5, 4], frechet=[1] * 5
    )
    made = findings(probes=probes)
    assert set(of_claim("The compression rate ranks better", made)["verdict"]) == {OPEN}
    three = findings(probes=probes[:3])
    assert set(of_claim("The compression rate ranks purifiers", three)["verdict"]) == {OPEN}


def test_a_predictor_that_was_not_measured_is_left_out():
    made = findings(probes=lawful())
    assert of_claim("The magnitude of the attack does not", made).empty
    assert of_claim("The compression rate ranks better", made).empty
    assert not of_claim("The compression rate ranks purifiers", made).empty


# Margins.


@pytest.mark.parametrize(
    ("start", "name", "sign"),
    [("The critical threshold tells", "threshold", 1), ("The length of the purified attack", "length", -1)],
)
def test_scores_tell_robust_from_fooled_images_as_far_as_they_are_ordered(start, name, sign):
    robust = first(40, 80) == 1
    apart = margin(robust, **{name: 10 + sign * np.where(robust, 5, -5) + np.arange(80) % 3})
    turned = margin(~robust, **{name: apart.arrays[name]})
    alike = margin(np.arange(80) % 2 == 0, **{name: np.arange(80) // 2 + 1.0})
    few = margin(first(2, 4) == 1, **{name: np.array([2.0, 4.0, 1.0, 3.0])})
    for record, mean, said in ((apart, 1, HOLDS), (turned, 0, FAILS), (alike, 0.5, OPEN)):
        row = only(start, margins=[record])
        assert row["mean"] == mean and row["n"] == 80 and row["verdict"] == said
    assert only(start, margins=[few])["verdict"] == OPEN
    assert np.isnan(only(start, margins=[margin(np.ones(5, bool))])["mean"])


def test_a_threshold_out_of_reach_is_the_highest():
    robust = first(30, 60) == 1
    row = only("The critical threshold tells", margins=[margin(robust, threshold=np.where(robust, inf, 1.0))])
    assert row["mean"] == 1 and row["verdict"] == HOLDS


# Which t.


@pytest.mark.parametrize(
    ("ts", "case"),
    [
        ((10, 50, 200, 300), "ddpm, t = 10, 50, 200"),
        ((20, 180, 300), "ddpm, t = 20, 180"),
        ((1, 5, 9), None),
        ((50,), None),
    ],
    ids=str,
)
def test_strengths_are_the_nearest_there_are(ts, case):
    made = findings(probes=[probe(5, t, alpha=np.full(5, 1 / t)) for t in ts[::-1]])
    cases = of_claim("More noise compresses more", made)
    if case is None:  # one t is no change
        assert cases.empty
    else:
        *_, before, last = map(int, re.findall(r"\d+", case))
        assert cases["case"].tolist() == [case] and cases["mean"].tolist() == pytest.approx([1 / before - 1 / last])


def test_what_falls_between_its_ends_and_rises_once_does_not_fall():
    between = {10: 0.8, 50: 0.3, 100: 0.5, 200: 0.2}
    made = findings(probes=[probe(20, t, alpha=about(alpha, 0.01, 20)) for t, alpha in between.items()])
    row = of_claim("More noise compresses more", made).iloc[0]
    assert row["mean"] == pytest.approx(-0.2) and row["verdict"] == FAILS


def test_what_is_said_of_one_sampler_is_not_asked_of_another():
    ts = (200, 700, 1000)
    made = findings(probes=[probe(5, t, p, alpha=np.full(5, 1 / t)) for p, t in product(("ddpm", "reverse"), ts)])
    assert of_claim("α of ddpm goes on", made)["case"].tolist() == ["ddpm, t = 200, 700, 1000"]
    assert of_claim("α of reverse rises", made)["case"].tolist() == ["reverse, t = 200, 700"]
    assert of_claim("… and falls again", made)["case"].tolist() == ["reverse, t = 700, 1000"]


def test_purifiers_without_a_strength_have_no_change():
    made = findings(probes=[probe(5, None, "gaussian"), probe(5, 10), probe(5, 200, alpha=np.full(5, 0.1))])
    assert set(of_claim("More noise compresses more", made)["case"]) == {"ddpm, t = 10, 200"}


# Of all of them.


def every(seeds=(0, 1, 2), n=12) -> dict[str, list[Record]]:
    """Evidence for every claim, of random numbers and two purifiers."""
    g = np.random.default_rng(0)
    right = lambda *shape: g.random(shape) < 0.6  # noqa: E731
    made = {kind: [] for kind in KINDS}
    made["subset"] = [Record({}, {"x": g.random((n, 1, 4, 4))})]
    attacks = {"clean": ["none"], "uniform": ["none"], "uniform-x4": ["none"], "pgd": ["none", "all"]}
    attacks |= {"pgd-eot": ["none"], "bpda": ["none", "all"], "bpda-eot": ["none"]}
    for purifier, seed in product(("ddpm", "reverse", "ddim"), seeds):
        of = of_purifier(purifier, seed)
        for attack, knowledge in ((a, k) for a, knowledges in attacks.items() for k in knowledges):
            scale = 4 if attack == "uniform-x4" else 1
            arrays = {f"{m}_{w}": scale * g.random(n) for m, w in product(DEFAULTS, WHEN)}
            arrays |= {f"frechet_{w}": g.random(1) for w in WHEN} | {"alpha": g.random(n)}
            arrays |= {"correct_fixed": right(n), "correct_varying": right(2, n)}
            record = measured(n, purifier, attack, knowledge, seed, **arrays)
            made["measured"].append(record)
            made["purified"].append(Record(record.keys, {"path_l2": 1 + g.random((4, n))}))
            if (attack, knowledge) == ("pgd", "all"):
                made["outcomes"].append(record)
                made["headline"].append(record)
                for name, points in (("harder", {}), ("wide", {"epsilon": 1.0}), *EQUAL):
                    grid = {"of": "pgd", "set": {}, "place": 0, "varied": list(points), "values": list(points.values())}
                    said = {"attack": name, "beyond": name == "harder", "grids": [grid] if points else []}
                    made["varied"].append(Record(record.keys | said, {"correct_fixed": right(n)}))
            if attack.startswith(("pgd", "bpda")):
                x = made["subset"][0].arrays["x"] + 0.1 * g.standard_normal((n, 1, 4, 4))
                made["crafted"].append(Record(record.keys, {"x": x}))
        arrays = {name: g.random(n) for name in ("directions_xi", "directions_input", "snr")}
        arrays |= {"centroid_initial": g.random((n, 3))}
        arrays |= {name: g.random((n, 3, 3)) for name in ("centroid_input", "centroid_xi", "centroid_both")}
        made["balls"].append(Record(of, arrays))
        made["jacobians"].append(Record(of, {"singular_values": 2 * g.random((n - 2, 16))}))
        made["spectra"].append(Record(of, {when: g.random((3, 16)) for when in WHEN}))
        for t in (10, 100, 200, 300, 700, 1000):
            arrays = {"alpha": g.random(n), "clean_fixed": right(n), "clean_fresh": right(n)}
            attacked = {"robust": right(n), "magnitude": g.random(n)} | features_apart(g.random(), n)
            made["probes"].append(Record(of | {"t": t}, arrays | (attacked if t <= 300 else {})))
        made["judgings"] += [judging(right(10, n), attack, purifier, seed) for attack in ("clean", "pgd")]
        arrays = {"length": g.random(n), "threshold": g.random(n), "attack_length": g.random(n)}
        made["margins"].append(margin(right(n), purifier, seed, **arrays))
    for seed in seeds:
        falling = right(3, n) & (g.random((3, n)) < 0.5)
        arrays = {"scale": np.array([0.0, 0.5, 1.0]), "epsilon": np.array([0, 0.05, 0.1]), "robust": falling}
        made["budgets"].append(Record({"attack": "pgd", "seed": seed}, arrays))
        made["caps"].append(cap(n, seed=seed, slope=12 * g.random(n), changes=g.integers(1, 3, n)))
    attacks = (("pgd-20-eot", "none"), ("pgd-20-eot", "forward"), ("pgd-20-eot", "reverse"), ("pgd-20", "all"))
    for purifier, (attack, knowledge), seed in product(("ddpm", "reverse", *HARDENED), attacks, seeds):
        arrays = {"correct_fixed": right(n), "correct_varying": right(2, n), "correct_partly": right(2, n)}
        record = measured(n, purifier, attack, knowledge, seed, **arrays)
        if purifier not in HARDENED:
            made["boxed"].append(record)
        if purifier != "ddpm" and knowledge in ("none", "all"):
            made["hardened"].append(Record(record.keys | HARDENED.get(purifier, {}), record.arrays))
    walks = walked(("ddpm", "ddpm-addt"), range(n), repeats=2, steps=2)
    made |= {"paths": walks["paths"]}
    made["landscapes"] = [
        Record(r.keys | ({"vanilla": "ddpm"} if r.keys["purifier"] == "ddpm-addt" else {}), r.arrays)
        for r in walks["landscapes"]
    ]
    return made


EQUAL = (("one", {"steps": 8, "draws": 1}), ("four", {"steps": 2, "draws": 4}))
WHOLE = {
    "vanilla": "reverse",
    "ablation": False,
    "perturbation": "ranked",
    "objective": "classifier",
    "perturbed": True,
}
HARDENED = {
    "reverse-addt": WHOLE,
    "reverse-bounded": WHOLE | {"ablation": True, "perturbation": "bounded"},
    "reverse-unguided": WHOLE | {"ablation": True, "objective": "prediction"},
    "reverse-longer": WHOLE | {"ablation": True, "perturbed": False},
}
# test_robustness.py makes up gradients, test_search.py what a search has chosen, others what is put on trial
ELSEWHERE = {"unseen-share", *verified.QUANTITIES, *third_regime.QUANTITIES, *elsewhere.QUANTITIES}
KINDS = ("measured", "crafted", "subset", "balls", "jacobians", "outcomes", "spectra")
KINDS += ("probes", "judgings", "margins", "budgets", "caps", "boxed", "hardened")
KINDS += ("purified", "headline", "varied", "paths", "landscapes")


@pytest.fixture(scope="module")
def whole():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(law, "law_fit", no_fit)
        return findings(**every())


# what a row says by itself; its verdict hangs on the family it is in
SAID = [
    "id",
    "source",
    "claim",
    "quantity",
    "paper",
    "case",
    "mean",
    "low",
    "high",
    "n",
    "target_low",
    "target_high",
    "weak",
]


def in_order(made: pd.DataFrame) -> pd.DataFrame:
    return made.sort_values(["source", "claim", "case"]).reset_index(drop=True)


def test_there_is_a_row_for_each_claim_and_case(whole):
    made = [c for c in CLAIMS if c.quantity not in ELSEWHERE]
    assert set(zip(whole["source"], whole["claim"], strict=True)) == {(c.source, c.claim) for c in made}
    assert not whole.duplicated(["source", "claim", "case"]).any()
    assert list(whole.columns) == [
        *("id", "source", "claim", "quantity", "paper"),
        *("case", "mean", "low", "high", "n", "target_low", "target_high", "verdict", "p", "p_holm", "needed", "weak"),
    ]
    for _, row in whole.iterrows():
        alone = verdict(row["low"], row["high"], (row["target_low"], row["target_high"]))
        assert row["verdict"] in (alone, OPEN) or (row["verdict"] == MEASURED and np.isinf(row["target_high"]))
        assert row["low"] <= row["mean"] <= row["high"] or row["id"] in ("law", "predictors"), row[
            "claim"
        ]  # few points
        assert row["n"] == int(row["n"]) > 0


def test_nothing_at_all_gives_an_empty_frame():
    assert findings().empty and findings(measured=[], balls=[], probes=[]).empty


def test_without_evidence_the_frame_has_the_same_columns(whole):
    assert list(findings().columns) == list(whole.columns)


def needed(claim: SimpleNamespace) -> set[str]:
    """The kinds of evidence that a claim rests on."""
    if claim.claim.startswith(("Attacks for different ξ", "EOT's perturbation")):
        return {"crafted", "subset"}
    if claim.claim.startswith("The spectra of robust and fooled"):
        return {"jacobians", "outcomes"}
    if claim.claim.startswith("The path is the same"):
        return {"purified", "measured"}
    if claim.quantity == "tenfold-loss":
        return {"headline", "varied"}
    of_kind = {
        "measured": ("distances", "trajectory", "robustness", "transfer", "compression"),
        "balls": ("directions", "centroids", "variance"),
        "probes": ("timesteps", "law", "predictors", "clean-t", "budget"),
        "budgets": ("budget",),
        "jacobians": ("jacobian",),
        "spectra": ("pca",),
        "judgings": ("fuzzy",),
        "caps": ("cap",),
        "margins": ("margins",),
        "boxed": ("dw-box",),
        "hardened": ("addt",),
        "varied": ("strength",),
        "paths": ("attack-paths",),
        "landscapes": ("landscape",),
    }
    return {kind for kind, tables in of_kind.items() if claim.id in tables}


@pytest.mark.parametrize("missing", KINDS)
def test_a_missing_kind_of_evidence_leaves_out_its_claims_and_no_others(whole, missing):
    left = {(c.source, c.claim) for c in CLAIMS if missing not in needed(c)}
    made = findings(**{kind: records for kind, records in every().items() if kind != missing})
    wanted = whole[[pair in left for pair in zip(whole["source"], whole["claim"], strict=True)]]
    pd.testing.assert_frame_equal(made[SAID], wanted[SAID].reset_index(drop=True))


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_of_evidence_alone_gives_the_claims_that_need_no_other(whole, kind):
    left = {(c.source, c.claim) for c in CLAIMS if needed(c) == {kind} and c.quantity not in ELSEWHERE}
    made = findings(**{kind: every()[kind]})
    assert {tuple(pair) for pair in made[["source", "claim"]].to_numpy()} == left if left else made.empty


@pytest.mark.parametrize(
    ("attack", "knowledge", "without"),
    [
        ("pgd-eot", "none", {"EOT is stronger than", "EOT stays weaker", "EOT's perturbation"}),
        ("pgd", "none", {"EOT is stronger than"}),  # what knowing ξ does is then beside the EOT variant
        ("uniform-x4", "none", {"Noise much larger"}),
    ],
)
def test_an_attack_that_was_not_made_leaves_out_what_is_compared_with_it(attack, knowledge, without):
    kept = {
        kind: [r for r in records if (r.keys.get("attack"), r.keys.get("knowledge")) != (attack, knowledge)]
        for kind, records in every().items()
        if kind in ("measured", "crafted", "subset")
    }
    pgd = {c for c in without if "pgd" in set(of_claim(c, findings(**kept))["case"].str.split(", ").str[1])}
    assert not pgd
    whole = findings(**{kind: every()[kind] for kind in kept})
    for start in without:
        assert "pgd" in set(of_claim(start, whole)["case"].str.split(", ").str[1]) or start == "Noise much larger"
    assert of_claim("Noise much larger", findings(**kept)).empty == (attack == "uniform-x4")


def test_blind_attacks_are_no_attacks_and_attacks_no_noise(whole):
    of_noise = ["Image space is compressed", "The reverse process alone compresses more than DDPM"]
    of_noise += [
        "Uniform noise as small as an attack is moved away too",
        "Noise much larger than an attack is brought closer",
    ]
    noise = whole["claim"].isin(of_noise)
    noise &= whole["id"].isin(["compression", "trajectory"])
    assert whole[noise]["case"].str.contains("uniform").all()
    assert not whole[~noise]["case"].str.contains("uniform").any()


def test_the_order_of_records_and_seeds_changes_nothing(whole):
    turned = {
        kind: [records[i] for i in np.random.default_rng(1).permutation(len(records))]
        for kind, records in every().items()
    }
    pd.testing.assert_frame_equal(in_order(findings(**turned)), in_order(whole), rtol=1e-9)


def test_seeds_are_paired_by_their_number_whatever_it_is(whole):
    renumbered = {
        kind: [
            Record(r.keys | ({"seed": 70 - 3 * r.keys["seed"]} if "seed" in r.keys else {}), r.arrays) for r in records
        ]
        for kind, records in every().items()
    }
    pd.testing.assert_frame_equal(in_order(findings(**renumbered)), in_order(whole), rtol=1e-9)


@pytest.fixture(scope="module")
def repeated():
    """Every seed's records once more, under another number."""
    again = {
        kind: [*records, *(Record(r.keys | {"seed": r.keys["seed"] + 10}, r.arrays) for r in records)]
        for kind, records in every().items()
        if kind != "subset"
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(law, "law_fit", no_fit)
        return findings(**again, subset=every()["subset"])


# What seeds are the sample of, or pairs of them: a seed that is another one's copy is something new there.
OF_SEEDS = ("Purification brings the distribution", "ddim brings", "Attacks for different ξ", "EOT's perturbation")


@pytest.mark.parametrize("claim", [c for c in CLAIMS if not c.claim.startswith(OF_SEEDS)], ids=lambda c: c.quantity)
def test_images_are_what_is_sampled_and_seeds_add_none(whole, repeated, claim):
    """The same judgings once more are no further evidence: the interval is over images, not images × seeds."""
    once, twice = (
        made[(made["source"] == claim.source) & (made["claim"] == claim.claim)] for made in (whole, repeated)
    )
    columns = ["case", "mean", "low", "high"]
    pd.testing.assert_frame_equal(
        once[columns].reset_index(drop=True), twice[columns].reset_index(drop=True), rtol=1e-6, atol=1e-9
    )


def test_purifiers_are_cases_of_their_own(whole):
    """What one purifier's records say does not depend on another's, but for what goes through all of them."""
    alone = {
        kind: [r for r in records if r.keys.get("purifier", "ddpm") in ("ddpm", "identity")]
        for kind, records in every().items()
    }
    through_all = ("law", "predictors", "budget", "attack-paths", "landscape")
    made, wanted = (
        in_order(f[f["case"].str.startswith(("ddpm", "identity")) & ~f["id"].isin(through_all)])
        for f in (findings(**alone), whole)
    )
    pd.testing.assert_frame_equal(made[SAID], wanted[SAID])
    assert len(wanted) > 30


def test_the_interval_of_a_mean_is_that_of_the_statistics():
    values = np.random.default_rng(0).random(50)
    row = only("Internal randomness dominates", balls=[ball(50, snr=values)])
    assert (row["mean"], row["low"], row["high"]) == stats.mean_interval(values)


# Roles.


def test_purifiers_without_a_diffusion_model_are_asked_nothing_of_their_own():
    """Caps are those of the bare classifier; the law and what predicts are of all that were attacked."""
    unasked = {kind: without_diffusion(records) for kind, records in every().items() if kind != "subset"}
    made = findings(**unasked, subset=every()["subset"])
    assert set(made["id"]) == {"cap", "law", "predictors", "budget", "strength"}


@pytest.mark.parametrize("kind", ["margins", "hardened"])
def test_what_comes_from_a_table_is_of_the_purifiers_with_a_diffusion_model_in_it(kind):
    records = every()[kind]
    asked = [r for r in records if r.keys["purifier"].startswith("ddpm")] if kind == "margins" else records
    others = without_diffusion([Record(r.keys | {"purifier": f"no-{r.keys['purifier']}"}, r.arrays) for r in records])
    pd.testing.assert_frame_equal(findings(**{kind: [*asked, *others]}), findings(**{kind: asked}))


def renamed(records: list[Record]) -> list[Record]:
    """The same attacks under names that say nothing."""
    name = {"pgd-eot": "a", "bpda": "b", "bpda-eot": "c", "pgd-20-eot": "d", "clean": "clean", None: None}
    return [
        Record(r.keys | {"attack": name.get(r.keys.get("attack"), r.keys.get("attack"))}, r.arrays) for r in records
    ]


def test_what_an_attack_is_to_another_is_said_by_its_roles_not_by_its_name(whole):
    """`twin_of` and `eot_of` name the attacks as they are called now."""
    now = {"pgd-eot": "a", "bpda": "b"}
    made = {
        kind: [
            Record(
                r.keys
                | {role: now.get(r.keys[role], r.keys[role]) for role in ("eot_of", "twin_of") if role in r.keys},
                r.arrays,
            )
            for r in renamed(records)
        ]
        for kind, records in every().items()
    }
    numbers = ["claim", "mean", "low", "high", "n", "verdict"]
    pd.testing.assert_frame_equal(findings(**made)[numbers], whole[numbers])


@pytest.mark.parametrize("role", ["eot_of", "twin_of"])
def test_without_a_role_nothing_is_compared_whatever_the_names(role, whole):
    silent = {
        kind: [Record({key: v for key, v in r.keys.items() if key != role}, r.arrays) for r in records]
        for kind, records in every().items()
    }
    box = {"dw-box-gap", "forward-gap", "reverse-gap", "part-minus-all"}
    missing = {"eot_of": {"eot-gap", "knowing-minus-eot", "eot-correlation-gap"} | box, "twin_of": {"bpda-gap"}}
    found = set(evidence_of(**silent)["quantity"])
    assert found == set(evidence_of(**every())["quantity"]) - missing[role]


def test_two_eot_variants_of_one_attack_are_two_cases():
    known = measured(N, attack="pgd", correct_fixed=first(20) == 1)
    variants = [
        measured(N, attack=name, knowledge="none", correct_varying=(first(k) == 1)[None])
        for name, k in (("eot-10", 60), ("eot-20", 50))
    ]
    variants = [Record(r.keys | {"eot_of": "pgd"}, r.arrays) for r in variants]
    made = of_claim("An attacker who knows all of ξ", findings(boxed=[known, *variants]))
    assert made["case"].tolist() == ["ddpm, pgd beside eot-10", "ddpm, pgd beside eot-20"]
    assert made["mean"].tolist() == pytest.approx([0.4, 0.3])
    alone = of_claim("An attacker who knows all of ξ", findings(boxed=[known, variants[0]]))
    assert alone["case"].tolist() == ["ddpm, pgd"]


def test_what_is_said_of_one_process_is_asked_of_all_its_purifiers_whatever_their_names():
    probes = [probe(5, t, p, alpha=np.full(5, 1 / t)) for p, t in product(("ours", "ddpm-like"), (200, 1000))]
    process = {"ours": "ddpm", "ddpm-like": "reverse"}
    probes = [Record(r.keys | {"process": process[r.keys["purifier"]]}, r.arrays) for r in probes]
    assert of_claim("α of ddpm goes on", findings(probes=probes))["case"].tolist() == ["ours, t = 200, 1000"]


def test_every_study_yields_what_it_declares():
    found = evidence_of(**every())
    assert set(found["quantity"]) == set(QUANTITIES) - ELSEWHERE
    assert not found.duplicated(["quantity", "case"]).any()
