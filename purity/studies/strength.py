"""How strong the attacks are: what more steps, draws, restarts, another loss or a larger budget change.

The accuracy that an attack leaves is worth something if trying harder leaves no less (Carlini et al. 2019).
"""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from purity.studies.drawing import COLUMN, KNOWN_LINES, SMALL, all_seeds, legend_below, look_of
from purity.studies.records import (
    ATTACKED,
    JUDGED,
    Evidence,
    Record,
    accuracy_rows,
    grouped,
    of_mean,
    per_image,
)


def strength(varied: list[Record], tried: list[Record]) -> pd.DataFrame:
    """Accuracy under variants of attacks: a row for each point of each grid of the config.

    attack, knowledge: which attack, of whom; set: what all variants of a grid have in common. varied: the options that
    vary; value: theirs, place its place in the grid. variant: the name of the attack's store. gradients: how many it
    asked for an image, and the shares of those that are zero and that are not finite; `tried` are the attacks' images.
    """
    rows = []
    asked = _gradients(tried)
    for keys, members in grouped(varied, ATTACKED):
        judged, name = JUDGED[keys["knowledge"]]
        for grid in members[0].keys.get("grids", []):
            said = {"purifier": keys["purifier"], "attack": grid["of"], "knowledge": keys["knowledge"]}
            said |= {"judged": judged, "set": _options(grid["set"]), "varied": " × ".join(grid["varied"])}
            said |= {
                "value": " × ".join(map(_value, grid["values"])),
                "place": grid["place"],
                "variant": keys["attack"],
            }
            said |= asked.get(tuple(keys.values()), {})
            rows += accuracy_rows(said, members, name)
    columns = ["varied", "purifier", "attack", "knowledge", "set", "place"]
    table = pd.DataFrame(rows, columns=list(dict.fromkeys((*columns, "seed", *(rows[0] if rows else ())))))
    return table.sort_values(columns, kind="stable", ignore_index=True)


GRADIENTS = ("gradients", "zero_gradients", "non_finite_gradients")


def _gradients(tried: list[Record]) -> dict[tuple, dict[str, float]]:
    """By purifier, attack and knowledge: means over images and seeds of what attacks leave of their gradients."""
    return {
        tuple(keys.values()): {
            name: float(np.nanmean([r.arrays[name] for r in members]))
            for name in GRADIENTS
            if all(name in r.arrays for r in members)
        }
        for keys, members in grouped(tried, ATTACKED)
    }


def _options(options: dict) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in options.items())


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def strength_verdicts(headline: list[Record], varied: list[Record], tried: list[Record]) -> pd.DataFrame:
    """Whether what the main findings rest on has converged: a row for each purifier, attack and knowledge.

    accuracy: what the attack leaves. loss, low, high: what one of ten times the budget (`beyond`) takes from that,
    image by image, and its 95 % interval; an attack has not converged if that lies above 0. union: what all attacks of
    who knows ξ that are tried here leave within the ball, for each image the worst. gradients, …: as of `strength`.
    """
    asked = _gradients(tried)
    harder = {(r.keys["purifier"], r.keys["knowledge"]): r.keys["attack"] for r in varied if r.keys.get("beyond")}
    # what is a point of a grid may be a main finding too
    by = {tuple(k.values()): members for of in (varied, headline) for k, members in grouped(of, ATTACKED)}
    rows = []
    for keys, members in grouped(headline, ATTACKED):
        purifier, _, knowledge = keys.values()
        beyond, name = harder.get((purifier, knowledge)), JUDGED[knowledge][1]
        if beyond is None:
            continue
        left = per_image(members, name)
        lost = of_mean("", "", left - per_image(by[purifier, beyond, knowledge], name))
        row = keys | {"seed": "all", "seeds": len(members), "n": lost.n, "accuracy": float(left.mean())}
        row |= {"beyond": beyond, "loss": lost.mean, "low": lost.low, "high": lost.high}
        row |= {"union": _union(by, purifier, knowledge), "verdict": _verdict(lost)}
        rows.append(row | asked.get(tuple(keys.values()), {}))
    columns = [*ATTACKED, "seed", "seeds", "n", "accuracy", "beyond", "loss", "low", "high", "union", "verdict"]
    return pd.DataFrame(rows, columns=list(dict.fromkeys((*columns, *(rows[0] if rows else ())))))


CONVERGED, NOT_CONVERGED = "converged", "not converged"


def _verdict(lost: Evidence) -> str:
    return NOT_CONVERGED if lost.low > 0 else CONVERGED


def _union(by: dict[tuple, list[Record]], purifier: str, knowledge: str) -> float:
    """Share of images that are right under every attack within the ball; NaN of who does not know ξ, whose luck in one
    judging is not another's."""
    if knowledge != "all":
        return float("nan")
    right = []
    for (of, attack, known), members in by.items():
        grids = members[0].keys.get("grids", [])
        larger = any("epsilon" in (*grid["varied"], *grid["set"]) for grid in grids)
        if of == purifier and known == "all" and attack != "clean" and not larger:
            right.append(np.stack([r.arrays["correct_fixed"] for r in members]))
    return float(np.logical_and.reduce(right).mean())


