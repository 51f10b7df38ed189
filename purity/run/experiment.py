"""An experiment in plain Python: which stores there are, where each lies, and what each depends on.

Rules ask it for inputs, outputs and specs; nothing here starts a job or knows Snakemake. A stage has a method of its
own that gives the spec of its job. `STORES` is the one place where the path of a store is written.
"""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

from purity.run.presets import Presets

# kind: where its stores lie, below results/<experiment>/. Those with a block come in blocks of images.
STORES = {
    "data": "data/images-{block}",
    "blind": "adversarial/any/{attack}/none/images-{block}",
    "adversarial": "adversarial/{purifier}/{attack}/{knowledge}/images-{block}",
    "purified": "purified/{purifier}/{group}/images-{block}",
    "measures": "measures/{purifier}/{group}",
    "states": "states/{purifier}/{attack}/{knowledge}",
    "ball": "ball/{purifier}",
    "ball-measures": "ball-measures/{purifier}",
    "jacobian": "jacobian/{purifier}",
    "pca": "pca/{purifier}",
    "samples": "samples/{purifier}",
    "search": "search/island-{island}",
    "verified": "verified/{place}",
    "third-regime": "third-regime/{purifier}",
    "elsewhere": "elsewhere/{purifier}",
    "probes": "probes/{purifier}/images-{block}",
    "budget": "budget/{attack}/images-{block}",
    "fuzzy": "fuzzy/{purifier}/{attack}/{knowledge}/images-{block}",
    "cap": "cap/{purifier}/{attack}/{knowledge}",
    "margins": "margins/{purifier}/{attack}/{knowledge}",
    "paths": "paths/{purifier}/{attack}",
    "landscape": "landscape/{purifier}/{attack}",
}
# Parts of an experiment that have attacked images purified and judged. Each has `attacked`.
GROUPS = ("attacked", "dw-box", "addt", "strength")
CLEAN = ("clean", "none")  # attack and knowledge of images that nobody attacked


# By argument of a stage: an input, the array of it, and keys where another part of it is meant than the stage's own.
Reads = dict[str, list]


class Cell(NamedTuple):
    """Images of one attack on one purifier, or the clean ones."""

    purifier: str
    attack: str
    knowledge: str


def store(kind: str) -> str:
    """The path of a kind of store, with its wildcards: what a rule calls its output."""
    return f"results/{{experiment}}/{STORES[kind]}.zarr.zip"


def log(kind: str) -> str:
    """The log of the job that makes it."""
    return f"results/{{experiment}}/logs/{STORES[kind]}.log"


def timing(kind: str) -> str:
    """What Snakemake measures of it: time, memory, load, input and output."""
    return f"results/{{experiment}}/logs/{STORES[kind]}.tsv"


