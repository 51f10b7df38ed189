# Fine-tuned purifiers beside the vanilla ones (Liu et al. 2025, ADDT).

study(
    "addt",
    section="7 The stochastic perspective (Liu et al. 2025)",
    reads={"measured": "addt"},
    tables=["addt"],
    figures={"addt": ["addt"]},
    evidence=True,
)
