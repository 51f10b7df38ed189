# What lies here is run from here: `snakemake` finds this file, and this one the workflow. Your own purifiers, attacks and
# studies go beside it.
include: "workflow/Snakefile"


# an included file's default target is forgotten
workflow.default_target = "all"
