"""Which two experiments can be put side by side, what they share and in what they differ; asked before any job."""

from collections.abc import Iterator

from purity.run.experiment import Cell, Experiment


def shared(one: Experiment, other: Experiment) -> list[Cell]:
    """What both attack, in the order of the first: purifier, attack and knowledge of the same names.

    ValueError if they do not show the same images, or share no attacked purifier: then nothing can be paired.
    """
    if one.name == other.name:
        raise ValueError(f"'{one.name}' beside itself: name two experiments")
    first, second = (e.presets.dataset(e.said["dataset"]) for e in (one, other))
    if first != second:
        raise ValueError(
            f"'{one.name}' and '{other.name}' have other images (dataset {one.said['dataset']} and "
            f"{other.said['dataset']}): they cannot be paired"
        )
    cells = [cell for cell in one.cells("attacked") if cell in other.cells("attacked")]
    if all(cell.attack == "clean" for cell in cells):
        raise ValueError(f"'{one.name}' and '{other.name}' have no attacked purifier in common: nothing can be paired")
    return cells


def differences(one: Experiment, other: Experiment) -> list[tuple[str, str, str]]:
    """(key, value here, value there) of all that differs in what both say, and in the presets of what both attack."""
    names: dict[str, set[str]] = {"purifiers": set(), "attacks": set()}
    for cell in shared(one, other):
        names["purifiers"].add(cell.purifier)
        names["attacks"] |= {cell.attack} - {"clean"}
    sides = []
    for e in (one, other):
        said = {key: value for key, value in e.said.items() if key not in ("like", "presets")}
        presets = {group: {name: e.config[group][name] for name in sorted(of)} for group, of in names.items()}
        sides.append(dict(_flat(said | presets)))
    keys = [key for key in dict.fromkeys([*sides[0], *sides[1]]) if sides[0].get(key) != sides[1].get(key)]
    return [(key, str(sides[0].get(key, "–")), str(sides[1].get(key, "–"))) for key in keys]


def _flat(value: dict, above: str = "") -> Iterator[tuple[str, object]]:
    for key, one in value.items():
        if isinstance(one, dict) and one:
            yield from _flat(one, f"{above}{key}.")
        else:
            yield f"{above}{key}", one
