"""What is left of a random defence, what part of that was luck, and whether its attacks can be believed.

Three accuracies sum it up. known: the attacker knows ξ; image by image the worst of all attacks, judged under that ξ.
unknown: he does not; the attack that leaves least on average, judged under fresh ξ; those that he makes for a ξ of his
own count too. clean: fresh ξ, nobody attacks.

Records say by `part` what an attack is for: noise, first (PGD as in the papers), strongest, bpda, longer, or budget,
which is at ε times `scale`.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from purity import stats
from purity.stats import majority_vote, worst_of
from purity.studies.drawing import COLUMN, Look, legend_below, look_of
from purity.studies.fuzzy import REPEATS
from purity.studies.records import ATTACKED, JUDGED, Evidence, Record, grouped, judged_rows, of_mean, unseen

Array = NDArray[np.float64]

MARGIN = 0.05  # accuracies that differ by less are called equal
RESUBMITTED = 10
FULL = ("first", "strongest", "bpda", "longer")  # attacks at the budget that is judged
SHORT = ("first", "strongest", "bpda")


class Attacked:
    """All that was measured of one defence: seeds S, images n."""

    def __init__(self, records: Iterable[Record]):
        self.records = list(records)
        self.clean = [r for r in self.records if r.keys["attack"] == "clean"]

    def groups(self, parts: Sequence[str], knowledge: str) -> list[tuple[str, list[Record]]]:
        """(attack, its records by seed) of these parts of the judgement."""
        chosen = (r for r in self.records if r.keys.get("part", "") in parts and r.keys["knowledge"] == knowledge)
        return [(keys["attack"], members) for keys, members in grouped(chosen, ("attack",))]

    def draws(self, name: str, members: list[Record]) -> Array:
        """(S · draws, n): whether an image is classified right."""
        return np.concatenate([np.atleast_2d(r.arrays[name]) for r in members])

    def right(self, name: str, members: list[Record]) -> Array:
        """(S, n) share of draws under which an image is classified right."""
        return np.stack([np.atleast_2d(r.arrays[name]).mean(axis=0) for r in members])

    def known(self, parts: Sequence[str] = FULL, borrowed: bool = True) -> Array:
        """(S, n): right under the fixed ξ after every attack of these parts. borrowed: those too that do not know it,
        as who knows ξ can see which of them works."""
        found = [self.right("correct_fixed", self.clean)]
        for knowledge in ("all", "none") if borrowed else ("all",):
            found += [self.right("correct_fixed", members) for _, members in self.groups(parts, knowledge)]
        return np.min(found, axis=0)

    def unknown(self, parts: Sequence[str] = FULL) -> tuple[str, list[Record]]:
        """The attack of these parts that leaves least under fresh ξ, and its records."""
        found = self.groups(parts, "none")
        found += [(f"{attack}, made for another ξ", of) for attack, of in self.groups(parts, "all")]
        return min(found, key=lambda one: self.fresh(one[1]).mean())

    def fresh(self, members: list[Record]) -> Array:
        """(S, n) under fresh ξ."""
        return self.right("correct_varying", members)


def _defences(measured: list[Record]) -> dict[str, Attacked]:
    return {keys["purifier"]: Attacked(members) for keys, members in grouped(measured, ("purifier",))}


def _undefended(name: str, measured: list[Record]) -> bool:
    """The classifier alone: nobody has to know a ξ there."""
    return not any(r.keys["purifier"] == name and r.keys.get("part") == "longer" for r in measured)


def judgement(measured: list[Record]) -> pd.DataFrame:
    """Accuracy of every attack: of knowledge none judged fresh; all judged fixed and, as a transfer, fresh; clean both.

    part, scale: what the attack is for; what its gradients were worth as in `judged_rows`.
    """
    rows = []
    for keys, members in grouped(measured, ATTACKED):
        keys |= {key: members[0].keys.get(key) for key in ("part", "scale")}
        judged = ("fresh", "fixed") if keys["attack"] == "clean" or keys["knowledge"] == "all" else ("fresh",)
        for how in judged:
            name = {"fresh": JUDGED["none"][1], "fixed": JUDGED["all"][1]}[how]
            rows += judged_rows(keys | {"judged": how}, members, name)
    return pd.DataFrame(rows)


def judgement_numbers(measured: list[Record], judgings: list[Record]) -> pd.DataFrame:
    """What the verdict says, by defence, in shares of images with 95 % intervals, seeds averaged.

    clean, clean-fixed, unknown, known: accuracies (`by`: the attack that leaves least). luck: unknown − known.
    transfer: under a fresh ξ − under the known one, of the same images. gain: known − that of the classifier alone;
    cost: clean of it − clean. resubmission: clean at one try − right in RESUBMITTED tries of as many; vote: of all
    judgings on attacked images − of one. alpha: compression rate of uniform noise.
    """
    defences, rows = _defences(measured), []
    alone = next((one for name, one in defences.items() if _undefended(name, measured)), None)
    for name, one in defences.items():
        bare = one is alone
        known, clean = one.known(), one.fresh(one.clean)
        rows += [_accuracy(name, "clean", one.draws("correct_varying", one.clean))]
        rows += [_accuracy(name, "clean-fixed", one.draws("correct_fixed", one.clean))]
        if bare:
            rows += [_accuracy(name, "unknown", known) | {"by": ""}, _accuracy(name, "known", known)]
            continue
        by, weakest = one.unknown()
        rows += [_accuracy(name, "unknown", one.draws("correct_varying", weakest)) | {"by": by}]
        rows += [_accuracy(name, "known", known)]
        differences = {"luck": one.fresh(weakest) - known}
        if transferred := one.groups(FULL, "all"):
            kept = [one.right("correct_varying", m) - one.right("correct_fixed", m) for _, m in transferred]
            differences["transfer"] = np.mean(kept, axis=0)
        if alone is not None:
            differences |= {"gain": known - alone.known(), "cost": alone.fresh(alone.clean) - clean}
        differences |= _by_judgings([r for r in judgings if r.keys["purifier"] == name])
        for _, noise in one.groups(("noise",), "none"):
            differences["alpha"] = np.stack([r.arrays["alpha"] for r in noise])
        for quantity, values in differences.items():
            rows.append({"purifier": name, **_row(of_mean(quantity, name, values.mean(axis=0)))})
    return pd.DataFrame(rows)


def _by_judgings(records: list[Record]) -> dict[str, Array]:
    clean = [(r.arrays["predictions"], r.arrays["y"]) for r in records if r.keys["attack"] == "clean"]
    found = {}
    if clean:
        tries = min(RESUBMITTED, min(len(p) for p, _ in clean))
        lost = [(p == y).mean(axis=0) - worst_of(p, y, tries) for p, y in clean]
        found["resubmission"] = np.stack(lost)
    attacked = grouped((r for r in records if r.keys["attack"] != "clean"), ("attack",))
    if attacked:
        _, worst = min(attacked, key=lambda of: np.mean([_right_once(r).mean() for r in of[1]]))
        votes = [majority_vote(r.arrays["predictions"], r.arrays["y"], len(r.arrays["predictions"])) for r in worst]
        found["vote"] = np.stack([v - _right_once(r) for v, r in zip(votes, worst, strict=True)])
    return found


def _right_once(record: Record) -> Array:
    return (record.arrays["predictions"] == record.arrays["y"]).mean(axis=0)


def _accuracy(purifier: str, quantity: str, right: Array) -> dict:
    summary = stats.accuracy(right)
    return {"purifier": purifier, "quantity": quantity, **{key: summary[key] for key in ("mean", "low", "high", "n")}}


def _row(found: Evidence) -> dict:
    return {key: getattr(found, key) for key in ("quantity", "mean", "low", "high", "n")}


# Can the attacks be believed?


def judgement_checks(measured: list[Record]) -> pd.DataFrame:
    """Checks for attacks that fall short, of gradients that are masked above all (Athalye et al. 2018; Carlini et al.
    2019): each a quantity that lies in target_low … target_high if all is well.

    unseen: share of images at which the strongest attack by full gradients got little else than zeros. bpda: accuracy
    that it leaves − what BPDA leaves. steps, steps-unknown: what attacks leave − what is left after more steps.
    knowing: unknown − what attacks leave that know ξ. budget: accuracy at the largest budget. verdict: passed, failed,
    undecided, at 5 % for all checks of a defence together (Holm); needed: images that would decide it in four runs of
    five.
    """
    rows = []
    for name, one in _defences(measured).items():
        if _undefended(name, measured):
            continue
        found = list(_checks(one))
        claims = [(e.mean, e.low, e.high, float(e.n), target) for e, target in found]
        level = 1 - 0.05 / len(found)
        for (e, target), claim, (said, p) in zip(found, claims, stats.verdicts(claims), strict=True):
            verdict = {"holds": "passed", "does not hold": "failed"}.get(said, said)
            needed = stats.images_needed(*claim, level=level) if verdict == "undecided" else np.nan
            limits = {"target_low": target[0], "target_high": target[1]}
            rows.append({"purifier": name, **_row(e), **limits, "verdict": verdict, "p": p, "needed": needed})
    columns = [
        "purifier",
        "quantity",
        "mean",
        "low",
        "high",
        "n",
        "target_low",
        "target_high",
        "verdict",
        "p",
        "needed",
    ]
    return pd.DataFrame(rows, columns=columns)


Check = tuple[Evidence, tuple[float, float]]


def _checks(one: Attacked) -> Iterator[Check]:
    inf = float("inf")
    for _, full in one.groups(("strongest",), "all"):
        yield _share("unseen", np.stack([unseen(r) for r in full])), (-inf, MARGIN)
        left = one.right("correct_fixed", full)
        for _, past in one.groups(("bpda",), "all"):
            yield _mean("bpda", left - one.right("correct_fixed", past)), (-inf, MARGIN)
    yield _mean("steps", one.known(SHORT) - one.known()), (-inf, MARGIN)
    short = one.fresh(one.unknown(SHORT)[1])
    if longer := [one.fresh(members) for _, members in one.groups(("longer",), "none")]:
        yield _mean("steps-unknown", short - min(longer, key=np.mean)), (-inf, MARGIN)
    yield _mean("knowing", one.fresh(one.unknown()[1]) - one.known(borrowed=False)), (-MARGIN, inf)
    scales = _at_scales(one)
    if scales and max(scales) > 1:
        yield _share("budget", scales[max(scales)]), (-inf, MARGIN)


def _share(quantity: str, outcomes: NDArray) -> Evidence:
    """Of outcomes (S, n), with the interval of an accuracy."""
    summary = stats.accuracy(outcomes)
    return Evidence(quantity, "", summary["mean"], summary["low"], summary["high"], outcomes.shape[1])


def _mean(quantity: str, values: Array) -> Evidence:
    return of_mean(quantity, "", values.mean(axis=0))


def _at_scales(one: Attacked) -> dict[float, Array]:
    """By budget over ε, what is left of each image (S, n) after all attacks of it."""
    of_scale: dict[float, list[Array]] = {}
    for _, members in one.groups(("budget",), "all"):
        of_scale.setdefault(members[0].keys["scale"], []).append(one.right("correct_fixed", members))
    return {scale: np.min(found, axis=0) for scale, found in sorted(of_scale.items())}


# Curves.


def judgement_curves(measured: list[Record], judgings: list[Record]) -> pd.DataFrame:
    """curve budget: accuracy by budget over ε (x), known ξ. tries: of images that are right x times of x; vote: by a
    vote of x. attack: of whom; clean is the control."""
    rows = []
    for name, one in _defences(measured).items():
        at = {0.0: one.right("correct_fixed", one.clean), 1.0: one.known(), **_at_scales(one)}
        for scale, right in sorted(at.items()):
            rows.append({"curve": "budget", "x": scale, "attack": "worst", **_accuracy(name, "known", right)})
    for keys, members in grouped(judgings, ATTACKED):
        pairs = [(r.arrays["predictions"], r.arrays["y"]) for r in members]
        most = min(len(p) for p, _ in pairs)
        for curve, share in (("tries", worst_of), ("vote", majority_vote)):
            for k in (k for k in REPEATS if k <= most):
                right = np.stack([share(p, y, k) for p, y in pairs])
                row = _accuracy(keys["purifier"], "fresh", right)
                rows.append({"curve": curve, "x": float(k), "attack": keys["attack"], **row})
    return pd.DataFrame(rows)


def draw_judgement_budget(curves: pd.DataFrame) -> Figure:
    """Accuracy by the attacker's budget, who knows ξ."""
    figure, ax = plt.subplots(figsize=(COLUMN, 2.6))
    of_budget = curves[curves["curve"] == "budget"]
    for name, part in of_budget.groupby("purifier", sort=False):
        _line(ax, part, look_of(str(name)), str(name))
    ax.set(xlabel="budget over ε", ylabel="accuracy, ξ is known", ylim=(0, 1.02), xscale="symlog")
    ax.set_xticks(sorted(set(of_budget["x"])))
    ax.xaxis.set_major_formatter("{x:g}")
    legend_below(figure, ax)
    return figure


