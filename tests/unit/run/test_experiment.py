"""Which stores there are, what each depends on, and what is made again after an edit: all without starting Snakemake."""

import copy
import json
import shutil
from itertools import product

import planned
import pytest
import yaml
from workspace import ROOT

from purity.run.codehash import Project
from purity.run.experiment import GROUPS, STORES, Cell, Experiment, log, store

TINY = yaml.safe_load((ROOT / "tests/tiny/config.yaml").read_text(encoding="utf-8"))
EMBEDDED = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
BLOCK = "images-00000-00005"


@pytest.fixture
def config():
    return copy.deepcopy(TINY)


@pytest.fixture(scope="module")
def before():
    return plan(TINY)


@pytest.fixture
def tree(tmp_path):
    """A copy of the project in which a test may edit the code."""
    for part in ("purity", "workflow"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def edit(tree, file, old, new):
    path = tree / file
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {file}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


PROJECT = Project(ROOT, ROOT)


def plan(config):
    """With the code as it is."""
    return planned.plan(ROOT, config, PROJECT)


def experiment(config):
    return Experiment(config, config["run"][0])


def rules(made):
    return {rule for rule, _ in made}


def outputs(made, rule):
    return {output for of, output in made if of == rule}


# Where stores lie.


def test_a_path_says_what_is_in_it():
    named = {"experiment": "e", "purifier": "ddpm", "attack": "pgd", "knowledge": "all", "block": "00000-00005"}
    assert store("adversarial").format(**named) == "results/e/adversarial/ddpm/pgd/all/images-00000-00005.zarr.zip"
    assert log("adversarial").format(**named) == "results/e/logs/adversarial/ddpm/pgd/all/images-00000-00005.log"


@pytest.mark.parametrize("config", [TINY, EMBEDDED], ids=["tiny", "embedded"])
def test_no_two_stores_share_a_path_and_each_tells_its_kind(config):
    e = experiment(config)
    paths = [*e.data(), *e.all_stores()]
    assert len(set(paths)) == len(paths) > 30
    assert {planned._kind(path, e)[0] for path in paths} == set(STORES)


@pytest.mark.parametrize(
    ("images", "block", "wanted", "blocks"),
    [
        (6, None, None, ["00000-00005"]),
        (6, 6, None, ["00000-00005"]),
        (6, 4, None, ["00000-00003", "00004-00005"]),
        (7, 2, 3, ["00000-00001", "00002-00003"]),  # those that hold the first three
        (6, 4, 4, ["00000-00003"]),
        (6, 4, 60, ["00000-00003", "00004-00005"]),
        (6, 100, 1, ["00000-00005"]),
    ],
)
def test_blocks_cover_the_images_once(config, images, block, wanted, blocks):
    config["experiments"]["tiny"]["images"] = images
    config.pop("block")
    config |= {} if block is None else {"block": block}
    assert experiment(config).blocks(wanted) == blocks


def test_a_block_is_read_beside_the_same_block(config):
    config["block"] = 4
    e = experiment(config)
    cells = [Cell("ddpm", "uniform", "none"), Cell("ddpm", "pgd", "all"), Cell("ddpm", "clean", "none")]
    assert e.adversarial(cells, "00004-00005") == [
        "results/tiny/adversarial/any/uniform/none/images-00004-00005.zarr.zip",
        "results/tiny/adversarial/ddpm/pgd/all/images-00004-00005.zarr.zip",
    ]
    assert e.data("00000-00003") == ["results/tiny/data/images-00000-00003.zarr.zip"]


# What is attacked by whom.


def test_what_several_groups_ask_for_is_kept_once_with_the_seeds_of_all(config):
    config["experiments"]["tiny"]["dw-box"]["seeds"] = [5]
    config["experiments"]["tiny"]["addt"]["seeds"] = [7, 0]
    e = experiment(config)
    for group in GROUPS:
        for cell in e.cells(group):
            keeper = e.keeper(cell)
            assert set(e.judged(cell.purifier, keeper)[cell]) >= set(e.seeds_of(group))
            assert [g for g in GROUPS if cell in e.judged(cell.purifier, g)] == [keeper]
    clean, box = Cell("ddpm", "clean", "none"), Cell("ddpm", "box", "all")
    assert (e.keeper(clean), e.judged("ddpm", "attacked")[clean]) == ("attacked", [0, 1, 5, 7])
    assert (e.keeper(box), e.judged("ddpm", "dw-box")[box]) == ("dw-box", [5, 7, 0])
    assert e.attack_seeds(box) == [5, 7, 0]


@pytest.mark.parametrize("config", [TINY, EMBEDDED], ids=["tiny", "embedded"])
def test_every_judged_attack_is_made_for_the_seeds_it_is_judged_with(config):
    e = experiment(config)
    judged = 0
    for group in GROUPS:
        for purifier in {cell.purifier for cell in e.cells(group)}:
            for cell, seeds in e.judged(purifier, group).items():
                if cell.attack != "clean":
                    assert set(seeds) <= set(e.attack_seeds(cell)), cell
                    judged += 1
    assert judged > 5


def test_a_blind_attack_has_the_seeds_of_all_purifiers_and_of_the_sweep(config):
    config["experiments"]["tiny"]["attacked"]["identity"]["uniform"] = ["none"]
    e = experiment(config)
    spec = e.perturb("uniform", "00000-00005")
    assert list(spec["parts"]) == ["seed-0", "seed-1"]
    assert e.adversarial([Cell("identity", "uniform", "none")]) == e.adversarial([Cell("ddpm", "uniform", "none")])
    del config["experiments"]["tiny"]["attacked"]["ddpm"]["uniform"]
    del config["experiments"]["tiny"]["attacked"]["identity"]["uniform"]
    assert experiment(config).attack_seeds(Cell("any", "uniform", "none")) == [0, 1]


def test_dw_box_averages_over_what_is_fresh_to_the_attacker(config):
    config["experiments"]["tiny"]["dw-box"]["purifiers"] = {"ddpm": ["none", "forward"]}
    cells = experiment(config).cells("dw-box")
    assert [(c.attack, c.knowledge) for c in cells] == [
        ("clean", "none"),
        ("box-eot", "none"),
        ("box-eot", "forward"),
        ("box", "reverse"),
        ("box", "all"),
    ]


def test_fine_tuned_purifiers_are_attacked_as_their_vanilla_ones_are():
    e = experiment(TINY)
    attacked = {(c.attack, c.knowledge) for c in e.cells("addt") if c.purifier == "ddpm"}
    assert attacked == {(c.attack, c.knowledge) for c in e.cells("addt") if c.purifier == "ddpm-addt"}
    assert attacked == {("clean", "none"), ("box-eot", "none"), ("box", "all")}
    perturbed = {"perturbation": "ranked", "objective": "classifier", "perturbed": True}
    assert e.fine_tuned() == {"ddpm-addt": {"vanilla": "ddpm", "ablation": False, "again_of": None} | perturbed}


def test_ablations_and_other_trainings_meet_the_first_attack_alone(config):
    for name in ("again", "less", "other"):
        config["purifiers"][name] = config["purifiers"]["ddpm"]
    config["attacks"]["second"] = config["attacks"]["box"]
    config["attacks"]["second-eot"] = config["attacks"]["box-eot"] | {"eot_of": "second"}
    part = config["experiments"]["tiny"]["addt"]
    part |= {"attacks": ["box", "second"], "ablations": {"less": "ddpm"}, "again": {"ddpm-addt": {"again": "other"}}}
    e = experiment(config)
    attacks = {name: [c.attack for c in e.cells("addt") if c.purifier == name] for name in e.fine_tuned()}
    assert attacks["ddpm-addt"] == ["clean", "box-eot", "box", "second-eot", "second"]
    assert attacks["less"] == attacks["again"] == ["clean", "box-eot", "box"]
    assert [c.attack for c in e.cells("addt") if c.purifier == "other"] == ["clean", "box-eot", "box"]
    assert e.fine_tuned()["again"]["vanilla"] == "other" and e.fine_tuned()["again"]["again_of"] == "ddpm-addt"
    assert e.fine_tuned()["less"]["ablation"]


def test_a_papers_attack_may_have_seeds_of_its_own(config):
    config["attacks"]["box-eot"]["protocol"] = True
    config["experiments"]["tiny"]["dw-box"]["protocol_seeds"] = [1]
    e = experiment(config)
    assert e.attack_seeds(Cell("ddpm", "box-eot", "reverse")) == [1]
    assert e.attack_seeds(Cell("ddpm", "box", "all")) == [0, 1]
    assert e.judged("ddpm", "dw-box")[Cell("ddpm", "box-eot", "reverse")] == [1]


def test_variants_are_attacked_and_probed_with_seeds_of_their_own(config):
    small = copy.deepcopy(config["purifiers"]["ddpm"])
    small["options"]["sigma"] = "small"
    config["purifiers"] |= {"small": small, "blurred": {"make": "purity.purifiers:gaussian", "options": {"sigma": 0.1}}}
    config["experiments"]["tiny"]["sensitivity"] = {"seeds": [1], "purifiers": {"small": "ddpm", "blurred": "ddpm"}}
    e = experiment(config)
    assert e.probed("small")[1] == [Cell("small", "pgd", "all")] == e.varied_attacks()[1:2]
    assert e.attack_seeds(Cell("small", "pgd", "all")) == e.probe_seeds("small") == [1]
    assert e.probe_seeds("ddpm") == [0, 1]  # a point of the law too
    assert list(e.probe("small", "00000-00005")["parts"]) == ["seed-1"]
    assert e.variants() == {
        "small": {"variant_of": "ddpm", "differs": "sigma small"},
        "blurred": {"variant_of": "ddpm", "differs": "gaussian"},
    }
    paths = e.all_stores()
    assert "results/tiny/probes/small/images-00000-00005.zarr.zip" in paths
    assert "results/tiny/adversarial/small/pgd/all/images-00000-00005.zarr.zip" in paths


def test_a_strength_that_is_the_presets_own_has_its_name():
    e = experiment(TINY)
    assert e.strengths("attacked", "clean") == ["ddpm@t=50", "ddpm", "ddpm@t=200", "ddpm@t=300", "ddpm@t=400"]
    assert e.law_purifiers() == ["ddpm", "ddpm@t=50", "ddpm@t=200", "ddpm@t=300"]
    # a clean strength is not attacked
    assert e.probed("ddpm@t=400") == ([Cell("ddpm@t=400", "uniform", "none")], [])
    assert e.probe("ddpm@t=400", "00000-00005")["x"] is None


def test_a_papers_attack_is_made_and_judged_at_the_strengths_that_are_attacked(config):
    config["experiments"]["tiny"]["sweep"] |= {"attack": "bpda", "protocol": "pgd"}
    e = experiment(config)
    assert e.probed("ddpm@t=50")[1] == [Cell("ddpm@t=50", attack, "all") for attack in ("bpda", "pgd")]
    assert {Cell("ddpm@t=50", attack, "all") for attack in ("bpda", "pgd")} < set(e.swept_attacks())
    assert e.probed("ddpm@t=400")[1] == []
    reads = e.probe("ddpm@t=50", "00000-00005")["reads"]
    assert reads["x"] == ["adversarial", "x", {"attack": "bpda", "knowledge": "all"}]
    assert reads["x_protocol"] == ["adversarial", "x", {"attack": "pgd", "knowledge": "all"}]
    paths = e.all_stores()
    assert "results/tiny/adversarial/ddpm@t=50/pgd/all/images-00000-00005.zarr.zip" in paths
    assert not any("ddpm@t=400/pgd" in path for path in paths)


# Specs.


def test_every_part_says_what_it_is_about_and_has_its_seed():
    e = experiment(TINY)
    parts = e.purify("ddpm", "attacked", "00000-00005")["parts"]
    assert set(parts) == {
        f"{attack}/seed-{seed}"
        for attack, seed in product(("clean/none", "uniform/none", "pgd/none", "pgd/all", "bpda/all"), (0, 1))
    }
    for name, part in parts.items():
        keys = part["keys"]
        assert name == f"{keys['attack']}/{keys['knowledge']}/seed-{keys['seed']}" and keys["purifier"] == "ddpm"
        assert part["noise"] == {"seed": keys["seed"], "seeding": "address"}
        assert part["reads"]["x"] == ["subset" if keys["attack"] == "clean" else "adversarial", "x"]


@pytest.mark.parametrize(("seeding", "first"), [("address", None), ("s2", 4), ("s3", 4)])
def test_only_the_papers_seedings_go_by_where_a_block_begins(config, seeding, first):
    config["experiments"]["tiny"]["seeding"] = seeding
    noise = experiment(config).attack("ddpm", "pgd", "all", "00004-00005")["parts"]["seed-1"]["noise"]
    assert noise == {"seed": 1, "seeding": seeding} | ({"first": first} if first else {})


@pytest.mark.parametrize(("seeds", "others"), [([0, 1], {0: 1, 1: 0}), ([0, 1, 2], {0: 1, 1: 0, 2: 0}), ([3], {3: 3})])
def test_a_caps_second_direction_is_of_another_seed(config, seeds, others):
    config["experiments"]["tiny"]["seeds"] = seeds
    parts = experiment(config).cap("identity", "pgd", "none")["parts"]
    assert {p["keys"]["seed"]: p["reads"]["other"][2]["seed"] for p in parts.values()} == others


def test_every_spec_is_json():
    for said in plan(TINY).values():
        assert json.loads(said)


# What is made again. A key is (rule, output:part); what follows from it is Snakemake's matter.


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("workflow/scripts/stage.py", "p = snakemake", "# a remark\np = snakemake"),
        ("workflow/scripts/stage.py", '"""One stage:', '"""A stage:'),
        ("purity/attacks.py", "k] * ball.steepest(v)\n", "k] * (\n            ball.steepest(v)  # uphill\n        )\n"),
        ("purity/diffusion/samplers.py", "Ancestral chain", "The ancestral chain"),
        ("purity/metrics.py", "def l2(a: np.ndarray,", "def l2(a: 'anything',"),
    ],
    ids=["comment", "script docstring", "layout", "docstring", "annotation"],
)
def test_an_edit_that_cannot_change_a_result_changes_no_digest(tree, before, file, old, new):
    edit(tree, file, old, new)
    assert planned.plan(tree, TINY) == before


