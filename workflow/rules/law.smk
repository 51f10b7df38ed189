# One sigmoid through all purifiers and strengths: robust accuracy by the compression rate (Fig. 3b).

study(
    "law",
    section="4 Compression of image space (§5, App. C.4)",
    reads={"probes": "law-purifiers"},
    tables=["law", "law-fit"],
    figures={"law": ["law", "law-fit"]},
    evidence=True,
)