def draw_judgement_repeats(curves: pd.DataFrame) -> Figure:
    """Accuracy of images that are submitted again and again (dashed), and by a vote (solid); of the first defence."""
    figure, ax = plt.subplots(figsize=(COLUMN, 2.6))
    repeated = curves[curves["curve"].isin(["tries", "vote"])]
    repeated = repeated[repeated["purifier"] == repeated["purifier"].iloc[0]]
    for attack, part in repeated.groupby("attack", sort=False):
        name = str(attack).removeprefix("judge-")
        look = look_of(name)
        _line(ax, part[part["curve"] == "vote"], look._replace(line="-"), f"{name}: a vote of k")
        _line(ax, part[part["curve"] == "tries"], look._replace(line="--"), f"{name}: right k times of k")
    title = repeated["purifier"].iloc[0]
    ax.set(xlabel="judgings k", ylabel="accuracy, fresh ξ", ylim=(0, 1.02), xscale="log", title=title)
    ax.set_xticks(sorted(set(repeated["x"])))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    legend_below(figure, ax)
    return figure


def _line(ax: Axes, part: pd.DataFrame, look: Look, label: str) -> None:
    ax.plot(part["x"], part["mean"], ls=look.line, color=look.colour, lw=1.2, marker=look.marker, ms=2.5, label=label)
    ax.fill_between(part["x"], part["low"], part["high"], color=look.colour, alpha=0.15, lw=0)


