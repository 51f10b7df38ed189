"""Parts of an experiment as `snakemake check` finds them: each once, a refused one by its rule, the others all the same."""

import pytest

from purity.stages.checks import checks, report

CNN = {"network": "purity.networks:cnn", "options": {"width": 8, "features": 8}, "weights": [], "made": False}
PGD = {"run": "purity.attacks:pgd", "options": {"epsilon": 0.1, "steps": 2, "relative_step": 0.5}}
BPDA = PGD | {"run": "purity.attacks:bpda"}
ROLES = {"blind": False, "batchwise": False}


def purifier(name: str) -> dict:
    return {"name": name, "make": "broken_parts:made", "options": {"part": name}, "diffusion": None}


def spec(attacked: dict, attacks: dict | None = None, **changed) -> dict:
    """attacked: attacks by the name of a purifier in tests/broken_parts.py."""
    attacks = {"pgd": PGD, "bpda": BPDA} | (attacks or {})
    named = [name for listed in attacked.values() for name in listed]
    digits = {"name": "digits", "load": "purity.data:digits", "options": {}, "images": 6}
    return {
        "dataset": digits,
        "training": [],
        "noise": {"seed": 0, "seeding": "address"},
        "classifier": CNN | {"name": "small"},
        "features": None,
        "purifiers": {name: purifier(name) for name in attacked},
        "attacks": {name: ROLES | attacks[name] for name in named},
        "attacked": attacked,
    } | changed


def found(*given, **changed) -> dict:
    return {one.part: one for one in checks(spec(*given, **changed), "cpu")}


def test_every_part_is_tried_once_and_has_a_line():
    uniform = {"run": "purity.attacks:uniform", "options": {"epsilon": 0.1}, "blind": True}
    of_training = {"name": "digits", "load": "purity.data:digits", "options": {}, "images": 6}
    made = found(
        {"noisy": ["pgd", "uniform"], "detached": ["bpda", "uniform"]}, {"uniform": uniform}, training=[of_training]
    )
    assert list(made) == [
        "data set digits, test",
        "data set digits, train",
        "classifier small",
        "purifier noisy",
        "attack pgd on noisy",
        "purifier detached",
        "attack bpda on detached",
        "attack uniform",
    ]
    lines = report(list(made.values())).splitlines()
    assert len(lines) == len(made) and all(line.startswith("ok ") for line in lines)
    assert "classes by label: 0, 1, 2" in lines[0]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("own_randomness", "generators"),
        ("own_generator", "repeats"),
        ("mean_of_the_batch", "rows"),
        ("in_bytes", "image"),
    ],
)
def test_a_refused_purifier_is_not_attacked_and_the_others_are(name, rule):
    made = found({name: ["pgd"], "noisy": ["pgd"]})
    assert f"purifier '{name}'" in made[f"purifier {name}"].refused
    assert made[f"purifier {name}"].refused.endswith(f"(docs/contract.md#{rule})")
    assert f"attack pgd on {name}" not in made and made["attack pgd on noisy"].refused is None
    with pytest.raises(ValueError, match=f"1 of 5 parts are refused: purifier {name}"):
        report(list(made.values()))


@pytest.mark.parametrize("name", ["detached", "through_numpy", "jpeg"])
def test_a_purifier_without_gradient_is_refused_under_gradients_and_let_under_bpda(name):
    made = found({name: ["pgd", "bpda"]})
    assert "BPDA" in made[f"attack pgd on {name}"].refused and made[f"attack bpda on {name}"].refused is None


def test_gradients_of_zeros_are_said():
    made = found({"rounding": ["pgd", "bpda"], "noisy": ["pgd"]})
    assert made["attack pgd on rounding"].remark.startswith("100 % of its gradients are zero")
    assert made["attack bpda on rounding"].remark == made["attack pgd on noisy"].remark == ""


@pytest.mark.parametrize("name", ["leaves_ball", "own_start", "random_start", "of_the_whole_batch"])
def test_an_attack_is_refused_by_name(name):
    made = found({"noisy": ["mine"]}, {"mine": {"run": f"broken_parts:{name}", "options": {"epsilon": 0.15}}})
    assert made["attack mine on noisy"].refused.startswith("attack 'mine'")


def test_a_refused_classifier_leaves_the_purifiers_to_be_tried():
    few = {
        "name": "few",
        "network": "broken_parts:made",
        "options": {"part": "few_logits"},
        "weights": [],
        "made": False,
    }
    made = found({"noisy": ["pgd"]}, classifier=few)
    assert "5 columns" in made["classifier few"].refused and list(made)[-1] == "purifier noisy"


def test_nothing_can_be_tried_without_images():
    shuffled = {"name": "mine", "load": "broken_parts:shuffled", "options": {}, "images": 6}
    (only,) = found({"noisy": ["pgd"]}, dataset=shuffled).values()
    assert "asked again" in only.refused


def test_a_part_that_cannot_be_made_is_named():
    broken = purifier("noisy") | {"make": "broken_parts:cannot_be_made", "options": {}}
    made = found({"noisy": ["pgd"]}, purifiers={"noisy": broken})
    assert (
        made["purifier noisy"].refused == "purifier 'noisy' cannot be made: KeyError: 'weights' (docs/contract.md#made)"
    )


def test_a_network_whose_weights_are_yet_to_be_made_is_tried_without(tmp_path):
    later = CNN | {"name": "small", "weights": [str(tmp_path / "later.safetensors")]}
    assert "untrained" in found({"noisy": []}, classifier=later | {"made": True})["classifier small"].remark
    assert "later.safetensors" in found({"noisy": []}, classifier=later)["classifier small"].refused
