"""Experiments that are another one but for what they say: `like`, and presets that are otherwise in one experiment."""

import copy


def inherited(config: dict) -> dict:
    """The config with its experiments whole: each that is `like` another one has all of that one that it does not say.

    Mappings are merged at any depth; null leaves out what the other one has. ValueError naming the experiment if there
    is no such other one, or if they go in a circle.
    """
    experiments = config.get("experiments")
    if not isinstance(experiments, dict):
        return config
    return config | {"experiments": {name: _whole(name, experiments, ()) for name in experiments}}


def _whole(name: str, experiments: dict, heirs: tuple) -> dict:
    said = experiments[name]
    if not isinstance(said, dict) or "like" not in said:
        return said
    other = said["like"]
    if other not in experiments:
        raise ValueError(f"config: experiments.{name}.like: there is no experiment '{other}'")
    if other in (*heirs, name):
        raise ValueError(f"config: experiments.{name}.like: from '{other}' on, they go in a circle")
    return merged(_whole(other, experiments, (*heirs, name)), said)


def merged(below: dict, above: dict) -> dict:
    """Both, at any depth; where both say something, what is above counts."""
    found = copy.deepcopy(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else copy.deepcopy(value)
    return found


def seen_by(config: dict, name: str) -> dict:
    """The config with the presets as this experiment has them: `presets: {attacks: {pgd: {options: {epsilon: .3}}}}`.

    ValueError for a preset that there is not: one of another name is a preset of its own.
    """
    changes = config["experiments"][name].get("presets") or {}
    for group, presets in changes.items():
        for preset in presets:
            if preset not in config[group]:
                raise ValueError(f"config: experiments.{name}.presets.{group}: there is no preset '{preset}'")
    return {**config, **{group: merged(config[group], presets) for group, presets in changes.items()}}
