# Distances to the clean images before and after purification (Table 1).

study(
    "distances",
    section="2 Behaviour of diffusion models (§3)",
    reads={"measured": "measures"},
    tables=["distances"],
    figures={"distances": ["distances"]},
    evidence=True,
)
