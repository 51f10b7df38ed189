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
    alpha_adversarial: float
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
            means = (
                float(np.nanmean([np.nanmean(r.arrays[name]) for r in of_place]))
                for name in ("alpha_adversarial", "alpha_attacked", "largest")
            )
            members.append(Verified(said, clean, robust, fresh, alpha, *means))
    return members


def search_verified(verified: list[Record], found: list[Record], probes: list[Record]) -> pd.DataFrame:
    """The chosen candidates under attack beside what was predicted: accuracy of who knows ξ (robust) and of who does
    not (fresh), and whether the first lies in its interval (within).

    robust_chosen, robust_reported: on the images of the search, and on the others. best: the first is highest there.
    """
    rows = []
    for member in verified_members(search(found, probes), verified):
        chosen, reported = halves(len(member.robust))
        row = {k: member.said[k] for k in ("place", "role", "options", "sampler", "t")}
        for name in ("clean", "robust", "fresh", "alpha"):
            mean, low, high = stats.mean_interval(getattr(member, name))
            row |= {name: mean, f"{name}_low": low, f"{name}_high": high}
        row |= {"robust_chosen": member.robust[chosen].mean(), "robust_reported": member.robust[reported].mean()}
        row |= {name: getattr(member, name) for name in ("alpha_adversarial", "alpha_attacked", "largest")}
        row["n"] = len(member.robust)
        row |= {k: member.said[k] for k in ("predicted", "predicted_low", "predicted_high")}
        rows.append(row | {"within": member.said["predicted_low"] <= row["robust"] <= member.said["predicted_high"]})
    table = pd.DataFrame(rows)
    best = table["robust_chosen"].to_numpy().argmax() if len(table) else None
    return table.assign(best=[k == best for k in range(len(table))])


def halves(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of n images that candidates and the winner are chosen by, and those of the report."""
    chosen = searching.selected(n)
    return chosen, np.setdiff1d(np.arange(n), chosen)


# What might rank candidates without an attack on each, and which way; the last needs the attack, to compare with. t is
# the level of noise that they go up to.
PREDICTORS = {"alpha": -1, "alpha_adversarial": -1, "largest": -1, "clean": 1, "t": 1, "alpha_attacked": -1}


def search_predictors(search_verified: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of each predictor with the accuracy of who knows ξ over the verified candidates.

    beside: how much better α ranks than this one does: each turned so that high is expected to be robust.
    """
    rows, robust = [], search_verified["robust"].to_numpy()
    turned = {name: way * search_verified[name].to_numpy() for name, way in PREDICTORS.items()}
    for name, way in PREDICTORS.items():
        rho, low, high = stats.spearman(way * turned[name], robust)
        rows.append((name, "", rho, low, high, len(robust)))
    for name in PREDICTORS:
        if name != "alpha":
            rows.append(("alpha", name, *stats.spearman_difference(turned["alpha"], turned[name], robust), len(robust)))
    return pd.DataFrame(rows, columns=["predictor", "beside", "mean", "low", "high", "points"])


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


QUANTITIES = ("search-calibration", "search-regret", "search-winner-gain", "search-winner-clean", "search-rank-gap")


def evidence(
    verified: list[Record], papers: list[Record], search_verified: pd.DataFrame, search_predictors: pd.DataFrame
) -> Iterator[Evidence]:
    """Share of verified accuracies within their intervals; what the best predicted candidate lacks to the best
    verified; what the winner gains over the best of the papers' purifiers, in robust and clean accuracy; and by how
    much α ranks candidates better than other predictors do.

    Winner and best are chosen by the images of the search, what is said of them is measured on the others; n counts
    those.
    """
    within = search_verified["within"].to_numpy(bool)
    low, high = stats.wilson(within.mean(), len(within))
    yield Evidence("search-calibration", f"{len(within)} candidates", within.mean(), low, high, len(within))
    members = verified_members(search_verified, verified)
    chosen, report = halves(len(members[0].robust))
    best = max(members, key=lambda m: m.robust[chosen].mean())
    predicted = max(members, key=lambda m: m.said["predicted"])
    yield _gap("search-regret", "best verified − best predicted", best.robust[report] - predicted.robust[report])
    points = {
        f"{keys['purifier']}, t = {keys['t']}": {
            name: np.mean([r.arrays[name] for r in of_point], axis=0) for name in ("robust", "clean_fixed")
        }
        for keys, of_point in points_under_attack(papers)
    }
    name, paper = max(points.items(), key=lambda item: item[1]["robust"][chosen].mean())
    case = f"place {int(best.said['place'])} − {name}"
    yield _gap("search-winner-gain", case, best.robust[report] - paper["robust"][report])
    yield _gap("search-winner-clean", case, best.clean[report] - paper["clean_fixed"][report])
    for row in search_predictors[search_predictors["beside"] != ""].to_dict("records"):
        case, said = f"{row['points']} candidates, beside {row['beside']}", (row["mean"], row["low"], row["high"])
        yield Evidence("search-rank-gap", case, *said, int(row["points"]))


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
