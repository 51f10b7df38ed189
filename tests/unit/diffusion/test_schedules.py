"""β, ᾱ and σ against their definitions and the reference's tables; strength and respacing keep what they promise."""

from pathlib import Path

import numpy as np
import pytest
import torch

from purity.diffusion.schedules import T, from_abar, linear, strength

PARITY = Path(__file__).parents[2] / "data" / "parity"


def close(found, expected, tolerance=1e-12):
    """1e-12: float64 tables, at most a thousand factors or one subtraction of numbers near 1 apart."""
    torch.testing.assert_close(found, torch.as_tensor(expected), atol=0, rtol=tolerance)


def test_index_zero_is_the_clean_image():
    s = linear()
    assert s.steps == T and s.abar[0] == 1 and s.beta[0] == 0
    assert s.time(0) == 0 and s.time(T) == T and s.index[1:] == tuple(range(T))


def test_beta_is_linear_and_abar_its_running_product():
    s = linear()
    t = torch.arange(1, T + 1)
    close(s.beta[1:], 1e-4 + (0.02 - 1e-4) * (t - 1).double() / (T - 1))
    close(s.abar[1:], (1 - s.beta[1:]).log().cumsum(0).exp())
    assert (s.abar.diff() < 0).all() and s.abar[-1] > 0


def test_tables_are_the_references():
    s = linear()
    with np.load(PARITY / "schedule.npz") as reference:
        close(s.beta[1:], reference["betas"])
        close(s.abar[1:], reference["alphas_cumprod"])
        # Their fixed-large variance is β but for the first, which takes β̃_2; the last step adds no noise anyway.
        close(2 * s.sigma_large[2:].log(), reference["logvar_fixedlarge"][1:])
        close(2 * s.sigma_small[2:].log(), reference["logvar_fixedsmall"][1:])
        # Posterior mean = c1 x̂₀ + c2 x_t; 1 − ᾱ_t cancels four digits at small t, hence 1e-11.
        close((s.abar[:-1].sqrt() * s.beta[1:] / (1 - s.abar[1:])), reference["posterior_mean_coef1"], 1e-11)
        c2 = (1 - s.beta[1:]).sqrt() * (1 - s.abar[:-1]) / (1 - s.abar[1:])
        close(c2, reference["posterior_mean_coef2"], 1e-11)


@pytest.mark.parametrize("s", [linear(), strength(linear(), 100, 10)], ids=["full", "respaced"])
def test_posterior_variance_is_that_of_the_middle_state_given_both_ends(s):
    """1/β̃ = 1/(1−ᾱ_{t−1}) + (1−β)/β: precisions of x_{t−1} from x₀ and from x_t add (Bayes for Gaussians)."""
    precision = 1 / (1 - s.abar[1:-1]) + (1 - s.beta[2:]) / s.beta[2:]
    close(s.posterior_variance[2:], 1 / precision, 1e-11)
    assert s.posterior_variance[1] == 0
    assert (s.posterior_variance[1:] < s.beta[1:]).all()
    close(s.sigma_small.square(), s.posterior_variance)
    close(s.sigma_large.square(), s.beta)


def test_strength_100_means_abar_99_of_the_zero_based_table_and_evaluations_99_to_0():
    s = strength(linear(), 100)
    abar = np.cumprod(1 - np.linspace(1e-4, 0.02, T))
    assert s.steps == 100
    close(s.abar[-1], abar[99])
    assert s.index[:0:-1] == tuple(range(99, -1, -1))
    assert s.time(s.steps) == 100


def test_full_strength_is_the_whole_schedule():
    whole, s = strength(linear(), T), linear()
    assert torch.equal(whole.abar, s.abar) and torch.equal(whole.beta, s.beta) and whole.index == s.index


@pytest.mark.parametrize(("t", "steps"), [(100, 10), (150, 7), (1000, 13), (10, 9), (2, 2), (300, 2)])
def test_respacing_keeps_both_ends_and_the_law_of_the_kept_states(t, steps):
    full, s = linear(), strength(linear(), t, steps)
    assert s.steps == steps and len(s.index) == steps + 1
    assert s.index[0] == -1 and s.index[1] == 0 and s.index[-1] == t - 1
    gaps = np.diff(s.index[1:])
    assert gaps.min() >= 1 and gaps.max() - gaps.min() <= 1  # evenly spread
    assert torch.equal(s.abar[1:], full.abar[[s.time(k) for k in range(1, steps + 1)]])
    close(torch.cumprod(1 - s.beta, 0), s.abar)  # β recomputed: the product gives the kept ᾱ back


def test_respacing_is_the_references():
    s = strength(linear(), 100, 10)
    with np.load(PARITY / "C_io.npz") as reference:
        assert list(s.index[1:]) == reference["resp_kept"].tolist()
        close(s.abar[1:], reference["resp_alphas_cumprod"])
        close(s.beta[1:], reference["resp_betas"], 1e-11)


def test_one_step_kept_is_the_strongest():
    s = strength(linear(), 100, 1)
    assert s.index == (-1, 99)
    close(1 - s.beta[1], s.abar[1])


def test_beta_and_abar_determine_each_other():
    s = linear()
    close(from_abar(s.abar, s.index).beta[1:], s.beta[1:], 1e-10)  # 1 − ratio cancels: β ≥ 1e-4 keeps 12 digits


@pytest.mark.parametrize(("t", "steps"), [(0, None), (1001, None), (-1, None), (10, 0), (10, 11)])
def test_impossible_strengths_are_refused(t, steps):
    with pytest.raises(ValueError, match="outside"):
        strength(linear(), t, steps)
