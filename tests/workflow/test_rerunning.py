"""Only what is invalidated runs again: real Snakemake on the tiny experiment, an edit, then what it runs.

Which digests and specs an edit changes is tested without Snakemake in tests/unit/run/test_experiment.py.
"""

import os
import shutil

import pandas as pd
import pytest
from planned import STAGES_OF_PURIFIERS
from safetensors.torch import load_file, save_file

from purity.run.store import load

R = "results/tiny"
BLOCK = "images-00000-00005.zarr.zip"
MEASURES = f"{R}/measures/ddpm/attacked.zarr.zip"
PURIFIED = f"{R}/purified/ddpm/attacked/{BLOCK}"
# where evidence is new, findings are; the page is made of them
COMPARED = {"findings", "comparison_page"}


def rules(jobs):
    return {rule for rule, _ in jobs}


def outputs(jobs, rule):
    return {output.removeprefix(f"{R}/") for name, output in jobs if name == rule}


def changed(before, after):
    """Parts of stores whose arrays are new or others, and those that are gone."""
    return {part for part in before.keys() | after.keys() if before.get(part) != after.get(part)}


def test_a_second_run_does_nothing_whatever_was_touched_or_edited_in_vain(workspace):
    drawn = 'x + BALLS["linf"].point(noise.start(x), epsilon)'
    for file, old, new in (
        ("workflow/scripts/stage.py", "p = snakemake", "# a remark\np = snakemake"),
        ("workflow/scripts/tables.py", '"""The tables of a study', '"""All tables of a study'),
        ("purity/attacks.py", f"    noisy = {drawn}\n", f"\n    noisy = (\n        {drawn}  # in the ball\n    )\n"),
        ("purity/diffusion/samplers.py", "Ancestral chain", "The ancestral chain"),
        ("purity/metrics.py", "def l2(a: np.ndarray,", "def l2(a: 'anything',"),
        ("config/config.yaml", "run: [tiny]", "# a remark\nrun: [tiny] # another"),
        ("config/config.yaml", "batch: 3\n", "batch: 4\n"),
    ):
        workspace.edit(file, old, new)
    for folder in ("workflow/scripts", "purity", "results/tiny/data", "config"):
        for path in (workspace.path / folder).rglob("*"):
            os.utime(path)
    assert "Nothing to be done" in workspace.run()


def test_an_edit_of_a_sampler_reruns_what_purifies_and_leaves_the_undefended_classifier_alone(workspace):
    workspace.edit("purity/diffusion/samplers.py", "return (a * x0 + b * x)", "return (b * x + a * x0)")
    jobs = workspace.pending()
    stages = STAGES_OF_PURIFIERS | {"measure", "measure_ball", "margins"}
    assert stages <= rules(jobs)
    assert not rules(jobs) & {"subset", "train_classifier", "train_diffusion", "fine_tune", "perturb", "budget", "cap"}
    for rule in ("attack", "purify", "measure"):
        assert outputs(jobs, rule) and all("/ddpm" in output for output in outputs(jobs, rule)), rule


def test_an_edit_of_a_table_makes_its_study_and_what_is_made_of_it(workspace):
    workspace.edit("purity/studies/fuzzy.py", "return (predictions != y).mean", "return 0.5 * (predictions != y).mean")
    claims = "config/reference/claims.yaml"
    workspace.edit(claims, 'paper: "', 'paper: "about ')
    figure = (workspace.path / f"{R}/figures/fuzzy.png").read_bytes()
    assert set(workspace.done(workspace.run())) == {"fuzzy_tables", "fuzzy_figure", "winner", *COMPARED, "all"}
    assert (workspace.path / f"{R}/figures/fuzzy.png").read_bytes() != figure
    assert pd.read_csv(workspace.path / f"{R}/tables/findings.csv")["paper"].str.startswith("about ").sum() >= 1


