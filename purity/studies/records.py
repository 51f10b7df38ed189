"""What every study works with: records of what stages left, the rows that tables are made of, and evidence for claims.

A table is one tidy frame, a row for each measured thing.

Keys name what was measured (purifier, attack, knowledge, seed, …). Rows of one base seed have that seed; rows with
seed "all" sum up all of them, `seeds` says how many. n counts images. `std` is over images, or, for accuracies and
Fréchet distances of seed "all", over seeds. low, high: 95 % interval of an accuracy (purity.stats).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from purity import stats


class Record(NamedTuple):
    """What one stage left behind: what it is about, and named arrays.

    keys: purifier, attack, knowledge, seed, t …, as far as the stage is about them; and roles, put there by who loads
    the records. diffusion: the purifier has a diffusion model. process: what the purifier is (ddpm, reverse, ddim,
    one-step or None). blind: the perturbation looked at no defence. eot_of: the attack whose EOT variant this one is.
    twin_of: the attack with full gradients whose BPDA twin this one is. protocol: the attack is as a paper has it,
    there to compare with, whether it has converged or not. vanilla, ablation, again_of: of fine-tuned purifiers.
    variant_of, differs: of a purifier that is like another one but for something. features: what the Fréchet distance
    is called. beside: the paper's attack that the sweep has beside its own.
    """

    keys: dict
    arrays: Mapping[str, np.ndarray]


class Shown(NamedTuple):
    """Images (n, C, H, W), and the class that the classifier takes each for (n,)."""

    images: np.ndarray
    taken_for: np.ndarray


Keys = tuple[str, ...]


def grouped(records: Iterable[Record], by: Keys) -> list[tuple[dict, list[Record]]]:
    """Records that share the keys `by`, in order of first appearance; within a group by seed."""
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record.keys[key] for key in by), []).append(record)
    return [
        (dict(zip(by, group, strict=True)), sorted(members, key=lambda r: r.keys["seed"]))
        for group, members in groups.items()
    ]


def spread_rows(keys: dict, members: list[Record], name: str) -> list[dict]:
    """A row per seed and one for all, of one per-image array."""
    rows = [keys | {"seed": r.keys["seed"], "seeds": 1} | stats.spread(r.arrays[name]) for r in members]
    together = np.concatenate([r.arrays[name].ravel() for r in members])
    return [*rows, keys | {"seed": "all", "seeds": len(members)} | stats.spread(together)]


def accuracy_rows(keys: dict, members: list[Record], name: str) -> list[dict]:
    """A row per seed and one for all, of one array of outcomes (n,) or (R, n)."""
    outcomes = [np.atleast_2d(r.arrays[name]) for r in members]
    rows = [
        keys | {"seed": r.keys["seed"], "seeds": 1} | stats.accuracy(correct)
        for r, correct in zip(members, outcomes, strict=True)
    ]
    summary = stats.accuracy(np.concatenate(outcomes))
    per_seed = np.array([correct.mean() for correct in outcomes])
    summary["std"] = float(per_seed.std(ddof=1)) if len(per_seed) > 1 else float("nan")
    return [*rows, keys | {"seed": "all", "seeds": len(members)} | summary]


# An image whose gradients are for more than this part zero or no numbers has not been attacked: a pixel keeps its place
# in a step whose gradient is none, so that of an attack of n steps less than half is left. Noise that is cut to [0, 1]
# makes half of a black background zero at the most.
USELESS = 0.5


def unseen(record: Record) -> np.ndarray:
    """(n,) bool: images of which the attack by gradients saw too little (USELESS)."""
    return record.arrays["zero_gradients"] + record.arrays["non_finite_gradients"] > USELESS


def judged_rows(keys: dict, members: list[Record], name: str) -> list[dict]:
    """`accuracy_rows`, and what the attack's gradients were worth, where it asked for any.

    zero_gradients, non_finite_gradients: means over images of the shares that are so. unseen: the share of images that
    count as right though the attack did not see them; without these, the accuracy would have to lie in its interval
    yet, else it is not `trustworthy`: gradients that vanish are taken for robustness.
    """
    rows = accuracy_rows(keys, members, name)
    for row, of_row in zip(rows, [*([r] for r in members), members], strict=True):
        if not all("zero_gradients" in r.arrays for r in of_row) or not any(
            r.arrays["gradients"].any() for r in of_row
        ):
            continue
        for share in ("zero_gradients", "non_finite_gradients"):
            row[share] = float(np.nanmean([r.arrays[share] for r in of_row]))
        row["unseen"] = float(unseen_though_right(of_row, name).mean())
        row["trustworthy"] = row["mean"] - row["unseen"] >= row["low"]
    return rows


def unseen_though_right(members: list[Record], name: str) -> np.ndarray:
    """(n,) mean over seeds (and fresh draws) of: right, and not seen by the attack."""
    return np.mean([(np.atleast_2d(r.arrays[name]) & unseen(r)).mean(axis=0) for r in members], axis=0)


def per_image(members: list[Record], name: str) -> np.ndarray:
    """(n,) mean over seeds (and fresh draws)."""
    return np.mean([np.atleast_2d(r.arrays[name]).mean(axis=0) for r in members], axis=0)


ATTACKED = ("purifier", "attack", "knowledge")


def is_protocol(members: list[Record]) -> dict[str, bool]:
    """The key `protocol` of a row about these records."""
    return {"protocol": bool(members[0].keys.get("protocol"))}


def family(members: list[Record]) -> str:
    """The attack, or the one that it is the EOT variant of."""
    return members[0].keys.get("eot_of") or members[0].keys["attack"]


SWEPT = ("purifier", "t")

# What an attacker knows → under which ξ his attack is judged, and the array that says whether it failed: a fresh ξ, the
# fixed one, or one that has the part he knows and is fresh in the rest.
JUDGED = {
    "none": ("fresh", "correct_varying"),
    "all": ("fixed", "correct_fixed"),
    "forward": ("rest-fresh", "correct_partly"),
    "reverse": ("rest-fresh", "correct_partly"),
}


def points_under_attack(probes: Iterable[Record]) -> list[tuple[dict, list[Record]]]:
    """Probes of purifiers whose attacker knows ξ, by purifier and strength t: the points of the law."""
    return grouped((r for r in probes if "robust" in r.arrays), SWEPT)


def images_drawn(n: int, resamples: int = 200, seed: int = 0) -> NDArray[np.int64]:
    """Row numbers (resamples, n) of n images drawn with replacement: the bootstrap. The spread of what is made of them
    is its uncertainty. What shares its images shares the draws. seed: of the draws."""
    return np.random.default_rng(seed).integers(n, size=(resamples, n))


class Evidence(NamedTuple):
    """What was measured of one quantity in one case, with its 95 % interval."""

    quantity: str  # as the study's QUANTITIES call it
    case: str  # which purifier, which attack
    mean: float
    low: float
    high: float
    n: int  # images, points or seeds
    cells: str = ""  # attacks that it rests on: <purifier>/<attack>/<knowledge>, a space between


# What the evidence of several studies shares. Only purifiers with a diffusion model are asked.

Attacks = dict[tuple[str, str, str], list[Record]]  # by purifier, attack, knowledge


def with_diffusion(records: Iterable[Record]) -> list[Record]:
    """Those about a purifier that has a diffusion model."""
    return [r for r in records if r.keys.get("diffusion")]


def attacks(records: Iterable[Record], blind: bool = False) -> Attacks:
    """Records about attacks that looked at a defence, or about blind ones."""
    chosen = [r for r in with_diffusion(records) if r.keys["attack"] != "clean" and bool(r.keys.get("blind")) == blind]
    return {tuple(keys.values()): members for keys, members in grouped(chosen, ATTACKED)}


def beside_eot(made: Attacks, knowledge: str) -> Iterator[tuple[str, list[Record], list[Record]]]:
    """(case, records of an attack of this knowledge, those of its EOT variant that knows nothing), pair by pair."""
    for (purifier, attack, known), members in made.items():
        variants = {
            name: records
            for (p, name, k), records in made.items()
            if (p, k) == (purifier, "none") and records[0].keys.get("eot_of") == attack
        }
        for name, eot in variants.items() if known == knowledge else ():
            yield f"{purifier}, {attack}" + (f" beside {name}" if len(variants) > 1 else ""), members, eot


def of_mean(quantity: str, case: str, values: np.ndarray, of: Iterable[Record] = ()) -> Evidence:
    """The mean over images (n,) and its interval; of: the records that it rests on."""
    mean, low, high = stats.mean_interval(values)
    n = int(np.isfinite(values).sum())
    return Evidence(quantity, case, mean, *in_doubt(mean, low, high, n), n, rests_on(of))


def rests_on(records: Iterable[Record]) -> str:
    """The attacks of these records, as evidence names them; blind ones and clean images are none."""
    known = [r.keys for r in records if set(ATTACKED) <= r.keys.keys() and r.keys["attack"] != "clean"]
    cells = ("/".join(map(str, (keys[key] for key in ATTACKED))) for keys in known if not keys.get("blind"))
    return " ".join(dict.fromkeys(cells))


def of_process(made: Attacks, process: str, knowledge: str) -> Iterator[tuple[str, list[Record], list[Record]]]:
    """(case, records of a purifier of this process, of one of another under the same attack), pair by pair."""
    for (purifier, attack, known), members in made.items():
        if known != knowledge or members[0].keys.get("process") != process:
            continue
        for (other, same, k), others in made.items():
            if (same, k) == (attack, known) and others[0].keys.get("process") not in (None, process):
                yield f"{purifier} beside {other}, {attack}", members, others


def in_doubt(mean: float, low: float, high: float, n: int) -> tuple[float, float]:
    """The interval of a mean over n images. Where all agree, 3 in n may yet differ by 1 (rule of three)."""
    return (mean - 3 / n, mean + 3 / n) if low == high else (low, high)


def fooled_minus_robust(
    quantity: str, case: str, values: np.ndarray, right: np.ndarray, of: Iterable[Record] = ()
) -> Evidence:
    """Difference of the means over fooled and over robust images, values and right (S, n); n images are sampled."""
    image = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    fooled, robust = ~right & np.isfinite(values), right & np.isfinite(values)
    clusters = (image[fooled], image[robust])
    difference = stats.difference_interval(values[fooled], values[robust], clusters=clusters)
    return Evidence(quantity, case, *difference, len(np.unique(np.concatenate(clusters))), rests_on(of))
