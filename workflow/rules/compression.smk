# The compression rate α of noise and of attacks (Table 6).

study(
    "compression",
    section="4 Compression of image space (§5, App. C.4)",
    reads={"measured": "measures"},
    tables=["compression"],
    figures={"compression": ["compression"]},
    evidence=True,
)
