"""Jobs, and Snakemake itself, killed at work: nothing looks complete, and the next run goes on."""

import os
import signal
import time

import pytest

R = "results/tiny"
SLOW = """
import time

def slow():
    def purify(x, xi):
        open("started", "w").close()
        time.sleep(60)
        return x
    return purify
"""


@pytest.mark.parametrize("victim", ["script", "snakemake"])
def test_killed_at_work_nothing_looks_complete_and_the_next_run_goes_on(workspace, victim):
    (workspace.path / "mine.py").write_text(SLOW)
    workspace.configure(lambda c: c["purifiers"].update(mine={"make": "mine:slow"}))
    workspace.configure(lambda c: c["experiments"]["tiny"]["attacked"].update(mine={"pgd": ["all"]}))
    target = f"{R}/adversarial/mine/pgd/all/images-00000-00005.zarr.zip"
    process = workspace.start(target)
    deadline = time.monotonic() + 240
    while not (workspace.path / "started").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    if victim == "snakemake":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        for pid in children(process.pid):
            os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not (workspace.path / target).exists()
    workspace.edit("mine.py", "time.sleep(60)", "pass")
    if victim == "snakemake":
        workspace.run("--unlock")
    workspace.run("--rerun-incomplete", target)
    assert (workspace.path / target).exists()


def children(pid: int) -> list[int]:
    """Processes below a process."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found += [int(entry), *children(int(entry))]
    return found
