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
include: "workflow/rules/targets.smk"
include: "workflow/rules/workload.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/attacks.smk"
include: "workflow/rules/purification.smk"
include: "workflow/rules/measures.smk"
include: "workflow/rules/compression.smk"
include: "workflow/rules/earlier.smk"
include: "workflow/rules/stochastic.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/comparison.smk"
include: "workflow/rules/cost.smk"


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


# What cannot be fetched should be said now, not between two jobs of hours.
onstart:
    refusals = [unreachable(published, cache()) for published in missing(published_models(), cache())]
    if any(refusals):
        sys.exit("\n".join(filter(None, refusals)))


onsuccess:
    for name in config["run"]:
        print(f"Figures are in results/{name}/figures/, tables in results/{name}/tables/.")
