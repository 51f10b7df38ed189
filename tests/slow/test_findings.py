"""The papers' findings on the embedded experiment, each a statement that its interval decides.

Runs it first, in a folder of its own, without figures and the parts that no statement here is about: tests/workflow makes
those on a tiny experiment. PURITY_EMBEDDED names a folder that holds results already, of the whole experiment say.
Comparisons of attacks are paired by image: the interval of a difference is taken over the images that both were judged
on, seeds averaged.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up import only
from workspace import PATIENT, ROOT, Workspace, once

from purity import metrics
from purity.run.store import Stored
from purity.studies.drawing import all_seeds

DIFFUSION = ("ddpm", "reverse", "ddim", "one-step")
SEEDS = (0, 1, 2)
RESULTS = Path("results/digits")
NOT_READ = ("search", "third-regime", "elsewhere", "paths", "samples", "sensitivity", "dw-box", "cap")
KNOWING = {"uniform": ["none"], "standard-eot": ["none"], "standard": ["all"]}


def without_what_is_not_read(config):
    """What is made again here is held to the run kept in docs/digits, which has the rest."""
    experiment = config["experiments"]["digits"]
    for part in NOT_READ:
        experiment[part] = None
    experiment["attacked"] = {"identity": {"pgd": ["none"]}} | dict.fromkeys(DIFFUSION, KNOWING)
    experiment["attacked"]["ddpm"] = KNOWING | {"uniform-x4": ["none"], "pgd": ["none", "all"], "bpda": ["none"]}
    experiment["addt"] = {"seeds": [0], "attacks": ["standard"], "purifiers": {"ddpm-addt": "ddpm"}}
    experiment["budget"]["attacks"] = ["standard"]
    experiment["fresh_draws"] = 5
    experiment["fuzzy"] |= {"attacks": ["standard-eot", "pgd"], "judgings": 40}
    experiment["jacobian"]["purifiers"] = experiment["margins"]["purifiers"] = ["ddpm"]
    experiment["pca"]["points"] = 2000
    experiment["strength"] |= {"grids": [], "purifiers": {"ddpm": ["all"]}}
    del experiment["sweep"]["protocol"]
    experiment["sweep"] |= {"purifiers": ["ddpm"], "attacked": [50, 200], "clean": [1000]}


@pytest.fixture(scope="module", autouse=True)
def results(tmp_path_factory, monkeypatch_module):
    """Tests read the results below the folder that they are started in."""

    def make(folder):
        workspace = Workspace.fresh(folder)
        shutil.copy2(ROOT / "config/config.yaml", folder / "config")
        workspace.configure(without_what_is_not_read)
        workspace.run(f"{RESULTS}/comparison.html", "--cores", "all", *PATIENT, timeout=4500)

    given = os.environ.get("PURITY_EMBEDDED")
    monkeypatch_module.chdir(given or once(tmp_path_factory, "embedded", make).path)


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def table(name):
    return pd.read_csv(RESULTS / f"tables/{name}.csv")


def one(frame, **keys):
    """The single row of all seeds with these keys."""
    return only(all_seeds(frame), **keys)


def stored(path, part):
    """Blocks as one."""
    return Stored(sorted((RESULTS / path).glob("images-*.zarr.zip")) or RESULTS / f"{path}.zarr.zip", part)


def measured(purifier, attack, knowledge, seed):
    return stored(f"measures/{purifier}/attacked", f"{attack}/{knowledge}/seed-{seed}")


def per_image(name, purifier, attack, knowledge):
    """One measure of every image, averaged over seeds (and fresh draws)."""
    stores = [measured(purifier, attack, knowledge, s) for s in SEEDS]
    return np.mean([np.atleast_2d(s[name]).mean(axis=0) for s in stores], axis=0)


def interval(differences):
    """95 % interval of a mean over images (normal; n ≥ 100)."""
    mean, error = differences.mean(), differences.std(ddof=1) / np.sqrt(len(differences))
    return mean - 1.96 * error, mean + 1.96 * error


def test_the_experiment_is_an_honest_one():
    """At least 100 images and three seeds; the undefended classifier is good, and falls below 5 % under attack."""
    frame = table("robustness")
    clean = one(frame, purifier="identity", attack="clean", judged="fresh")
    fooled = one(frame, purifier="identity", attack="pgd", knowledge="none")
    assert clean["n"] >= 100 and clean["seeds"] == 3
    assert clean["mean"] > 0.9 and fooled["mean"] < 0.05


def test_the_run_that_is_kept_gave_the_same_within_the_intervals():
    """Perhaps on another processor, which rounds otherwise, and judged by more ξ."""
    keys = ["purifier", "attack", "knowledge", "judged"]
    kept = all_seeds(pd.read_csv(ROOT / "docs/digits/tables/robustness.csv")).set_index(keys)["mean"]
    both = all_seeds(table("robustness")).set_index(keys).join(kept.rename("kept"), how="inner")
    assert len(both) > 20 and ((both["low"] <= both["kept"]) & (both["kept"] <= both["high"])).all()


@pytest.mark.parametrize("purifier", DIFFUSION)
def test_purified_clean_images_are_still_recognised(purifier):
    for judged in ("fresh", "fixed"):
        assert one(table("robustness"), purifier=purifier, attack="clean", judged=judged)["mean"] >= 0.9


@pytest.mark.parametrize(("attack", "knowledge"), [("pgd", "none"), ("pgd", "all"), ("bpda", "none")])
def test_ddpm_pushes_attacked_images_away_from_the_clean_ones(attack, knowledge):
    """ℓ2, ℓ∞ and 1 − SSIM grow (§3.1), image by image."""
    for measure, sign in (("l2", 1), ("linf", 1), ("ssim", -1)):
        before, after = (per_image(f"{measure}_{when}", "ddpm", attack, knowledge) for when in ("before", "after"))
        assert interval(sign * (after - before))[0] > 0, measure


@pytest.mark.parametrize("purifier", DIFFUSION)
def test_every_sampler_moves_small_noise_away_in_linf(purifier):
    before, after = (per_image(f"linf_{when}", purifier, "uniform", "none") for when in ("before", "after"))
    assert interval(after - before)[0] > 0


def test_large_noise_is_brought_closer():
    """The push away turns into shrinkage under large perturbations (App. C.2)."""
    before, after = (per_image(f"l2_{when}", "ddpm", "uniform-x4", "none") for when in ("before", "after"))
    assert interval(after - before)[1] < 0


@pytest.mark.parametrize("purifier", DIFFUSION)
def test_purification_brings_the_distribution_closer(purifier):
    """The Fréchet distance falls (Table 1), here on the classifier's features."""
    frame = table("distances")
    keys = {"purifier": purifier, "attack": "standard-eot", "knowledge": "none", "measure": "frechet-classifier"}
    before, after = (one(frame, when=when, **keys) for when in ("before", "after"))
    assert after["mean"] + after["std"] < before["mean"] - before["std"]


