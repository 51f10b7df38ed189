"""Tables about the compression of image space (Liu & Wei §5), in the form of purity.tables."""

import numpy as np
import pandas as pd

from purity import law as lawful
from purity import stats
from purity.metrics import frechet
from purity.tables import Record, accuracy_rows, grouped, spread_rows

SWEPT = ("purifier", "t")


def jacobian(jacobians: list[Record], measured: list[Record]) -> pd.DataFrame:
    """Singular values of J_f at clean images: the largest, and what share lies below ¼ and above 1 (Fig. 3a).

    outcome: of an attack that knows ξ on the same image (`measured`), robust or fooled, or any.
    """
    outcomes = {(r.keys["purifier"], r.keys["seed"]): r.arrays["correct_fixed"] for r in measured}
    rows = []
    for keys, members in grouped(jacobians, ("purifier",)):
        for outcome, wanted in (("any", None), ("robust", True), ("fooled", False)):
            chosen = []
            for r in members:
                values = r.arrays["singular_values"]
                correct = outcomes.get((r.keys["purifier"], r.keys["seed"]))
                if wanted is not None:
                    values = values[:0] if correct is None else values[correct[: len(values)] == wanted]
                chosen.append(Record(r.keys, _summary(values)))
            for measure in ("largest", "below-quarter", "above-one"):
                rows += spread_rows(keys | {"outcome": outcome, "measure": measure}, chosen, measure)
    return pd.DataFrame(rows)


def _summary(values: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "largest": values.max(axis=1),
        "below-quarter": (values < 0.25).mean(axis=1),
        "above-one": (values > 1).mean(axis=1),
    }


def jacobian_spectrum(jacobians: list[Record]) -> pd.DataFrame:
    """Singular values by rank: mean, std and 95 % range over images and seeds (Fig. 3a)."""
    rows = []
    for keys, members in grouped(jacobians, ("purifier",)):
        values = np.concatenate([r.arrays["singular_values"] for r in members])
        low, high = np.quantile(values, (0.025, 0.975), axis=0)
        for rank in range(values.shape[1]):
            row = {"seed": "all", "seeds": len(members), "rank": rank + 1}
            rows.append(keys | row | stats.spread(values[:, rank]) | {"low": low[rank], "high": high[rank]})
    return pd.DataFrame(rows)


def pca(spectra: list[Record], kept: int = 50) -> pd.DataFrame:
    """Variance along the principal components of the ball, before and after purification (earlier version, Fig. 5b).

    The first `kept` of them. Mean and std over images and seeds are those of the variance over the mean variance of the
    ball before, so that 1 is neither compression nor expansion. variance: as it is; share: of all variance then.
    """
    rows = []
    for keys, members in grouped(spectra, ("purifier",)):
        before = np.concatenate([r.arrays["before"] for r in members])
        for when in ("before", "after"):
            variance = np.concatenate([r.arrays[when] for r in members])
            relative = variance / before.mean(axis=1, keepdims=True)
            share = variance / variance.sum(axis=1, keepdims=True)
            for c in range(min(kept, variance.shape[1])):
                row = {"when": when, "seed": "all", "seeds": len(members), "component": c + 1}
                also = {"variance": variance[:, c].mean(), "share": share[:, c].mean()}
                rows.append(keys | row | stats.spread(relative[:, c]) | also)
    return pd.DataFrame(rows)


def timesteps(probes: list[Record]) -> pd.DataFrame:
    """α of uniform noise, and accuracy under an attack that knows ξ, against the strength t (Table 7)."""
    rows = []
    for keys, members in grouped((r for r in probes if "robust" in r.arrays), SWEPT):
        rows += spread_rows(keys | {"measure": "alpha"}, members, "alpha")
        rows += accuracy_rows(keys | {"measure": "robust-accuracy"}, members, "robust")
    return _by_strength(rows)


def clean_t(probes: list[Record]) -> pd.DataFrame:
    """Clean accuracy, under the fixed ξ and under a fresh one, and α of uniform noise against t up to T (Fig. S4)."""
    rows = []
    for keys, members in grouped(probes, SWEPT):
        rows += spread_rows(keys | {"measure": "alpha"}, members, "alpha")
        rows += accuracy_rows(keys | {"measure": "clean-fixed"}, members, "clean_fixed")
        rows += accuracy_rows(keys | {"measure": "clean-fresh"}, members, "clean_fresh")
    return _by_strength(rows)


def _by_strength(rows: list[dict]) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    purifiers = {name: place for place, name in enumerate(dict.fromkeys(table["purifier"]))}
    place = table["purifier"].map(purifiers)
    return table.assign(place=place).sort_values(["place", "t"], kind="stable").drop(columns="place")


def law(probes: list[Record]) -> pd.DataFrame:
    """Every purifier and strength as a point: α of uniform noise and accuracy under an attack that knows ξ (Fig. 3b).

    alpha, accuracy and clean (accuracy of clean images under the fixed ξ) are means over images and seeds, alpha_std is
    over them; low … high and clean_low … clean_high are 95 % intervals. recognised: whether clean is at least
    RECOGNISED of the highest. Who loses clean images can keep no more of the attacked ones, however well he compresses:
    the paper leaves t = 300 out of its figure for that.
    """
    rows = []
    for keys, members in _points(probes):
        alpha = stats.spread(np.concatenate([r.arrays["alpha"] for r in members]))
        robust = stats.accuracy(np.stack([r.arrays["robust"] for r in members]))
        clean = stats.accuracy(np.stack([r.arrays["clean_fixed"] for r in members]))
        row = {"seed": "all", "seeds": len(members), "n": robust["n"]}
        row |= {"alpha": alpha["mean"], "alpha_std": alpha["std"]}
        row |= {"accuracy": robust["mean"], "low": robust["low"], "high": robust["high"]}
        row |= {"clean": clean["mean"], "clean_low": clean["low"], "clean_high": clean["high"]}
        rows.append(keys | row)
    table = pd.DataFrame(rows)
    return table.assign(recognised=_recognised(table["clean"].to_numpy()))


