"""Search of the family of purifiers, and what is left under attack of those that were chosen."""

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from purity import family, metrics
from purity.attacks import Attack
from purity.defence import FIXED, Classifier, Defence
from purity.diffusion.denoiser import Network
from purity.diffusion.jacobian import largest, pullback
from purity.noise import Noise
from purity.purifiers import Purifier, identity
from purity.resuming import Resumable
from purity.run import store
from purity.run.batches import Arrays, BatchLimit, Part, in_batches, on_axes, within
from purity.run.job import Job
from purity.search import ROLES, Candidate, explore, front, rung_rows, selected
from purity.stages.draws import purified
from purity.stages.jacobian import pushforward

AXES = {"robust_fresh": 1, "largest": None}


@torch.no_grad()
def search(
    x0: np.ndarray,
    y: np.ndarray,
    noisy: np.ndarray,
    xi: Noise,
    *,
    job: Job,
    code: str,
    classifier: dict,
    diffusion: dict,
    noise: dict,
    classify: Classifier,
    network: Network,
    space: dict,
    candidates: int,
    rungs: int,
    island: int,
    verify: dict[str, int],
) -> Arrays:
    """Members of a space (purity.search) that are measured on half of the images, by forward passes alone.

    noisy: x0 under uniform noise. classifier, diffusion, noise: what the config says that classify, network and xi are.
    island: seed of the proposals. Of N candidates: members (L,) uint8, their options as
    a JSON list; rung (N,); clean and alpha (N,), means; right and alphas (N, m), by image, NaN where nobody asked;
    wanted (3,), how many of the front, of others and of the poor are to be verified. Every measurement is a store in
    `measured/` beside the output, by a digest of all it depends on: a longer search, or one of another space, finds
    there what it shares.
    """
    rows = selected(len(x0))
    cache = Path(job.output).parent / "measured" if job.output else None
    depends = {"code": code, "inputs": sorted(filter(None, job.inputs.values()))}
    depends |= {"classifier": classifier, "diffusion": diffusion, "noise": noise}
    images, labels, disturbed = (torch.from_numpy(a) for a in (x0, y, noisy))

    def on(wanted: np.ndarray, options: dict) -> Arrays:
        (purify, decide), chosen = family.defended(network, classify, **options), torch.from_numpy(wanted)

        def probed(k: Tensor) -> Part:
            at = chosen[k]
            x0s, xs, fixed = images[at].to(job.device), disturbed[at].to(job.device), xi.rows(at).at(FIXED)
            anchor, moved = purify(x0s, fixed), purify(xs, fixed)
            return {"right": decide(anchor).argmax(1).cpu() == labels[at], "alpha": _rate(moved, anchor, xs, x0s)}

        return in_batches(len(chosen), probed, Job(job.batch, job.device))

    def measured(options: dict, rung: int) -> Arrays:
        before = rung_rows(rows, rung - 1, rungs) if rung else rows[:0]
        wanted = np.setdiff1d(rung_rows(rows, rung, rungs), before)
        if cache is None:
            return on(wanted, options)
        said = json.dumps(depends | {"options": options, "rows": wanted.tolist()}, sort_keys=True)
        path = cache / f"{hashlib.sha256(said.encode()).hexdigest()[:24]}.zarr.zip"
        if not path.is_file():
            store.save(path, {"options": options}, None, **on(wanted, options))
        return dict(store.Stored(path))

    asked: dict[str, list[Arrays]] = {}

    def measure(options: dict, rung: int) -> tuple[float, float]:
        parts = [measured(options, k) for k in range(rung + 1)]
        asked[json.dumps(options)] = parts
        return tuple(float(np.concatenate([part[name] for part in parts]).mean()) for name in ("right", "alpha"))

    given = {"candidates": candidates, "rungs": rungs, "seed": island}
    found = explore(space, measure, progress=job.progress, told=_say, **given)
    right, alphas = np.full((len(found), len(rows)), np.nan), np.full((len(found), len(rows)), np.nan)
    for k, candidate in enumerate(found):
        parts = asked[json.dumps(candidate.options)][: candidate.rung + 1]
        for name, array in (("right", right), ("alpha", alphas)):
            values = np.concatenate([part[name] for part in parts])
            array[k, : len(values)] = values
    return {
        "members": np.frombuffer(json.dumps([c.options for c in found]).encode(), np.uint8),
        "rung": np.array([c.rung for c in found]),
        "clean": np.array([c.clean for c in found]),
        "alpha": np.array([c.alpha for c in found]),
        "wanted": np.array([verify.get(role, 0) for role in ROLES]),
        "right": right,
        "alphas": alphas,
    }


def _say(found: list[Candidate]) -> None:
    last, best = found[-1], [found[k] for k in front(found)]
    said = "; ".join(f"{c.clean:.2f} at α {c.alpha:.2f}" for c in sorted(best, key=lambda c: c.alpha))
    logging.info(
        "candidate %d: clean %.2f, α %.2f; the front: %s", len(found), last.clean, last.alpha, said or "none yet"
    )