def test_directions_agree_under_one_xi_and_not_across_xi():
    """Fig. 2d, e: the correlation at fixed ξ is far above that at varying ξ. That of reverse and one-step is not."""
    frame = table("directions")
    xi, same = (one(frame, purifier="ddpm", varied=varied) for varied in ("xi", "input"))
    assert same["mean"] - 2 * same["std"] > xi["mean"] + 2 * xi["std"]


@pytest.mark.parametrize("purifier", DIFFUSION)
def test_fixed_xi_compresses_the_ball_and_xi_expands_it(purifier):
    """Fig. 2f: one ξ compresses; many spread what comes out wider, for ddpm wider than the ball itself."""
    frame = table("centroids")
    start, same, varying, both = (one(frame, purifier=purifier, varied=v) for v in ("initial", "input", "xi", "both"))
    error = {row["varied"]: 1.96 * row["std"] / np.sqrt(row["n"]) for row in (start, same, varying, both)}
    assert same["mean"] + error["input"] < start["mean"] - error["initial"]
    if purifier == "ddpm":
        assert both["mean"] - error["both"] > start["mean"] + error["initial"]
    assert varying["mean"] > 1.5 * same["mean"]


@pytest.mark.parametrize("purifier", DIFFUSION)
def test_internal_randomness_dominates(purifier):
    """SNR ≪ 1 (eq. 7), and the law of total variance holds in the table."""
    frame = table("variance")
    snr = one(frame, purifier=purifier, component="snr")
    assert snr["mean"] + 2 * snr["std"] < 0.5
    parts = {
        c: one(frame, purifier=purifier, component=f"variance_{c}")["mean"] for c in ("total", "input", "internal")
    }
    assert parts["total"] == pytest.approx(parts["input"] + parts["internal"], rel=1e-9)


@pytest.mark.parametrize("purifier", DIFFUSION)
def test_knowing_xi_helps_the_attacker(purifier):
    """Robust accuracy at knowledge all is below that at knowledge none (Tables 2, 3), paired by image."""
    none = per_image("correct_varying", purifier, "standard-eot", "none")
    known = per_image("correct_fixed", purifier, "standard", "all")
    low, high = interval(none - known)
    assert low > 0, (low, high)


