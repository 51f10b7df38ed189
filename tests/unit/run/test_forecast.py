"""How long a run will take: from what its jobs took elsewhere."""

import pytest
import yaml

from purity.run import forecast
from purity.run.forecast import Recorded, expected

RECORDED = Recorded("some machine", "2026-01-01", "snakemake all", 0.1, 1.0, {"a": 10.0, "b": 20.0, "c": 90.0})


def test_jobs_share_the_cores():
    assert expected(["a", "b"], RECORDED, 1.0, 1) == 32
    assert expected(["a", "b", "a", "b"], RECORDED, 1.0, 2) == 32


def test_a_run_is_no_shorter_than_its_longest_job():
    assert expected(["a", "c"], RECORDED, 1.0, 8) == 91


def test_a_slower_machine_takes_as_much_longer():
    assert expected(["a", "b", "c"], RECORDED, 2.5, 2) == 2.5 * expected(["a", "b", "c"], RECORDED, 1.0, 2)


def test_a_job_that_was_not_recorded_counts_its_start():
    assert expected(["a", "new"], RECORDED, 1.0, 1) == expected(["a"], RECORDED, 1.0, 1) + 1


def test_nothing_is_said_of_a_run_with_nothing_or_little_to_do(monkeypatch):
    monkeypatch.setattr(forecast.subprocess, "run", lambda *a, **k: pytest.fail("the machine was measured"))
    assert forecast.said([], RECORDED, 2) is None and forecast.said(["a", "b"], RECORDED, 2) is None


def test_what_is_said_follows_the_speed_of_this_machine(monkeypatch):
    class Measured:
        returncode, stdout = 0, "0.2\n"  # twice as long as recorded

    monkeypatch.setattr(forecast.subprocess, "run", lambda *a, **k: Measured)
    # 2 · (91 + 91 + 11 + 11) / 2 = 204 s
    assert "4 jobs: about 3 min on 2 cores" in forecast.said(["c", "c", "a", "a"], RECORDED, 2)


def test_a_python_without_torch_says_nothing(monkeypatch):
    class Failed:
        returncode, stdout = 1, ""

    monkeypatch.setattr(forecast.subprocess, "run", lambda *a, **k: Failed)
    assert forecast.said(["c", "c"], RECORDED, 2) is None


def test_the_shipped_record_is_one_and_a_damaged_one_is_named(tmp_path):
    shipped = forecast.read(forecast.RECORDED)
    assert shipped.workload > 0 and shipped.start > 0 and all(took >= 0 for took in shipped.jobs.values())
    path = tmp_path / "recorded.yaml"
    path.write_text(yaml.safe_dump({"machine": "none"}))
    with pytest.raises(ValueError, match=r"recorded\.yaml"):
        forecast.read(path)


def test_the_piece_of_work_takes_time():
    assert 0 < forecast.workload(rounds=1) < float("inf")


def test_the_start_of_a_job_takes_time_and_what_is_not_there_is_no_fault():
    assert forecast.start("json", "no_such_module_anywhere") > 0
