"""Records of stages as the pipeline leaves them, with made-up numbers."""

from itertools import product

import numpy as np
import pandas as pd

from purity import metrics
from purity.studies.records import Record

SHAPE = (1, 8, 8)
BLIND = {"uniform"}
PROCESSES = ("ddpm", "reverse", "ddim", "one-step")  # a made-up purifier whose name starts so is one
WITHOUT_DIFFUSION = ("identity", "gaussian", "median", "jpeg")


def of_purifier(purifier: str, seed: int, **more) -> dict:
    """Keys with the roles of a purifier."""
    process = next((p for p in PROCESSES if purifier.startswith(p)), None)
    roles = {"diffusion": purifier not in WITHOUT_DIFFUSION, "process": process}
    return {"purifier": purifier, "seed": seed} | more | roles


def keys(purifier: str, attack: str, knowledge: str, seed: int) -> dict:
    """Keys with the roles of a purifier and an attack: <name>-eot is the EOT variant, bpda… the twin of pgd…."""
    roles = {
        "blind": attack in BLIND,
        "eot_of": attack.removesuffix("-eot") if attack.endswith("-eot") else None,
        "twin_of": attack.replace("bpda", "pgd", 1) if attack.startswith("bpda") else None,
    }
    return of_purifier(purifier, seed, attack=attack, knowledge=knowledge, **roles)


def only(table: pd.DataFrame, **wanted) -> pd.Series:
    """The one row with these keys."""
    chosen = table[np.logical_and.reduce([table[key] == value for key, value in wanted.items()])]
    assert len(chosen) == 1, f"{len(chosen)} rows of {wanted}"
    return chosen.iloc[0]


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
        centre = np.full((n, *SHAPE), 0.5)
        points = centre[:, None] + 0.1 * generator.uniform(-1, 1, (n, 4, *SHAPE))
        xi = generator.standard_normal((n, 1, 5, *SHAPE))
        spread = 0.0 if purifier == "identity" else 0.1
        made["balls"].append(
            Record(of_purifier(purifier, seed), metrics.ball(centre, points, points[:, :, None] + spread * xi))
        )
    return made


def record(purifier="ddpm", seed=0, **arrays) -> Record:
    return Record(of_purifier(purifier, seed), {name: np.array(value) for name, value in arrays.items()})


def probe(purifier="ddpm", t: int | None = 50, seed=0, **arrays) -> Record:
    """Arrays of numbers; lists of 0 and 1 under the names of outcomes."""
    of_outcomes = {"robust", "robust_protocol", "clean_fixed", "clean_fresh"}
    made = {name: np.array(value, bool if name in of_outcomes else float) for name, value in arrays.items()}
    return Record(of_purifier(purifier, seed, t=t, attack="standard", knowledge="all", beside="pgd"), made)


def known_outcomes(correct: list[int], purifier="ddpm", seed=0) -> Record:
    return Record(keys(purifier, "pgd", "all", seed), {"correct_fixed": np.array(correct, bool)})


def of_attack(purifier="ddpm", attack="pgd", knowledge="none", seed=0, **arrays) -> Record:
    return Record(keys(purifier, attack, knowledge, seed), {name: np.array(value) for name, value in arrays.items()})


def cap_record(seed=0, ids=(10, 11, 12, 13, 14, 15), **changed) -> Record:
    """Six images, one of them not usable, in the ball of radius 2 of 16 dimensions; four points each."""
    n = len(ids)
    arrays = {
        "ids": ids,
        "y": np.zeros(n, np.int64),
        "usable": [True, True, False, True, True, True],
        "slope": [10.0, np.inf, 1e6, np.nan, 2.0, -np.inf],
        "middle": [1.0, 0.5, 77.0, np.nan, -0.5, 0.0],
        "threshold": [1.0, 0.5, 0.0, np.inf, 2.0, np.inf],
        "changes": [1, 3, 5, 0, 1, 0],
        "overlap": [0.1, 0.2, 0.3, 0.4, 0.9999, 0.6],
        "projection": np.tile([-1.5, 0.2, 0.8, 1.6], (n, 1)),
        "outcome": np.array([[0, 0, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0]], bool),
        "radius": 2.0,
        "dimensions": 16,
        "shown": np.array([], np.int64),
        "maps": np.empty((0, 2, 3, 3), np.int16),
    }
    return of_attack(seed=seed, **(arrays | changed))