class Experiment:
    """One experiment of a checked config."""

    def __init__(self, config: dict, name: str):
        self.config, self.name, self.said = config, name, config["experiments"][name]
        self.presets = Presets(config)
        self.seeds: list[int] = self.said["seeds"]
        cells = {"attacked": self._attacked, "dw-box": self._dw_box, "addt": self._addt, "strength": self._strength}
        self._cells = {group: list(dict.fromkeys(cells[group]())) for group in GROUPS}
        # what several groups judge is kept by the first of them
        self._keepers = {cell: group for group in reversed(GROUPS) for cell in self._cells[group]}

    def part(self, name: str) -> dict:
        """A part of the experiment's config; empty if it is not made."""
        return self.said.get(name) or {}

    # Where stores lie.

    def stores(self, kind: str, images: int | None = None, block: str | None = None, **named: str) -> list[str]:
        """The paths of one store: its blocks, those that hold the first `images`, or the one block."""
        pattern = store(kind)
        blocks = ([block] if block else self.blocks(images)) if "{block}" in pattern else [""]
        return [pattern.format(experiment=self.name, block=b, **named) for b in blocks]

    def blocks(self, images: int | None = None) -> list[str]:
        """<first>-<last> of the blocks that the images come in: all, or those that hold the first so many."""
        n = self.said["images"]
        size = self.config.get("block", n)
        starts = range(0, n if images is None else min(images, n), size)
        return [f"{start:05d}-{min(start + size, n) - 1:05d}" for start in starts]

    def held(self, kind: str) -> list[int]:
        """How many images each path of a store stands for: those of its block; 1 for what does not lie in blocks."""
        if "{block}" not in STORES[kind]:
            return [1]
        ends = [int(block.partition("-")[2]) + 1 for block in self.blocks()]
        return [end - start for start, end in zip([0, *ends], ends, strict=False)]

    def data(self, block: str | None = None, images: int | None = None) -> list[str]:
        return self.stores("data", images, block)

    def first_block(self, block: str) -> list[str]:
        """The data of the first block, for all others."""
        first = self.blocks(images=1)
        return self.data(first[0]) if [block] != first else []

    def adversarial(self, cells: Iterable[Cell], block: str | None = None, images: int | None = None) -> list[str]:
        """Where the attacked images of these cells are; clean ones are in `data`. A blind attack's are for everyone."""
        paths = []
        for cell in cells:
            if cell.attack != "clean":
                kind = "blind" if cell.attack in self.presets.blind else "adversarial"
                paths += self.stores(kind, images, block, **cell._asdict())
        return list(dict.fromkeys(paths))

    # What is attacked by whom.

    def cells(self, group: str) -> list[Cell]:
        """What a group of the experiment judges, in its order."""
        return self._cells[group]

    def _attacked(self) -> Iterator[Cell]:
        for purifier, attacks in self.said["attacked"].items():
            yield Cell(purifier, *CLEAN)
            for attack, knowledges in attacks.items():
                yield from (Cell(purifier, attack, knowledge) for knowledge in knowledges)

    def _dw_box(self) -> Iterator[Cell]:
        """The attack averages over what is fresh to the attacker, if anything is."""
        part = self.part("dw-box")
        for purifier, fresh in part.get("purifiers", {}).items():
            yield Cell(purifier, *CLEAN)
            for attack, knowledge in product(part["attacks"], ("none", "forward", "reverse", "all")):
                yield Cell(purifier, self.presets.eot(attack) if knowledge in fresh else attack, knowledge)

    def _addt(self) -> Iterator[Cell]:
        """White-box EOT and DW-box, on vanilla and on fine-tuned purifiers.

        Ablations and other trainings, and what only they are compared with, meet the first attack alone.
        """
        tuned, part = self.fine_tuned(), self.part("addt")
        pairs = part.get("purifiers", {})
        for purifier in dict.fromkeys([*(said["vanilla"] for said in tuned.values()), *tuned]):
            yield Cell(purifier, *CLEAN)
            whole = purifier in {*pairs, *pairs.values()}
            for attack in part["attacks"] if whole else part["attacks"][:1]:
                yield Cell(purifier, self.presets.eot(attack), "none")
                yield Cell(purifier, attack, "all")

    def _strength(self) -> Iterator[Cell]:
        """Variants of attacks, and attacks of ten times the budget of those that the main findings rest on."""
        for cell in self.strength_roles():
            yield Cell(cell.purifier, *CLEAN)
            yield cell

    def strength_roles(self) -> dict[Cell, dict]:
        """What each cell of `strength` is there for: grids, as (what is varied, of which attack, value) of each that it
        is a point of; beyond, whether others are measured by it."""
        part = self.part("strength")
        roles: dict[Cell, dict] = {}
        for grid in part.get("grids", []):
            vary = grid["vary"]
            for place, values in enumerate(zip(*vary.values(), strict=True)):
                options = grid.get("set", {}) | dict(zip(vary, values, strict=True))
                cell = Cell(grid["purifier"], self.presets.variant(grid["attack"], options), grid["knowledge"])
                point = {"of": grid["attack"], "set": grid.get("set", {}), "place": place}
                point |= {"varied": list(vary), "values": list(values)}
                roles.setdefault(cell, {"grids": [], "beyond": False})["grids"].append(point)
        for purifier, knowledges in part.get("purifiers", {}).items():
            for knowledge in knowledges:
                cell = Cell(purifier, part["beyond"][knowledge], knowledge)
                roles.setdefault(cell, {"grids": [], "beyond": False})["beyond"] = True
        return roles

    def headline(self) -> list[Cell]:
        """What the main findings rest on, of the purifiers and knowledge that `strength` judges attacks for."""
        judged = self.part("strength").get("purifiers", {})
        return [
            cell
            for cell in self.cells("attacked")
            if cell.attack in self.presets.sighted and cell.knowledge in judged.get(cell.purifier, [])
        ]

    def fine_tuned(self) -> dict[str, dict]:
        """Fine-tuned purifier: `vanilla`, what it is compared with; `ablation`, whether a part of ADDT is left out;
        `again_of`, the purifier of which it is another training; and what its perturbations were."""
        part = self.part("addt")
        found = {tuned: (vanilla, False, None) for tuned, vanilla in part.get("purifiers", {}).items()}
        found |= {tuned: (vanilla, True, None) for tuned, vanilla in part.get("ablations", {}).items()}
        for again_of, pairs in part.get("again", {}).items():
            found |= {tuned: (vanilla, False, again_of) for tuned, vanilla in pairs.items()}
        return {
            tuned: {"vanilla": vanilla, "ablation": ablation, "again_of": again_of} | self.presets.perturbation(tuned)
            for tuned, (vanilla, ablation, again_of) in found.items()
        }

    def seeds_of(self, group: str, attack: str | None = None) -> list[int]:
        """A part may have seeds of its own, and others for a paper's attacks, which cost the most."""
        part = self.part(group) if group != "attacked" else {}
        seeds = part.get("seeds", self.seeds)
        return part.get("protocol_seeds", seeds) if attack in self.presets.protocol else seeds

    def judged(self, purifier: str, group: str) -> dict[Cell, list[int]]:
        """The cells of a purifier that a group keeps, with the seeds that any group asks for. What several groups ask
        for is kept by the first of them."""
        seeds: dict[Cell, list[int]] = {}
        for other in GROUPS:
            for cell in self.cells(other):
                if cell.purifier == purifier and self.keeper(cell) == group:
                    of_cell = self.seeds_of(other, cell.attack)
                    seeds[cell] = list(dict.fromkeys([*seeds.get(cell, []), *of_cell]))
        return seeds

    def keeper(self, cell: Cell) -> str:
        """The group in whose stores the purified images of a cell are."""
        return self._keepers[cell]

    def of_cells(self, kind: str, cells: Iterable[Cell], images: int | None = None) -> list[str]:
        """Stores (purified, measures) that hold these cells."""
        of_groups = dict.fromkeys((cell.purifier, self.keeper(cell)) for cell in cells)
        return [
            path for purifier, group in of_groups for path in self.stores(kind, images, purifier=purifier, group=group)
        ]

    def attack_seeds(self, cell: Cell) -> list[int]:
        """Seeds of an attack: all that are asked for anywhere. A blind one is made for all purifiers."""
        blind = cell.attack in self.presets.blind
        seeds = []
        for group in GROUPS:
            if any(c == cell or (blind and c.attack == cell.attack) for c in self.cells(group)):
                seeds += self.seeds_of(group, cell.attack)
        if cell in self.swept_attacks() or (blind and cell.attack == self.part("sweep").get("noise")):
            seeds += self.seeds
        if cell in self.varied_attacks():
            seeds += self.seeds_of("sensitivity")
        return list(dict.fromkeys(seeds))

    def swept_attacks(self) -> list[Cell]:
        """Attacks at each strength of the sweep by one who knows ξ, the paper's beside the project's own."""
        sweep = self.part("sweep")
        attacks = [sweep[role] for role in ("attack", "protocol") if role in sweep]
        return [Cell(purifier, attack, "all") for purifier, attack in product(self.strengths("attacked"), attacks)]

    def varied(self) -> list[str]:
        """Purifiers that have variants, and these."""
        pairs = self.part("sensitivity").get("purifiers", {})
        return list(dict.fromkeys([*pairs.values(), *pairs]))

    def varied_attacks(self) -> list[Cell]:
        """The sweep's attack on each of them by one who knows ξ."""
        return [Cell(purifier, self.part("sweep")["attack"], "all") for purifier in self.varied()]

    def variants(self) -> dict[str, dict]:
        """Variant of a purifier: `variant_of`, which one, and `differs`, in what."""
        pairs = self.part("sensitivity").get("purifiers", {})
        return {k: {"variant_of": v, "differs": self.presets.difference(k, v)} for k, v in pairs.items()}

    def strengths(self, *lists: str) -> list[str]:
        """The swept purifiers at each t of these lists of the sweep (`attacked`, `clean`)."""
        sweep = self.part("sweep")
        ts = sorted(dict.fromkeys(t for key in lists for t in sweep.get(key, [])))
        return [self.presets.at(purifier, t) for purifier, t in product(sweep.get("purifiers", []), ts)]

    def tried(self, part: str) -> dict[Cell, dict]:
        """What is put on trial by who knows ξ: the swept purifiers at some of the sweep's t, under other attacks in the
        third regime, before another classifier elsewhere. of, strength: purifier and t; scale: that of the budget of
        the sweep's attack, None for another attack."""
        said, sweep = self.part(part), self.part("sweep")
        if not said:
            return {}
        attacks: dict[str, float | None] = {sweep["attack"]: 1.0}
        if part == "third-regime":
            epsilon = self.presets.attack_preset(sweep["attack"])["options"]["epsilon"]
            attacks = {self.presets.variant(sweep["attack"], {"epsilon": k * epsilon}): k for k in said["scales"]}
            attacks |= dict.fromkeys(said["attacks"])
        return {
            Cell(self.presets.at(of, t), attack, "all"): {"of": of, "strength": t, "scale": scale}
            for of, t, (attack, scale) in product(sweep["purifiers"], said["t"], attacks.items())
        }

    def on_trial(self, part: str) -> list[str]:
        """The stores of it, one for each purifier."""
        purifiers = dict.fromkeys(cell.purifier for cell in self.tried(part))
        return [path for purifier in purifiers for path in self.stores(part, purifier=purifier)]

    def law_purifiers(self) -> list[str]:
        """Purifiers whose compression rate and robustness make a point of the law: all whose attacker knows ξ."""
        attack = self.part("sweep")["attack"]
        known = [purifier for purifier, attacks in self.said["attacked"].items() if "all" in attacks.get(attack, [])]
        return list(dict.fromkeys([*known, *self.strengths("attacked")]))

    def papers_purifiers(self) -> list[str]:
        """Those of them whose process is one of the papers'."""
        processes = self.presets.roles(self.law_purifiers(), [])["purifiers"]
        return [purifier for purifier, said in processes.items() if said["process"]]

    def known(self, purifiers: list[str], attack: str) -> list[Cell]:
        """The attack that knows ξ on those of the purifiers that it was made for."""
        attacked = self.said["attacked"]
        return [Cell(p, attack, "all") for p in purifiers if "all" in attacked[p].get(attack, [])]

    def rejudged(self) -> list[Cell]:
        """What is judged many times; clean images are the control."""
        part = self.part("fuzzy")
        cells = []
        for purifier in part.get("purifiers", []):
            cells.append(Cell(purifier, *CLEAN))
            attacks = self.said["attacked"][purifier]
            cells += [Cell(purifier, attack, "none") for attack in part["attacks"] if "none" in attacks.get(attack, [])]
        return cells

    def gallery_cells(self) -> list[Cell]:
        """Purifiers that were attacked in the way the gallery shows."""
        shown = self.said["gallery"]
        return [c for c in self.cells("attacked") if (c.attack, c.knowledge) == (shown["attack"], shown["knowledge"])]

    def gallery(self) -> dict:
        """What the gallery's figure depends on, and which parts of its stores it shows."""
        return {**self.said["gallery"], "seed": self.seeds[0]}

    def gallery_stores(self) -> dict[str, list[str]]:
        shown = self.said["gallery"]
        cell, n = Cell(shown["purifier"], shown["attack"], shown["knowledge"]), shown["images"]
        return {
            "subset": self.data(images=n),
            "adversarial": self.adversarial([cell], images=n),
            "purified": self.of_cells("purified", self.gallery_cells(), n),
            "states": self.stores("states", **cell._asdict()),
        }

    # Everything there is.

    def main_stores(self) -> list[str]:
        """What the main findings leave: of `attacked`, the ball and the gallery."""
        cells = self.cells("attacked")
        paths = self.of_cells("purified", cells) + self.of_cells("measures", cells) + self.adversarial(cells)
        paths += self.gallery_stores()["states"]
        for kind in ("ball", "ball-measures"):
            paths += [path for p in self.part("ball").get("purifiers", []) for path in self.stores(kind, purifier=p)]
        return paths

    def all_stores(self) -> list[str]:
        """What all parts leave: intermediates are asked for too, so that a failed one is never taken for made."""
        paths = self.main_stores()
        for group in GROUPS:
            cells = self.cells(group)
            paths += self.adversarial(cells) + self.of_cells("purified", cells) + self.of_cells("measures", cells)
        paths += self.adversarial([*(self.swept_attacks() if self.part("sweep") else []), *self.varied_attacks()])
        law = self.law_purifiers() if self.part("sweep") else []
        probed = [*law, *self.strengths("attacked", "clean"), *self.varied()]
        paths += [path for purifier in dict.fromkeys(probed) for path in self.stores("probes", purifier=purifier)]
        for kind in ("jacobian", "pca", "samples"):
            paths += [path for p in self.part(kind).get("purifiers", []) for path in self.stores(kind, purifier=p)]
        paths += self.searched() + self.verified()
        paths += self.on_trial("third-regime") + self.on_trial("elsewhere")
        paths += [path for a in self.part("budget").get("attacks", []) for path in self.stores("budget", attack=a)]
        paths += [path for cell in self.rejudged() for path in self.stores("fuzzy", **cell._asdict())]
        if part := self.part("cap"):
            paths += self.stores("cap", purifier=part["purifier"], attack=part["attack"], knowledge="none")
        if part := self.part("margins"):
            for cell in self.known(part["purifiers"], part["attack"]):
                paths += self.stores("margins", **cell._asdict())
        for kind in ("paths", "landscape"):
            part = self.part("paths")
            for purifier in part.get("purifiers", []):
                paths += self.stores(kind, purifier=purifier, attack=part["attack"])
        return list(dict.fromkeys(paths))

    # Networks.

    def classifier(self) -> dict:
        return self.presets.model("classifiers", self.said["classifier"])

    def features(self) -> dict | None:
        """The network of Fréchet distances; None, then it is the classifier's own features."""
        chosen = self.said.get("features")
        return self.presets.model("features", chosen) if chosen else None

    def classifier_weights(self) -> list[str]:
        return self.presets.weights("classifiers", self.said["classifier"])

    def features_weights(self) -> list[str]:
        chosen = self.said.get("features")
        return self.presets.weights("features", chosen) if chosen else []

    def diffusion_weights(self, purifier: str) -> list[str]:
        diffusion = self.presets.diffusion(purifier)
        return self.presets.weights("diffusions", diffusion) if diffusion else []

    def models(self, groups: Iterable[str] = GROUPS) -> list[tuple[str, str]]:
        """(kind, name) of the networks that these groups, and the paths if all are asked for, need."""
        groups = tuple(groups)
        purifiers = [cell.purifier for group in groups for cell in self.cells(group)]
        if groups == GROUPS:
            purifiers += [*self.part("paths").get("purifiers", []), *self.varied()]
        found = [("classifiers", self.said["classifier"])]
        if groups == GROUPS and (part := self.part("elsewhere")):
            found.append(("classifiers", part["classifier"]))
        for diffusion in filter(None, map(self.presets.diffusion, purifiers)):
            found += self.presets.origins(diffusion)
        if "features" in self.said:
            found.append(("features", self.said["features"]))
        return list(dict.fromkeys(found))

    # Specs: what the result of a stage depends on of the config, and what it reads. See purity.run.parts.made.

    def subset(self, block: str) -> dict:
        name, images = self.said["dataset"], [int(number) for number in block.split("-")]
        return {"name": name, "images": images, **self.presets.dataset(name, "test", *images)}

    def perturb(self, attack: str, block: str) -> dict:
        cell = Cell("any", attack, "none")
        parts = {
            f"seed-{seed}": {"keys": {"attack": attack, "knowledge": "none", "seed": seed}, **self._noise(seed, block)}
            for seed in self.attack_seeds(cell)
        }
        spec = {"stage": "purity.stages.attack:attack", "attack": self.presets.attack(attack), **self._batch(attack)}
        return spec | {"reads": _reads("x0 y ids"), "parts": parts}

    def attack(self, purifier: str, attack: str, knowledge: str, block: str) -> dict:
        cell = Cell(purifier, attack, knowledge)
        spec = {
            "stage": "purity.stages.attack:attack",
            "attack": self.presets.attack(attack),
            "classifier": self.classifier(),
            "purifier": self.presets.purifier(purifier),
            "knowledge": knowledge,
            **self._batch(attack),
        }
        return spec | {
            "reads": _reads("x0 y ids"),
            "parts": self._seeded(cell._asdict(), self.attack_seeds(cell), block),
        }

    def _batch(self, attack: str) -> dict:
        """What an attack that draws for a whole batch depends on too."""
        return {"batch": self.config["batch"]} if self.presets.attack_preset(attack).get("batchwise") else {}

    def purify(self, purifier: str, group: str, block: str) -> dict:
        parts = {}
        for cell, seeds in self.judged(purifier, group).items():
            reads: Reads = {"x": ["subset" if cell.attack == "clean" else "adversarial", "x"]}
            for name, part in self._seeded(cell._asdict(), seeds, block).items():
                parts[f"{cell.attack}/{cell.knowledge}/{name}"] = part | {"knowledge": cell.knowledge, "reads": reads}
        return {
            "stage": "purity.stages.purify:purify_and_judge",
            "classifier": self.classifier(),
            "purifier": self.presets.purifier(purifier),
            "features": self.features(),
            "fresh_draws": self.said["fresh_draws"],
            "reads": _reads("x0 ids"),
            "parts": parts,
        }

    def measure(self, purifier: str, group: str) -> dict:
        reads = _reads("x0 y ids") | {"purified": ["purified", None]}
        reads |= {"anchor": ["anchor", None, dict(zip(("attack", "knowledge"), CLEAN, strict=True))]}
        parts = {}
        for name, part in self.purify(purifier, group, self.blocks()[0])["parts"].items():
            sighted = part["keys"]["attack"] in self.presets.sighted
            more: Reads = {"crafted": ["adversarial", None]} if sighted else {}
            parts[name] = {"keys": part["keys"], "reads": part["reads"] | more}
        return {"stage": "purity.metrics:judged", "reads": reads, "parts": parts}

    def anchors(self, purifier: str) -> list[str]:
        """f_ξ(x₀) under the same ξ, and the features of clean images."""
        return self.of_cells("purified", [Cell(purifier, *CLEAN)])

    def states(self, purifier: str, attack: str, knowledge: str) -> dict:
        cell = Cell(purifier, attack, knowledge)
        return {
            "stage": "purity.stages.purify:states",
            "classifier": self.classifier(),
            "purifier": self.presets.purifier(purifier),
            "images": self.said["gallery"]["images"],
            "reads": _reads("x0 ids") | {"x": ["adversarial", "x"]},
            "parts": self._seeded(cell._asdict(), self.seeds[:1]),
        }

    def sample_ball(self, purifier: str) -> dict:
        part = self.part("ball")
        return self._on_clean("purity.stages.ball:sample_ball", purifier) | {
            **{key: part[key] for key in ("images", "epsilon", "points", "draws")},
            "cut": part.get("cut", False),
        }

    def measure_ball(self, purifier: str) -> dict:
        parts = self._seeded({"purifier": purifier}, self.seeds)
        reads = {"x": ["ball", "x"], "f": ["ball", "f"]}
        return {
            "stage": "purity.metrics:ball",
            "images": self.part("ball")["images"],
            "reads": _reads("x0 ids") | reads,
            "parts": {k: {"keys": p["keys"]} for k, p in parts.items()},
        }

    def jacobian(self, purifier: str) -> dict:
        part = self.part("jacobian")
        return self._on_clean("purity.stages.jacobian:jacobian", purifier) | {
            key: part[key] for key in ("images", "mode", "largest") if key in part
        }

    def pca(self, purifier: str) -> dict:
        part = self.part("pca")
        return self._on_clean("purity.stages.pca:ball_spectrum", purifier) | {
            **{key: part[key] for key in ("images", "epsilon", "points")},
            "cut": part.get("cut", False),
        }

    def samples(self, purifier: str) -> dict:
        part = self.part("samples")
        return self._on_clean("purity.stages.samples:samples", purifier) | {
            "purifier": self.presets.sampler(purifier, part["steps"]),
            "classifier": self.classifier(),
            "features": self.features(),
            **{key: part[key] for key in ("images", "draws")},
        }

    def search(self, island: str) -> dict:
        part, keys = self.part("search"), {"island": int(island), "seed": self.seeds[0]}
        return self._of_search("purity.stages.search:search") | {
            **{key: part[key] for key in ("space", "candidates", "rungs", "verify")},
            "parts": {f"island-{island}": {"keys": keys, "island": int(island), **self._noise(self.seeds[0])}},
        }

    def verify(self, place: str) -> dict:
        part = self.part("search")
        return self._of_search("purity.stages.search:verify") | {
            "place": int(place),
            **{role: self.presets.attack(part[role]) for role in ("attack", "eot")},
            **{key: part[key] for key in ("judgings", "jacobians")},
            "parts": self._seeded({"place": int(place)}, part.get("seeds", self.seeds)),
        }

    def _of_search(self, stage: str) -> dict:
        """The spec of a stage that asks members of the family about clean and noisy images."""
        part = self.part("search")
        noisy = {"attack": part["noise"], "knowledge": "none"}
        return {
            "stage": stage,
            "classifier": self.classifier(),
            "diffusion": self.presets.model("diffusions", part["diffusion"]),
            "reads": _reads("x0 y ids") | {"noisy": ["noisy", "x", noisy]},
        }

    def searched(self) -> list[str]:
        """The stores of a search, one for each island."""
        return [
            p for island in self.part("search").get("islands", []) for p in self.stores("search", island=str(island))
        ]

    def verified(self) -> list[str]:
        """Stores of the candidates that are verified: so many of the front, of others, and of the poor."""
        counts = self.part("search").get("verify", {})
        return [p for place in range(sum(counts.values())) for p in self.stores("verified", place=str(place))]

    def third_regime(self, purifier: str) -> dict:
        return self._trials("third-regime", purifier, self.said["classifier"])

    def elsewhere(self, purifier: str) -> dict:
        return self._trials("elsewhere", purifier, self.part("elsewhere")["classifier"])

    def _trials(self, part: str, purifier: str, classifier: str) -> dict:
        """The spec of attacks by who knows ξ on a purifier before a classifier, a part for each attack and seed."""
        noisy = {"attack": self.part("sweep")["noise"], "knowledge": "none"}
        parts = {}
        for cell in self.tried(part):
            if cell.purifier == purifier:
                for name, said in self._seeded(cell._asdict(), self.seeds_of(part)).items():
                    parts[f"{cell.attack}/{name}"] = said | {"attack": self.presets.attack(cell.attack)}
        return {
            "stage": "purity.stages.trial:trial",
            "classifier": self.presets.model("classifiers", classifier),
            "purifier": self.presets.purifier(purifier),
            "reads": _reads("x0 y ids") | {"noisy": ["noisy", "x", noisy]},
            "parts": parts,
        }

    def probe(self, purifier: str, block: str) -> dict:
        sweep = self.part("sweep")
        reads = _reads("x0 y ids") | {"noisy": ["noisy", "x", {"attack": sweep["noise"], "knowledge": "none"}]}
        _, attacked = self.probed(purifier)
        for argument, cell in zip(("x", "x_protocol"), attacked, strict=False):
            reads[argument] = ["adversarial", "x", {"attack": cell.attack, "knowledge": cell.knowledge}]
        keys = {
            "purifier": self.presets.base(purifier),
            "t": self.presets.purifier_preset(purifier)["options"].get("t"),
        }
        return {
            "stage": "purity.stages.probe:probe",
            "classifier": self.classifier(),
            "purifier": self.presets.purifier(purifier),
            "features": self.features(),
            **{argument: None for argument in ("x", "x_protocol") if argument not in reads},
            "reads": reads,
            "parts": self._seeded(keys, self.probe_seeds(purifier), block),
        }

    def probe_seeds(self, purifier: str) -> list[int]:
        swept = purifier in self.law_purifiers() or purifier in self.strengths("attacked", "clean")
        seeds = self.seeds if swept else []
        return list(dict.fromkeys([*seeds, *(self.seeds_of("sensitivity") if purifier in self.varied() else [])]))

    def probed(self, purifier: str) -> tuple[list[Cell], list[Cell]]:
        """What a probe reads: noisy images; attacked ones if the purifier makes a point of the law or is varied; and
        those of the paper's attack where the sweep has it."""
        sweep = self.part("sweep")
        with_attack = purifier in self.law_purifiers() or purifier in self.varied()
        attacked = [Cell(purifier, sweep["attack"], "all")] if with_attack else []
        if "protocol" in sweep and purifier in self.strengths("attacked"):
            attacked.append(Cell(purifier, sweep["protocol"], "all"))
        return [Cell(purifier, sweep["noise"], "none")], attacked

    def budget(self, attack: str, block: str) -> dict:
        return {
            "stage": "purity.stages.budget:budget",
            "attack": self.presets.attack(attack),
            "classifier": self.classifier(),
            "scales": self.part("budget")["scales"],
            "reads": _reads("x0 y ids"),
            "parts": self._seeded({"attack": attack}, self.seeds, block),
        }

    def fuzzy(self, purifier: str, attack: str, knowledge: str, block: str) -> dict:
        cell = Cell(purifier, attack, knowledge)
        return {
            "stage": "purity.stages.fuzzy:judgings",
            "classifier": self.classifier(),
            "purifier": self.presets.purifier(purifier),
            "judgings": self.part("fuzzy")["judgings"],
            "reads": _reads("y ids") | {"x": ["subset" if attack == "clean" else "adversarial", "x"]},
            "parts": self._seeded(cell._asdict(), self.seeds, block),
        }

    def cap(self, purifier: str, attack: str, knowledge: str) -> dict:
        """`other` is the same attack from another random start: the second adversarial direction."""
        parts = self._seeded(Cell(purifier, attack, knowledge)._asdict(), self.seeds)
        for part in parts.values():
            seed = part["keys"]["seed"]
            another = next((other for other in self.seeds if other != seed), seed)
            part["reads"] = {"other": ["adversarial", "x", {"seed": another}]}
        return {
            "stage": "purity.stages.cap:adversarial_cap",
            "classifier": self.classifier(),
            **{key: self.part("cap")[key] for key in ("radius", "points", "slices")},
            "reads": _reads("x0 y ids") | {"x": ["adversarial", "x"]},
            "parts": parts,
        }

    def margins(self, purifier: str, attack: str, knowledge: str) -> dict:
        cell = Cell(purifier, attack, knowledge)
        clean = dict(zip(("attack", "knowledge"), CLEAN, strict=True))
        reads = {"x": ["adversarial", "x"], "purified": ["purified", "fixed"], "anchor": ["anchor", "fixed", clean]}
        parts = self._seeded(cell._asdict(), self.seeds)
        return {
            "stage": "purity.stages.margins:margins",
            "classifier": self.classifier(),
            "reach": self.part("margins")["reach"],
            "reads": _reads("x0 y ids") | reads,
            "parts": {name: {"keys": part["keys"]} for name, part in parts.items()},
        }

    def paths(self, purifier: str, attack: str) -> dict:
        return {
            "stage": "purity.stages.paths:attack_paths",
            "attack": self.presets.attack(attack),
            "eot": self.presets.attack(self.presets.eot(attack)),
            "classifier": self.classifier(),
            "purifier": self.presets.purifier(purifier),
            **{key: self.part("paths")[key] for key in ("images", "repeats")},
            "reads": _reads("x0 y ids"),
            "parts": self._seeded({"purifier": purifier, "attack": attack}, self.seeds[:1]),
        }

    def landscape(self, purifier: str, attack: str) -> dict:
        return {
            "stage": "purity.stages.paths:loss_landscape",
            "classifier": self.classifier(),
            "purifier": self.presets.purifier(purifier),
            **{key: self.part("paths")[key] for key in ("images", "points", "reach")},
            "reads": _reads("x0 y ids") | {name: ["paths", name] for name in ("dw_box", "eot")},
            "parts": self._seeded({"purifier": purifier, "attack": attack}, self.seeds[:1]),
        }

    def _on_clean(self, stage: str, purifier: str) -> dict:
        """The spec of a stage that asks a purifier about the first clean images."""
        return {
            "stage": stage,
            "purifier": self.presets.purifier(purifier),
            "reads": _reads("x0 ids"),
            "parts": self._seeded({"purifier": purifier}, self.seeds),
        }

    def _seeded(self, keys: dict, seeds: Iterable[int], block: str | None = None) -> dict[str, dict]:
        return {f"seed-{seed}": {"keys": keys | {"seed": seed}, **self._noise(seed, block)} for seed in seeds}

    def _noise(self, seed: int, block: str | None = None) -> dict:
        """The papers' seedings go by an image's position, hence by where its block begins; the project's own do not."""
        said = {"seed": seed, "seeding": self.said["seeding"]}
        first = int(block.partition("-")[0]) if block else 0
        return {"noise": said | ({"first": first} if first and said["seeding"] != "address" else {})}


def _reads(names: str) -> Reads:
    """What a stage reads of the data, by argument."""
    arrays = {"x0": "x", "y": "y", "ids": "ids"}
    return {name: ["subset", arrays[name]] for name in names.split()}
