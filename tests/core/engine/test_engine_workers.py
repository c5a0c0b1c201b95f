"""Processes start once a run, though it plans and works, and what limits one holds for each of its pools."""

import os

import psutil
import pytest
from fault_task import PidTask, limit_of, misbehave, pid_of

from voxtile.engine.failure import Failure
from voxtile.engine.parallel import PlanReader, parallel_map
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.worker_process import Limits, workers_kept


def test_processes_that_read_for_the_plan_do_the_work_too_and_end_with_the_run(tmp_path):
    task = PidTask(noted=str(tmp_path / "pids"), reader=PlanReader(1, Limits(60.0)))
    summary = run_task(task, tmp_path / "corpus", RunOptions(workers=1))
    assert summary.used == 2
    planned, *worked = (tmp_path / "pids").read_text().split()
    assert set(worked) == {planned} != {str(os.getpid())}
    assert not psutil.pid_exists(int(planned))


def test_an_item_alone_has_a_process_of_its_own_also_where_idle_ones_are_kept():
    with workers_kept():
        first = parallel_map(pid_of, ["ok-1"], workers=1)
        again = parallel_map(pid_of, ["ok-1", "once more"], workers=1)
        assert set(again) == set(first)
        lost = parallel_map(misbehave, ["segfault-1", "ok-1"], workers=1)
        assert isinstance(lost[0], Failure)
        assert lost[1] == 4
        assert parallel_map(pid_of, ["ok-1"], workers=1) != first
    (alone,) = parallel_map(pid_of, ["ok-1"], workers=1)
    assert parallel_map(pid_of, ["ok-1"], workers=1) != [alone]


def test_the_memory_limit_is_that_of_the_pool_that_a_process_works_for():
    with workers_kept():
        (first,) = parallel_map(pid_of, ["ok-1"], workers=1, limits=Limits(memory_bytes=1 << 30))
        (second,) = parallel_map(limit_of, ["ok-1"], workers=1, limits=Limits(memory_bytes=2 << 30))
    assert second[0] == first
    assert second[1] == pytest.approx(2 << 30, rel=0.2)
