# A search for purifiers that keep clean images and compress, by forward passes alone; and what is left of those that it
# chooses under attack.


rule search:
    """One island of the search: candidates one after the other, each proposed by those before it."""
    input:
        subset=lambda w: experiment(w).data(),
        noisy=lambda w: experiment(w).adversarial([Cell("any", experiment(w).part("search")["noise"], "none")]),
        classifier=classifier_weights,
        diffusion=lambda w: PRESETS.weights("diffusions", experiment(w).part("search")["diffusion"]),
    output:
        store("search"),
    log:
        log("search"),
    benchmark:
        timing("search")
    wildcard_constraints:
        island=r"\d+",
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("search"),
    script:
        "../scripts/stage.py"


rule verify:
    """A candidate that was chosen, under attack by who knows ξ and by who does not."""
    input:
        subset=lambda w: experiment(w).data(),
        noisy=lambda w: experiment(w).adversarial([Cell("any", experiment(w).part("search")["noise"], "none")]),
        table="results/{experiment}/tables/search.csv",
        classifier=classifier_weights,
        diffusion=lambda w: PRESETS.weights("diffusions", experiment(w).part("search")["diffusion"]),
    output:
        store("verified"),
    log:
        log("verified"),
    benchmark:
        timing("verified")
    wildcard_constraints:
        place=r"\d+",
    conda:
        CONDA_GPU
    resources:
        **TENSORS,
        gpu=GPU,
        batch=config["batch"],
    params:
        **staged("verify"),
    script:
        "../scripts/stage.py"


study(
    "search",
    section="7 Search for other purifiers",
    reads={"found": "search", "probes": "strengths"},
    tables=["search"],
)
study(
    "verified",
    section="7 Search for other purifiers",
    reads={"found": "search", "probes": "strengths", "papers": "papers", "verified": "verified"},
    tables=["search-verified", "search-predictors", "search-left-out"],
    figures={"search": ["search", "search-verified"]},
    evidence=True,
)


localrules:
    winner,


rule winner:
    """The lines of config that make the best of them a preset, if it beats the papers' purifiers; if not, that."""
    input:
        verified="results/{experiment}/tables/search-verified.csv",
        evidence="results/{experiment}/evidence/verified.csv",
        claims=lambda w: CLAIMS[:1],  # those of studies of one's own say nothing of it
    output:
        "results/{experiment}/tables/winner.yaml",
    log:
        "results/{experiment}/logs/tables/winner.log",
    conda:
        CONDA_TABLES
    resources:
        **TABLES,
    params:
        spec=lambda w: {"diffusion": experiment(w).part("search")["diffusion"]},
        code=lambda w: code("winner"),
    script:
        "../scripts/winner.py"