def test_a_new_seed_computes_its_own_parts_and_no_others(workspace):
    before = workspace.parts()
    workspace.configure(lambda c: c["experiments"]["tiny"].update(seeds=[0, 1, 2]))
    done = workspace.done(workspace.run(MEASURES))
    assert done == ["attack"] * 3 + ["measure", "perturb", "purify"]  # no network is trained again
    after = workspace.parts()
    new = changed(before, after)
    assert all(part.endswith("seed-2") for _, part in new) and not new & before.keys()
    assert {part for path, part in new if path == MEASURES} == {
        f"{cell}/seed-2" for cell in ("clean/none", "uniform/none", "pgd/none", "pgd/all", "bpda/all")
    }
    for output, there in ((MEASURES, 10), (PURIFIED, 10), (f"{R}/adversarial/ddpm/pgd/all/{BLOCK}", 2)):
        said = workspace.log(output)
        assert f"{there} of {there * 3 // 2} parts are there already" in said
        # what was computed is named, a line each
        assert said.count("seed-2\n") == there // 2


def test_a_new_attack_computes_its_own_parts_and_no_others(workspace):
    before = workspace.parts()

    def add(c):
        c["attacks"]["pgd-eot"] = {**c["attacks"]["pgd"], "options": {**c["attacks"]["pgd"]["options"], "draws": 2}}
        c["experiments"]["tiny"]["attacked"]["ddpm"]["pgd-eot"] = ["none"]

    workspace.configure(add)
    assert workspace.done(workspace.run(MEASURES)) == ["attack", "measure", "purify"]
    new = changed(before, workspace.parts())
    assert len(new) == 6 and not new & before.keys()
    assert all("/pgd-eot/none" in f"{path}/{part}" for path, part in new)
    for output in (MEASURES, PURIFIED):
        assert "10 of 12 parts are there already" in workspace.log(output)


def test_another_option_makes_only_the_parts_of_that_attack_again(workspace):
    """The other parts of the same stores are taken over, also where the job failed at first."""
    before = workspace.parts()
    workspace.configure(lambda c: c["attacks"]["bpda"]["options"].update(epsilon=0.1))
    last = "    return on_axes(in_batches(len(x), judged, job, limit), AXES)"
    workspace.edit("purity/stages/purify.py", last, f"    raise ValueError('broken on purpose')\n{last}")
    assert "broken on purpose" in workspace.run(PURIFIED, fails=True)
    assert not (workspace.path / PURIFIED).exists()
    workspace.edit("purity/stages/purify.py", "    raise ValueError('broken on purpose')\n", "")
    workspace.run(PURIFIED)
    new = changed(before, workspace.parts())
    assert {part for path, part in new if path == PURIFIED} == {"bpda/all/seed-0", "bpda/all/seed-1"}
    assert "8 of 10 parts are there already" in workspace.log(PURIFIED)


def test_more_images_compute_only_the_new_blocks(workspace):
    before = workspace.files()
    workspace.configure(lambda c: c["experiments"]["tiny"].update(images=9))
    done = workspace.done(workspace.run(MEASURES))
    assert done == ["attack"] * 3 + ["measure", "perturb", "purify", "subset"]
    assert len(load(workspace.path / MEASURES, "correct_fixed", part="pgd/all/seed-0")[0]) == 9
    after = workspace.files()
    blocks = [path for path in before if path.endswith(BLOCK)]
    assert len(blocks) > 10 and {path: after[path] for path in blocks} == {path: before[path] for path in blocks}
    new = after.keys() - before.keys()
    assert len(new) == 6 and all(path.endswith("images-00006-00008.zarr.zip") for path in new)


def test_a_stage_that_comes_out_the_same_runs_nothing_after_it(workspace):
    """Asked for alone, a stage whose code changed but not its result is not new to the next ones."""
    before = workspace.files()
    workspace.edit("purity/stages/budget.py", '"epsilon": scale * attack', '"epsilon": 1 * scale * attack')
    stage = f"{R}/budget/pgd/{BLOCK}"
    assert workspace.done(workspace.run(stage)) == ["budget"]
    assert workspace.pending() == []
    assert workspace.files() == before


def test_an_experiment_on_the_papers_data_gets_their_numbers_beside_its_own(workspace):
    """Only of purifiers and attacks with the papers' options: the bare classifier, until those options are changed."""
    workspace.configure(lambda c: c["experiments"]["tiny"].update(reference="cifar10"))
    assert set(workspace.done(workspace.run())) == {"compare", "comparison_page", "all"}
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
    assert set(workspace.done(workspace.run())) == {"compare", "comparison_page", "all"}
    table = pd.read_csv(tables / "comparison-robustness.csv").set_index(["attack", "knowledge"])
    row = table.loc[("pgd", "all")]
    ours = pd.read_csv(tables / "robustness.csv").query(
        "purifier == 'ddpm' and attack == 'pgd' and knowledge == 'all' and seed == 'all'"
    )
    assert row["paper"] == pytest.approx(0.237) and row["source"] == "newest" and row["table"] == "Table 2"
    assert row["ours"] == ours["mean"].item() and row["n"] == 6
    assert "0.237" in (workspace.path / "results/tiny/comparison.html").read_text()


