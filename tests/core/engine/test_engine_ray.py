"""The Ray engine writes what the local one writes, on one node or several, and loses nothing with a node.

All of this file is done on one cluster of two nodes, in the order of the file: some tests take a node away.
"""

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from operator import attrgetter
from types import SimpleNamespace

import pytest
from fault_task import FaultTask, SourcedTask, misbehave

from voxtile.corpus.reader import Corpus
from voxtile.engine.failure import Failure
from voxtile.engine.job import Setup
from voxtile.engine.local import ItemStarted
from voxtile.engine.parallel import parallel_map
from voxtile.engine.plan import TaskIdentity, plan_jobs
from voxtile.engine.ray_cluster import RayEngine, connection, jobs, planning, slots
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.worker_process import Limits
from voxtile.errors import ConfigError, CorpusError, MissingExtraError, RunFailedError

pytestmark = [pytest.mark.timeout(1000), pytest.mark.in_order]
OPTIONS = RunOptions(job_items=2, time_limit_s=3.0, memory_limit_gb=0.5)
NAMES = ("ok-1", "bad-1", "drop-1", "same-1", "ok-2", "segfault-1", "same-2", "ok-3", "ok-4", "once-1", "ok-5", "ok-6")


@pytest.fixture(scope="module")
def ray():
    """The package, which takes seconds to import: only where these tests run."""
    return pytest.importorskip("ray")