RECOGNISED = 0.9


def _recognised(clean: np.ndarray) -> np.ndarray:
    return clean >= RECOGNISED * clean.max()


def _points(probes: list[Record]) -> list[tuple[dict, list[Record]]]:
    return grouped((r for r in probes if "robust" in r.arrays), SWEPT)


def law_fit(probes: list[Record], steps: int = 41) -> pd.DataFrame:
    """The sigmoid through the points of `law`, with 95 % intervals from resampled images.

    through: all points, or the recognised ones, if there are three. quantity: top, steepness, middle, parameters of
    purity.law.Sigmoid; at-zero, its value at α = 0; clean, the measured clean accuracy, mean over the purifiers;
    at-zero-minus-clean; misfit, the root mean square distance of the points; and curve, its value at each `alpha`.
    """
    members = [of_point for _, of_point in _points(probes)]
    alpha, robust, clean = (
        np.stack([np.mean([r.arrays[name] for r in of_point], axis=0) for of_point in members])  # (P, n)
        for name in ("alpha", "robust", "clean_fixed")
    )
    recognised = _recognised(clean.mean(axis=1))
    parts = [_fitted("all", alpha, robust, clean, steps)]
    if recognised.sum() >= 3:
        parts.append(_fitted("recognised", alpha[recognised], robust[recognised], clean[recognised], steps))
    return pd.concat(parts, ignore_index=True)


def _fitted(through: str, alpha: np.ndarray, robust: np.ndarray, clean: np.ndarray, steps: int) -> pd.DataFrame:
    """Rows of `law_fit` through points (P, n)."""
    grid = np.linspace(0, 1.05 * max(1.0, alpha.mean(axis=1).max()), steps)
    points, n = alpha.shape
    start = lawful.fit(alpha.mean(axis=1), robust.mean(axis=1), n)

    def quantities(rows: np.ndarray) -> dict[tuple[str, float], float]:
        a, r, c = (values[:, rows].mean(axis=1) for values in (alpha, robust, clean))
        s = lawful.fit(a, r, n, start)
        at_zero, measured = float(s(0.0)), float(c.mean())
        found = {"top": s.top, "steepness": s.steepness, "middle": s.middle, "at-zero": at_zero, "clean": measured}
        found |= {"at-zero-minus-clean": at_zero - measured, "misfit": float(np.sqrt(np.mean((s(a) - r) ** 2)))}
        named = {(name, float("nan")): value for name, value in found.items()}
        return named | {("curve", g): v for g, v in zip(grid.tolist(), s(grid).tolist(), strict=True)}

    whole = quantities(np.arange(n))
    again = [list(quantities(rows).values()) for rows in lawful.images_drawn(n)]
    low, high = np.quantile(again, (0.025, 0.975), axis=0)
    common = {"through": through, "points": points, "n": n}
    return pd.DataFrame(
        common | {"quantity": quantity, "alpha": a, "mean": value, "low": lo, "high": hi}
        for ((quantity, a), value), lo, hi in zip(whole.items(), low, high, strict=True)
    )


def budget(budgets: list[Record]) -> pd.DataFrame:
    """Accuracy of the undefended classifier under an attack of budget ε·α, against α (Fig. 3c)."""
    rows = []
    for keys, members in grouped(budgets, ("attack",)):
        for j, scale in enumerate(members[0].arrays["scale"]):
            at = {"scale": float(scale), "epsilon": float(members[0].arrays["epsilon"][j])}
            chosen = [Record(r.keys, {"robust": r.arrays["robust"][j]}) for r in members]
            rows += accuracy_rows(keys | at, chosen, "robust")
    return pd.DataFrame(rows)


# arrays of a probe that a predictor is made of, and how
PREDICTORS = {
    "alpha": (("alpha",), np.mean),
    "magnitude": (("magnitude",), np.mean),
    "frechet": (("features", "features_clean"), frechet),
}


def predictors(probes: list[Record]) -> pd.DataFrame:
    """What might predict robust accuracy, purifier by purifier (§5): α of uniform noise; the magnitude ‖x − x₀‖ of the
    attack; the Fréchet distance of purified attacked images to clean ones."""
    rows = []
    for keys, members in _points(probes):
        accuracy = float(np.mean([r.arrays["robust"] for r in members]))
        for predictor, (names, of) in PREDICTORS.items():
            if all(name in r.arrays for r in members for name in names):
                value = float(np.mean([of(*(r.arrays[name] for name in names)) for r in members]))
                row = {"seed": "all", "seeds": len(members), "n": len(members[0].arrays["robust"])}
                rows.append(keys | row | {"predictor": predictor, "value": value, "accuracy": accuracy})
    return pd.DataFrame(rows)


def predictors_rank(probes: list[Record]) -> pd.DataFrame:
    """Rank correlation of each predictor with robust accuracy over the purifiers, with a 95 % interval."""
    table = predictors(probes)
    rows = []
    for predictor, points in table.groupby("predictor", sort=False):
        rho, low, high = stats.spearman(points["value"], points["accuracy"])
        rows.append({"predictor": predictor, "mean": rho, "low": low, "high": high, "points": len(points)})
    return pd.DataFrame(rows)
