"""The papers' printed numbers beside ours, where the same setting was run (config/reference)."""

import numpy as np
import pandas as pd

from purity import stats

# Columns of a reference file that say where a number stands; the others but `printed`, `std`, `unit` are keys.
PLACE = ("setting", "source", "table", "row", "column", "remark")


def compare(
    table: pd.DataFrame, reference: pd.DataFrame, setting: str, purifiers: list[str], attacks: list[str]
) -> pd.DataFrame:
    """paper | ours | n | interval, a row for each printed number whose setting, purifier and attack were run.

    paper, paper_std and ours, ours_std in our units (shares, not per cent); low … high is the 95 % interval of ours, of
    its mean (Student) where the table has none of its own: of as many values as there are images, not images × seeds.
    """
    chosen = reference[reference["setting"] == setting]
    if "purifier" in chosen:
        chosen = chosen[chosen["purifier"].isin(purifiers)]
    for column in ("attack", "other"):
        if column in chosen:
            chosen = chosen[chosen[column].isin([*attacks, "clean"]) | chosen[column].isna()]
    if "moment" in chosen:
        table = _moments(table)
    elif "seed" in table:
        table = table[table["seed"].astype(str).isin(["all", "pairs"])]
    keys = [c for c in chosen.columns if c in table.columns and c not in (*PLACE, "printed", "std", "unit")]
    ours = table.rename(columns={"mean": "ours", "std": "ours_std"})
    paper = chosen.assign(paper=chosen["printed"] * chosen["unit"], paper_std=chosen["std"] * chosen["unit"])
    paper = paper.drop(columns=["printed", "std", "unit", "setting"])
    for key in keys:  # a column of nothing but gaps is one of numbers, as pandas reads it
        if paper[key].dtype != ours[key].dtype:
            paper[key], ours[key] = paper[key].astype(object), ours[key].astype(object)
    merged = paper.merge(ours, on=keys, how="inner", suffixes=("", "_ours"))
    for limit in ("low", "high"):
        if limit not in merged:
            merged[limit] = np.nan
    # n counts an image once for each seed there; images are what is sampled
    sampled = zip(merged["ours"], merged["ours_std"], merged["n"] / merged["seeds"], strict=True)
    own = pd.DataFrame([stats.summary_interval(*values)[1:] for values in sampled], merged.index, ["low", "high"])
    for limit in ("low", "high"):
        merged[limit] = merged[limit].fillna(own[limit])
    merged["difference"] = merged["ours"] - merged["paper"]
    shown = ["source", "table", "row", "column", *keys, "paper", "paper_std", "ours", "ours_std", "low", "high", "n"]
    return merged[[*shown, "difference", "remark"]]


def _moments(trajectory: pd.DataFrame) -> pd.DataFrame:
    """init, max (of the mean) and end of each way through a purifier."""
    rows = []
    for _, way in trajectory.groupby(["purifier", "attack", "knowledge", "distance"], sort=False):
        way = way.sort_values("step")
        for moment, row in (("init", way.iloc[0]), ("max", way.loc[way["mean"].idxmax()]), ("end", way.iloc[-1])):
            rows.append(row.to_dict() | {"moment": moment})
    return pd.DataFrame(rows)
