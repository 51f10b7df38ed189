"""The attack stage through a real SLURM with four fake devices, by profiles/slurm as it is; and what goes wrong there.

One run for all: of its attacks one is cancelled, one overstays its time, one loses its node and one fails.
"""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import fake_gpus
import pytest
import yaml
from slurm import Cluster, missing, until
from workspace import ROOT, Workspace

if why := missing():
    pytest.skip(f"no SLURM to test with: {why}", allow_module_level=True)

PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())


@dataclass
class Run:
    """What became of it. The faulty jobs by their outputs; jobs as SLURM knows them, by their ids."""

    workspace: Workspace
    printed: str
    jobs: dict[str, dict[str, str]]
    cancelled: str
    late: str
    bereft: str  # its node's daemon was killed
    broken: str

    def attempts(self, output: str) -> list[dict]:
        return [note for note in fake_gpus.notes(self.workspace) if note["output"] == output]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("slurm"), PROFILE["default-resources"]["slurm_partition"]) as running:
        yield running


@pytest.fixture(scope="module")
def run(cluster, trained, tmp_path_factory):
    workspace = trained.copy(tmp_path_factory.mktemp("gpus") / "slurm")
    broken, *hanging = trained.outputs("attack")[:4]
    fake_gpus.fail(workspace, broken, "fail")
    for output in hanging:
        fake_gpus.fail(workspace, output, "hang")

    def hung():
        return [note for note in fake_gpus.notes(workspace) if note["output"] in hanging]

    profile = ("--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "2")
    process = workspace.start(*profile, "--until", "attack", **cluster.environment)
    with ThreadPoolExecutor() as pool:
        printing = pool.submit(process.communicate)
        try:
            until("three jobs hang", lambda: len(hung()) == 3, 300)
            nodes = [note["node"] for note in hung()]
            # two of three are on one node: it stays
            bereft, cancelled, late = sorted(hung(), key=lambda note: nodes.count(note["node"]))
            subprocess.run(["scancel", cancelled["slurm"]], check=True)
            # as if its time had run out; SLURM counts in minutes
            subprocess.run(["scontrol", "update", f"JobId={late['slurm']}", "EndTime=now"], check=True)
            cluster.kill(bereft["node"])
            until("it is requeued", lambda: cluster.jobs()[bereft["slurm"]]["JobState"] == "PENDING", 120)
            # SLURM lets a requeued job wait for two minutes, in case the node comes back
            subprocess.run(["scontrol", "update", f"JobId={bereft['slurm']}", "StartTime=now"], check=True)
            printed = printing.result(timeout=300)[0]
        finally:
            process.kill()  # terminated, it would wait for its jobs
    faulty = {"cancelled": cancelled["output"], "late": late["output"], "bereft": bereft["output"], "broken": broken}
    return Run(workspace, printed, cluster.jobs(), **faulty)


def test_all_but_the_failing_job_come_to_their_end_with_the_bytes_of_a_local_run(run, on_four_devices):
    here, there = on_four_devices.files(), run.workspace.files()
    assert set(here) - set(there) == {run.broken}
    assert there == {path: here[path] for path in there}


def test_there_are_never_more_jobs_at_work_than_devices_and_none_shares_its_device(run):
    times = [[datetime.fromisoformat(job[key]) for key in ("StartTime", "EndTime")] for job in run.jobs.values()]
    assert max(sum(begin <= moment < end for begin, end in times) for moment, _ in times) <= 4
    held = {(note["node"], note["device"]) for note in fake_gpus.notes(run.workspace)}
    assert held == {("vn1", "0"), ("vn1", "1"), ("vn2", "0"), ("vn2", "1")}
    assert fake_gpus.overlapping(fake_gpus.spans(run.workspace)) == []


def test_what_profile_and_rule_ask_for_reaches_slurm_and_a_retry_asks_for_more(run):
    asked = PROFILE["default-resources"]
    for job in run.jobs.values():
        assert (job["Partition"], job["TresPerJob"]) == (asked["slurm_partition"], "gres:gpu:1")
    for attempt, note in enumerate(run.attempts(run.broken), start=1):
        given = run.jobs[note["slurm"]]
        assert given["MinMemoryNode"] == f"{8000 * attempt}M"  # TENSORS of workflow/rules/common.smk
        assert given["TimeLimit"] == f"{4 * attempt:02}:00:00"


def test_a_failing_job_is_tried_again_and_reported_with_its_log(run):
    attempts = [attempt["slurm"] for attempt in run.attempts(run.broken)]
    assert [run.jobs[job]["JobState"] for job in attempts] == ["FAILED"] * (1 + PROFILE["retries"])
    for job in attempts:
        (reported,) = [b for b in run.printed.split("Error in rule attack:") if f"external_jobid: {job}\n" in b]
        assert f"output: {run.broken}\n" in reported
        (log,) = re.findall(r"^ +log: ([^,\n]+\.log),", reported, re.MULTILINE)
        assert f"Logfile {log}:" in reported and "ValueError: broken for the test" in reported
    assert (run.workspace.path / log).read_text() in reported  # of the last attempt, with the traceback
    assert run.workspace.pending("--until", "attack") == [("attack", run.broken)]


@pytest.mark.parametrize(("which", "state"), [("cancelled", "CANCELLED"), ("late", "TIMEOUT")])
def test_a_job_that_slurm_ended_is_submitted_again(run, which, state):
    first, second = run.attempts(getattr(run, which))
    assert run.jobs[first["slurm"]]["JobState"] == state
    assert f"SLURM-job '{first['slurm']}' failed, SLURM status is: '{state}'" in run.printed
    assert run.jobs[second["slurm"]]["JobState"] == "COMPLETED"


def test_a_job_that_lost_its_node_is_made_on_another(run):
    first, *_, last = run.attempts(run.bereft)
    assert first["node"] != last["node"]
    assert run.jobs[last["slurm"]]["JobState"] == "COMPLETED"
