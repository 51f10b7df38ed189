"""The hyperspherical cap model of adversarial regions (earlier version §5, App. A)."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import betainc, expit

from purity import stats
from purity.studies.drawing import COLUMN, SLATE, legend_below
from purity.studies.records import ATTACKED, Evidence, Record, grouped, of_mean

Array = NDArray[np.float64]
STEEP = 6.0  # slope above which a decision is called sharp


def volume_ratio(beta: Array, d: int) -> Array:
    """V_cap / V_ball = ½ I_{1−β̄²}((d+1)/2, ½) (eq. 7; Li 2010) of a cap that starts at β̄ = γ/ε of the radius.

    0 ≤ β̄; nothing is left of the ball from β̄ = 1 on.
    """
    beta = np.minimum(np.asarray(beta, np.float64), 1.0)
    return 0.5 * betainc((d + 1) / 2, 0.5, 1 - beta**2)


def orthogonal_directions(beta: Array, d: int) -> NDArray[np.int64]:
    """k = min(⌊1/β̄²⌋, d) orthogonal directions fit into the cap (App. A.2); 0 where the cap is empty, β̄ > 1."""
    beta = np.asarray(beta, np.float64)
    with np.errstate(divide="ignore"):
        # 1/β̄² of β̄ = 1/√k may fall short of k by rounding
        k = np.floor(1 / beta**2 * (1 + 1e-12))
    return np.minimum(k, d).astype(np.int64)


def transition(slope: Array, offset: Array) -> Array:
    """Mean of the fitted S, aligned at their thresholds, at these offsets (O,) from it (Fig. 4f). slope (n,); ±inf is a
    step."""
    if len(slope) == 0:
        return np.full(len(offset), np.nan)
    with np.errstate(invalid="ignore"):
        s = expit(slope[:, None] * offset[None, :])
    s[np.isnan(s)] = 0.5  # a step, at its threshold
    return s.mean(axis=0)


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
            "volume_ratio": volume_ratio(threshold / radius, d),
            "directions": orthogonal_directions(threshold / radius, d),
        }
        tables.append(pd.DataFrame({key: r.keys[key] for key in (*ATTACKED, "seed")} | of_image))
    return pd.concat(tables, ignore_index=True)


def cap(cap_images: pd.DataFrame) -> pd.DataFrame:
    """The cap model in numbers (earlier version §5): mean and std over images and seeds of what is finite, and the
    median of all. n counts what is finite, or, for a share, images.

    measure: slope, threshold, agreement, volume_ratio, directions as in `cap_images`; and the shares steep (slope above
    STEEP), separable (infinite slope), crossed (γ within the radius) and once (of those: the decision changes once).
    """
    rows = []
    for values, group in cap_images.groupby(list(ATTACKED), sort=False):
        keys = dict(zip(ATTACKED, values, strict=True)) | {"seed": "all", "seeds": group["seed"].nunique()}
        crossed = np.isfinite(group["threshold"])
        fitted = group["slope"].dropna()
        shares = {
            "steep": fitted > STEEP,
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
        fitted_at = ~np.isnan(middle)
        offset = np.linspace(-radius, radius, steps)
        fitted = transition(slope[fitted_at], offset)
        aligned, outcome = (projection - middle[:, None])[fitted_at].ravel(), outcome[fitted_at].ravel()
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
                about = {"image": int(r["ids"][shown]), "plane": plane, "along": along, "across": across}
                rows.append(pd.DataFrame(keys | {"seed": members[0].keys["seed"]} | about | {"correct": correct}))
    columns = [*ATTACKED, "seed", "image", "plane", "along", "across", "correct"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


PLANES = {"random": "a random\ndirection", "adversarial": "another attack's\ndirection"}


def draw_cap(images: pd.DataFrame, transition: pd.DataFrame, slices: pd.DataFrame) -> Figure:
    """Above: planes through a clean image (○), adversarial points dark. Below: the slopes of the decision and its mean
    transition, the critical thresholds, and the volume of the cap."""
    figure, axes = plt.subplots(3, 2, figsize=(COLUMN, 5.2))
    planes = [p for p in PLANES if (slices["plane"] == p).any()]
    for ax, plane in zip(axes[0], planes, strict=False):
        _draw_plane(ax, plane, slices[slices["plane"] == plane])
    for ax in axes[0, len(planes) :]:
        ax.set_axis_off()
    if images.empty:  # nothing is classified right, or nothing was moved
        for ax in axes.flat:
            ax.set_axis_off()
        return figure
    _draw_slopes(axes[1, 0], images["slope"].dropna())
    _draw_transition(axes[1, 1], transition)
    left, right = axes[2]
    radius = images["radius"].iloc[0]
    left.hist(images["threshold"].clip(upper=radius), np.linspace(0, radius, 25), color="0.45")
    left.set(xlabel="critical threshold γ, ℓ2\n(last bin: beyond)", ylabel="images")
    share = np.log10(images["volume_ratio"].clip(lower=1e-12))
    right.hist(share, np.linspace(min(-4.0, share.min()), 0, 25), color="0.45")
    right.set(xlabel=f"log₁₀ of cap over ball\nof radius {radius:g}", ylabel="images")
    legend_below(figure, axes[1, 1])
    return figure


def _draw_plane(ax: Axes, plane: str, points: pd.DataFrame) -> None:
    """That of the first image."""
    part = points[points["image"] == points["image"].iloc[0]]
    square = part.pivot(index="across", columns="along", values="correct").astype(float)
    reach = part["along"].max() * len(square) / (len(square) - 1)  # pixels are centred on the lattice
    look = {"origin": "lower", "extent": (-reach, reach) * 2, "cmap": ListedColormap([SLATE, "0.92"])}
    ax.imshow(square, vmin=0, vmax=1, interpolation="nearest", **look)
    ax.plot(0, 0, "o", mfc="white", mec="black", ms=4)
    ax.set(xlabel="adversarial\ndirection, ℓ2", ylabel=PLANES[plane])


def _draw_slopes(ax: Axes, slope: pd.Series) -> None:
    edges = np.arange(0, 32, 2.0)
    ax.hist(slope.clip(0, edges[-1]), edges, color="0.45")
    ax.axvline(STEEP, color="0.1", lw=0.8, ls="--")
    ax.set(xlabel=f"slope\n(last bin: {edges[-2]:.0f} and more)", ylabel="images")
    ax.set_title(f"first bin: below {edges[1]:.0f}")


def _draw_transition(ax: Axes, transition: pd.DataFrame) -> None:
    fitted, seen = transition.dropna(subset="fitted"), transition[transition["n"] > 20]
    if len(fitted):
        ax.plot(fitted["offset"], fitted["fitted"], color="0.1", lw=1.2, label="fitted: mean of the logistic fits")
    if len(seen):
        ax.plot(seen["offset"], seen["observed"], "o", ms=2, color=SLATE, label="observed: seen at such an offset")
    ax.set(xlabel="projection − threshold,\nℓ2", ylabel="P(adversarial)", ylim=(0, 1))


QUANTITIES = ("cap-steep", "cap-once")


def evidence(cap_images: pd.DataFrame) -> Iterator[Evidence]:
    """Shares of images: of those with a slope, it is above STEEP; of those with a threshold, one change of decision."""
    for (purifier, attack, _), group in cap_images.groupby(list(ATTACKED), sort=False):
        steep = (group["slope"] > STEEP).where(group["slope"].notna())
        once = (group["changes"] == 1).where(np.isfinite(group["threshold"]))
        for quantity, column in (("cap-steep", steep), ("cap-once", once)):
            of_image = column.groupby(group["image"]).mean()
            yield of_mean(quantity, f"{purifier}, {attack}", of_image.to_numpy(np.float64))
