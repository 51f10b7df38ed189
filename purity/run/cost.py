"""What a run will cost: network evaluations of every rule, and hours on the device that was calibrated."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

NO_PURIFIER = {"evaluations": 0, "forward": 0.0, "gradient": 0.0}
OTHERS = "others"  # rules whose work takes minutes


FORECAST = "This is a forecast: nothing was computed and no figures were made. The same command without `cost` does."


def others(paths: Iterable[str]) -> Iterator[dict]:
    """Jobs, by their outputs, of which only the start counts."""
    for path in paths:
        yield {"rule": OTHERS, "path": path, "purifier": None, "done": Path(path).exists()}


def rows(jobs: list[dict], calibration: dict) -> pd.DataFrame:
    """A row for each job: rule, path, done, purifications, network evaluations, hours with its start.

    jobs: {rule, path, purifier (None for the bare classifier), done} and what it does: attack and images; or
    purifications; or jacobians (images whose Jacobian is taken, a gradient for each pixel); or updates (images of
    training) with a gradient each and `looks` more for the perturbation, the classifier's too.
    """
    made = []
    for job in jobs:
        f = calibration["purifiers"].get(job["purifier"], NO_PURIFIER)
        n = job.get("purifications", 0)
        work = {"purify": n, "classify": n, "classify_gradient": 0}
        work["purify_gradient"] = job.get("jacobians", 0) * calibration["pixels"]
        if "attack" in job:
            counted = calibration["attacks"][job["attack"]]
            work = {kind: job["images"] * count for kind, count in counted.items()}
        total = work["purify"] + work["purify_gradient"]
        took = work["purify"] * f["forward"] + work["purify_gradient"] * f["gradient"]
        took += work["classify"] * calibration["classify"]["forward"]
        took += work["classify_gradient"] * calibration["classify"]["gradient"]
        gradients = job.get("updates", 0) * (1 + job.get("looks", 0))
        took += gradients * f["gradient"] / max(f["evaluations"], 1)
        took += job.get("updates", 0) * job.get("looks", 0) * calibration["classify"]["gradient"]
        row = {"rule": job["rule"], "path": job["path"], "done": job["done"], "purifications": total}
        row |= {"evaluations": total * f["evaluations"] + gradients}
        made.append(row | {"hours": (took + calibration["start"]) / 3600})
    return pd.DataFrame(made)


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """By rule, and of all: jobs, those done, purifications, evaluations, hours, hours still to do; minutes of the
    longest job and its path."""
    left = rows["hours"].where(~rows["done"], 0.0)
    summed = rows.assign(**{"jobs": 1, "hours left": left, "done": rows["done"].astype(int)}).groupby(
        "rule", sort=False
    )
    columns = ["jobs", "done", "purifications", "evaluations", "hours", "hours left"]
    by_rule = summed[columns].sum()
    longest = rows.loc[summed["hours"].idxmax()].set_index("rule")
    by_rule.loc["all"] = by_rule.sum()
    by_rule = by_rule.astype(dict.fromkeys(columns[:4], int))
    return by_rule.assign(minutes=60 * longest["hours"], longest=longest["path"]).reset_index()


def said(rows: pd.DataFrame, experiment: str, calibration: dict) -> str:
    """The table as text for a terminal."""
    made = table(rows)
    shown = made.drop(columns=["minutes", "longest"])
    for column in ("purifications", "evaluations"):
        shown[column] = shown[column].map("{:,}".format)
    for column in ("hours", "hours left"):
        shown[column] = shown[column].map(lambda hours: f"{hours:,.2f}" if hours < 10 else f"{hours:,.0f}")
    long = made[~made["rule"].isin([OTHERS, "all"])]
    width = max(map(len, long["rule"]), default=0)
    starts = len(rows) * calibration["start"] / 3600
    return "\n".join(
        [
            f"{experiment}: hours on one {calibration['device']}",
            shown.to_string(index=False),
            f"The start of a job, {calibration['start']:.1f} s, is in it: {starts:.2f} hours of {len(rows)} jobs.",
            "An evaluation is one pass through the diffusion model; a gradient's pass back is in the hours only.",
            "The work of `others` is not in it: caps, margins, measures, tables and figures take minutes; "
            "how long a classifier's training takes, only its images tell.",
            "The longest job of each rule, in minutes, for `runtime` (leave it some room):",
            *(f"  {job.rule:<{width}} {job.minutes:>8,.1f}  {job.longest}" for job in long.itertuples()),
        ]
    )
