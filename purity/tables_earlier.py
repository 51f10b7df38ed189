"""Tables of the earlier version's questions (fuzzy robustness, caps, margins), in the form of purity.tables."""

import numpy as np
import pandas as pd

from purity import cap as model
from purity import fuzzy as fuzziness
from purity import stats
from purity.tables import ATTACKED, Record, grouped

REPEATS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1000)


def _share_row(values: list[np.ndarray]) -> dict[str, float]:
    """n, mean and interval of per-image shares, one array (n,) a seed; std over seeds."""
    return stats.accuracy(np.stack(values).astype(np.float64))


def fuzzy(judgings: list[Record]) -> pd.DataFrame:
    """Robustness of a random defence by repeated judging (earlier version, Tables 1, 2). attack clean is the control.

    measure: standard, the accuracy of one judging (std over judgings, as there); never-fools and always-fools, the
    shares of images of grade m = 0 and m = 1; half, of m < ½; vote, the accuracy of a majority vote of k; worst-of, of
    images that are right in each of k resubmissions.
    """
    rows = []
    for keys, members in grouped(judgings, ATTACKED):
        predictions = [r.arrays["predictions"] for r in members]
        labels = [r.arrays["y"] for r in members]
        pairs = list(zip(predictions, labels, strict=True))
        grades = [fuzziness.grades(p, y) for p, y in pairs]
        r = min(len(p) for p in predictions)
        keys |= {"seed": "all", "seeds": len(members), "judgings": r}
        each = np.concatenate([(p == y).mean(axis=1) for p, y in pairs])
        std = float(each.std(ddof=1)) if len(each) > 1 else float("nan")
        rows.append(keys | {"measure": "standard", "k": 1} | _share_row([1 - m for m in grades]) | {"std": std})
        rows.append(keys | {"measure": "never-fools", "k": r} | _share_row([m == 0 for m in grades]))
        rows.append(keys | {"measure": "always-fools", "k": r} | _share_row([m == 1 for m in grades]))
        rows.append(keys | {"measure": "half", "k": r} | _share_row([fuzziness.robustness(m, 0.5) for m in grades]))
        for measure, of in (("vote", fuzziness.majority_vote), ("worst-of", fuzziness.worst_of)):
            for k in (k for k in REPEATS if k <= r):
                rows.append(keys | {"measure": measure, "k": k} | _share_row([of(p, y, k) for p, y in pairs]))
    return pd.DataFrame(rows)


def fuzzy_grades(judgings: list[Record]) -> pd.DataFrame:
    """Distribution of grades (earlier version, Fig. 3b) and the CFR curve (Fig. 3c).

    share: of images of that grade. cfr: of images below it, with its 95 % interval low … high.
    """
    rows = []
    for keys, members in grouped(judgings, ATTACKED):
        r = min(len(m.arrays["predictions"]) for m in members)
        grades = np.stack([fuzziness.grades(m.arrays["predictions"][:r], m.arrays["y"]) for m in members])  # (S, n)
        fooled = np.rint(grades * r)
        for j in range(r + 1):
            row = {"seed": "all", "seeds": len(members), "grade": j / r, "share": float((fooled == j).mean())}
            summary = stats.accuracy(fooled < j)
            low_high = {"cfr": summary["mean"], "low": summary["low"], "high": summary["high"], "n": summary["n"]}
            rows.append(keys | row | low_high)
    return pd.DataFrame(rows)


def cap_images(caps: list[Record]) -> pd.DataFrame:
    """The cap model image by image, of images that are classified right: a row each.

    slope, middle: of the psychometric fit (eq. 8); inf where a threshold separates perfectly. threshold: γ, inf beyond
    the radius; changes: of decision along the adversarial direction. agreement: share of the disc's points that
    "projection > γ" judges rightly. volume_ratio (eq. 7), directions (App. A.2): of the cap in the ball of `radius`.
    """
    tables = []
    for r in caps:
        a, usable = r.arrays, r.arrays["usable"]
        threshold, radius, d = a["threshold"][usable], float(a["radius"]), int(a["dimensions"])
        predicted = a["projection"][usable] > threshold[:, None]
        of_image = {
            "image": a["ids"][usable],
            "slope": a["slope"][usable],
            "middle": a["middle"][usable],
            "threshold": threshold,
            "changes": a["changes"][usable],
            "agreement": (predicted == a["outcome"][usable]).mean(axis=1),
            "radius": radius,
            "volume_ratio": model.volume_ratio(threshold / radius, d),
            "directions": model.orthogonal_directions(threshold / radius, d),
        }
        tables.append(pd.DataFrame({key: r.keys[key] for key in (*ATTACKED, "seed")} | of_image))
    return pd.concat(tables, ignore_index=True)