def margin_record(seed=0, purifier="ddpm", **changed) -> Record:
    """Seven images, the last not usable; the first three are robust."""
    arrays = {
        "ids": [20, 21, 22, 23, 24, 25, 26],
        "usable": [True] * 6 + [False],
        "robust": [True, True, True, False, False, False, True],
        "length": [1.0, 2.0, 3.0, 4.0, 2.5, 6.0, 100.0],
        "threshold": [np.inf, 5.0, 4.0, 1.0, 0.5, 2.0, 0.0],
        "attack_length": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 9.0],
        "changes": [0, 1, 1, 1, 3, 1, 0],
    }
    return of_attack(purifier, "pgd", "all", seed, **(arrays | changed))


def answers(purifier="ddpm", attack="pgd", knowledge="all", seed=0, fixed=(1,), fresh=((1,),), partly=None, **said):
    """A record of right answers, 0 or 1: fixed (n,), fresh and partly (R, n). said: more keys."""
    right = {"correct_fixed": np.array(fixed, bool), "correct_varying": np.array(fresh, bool)}
    right |= {} if partly is None else {"correct_partly": np.array(partly, bool)}
    return Record(keys(purifier, attack, knowledge, seed) | said, right)


def random_outcomes(generator, *key, n=20, right=0.6, **said) -> Record:
    drawn = lambda *shape: generator.random(shape) < right  # noqa: E731
    return answers(*key, fixed=drawn(n), fresh=drawn(3, n), partly=drawn(3, n) if key[2] != "all" else None, **said)


BOXED = {"ddpm": ["none", "forward", "reverse"], "ddim": ["none", "reverse"]}


def boxed(purifiers=None, attacks=("pgd", "pgd-l2"), seeds=(0, 1), **options) -> dict[str, list[Record]]:
    """What the part dw-box leaves; purifiers: what leaves them something fresh, as in the config."""
    generator, made = np.random.default_rng(0), []
    for seed in seeds:
        for purifier, fresh in (purifiers or BOXED).items():
            made.append(random_outcomes(generator, purifier, "clean", "none", seed, **options))
            for attack in attacks:
                for knowledge in ("none", "forward", "reverse", "all"):
                    name = f"{attack}-eot" if knowledge in fresh else attack
                    made.append(random_outcomes(generator, purifier, name, knowledge, seed, **options))
    return {"measured": made}


TUNED = {"ddpm-addt": ("ddpm", False), "ddpm-addt-no-rbgm": ("ddpm", True)}


def hardened(tuned=None, seeds=(0, 1), **options) -> dict[str, list[Record]]:
    """What the part addt leaves, vanilla purifiers first; tuned: the vanilla one, and whether it is an ablation."""
    generator, made, tuned = np.random.default_rng(0), [], TUNED if tuned is None else tuned
    for purifier in dict.fromkeys([*(vanilla for vanilla, _ in tuned.values()), *tuned]):
        said = dict(zip(("vanilla", "ablation"), tuned[purifier], strict=True)) if purifier in tuned else {}
        for seed in seeds:
            for attack, knowledge in (("clean", "none"), ("pgd-eot", "none"), ("pgd", "all")):
                made.append(random_outcomes(generator, purifier, attack, knowledge, seed, **said, **options))
    return {"measured": made}


def walked(purifiers=("ddpm", "ddpm-addt"), ids=(7, 3, 11), repeats=3, steps=4, seed=0) -> dict[str, list[Record]]:
    """What the part paths leaves: paths and landscapes."""
    generator, n, at = np.random.default_rng(0), len(ids), np.linspace(0, 2, 5)
    made = {"paths": [], "landscapes": []}
    for purifier in purifiers:
        x0, arrays = generator.random((n, 1, 1, 1, 2, 3)), {"ids": np.array(ids)}
        for kind, times in (("white_box", repeats), ("eot", repeats), ("dw_box", 1)):
            moved = 0.1 * generator.standard_normal((n, times, steps + 1, 1, 2, 3)).cumsum(axis=2)
            arrays[kind] = (x0 + moved - moved[:, :, :1]).astype(np.float32)
            arrays[f"{kind}_loss"] = generator.random((n, times, steps + 1)).cumsum(axis=2).astype(np.float32)
        named = of_purifier(purifier, seed, attack="pgd")
        made["paths"].append(Record(named, arrays))
        shown = {
            "ids": np.array(ids),
            "at": at,
            "loss": (generator.random((n, 1, 1)) + at[:, None] ** 2 + 0.3 * at).astype(np.float32),
            "dw_box": generator.random((n, 1, 1)) * np.linspace(0, 1, steps + 1)[:, None] * [1, 0],
            "eot": generator.random((n, 1, 1)) * np.linspace(0, 1, steps + 1)[:, None] * [0.4, 1],
        }
        made["landscapes"].append(Record(named, shown))
    return made
