"""The papers' claims, each held against what was measured: the evidence with its interval, and whether it holds.

A claim says where a quantity should lie. It `holds` if the whole 95 % interval of what was measured lies there, `does
not hold` if none of it does, and is `undecided` in between. Differences are paired: taken image by image, seeds
averaged, with images as what is sampled. Names carry meaning here: an attack called <name>-eot is taken for the EOT
variant of <name>, one called bpda… for the twin of pgd…; what is said of ddpm or reverse alone is asked of purifiers
whose name starts so. Only purifiers with a diffusion model are asked.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from purity import fuzzy, stats, tables_compression, tables_earlier
from purity.metrics import correlation
from purity.tables import ATTACKED, JUDGED, Record, grouped, per_image

# Records by kind of stage, as workflow/rules/targets.smk names them (a kind may be missing); `law`: the fit to probes.
Evidence = Mapping[str, list[Record] | pd.DataFrame]


class Found(NamedTuple):
    case: str  # which purifier, which attack
    mean: float
    low: float
    high: float
    n: int  # images, or points


class Claim(NamedTuple):
    id: str  # of the table and figure that shows it
    source: str  # section of the newest version, or of the earlier one; or the second paper
    claim: str
    quantity: str  # what is measured
    target: tuple[float, float]  # where it lies if the claim holds
    paper: str  # what the papers measured
    evidence: Callable[[Evidence], Iterator[Found]]


ABOVE_ZERO, BELOW_ZERO = (0.0, np.inf), (-np.inf, 0.0)


def verdict(low: float, high: float, target: tuple[float, float]) -> str:
    """holds, does not hold or undecided, by the interval low … high and where it should lie."""
    if np.isnan(low) or np.isnan(high) or (low == high and low in target):
        return "undecided"
    if target[0] <= low and high <= target[1]:
        return "holds"
    return "does not hold" if high < target[0] or low > target[1] else "undecided"


def findings(**evidence: list[Record]) -> pd.DataFrame:
    """A row for each claim and case that there is evidence for."""
    rows = []
    fitted = _fitted(evidence)
    for c in CLAIMS:
        of_claim = {"id": c.id, "source": c.source, "claim": c.claim, "quantity": c.quantity, "paper": c.paper}
        for found in c.evidence({**evidence, "law": fitted}):
            limits = {"target_low": c.target[0], "target_high": c.target[1]}
            rows.append(of_claim | found._asdict() | limits | {"verdict": verdict(found.low, found.high, c.target)})
    said = ["id", "source", "claim", "quantity", "paper", *Found._fields, "target_low", "target_high", "verdict"]
    return pd.DataFrame(rows, columns=said)


# Evidence. Each yields what it finds, case by case.


def _attacks(evidence: Evidence, kind: str = "measured", blind: bool = False) -> dict[tuple, list[Record]]:
    """Records by (purifier, attack, knowledge) of attacks that looked at a defence, or of blind ones."""
    chosen = [r for r in evidence.get(kind, []) if r.keys["attack"] != "clean" and bool(r.keys["blind"]) == blind]
    return {tuple(keys.values()): members for keys, members in grouped(chosen, ATTACKED)}


def _mean(case: str, values: np.ndarray) -> Found:
    """Mean over images and its interval. Where all images agree, 3 in n may yet differ by 1 (rule of three)."""
    mean, low, high = stats.mean_interval(values)
    n = int(np.isfinite(values).sum())
    return Found(case, mean, mean - 3 / n, mean + 3 / n, n) if low == high else Found(case, mean, low, high, n)


def _change(measure: str) -> Callable[[Evidence], Iterator[Found]]:
    """After − before purification, under the attack that knows ξ."""

    def evidence(e: Evidence) -> Iterator[Found]:
        for (purifier, attack, knowledge), members in _attacks(e).items():
            if knowledge == "all" and f"{measure}_after" in members[0].arrays:
                after, before = (per_image(members, f"{measure}_{when}") for when in ("after", "before"))
                yield _mean(f"{purifier}, {attack}", after - before)

    return evidence


def _frechet(e: Evidence) -> Iterator[Found]:
    for (purifier, attack, knowledge), members in _attacks(e).items():
        if knowledge == "all" and all("frechet_after" in r.arrays for r in members):
            change = [float(r.arrays["frechet_after"][0] - r.arrays["frechet_before"][0]) for r in members]
            mean, low, high = stats.t_interval(np.array(change))
            yield Found(f"{purifier}, {attack}", mean, low, high, len(change))


def _noise_moves(largest: bool) -> Callable[[Evidence], Iterator[Found]]:
    """ℓ2 after − before of the largest uniform noise, or of the smallest."""

    def evidence(e: Evidence) -> Iterator[Found]:
        by_purifier: dict[str, dict[str, list[Record]]] = {}
        for (purifier, attack, _), members in _attacks(e, blind=True).items():
            by_purifier.setdefault(purifier, {})[attack] = members
        for purifier, noises in by_purifier.items():
            ordered = sorted(noises, key=lambda a: per_image(noises[a], "l2_before").mean())
            if largest and len(ordered) < 2:
                continue
            attack = ordered[-1 if largest else 0]
            change = per_image(noises[attack], "l2_after") - per_image(noises[attack], "l2_before")
            yield _mean(f"{purifier}, {attack}", change)

    return evidence


def _ball(of: Callable[[Record], np.ndarray]) -> Callable[[Evidence], Iterator[Found]]:
    """A number per image of the ball, (n,), averaged over seeds."""

    def evidence(e: Evidence) -> Iterator[Found]:
        for keys, members in grouped(e.get("balls", []), ("purifier",)):
            yield _mean(keys["purifier"], np.mean([of(r) for r in members], axis=0))

    return evidence


def _radius(r: Record, varied: str) -> np.ndarray:
    """Distance to the centroid relative to that of the inputs, image by image."""
    return _rows_mean(r.arrays[f"centroid_{varied}"]) / _rows_mean(r.arrays["centroid_initial"])


def _rows_mean(a: np.ndarray) -> np.ndarray:
    return a.reshape(len(a), -1).mean(axis=1)


def _knowing(e: Evidence) -> Iterator[Found]:
    attacks = _attacks(e)
    for (purifier, attack, knowledge), known in attacks.items():
        unknown = attacks.get((purifier, attack, "none"))
        if knowledge == "all" and unknown:
            gap = per_image(unknown, "correct_varying") - per_image(known, "correct_fixed")
            yield _mean(f"{purifier}, {attack}", gap)


def _clean_gap(e: Evidence) -> Iterator[Found]:
    for keys, members in grouped(e.get("measured", []), ATTACKED):
        if keys["attack"] == "clean":
            gap = per_image(members, "correct_varying") - per_image(members, "correct_fixed")
            yield _mean(keys["purifier"], gap)


def _against_eot(knowledge: str) -> Callable[[Evidence], Iterator[Found]]:
    """Accuracy under an attack of this knowledge − accuracy under its EOT variant, which knows nothing."""

    def evidence(e: Evidence) -> Iterator[Found]:
        attacks = _attacks(e)
        _, name = JUDGED[knowledge]
        for (purifier, attack, of), members in attacks.items():
            eot = attacks.get((purifier, f"{attack}-eot", "none"))
            if of == knowledge and eot:
                gap = per_image(members, name) - per_image(eot, "correct_varying")
                yield _mean(f"{purifier}, {attack}", gap)

    return evidence


def _bpda(e: Evidence) -> Iterator[Found]:
    attacks = _attacks(e)
    for (purifier, attack, knowledge), members in attacks.items():
        full = attacks.get((purifier, attack.replace("bpda", "pgd", 1), knowledge))
        if attack.startswith("bpda") and full:
            _, name = JUDGED[knowledge]
            case = f"{purifier}, {attack}, knows {knowledge}"
            yield _mean(case, per_image(members, name) - per_image(full, name))


def _transfer(e: Evidence) -> Iterator[Found]:
    for (purifier, attack, knowledge), members in _attacks(e).items():
        if knowledge == "all":
            gap = per_image(members, "correct_varying") - per_image(members, "correct_fixed")
            yield _mean(f"{purifier}, {attack}", gap)


def _alike(first: list[Record], second: list[Record], x0: np.ndarray) -> np.ndarray:
    """(n,) correlation of perturbations, mean over pairs of different seeds."""
    pairs = [
        correlation(a.arrays["x"] - x0, b.arrays["x"] - x0)
        for a in first
        for b in second
        if a.keys["seed"] != b.keys["seed"]
    ]
    return np.mean(pairs, axis=0) if pairs else np.full(len(x0), np.nan)


def _correlated(e: Evidence) -> Iterator[Found]:
    for (purifier, attack, knowledge), members in _attacks(e, "crafted").items():
        if knowledge == "all" and e.get("subset"):
            yield _mean(f"{purifier}, {attack}", _alike(members, members, e["subset"][0].arrays["x"]))


def _eot_correlated(e: Evidence) -> Iterator[Found]:
    attacks = _attacks(e, "crafted")
    for (purifier, attack, knowledge), members in attacks.items():
        eot = attacks.get((purifier, f"{attack}-eot", "none"))
        if knowledge == "all" and eot and e.get("subset"):
            x0 = e["subset"][0].arrays["x"]
            yield _mean(f"{purifier}, {attack}", _alike(eot, members, x0) - _alike(members, members, x0))


def _noise_alpha(e: Evidence) -> Iterator[Found]:
    for (purifier, attack, _), members in _attacks(e, blind=True).items():
        yield _mean(f"{purifier}, {attack}", per_image(members, "alpha"))


def _attack_alpha(e: Evidence) -> Iterator[Found]:
    noises = _attacks(e, blind=True)
    for (purifier, attack, knowledge), members in _attacks(e).items():
        small = [m for (p, _, _), m in noises.items() if p == purifier]
        if knowledge == "all" and small:
            noise = min(small, key=lambda m: per_image(m, "l2_before").mean())
            yield _mean(f"{purifier}, {attack}", per_image(members, "alpha") - per_image(noise, "alpha"))


def _fooled_alpha(e: Evidence) -> Iterator[Found]:
    for (purifier, attack, knowledge), members in _attacks(e).items():
        if knowledge == "all":
            alpha = np.stack([r.arrays["alpha"] for r in members])  # NaN where the attack did not move the image
            right = np.stack([r.arrays["correct_fixed"] for r in members])
            yield _fooled_minus_robust(f"{purifier}, {attack}", alpha, right)


def _fooled_minus_robust(case: str, values: np.ndarray, right: np.ndarray) -> Found:
    """Difference of the means over fooled and over robust images, values and right (S, n); n images are sampled."""
    image = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    fooled, robust = ~right & np.isfinite(values), right & np.isfinite(values)
    clusters = (image[fooled], image[robust])
    difference = stats.difference_interval(values[fooled], values[robust], clusters=clusters)
    return Found(case, *difference, len(np.unique(np.concatenate(clusters))))


def _singular(of: Callable[[np.ndarray], np.ndarray]) -> Callable[[Evidence], Iterator[Found]]:
    def evidence(e: Evidence) -> Iterator[Found]:
        for keys, members in grouped(e.get("jacobians", []), ("purifier",)):
            yield _mean(keys["purifier"], np.mean([of(r.arrays["singular_values"]) for r in members], axis=0))

    return evidence


def _singular_outcomes(e: Evidence) -> Iterator[Found]:
    outcomes = {tuple(r.keys[k] for k in ("purifier", "seed")): r for r in e.get("outcomes", [])}
    for keys, members in grouped(e.get("jacobians", []), ("purifier",)):
        known = [(r, outcomes.get((keys["purifier"], r.keys["seed"]))) for r in members]
        known = [(r.arrays["singular_values"], o.arrays["correct_fixed"]) for r, o in known if o]
        if known:
            largest = np.stack([values.max(axis=1) for values, _ in known])
            right = np.stack([correct[: len(values)] for values, correct in known])
            yield _fooled_minus_robust(keys["purifier"], largest, right)


def _components(e: Evidence) -> Iterator[Found]:
    for keys, members in grouped(e.get("spectra", []), ("purifier",)):
        shares = [r.arrays["after"] < r.arrays["before"].mean(axis=1, keepdims=True) for r in members]
        yield _mean(keys["purifier"], np.mean([share.mean(axis=1) for share in shares], axis=0))


def _strengths(e: Evidence, name: str) -> dict[str, list[tuple[int, np.ndarray]]]:
    """By purifier: (t, per-image values (n,)) in order of t, of the probes that have this array."""
    found: dict[str, list[tuple[int, np.ndarray]]] = {}
    probes = [r for r in e.get("probes", []) if name in r.arrays and r.keys["t"] is not None]
    for keys, members in grouped(probes, tables_compression.SWEPT):
        found.setdefault(keys["purifier"], []).append((keys["t"], per_image(members, name)))
    return {p: sorted(values, key=lambda v: v[0]) for p, values in found.items() if len(values) > 1}


def _between_strengths(name: str, start: int, end: int, only: str = "") -> Callable[[Evidence], Iterator[Found]]:
    """Change of a measure from the t nearest to `start` to the one nearest to `end`."""

    def evidence(e: Evidence) -> Iterator[Found]:
        for purifier, values in _strengths(e, name).items():
            first, last = (min(values, key=lambda v: abs(v[0] - t)) for t in (start, end))
            if purifier.startswith(only) and first[0] != last[0]:
                yield _mean(f"{purifier}, t = {first[0]} → {last[0]}", last[1] - first[1])

    return evidence


def _points(e: Evidence) -> list[list[Record]]:
    """Probes of purifiers under attack, by purifier and strength."""
    attacked = (r for r in e.get("probes", []) if "robust" in r.arrays)
    return [members for _, members in grouped(attacked, tables_compression.SWEPT)]


def _all(points: list[list[Record]]) -> list[Record]:
    return [r for members in points for r in members]


def _fitted(e: Evidence) -> pd.DataFrame:
    """The fit of the law, made once for all claims about it."""
    points = _points(e)
    return tables_compression.law_fit(_all(points)) if len(points) >= 3 else pd.DataFrame({"quantity": []})


def _fit(quantity: str) -> Callable[[Evidence], Iterator[Found]]:
    def evidence(e: Evidence) -> Iterator[Found]:
        table = e["law"]
        for _, row in table[table["quantity"] == quantity].iterrows():
            case = f"{row['points']} purifiers: {row['through']}"
            yield Found(case, row["mean"], row["low"], row["high"], int(row["n"]))

    return evidence


def _budget(e: Evidence) -> Iterator[Found]:
    """The undefended classifier at ε·α − the purifier of that α, image by image, mean over the purifiers."""
    points = _points(e)
    for keys, members in grouped(e.get("budgets", []) if points else [], ("attack",)):
        order = np.argsort(members[0].arrays["scale"])
        scale = members[0].arrays["scale"][order]
        alone = np.mean([r.arrays["robust"][order] for r in members], axis=0)  # (S, n)
        alpha = [np.nanmean(per_image(of_point, "alpha")) for of_point in points]
        at_alpha = np.stack([np.interp(alpha, scale, of_image) for of_image in alone.T], axis=1)  # (points, n)
        purified = np.stack([per_image(of_point, "robust") for of_point in points])
        yield _mean(f"{keys['attack']}, ε·α", (at_alpha - purified).mean(axis=0))


def _predictor(predictor: str) -> Callable[[Evidence], Iterator[Found]]:
    def evidence(e: Evidence) -> Iterator[Found]:
        points = _points(e)
        table = tables_compression.predictors_rank(_all(points)) if points else pd.DataFrame({"predictor": []})
        for _, row in table[table["predictor"] == predictor].iterrows():
            yield Found(f"{row['points']} purifiers", row["mean"], row["low"], row["high"], int(row["points"]))

    return evidence


def _judged(of: Callable[[np.ndarray, np.ndarray], np.ndarray], clean: bool) -> Callable[[Evidence], Iterator[Found]]:
    """A number per image of its judgings (r, n) and labels (n,), averaged over seeds; of clean images or attacked."""

    def evidence(e: Evidence) -> Iterator[Found]:
        for keys, members in grouped(e.get("judgings", []), ATTACKED):
            if (keys["attack"] == "clean") == clean:
                values = np.mean([of(r.arrays["predictions"], r.arrays["y"]) for r in members], axis=0)
                yield _mean(f"{keys['purifier']}, {keys['attack']}", values)

    return evidence


def _is_fuzzy(predictions: np.ndarray, y: np.ndarray) -> np.ndarray:
    m = fuzzy.grades(predictions, y)
    return ((m > 0) & (m < 1)).astype(np.float64)


def _vote_gain(predictions: np.ndarray, y: np.ndarray) -> np.ndarray:
    return fuzzy.majority_vote(predictions, y, len(predictions)) - (predictions == y).mean(axis=0)


def _resubmission_loss(predictions: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (predictions == y).mean(axis=0) - fuzzy.worst_of(predictions, y, min(10, len(predictions)))


def _caps(column: Callable[[pd.DataFrame], pd.Series]) -> Callable[[Evidence], Iterator[Found]]:
    def evidence(e: Evidence) -> Iterator[Found]:
        if e.get("caps"):
            for values, group in tables_earlier.cap_images(e["caps"]).groupby(list(ATTACKED), sort=False):
                per_image = column(group).groupby(group["image"]).mean()
                yield _mean(f"{values[0]}, {values[1]}", per_image.to_numpy(np.float64))

    return evidence


def _auc(score: str) -> Callable[[Evidence], Iterator[Found]]:
    def evidence(e: Evidence) -> Iterator[Found]:
        table = tables_earlier.margins(e["margins"]) if e.get("margins") else pd.DataFrame({"measure": []})
        for _, row in table[table["measure"] == f"auc-{score}"].iterrows():
            yield Found(f"{row['purifier']}, {row['attack']}", row["mean"], row["low"], row["high"], int(row["n"]))

    return evidence


def _boxed(e: Evidence) -> Iterator[Found]:
    attacks = _attacks(e, "boxed")
    for (purifier, attack, knowledge), known in attacks.items():
        eot = attacks.get((purifier, f"{attack}-eot", "none"))
        if knowledge == "all" and eot:
            gap = per_image(eot, "correct_varying") - per_image(known, "correct_fixed")
            yield _mean(f"{purifier}, {attack}", gap)


def _gained(knowledge: str) -> Callable[[Evidence], Iterator[Found]]:
    """Accuracy of fine-tuned purifiers − of vanilla ones under the attack of this knowledge, ablations left out."""

    def evidence(e: Evidence) -> Iterator[Found]:
        attacks = _attacks(e, "hardened")
        _, name = JUDGED[knowledge]
        for (purifier, attack, of), members in attacks.items():
            vanilla = members[0].keys.get("vanilla")
            if of == knowledge and (vanilla, attack, of) in attacks and not members[0].keys["ablation"]:
                gained = per_image(members, name) - per_image(attacks[(vanilla, attack, of)], name)
                yield _mean(f"{purifier}, {attack}", gained)

    return evidence


# What the papers claim. `earlier` stands for the earlier version, the other sections are those of the newest; of Liu et
# al. (ICLR 2025), the stochastic perspective, sections are not known.
CLAIMS = (
    Claim(
        "distances",
        "§3.1",
        "Purification moves attacked images away from the clean ones, in ℓ2",
        "ℓ2 after − before",
        ABOVE_ZERO,
        "ddpm 1.077 → 3.641, reverse 1.149 → 3.078, ddim 1.080 → 2.810",
        _change("l2"),
    ),
    Claim(
        "distances",
        "§3.1",
        "… and in ℓ∞",
        "ℓ∞ after − before",
        ABOVE_ZERO,
        "ddpm .031 → .316, reverse .031 → .270, ddim .031 → .242",
        _change("linf"),
    ),
    Claim(
        "distances",
        "§3.1",
        "… and structurally",
        "SSIM after − before",
        BELOW_ZERO,
        "ddpm .965 → .796, reverse .965 → .837, ddim .964 → .869; the earlier version's C.2 reads the fall as closer",
        _change("ssim"),
    ),
    Claim(
        "distances",
        "§3.1",
        "Purification brings the distribution of attacked images closer to that of the clean ones",
        "Fréchet distance after − before, n seeds",
        BELOW_ZERO,
        "FID ddpm .226 → .120, reverse .209 → .183, ddim .234 → .104",
        _frechet,
    ),
    Claim(
        "trajectory",
        "App. C.2",
        "Uniform noise as small as an attack is moved away too",
        "ℓ2 after − before",
        ABOVE_ZERO,
        "ε = 8/255: 1.004 → 3.598",
        _noise_moves(largest=False),
    ),
    Claim(
        "trajectory",
        "App. C.2",
        "Noise much larger than an attack is brought closer",
        "ℓ2 after − before",
        BELOW_ZERO,
        "ε = 128/255: 16.051 → 9.307 (the row labelled 128 is right, those labelled 16 and 32 are 32 and 64)",
        _noise_moves(largest=True),
    ),
    Claim(
        "directions",
        "§3.2",
        "The direction of purification depends on ξ more than on the input",
        "correlation across inputs − across ξ",
        ABOVE_ZERO,
        ".93 across inputs, .22 across ξ (earlier version .9954, .2368)",
        _ball(lambda r: r.arrays["directions_input"] - r.arrays["directions_xi"]),
    ),
    Claim(
        "centroids",
        "§3.2",
        "One ξ compresses the ball",
        "radius over that of the inputs",
        (-np.inf, 1.0),
        "1.004 → .241 (Table S6's headings are swapped)",
        _ball(lambda r: _radius(r, "input")),
    ),
    Claim(
        "centroids",
        "§3.2",
        "Varying ξ expands it",
        "radius over that of the inputs",
        (1.0, np.inf),
        "1.004 → 3.282",
        _ball(lambda r: _radius(r, "xi")),
    ),
    Claim(
        "variance",
        "§3.2, App. A",
        "Internal randomness dominates what comes out",
        "SNR: variance by the input over that by ξ",
        (-np.inf, 1.0),
        "SNR 5.93 ± 1.07 × 10⁻³",
        _ball(lambda r: r.arrays["snr"]),
    ),
    Claim(
        "robustness",
        "§4",
        "An attacker who knows ξ does more harm",
        "accuracy, knows nothing − knows ξ",
        ABOVE_ZERO,
        "PGD 71.9 % → 23.7 %; ImageNet BPDA 63.7 % → 29.5 %",
        _knowing,
    ),
    Claim(
        "robustness",
        "§4",
        "Fixing ξ does not change the accuracy on clean images",
        "accuracy, fresh − fixed ξ; within 5 points",
        (-0.05, 0.05),
        "86.0 % and 85.8 %",
        _clean_gap,
    ),
    Claim(
        "robustness",
        "§4",
        "EOT is stronger than a single gradient where ξ is not known",
        "accuracy under PGD − PGD-EOT, or BPDA − BPDA-EOT",
        ABOVE_ZERO,
        "71.9 % → 59.3 %",
        _against_eot("none"),
    ),
    Claim(
        "robustness",
        "§4",
        "EOT stays weaker than knowing ξ",
        "accuracy, knows ξ − EOT",
        BELOW_ZERO,
        "59.3 % by EOT, 23.7 % by knowing ξ",
        _against_eot("all"),
    ),
    Claim(
        "robustness",
        "earlier §4.2",
        "Attacks that take the purifier for the identity overestimate robustness",
        "accuracy under BPDA − under PGD",
        ABOVE_ZERO,
        "83.71 % − 71.74 %; with EOT 81.54 % − 60.53 %",
        _bpda,
    ),
    Claim(
        "transfer",
        "§4",
        "An attack made for one ξ does not carry over to another",
        "accuracy under another ξ − under its own",
        ABOVE_ZERO,
        "77.4 % against 23.7 %",
        _transfer,
    ),
    Claim(
        "transfer",
        "§4",
        "Attacks for different ξ are nearly uncorrelated",
        "correlation of perturbations; below .25",
        (-0.25, 0.25),
        ".0818 ± .0709",
        _correlated,
    ),
    Claim(
        "transfer",
        "§4",
        "EOT's perturbation is more like an attack that knows ξ than one for another ξ is",
        "correlation, EOT − other ξ",
        ABOVE_ZERO,
        ".1682 against .0818",
        _eot_correlated,
    ),
    Claim(
        "compression",
        "§5",
        "Image space is compressed",
        "α of uniform noise",
        (-np.inf, 1.0),
        "ddpm .231, reverse .195, ddim .281",
        _noise_alpha,
    ),
    Claim(
        "compression",
        "§5",
        "Attacks find directions that are compressed less",
        "α of the attack − of uniform noise",
        ABOVE_ZERO,
        "ddpm .798 and .989 against .231",
        _attack_alpha,
    ),
    Claim(
        "compression",
        "§5",
        "… least where they succeed",
        "α of fooled − of robust images",
        ABOVE_ZERO,
        "ddpm .989 − .798, reverse .864 − .738, ddim .815 − .717",
        _fooled_alpha,
    ),
    Claim(
        "jacobian",
        "§5",
        "Nine of ten directions are compressed below a quarter",
        "share of singular values below .25",
        (0.9, np.inf),
        "over 90 % (earlier version 2760 of 3072)",
        _singular(lambda s: (s < 0.25).mean(axis=1)),
    ),
    Claim(
        "jacobian",
        "§5",
        "Hardly any direction is expanded",
        "share of singular values above 1; below .05",
        (-np.inf, 0.05),
        "1.3 % (earlier version 17 of 3072)",
        _singular(lambda s: (s > 1).mean(axis=1)),
    ),
    Claim(
        "jacobian",
        "earlier §6",
        "The spectra of robust and fooled images do not differ",
        "largest singular value, fooled − robust; within .25",
        (-0.25, 0.25),
        "no difference observed; largest 1.32 ± .21",
        _singular_outcomes,
    ),
    Claim(
        "pca",
        "earlier §6",
        "Most principal components of the ball shrink",
        "share of components below the ball's mean variance; above ½",
        (0.5, np.inf),
        "most of the first 50 far below 1",
        _components,
    ),
    Claim(
        "timesteps",
        "§5",
        "More noise compresses more, up to t = 200",
        "α of uniform noise, change",
        BELOW_ZERO,
        "t = 10 → 200: ddpm .552 → .187, reverse .461 → .174",
        _between_strengths("alpha", 10, 200),
    ),
    Claim(
        "timesteps",
        "§5",
        "… and is more robust",
        "accuracy of who knows ξ, change",
        ABOVE_ZERO,
        "t = 10 → 200: ddpm .1 % → 39.5 %, reverse .6 % → 46.5 %",
        _between_strengths("robust", 10, 200),
    ),
    Claim(
        "law",
        "§5",
        "One sigmoid gives the robust accuracy of all samplers and t by their compression rate",
        "root mean square distance of the points; below .05",
        (-np.inf, 0.05),
        "well captured, steep near α = .2",
        _fit("misfit"),
    ),
    Claim(
        "law",
        "§5",
        "Its value at α = 0 is the clean accuracy",
        "at zero − clean accuracy; within 5 points",
        (-0.05, 0.05),
        "relatively accurate prediction",
        _fit("at-zero-minus-clean"),
    ),
    Claim(
        "budget",
        "§5",
        "The undefended classifier under the budget ε·α falls over the same range",
        "its accuracy − that of the purifiers, mean; within .1",
        (-0.1, 0.1),
        "align in range, not perfectly in shape",
        _budget,
    ),
    Claim(
        "predictors",
        "§5",
        "The compression rate ranks purifiers by robustness",
        "rank correlation of α with robust accuracy; below −.5",
        (-np.inf, -0.5),
        "a lawful relation",
        _predictor("alpha"),
    ),
    Claim(
        "predictors",
        "§5",
        "The magnitude of the attack does not",
        "rank correlation; within ±.5",
        (-0.5, 0.5),
        "not reliable",
        _predictor("magnitude"),
    ),
    Claim(
        "predictors",
        "§5",
        "The Fréchet distance does not",
        "rank correlation; within ±.5",
        (-0.5, 0.5),
        "poor: ddim has the lowest FID and the lowest robustness",
        _predictor("frechet"),
    ),
    Claim(
        "clean-t",
        "App. C.4",
        "Clean accuracy falls as t grows",
        "accuracy, change",
        BELOW_ZERO,
        "monotonically",
        _between_strengths("clean_fixed", 10, 1000),
    ),
    Claim(
        "clean-t",
        "App. C.4",
        "α of ddpm goes on falling",
        "α, change",
        BELOW_ZERO,
        "monotonically decreasing",
        _between_strengths("alpha", 200, 1000, only="ddpm"),
    ),
    Claim(
        "clean-t",
        "App. C.4",
        "α of reverse rises between t = 200 and 700",
        "α, change",
        ABOVE_ZERO,
        "three regimes: down to 200, up to 700, down again",
        _between_strengths("alpha", 200, 700, only="reverse"),
    ),
    Claim(
        "fuzzy",
        "earlier §4.2",
        "Many attacked images are neither robust nor fooled, but both, by chance",
        "share with grade 0 < m < 1; above .25",
        (0.25, np.inf),
        "PGD-EOT 63 %, PGD 59 %, BPDA 53 %",
        _judged(_is_fuzzy, clean=False),
    ),
    Claim(
        "fuzzy",
        "earlier §4.2",
        "A majority vote over ξ is more accurate than one judging",
        "vote of all judgings − standard",
        ABOVE_ZERO,
        "clean 85.75 → 90.8, PGD 71.74 → 74.5, PGD-EOT 60.53 → 61.2",
        _judged(_vote_gain, clean=False),
    ),
    Claim(
        "fuzzy",
        "earlier §4 (our control)",
        "Submitting a clean image again and again fools the defence too",
        "standard − worst of 10",
        ABOVE_ZERO,
        "clean: 49.5 % never fail",
        _judged(_resubmission_loss, clean=True),
    ),
    Claim(
        "cap",
        "earlier §5",
        "The decision changes sharply along the adversarial direction",
        "share of slopes above 6; above ½",
        (0.5, np.inf),
        "most slopes above 6",
        _caps(lambda images: (images["slope"] > 6).where(images["slope"].notna())),
    ),
    Claim(
        "cap",
        "earlier App. A.1",
        "… and only once",
        "share of images; above .9",
        (0.9, np.inf),
        "assumed",
        _caps(lambda images: (images["changes"] == 1).where(np.isfinite(images["threshold"]))),
    ),
    Claim(
        "margins",
        "earlier §6",
        "The critical threshold tells robust from fooled images",
        "AUC; above .9",
        (0.9, np.inf),
        ".98",
        _auc("threshold"),
    ),
    Claim(
        "margins",
        "earlier §6",
        "The length of the purified attack does, less well",
        "AUC; above ½",
        (0.5, np.inf),
        ".91",
        _auc("length"),
    ),
    Claim(
        "dw-box",
        "stochastic perspective",
        "An attacker who knows all of ξ (DW-box) gets far below one who averages over it",
        "accuracy, white-box EOT − DW-box; above .1",
        (0.1, np.inf),
        "ddpm 47.27 % → 16.80 %",
        _boxed,
    ),
    Claim(
        "addt",
        "stochastic perspective",
        "ADDT raises robust accuracy under white-box EOT",
        "accuracy, fine-tuned − vanilla",
        ABOVE_ZERO,
        "ddpm 47.27 % → 51.46 %",
        _gained("none"),
    ),
    Claim(
        "addt",
        "stochastic perspective",
        "… and under DW-box",
        "accuracy, fine-tuned − vanilla, DW-box",
        ABOVE_ZERO,
        "ddpm 16.80 % → 39.16 %",
        _gained("all"),
    ),
)
