# What an image passes through between x and f_ξ(x) (Fig. 1c, Tables S2-S4).

study(
    "trajectory",
    section="2 Behaviour of diffusion models (§3)",
    reads={"purified": "purified", "measured": "measures"},
    tables=["trajectory"],
    figures={"trajectory": ["trajectory"]},
    evidence=True,
)