def started():
    """The cluster and its other node. Ray gives its processes 15 s to start, which a very busy machine may not keep.

    A node that is gone is missed within seconds, where Ray would take half a minute; a busy one has as long as ever.
    """
    from ray.cluster_utils import Cluster

    looks = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 300, "health_check_timeout_ms": 30_000}
    head = {"num_cpus": 1, "include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
    head["_system_config"] = looks
    for _ in range(3):
        made = Cluster()
        try:
            made.add_node(**head)
            node = made.add_node(num_cpus=1)
            made.wait_for_nodes(timeout=120)
        except Exception as error:  # Ray has no class for it
            made.shutdown()
            if not connection.is_slow_start(str(error)):
                raise
        else:
            return made, node
    pytest.skip("Ray does not start within its own limits: the machine is too busy")


@pytest.fixture(scope="module")
def cluster(ray):
    """A head and another node, of one processor each, to which this process is connected."""
    made, node = started()
    ray.init(address=made.address, log_to_driver=False, logging_level="error")
    yield made, node
    ray.shutdown()
    made.shutdown()


def convert(folder, engine, names=NAMES, workers=2, options=OPTIONS, **settings):
    (folder / "scratch").mkdir(parents=True)
    task = FaultTask(names, scratch=str(folder / "scratch"), **settings)
    run_task(task, folder / "corpus", replace(options, engine=engine, workers=workers))
    return folder / "corpus"


def test_two_nodes_write_what_two_local_processes_write(ray, cluster, tmp_path, snapshot):
    expected = convert(tmp_path / "local", "local")
    assert snapshot(convert(tmp_path / "ray", "ray")) == snapshot(expected)
    rows = Corpus(tmp_path / "ray" / "corpus").ledger().to_pylist()
    assert {row["source"]: row["error_class"] for row in rows}["segfault-1"] == "SIGSEGV"
    assert [row["reason"] for row in rows if row["source"].startswith("same")].count("duplicate") == 1
    assert ray.is_initialized(), "a connection that others have made stays"


def test_a_plan_is_read_on_the_nodes_as_here(cluster, monkeypatch):
    """Results and failures in order, and of a read that dies or hangs one file is lost; slots are kept for the jobs."""
    monkeypatch.setattr(planning, "FEWEST", 1)
    monkeypatch.setattr(planning, "CHUNK", 4)
    names = [f"{kind}-{n}" for n, kind in enumerate(["ok", "ok", "bad", "ok", "exit", "ok", "bug"] * 3)]
    limits = Limits(time_s=5.0, memory_bytes=1 << 29)
    expected = parallel_map(misbehave, names, workers=2, limits=limits)
    reader = replace(RunOptions(engine="ray", workers=2).plan_reader, limits=limits)
    calls = []
    ordered = slots.Slots.ordered
    monkeypatch.setattr(slots.Slots, "ordered", lambda self, *args: calls.append(args) or ordered(self, *args))
    found = reader.map(misbehave, names)
    what = attrgetter("reason", "sentence", "error_class")
    assert [what(r) if isinstance(r, Failure) else r for r in found] == [
        what(r) if isinstance(r, Failure) else r for r in expected
    ]
    assert len(calls) == 1
    assert slots.joined(2) is slots.joined(2)


def test_no_more_jobs_are_in_flight_than_there_are_slots(cluster, tmp_path):
    """What waits for a slot waits in the program: of many jobs the cluster holds two."""
    task = FaultTask(tuple(f"ok-{number}" for number in range(24)))
    setup = Setup(task, tmp_path / "corpus")
    setup.scratch.mkdir(parents=True)
    jobs = plan_jobs(TaskIdentity.of(task), task.items(), job_cost=1 << 30, job_items=2)
    active, most = set(), 0
    with RayEngine(2, Limits()).session(setup) as session:
        for job in jobs:
            session.submit(job)
        for event in session.events():
            if isinstance(event, ItemStarted):
                active.add(event.job.id)
            else:
                active.discard(event.result.job.id)
            assert len(session.slots._busy) <= 2
            most = max(most, len(active))
    assert len(jobs) == 12
    assert most <= 2
    assert not active


def test_results_come_in_order_and_calls_are_drawn_as_they_are_wanted(cluster):
    drawn = []

    def calls():
        for number in range(30):
            drawn.append(number)
            yield "__getitem__", (number,)

    with slots.joined(2) as lent:
        lent.hold(list, range(100, 0, -1))
        for given, found in enumerate(lent.ordered(calls(), "numbers")):
            assert found == 100 - given
            assert len(drawn) <= given + 1 + 4, "two for each slot, and the one that is handed over"
    assert given == 29


@pytest.mark.sweep(ci=True)
def test_a_job_that_takes_its_slots_down_ends_the_run(cluster, tmp_path):
    with pytest.raises(CorpusError, match="lost with its node 3 times"):
        convert(tmp_path, "ray", ("ok-1", "ok-2", "parent-1"), workers=1)
    done = Corpus(tmp_path / "corpus").ledger().to_pylist()
    assert {row["source"] for row in done} <= {"ok-1", "ok-2"}


def test_a_slot_that_is_stopped_while_its_node_goes_on_is_given_up(cluster, tmp_path, monkeypatch, capsys):
    """Ray knows of nothing: the run waited without end."""
    monkeypatch.setattr(jobs, "BEAT_S", 0.2)
    monkeypatch.setattr(jobs, "STILL_S", 4.0)
    names = ("ok-1", "stopped-1", "ok-2", "ok-3")
    try:
        convert(tmp_path / "ray", "ray", names)
    finally:
        os.kill(int((tmp_path / "ray/scratch/stopped-1").read_text()), signal.SIGKILL)
    rows = Corpus(tmp_path / "ray" / "corpus").ledger().to_pylist()
    assert {row["source"]: row["status"] for row in rows} == dict.fromkeys(names, "used")
    assert "it has not shown for minutes that it lives" in capsys.readouterr().err


def test_the_first_failure_ends_a_run_that_is_to_stop(cluster, tmp_path):
    task = FaultTask(("ok-1", "bad-1", "ok-2"))
    with pytest.raises(RunFailedError, match="bad-1"):
        run_task(task, tmp_path / "corpus", replace(OPTIONS, engine="ray", workers=1, on_error="stop"))


def test_a_node_of_another_version_and_one_that_sees_nothing_are_refused(cluster, tmp_path, monkeypatch):
    real = connection.versions()
    monkeypatch.setattr(slots, "versions", lambda **_: {**real, "voxtile": "1.2.3"})
    with pytest.raises(ConfigError, match=r"has voxtile .*and the plan was made with 1\.2\.3; install the same"):
        convert(tmp_path / "one", "ray", workers=1)
    assert not (tmp_path / "one/corpus").exists(), "nothing is made for a run that cannot begin"
    monkeypatch.undo()
    task = SourcedTask(("ok-1",), source=tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="does not see the corpus or its inputs"):
        run_task(task, tmp_path / "two", replace(OPTIONS, engine="ray", workers=1))


def test_a_cluster_without_room_is_said(ray, cluster, tmp_path, monkeypatch, capsys):
    """Both processors are taken by somebody else."""
    taken = [ray.remote(num_cpus=1)(dict).remote() for _ in range(2)]
    ray.get([other.__ray_ready__.remote() for other in taken])
    monkeypatch.setattr(slots, "PATIENCE_S", 3.0)
    monkeypatch.setattr(slots, "NOTE_S", 0.5)
    with pytest.raises(ConfigError, match="no node of the Ray cluster has had a free processor for 3 s"):
        convert(tmp_path, "ray")
    assert capsys.readouterr().err.count("is ready with a free processor yet; the command waits 3 s") == 1
    assert not (tmp_path / "corpus").exists()
    for other in taken:
        ray.kill(other)


def test_a_cluster_that_went_away_is_said_and_not_waited_for(ray, cluster, monkeypatch):
    """Ray itself would end the program after a minute, without a word."""
    monkeypatch.setattr(connection, "_LOOK_S", 0.0)
    monkeypatch.setattr(connection, "GONE_S", 0.5)
    gone = slots.Slots(connection.Connection(ray, False, "127.0.0.1:1"), 1)
    gone.hold(time.sleep, 30)
    gone.submit(slots.Call(0, "__call__", (), "a job"))
    with gone, pytest.raises(CorpusError, match=r"at 127\.0\.0\.1:1 went away; what is committed stays: start"):
        list(gone.events())


@pytest.mark.sweep(ci=True)
def test_a_node_that_is_lost_costs_only_its_jobs(cluster, tmp_path, snapshot, monkeypatch, capsys):
    """The cluster has one node less from here on."""
    made, node = cluster
    names = tuple(f"ok-{number}" for number in range(16))
    expected = convert(tmp_path / "local", "local", names)
    started = []
    lost = slots.Slots._lost
    monkeypatch.setattr(
        slots.Slots, "_lost", lambda *args: (started.append(args[0]._busy[args[1]][1].title), lost(*args))
    )

    ended = threading.Event()

    def lose_one():
        done = tmp_path / "ray" / "corpus" / "done"
        while len(list(done.glob("*.json"))) < 2 and not ended.wait(0.05):
            pass
        made.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=lose_one)
    killer.start()
    patient = replace(OPTIONS, time_limit_s=120.0)  # no item hangs here: only the node may be lost
    try:
        found = convert(tmp_path / "ray", "ray", names, options=patient, seconds=0.4)
    finally:
        ended.set()
        killer.join()
    assert len(started) == 1, "one slot was lost, with one job"
    said = capsys.readouterr()
    assert f"note: a worker of the Ray cluster was lost with '{started[0]}', which another does" in said.err
    assert snapshot(found) == snapshot(expected)
    assert not list((found / "done").glob("*.pending"))