def _rate(f: Tensor, anchor: Tensor, x: Tensor, x0: Tensor) -> Tensor:
    """α (B,); of k purifications side by side, f (B, k, C, H, W), the root of the mean of α²."""
    if f.ndim > x.ndim:
        x, x0 = (image[:, None].expand_as(f) for image in (x, x0))
    return torch.from_numpy(metrics.compression_rate(*(a.cpu().numpy() for a in (f, anchor, x, x0))))


def verify(
    x0: np.ndarray,
    y: np.ndarray,
    noisy: np.ndarray,
    xi: Noise,
    *,
    job: Job,
    classify: Classifier,
    network: Network,
    member: dict,
    attack: Attack,
    eot: Attack,
    judgings: int,
    jacobians: int,
) -> Arrays:
    """A member of the family on all images: attacked by who knows ξ (`attack`) and by who does not (`eot`).

    clean, robust (n,), under the fixed ξ; robust_fresh (J, n), under J draws that nobody attacked. alpha (n,), α of the
    noise; alpha_adversarial, of what misleads the classifier alone, which costs the member no gradient; alpha_attacked,
    of the attack that knows ξ. largest (jacobians,), σ₁ of the first images' Jacobians under the fixed ξ, from below;
    of a vote, that of its first purification.
    """
    images, labels, disturbed = (torch.from_numpy(a) for a in (x0, y, noisy))
    (purify, decide), limit = family.defended(network, classify, **member), BatchLimit(job.batch)

    def crafted(name: str, attack: Attack, knowledge: str, defended: tuple[Purifier, Classifier]) -> Tensor:
        """Images (n, C, H, W) of an attack, which goes on where it was stopped."""
        part = job.part(name)

        def attacked(rows: Tensor) -> Part:
            x0s, ys, of_rows = images[rows].to(job.device), labels[rows].to(job.device), xi.rows(rows)
            defence = Defence(defended[1], defended[0], of_rows, knowledge, max_batch=limit.batch)
            progress = Resumable(part.progress, **within(rows, part))
            return {"x": attack(defence, x0s, ys, of_rows, progress)}

        return torch.from_numpy(in_batches(len(x0), attacked, part, limit)["x"])

    known = crafted("known", attack, "all", (purify, decide))
    blind = crafted("blind", eot, "none", (purify, decide))
    alone = crafted("alone", attack, "all", (identity(), classify))

    @torch.no_grad()
    def judged(rows: Tensor) -> Part:
        ys, of_rows, fixed = labels[rows].to(job.device), xi.rows(rows), xi.rows(rows).at(FIXED)
        x0s, x, worst, misleading, fresh_x = (a[rows].to(job.device) for a in (images, disturbed, known, alone, blind))
        anchor, attacked = purify(x0s, fixed), purify(worst, fixed)
        fresh = purified(fresh_x, of_rows, range(1, judgings + 1), purify, limit.batch)
        return {
            "clean": decide(anchor).argmax(1) == ys,
            "robust": decide(attacked).argmax(1) == ys,
            "robust_fresh": torch.stack([decide(f).argmax(1) == ys for f in fresh], dim=1),
            "alpha": _rate(purify(x, fixed), anchor, x, x0s),
            "alpha_adversarial": _rate(purify(misleading, fixed), anchor, misleading, x0s),
            "alpha_attacked": _rate(attacked, anchor, worst, x0s),
        }

    single = family.member(network, **{name: value for name, value in member.items() if name != "vote"})

    def gain(rows: Tensor) -> Part:
        row = int(rows)
        value = _gain(single, images[rows].to(job.device), xi, row)
        return {"largest": torch.tensor([value], dtype=torch.float64)}

    made = on_axes(in_batches(len(x0), judged, job.part("judged"), limit), AXES)
    return made | in_batches(jacobians, gain, job.part("largest"), BatchLimit(1))


# Directions beyond the one value that is wanted, and powers of JᵀJ, make it sharp (Halko et al. 2011, §1.3, §4.5).
DIRECTIONS, ITERATIONS = 6, 4


def _gain(purify: Purifier, x: Tensor, xi: Noise, row: int) -> float:
    """σ₁ of J_f at one image (1, C, H, W) under its fixed ξ, by a randomised range finder."""
    noise = xi.rows(torch.tensor([row])).at(FIXED)

    def f(z: Tensor) -> Tensor:
        return purify(z, noise.rows(torch.zeros(len(z), dtype=torch.int64)))

    drawn = torch.randn(DIRECTIONS + 2, *x.shape[1:], generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    drawn = drawn.to(x.device)
    found = largest(pullback(f, x), pushforward(f, x), drawn[:DIRECTIONS], drawn[DIRECTIONS:], ITERATIONS)
    return float(found.values[0])
