"""A winner is one by both of its claims, and what is written makes it."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from purity.report import claims, winner

ROOT = Path(__file__).parents[3]
CLAIMS = claims.read([str(ROOT / "config/reference/claims.yaml")])
MEMBER = {"clip": True, "forward": 0.4, "sampler": "ancestral", "steps": 6, "t": 150}


def verified(member=MEMBER) -> pd.DataFrame:
    poor = MEMBER | {"t": 20}
    return pd.DataFrame({"options": [json.dumps(poor), json.dumps(member)], "best": [False, True]})


def evidence(gain=(0.04, 0.2), clean=(-0.03, 0.05)) -> pd.DataFrame:
    rows = [("search-regret", 0.0, 0.1), ("search-winner-gain", *gain), ("search-winner-clean", *clean)]
    return pd.DataFrame(
        {
            "quantity": quantity,
            "case": "place 1 − ddpm, t = 200",
            "mean": (low + high) / 2,
            "low": low,
            "high": high,
            "n": 50,
        }
        for quantity, low, high in rows
    )


def lines(table=None, found=None) -> str:
    return winner.lines(
        verified() if table is None else table, evidence() if found is None else found, CLAIMS, diffusion="net"
    )


def test_a_winner_is_a_preset_that_makes_the_member(unet, images):
    import torch

    from purity import family
    from purity.noise import Noise
    from purity.run.naming import resolve

    said = yaml.safe_load(lines())["purifiers"]["found"]
    assert said == {"make": "purity.family:member", "diffusion": "net", "options": MEMBER}
    x, xi = images[:2], Noise(0, torch.arange(2))
    made = resolve(said["make"])(unet, **said["options"])
    assert torch.equal(made(x, xi), family.member(unet, **MEMBER)(x, xi))
    assert "+0.120 [+0.040, +0.200], n = 50: holds" in lines()


@pytest.mark.parametrize(
    ("gain", "clean", "verdict"),
    [
        ((-0.02, 0.2), (0.0, 0.1), "undecided"),
        ((0.04, 0.2), (-0.2, 0.05), "undecided"),
        ((0.04, 0.2), (-0.3, -0.1), "does not"),
    ],
)
def test_without_both_there_is_a_remark_and_no_preset(gain, clean, verdict):
    said = lines(found=evidence(gain, clean))
    assert yaml.safe_load(said) is None and said.startswith("# No purifier") and verdict in said


def test_a_vote_says_that_it_is_none_of_a_preset():
    said = lines(verified(MEMBER | {"vote": 3}))
    assert yaml.safe_load(said)["purifiers"]["found"]["options"] == MEMBER and "vote of 3" in said
    assert "vote" not in lines(verified(MEMBER | {"vote": 1}))


def test_without_evidence_nobody_wins():
    assert yaml.safe_load(lines(found=evidence()[:1])) is None
