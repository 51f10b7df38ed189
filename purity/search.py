"""Search of a space of purifiers by two numbers that cost no gradient: clean accuracy, and compression.

A space is a mapping from options of `purity.family.member` to a list of values, or to {low, high} with `log` or `step`.
Optuna's tree-structured Parzen estimator proposes members of it (Ozaki et al. 2022, multi-objective); those that many
others beat on few images are asked about no more images (successive halving, Jamieson and Talwalkar 2016).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

# Options of a member that do nothing under its sampler.
IDLE: dict[str, set[str]] = {
    "ancestral": {"eta"},
    "implicit": {"sigma", "scale"},
    "one-step": {"eta", "sigma", "scale", "steps", "spacing"},
}

COUNTS = {"mean", "rounds", "vote"}  # one of these is nothing said

ROLES = ("front", "other", "poor")  # of candidates that are verified, in the order of their places

Measure = Callable[[dict, int], tuple[float, float]]


@dataclass(frozen=True)
class Candidate:
    """A member of the space: its options, how far it came, and there its clean accuracy and its compression rate α."""

    options: dict
    rung: int
    clean: float
    alpha: float


def explore(
    space: Mapping[str, object],
    measure: Measure,
    *,
    candidates: int,
    rungs: int,
    seed: int,
    progress: Callable[[Iterable], Iterable] = iter,
    told: Callable[[list[Candidate]], None] = lambda found: None,
) -> list[Candidate]:
    """So many members of the space, proposed one after the other by what was measured before.

    measure(options, rung) → (clean, α) on the images of a rung, 0 the fewest. A candidate climbs on if at most half of
    those on its rung before it beat it in both numbers. seed: of the proposals; a longer search begins with those of a
    shorter one. told: of all there are, after each.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True)
    )
    found: list[Candidate] = []
    met: list[list[Candidate]] = [[] for _ in range(rungs)]
    for _ in progress(range(candidates)):
        trial = study.ask()
        options = canonical({name: _suggested(trial, name, said) for name, said in space.items()})
        for rung in range(rungs):
            candidate = Candidate(options, rung, *measure(options, rung))
            others = met[rung]
            beaten = sum(beats(other, candidate) for other in others)
            others.append(candidate)
            if 2 * beaten > len(others) - 1:
                break
        study.tell(trial, (candidate.clean, candidate.alpha))
        found.append(candidate)
        told(found)
    return found


def beats(one: Candidate, other: Candidate) -> bool:
    """At least as good in both numbers and better in one."""
    ahead = one.clean >= other.clean and one.alpha <= other.alpha
    return ahead and (one.clean, one.alpha) != (other.clean, other.alpha)


def front(found: list[Candidate]) -> list[int]:
    """Places of those that nobody beats, among those that came furthest; the first of equal options."""
    furthest = max((c.rung for c in found), default=0)
    finished = [k for k, c in enumerate(found) if c.rung == furthest]
    first = [k for k in finished if found[k].options not in [found[j].options for j in finished if j < k]]
    return [k for k in first if not any(beats(found[j], found[k]) for j in first)]


def _suggested(trial, name: str, said: object):
    if isinstance(said, list | tuple):
        return trial.suggest_categorical(name, list(said))
    if isinstance(said, Mapping):
        low, high, log = said["low"], said["high"], said.get("log", False)
        if isinstance(low, int) and isinstance(high, int) and isinstance(said.get("step", 1), int):
            return trial.suggest_int(name, low, high, step=said.get("step", 1), log=log)
        return trial.suggest_float(name, low, high, step=said.get("step"), log=log)
    return said


def canonical(options: dict) -> dict:
    """The same member without options that do nothing there, so that it is measured once whatever proposed it.

    Numbers have three digits; steps are at most t.
    """
    kept = {name: _rounded(value) for name, value in options.items()}
    sampler = kept["sampler"]
    kept = {name: value for name, value in kept.items() if name not in IDLE[sampler]}
    if "steps" in kept:
        kept["steps"] = min(kept["steps"], kept["t"])
        if kept["steps"] == 1 or kept["steps"] == kept["t"]:
            kept.pop("spacing", None)
    if kept.get("scale") == 0:
        kept.pop("sigma", None)
    kept = {name: value for name, value in kept.items() if not (name in COUNTS and value == 1)}
    return dict(sorted(kept.items()))


def _rounded(value: object) -> object:
    return float(f"{value:.3g}") if isinstance(value, float) else value


def selected(n: int) -> np.ndarray:
    """Rows of n images that a search may look at: every other one. Those left are for reports on what it found."""
    return np.arange(0, n, 2)


def rung_rows(rows: np.ndarray, rung: int, rungs: int) -> np.ndarray:
    """The first of these rows, all of them on the last rung, half as many on each one below."""
    return rows[: max(1, len(rows) // 2 ** (rungs - 1 - rung))]
