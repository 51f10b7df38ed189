# What the attacker knows of ξ: nothing, a part, all (Liu et al. 2025, deterministic white-box setting).

study(
    "dw-box",
    section="7 The stochastic perspective (Liu et al. 2025)",
    reads={"measured": "dw-box"},
    tables=["dw-box"],
    figures={"dw-box": ["dw-box"]},
    evidence=True,
)
