"""Only what is invalidated runs again: real Snakemake on the tiny experiment, an edit, then what it would run."""

import shutil
import textwrap

import numpy as np
import pandas as pd
import pytest
from workspace import Workspace

from purity.run.store import load

R = "results/tiny"
BLOCK = "images-00000-00005.zarr.zip"


@pytest.fixture
def workspace(finished, tmp_path):
    return finished.copy(tmp_path / "copy")


def rules(jobs):
    return {rule for rule, _ in jobs}


def outputs(jobs, rule):
    return {output.removeprefix(f"{R}/") for name, output in jobs if name == rule}


def test_a_second_run_does_nothing_and_says_so(finished):
    assert "Nothing to be done" in finished.run()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("workflow/scripts/attack.py", "p, w = snakemake", "# a remark\np, w = snakemake"),
        ("workflow/scripts/attack.py", '"""Adversarial images for', '"""Images that are adversarial, for'),
        ("purity/attacks.py", "    ball = BALLS[norm]\n", "\n    ball = (\n        BALLS[norm]  # the ball\n    )\n"),
        ("purity/diffusion/samplers.py", "Ancestral chain", "The ancestral chain"),
        ("purity/metrics.py", "def l2(a: np.ndarray,", "def l2(a: 'anything',"),
        ("config/config.yaml", "run: [tiny]", "# a remark\nrun: [tiny] # another"),
        ("config/config.yaml", "batch: 6\n", "batch: 4\n"),
    ],
    ids=["comment", "script docstring", "layout", "docstring", "annotation", "config comment", "batch"],
)
def test_what_cannot_change_a_result_reruns_nothing(workspace, file, old, new):
    workspace.edit(file, old, new)
    assert workspace.pending() == []


def test_a_touch_reruns_nothing(workspace):
    for path in [*workspace.path.glob("workflow/scripts/*.py"), *workspace.path.glob("purity/*.py")]:
        path.touch()
    for path in workspace.path.glob("results/tiny/data/*"):
        path.touch()
    (workspace.path / "config/config.yaml").touch()
    assert workspace.pending() == []


BALL = {"directions", "directions-matrix", "centroids", "centroids-histogram", "variance"}
JUDGED = {"distances", "robustness", "transfer", "compression", "jacobian"}
# the findings rest on every stage, and the page is made of them
COMPARED = {"findings", "comparison_page"}
# where a network was asked again, the table of what that took is made again too
ASKED = {*COMPARED, "usage"}

