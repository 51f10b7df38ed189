"""What a search has chosen, under attack: does compression tell who is robust? (Liu & Wei, the conclusion.)"""

from collections.abc import Iterator
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity import search as searching
from purity import stats
from purity.studies.drawing import COLUMN, legend_below, parts_of
from purity.studies.records import Evidence, Record, grouped, points_under_attack
from purity.studies.search import predictor, search


class Verified(NamedTuple):
    """A candidate under attack: its row of `search` or `search_verified`, and by image (n,), means over seeds."""

    said: dict
    clean: np.ndarray
    robust: np.ndarray
    fresh: np.ndarray
    alpha: np.ndarray
    alpha_attacked: float
    largest: float


def verified_members(table: pd.DataFrame, verified: list[Record]) -> list[Verified]:
    by_place = {row["place"]: row for row in table[table["place"].notna()].to_dict("records")}
    members = []
    for keys, of_place in grouped(verified, ("place",)):
        if (said := by_place.get(float(keys["place"]))) is not None:
            clean, robust, fresh, alpha = (
                np.mean([np.atleast_2d(r.arrays[name]).mean(axis=0) for r in of_place], axis=0)
                for name in ("clean", "robust", "robust_fresh", "alpha")
            )
            attacked = float(np.nanmean([np.nanmean(r.arrays["alpha_attacked"]) for r in of_place]))
            gain = float(np.mean([np.mean(r.arrays["largest"]) for r in of_place]))
            members.append(Verified(said, clean, robust, fresh, alpha, attacked, gain))
    return members


def search_verified(verified: list[Record], found: list[Record], probes: list[Record]) -> pd.DataFrame:
    """The chosen candidates under attack beside what was predicted: accuracy of who knows ξ (robust) and of who does
    not (fresh), and whether the first lies in its interval."""
    rows = []
    for member in verified_members(search(found, probes), verified):
        row = {k: member.said[k] for k in ("place", "role", "options", "sampler", "t")}
        for name in ("clean", "robust", "fresh", "alpha"):
            mean, low, high = stats.mean_interval(getattr(member, name))
            row |= {name: mean, f"{name}_low": low, f"{name}_high": high}
        row |= {"alpha_attacked": member.alpha_attacked, "largest": member.largest, "n": len(member.robust)}
        row |= {k: member.said[k] for k in ("predicted", "predicted_low", "predicted_high")}
        rows.append(row | {"within": member.said["predicted_low"] <= row["robust"] <= member.said["predicted_high"]})
    return pd.DataFrame(rows)


# what might rank candidates without an attack on each
FORWARD = ("alpha", "alpha_attacked", "largest", "clean", "t")


def search_predictors(search_verified: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of each predictor with the accuracy of who knows ξ over the verified candidates."""
    rows = []
    for predictor_ in FORWARD:
        rho, low, high = stats.spearman(search_verified[predictor_], search_verified["robust"])
        rows.append({"predictor": predictor_, "mean": rho, "low": low, "high": high, "points": len(search_verified)})
    return pd.DataFrame(rows)


def search_left_out(verified: list[Record], search_verified: pd.DataFrame) -> pd.DataFrame:
    """The law through candidates of all samplers but one, used on that one: the RMS of predicted − verified, and the
    same with all of them in the fit."""
    members = verified_members(search_verified, verified)
    samplers = list(dict.fromkeys(m.said["sampler"] for m in members))
    rows = []
    for sampler in samplers:
        inside = [m for m in members if m.said["sampler"] != sampler]
        outside = [m for m in members if m.said["sampler"] == sampler]
        if len(inside) >= 4:
            errors = {}
            for name, through in {"left_out": inside, "all": members}.items():
                law = predictor(np.stack([m.alpha for m in through]), np.stack([m.robust for m in through])).sigmoid
                off = [float(law(m.alpha.mean())) - m.robust.mean() for m in outside]
                errors[name] = float(np.sqrt(np.mean(np.square(off))))
            rows.append({"sampler": sampler, "points": len(outside), **errors})
    return pd.DataFrame(rows, columns=["sampler", "points", "left_out", "all"])


QUANTITIES = ("search-calibration", "search-regret", "search-winner-gain", "search-winner-clean")


def evidence(verified: list[Record], probes: list[Record], search_verified: pd.DataFrame) -> Iterator[Evidence]:
    """Share of verified accuracies within their intervals; what the best predicted candidate lacks to the best
    verified; and what the winner gains over the best of the papers' purifiers, in robust and clean accuracy.

    Winner and best are chosen by the images of the search, what is said of them is measured on the others; n counts
    those.
    """
    within = search_verified["within"].to_numpy(bool)
    low, high = stats.wilson(within.mean(), len(within))
    yield Evidence("search-calibration", f"{len(within)} candidates", within.mean(), low, high, len(within))
    members = verified_members(search_verified, verified)
    chosen = searching.selected(len(members[0].robust))
    report = np.setdiff1d(np.arange(len(members[0].robust)), chosen)
    best = max(members, key=lambda m: m.robust[chosen].mean())
    predicted = max(members, key=lambda m: m.said["predicted"])
    yield _gap("search-regret", "best verified − best predicted", best.robust[report] - predicted.robust[report])
    papers = {
        f"{keys['purifier']}, t = {keys['t']}": {
            name: np.mean([r.arrays[name] for r in of_point], axis=0) for name in ("robust", "clean_fixed")
        }
        for keys, of_point in points_under_attack(probes)
    }
    name, paper = max(papers.items(), key=lambda item: item[1]["robust"][chosen].mean())
    case = f"place {int(best.said['place'])} − {name}"
    yield _gap("search-winner-gain", case, best.robust[report] - paper["robust"][report])
    yield _gap("search-winner-clean", case, best.clean[report] - paper["clean_fixed"][report])


def _gap(quantity: str, case: str, difference: np.ndarray) -> Evidence:
    mean, low, high = stats.mean_interval(difference)
    return Evidence(quantity, case, mean, low, high, len(difference))


def draw_search(search: pd.DataFrame, search_verified: pd.DataFrame) -> Figure:
    """Left: every candidate, the front joined. Right: what was predicted of those that were attacked, and what came."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(COLUMN, 2.7))
    for look, sampler, part in parts_of(search, "sampler"):
        left.plot(part["alpha"], part["clean"], look.marker, ms=2.5, color=look.colour, label=sampler, alpha=0.8)
    best = search[search["front"].astype(bool)].sort_values("alpha")
    left.plot(best["alpha"], best["clean"], color="0.25", lw=0.9, label="nobody beats these")
    left.set(xlabel="α of uniform noise", ylabel="clean accuracy")
    for role, marker in zip(searching.ROLES, "osv", strict=True):
        part = search_verified[search_verified["role"] == role]
        error = [part["predicted"] - part["predicted_low"], part["predicted_high"] - part["predicted"]]
        given = {"ms": 3, "color": "0.25", "mfc": "white" if role == "poor" else "0.5", "elinewidth": 0.6}
        right.errorbar(part["robust"], part["predicted"], error, fmt=marker, label=role, **given)
    right.plot([0, 1], [0, 1], color="0.6", lw=0.7, ls=":")
    right.set(xlim=(0, 1), ylim=(0, 1), xlabel="verified", ylabel="predicted accuracy,\nattacker knows ξ")
    legend_below(figure, left, right, ncols=3)
    return figure
