# Accuracy by purifier, attack and what the attacker knows of ξ (Tables 2, 3).

study(
    "robustness",
    section="3 Robustness without stochasticity (§4)",
    reads={"measured": "measures"},
    tables=["robustness"],
    figures={"robustness": ["robustness"]},
    evidence=True,
)
