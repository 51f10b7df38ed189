# How, and how well, diffusion models purify adversarial images.
#
#   data ──> attack ──> purify ──> measure ──> table ──> figure        one rule each, one store each
#   train ────┴───────────┘
#
# results/<experiment>/adversarial/<purifier>/<attack>/<knowledge>/seed-<s>/images-<first>-<last>.zarr.zip, and so on: a
# path says what is in it. What a result depends on is in the params of its rule: its part of the config (spec) and a
# digest of the code it can reach (code), see workflow/rules/common.smk.

from snakemake.utils import min_version

min_version("9.27")


# The embedded experiment. What --configfile names adds to it, unless it says that it stands alone.
if not config.get("standalone"):

    configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/attacks.smk"
include: "workflow/rules/purification.smk"
# studies, in the order of the report
include: "workflow/rules/trajectory.smk"
include: "workflow/rules/distances.smk"
include: "workflow/rules/ball.smk"
include: "workflow/rules/gallery.smk"
include: "workflow/rules/robustness.smk"
include: "workflow/rules/transfer.smk"
include: "workflow/rules/strength.smk"
include: "workflow/rules/compression.smk"
include: "workflow/rules/jacobian.smk"
include: "workflow/rules/pca.smk"
include: "workflow/rules/timesteps.smk"
include: "workflow/rules/sensitivity.smk"
include: "workflow/rules/law.smk"
include: "workflow/rules/budget.smk"
include: "workflow/rules/predictors.smk"
include: "workflow/rules/fuzzy.smk"
include: "workflow/rules/cap.smk"
include: "workflow/rules/margins.smk"
include: "workflow/rules/dw-box.smk"
include: "workflow/rules/paths.smk"
include: "workflow/rules/addt.smk"
include: "workflow/rules/judge.smk"
include: "workflow/rules/samples.smk"
# what is made of all of them
include: "workflow/rules/studies.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/targets.smk"


# Every stage is asked for, not only the figures: after a rerun that failed half-way, an old figure would else pass
# for up to date.
rule all:
    default_target: True
    input:
        everything(),


# The main findings, without the parts of the config that add to them.
rule foundation:
    input:
        foundation(),


# What cannot be fetched should be said now, not between two jobs of hours; and how long it will take. Meanwhile a line
# now and then says what runs (purity.run.status).
onstart:
    todo = [job for job in workflow.dag.needrun_jobs() if job.output and job.log]
    receipts = [str(job.output[0]) for job in todo if job.rule.name == "fetch"]
    refusals = [unreachable(published, cache()) for published in missing(published_files(receipts), cache())]
    if any(refusals):
        sys.exit("\n".join(filter(None, refusals)))
    for name in JUDGED:
        print(judge.announced(EXPERIMENTS[name]))
    planned = {job.name for job in workflow.dag.needrun_jobs()}
    if "keep" in planned and len(planned) > 1:
        sys.exit("keep: results are missing, or not of this code and config; run the workflow without `keep` first")
    # of the embedded experiment on this machine; a cluster's jobs have no cores here
    embedded = config == yaml.safe_load((ROOT / "config/config.yaml").read_text())
    cores = workflow.resource_settings.cores
    recorded = None
    if embedded and cores and (ROOT / forecast.RECORDED).exists():
        recorded = forecast.read(ROOT / forecast.RECORDED)
        first = [str(next(iter(job.output), job)) for job in workflow.dag.needrun_jobs()]
        if estimate := forecast.said(first, recorded, cores):
            print(estimate)
    status.begins(((job.rule.name, str(job.output[0]), str(job.log[0])) for job in todo), recorded, cores)
    status.watch()


onsuccess:
    status.ends()
    for name in JUDGED:
        print(f"The verdict is in results/{name}/judgement.html; it opens in any browser.")
    outputs = [str(path) for job in workflow.dag.jobs for path in job.output]
    for name in config["run"]:
        if any(path.startswith(f"results/{name}/figures/") for path in outputs):
            print(f"Figures are in results/{name}/figures/, tables in results/{name}/tables/.")


onerror:
    status.ends()