# Against each other.


def judgement_compared(measured: list[Record]) -> pd.DataFrame:
    """Differences `first` − `second` of clean, unknown and known, image by image, for every pair of defences.

    verdict: more, less or undecided, at 5 % for all of them together (Holm). needed: images that would decide it.
    """
    defences = _defences(measured)
    right = {}
    for name, one in defences.items():
        unknown = one.known() if _undefended(name, measured) else one.fresh(one.unknown()[1])
        right[name] = {"clean": one.fresh(one.clean), "unknown": unknown, "known": one.known()}
    pairs = [(a, b, quantity) for a, b in combinations(defences, 2) for quantity in ("clean", "unknown", "known")]
    found = [of_mean(q, "", (right[a][q] - right[b][q]).mean(axis=0)) for a, b, q in pairs]
    above = (0.0, float("inf"))
    claims = [(e.mean, e.low, e.high, float(e.n), above) for e in found]
    rows = []
    for (a, b, _), e, claim, (said, p) in zip(pairs, found, claims, stats.verdicts(claims), strict=True):
        verdict = {"holds": "more", "does not hold": "less"}.get(said, said)
        needed = stats.images_needed(*claim, level=1 - 0.05 / len(pairs)) if verdict == "undecided" else np.nan
        rows.append({"first": a, "second": b, **_row(e), "verdict": verdict, "p": p, "needed": needed})
    columns = ["first", "second", "quantity", "mean", "low", "high", "n", "verdict", "p", "needed"]
    return pd.DataFrame(rows, columns=columns)
