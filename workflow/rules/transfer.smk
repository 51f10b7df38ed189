# Attacks made for one ξ and judged under another, and how alike they are (Tables 4, 5).

study(
    "transfer",
    section="3 Robustness without stochasticity (§4)",
    reads={"measured": "measures", "crafted": "adversarial", "subset": "data"},
    tables=["transfer"],
    figures={"transfer": ["transfer"]},
    evidence=True,
)
