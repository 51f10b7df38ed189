"""A judgement is an ordinary experiment: what the config says becomes one that the checks accept."""

import copy

import pytest
import yaml
from workspace import ROOT

from purity.run import judge, studies, workload
from purity.run.codehash import Project
from purity.run.config import check, small
from purity.run.experiment import Experiment

SHIPPED = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
DEFENCE = "def defend(x):\n    return x\n\ndef make(strength):\n    return defend\n"


@pytest.fixture
def project(tmp_path):
    (tmp_path / "mine.py").write_text(DEFENCE)
    return Project(ROOT, tmp_path)


def asked(**said) -> dict:
    """The shipped config with these keys under `judge`."""
    config = copy.deepcopy(SHIPPED)
    config["judge"] |= said
    return config


def accepted(config: dict, project: Project) -> dict:
    check(config, ROOT / "config/schema.yaml", project)
    made = judge.expanded(config)
    check(made, ROOT / "config/schema.yaml", project)
    return made


MINE = {"mine": {"call": "mine:defend"}}


def test_without_a_defence_nothing_is_judged():
    assert not judge.asked(SHIPPED)
    assert judge.asked(SHIPPED | {"defence": "mine:defend"}) and judge.asked(asked(defences=MINE))


def test_one_line_is_enough(project):
    made = accepted(SHIPPED | {"defence": "mine:defend"}, project)
    assert made["run"] == ["judged"]
    assert made["purifiers"]["defend"] == {"make": "purity.intercepted:purifier", "options": {"call": "mine:defend"}}
    e = Experiment(made, "judged")
    assert e.part("judgement") == {"defences": ["defend"], "beside": ["ddpm"], "undefended": "undefended"}
    assert set(e.said["attacked"]) == {"undefended", "defend", "ddpm"}
    assert yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8")) == SHIPPED


def test_the_protocol_attacks_by_who_knows_and_by_who_does_not(project):
    e = Experiment(accepted(asked(defences=MINE), project), "judged")
    of = e.said["attacked"]["mine"]
    assert of["judge-pgd"] == ["none", "all"] and of["judge-standard"] == ["all"]
    assert all(of[attack] == ["none"] for attack in of if attack.endswith("-eot"))
    assert of["judge-noise"] == ["none"]
    options = {name: e.presets.attack(name)["options"] for name in of}
    assert {o["epsilon"] for name, o in options.items() if "x" not in name} == {0.15}
    assert options["judge-standard"] == SHIPPED["attacks"]["standard"]["options"]
    parts = zip(options["judge-longer"]["attacks"], options["judge-standard"]["attacks"], strict=True)
    assert all(longer["steps"] == 2 * short["steps"] for longer, short in parts)
    for longer, short in (("judge-longer-eot", "judge-standard-eot"), ("judge-bpda-longer-eot", "judge-bpda-eot")):
        assert all(options[longer][key] == 2 * options[short][key] for key in ("steps", "draws"))
    assert max(o["epsilon"] for o in options.values()) == 1.0  # in ℓ∞ all there is


def test_the_classifier_alone_has_no_noise_to_know_and_is_attacked_at_every_budget(project):
    e = Experiment(accepted(asked(defences=MINE), project), "judged")
    alone, of = e.said["attacked"]["undefended"], e.said["attacked"]["mine"]
    assert alone["judge-standard"] == ["all"] and not [name for name in alone if "bpda" in name or "eot" in name]
    assert {name for name in of if name.startswith("judge-x")} <= set(alone)


def test_in_l2_budgets_may_be_large_and_there_is_no_uniform_noise(project):
    e = Experiment(accepted(asked(defences=MINE, norm="l2", epsilon=0.6), project), "judged")
    made = {name: preset for name, preset in e.config["attacks"].items() if "judging" in preset}
    assert "judge-noise" not in made and all(p["options"]["norm"] == "l2" for p in made.values())
    assert max(p["options"]["epsilon"] for p in made.values()) == pytest.approx(8 * 0.6)


def test_a_defence_without_gradient_is_attacked_past_it(project):
    mine = {"mine": {"call": "mine:defend", "gradient": False}}
    e = Experiment(accepted(asked(defences=mine), project), "judged")
    assert "gradient" not in e.presets.purifier("mine")["options"]
    assert all("bpda" in name or name == "judge-noise" for name in e.said["attacked"]["mine"])
    assert "judge-standard" in e.said["attacked"]["ddpm"]
    assert e.gallery()["attack"] == "judge-bpda"