def draw_strength(table: pd.DataFrame, verdicts: pd.DataFrame) -> Figure:
    """A panel for each option that is varied, if any is: accuracy with 95 % intervals. Last: what ten times the budget
    takes from the attacks that the main findings rest on."""
    table = all_seeds(table)
    table = table.assign(set=table["set"].astype(object).fillna(""))  # nothing, in a table that was read
    panels = list(dict.fromkeys(table["varied"]))
    lines = -(-len(panels) // 2)
    sizes = [1.6] * lines + [0.7 + 0.13 * len(verdicts)]
    figure = plt.figure(figsize=(COLUMN, sum(sizes) + 0.15 * table["attack"].nunique() + 0.5))
    grid = figure.add_gridspec(lines + 1, 2, height_ratios=sizes)
    label = table["purifier"] + ", " + table["attack"] + table["set"].map(lambda s: f" ({s})" if s else "")
    table = table.assign(label=label + table["knowledge"].map({"all": ", knows ξ", "none": ""}))
    axes = [figure.add_subplot(grid[divmod(k, 2)]) for k in range(len(panels))]
    for ax, panel in zip(axes, panels, strict=True):
        _draw_grid(ax, table[table["varied"] == panel])
    _draw_verdicts(figure.add_subplot(grid[lines, :]), verdicts)
    legend_below(figure, *axes)
    return figure


def _draw_grid(ax: Axes, table: pd.DataFrame) -> None:
    """Colour is the attack's, the marker the purifier's, the line says what the attacker knows. Hollow: options are set
    otherwise."""
    numbers = pd.to_numeric(table["value"], errors="coerce")
    values = sorted(set(table["value"]), key=float) if numbers.notna().all() else list(dict.fromkeys(table["value"]))
    for label, line in table.groupby("label", sort=False):
        line = line.iloc[np.argsort([values.index(value) for value in line["value"]])]
        at = [values.index(value) for value in line["value"]]
        error = [line["mean"] - line["low"], line["high"] - line["mean"]]
        first = line.iloc[0]
        colour, marker = look_of(first["attack"]).colour, look_of(first["purifier"]).marker
        look: dict = {"color": colour, "marker": marker, "mfc": "white" if first["set"] else colour}
        look |= {"ls": KNOWN_LINES[first["knowledge"]], "ms": 3, "lw": 1, "elinewidth": 0.6}
        ax.errorbar(at, line["mean"], error, label=label, **look)
    # of numbers alone, a table that was read has numbers
    texts = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    ax.set_xticks(range(len(values)), texts, rotation=45 if max(map(len, texts)) > 4 else 0)
    ax.set(xlabel=table["varied"].iloc[0].replace("_", " "), ylim=(0, 1), ylabel="accuracy")


def _draw_verdicts(ax: Axes, verdicts: pd.DataFrame) -> None:
    known = verdicts["knowledge"].map({"all": ", knows ξ"}).fillna("")
    for at, (_, row) in enumerate(verdicts.iterrows()):
        look = look_of(row["attack"])
        error = [[row["loss"] - row["low"]], [row["high"] - row["loss"]]]
        filling = "none" if row["knowledge"] == "all" else "full"
        ax.errorbar(row["loss"], at, xerr=error, fmt=look.marker, ms=3.5, lw=0.8, color=look.colour, fillstyle=filling)
    names = verdicts["purifier"] + ", " + verdicts["attack"] + known
    ax.set_yticks(range(len(verdicts)), names, fontsize=SMALL)
    ax.invert_yaxis()
    ax.axvline(0, color="0.4", lw=0.7, ls="--")
    ax.set_xlabel("accuracy that ten times the budget takes")


QUANTITIES = ("tenfold-loss", "eot-gap-equal", "large-budget-accuracy")


def evidence(strength_verdicts: pd.DataFrame, varied: list[Record]) -> Iterator[Evidence]:
    """tenfold-loss: accuracy under an attack − under one of ten times the budget. eot-gap-equal: accuracy under the
    variant of fewest draws − under one of more, both with as many gradients. large-budget-accuracy: under the largest
    budget that is tried."""
    for _, row in strength_verdicts.iterrows():
        case = f"{row['purifier']}, {row['attack']}, knows {row['knowledge']}"
        cell = "/".join(row[key] for key in ATTACKED)
        yield Evidence("tenfold-loss", case, row["loss"], row["low"], row["high"], int(row["n"]), cell)
    for (purifier, attack, knowledge, _, _), points in _grids(varied).items():
        options = points[0][0]
        name = JUDGED[knowledge][1]
        if {"steps", "draws"} <= options.keys() and len({o["steps"] * o["draws"] for o, _ in points}) == 1:
            (least, single), *others = sorted(points, key=lambda point: point[0]["draws"])
            for said, members in others:
                shares = [f"{o['steps']} × {o['draws']}" for o in (least, said)]
                gap = per_image(single, name) - per_image(members, name)
                yield of_mean("eot-gap-equal", f"{purifier}, {attack}, {shares[0]} − {shares[1]}", gap)
        if "epsilon" in options:
            said, members = max(points, key=lambda point: point[0]["epsilon"])
            case = f"{purifier}, {attack}, knows {knowledge}, ε = {said['epsilon']:g}"
            yield of_mean("large-budget-accuracy", case, per_image(members, name))


def _grids(varied: list[Record]) -> dict[tuple, list[tuple[dict, list[Record]]]]:
    """By purifier, attack, knowledge, what is set and what varies: (options, records) of each point."""
    found: dict[tuple, list[tuple[dict, list[Record]]]] = {}
    for keys, members in grouped(varied, ATTACKED):
        for grid in members[0].keys.get("grids", []):
            of = (keys["purifier"], grid["of"], keys["knowledge"], _options(grid["set"]), tuple(grid["varied"]))
            options = grid["set"] | dict(zip(grid["varied"], grid["values"], strict=True))
            found.setdefault(of, []).append((options, members))
    return found