def test_workers_that_end_as_they_start_are_not_started_for_ever(ray, cluster, monkeypatch):
    monkeypatch.setattr(slots, "MOST_LOST_STARTING", 1)
    dying = slots.Slots(connection.Connection(ray, False, ""), 1)
    dying.hold(os._exit, 1)
    with dying, pytest.raises(CorpusError, match="2 workers in a row ended as they started on the Ray cluster"):
        dying.start()


@pytest.mark.parametrize("late", ["The current node timed out during startup.", "Failed to start GCS.  Last 0 lines"])
def test_a_cluster_that_is_slow_to_start_here_is_started_again(monkeypatch, late):
    """What Ray 2.60 raises after half a minute, and any other fault at once."""
    faults = [Exception(late), None, Exception("no disk")]
    started = []
    ours = SimpleNamespace(
        is_initialized=lambda: False,
        init=lambda **options: started.append(options) or raise_any(faults.pop(0)),
        shutdown=lambda: started.append("ended"),
        get_runtime_context=lambda: SimpleNamespace(gcs_address="here"),
    )
    monkeypatch.setitem(sys.modules, "ray", ours)
    monkeypatch.setattr(connection, "require_ray", lambda: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert connection.connect(2).is_ours
    assert [one if one == "ended" else (one["address"], one["num_cpus"]) for one in started] == [
        ("local", 2), "ended", ("local", 2)
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="no disk"):
        connection.connect(2)


def test_a_cluster_that_is_made_here_listens_on_this_machine_alone(ray, monkeypatch):
    from ray._private import services

    variable = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
    monkeypatch.setattr(ray._private.worker, "_global_node", None)  # whose address would be told
    monkeypatch.delenv(variable, raising=False)
    seen, elsewhere = [], services.get_node_ip_address()
    init = lambda **_: seen.append((services.get_node_ip_address(), os.environ.get(variable)))  # noqa: E731
    ours = SimpleNamespace(init=init, _private=ray._private)
    connection._start(ours, {})
    monkeypatch.setenv(variable, "1")
    connection._start(ours, {})
    assert seen == [("127.0.0.1", "0"), (elsewhere, "1")]


def raise_any(fault):
    if fault is not None:
        raise fault


def test_without_the_package_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(connection.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"'ray' is not installed; .* 'voxtile\[ray\]'"):
        convert(tmp_path, "ray")
    with pytest.raises(MissingExtraError):
        _ = RunOptions(engine="ray").plan_reader
    assert not (tmp_path / "corpus").exists()