def cap(caps: list[Record]) -> pd.DataFrame:
    """The cap model in numbers (earlier version §5): mean and std over images and seeds of what is finite, and the
    median of all. n counts what is finite, or, for a share, images.

    measure: slope, threshold, agreement, volume_ratio, directions as in `cap_images`; and the shares steep (slope above
    6), separable (infinite slope), crossed (γ within the radius) and once (of those: the decision changes once).
    """
    images = cap_images(caps)
    rows = []
    for values, group in images.groupby(list(ATTACKED), sort=False):
        keys = dict(zip(ATTACKED, values, strict=True)) | {"seed": "all", "seeds": group["seed"].nunique()}
        crossed = np.isfinite(group["threshold"])
        fitted = group["slope"].dropna()
        shares = {
            "steep": fitted > 6,
            "separable": np.isposinf(fitted),
            "crossed": crossed,
            "once": group.loc[crossed, "changes"] == 1,
        }
        for measure in ("slope", "threshold", "agreement", "volume_ratio", "directions"):
            found = group[measure].dropna()
            median = float(found.median()) if len(found) else float("nan")
            rows.append(keys | {"measure": measure} | stats.spread(found) | {"median": median})
        for measure, found in shares.items():
            summary = stats.spread(found)
            rows.append(keys | {"measure": measure} | summary | {"median": float("nan")})
    return pd.DataFrame(rows, columns=[*ATTACKED, "seed", "seeds", "measure", "n", "mean", "std", "median"])


def cap_transition(caps: list[Record], steps: int = 81) -> pd.DataFrame:
    """P(adversarial) against the projection, images aligned at their thresholds, averaged (earlier version, Fig. 4f).

    offset: from the threshold, ℓ2. fitted: the mean of the psychometric functions. observed: the share of the disc's
    points in the bin around the offset that are adversarial, n points.
    """
    rows = []
    for keys, members in grouped(caps, ATTACKED):
        slope, middle, projection, outcome = (
            np.concatenate([r.arrays[name][r.arrays["usable"]] for r in members])
            for name in ("slope", "middle", "projection", "outcome")
        )
        radius = float(members[0].arrays["radius"])
        kept = ~np.isnan(middle)
        offset = np.linspace(-radius, radius, steps)
        fitted = model.transition(slope[kept], offset)
        aligned, outcome = (projection - middle[:, None])[kept].ravel(), outcome[kept].ravel()
        edges = np.append(offset - radius / (steps - 1), offset[-1] + radius / (steps - 1))
        n, _ = np.histogram(aligned, edges)
        adversarial, _ = np.histogram(aligned[outcome], edges)
        for j in range(steps):
            observed = adversarial[j] / n[j] if n[j] else float("nan")
            row = {"seed": "all", "seeds": len(members), "offset": offset[j]}
            rows.append(keys | row | {"fitted": fitted[j], "observed": observed, "n": int(n[j])})
    return pd.DataFrame(rows)


