"""What a run will cost: network evaluations of every stage, and hours on the device that was calibrated."""

import pandas as pd

NO_PURIFIER = {"evaluations": 0, "forward": 0.0, "gradient": 0.0}


def table(jobs: list[dict], calibration: dict) -> pd.DataFrame:
    """Jobs, purifications, network evaluations and hours by stage, and of those the hours still to do.

    jobs: {stage, purifier (None for the bare classifier), done} and what it does: attack and images; or purifications;
    or jacobians (images whose Jacobian is taken, a gradient for each pixel); or updates (images of training) with a
    gradient each and `looks` more for the perturbation, the classifier's too.
    """
    rows = []
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
        row = {"stage": job["stage"], "jobs": 1, "done": int(job["done"]), "purifications": total}
        row |= {"evaluations": total * f["evaluations"] + gradients, "hours": took / 3600}
        rows.append(row | {"hours left": 0.0 if job["done"] else took / 3600})
    by_stage = pd.DataFrame(rows).groupby("stage", sort=False).sum()
    by_stage.loc["all"] = by_stage.sum()
    return by_stage.astype({"jobs": int, "done": int, "purifications": int, "evaluations": int}).reset_index()


def said(made: pd.DataFrame, experiment: str, device: str) -> str:
    """The table as text for a terminal."""
    shown = made.copy()
    for column in ("purifications", "evaluations"):
        shown[column] = shown[column].map("{:,}".format)
    for column in ("hours", "hours left"):
        shown[column] = shown[column].map(lambda hours: f"{hours:,.2f}" if hours < 10 else f"{hours:,.0f}")
    lines = [
        f"{experiment}: hours on one {device}",
        shown.to_string(index=False),
        "An evaluation is one pass through the diffusion model; a gradient's pass back is in the hours only.",
        "Training, caps, margins, measures, tables and figures are not in it: they take minutes.",
    ]
    return "\n".join(lines)
