"""What runs and how long it will take, read from the files that jobs and runs keep."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from purity.run import status
from purity.run.forecast import Recorded
from purity.run.status import Running


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def job(name: str, rule: str = "attack") -> tuple[str, str, str]:
    return rule, f"results/e/{name}", f"results/e/logs/{name}.log"


def makes(name: str, seconds: float | None = None) -> None:
    """As a job does that ends."""
    path = Path(f"results/e/{name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    if seconds is not None:
        recorded(name, seconds)


def recorded(name: str, seconds: float) -> None:
    record = Path(f"results/e/logs/{name}.json")
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({"seconds": seconds}))


def left(*jobs, **given) -> tuple[int, float | None]:
    status.begins(jobs, **given)
    run = json.loads(Path(status.RUN).read_text())
    return status.left(run, status.running())


def test_nothing_runs():
    assert list(status.lines()) == ["Nothing runs."]


def test_a_job_says_what_it_is_where_it_is_and_how_long_it_needs_and_is_gone_when_it_ends():
    one = Running(Path("results/e/logs/a.log"), "attack ddpm, pgd, all")
    one.says()
    assert "attack ddpm, pgd, all: no word yet" in next(status.lines())
    one.says("1/3, 17/40", 0.2, 700)
    assert "attack ddpm, pgd, all: 1/3, 17/40, about 12 min left" in next(status.lines())
    one.ends()
    assert list(status.lines()) == ["Nothing runs."]


def test_a_killed_job_does_not_run():
    code = "from purity.run.status import Running; from pathlib import Path; "
    code += "Running(Path('results/e/logs/a.log'), 'attack').says(); import os; os.kill(os.getpid(), 9)"
    root = str(Path(__file__).parents[3])
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": root}, timeout=600)
    assert Path("results/e/logs/a.running").exists() and status.running() == []


def test_a_job_of_another_machine_that_is_silent_is_said_to_be():
    one = Running(Path("results/e/logs/a.log"), "attack")
    one.said |= {"host": "another", "pid": 1}
    one.says("1/2", 0.5, 60)
    said = json.loads(one.path.read_text())
    one.path.write_text(json.dumps(said | {"said": time.time() - 7200}))
    assert "nothing heard for 2.0 h" in next(status.lines())


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_damaged_file_is_no_job(content):
    Path("results/e/logs").mkdir(parents=True)
    Path("results/e/logs/a.running").write_text(content)
    assert list(status.lines()) == ["Nothing runs."]


def test_nothing_is_said_of_the_time_left_while_nothing_is_known():
    assert left(job("a"), job("b")) == (0, None)
    assert "0 of 2 jobs done, 0 at work" in list(status.lines())[-1]


def test_jobs_take_what_others_of_their_rule_took():
    recorded("old", 30.0)
    status.begins([job("a"), job("b"), job("old"), job("t", "tables")])
    makes("a", seconds=10.0)
    run = json.loads(Path(status.RUN).read_text())
    # b as the two of its rule that are known, `old` as before, t as all there are
    assert status.left(run, []) == (1, 20 + 30 + 20)


def test_what_was_there_before_the_run_is_not_done():
    makes("a")
    os.utime("results/e/a", (1, 1))
    recorded("a", 5.0)
    assert left(job("a")) == (0, 5.0)


def test_a_job_at_work_needs_what_it_says_and_jobs_share_the_places_there_are():
    for name in "ab":
        Running(Path(f"results/e/logs/{name}.log"), name).says("1/2", 0.5, 100.0)
    for name in "cd":
        recorded(name, 60.0)
    assert left(*map(job, "abcd")) == (0, (100 + 100 + 60 + 60) / 2)


def test_between_two_jobs_there_are_as_many_places_as_cores():
    for name in "abcd":
        recorded(name, 60.0)
    assert left(*map(job, "abcd"), cores=2) == (0, 120.0)


def test_what_jobs_took_elsewhere_counts_as_much_longer_as_they_take_here():
    elsewhere = Recorded("m", "d", "c", 0.1, 1.0, {"results/e/a": 9.0, "results/e/b": 19.0})
    status.begins([job("a"), job("b")], elsewhere)
    makes("a", seconds=30.0)
    run = json.loads(Path(status.RUN).read_text())
    assert status.left(run, []) == (1, pytest.approx(3 * 20))


def test_tables_and_figures_do_not_take_what_attacks_take():
    tables = [job(f"{k}.csv", f"{k}_tables") for k in range(10)]
    status.begins([job("a.zarr.zip"), job("b.zarr.zip", "purify"), *tables])
    run = json.loads(Path(status.RUN).read_text())
    makes("a.zarr.zip", seconds=600.0)
    assert status.left(run, []) == (1, 600.0)
    makes("3.csv", seconds=2.0)
    assert status.left(run, []) == (2, 600.0 + 9 * 2.0)


def test_a_run_that_was_killed_is_said_to_be():
    status.begins([job("a")])
    said = json.loads(Path(status.RUN).read_text())
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    Path(status.RUN).write_text(json.dumps(said | {"pid": dead.pid, "host": socket.gethostname()}))
    assert list(status.lines()) == ["0 of 1 jobs done. The run was stopped; the same command goes on with it."]
    status.ends()
    assert list(status.lines()) == ["Nothing runs."]


def test_a_run_says_a_line_now_and_then(monkeypatch):
    status.begins([job("a")])
    Running(Path("results/e/logs/a.log"), "attack").says("1/2", 0.5, 100.0)
    said: list = []
    stop = status.watch(said.append, every=0.01)
    while not said:
        time.sleep(0.01)
    stop()
    assert "0 of 1 jobs done, 1 at work, about 2 min left: attack: 1/2, about 2 min left" in said[0]
