"""Stores of stages as the records that studies read, with what presets say of the purifiers and attacks in them."""

from collections.abc import Iterable, Mapping
from typing import cast

import numpy as np

from purity.run import store
from purity.studies.records import ATTACKED, Record, Shown


def records(paths: Iterable[str], roles: dict, cells: list[list[str]] | None, seeds: list[int] | None) -> list[Record]:
    """Records of the parts of stores: in the order of `cells` (purifier, attack, knowledge) and of `seeds`, if given,
    and only those.

    roles: purifiers and attacks by name, each with what its preset says it is; fine_tuned purifiers; variants of
    purifiers; features, the name of an experiment's feature network; what cells (purifier/attack/knowledge) are there
    for; swept, what attacks a purifier at each strength t.
    """
    found = [Record(_keys(stored.keyed, roles), stored) for stored in store.gathered(paths)]
    if seeds is not None:
        found = sorted((r for r in found if r.keys["seed"] in seeds), key=lambda r: seeds.index(r.keys["seed"]))
    if cells is not None:
        place = {tuple(cell): k for k, cell in enumerate(cells)}
        found = [r for r in found if _cell(r) in place]
        return sorted(found, key=lambda r: place[_cell(r)])
    # stores in their order, each with its seeds together
    order = {path: k for k, path in enumerate(map(str, paths))}
    return sorted(found, key=lambda r: order[str(cast(store.Stored, r.arrays).paths[0])])


def _cell(record: Record) -> tuple:
    return tuple(record.keys[key] for key in ATTACKED)


def _keys(keyed: dict, roles: dict) -> dict:
    keys = keyed | roles["purifiers"].get(keyed.get("purifier"), {}) | roles["attacks"].get(keyed.get("attack"), {})
    for kind in ("fine_tuned", "variants"):
        keys |= roles.get(kind, {}).get(keyed.get("purifier"), {})
    keys |= roles.get("swept", {}) if "t" in keyed else {}
    keys |= roles.get("cells", {}).get("/".join(str(keyed.get(key)) for key in ATTACKED), {})
    return keys | ({"features": roles["features"]} if roles["features"] else {})


def shown(stores, shown: dict) -> tuple[dict[str, Shown], np.ndarray, np.ndarray, Shown]:
    """What the gallery shows: rows of images by name, their labels, time and states of the first one on its way.

    stores: subset, adversarial, purified, states. shown: of the config, and the seed.
    """
    n, wanted = shown["images"], {key: shown[key] for key in ("attack", "knowledge", "seed")}

    def chosen(paths: Iterable[str]) -> list[store.Stored]:
        found = store.gathered([paths] if isinstance(paths, str) else paths)
        return [s for s in found if all(s.keyed.get(key, value) == value for key, value in wanted.items())]

    (clean,), (crafted,), (states,) = chosen(stores.subset), chosen(stores.adversarial), chosen(stores.states)
    decided = states["logits"].argmax(-1)  # (S, n); the first state is the attacked image itself
    rows = {
        "clean": Shown(clean["x"][:n], states["clean_logits"][:n].argmax(-1)),
        f"{shown['attack']} on\n{shown['purifier']}": Shown(crafted["x"][:n], decided[0, :n]),
    }
    for purified in chosen(stores.purified):
        taken_for = purified["fixed_logits"][:n].argmax(-1)
        rows[purified.keyed["purifier"]] = Shown(purified["fixed"][:n], taken_for)
    return rows, clean["y"][:n], states["time"], Shown(states["states"][:, 0], decided[:, 0])


def fooled(
    stores: Mapping[str, Iterable[str]], defence: str, attacks: list[str], seed: int, at_most: int
) -> list[tuple[list[np.ndarray], str, str]]:
    """The first images that the strongest of these attacks takes from a defence whose ξ it knows: clean, attacked,
    attacked and purified (C, H, W); the name of their class and what is seen instead.

    stores: subset, adversarial, purified. Images that are lost without an attack, under the same ξ, do not count.
    """

    def of(paths: Iterable[str], knowledge: str) -> dict[str, store.Stored]:
        wanted = {"purifier": defence, "knowledge": knowledge, "seed": seed}
        found = (s for s in store.gathered(paths) if all(s.keyed.get(k) == v for k, v in wanted.items()))
        return {s.keyed["attack"]: s for s in found}

    (data,) = store.gathered(stores["subset"])
    y, names = data["y"], data.spec.get("classes")
    purified, crafted = of(stores["purified"], "all"), of(stores["adversarial"], "all")
    held = of(stores["purified"], "none")["clean"]["fixed_logits"].argmax(axis=1) == y
    seen = {attack: purified[attack]["fixed_logits"].argmax(axis=1) for attack in attacks if attack in purified}
    if not seen:
        return []
    strongest = max(seen, key=lambda attack: (held & (seen[attack] != y)).sum())
    rows = np.flatnonzero(held & (seen[strongest] != y))[:at_most]
    arrays = [data["x"], crafted[strongest]["x"], purified[strongest]["fixed"]]

    def called(label: int) -> str:
        return names[label] if names else f"class {label}"

    return [([a[row] for a in arrays], called(y[row]), called(seen[strongest][row])) for row in rows]
