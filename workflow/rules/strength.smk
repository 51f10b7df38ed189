# How strong the attacks are: what more steps, draws, restarts, another loss or a larger budget change.

study(
    "strength",
    section="3 Robustness without stochasticity (§4)",
    reads={"headline": "headline", "varied": "strength", "tried": "tried"},
    tables=["strength", "strength-verdicts"],
    figures={"strength": ["strength", "strength-verdicts"]},
    evidence=True,
)
