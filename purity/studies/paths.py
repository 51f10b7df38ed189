"""Where attackers go, and the loss around them, seen in a plane (Liu et al., ICLR 2025).

Places are perturbations x − x₀, flattened: arrays (…, d). The paper does not say what its axes are; here they are
linear, so that a place has one position and it can be found again.
"""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from purity import stats
from purity.studies.drawing import COLUMN, SMALL, legend_below
from purity.studies.records import Evidence, Record, grouped, of_mean, with_diffusion


def principal_plane(moved: np.ndarray, front: np.ndarray) -> tuple[np.ndarray, float]:
    """Two orthonormal axes (2, d) in which the places (m, d) are largest, and the share of their squared length there.

    The origin stays where it is: components are of the places themselves, not of their differences from a mean. Signs
    are such that `front` (d,) has no negative coordinate.
    """
    _, values, axes = np.linalg.svd(moved.astype(np.float64), full_matrices=False)
    axes = np.pad(axes, ((0, max(0, 2 - len(axes))), (0, 0)))[:2]
    squared = values**2
    return np.where(axes @ front < 0, -1.0, 1.0)[:, None] * axes, float(squared[:2].sum() / max(squared.sum(), 1e-300))


KINDS = {"white_box": "white-box", "eot": "white-box EOT", "dw_box": "DW-box"}


def attack_paths(paths: list[Record]) -> pd.DataFrame:
    """Places of three attackers' steps in a plane, with the loss under the fixed ξ as height.

    u, v: coordinates of x − x₀ along the two principal components of all places of all paths of that image (about x₀,
    uncentred), signs such that the DW-box path ends where neither is negative. kept: the share of their squared length
    that lies in the plane.
    """
    rows = []
    for record in paths:
        places = {kind: record.arrays[kind].astype(np.float64) for kind in KINDS}
        for i, image in enumerate(record.arrays["ids"].tolist()):
            moved = {kind: _flat(x[i] - x[i, :, :1]) for kind, x in places.items()}  # (R, S + 1, d)
            together = np.concatenate([x.reshape(-1, x.shape[-1]) for x in moved.values()])
            axes, share = principal_plane(together, moved["dw_box"][0, -1])
            for kind, path in moved.items():
                height = record.arrays[f"{kind}_loss"][i]
                for repeat, step in np.ndindex(path.shape[:2]):
                    u, v = axes @ path[repeat, step]
                    at = {"kind": KINDS[kind], "repeat": repeat, "step": step, "u": u, "v": v}
                    keys = {"purifier": record.keys["purifier"], "seed": record.keys["seed"], "image": image}
                    rows.append(keys | at | {"loss": float(height[repeat, step]), "kept": share})
    return pd.DataFrame(rows)


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(*x.shape[:2], -1)


def landscape(landscapes: list[Record]) -> pd.DataFrame:
    """Loss under the fixed ξ, mean over images, each in its own plane.

    a: along the DW-box perturbation; b: along what the EOT perturbation has beside it; in lengths of these.
    """
    rows = []
    for record in landscapes:
        at, lost = record.arrays["at"], record.arrays["loss"]
        keys = {"purifier": record.keys["purifier"], "seed": record.keys["seed"]}
        for j, k in np.ndindex(lost.shape[1:]):
            rows.append(keys | {"a": at[j], "b": at[k]} | stats.spread(lost[:, j, k]))
    return pd.DataFrame(rows)


def landscape_paths(landscapes: list[Record], paths: list[Record]) -> pd.DataFrame:
    """The two attacks on that surface, step by step: means over images of their coordinates a, b and of their loss."""
    rows = []
    of_purifier = {r.keys["purifier"]: r for r in paths}
    for record in landscapes:
        purifier = record.keys["purifier"]
        for kind in ("eot", "dw_box"):
            height = of_purifier[purifier].arrays[f"{kind}_loss"][:, 0].mean(axis=0)
            way = record.arrays[kind].mean(axis=0)
            for step, ((a, b), lost) in enumerate(zip(way, height, strict=True)):
                keys = {"purifier": purifier, "seed": record.keys["seed"], "kind": KINDS[kind], "step": step}
                rows.append(keys | {"a": a, "b": b, "loss": float(lost), "n": len(record.arrays[kind])})
    return pd.DataFrame(rows)


LOOKS = {
    "white-box": {"color": "#8fa3bf", "marker": "o", "lw": 0.6, "ms": 1.2},
    "white-box EOT": {"color": "#c2185b", "marker": "s", "lw": 0.8, "ms": 1.6},
    "DW-box": {"color": "#101820", "marker": "^", "lw": 1.4, "ms": 2.6},
}


