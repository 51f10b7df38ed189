"""The memory at hand: a job's share, within what is free and what its control groups allow."""

import os

import pytest
import torch

from purity.diffusion import memory

GIB = 2**30


@pytest.fixture
def machine(monkeypatch):
    """machine(…) is a host of 8 processors with this memory (GiB)."""

    def made(total, free, resident=0, limits=()):
        monkeypatch.setattr(os, "cpu_count", lambda: 8)
        monkeypatch.setattr(memory, "_memory", lambda: (total * GIB, free * GIB))
        monkeypatch.setattr(memory, "_resident", lambda: resident * GIB)
        monkeypatch.setattr(memory, "_limits", lambda: [(a * GIB, b * GIB) for a, b in limits])
        return lambda threads: memory.of_host(threads) / GIB

    return made


def test_a_job_may_take_the_share_of_its_processors_less_what_it_holds(machine):
    room = machine(total=64, free=60, resident=2)
    assert [room(n) for n in (1, 2, 4, 8, 100)] == [6, 14, 30, 60, 60]


def test_jobs_beside_each_other_do_not_take_more_than_there_is(machine):
    room = machine(total=64, free=64)
    assert 8 * room(1) <= 64 and 2 * room(4) <= 64


def test_no_more_than_is_free(machine):
    assert machine(total=64, free=3)(8) == 3


def test_nothing_where_a_job_holds_more_than_its_share(machine):
    assert machine(total=64, free=60, resident=9)(1) == 0


def test_a_control_group_is_the_whole_machine_to_those_inside(machine):
    room = machine(total=64, free=60, limits=[(16, 4), (32, 8)])
    assert room(8) == 12 and room(4) == 8


def test_this_machine_has_some(tmp_path):
    total, free = memory._memory()
    assert 0 < free <= total
    assert 0 < memory._resident() < total
    assert 0 <= memory.at_hand(torch.device("cpu")) < total
    assert all(limit > 0 and used >= 0 for limit, used in memory._limits())


def test_a_file_that_is_not_there_or_says_max_is_no_limit(tmp_path):
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "some").write_text("123\n")
    found = [memory._number(tmp_path / name) for name in ("absent", "max", "some")]
    assert found == [None, None, 123]