def test_a_failed_rerun_leaves_no_stale_figure_looking_fresh(workspace):
    workspace.configure(lambda c: c["attacks"]["uniform"]["options"].update(epsilon=0.1))
    broken = "raise ValueError('broken on purpose')\n    noisy = x + BALLS[\"linf\"]"
    workspace.edit("purity/attacks.py", 'noisy = x + BALLS["linf"]', broken)
    for _ in range(2):  # the second time not "Nothing to be done", though every figure is still there
        assert "broken on purpose" in workspace.run(fails=True)
    workspace.edit("purity/attacks.py", "raise ValueError('broken on purpose')\n    noisy", "noisy")
    jobs = workspace.pending()
    assert {"perturb", "purify", "measure", "trajectory_figure", "robustness_figure"} <= rules(jobs)


def test_results_that_come_without_what_snakemake_knows_are_held_to_their_records(workspace):
    """Nothing runs under the config that made them; under another one, what that changes, with a line for each."""
    shutil.rmtree(workspace.path / ".snakemake")
    assert workspace.pending() == []
    workspace.configure(lambda c: c["attacks"]["bpda"]["options"].update(epsilon=0.1))
    shutil.rmtree(workspace.path / ".snakemake")
    jobs = workspace.pending()
    assert outputs(jobs, "attack") == {f"adversarial/ddpm/bpda/all/{BLOCK}"}
    assert {"purify", "measure", "robustness_tables", "robustness_figure"} <= rules(jobs)
    assert not rules(jobs) & {"train_classifier", "train_diffusion", "subset", "jacobian", "pca"}
    printed = workspace.run("-n", MEASURES)
    bpda = f"{R}/adversarial/ddpm/bpda/all/{BLOCK}"
    assert f"{bpda} was made by another config or code (spec.attack.options.epsilon: 0.14 → 0.1)" in printed


def test_results_that_were_put_in_the_place_of_others_are_not_taken_for_them_but_by_touch(workspace):
    """Snakemake knows of a run by another config, whose results were moved away."""
    target = f"{R}/adversarial/ddpm/bpda/all/{BLOCK}"
    shutil.copytree(workspace.path / "results", workspace.path / "before", symlinks=True)
    workspace.configure(lambda c: c["attacks"]["bpda"]["options"].update(epsilon=0.1))
    assert workspace.done(workspace.run(target)) == ["attack"]
    shutil.rmtree(workspace.path / "results")
    (workspace.path / "before").rename(workspace.path / "results")
    assert rules(workspace.pending(target)) == {"attack"}
    workspace.run("--touch", target)
    assert workspace.pending(target) == []


def test_weights_of_ones_own_are_told_by_their_content(workspace):
    """Overwritten in place, also with an older date, they make the attack again; touched or copied, they do not."""
    trained, mine = (workspace.path / p for p in ("results/models/classifiers/small.safetensors", "mine.safetensors"))
    mine.write_bytes(trained.read_bytes())
    options = {"channels": 1, "classes": 10, "width": 8, "features": 8}
    preset = {"network": "purity.networks:cnn", "options": options, "weights": "mine.safetensors"}
    workspace.configure(lambda c: c["classifiers"].update(mine=preset))
    workspace.configure(lambda c: c["experiments"]["tiny"].update(classifier="mine"))
    target = f"{R}/adversarial/identity/pgd/none/{BLOCK}"
    workspace.run(target)
    os.utime(mine)
    assert workspace.pending(target) == []
    state = load_file(mine)
    save_file({name: 2 * value for name, value in state.items()}, mine)
    os.utime(mine, (0, 0))
    assert rules(workspace.pending(target)) == {"attack"}


def test_a_config_without_a_part_makes_none_of_it_and_nothing_else_again(workspace):
    workspace.configure(lambda c: c["experiments"]["tiny"].update(fuzzy=None, cap=None))
    assert rules(workspace.pending()) == {"usage", *COMPARED}