def draw_attack_paths(table: pd.DataFrame) -> Figure:
    """Paths of three attackers from one image, the loss under the fixed ξ as height; a panel for each purifier.

    Of one seed, and of the image that DW-box does middling harm to. Horizontal: the two principal components of all
    places of the paths shown, about x₀.
    """
    purifiers = list(dict.fromkeys(table["purifier"]))
    figure, axes = _stacked(len(purifiers))
    of_image, image = _middle(table)
    for ax, purifier in zip(axes, purifiers, strict=True):
        part = of_image[of_image["purifier"] == purifier]
        for (kind, _), way in part.groupby(["kind", "repeat"], sort=False):
            ax.plot(way["u"], way["v"], way["loss"], label=kind, **LOOKS[kind])
        ax.set_zlim(0, _top(of_image["loss"].max()))
        ax.set_title(f"{purifier}: {part['kept'].iloc[0]:.0%} of squared length in the plane")
        ax.set(xlabel="component 1, ℓ2", ylabel="component 2, ℓ2", zlabel="loss under the fixed ξ")
        _quiet(ax)
    figure.suptitle(f"image {image}")
    legend_below(figure, *axes, ncols=3)
    return figure


def _middle(table: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Paths from one image, and which: that of the middle loss at the end of DW-box on the first purifier."""
    known = table[(table["kind"] == "DW-box") & (table["purifier"] == table["purifier"].iloc[0])]
    last = known[known["step"] == known["step"].max()].sort_values("loss", kind="stable")
    image = last["image"].iloc[(len(last) - 1) // 2]
    return table[table["image"] == image], image


def draw_landscape(table: pd.DataFrame, paths: pd.DataFrame) -> Figure:
    """Mean loss under the fixed ξ over the DW-box direction and the residual direction of the EOT perturbation.

    With the mean paths of both attacks; a panel for each purifier, all on one scale. One seed.
    """
    purifiers = list(dict.fromkeys(table["purifier"]))
    top = max(table["mean"].max(), paths["loss"].max())
    figure, axes = _stacked(len(purifiers))
    for ax, purifier in zip(axes, purifiers, strict=True):
        surface = table[table["purifier"] == purifier].pivot(index="a", columns="b", values="mean")
        a, b = surface.index.to_numpy()[:, None], surface.columns.to_numpy()[None, :]
        ax.computed_zorder = False  # the paths lie on the surface
        ax.plot_surface(a, b, surface.to_numpy(), cmap="viridis", vmin=0, vmax=top, alpha=0.75, lw=0, zorder=1)
        for kind, way in paths[paths["purifier"] == purifier].groupby("kind", sort=False):
            ax.plot(way["a"], way["b"], way["loss"], label=kind, zorder=2, **LOOKS[kind])
        ax.set_zlim(0, _top(top))
        ax.set_title(purifier)
        ax.set(xlabel="DW-box direction", ylabel="residual of EOT", zlabel="loss under the fixed ξ")
        _quiet(ax)
    n = int(table["n"].max())
    figure.suptitle(f"mean over {n} image{'s' if n > 1 else ''}; 1 is the whole perturbation")
    legend_below(figure, *axes)
    return figure


def _stacked(n: int) -> tuple[Figure, list]:
    """A figure of n 3-D panels, one under another."""
    size = (COLUMN, 2.7 * n + 0.5)
    figure, axes = plt.subplots(n, 1, figsize=size, squeeze=False, subplot_kw={"projection": "3d"})
    return figure, list(axes[:, 0])


def _top(highest: float) -> float:
    """Of the axis of losses; they may all be 0."""
    return 1.02 * highest or 1.0


def _quiet(ax) -> None:
    """Few ticks, and room for the labels of a small 3-D panel."""
    ax.locator_params(nbins=5)
    ax.tick_params(labelsize=SMALL, pad=-2)
    ax.xaxis.labelpad = ax.yaxis.labelpad = ax.zaxis.labelpad = -4
    ax.view_init(elev=24, azim=-58)
    ax.set_box_aspect((1, 1, 0.8), zoom=0.97)


QUANTITIES = ("dw-box-height", "landscape-flattened")


def evidence(paths: list[Record], landscapes: list[Record]) -> Iterator[Evidence]:
    """Image by image, of purifiers with a diffusion model. dw-box-height: loss under the fixed ξ where the attack ends
    that knows it − where EOT ends. landscape-flattened: mean rise of the loss over its plane, from the clean image,
    vanilla − fine-tuned."""
    for keys, members in grouped(with_diffusion(paths), ("purifier",)):
        known, eot = (
            np.mean([r.arrays[f"{kind}_loss"][:, :, -1].mean(axis=1) for r in members], axis=0)
            for kind in ("dw_box", "eot")
        )
        yield of_mean("dw-box-height", keys["purifier"], known - eot)
    made = {keys["purifier"]: members for keys, members in grouped(with_diffusion(landscapes), ("purifier",))}
    rises = {purifier: np.mean([_rise(r) for r in members], axis=0) for purifier, members in made.items()}
    for purifier, members in made.items():
        vanilla = members[0].keys.get("vanilla")
        if vanilla in rises:
            yield of_mean("landscape-flattened", purifier, rises[vanilla] - rises[purifier])


def _rise(record: Record) -> np.ndarray:
    """(n,) mean over the plane of the loss, less that at the point nearest to the clean image."""
    lost, origin = record.arrays["loss"], int(np.abs(record.arrays["at"]).argmin())
    return lost.mean(axis=(1, 2)) - lost[:, origin, origin]