@pytest.mark.parametrize("purifier", DIFFUSION)
def test_an_attack_does_not_transfer_across_xi(purifier):
    """Judged under another ξ, an attack that knew ξ does no better than one that knew nothing (Table 4).

    The interval of the paired difference is not below −.12, somewhat more than the half-width of a 95 % interval of an
    accuracy of one half on 100 images.
    """
    none = per_image("correct_varying", purifier, "standard-eot", "none")
    transferred = per_image("correct_varying", purifier, "standard", "all")
    low, _ = interval(transferred - none)
    assert low > -0.12


@pytest.mark.parametrize("purifier", DIFFUSION)
def test_compression_is_stronger_for_noise_and_weaker_where_the_attack_wins(purifier):
    """Table 6: α(uniform) < α(robust) < α(fooled), and α(uniform) < 1."""
    frame = table("compression")
    frame = frame[frame["measure"] == "alpha"]
    noise = one(frame, purifier=purifier, attack="uniform")
    robust, fooled = (
        one(frame, purifier=purifier, attack="standard", knowledge="all", outcome=o) for o in ("robust", "fooled")
    )
    error = [1.96 * row["std"] / np.sqrt(row["n"]) for row in (noise, robust, fooled)]
    assert noise["mean"] + error[0] < 1
    assert noise["mean"] + error[0] < robust["mean"] - error[1]
    assert robust["mean"] + error[1] < fooled["mean"] - error[2]


def findings():
    return pd.read_csv(RESULTS / "tables/findings.csv")


# Claims that show on the digits too, in every case unless one is named.
SHOWN = {
    "… and in ℓ∞": None,
    "… and structurally": "ddpm, standard-eot",
    "Purification brings the distribution of attacked images closer to that of the clean ones": None,
    "Uniform noise as small as an attack is moved away too": "ddpm, uniform",
    "Noise much larger than an attack is brought closer": None,
    "The direction of purification depends on ξ more than on the input": "ddpm",
    "One ξ compresses the ball": None,
    "Internal randomness dominates what comes out": None,
    "An attacker who knows ξ does more harm": None,
    "Purification moves attacked images away from the clean ones, in ℓ2": "ddpm, pgd",
    "Varying ξ expands it": "ddpm",
    "EOT stays weaker than knowing ξ": "ddpm, standard",
    "An attack made for one ξ does not carry over to another": "ddpm, standard",
    "Image space is compressed": None,
    "Attacks find directions that are compressed less": None,
    "… least where they succeed": "ddpm, pgd",
    "Most principal components of the ball shrink": None,
    "A majority vote over ξ is more accurate than one judging": "ddpm, pgd",
    "Submitting a clean image again and again fools the defence too": None,
    "The critical threshold tells robust from fooled images": None,
    "The length of the purified attack does, less well": None,
    "… and under DW-box": "ddpm-addt, standard",
}
# Claims that no paper puts a number to: measured, and nothing decided.
MEASURED = (
    "One sigmoid gives the robust accuracy of all samplers and t by their compression rate",
    "Its value at α = 0 is the clean accuracy",
    "The undefended classifier under the budget ε·α falls over the same range",
    "The magnitude of the attack does not",
    "The Fréchet distance does not",
    "Many attacked images are neither robust nor fooled, but both, by chance",
)
# Claims that do not: an honest negative is a result.
NOT_SHOWN = (
    "Attacks for different ξ are nearly uncorrelated",
    "Nine of ten directions are compressed below a quarter",
)


@pytest.mark.parametrize("claim", SHOWN)
def test_a_claim_holds_here_too(claim):
    cases = findings()
    cases = cases[cases["claim"] == claim]
    chosen = cases if SHOWN[claim] is None else cases[cases["case"] == SHOWN[claim]]
    assert len(chosen) and set(chosen["verdict"]) == {"holds"}, cases[["case", "mean", "low", "high", "verdict"]]


@pytest.mark.parametrize("claim", MEASURED)
def test_a_claim_without_a_number_is_measured_with_an_interval(claim):
    cases = findings()
    cases = cases[cases["claim"] == claim]
    assert len(cases) and set(cases["verdict"]) == {"measured"}
    assert (cases["low"] <= cases["mean"]).all() and (cases["mean"] <= cases["high"]).all()


def test_the_standard_attack_has_converged_and_the_papers_has_not():
    """Of who knows ξ. Ten times the budget takes a tenth and more from 40 steps of ε/30, and hardly an image from it."""
    verdicts = table("strength-verdicts").set_index(["attack", "knowledge", "purifier"])
    standard, protocol = (verdicts.loc[(attack, "all", "ddpm")] for attack in ("standard", "pgd"))
    assert standard["verdict"] == "converged" and standard["accuracy"] - standard["union"] <= 0.03
    assert protocol["verdict"] == "not converged" and protocol["loss"] > 0.05


