# What ranks purifiers by robustness, and what does not (§5).

study(
    "predictors",
    section="4 Compression of image space (§5, App. C.4)",
    reads={"probes": "law-purifiers"},
    tables=["predictors", "predictors-rank"],
    figures={"predictors": ["predictors", "predictors-rank"]},
    evidence=True,
)
