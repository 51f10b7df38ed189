# What the papers leave open about a purifier, and by how much it moves α and accuracy.

study(
    "sensitivity",
    section="4 Compression of image space (§5, App. C.4)",
    reads={"varied": "variants"},
    tables=["sensitivity"],
    figures={"sensitivity": ["sensitivity"]},
)