def test_a_claim_that_rests_on_an_attack_that_has_not_converged_says_so():
    cases = findings()
    weak = cases[cases["weak"].notna()]
    assert len(weak) and weak["weak"].str.contains("/pgd/").any()
    assert not weak["weak"].str.contains("/standard/").any()
    of_pgd = cases[(cases["claim"] == "An attack made for one ξ does not carry over to another")]
    assert of_pgd.set_index("case").loc["ddpm, pgd", "weak"] == "ddpm/pgd/all"


def test_an_undecided_claim_needs_more_images_than_there_were():
    cases = findings()
    needed = cases.loc[cases["verdict"] == "undecided", ["needed", "n"]].dropna()
    assert len(needed) and (needed["needed"] > needed["n"]).all()


@pytest.mark.parametrize("claim", NOT_SHOWN)
def test_a_claim_that_does_not_show_is_said_not_to_hold(claim):
    cases = findings()
    assert set(cases.loc[cases["claim"] == claim, "verdict"]) == {"does not hold"}


def test_every_verdict_follows_from_its_interval_and_the_page_tells_all():
    table = findings()
    inside = (table["low"] >= table["target_low"]) & (table["high"] <= table["target_high"])
    outside = (table["high"] < table["target_low"]) | (table["low"] > table["target_high"])
    holds, fails = table["verdict"] == "holds", table["verdict"] == "does not hold"
    assert inside[holds].all() and outside[fails].all()
    assert (table.loc[holds | fails, "p"] <= 0.05).all() and (
        table.loc[table["verdict"] == "undecided", "p"] > 0.05
    ).any()
    page = (RESULTS / "comparison.html").read_text(encoding="utf-8")
    assert page.count("✓ holds") == holds.sum() and page.count("✗ does not hold") == fails.sum()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("purifier", DIFFUSION)
def test_the_law_and_the_main_findings_measure_the_same(purifier, seed):
    """Two ways to one number: a probe at the preset's own strength, and the stages of the main findings."""
    probe, clean = stored(f"probes/{purifier}", f"seed-{seed}"), measured(purifier, "clean", "none", seed)
    noise, attack = measured(purifier, "uniform", "none", seed), measured(purifier, "standard", "all", seed)
    for found, wanted in (
        (probe["clean_fixed"], clean["correct_fixed"]),
        (probe["clean_fresh"], clean["correct_varying"][0]),
        (probe["robust"], attack["correct_fixed"]),
    ):
        assert np.array_equal(found, wanted)
    assert np.allclose(probe["alpha"], noise["alpha"], rtol=1e-5)
    assert np.allclose(probe["alpha_attacked"], attack["alpha"], rtol=1e-5)
    assert np.allclose(probe["magnitude"], attack["l2_before"], rtol=1e-12)
    assert np.allclose(metrics.frechet(probe["features"], probe["features_clean"]), attack["frechet_after"], rtol=1e-3)


@pytest.mark.parametrize("attack", ["clean", "standard-eot", "pgd"])
def test_the_first_of_many_judgings_is_the_one_of_the_main_findings(attack):
    for seed in SEEDS:
        many, one_time = stored(f"fuzzy/ddpm/{attack}/none", f"seed-{seed}"), measured("ddpm", attack, "none", seed)
        assert np.array_equal(many["predictions"][0] == many["y"], one_time["correct_varying"][0])


def test_an_image_is_robust_where_the_attack_stops_short_of_the_boundary():
    """Threshold and length are measured apart; with the decision crossed once, they say what the judging said."""
    for seed in SEEDS:
        margin = stored("margins/ddpm/standard/all", f"seed-{seed}")
        judged = measured("ddpm", "standard", "all", seed)["correct_fixed"]
        assert np.array_equal(margin["robust"], judged)
        once = margin["usable"] & (margin["changes"] <= 1) & (abs(margin["length"] - margin["threshold"]) > 1e-4)
        assert once.sum() > 80
        assert np.array_equal((margin["length"] < margin["threshold"])[once], judged[once])


def test_singular_values_bound_what_happens_to_the_ball():
    """Around ξ's Jacobian: α of small noise lies near the root mean square of the singular values, below the largest."""
    for seed in SEEDS:
        values = stored("jacobian/ddpm", f"seed-{seed}")["singular_values"]
        alpha = measured("ddpm", "uniform", "none", seed)["alpha"][: len(values)]
        assert (alpha < values.max(axis=1)).all()
        assert np.median(alpha / np.sqrt((values**2).mean(axis=1))) == pytest.approx(1, abs=0.25)
