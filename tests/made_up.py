"""Records of stages as the pipeline leaves them, with made-up numbers."""

from itertools import product

import numpy as np

from purity import metrics
from purity.tables import Record

SHAPE = (1, 8, 8)
BLIND = {"uniform"}


def keys(purifier: str, attack: str, knowledge: str, seed: int) -> dict:
    return {"purifier": purifier, "attack": attack, "knowledge": knowledge, "blind": attack in BLIND, "seed": seed}


def features_apart(distance: float, n: int) -> dict:
    """Features (n, 1) of a probe, moved so that the Fréchet distance from the clean ones is `distance`."""
    clean = np.linspace(0, 1, n)[:, None]
    return {"features": clean + np.sqrt(distance), "features_clean": clean}


def experiment(attacked: dict, seeds: list[int], n: int = 6, features: bool = True, right: float = 0.6) -> dict:
    """What the stages of an experiment leave: lists of records by kind of stage.

    attacked: {purifier: {attack: [knowledge, …]}}, as in the config. right: share of right answers.
    """
    generator = np.random.default_rng(0)
    x0 = generator.random((n, *SHAPE)).astype(np.float32)
    made = {"subset": [Record({}, {"x": x0})], "purified": [], "measured": [], "crafted": [], "balls": []}
    for purifier, seed in product(attacked, seeds):
        anchor = x0 + 0.05 * generator.standard_normal(x0.shape)
        todo = [("clean", ["none"]), *attacked[purifier].items()]
        for attack, knowledge in ((a, k) for a, knowledges in todo for k in knowledges):
            named = keys(purifier, attack, knowledge, seed)
            x = x0 if attack == "clean" else (x0 + 0.1 * generator.standard_normal(x0.shape)).clip(0, 1)
            states = 2 if purifier in ("identity", "gaussian") else 6
            purified = {
                "path_time": np.arange(states),
                "path_l2": generator.random((states, n)),
                "path_linf": generator.random((states, n)),
            }
            measured = {
                **{f"{m}_{w}": generator.random(n) for m, w in product(("l2", "linf", "ssim"), ("before", "after"))},
                "alpha": metrics.compression_rate(0.3 * x + anchor, 0.3 * x0 + anchor, x, x0),
                "correct_fixed": generator.random(n) < right,
                "correct_varying": generator.random((2, n)) < right,
            }
            if knowledge in ("forward", "reverse"):
                measured["correct_partly"] = generator.random((2, n)) < right
            if features:
                measured |= {f"frechet_{w}": generator.random(1) for w in ("before", "after")}
            made["purified"].append(Record(named, purified))
            made["measured"].append(Record(named, measured))
            if attack != "clean" and attack not in BLIND:
                made["crafted"].append(Record(named, {"x": x.astype(np.float32)}))
        points = 0.5 + 0.1 * generator.uniform(-1, 1, (n, 4, *SHAPE))
        xi = generator.standard_normal((n, 1, 5, *SHAPE))
        spread = 0.0 if purifier == "identity" else 0.1
        made["balls"].append(
            Record({"purifier": purifier, "seed": seed}, metrics.ball(points, points[:, :, None] + spread * xi))
        )
    return made