def cap_slices(caps: list[Record]) -> pd.DataFrame:
    """Planes through images, of the first seed (earlier version, Fig. 4b, c): a row for each point of the lattice.

    plane: `random` is spanned by the adversarial and a random direction, `adversarial` by it and another attack's, made
    orthogonal. along, across: coordinates, ℓ2. correct: whether the point is classified as the image is.
    """
    rows = []
    for keys, members in grouped(caps, ATTACKED):
        r = members[0].arrays
        side = np.linspace(-float(r["radius"]), float(r["radius"]), r["maps"].shape[-1])
        across, along = (c.ravel() for c in np.meshgrid(side, side, indexing="ij"))
        for shown, planes in zip(r["shown"], r["maps"], strict=True):
            for plane, predicted in zip(("random", "adversarial"), planes, strict=True):
                if plane == "adversarial" and abs(r["overlap"][shown]) > 0.999:  # one attack twice spans no plane
                    continue
                correct = (predicted == r["y"][shown]).ravel()
                of = {"image": int(r["ids"][shown]), "plane": plane, "along": along, "across": across}
                rows.append(pd.DataFrame(keys | {"seed": members[0].keys["seed"]} | of | {"correct": correct}))
    columns = [*ATTACKED, "seed", "image", "plane", "along", "across", "correct"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def margins_images(margins: list[Record]) -> pd.DataFrame:
    """How far each image's purified attack went, and how far the decision was (earlier version, Fig. 6): a row each.

    Images whose anchor f_ξ(x₀) is classified right. outcome: robust or fooled. length: ‖f_ξ(x) − f_ξ(x₀)‖; threshold: γ
    from the anchor in that direction, inf beyond reach; attack_length: ‖x − x₀‖.
    """
    tables = []
    for r in margins:
        a, usable = r.arrays, r.arrays["usable"]
        of_image = {
            "image": a["ids"][usable],
            "outcome": np.where(a["robust"][usable], "robust", "fooled"),
            "length": a["length"][usable],
            "threshold": a["threshold"][usable],
            "attack_length": a["attack_length"][usable],
            "changes": a["changes"][usable],
        }
        tables.append(pd.DataFrame({key: r.keys[key] for key in (*ATTACKED, "seed")} | of_image))
    return pd.concat(tables, ignore_index=True)


# Which way each score speaks for a robust image.
SCORES = {"threshold": 1, "length": -1, "attack_length": -1}


def margins(margins: list[Record]) -> pd.DataFrame:
    """Robust against fooled images (earlier version §6, Fig. 6): means by outcome, and the AUC of each score.

    measure: length, threshold (the finite ones; `beyond` is the share that is not), attack_length, by outcome; auc-*:
    P(a robust image has the higher threshold, the shorter length), with a 95 % interval over n images.
    """
    images = margins_images(margins)
    rows = []
    for values, group in images.groupby(list(ATTACKED), sort=False):
        keys = dict(zip(ATTACKED, values, strict=True)) | {"seed": "all", "seeds": group["seed"].nunique()}
        for outcome in ("robust", "fooled"):
            chosen = group[group["outcome"] == outcome]
            for measure in ("length", "threshold", "attack_length"):
                beyond = float(np.isinf(chosen[measure]).mean()) if len(chosen) else float("nan")
                row = {"outcome": outcome, "measure": measure} | stats.spread(chosen[measure])
                rows.append(keys | row | {"beyond": beyond})
        for score, sign in SCORES.items():
            robust, fooled = _scores(group, score, sign)
            right = group["outcome"] == "robust"
            clusters = (group.loc[right, "image"], group.loc[~right, "image"])
            area, low, high = stats.auc(robust, fooled, clusters=clusters)
            n = group["image"].nunique()
            row = {"outcome": "any", "measure": f"auc-{score}", "n": n, "mean": area, "low": low, "high": high}
            rows.append(keys | row)
    columns = [*ATTACKED, "seed", "seeds", "outcome", "measure", "n", "mean", "std", "beyond", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def margins_roc(margins: list[Record]) -> pd.DataFrame:
    """The ROC curves behind those AUCs: robust images are the positives."""
    rows = []
    for values, group in margins_images(margins).groupby(list(ATTACKED), sort=False):
        keys = dict(zip(ATTACKED, values, strict=True))
        for score, sign in SCORES.items():
            robust, fooled = _scores(group, score, sign)
            if len(robust) and len(fooled):
                false, true = stats.roc(robust, fooled)
                of = {"score": score, "false_positive": false, "true_positive": true}
                rows.append(pd.DataFrame(keys | of))
    columns = [*ATTACKED, "score", "false_positive", "true_positive"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def _scores(group: pd.DataFrame, score: str, sign: int) -> tuple[np.ndarray, np.ndarray]:
    robust = group["outcome"] == "robust"
    return sign * group.loc[robust, score].to_numpy(), sign * group.loc[~robust, score].to_numpy()
