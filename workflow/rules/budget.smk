# The undefended classifier under the budget ε·α, beside the law (Fig. 3c).


rule budget:
    """The undefended classifier under the same attack with smaller budgets."""
    input:
        subset=lambda w: experiment(w).data(w.block),
        classifier=classifier_weights,
    output:
        store("budget"),
    log:
        log("budget"),
    benchmark:
        timing("budget")
    wildcard_constraints:
        attack=one_of(PRESETS.sighted),
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("budget"),
    script:
        "../scripts/stage.py"


study(
    "budget",
    section="4 Compression of image space (§5, App. C.4)",
    reads={"budgets": "budget", "probes": "law-purifiers"},
    tables=["budget"],
    figures={"budget": ["budget", "law", "law-fit"]},
    evidence=True,
)
