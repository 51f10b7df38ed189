"""Whether a search has found a better purifier than the papers have, and the lines of config that make it a preset."""

import json

import pandas as pd
import yaml

from purity.report.findings import verdict

CLAIMED = {"search-winner-gain": "accuracy of who knows ξ", "search-winner-clean": "clean accuracy"}
PRESET = "found"


def lines(verified: pd.DataFrame, evidence: pd.DataFrame, claims: list[dict], *, diffusion: str) -> str:
    """YAML of a preset `found` if the best of the verified candidates wins: both claims of CLAIMED hold. Else a remark.

    verified: the table search-verified; evidence: of the study `verified`; claims: as of purity.report.claims.read.
    The best is chosen by half of the images and these two claims are about the other half, so that they stand alone:
    nothing is to be corrected for what else an experiment claims.
    """
    said, held = [], []
    for row in evidence[evidence["quantity"].isin(CLAIMED)].to_dict("records"):
        (target,) = (claim["target"] for claim in claims if claim["quantity"] == row["quantity"])
        held.append(verdict(row["low"], row["high"], target))
        interval = f"{row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        said.append(f"# {CLAIMED[row['quantity']]}, {row['case']}: {interval}, n = {row['n']:.0f}: {held[-1]}")
    if held != ["holds"] * len(CLAIMED):
        return "\n".join(["# No purifier of the search is known to beat the best of the papers' samplers.", *said, ""])
    options = json.loads(verified.loc[verified["best"].astype(bool), "options"].item())
    if (vote := options.pop("vote", 1)) > 1:
        said.append(
            f"# The classifier's vote of {vote} such purifications wins, which no preset has; this is one of them."
        )
    preset = {"make": "purity.family:member", "diffusion": diffusion, "options": options}
    written = yaml.safe_dump({"purifiers": {PRESET: preset}}, sort_keys=False)
    return "\n".join(
        ["# It beats the best of the papers' samplers on images that it was not chosen by.", *said, written]
    )
