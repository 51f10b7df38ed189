"""What an experiment has to compute: its jobs that ask a network, each with how often. For `snakemake cost`."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from purity.run.experiment import GROUPS, Cell, Experiment

Job = dict  # rule, path, purifier, done, and what it does: see purity.run.cost.table


def jobs(e: Experiment) -> dict[str, Job]:
    """Jobs by their stores."""
    return {path: job for stage in _STAGES for path, job in stage(e)}


def _jobs(e: Experiment, kind: str, rule: str, purifier: str | None, named: dict, **does) -> Iterator[tuple[str, Job]]:
    """A job for each path of a store. does: of the whole store, or of an image if it lies in blocks of images."""
    for path, images in zip(e.stores(kind, **named), e.held(kind), strict=True):
        yield path, _job(path, rule, purifier, **{w: images * n if isinstance(n, int) else n for w, n in does.items()})


def _job(path: str, rule: str, purifier: str | None, **does) -> Job:
    return {"rule": rule, "path": path, "purifier": purifier, "done": Path(path).exists()} | does


def _attacks(e: Experiment) -> Iterable[tuple[str, Job]]:
    cells = dict.fromkeys(
        [*(cell for group in GROUPS for cell in e.cells(group)), *e.swept_attacks(), *e.varied_attacks()]
    )
    for cell in cells:
        if e.presets.looks(cell.attack):
            n = len(e.attack_seeds(cell))
            does = {"images": n, "attack": cell.attack}
            yield from _jobs(e, "adversarial", "attack", cell.purifier, cell._asdict(), **does)


def _purified(e: Experiment) -> Iterable[tuple[str, Job]]:
    for group in GROUPS:
        for purifier in dict.fromkeys(cell.purifier for cell in e.cells(group)):
            seeds = sum(len(seeds) for seeds in e.judged(purifier, group).values())
            if seeds:
                named, n = {"purifier": purifier, "group": group}, seeds * (1 + e.said["fresh_draws"])
                yield from _jobs(e, "purified", "purify", purifier, named, purifications=n)
    shown = e.said["gallery"]
    cell = Cell(shown["purifier"], shown["attack"], shown["knowledge"])
    yield from _jobs(e, "states", "states", cell.purifier, cell._asdict(), purifications=shown["images"])


def _on_clean(e: Experiment) -> Iterable[tuple[str, Job]]:
    """Stages that ask a purifier about the first clean images."""
    for kind in ("ball", "jacobian", "pca"):
        part = e.part(kind)
        for purifier in part.get("purifiers", []):
            n = len(e.seeds) * part["images"]
            each = (
                {"jacobians": n} if kind == "jacobian" else {"purifications": n * part["points"] * part.get("draws", 1)}
            )
            rule = "sample_ball" if kind == "ball" else kind
            yield from _jobs(e, kind, rule, purifier, {"purifier": purifier}, **each)


def _samples(e: Experiment) -> Iterable[tuple[str, Job]]:
    """Full strength takes more evaluations than the purifier itself, which costs are known of."""
    part = e.part("samples")
    for purifier in part.get("purifiers", []):
        longer = -(-part["steps"] // e.presets.purifier(purifier)["options"]["steps"])
        n = len(e.seeds) * part["images"] * part["draws"] * longer
        yield from _jobs(e, "samples", "samples", purifier, {"purifier": purifier}, purifications=n)


def _sweep(e: Experiment) -> Iterable[tuple[str, Job]]:
    """Clean images under two ξ and noisy ones; attacked ones too where there are any."""
    known = e.law_purifiers() if e.part("sweep") else []
    for purifier in dict.fromkeys([*known, *e.strengths("attacked", "clean"), *e.varied()]):
        n = len(e.probe_seeds(purifier)) * (3 + len(e.probed(purifier)[1]))
        yield from _jobs(e, "probes", "probe", purifier, {"purifier": purifier}, purifications=n)


def _on_trial(e: Experiment) -> Iterable[tuple[str, Job]]:
    """A purifier under several attacks; the first named, which has most gradients, is nearly all of it."""
    for part, rule in (("third-regime", "third_regime"), ("elsewhere", "elsewhere")):
        attack = (e.part(part).get("attacks") or [e.part("sweep").get("attack")])[0]
        for purifier in dict.fromkeys(cell.purifier for cell in e.tried(part)):
            does = {"images": e.said["images"] * len(e.seeds_of(part)), "attack": attack}
            yield from _jobs(e, part, rule, purifier, {"purifier": purifier}, **does)


def _budget(e: Experiment) -> Iterable[tuple[str, Job]]:
    part = e.part("budget")
    for attack in part.get("attacks", []):
        n = len(e.seeds) * len(part["scales"])
        yield from _jobs(e, "budget", "budget", None, {"attack": attack}, images=n, attack=attack)


def _fuzzy(e: Experiment) -> Iterable[tuple[str, Job]]:
    for cell in e.rejudged():
        n = len(e.seeds) * e.part("fuzzy")["judgings"]
        yield from _jobs(e, "fuzzy", "fuzzy", cell.purifier, cell._asdict(), purifications=n)


def _trainings(e: Experiment) -> Iterable[tuple[str, Job]]:
    """Of diffusion models; how many images a classifier is trained on, only its loader knows."""
    for kind, name in e.models():
        if kind == "diffusions" and e.presets.made_here(kind, name):
            (path,), preset = e.presets.weights(kind, name), e.config[kind][name]
            tuned = preset.get("fine_tuning")
            part, looks = (tuned, tuned["options"]["iterations"]) if tuned else (preset["training"], 0)
            user = next((f for f, said in e.config["purifiers"].items() if said.get("diffusion") == name), None)
            does = {"updates": part["steps"] * part["batch"], "looks": looks}
            yield path, _job(path, "fine_tune" if tuned else "train_diffusion", user, **does)


def _searches(e: Experiment) -> Iterable[tuple[str, Job]]:
    """As if each candidate cost what the first swept purifier does, and climbed up to half of the images."""
    if part := e.part("search"):
        user, n, seeds = e.part("sweep")["purifiers"][0], e.said["images"], e.seeds_of("search")
        for path in e.searched():  # an image and the same with noise
            yield path, _job(path, "search", user, purifications=part["candidates"] * n)
        for path in e.verified():
            yield path, _job(path, "verify", user, images=n * len(seeds), attack=part["eot"])


def _paths(e: Experiment) -> Iterable[tuple[str, Job]]:
    """The EOT attack is nearly all of it."""
    part = e.part("paths")
    for purifier in part.get("purifiers", []):
        named, eot = {"purifier": purifier, "attack": part["attack"]}, e.presets.eot(part["attack"])
        does = {"images": part["images"] * part["repeats"], "attack": eot}
        yield from _jobs(e, "paths", "paths", purifier, named, **does)
        n = part["images"] * part["points"] ** 2
        yield from _jobs(e, "landscape", "landscape", purifier, named, purifications=n)


_STAGES = (_attacks, _purified, _on_clean, _samples, _sweep, _on_trial, _budget, _fuzzy, _trainings, _paths, _searches)


def purifiers(e: Experiment) -> list[str]:
    """Those that the jobs ask."""
    return list(dict.fromkeys(job["purifier"] for job in jobs(e).values() if job["purifier"]))


def diffusions(e: Experiment) -> list[str]:
    """The diffusion models that are measured: those of the purifiers, for a fine-tuned one the same network before."""
    return list(dict.fromkeys(e.presets.untuned(name) for name in map(e.presets.diffusion, purifiers(e)) if name))


def weights(e: Experiment) -> dict[str, list[str]]:
    """Checkpoints that a calibration reads, by argument. Seconds do not hang on weights: what would have to be trained
    for it is measured as it is initialised."""
    named = {f"diffusion{k}": ("diffusions", name) for k, name in enumerate(diffusions(e))}
    named["classifier"] = ("classifiers", e.said["classifier"])
    return {k: [] if e.presets.made_here(*model) else e.presets.weights(*model) for k, model in named.items()}


def calibration(e: Experiment) -> dict:
    """The spec of a calibration: every purifier and attack of the jobs, a diffusion model by its place in the list."""
    named, made = diffusions(e), {}
    for name in purifiers(e):
        preset, diffusion = e.presets.purifier(name), e.presets.diffusion(name)
        place = named.index(e.presets.untuned(diffusion)) if diffusion else None
        made[name] = {"make": preset["make"], "options": preset["options"], "diffusion": place}
    attacks = dict.fromkeys(job["attack"] for job in jobs(e).values() if "attack" in job)
    return {
        "classifier": e.classifier(),
        "diffusions": [e.presets.model("diffusions", name) for name in named],
        "purifiers": made,
        "attacks": {attack: e.presets.attack(attack) for attack in attacks},
    }
