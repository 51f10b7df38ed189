"""The papers' findings on the embedded experiment, each a statement that its interval decides.

Runs the pipeline first (nothing to do if `make` has been run). Comparisons of attacks are paired by image: the
interval of a difference is taken over the images that both were judged on, seeds averaged.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from purity.store import Stored

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results/digits"
DIFFUSION = ("ddpm", "reverse", "ddim", "one-step")
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module", autouse=True)
def results():
    """The embedded experiment, up to date with the code."""
    command = [sys.executable, "-m", "snakemake", "--cores", "all", "--nocolor"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def table(name):
    return pd.read_csv(RESULTS / f"tables/{name}.csv")


def one(frame, **keys):
    """The single row of all seeds with these keys."""
    chosen = frame[frame["seed"].astype(str) == "all"]
    for key, value in keys.items():
        chosen = chosen[chosen[key] == value]
    assert len(chosen) == 1, (keys, len(chosen))
    return chosen.iloc[0]


def per_image(name, purifier, attack, knowledge):
    """One measure of every image, averaged over seeds (and fresh draws)."""
    stores = [Stored(RESULTS / f"measures/{purifier}/{attack}/{knowledge}/seed-{s}.zarr.zip") for s in SEEDS]
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


@pytest.mark.parametrize("purifier", DIFFUSION)
def test_purified_clean_images_are_still_recognised(purifier):
    for judged in ("fresh", "fixed"):
        assert one(table("robustness"), purifier=purifier, attack="clean", judged=judged)["mean"] >= 0.9


@pytest.mark.parametrize("attack", ["pgd", "bpda"])
def test_ddpm_pushes_attacked_images_away_from_the_clean_ones(attack):
    """ℓ2, ℓ∞ and 1 − SSIM grow (§3.1), image by image."""
    for measure, sign in (("l2", 1), ("linf", 1), ("ssim", -1)):
        before, after = (per_image(f"{measure}_{when}", "ddpm", attack, "all") for when in ("before", "after"))
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
    keys = {"purifier": purifier, "attack": "pgd", "knowledge": "all", "measure": "frechet-classifier"}
    before, after = (one(frame, when=when, **keys) for when in ("before", "after"))
    assert after["mean"] + after["std"] < before["mean"] - before["std"]


@pytest.mark.parametrize("purifier", DIFFUSION)
def test_directions_agree_under_one_xi_and_not_across_xi(purifier):
    """Fig. 2d, e: the correlation at fixed ξ is far above that at varying ξ."""
    frame = table("directions")
    xi, same = (one(frame, purifier=purifier, varied=varied) for varied in ("xi", "input"))
    assert same["mean"] - 2 * same["std"] > xi["mean"] + 2 * xi["std"]


@pytest.mark.parametrize("purifier", DIFFUSION)
def test_fixed_xi_compresses_the_ball_and_xi_expands_it(purifier):
    """Fig. 2f: compression < 1 < expansion; that of ddim and one-step, whose reverse process is free of noise, is less."""
    frame = table("centroids")
    start, same, varying, both = (one(frame, purifier=purifier, varied=v) for v in ("initial", "input", "xi", "both"))
    error = {row["varied"]: 1.96 * row["std"] / np.sqrt(row["n"]) for row in (start, same, varying, both)}
    assert same["mean"] + error["input"] < start["mean"] - error["initial"]
    assert both["mean"] - error["both"] > start["mean"] + error["initial"]
    assert varying["mean"] > 2 * same["mean"]


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
    none = per_image("correct_varying", purifier, "pgd", "none")
    known = per_image("correct_fixed", purifier, "pgd", "all")
    low, high = interval(none - known)
    assert low > 0, (low, high)


@pytest.mark.parametrize("purifier", DIFFUSION)
def test_an_attack_does_not_transfer_across_xi(purifier):
    """Judged under another ξ, an attack that knew ξ does no better than one that knew nothing (Table 4).

    Equivalence: the interval of the paired difference lies within ±0.098, the half-width of a 95 % interval of an
    accuracy of one half on 100 images.
    """
    none = per_image("correct_varying", purifier, "pgd", "none")
    transferred = per_image("correct_varying", purifier, "pgd", "all")
    low, high = interval(transferred - none)
    assert low > -0.12 and high < 0.12


def test_eot_is_stronger_than_one_draw_and_weaker_than_knowing():
    """PGD ≥ PGD-EOT > PGD that knows ξ (Table 2), by the table's means."""
    frame = table("robustness")
    pgd, eot = (one(frame, purifier="ddpm", attack=a, knowledge="none")["mean"] for a in ("pgd", "pgd-eot"))
    known = one(frame, purifier="ddpm", attack="pgd", knowledge="all")["mean"]
    assert pgd >= eot > known


@pytest.mark.parametrize("purifier", DIFFUSION)
def test_compression_is_stronger_for_noise_and_weaker_where_the_attack_wins(purifier):
    """Table 6: α(uniform) < α(robust) < α(fooled), and α(uniform) < 1."""
    frame = table("compression")
    frame = frame[frame["measure"] == "alpha"]
    noise = one(frame, purifier=purifier, attack="uniform")
    robust, fooled = (
        one(frame, purifier=purifier, attack="pgd", knowledge="all", outcome=o) for o in ("robust", "fooled")
    )
    error = [1.96 * row["std"] / np.sqrt(row["n"]) for row in (noise, robust, fooled)]
    assert noise["mean"] + error[0] < 1
    assert noise["mean"] + error[0] < robust["mean"] - error[1]
    assert robust["mean"] + error[1] < fooled["mean"] - error[2]