def test_neither_does_the_batch_nor_the_order_of_keys(config, before):
    config["batch"] = 4
    for presets in (config["attacks"], config["purifiers"], config["classifiers"], config["diffusions"]):
        for name, preset in presets.items():
            presets[name] = {
                key: dict(reversed(value.items())) if isinstance(value, dict) else value
                for key, value in reversed(preset.items())
            }
    assert plan(config) == before


def test_the_batch_counts_for_an_attack_that_works_on_whole_batches(config):
    config["attacks"]["pgd"]["batchwise"] = True
    one, other = (plan(config | {"batch": batch}) for batch in (6, 4))
    made = planned.new(one, other)
    assert rules(made) == {"attack"} and all("/pgd" in output for output in outputs(made, "attack"))


STAGES_OF_PURIFIERS = planned.STAGES_OF_PURIFIERS | {"search", "verify"}
REGIME, ELSEWHERE = {"third-regime", "third-regime-attacks"}, {"elsewhere"}  # so do these
SEARCH = {"search", "search-verified", "search-predictors", "search-left-out"}  # it predicts by the law
BALL = {"directions", "directions-matrix", "centroids", "centroids-histogram", "variance"}

# file, old, new → the rules whose own code changes, and the tables among their outputs
EDITS = {
    "a measure of images": (("purity/metrics.py", "c1, c2 = 0.01**2", "c1, c2 = 0.02**2"), {"measure"}, set()),
    "a measure of balls": (
        ("purity/metrics.py", "mu_xi = f.mean(axis=1)", "mu_xi = 2 * f.mean(axis=1)"),
        {"measure_ball"},
        set(),
    ),
    "one table": (
        ("purity/studies/ball.py", 'members, f"directions_{varied}")', 'members[:1], f"directions_{varied}")'),
        {"tables"},
        BALL,
    ),
    "the evidence of one study": (
        ("purity/studies/fuzzy.py", "majority_vote(predictions, y, len", "1 * majority_vote(predictions, y, len"),
        {"tables"},
        {"fuzzy", "fuzzy-grades"},
    ),
    "one figure": (
        ("purity/studies/robustness.py", 'xlabel="accuracy, 95 % interval"', 'xlabel="share, 95 % interval"'),
        {"figure"},
        set(),
    ),
    "the style of all figures": (
        ("purity/studies/drawing.py", "def style(", "def style(_=1, "),
        {"figure", "gallery"},
        set(),
    ),
    "the law": (
        ("purity/studies/law.py", "starts[1], starts[2]]", "starts[0], starts[2]]"),
        {"tables"},
        {"law", "law-fit"} | SEARCH | REGIME | ELSEWHERE,
    ),
    "verdicts": (("purity/report/findings.py", "low in target", "high in target"), {"findings"}, set()),
    "the Jacobian": (("purity/stages/jacobian.py", "matrix.double()", "1.0 * matrix.double()"), {"jacobian"}, set()),
    "grades": (
        ("purity/studies/fuzzy.py", "return (predictions != y).mean", "return 1 * (predictions != y).mean"),
        {"tables"},
        {"fuzzy", "fuzzy-grades"},
    ),
    "judgings": (("purity/stages/fuzzy.py", "argmax(dim=1)", "argmax(1)"), {"fuzzy"}, set()),
    "the gallery": (
        ("purity/studies/gallery.py", "figsize=(COLUMN, sum(heights))", "figsize=(COLUMN, 1.1 * sum(heights))"),
        {"gallery"},
        set(),
    ),
    "a sampler": (
        ("purity/diffusion/samplers.py", "return (a * x0 + b * x)", "return (b * x + a * x0)"),
        STAGES_OF_PURIFIERS,
        set(),
    ),
    "fine-tuning": (
        ("purity/addt.py", "(lambda_unit * gamma(abar)).clamp", "(1.0 * lambda_unit * gamma(abar)).clamp"),
        {"fine_tune"},
        set(),
    ),
    "training": (("purity/training.py", "x0 = 2 * x[torch", "x0 = 2.0 * x[torch"), {"train_diffusion"}, set()),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_changes_the_digests_of_what_can_reach_it(tree, before, name):
    change, expected, tables = EDITS[name]
    edit(tree, *change)
    made = planned.new(before, planned.plan(tree, TINY))
    assert rules(made) == expected
    assert outputs(made, "tables") == tables


def test_the_mean_of_any_table_counts_in_every_study_that_takes_it(tree, before):
    edit(tree, "purity/stats.py", ".ravel()\n    values = values[np.isfinite(values)]", ".ravel()")
    made = planned.new(before, planned.plan(tree, TINY))
    assert rules(made) == {"tables"}
    shown = {
        "trajectory",
        "distances",
        "transfer",
        "compression",
        "jacobian",
        "jacobian-spectrum",
        "pca",
        "timesteps",
        "samples",
    }
    shown |= {"clean-t", "law", "law-fit", "cap-images", "cap", "cap-transition", "cap-slices", "attack-paths"}
    shown |= {"margins-images", "margins", "margins-roc", "landscape", "landscape-paths", "sensitivity"}
    assert outputs(made, "tables") == BALL | shown


def test_an_edit_of_a_sampler_leaves_the_undefended_classifier_alone(tree, before):
    edit(tree, "purity/diffusion/samplers.py", "return (a * x0 + b * x)", "return (b * x + a * x0)")
    made = planned.new(before, planned.plan(tree, TINY))
    assert all("/ddpm" in output for rule in ("attack", "purify", "probe") for output in outputs(made, rule))


def test_an_edit_of_one_attack_leaves_the_others_alone(tree, before):
    edit(
        tree, "purity/attacks.py", "return pgd(defence.straight_through()", "return pgd(1 * defence.straight_through()"
    )
    made = planned.new(before, planned.plan(tree, TINY))
    attacked = {("attack", f"adversarial/ddpm/bpda/all/{BLOCK}:seed-{s}") for s in (0, 1)}
    # attacks of one store have one digest of code
    tried = {("third_regime", f"third-regime/ddpm@t=300:{name}/seed-0") for name in ("bpda", "pgd@epsilon=0.28")}
    assert made == attacked | tried


def test_another_option_of_one_attack_touches_that_attack_only(config, before):
    config["attacks"]["pgd"]["options"]["steps"] = 3
    made = planned.new(before, plan(config))
    assert rules(made) == {"attack", "budget", "verify", "third_regime", "elsewhere"}
    assert all("/pgd" in output for output in outputs(made, "attack"))


def test_values_that_change_places_are_noticed(config, before):
    """Snakemake compares the values of params as a set; one dict a rule keeps them apart."""
    options = config["attacks"]["pgd"]["options"]
    options["epsilon"], options["relative_step"] = options["relative_step"], options["epsilon"]
    assert "attack" in rules(planned.new(before, plan(config)))


def test_a_variant_of_an_attack_is_the_attack_with_another_option_and_the_attack_itself_with_its_own(config):
    grid = {"purifier": "ddpm", "attack": "pgd", "knowledge": "all", "set": {"loss": "dlr"}, "vary": {"steps": [1, 2]}}
    config["experiments"]["tiny"]["strength"]["grids"] = [grid, grid | {"set": {}}]
    e = experiment(config)
    assert [cell.attack for cell in e.strength_roles()] == [
        "pgd@loss=dlr,steps=1",
        "pgd@loss=dlr",
        "pgd@steps=1",
        "pgd",
        "box",
    ]
    own = config["attacks"]["pgd"]["options"]
    assert e.presets.attack("pgd@loss=dlr,steps=1")["options"] == own | {"loss": "dlr", "steps": 1}
    assert e.presets.attack("pgd@steps=1") | {"options": own} == e.presets.attack("pgd")
    variant = Cell("ddpm", "pgd@steps=1", "all")
    assert e.attack_seeds(variant) == [0] and e.keeper(variant) == "strength"
    assert e.stores("adversarial", **variant._asdict())[0] in e.all_stores()


@pytest.mark.parametrize("value", [3, 0.25, 1e-05, True, "dlr"])
def test_the_name_of_a_variant_says_its_options(config, value):
    presets = experiment(config).presets
    assert presets.attack(presets.variant("pgd", {"loss": value}))["options"]["loss"] == value


@pytest.mark.parametrize("of", ["options", "guide"])
def test_another_fine_tuning_is_nobody_elses_matter(config, before, of):
    """The network that it makes is an input of what is made with it."""
    tuning = config["diffusions"]["tuned"]["fine_tuning"]
    if of == "options":
        tuning["options"]["unit"] = 0.2
    else:  # the classifier that guides it, which judges nothing
        config["classifiers"]["guide"] = config["classifiers"]["small"] | {"options": {}}
        tuning["classifier"] = "guide"
    made = planned.new(before, plan(config))
    assert made == {("fine_tune", "tuned")} | ({("train_classifier", "guide")} if of == "guide" else set())
    e = experiment(config)
    assert e.diffusion_weights("ddpm-addt") == ["results/models/diffusions/tuned.safetensors"]
    assert ("classifiers", tuning["classifier"]) in e.models()


def test_a_new_seed_is_new_parts_and_no_others(config, before):
    config["experiments"]["tiny"]["seeds"] = [0, 1, 2]
    made = planned.new(before, plan(config))
    stages = {
        "perturb",
        "attack",
        "purify",
        "measure",
        "sample_ball",
        "measure_ball",
        "jacobian",
        "pca",
        "samples",
        "probe",
    }
    stages |= {"budget", "fuzzy", "cap", "margins", "verify"}
    assert rules(made) == stages | {"tables"}
    assert all(output.endswith("seed-2") for rule, output in made if rule in stages)


def test_a_part_may_have_seeds_of_its_own(config, before):
    config["experiments"]["tiny"]["dw-box"]["seeds"] = [0, 1, 5]
    made = planned.new(before, plan(config))
    assert rules(made) == {"attack", "purify", "measure", "tables"}
    assert outputs(made, "tables") == {"dw-box"}
    stages = [output for rule, output in made if rule != "tables"]
    assert all("/ddpm/" in output and output.endswith("seed-5") for output in stages)
    config["experiments"]["tiny"]["dw-box"]["seeds"] = [1]
    assert planned.new(before, plan(config)) == {("tables", "dw-box")}


def test_a_new_attack_is_new_parts_and_no_others(config, before):
    pgd = config["attacks"]["pgd"]
    config["attacks"]["pgd-eot"] = pgd | {"options": pgd["options"] | {"draws": 2}}
    config["experiments"]["tiny"]["attacked"]["ddpm"]["pgd-eot"] = ["none"]
    made = planned.new(before, plan(config))
    assert rules(made) == {"attack", "purify", "measure", "tables"}
    stages = [output for rule, output in made if rule != "tables"]
    assert len(stages) == 6 and all("pgd-eot/none" in output for output in stages)


def test_a_purifier_of_ones_own_is_new_and_touches_no_other(config, before, tree):
    own = "def halve(strength):\n    return lambda x, xi: 0.01 * xi.forward(0, like=x) + x * strength\n"
    (tree / "mine.py").write_text(own)
    config["purifiers"]["mine"] = {"make": "mine:halve", "options": {"strength": 0.8}}
    config["experiments"]["tiny"]["attacked"]["mine"] = {"pgd": ["all"]}
    with_mine = planned.plan(tree, config)
    made = planned.new(before, with_mine)
    assert rules(made) == {"attack", "purify", "measure", "probe", "tables", "gallery"}
    stages = ("attack", "purify", "measure", "probe")
    assert all("/mine/" in output for rule in stages for output in outputs(made, rule))
    edit(tree, "mine.py", "0.01 *", "0.02 *")
    again = planned.new(with_mine, planned.plan(tree, config))
    assert rules(again) == {"attack", "purify", "probe"} and all("/mine/" in output for _, output in again)


def test_another_strength_is_new_and_touches_no_other(config, before):
    config["experiments"]["tiny"]["sweep"]["attacked"] = [50, 100, 200, 250, 300]
    made = planned.new(before, plan(config))
    assert rules(made) == {"attack", "probe", "tables"}
    assert all("/ddpm@t=250/" in output for rule in ("attack", "probe") for output in outputs(made, rule))
    shown = {"timesteps", "clean-t", "law", "law-fit", "predictors", "predictors-rank", "budget"}
    assert outputs(made, "tables") == shown | SEARCH | REGIME | ELSEWHERE


def test_a_part_that_is_left_out_is_not_made_and_leaves_the_others_alone(config, before):
    config["experiments"]["tiny"].update(fuzzy=None, cap=None)
    after = plan(config)
    assert planned.new(before, after) == set()
    gone = set(before) - set(after)
    assert rules(gone) == {"fuzzy", "cap", "tables", "figure"} and outputs(gone, "figure") == {"fuzzy", "cap"}


def test_more_judgings_leave_the_purified_images_alone(config, before):
    config["experiments"]["tiny"]["fuzzy"]["judgings"] = 5
    assert rules(planned.new(before, plan(config))) == {"fuzzy"}


def test_more_images_are_new_blocks(config, before):
    config["experiments"]["tiny"]["images"] = 9
    made = planned.new(before, plan(config))
    assert rules(made) == {"subset", "perturb", "attack", "purify", "probe", "budget", "fuzzy", "tables"}
    assert all("/images-00006-00008:" in output for rule, output in made if rule != "tables")
    # nor does an image fewer than a block holds make the others new
    config["experiments"]["tiny"]["images"] = 8
    made = planned.new(before, plan(config))
    assert outputs(made, "subset") == {"data/images-00006-00007:"}


@pytest.mark.parametrize(
    ("part", "rule"),
    [
        ("ball", "sample_ball"),
        ("jacobian", "jacobian"),
        ("pca", "pca"),
        ("samples", "samples"),
        ("margins", "margins"),
        ("cap", "cap"),
    ],
)
def test_a_number_of_a_part_is_in_the_spec_of_its_stage_alone(config, before, part, rule):
    said = config["experiments"]["tiny"][part]
    name = next(key for key in ("points", "radius", "reach", "images") if key in said)
    said[name] += 1
    assert rules(planned.new(before, plan(config))) == {rule}