# file, old, new → the rules that run again, and the tables among their outputs
EDITS = {
    "a measure of images": (
        ("purity/metrics.py", "c1, c2 = 0.01**2", "c1, c2 = 0.02**2"),
        {"measure", "table", "figure", *COMPARED},
        JUDGED | {"dw-box", "addt"},
    ),
    "a measure of balls": (
        ("purity/metrics.py", "mu_xi = f.mean(axis=1)", "mu_xi = 2 * f.mean(axis=1)"),
        {"measure_ball", "table", "figure", *COMPARED},
        BALL,
    ),
    "one table": (
        ("purity/tables.py", 'members, f"directions_{varied}")', 'members[:1], f"directions_{varied}")'),
        {"table", "figure"},
        {"directions"},
    ),
    "one figure": (
        ("purity/figures.py", 'ax.set_ylabel("accuracy")\n    figure', 'ax.set_ylabel("share")\n    figure'),
        {"figure"},
        set(),
    ),
    "the mean of any table": (
        ("purity/stats.py", ".ravel()\n    values = values[np.isfinite(values)]", ".ravel()"),
        {"table", "figure", *COMPARED},
        {"trajectory", "centroids", "directions", "variance", "distances", "transfer", "compression"}
        | {"jacobian", "jacobian-spectrum", "pca", "timesteps", "clean-t", "law", "cap", "margins", "landscape"},
    ),
    "the law": (
        ("purity/law.py", "starts[1], starts[2]]", "starts[0], starts[2]]"),
        {"table", "figure", *COMPARED},
        {"law-fit"},
    ),
    "one claim": (
        ("purity/report/findings.py", '(-0.05, 0.05),\n        "86.0 %', '(-0.04, 0.04),\n        "86.0 %'),
        COMPARED,
        set(),
    ),
    "the Jacobian": (
        ("purity/jacobian.py", "matrix.double()", "1.0 * matrix.double()"),
        {"jacobian", "table", "figure", *ASKED},
        {"jacobian", "jacobian-spectrum"},
    ),
    "grades": (
        ("purity/fuzzy.py", "return (predictions != y).mean", "return 1 * (predictions != y).mean"),
        {"table", "figure", *COMPARED},
        {"fuzzy", "fuzzy-grades"},
    ),
    "a script": (
        ("workflow/scripts/gallery.py", 'rows = {"clean"', 'rows = {"the clean"'),
        {"gallery"},
        set(),
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_reruns_exactly_the_rules_that_can_depend_on_it(workspace, name):
    edit, expected, tables = EDITS[name]
    workspace.edit(*edit)
    jobs = workspace.pending()
    assert rules(jobs) == expected
    assert outputs(jobs, "table") == {f"tables/{table}.csv" for table in tables}


def test_editing_one_attack_leaves_the_others_alone(workspace):
    workspace.edit(
        "purity/attacks.py", "return pgd(defence.straight_through()", "return pgd(1 * defence.straight_through()"
    )
    jobs = workspace.pending()
    assert outputs(jobs, "attack") == {f"adversarial/ddpm/bpda/all/seed-{s}/{BLOCK}" for s in (0, 1)}
    assert outputs(jobs, "purify") == {f"purified/ddpm/bpda/all/seed-{s}/{BLOCK}" for s in (0, 1)}
    assert not rules(jobs) & {"train_classifier", "train_diffusion", "perturb", "sample_ball", "walk", "gallery"}


def test_editing_the_sampler_leaves_the_undefended_classifier_alone(workspace):
    workspace.edit("purity/diffusion/samplers.py", "x = (a * x0 + b * x)", "x = (b * x + a * x0)")
    jobs = workspace.pending()
    assert rules(jobs) == {
        "attack",
        "purify",
        "sample_ball",
        "walk",
        "measure",
        "measure_ball",
        "jacobian",
        "ball_spectrum",
        "probe",
        "judge",
        "margins",
        "attack_paths",
        "landscape",
        "table",
        "figure",
        "gallery",
        *ASKED,
    }
    assert all("/ddpm" in output for output in outputs(jobs, "attack") | outputs(jobs, "purify"))


@pytest.mark.parametrize("of", ["code", "config", "guide"])
def test_another_fine_tuning_reruns_what_is_made_with_the_network_it_makes(workspace, of):
    if of == "code":
        workspace.edit("purity/addt.py", "(unit * gamma(abar)).clamp", "(1.0 * unit * gamma(abar)).clamp")
    elif of == "config":
        workspace.configure(lambda c: c["diffusions"]["tuned"]["fine_tuning"]["options"].update(unit=0.2))
    else:  # the classifier that guides it, which judges nothing
        workspace.configure(lambda c: c["classifiers"].update(guide=c["classifiers"]["small"] | {"options": {}}))
        workspace.configure(lambda c: c["diffusions"]["tuned"]["fine_tuning"].update(classifier="guide"))
    jobs = workspace.pending()
    made = {"fine_tune", "loss_curve", "attack", "purify", "measure", "attack_paths", "landscape", "table", "figure"}
    assert rules(jobs) == made | ASKED | ({"train_classifier"} if of == "guide" else set())
    for rule in ("attack", "purify", "measure", "attack_paths", "landscape"):
        assert outputs(jobs, rule) and all("/ddpm-addt/" in output for output in outputs(jobs, rule)), rule
    shown = ("addt", "attack-paths", "landscape", "landscape-paths")
    assert outputs(jobs, "table") == {f"tables/{table}.csv" for table in shown}


def test_editing_training_reruns_what_is_made_with_the_network(workspace):
    workspace.edit("purity/training.py", "x0 = 2 * x[torch", "x0 = 2.0 * x[torch")
    jobs = workspace.pending()
    assert {"train_diffusion", "loss_curve", "attack", "purify", "sample_ball"} <= rules(jobs)
    assert "train_classifier" not in rules(jobs)
    assert all("/ddpm" in output for output in outputs(jobs, "attack"))


def test_changing_the_config_of_one_attack_touches_that_attack_only(workspace):
    workspace.configure(lambda c: c["attacks"]["pgd"]["options"].update(steps=3))
    jobs = workspace.pending()
    stages = {"attack", "purify", "measure", "walk", "judge", "adversarial_cap", "margins", "budget"}
    for rule in stages:
        assert outputs(jobs, rule) and all("/pgd/" in output for output in outputs(jobs, rule)), rule
    assert rules(jobs) == stages | {"probe", "table", "figure", "gallery"} | ASKED
    assert not any("ball" in output or "directions" in output for _, output in jobs)


def test_another_strength_computes_only_that_strength(workspace):
    workspace.configure(lambda c: c["experiments"]["tiny"]["sweep"].update(attacked=[50, 100, 200, 300]))
    jobs = workspace.pending()
    assert rules(jobs) == {"attack", "probe", "table", "figure"} | ASKED
    assert all("/ddpm@t=300/" in output for rule in ("attack", "probe") for output in outputs(jobs, rule))
    assert outputs(jobs, "table") == {
        f"tables/{t}.csv" for t in ("timesteps", "clean-t", "law", "law-fit", "predictors", "predictors-rank")
    }


def test_a_part_that_is_left_out_is_not_made_and_leaves_the_others_alone(workspace):
    workspace.configure(lambda c: c["experiments"]["tiny"].update(fuzzy=None, cap=None))
    assert rules(workspace.pending()) == ASKED


def test_more_judgings_leave_the_purified_images_alone(workspace):
    workspace.configure(lambda c: c["experiments"]["tiny"]["fuzzy"].update(judgings=5))
    assert rules(workspace.pending()) == {"judge", "table", "figure"} | ASKED


def test_the_order_of_keys_in_a_preset_changes_nothing(workspace):
    def turn(c):
        for presets in (c["attacks"], c["purifiers"], c["classifiers"], c["diffusions"]):
            for name, preset in presets.items():
                presets[name] = {
                    key: dict(reversed(value.items())) if isinstance(value, dict) else value
                    for key, value in reversed(preset.items())
                }

    workspace.configure(turn)
    assert workspace.pending() == []


def test_values_that_change_places_are_noticed(workspace):
    """Snakemake compares the values of params as a set; one dict a rule keeps them apart."""

    def swap(c):
        options = c["attacks"]["pgd"]["options"]
        options["epsilon"], options["relative_step"] = options["relative_step"], options["epsilon"]

    workspace.configure(swap)
    assert "attack" in rules(workspace.pending())


def test_adding_a_seed_computes_only_what_is_new(workspace):
    workspace.configure(lambda c: c["experiments"]["tiny"].update(seeds=[0, 1, 2]))
    jobs = workspace.pending()
    made = {"perturb", "attack", "purify", "measure", "sample_ball", "measure_ball"}
    made |= {"jacobian", "ball_spectrum", "probe", "budget", "judge", "adversarial_cap", "margins"}
    assert rules(jobs) == made | {"table", "figure"} | ASKED
    computed = [output for rule, output in jobs if rule in made]
    assert all("/seed-2" in output for output in computed)


def test_a_part_may_have_seeds_of_its_own(workspace):
    workspace.configure(lambda c: c["experiments"]["tiny"]["dw-box"].update(seeds=[0, 1, 5]))
    jobs = workspace.pending()
    assert rules(jobs) == {"attack", "purify", "measure", "table", "figure"} | ASKED
    assert outputs(jobs, "table") == {"tables/dw-box.csv"}
    for rule in ("attack", "purify", "measure"):
        assert all("/ddpm/" in output and "/seed-5" in output for output in outputs(jobs, rule))
    workspace.configure(lambda c: c["experiments"]["tiny"]["dw-box"].update(seeds=[1]))
    assert rules(workspace.pending()) == {"table", "figure"} | ASKED


def test_more_images_compute_only_the_new_blocks(workspace):
    workspace.configure(lambda c: c["experiments"]["tiny"].update(images=9))
    jobs = workspace.pending()
    in_blocks = {"subset", "perturb", "attack", "purify", "probe", "budget", "judge"}
    of_all = {"measure", "adversarial_cap", "margins", "table", "figure"}
    assert rules(jobs) == in_blocks | of_all | ASKED
    computed = [output for rule, output in jobs if rule in in_blocks]
    assert all(output.endswith("/images-00006-00008.zarr.zip") for output in computed)
    before = workspace.files()
    target = f"{R}/measures/ddpm/pgd/all/seed-0.zarr.zip"
    workspace.run(target)
    assert len(load(workspace.path / target, "correct_fixed")[0]) == 9
    blocks = [path for path in before if path.endswith(BLOCK)]
    assert blocks and {path: workspace.files()[path] for path in blocks} == {path: before[path] for path in blocks}
    # nor does an image fewer than a block holds make the others new
    workspace.configure(lambda c: c["experiments"]["tiny"].update(images=8))
    assert {output for rule, output in workspace.pending() if rule == "subset"} == {
        f"{R}/data/images-00006-00007.zarr.zip"
    }


def test_blocks_are_the_same_images_in_other_files(workspace, tmp_path):
    """Bit for bit, at the same compute batch."""
    where = {
        "adversarial/ddpm/pgd/all": ["x", "y", "ids"],
        "purified/ddpm/pgd/all": ["fixed", "varying", "varying_logits", "path_l2", "path_time", "features_after"],
        "judgings/ddpm/pgd/none": ["predictions"],
        "probes/ddpm": ["alpha", "robust", "features"],
        "budget/pgd": ["robust", "scale"],
    }

    def made(block):
        copy = workspace.copy(tmp_path / f"in blocks of {block}")
        copy.configure(lambda c: c.update(batch=2, block=block))
        for stage in ("data", "adversarial", *where):
            shutil.rmtree(copy.path / R / stage, ignore_errors=True)
        spans = [f"{start:05d}-{start + block - 1:05d}" for start in range(0, 6, block)]
        paths = {stage: [f"{R}/{stage}/seed-0/images-{span}.zarr.zip" for span in spans] for stage in where}
        copy.run(*(path for of_stage in paths.values() for path in of_stage))
        return {stage: load([copy.path / path for path in paths[stage]], *names) for stage, names in where.items()}

    whole, parts = made(6), made(2)
    for stage, names in where.items():
        for name, a, b in zip(names, whole[stage], parts[stage], strict=True):
            assert a.dtype == b.dtype and np.array_equal(a, b), f"{stage}: {name}"


def test_adding_an_attack_computes_only_what_is_new(workspace):
    def add(c):
        c["attacks"]["pgd-eot"] = {**c["attacks"]["pgd"], "options": {**c["attacks"]["pgd"]["options"], "draws": 2}}
        c["experiments"]["tiny"]["attacked"]["ddpm"]["pgd-eot"] = ["none"]

    workspace.configure(add)
    jobs = workspace.pending()
    assert rules(jobs) == {"attack", "purify", "measure", "table", "figure"} | ASKED
    computed = [output for rule, output in jobs if rule in ("attack", "purify", "measure")]
    assert len(computed) == 6 and all("/ddpm/pgd-eot/none/" in output for output in computed)


def test_an_experiment_on_the_papers_data_gets_their_numbers_beside_its_own(workspace):
    """Only of purifiers and attacks with the papers' options: the bare classifier, until those options are changed."""
    workspace.configure(lambda c: c["experiments"]["tiny"].update(reference="cifar10"))
    assert rules(workspace.pending()) == {"compare", "comparison_page"}
    workspace.run()
    tables = workspace.path / "results/tiny/tables"
    assert set(pd.read_csv(tables / "comparison-robustness.csv")["purifier"]) == {"identity"}
    assert pd.read_csv(tables / "comparison-distances.csv").empty
    settings = "config/reference/settings.yaml"
    workspace.edit(settings, 'ddpm: {make: "purity.purifiers:ddpm", t: 100, steps: 100}', "ddpm: {t: 100}")
    workspace.edit(
        settings,
        'pgd:\n      {run: "purity.attacks:pgd", epsilon: 0.03137254901960784, steps: 40,',
        "pgd:\n      {steps: 2}\n    other:\n      {",
    )
    assert rules(workspace.pending()) == {"compare", "comparison_page"}
    workspace.run()
    table = pd.read_csv(tables / "comparison-robustness.csv").set_index(["attack", "knowledge"])
    row = table.loc[("pgd", "all")]
    ours = pd.read_csv(tables / "robustness.csv").query(
        "purifier == 'ddpm' and attack == 'pgd' and knowledge == 'all' and seed == 'all'"
    )
    assert row["paper"] == pytest.approx(0.237) and row["source"] == "newest" and row["table"] == "Table 2"
    assert row["ours"] == ours["mean"].item() and row["n"] == 6
    assert "0.237" in (workspace.path / "results/tiny/comparison.html").read_text()


OWN = '''
def halve(strength):
    """Shrinks contrast, with a little noise of its own."""

    def purify(x, xi):
        return (x * strength + 0.01 * xi.forward(0, like=x)).clamp(0, 1)

    return purify
'''


def test_adding_a_purifier_of_ones_own_computes_only_what_is_new(workspace):
    (workspace.path / "mine.py").write_text(OWN)

    def add(c):
        c["purifiers"]["mine"] = {"make": "mine:halve", "options": {"strength": 0.8}}
        c["experiments"]["tiny"]["attacked"]["mine"] = {"pgd": ["all"]}

    workspace.configure(add)
    jobs = workspace.pending()
    assert rules(jobs) == {"attack", "purify", "measure", "probe", "table", "figure", "gallery", "usage"}
    assert all("/mine/" in output for rule, output in jobs if rule in ("attack", "purify", "measure", "probe"))
    workspace.run()
    assert (workspace.path / f"{R}/purified/mine/pgd/all/seed-1/{BLOCK}").exists()
    assert workspace.pending() == []
    workspace.edit("mine.py", "0.01 *", "0.02 *")
    jobs = workspace.pending()
    assert all("/mine/" in output for rule, output in jobs if rule in ("attack", "purify", "measure")) and jobs


def test_a_stage_that_comes_out_the_same_runs_nothing_after_it(workspace):
    """Asked for alone, a stage whose code changed but not its result is not new to the next ones."""
    before = workspace.files()
    workspace.edit(
        "purity/metrics.py", "a, b = _rows(a), _rows(b)\n    a, b = a -", "b, a = _rows(b), _rows(a)\n    a, b = a -"
    )
    workspace.edit("purity/attacks.py", "total = total + gradient", "total = gradient + total")
    stages = [output for rule, output in workspace.pending() if rule in ("attack", "budget", "attack_paths")]
    assert len(stages) == 28
    workspace.run(*stages)
    # of the transfer, whose code changed
    assert {rule for rule, _ in workspace.pending()} == {"table", "figure"} | COMPARED
    assert workspace.files() == before


def test_the_same_stage_made_again_has_the_same_bytes(workspace):
    """From the data to a figure, in another folder, from nothing."""
    targets = [f"{R}/measures/ddpm/pgd/all/seed-1.zarr.zip", f"{R}/figures/centroids.pdf"]
    before = workspace.files()
    shutil.rmtree(workspace.path / "results")
    shutil.rmtree(workspace.path / ".snakemake")
    workspace.run(*targets)
    again = workspace.files()
    assert set(targets) < set(again) and len(again) > 12
    assert {path: again[path] == before[path] for path in again} == dict.fromkeys(again, True)


def test_a_failed_rerun_leaves_no_stale_figure_looking_fresh(workspace):
    workspace.configure(lambda c: c["attacks"]["uniform"]["options"].update(epsilon=0.1))
    workspace.edit(
        "purity/attacks.py",
        'return (x + BALLS["linf"]',
        "raise ValueError('broken on purpose')\n    return (x + BALLS[\"linf\"]",
    )
    for _ in range(2):  # the second time not "Nothing to be done", though every figure is still there
        assert "broken on purpose" in workspace.run(fails=True)
    workspace.edit("purity/attacks.py", "raise ValueError('broken on purpose')\n    return", "return")
    jobs = workspace.pending()
    assert {"perturb", "purify", "measure", "table", "figure"} <= rules(jobs)
    assert outputs(jobs, "figure") >= {"figures/trajectory.png", "figures/robustness.png"}


def test_the_workflow_runs_as_a_module_of_another(finished, tmp_path):
    """What the workflow catalog promises: imported from elsewhere, with the user's config and purifier beside it."""
    other = tmp_path / "other"
    (other / "config").mkdir(parents=True)
    shutil.copy2(finished.path / "config/config.yaml", other / "config/config.yaml")
    shutil.copytree(finished.path / "profiles", other / "profiles")
    (other / "mine.py").write_text(OWN)
    (other / "Snakefile").write_text(
        textwrap.dedent(f"""
        configfile: "config/config.yaml"
        module purity:
            snakefile: "{finished.path}/workflow/Snakefile"
            config: config
        use rule * from purity
        """)
    )
    workspace = Workspace(other)
    workspace.configure(lambda c: c["purifiers"].update(mine={"make": "mine:halve", "options": {"strength": 0.8}}))
    workspace.configure(lambda c: c["experiments"]["tiny"]["attacked"].update(mine={"pgd": ["all"]}))
    target = f"{R}/measures/mine/pgd/all/seed-0.zarr.zip"
    workspace.run(target)
    assert (other / target).exists()