def test_quick_is_less_of_the_same_under_a_name_of_its_own(project):
    whole = Experiment(accepted(asked(defences=MINE), project), "judged")
    quick = Experiment(accepted(asked(defences=MINE, quick=True), project), "judged-quick")
    assert accepted(SHIPPED | {"defence": "mine:defend", "quick": True}, project)["run"] == ["judged-quick"]
    assert quick.said["images"] < whole.said["images"] and quick.part("judgement")["beside"] == []
    assert set(quick.said["attacked"]["mine"]) < set(whole.said["attacked"]["mine"])
    few = Experiment(accepted(asked(defences=MINE, quick=True, images=10), project), "judged-quick")
    assert few.said["images"] == 10


def test_a_purifier_that_is_there_is_judged_by_its_name_and_a_class_is_made_with_options(project):
    both = {"gaussian": {}, "mine": {"call": "mine:make", "options": {"strength": 2}, "rows": "alone"}}
    e = Experiment(accepted(asked(defences=both, beside=["gaussian"]), project), "judged")
    assert e.part("judgement") == {"defences": ["gaussian", "mine"], "beside": [], "undefended": "undefended"}
    assert e.presets.purifier("gaussian")["make"] == "purity.purifiers:gaussian"
    options = {"call": "mine:make", "options": {"strength": 2}, "rows": "alone"}
    assert e.presets.purifier("mine")["options"] == options


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ({"defences": {"ddpm": {"call": "mine:defend"}}}, "judge.defences.ddpm"),
        ({"defences": {"none-such": {}}}, "judge.defences"),
        ({"defences": MINE, "beside": ["none-such"]}, "judge.beside"),
        ({"defences": MINE, "attacks": {"known": "none-such", "unknown": "pgd"}}, "judge.attacks.known"),
        ({"defences": MINE, "dataset": "none-such"}, "dataset"),
        ({"defences": MINE, "epsilon": 8}, "epsilon"),
        ({"defences": {"mine": {"call": "mine:none_such"}}}, "call"),
        ({"defences": {"mine": {"cal": "mine:make"}}}, "cal"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(said, key, project):
    with pytest.raises(ValueError, match=r"^config: ") as error:
        accepted(asked(**said), project)
    assert key in str(error.value) and "\n" not in str(error.value)


def test_a_config_that_stands_alone_says_what_is_missing(project):
    config = {key: value for key, value in SHIPPED.items() if key != "judge"} | {"defence": "mine:defend"}
    with pytest.raises(ValueError, match=r"config: judge\.dataset: it is missing"):
        judge.expanded(config)


@pytest.mark.parametrize("said", [{}, {"quick": True}])
def test_what_it_costs_is_announced_and_can_be_measured(said, project):
    made = accepted(asked(defences=MINE, **said), project)
    e = Experiment(made, made["run"][0])
    first, *lines = judge.announced(e).splitlines()
    assert f"{e.said['images']} images" in first and lines[0].startswith("  mine: ")
    jobs = workload.jobs(e)
    attacks = {job["attack"] for job in jobs.values() if "attack" in job}
    assert attacks == {a for of in e.said["attacked"].values() for a in of} - {"judge-noise"}
    assert set(workload.calibration(e)["attacks"]) == attacks
    trained = set() if said else {"train_diffusion"}  # of the purifier beside it, which `quick` leaves out
    assert {job["rule"] for job in judge.costly(e)} == {"attack", "purify", "fuzzy"} | trained


def test_its_study_reads_what_the_experiment_leaves_and_no_other_experiment_has_it(project):
    made = accepted(asked(defences=MINE), project)
    kind = studies.RECORDS["judged"]
    assert not Experiment(made, "digits").part(kind.part)
    e = Experiment(made, "judged")
    assert set(kind.find(e).purifiers) == {"undefended", "mine", "ddpm"}
    roles = e.presets.roles([], ["judge-bpda-x2", "judge-standard"])["attacks"]
    assert (roles["judge-bpda-x2"]["part"], roles["judge-bpda-x2"]["scale"]) == ("budget", 2.0)
    assert roles["judge-standard"]["part"] == "strongest"
    assert {"subset", "adversarial", "purified", "judgings"} == set(judge.stores(e))
    assert judge.said(e)["known"]["mine"] and "judge-x2" not in judge.said(e)["known"]["mine"]


def test_a_small_run_of_it_is_possible(project):
    shrunk = small(accepted(asked(defences=MINE), project))
    check(shrunk, ROOT / "config/schema.yaml", project)
    assert Experiment(shrunk, "judged-small").said["images"] == 4
