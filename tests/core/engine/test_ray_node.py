"""What runs on a node of a Ray cluster, without a cluster: an object is held, and processes serve what is held next."""

import os
import pickle
import signal
import socket
import sys
import threading
import time
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest
from fault_task import FaultTask, pid_of

from voxtile.corpus.header import new_corpus
from voxtile.engine.commit import take_back
from voxtile.engine.job import Setup
from voxtile.engine.local import JobCommitted
from voxtile.engine.plan import TaskIdentity, plan_jobs
from voxtile.engine.ray_cluster import connection, jobs, slots
from voxtile.engine.ray_cluster.connection import versions, wrong_version
from voxtile.engine.ray_cluster.jobs import _SEEN, _JobRunner, _RaySession
from voxtile.engine.ray_cluster.on_node import OnNode
from voxtile.engine.ray_cluster.planning import _FileReader
from voxtile.engine.ray_cluster.slots import Call, Slots
from voxtile.engine.worker_process import Limits, running_pool
from voxtile.errors import CorpusError


@pytest.fixture
def node(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    made = OnNode(sys.path, os.getcwd())
    yield made
    made.close()


def test_a_process_that_read_for_the_plan_does_what_comes_after_it(node):
    made = pickle.dumps((_FileReader, (pid_of, Limits())))
    found = []
    for _ in range(2):
        assert node.open(versions(), made) is None
        found += node.call("read", (["one", "other"],))
    assert found == [("done", [found[0][1][0]] * 2)] * 2
    assert found[0][1][0] != os.getpid()
    assert running_pool() is None, "nobody else's pools are given it"


def test_what_is_wrong_with_a_node_or_a_call_is_said(node):
    kind, said = node.open({**versions(), "numpy": "0.1"}, None)
    assert kind == "ConfigError"
    assert "and the plan was made with 0.1; install the same there" in said
    assert node.open(versions(), pickle.dumps((list, ("ab",)))) is None
    assert list(node.call("__len__", ())) == [("done", 2)]
    assert list(node.call("__iter__", ())) == [("part", "a"), ("part", "b"), ("done", None)]
    assert list(node.call("pop", (7,))) == [("raised", ("", "IndexError: pop index out of range"))]


def eventually(holds):
    """Whether it holds within a minute."""
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def test_nodes_that_compute_have_the_same_torch_whatever_it_was_built_for(monkeypatch):
    """Figures of an evaluation and vectors came from whatever torch a node had."""
    made_with = {"torch": "2.9.1+cpu"}

    def version(name):
        if (found := made_with.get(name, "1.0")) is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(connection, "version", version)
    expected = versions(computes=True)
    assert expected["torch"] == "2.9.1"
    assert "torch" not in versions()
    made_with["torch"] = "2.9.1+cu130"
    assert wrong_version(expected) is None
    for there, said in (
        ("2.8.0+cpu", "has torch 2.8.0, and the plan was made with 2.9.1"),
        (None, "has no torch, and"),
    ):
        made_with["torch"] = there
        assert said in (wrong_version(expected) or "")
        assert wrong_version(versions()) is None


def test_slots_of_a_model_ask_for_torch():
    asked = []
    slot = SimpleNamespace(open=SimpleNamespace(remote=lambda expected, _: asked.append(expected)))
    remote = SimpleNamespace(remote=lambda **_: lambda _: None)
    for computes in (True, False):
        Slots(SimpleNamespace(ray=remote), 1, computes=computes)._opened(slot)
    assert ["torch" in expected for expected in asked] == [True, False]


@pytest.fixture
def run(tmp_path):
    """What a slot is given, and a job."""
    task = FaultTask(("ok-1",))
    setup = Setup(task, tmp_path / "corpus")
    new_corpus(setup.root)
    setup.scratch.mkdir()
    (setup.scratch / _SEEN).touch()
    return setup, plan_jobs(TaskIdentity.of(task), task.items(), job_cost=1 << 30, job_items=2)[0]


def test_a_slot_that_was_given_up_publishes_no_more(run):
    setup, job = run
    runner = _JobRunner(setup, Limits())
    try:
        lease, item, result = runner.run(job, frozenset())
        assert (item, result.job) == (0, job)
        done = setup.root / "done" / f"{job.id}.json"
        before = done.stat().st_mtime_ns
        take_back(lease)
        with pytest.raises(CorpusError, match="the run of this job has ended, or has given it to another worker"):
            list(runner.run(job, frozenset()))
        assert done.stat().st_mtime_ns == before
    finally:
        runner.close()


def test_a_lost_slot_may_not_publish_before_another_has_the_job(run, tmp_path):
    _, job = run
    lease, other = (tmp_path / f"{name}.lease" for name in ("one", "other"))
    call = Call(job, "run", (), job.stem)

    def events(_stands_still):
        lease.touch()
        yield call, "part", lease
        yield call, "part", 0
        yield call, "lost", None
        assert not lease.exists()
        other.touch()
        yield call, "part", other
        yield call, "part", "what was committed"
        yield call, "done", None

    *_, last = _RaySession(SimpleNamespace(events=events)).events()
    assert last == JobCommitted("what was committed")
    assert other.exists()


def test_a_slot_lives_as_long_as_its_lease_is_written_anew(tmp_path, monkeypatch):
    now, lease, beats = 0.0, tmp_path / "a.lease", iter(range(1, 1000))
    call = Call(SimpleNamespace(id="j"), "run", (), "j")
    session = _RaySession(SimpleNamespace())
    monkeypatch.setattr(jobs.time, "monotonic", lambda: now)

    def after(seconds, *, beat):
        nonlocal now
        now += seconds
        if beat:
            os.utime(lease, ns=(0, next(beats)))
        return session._stands_still(call)

    lease.touch()
    session._leases["j"] = lease
    assert not any(after(jobs.BEAT_S, beat=True) for _ in range(100))
    assert not after(jobs.STILL_S - 1, beat=False)
    assert not after(jobs.BEAT_S, beat=True)
    assert not after(jobs.STILL_S, beat=False)
    assert after(jobs.BEAT_S, beat=False)
    session._beats.clear()  # another slot has it, which says nothing from the start
    session._leases.clear()
    assert not after(0, beat=False)
    assert after(jobs.STILL_S + 1, beat=False)


class Reader:
    """A slot of a cluster that is none; the first that gets a call of `stops` stands still at it, or behind it."""

    def __init__(self, stops, stopped, behind):
        self.stops, self.stopped, self.behind = stops, stopped, behind
        self.call = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self.answers))

    def answers(self, method, arguments):
        if is_still := arguments[0] in self.stops:
            self.stops.clear()
            self.stopped.append(self)
        return self.Answers([("done", arguments[0] * 10)], (self.behind if is_still else 2))

    class Answers:
        def __init__(self, found, come):
            self.found, self.come = found, come

        @property
        def is_ready(self):
            return self.come > 0

        def __next__(self):
            self.come -= 1
            if not self.found:
                raise StopIteration
            return self.found.pop()


@pytest.mark.parametrize(("still", "behind"), [(0, 0), (7, 0), (3, 1), (7, 1), (None, 0)])
def test_what_a_reader_that_stands_still_does_not_read_another_one_reads(monkeypatch, capsys, still, behind):
    """It has no lease, since it writes nothing: the plan waited for it without end."""
    now, ended, stopped = [0.0], [], []
    stops = {still}

    def wait(streams, **_):
        now[0] += 40
        return [stream for stream in streams if stream.is_ready][:1], []

    errors = SimpleNamespace(RayActorError=ConnectionError, ObjectLostError=ConnectionError)
    ray = SimpleNamespace(wait=wait, get=lambda found: found, kill=ended.append, exceptions=errors)
    monkeypatch.setattr(slots.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Slots, "__post_init__", lambda self: None)
    lent = Slots(SimpleNamespace(ray=ray, look=lambda: None, is_lost=False), 2)
    lent._idle = [Reader(stops, stopped, behind) for _ in range(2)]
    assert list(lent.ordered((("read", (n,)) for n in range(8)), "headers")) == [n * 10 for n in range(8)]
    assert ended == stopped
    assert len(stopped) == (still is not None)
    said = " ".join(capsys.readouterr().err.split())
    assert ("far longer than others; another one does the same beside it" in said) is (still is not None and not behind)
    assert not lent._busy
    assert len(lent._idle) == (2 if still is None else 1)


def test_a_slot_shows_that_it_lives_until_its_lease_is_taken_back(run):
    setup, job = run
    runner = _JobRunner(setup, Limits(), 0.01)
    try:
        lease, *_ = runner.run(job, frozenset())
        os.utime(lease, ns=(0, 0))
        assert eventually(lambda: lease.stat().st_mtime_ns > 0)
        take_back(lease)
        assert eventually(lambda: not any(t.name == "shows life" for t in threading.enumerate()))
        assert not lease.exists()
    finally:
        runner.close()


def test_a_full_disk_is_said_by_a_slot_that_begins(run, monkeypatch):
    def full(path, *, exist_ok):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.touch", full)
    with pytest.raises(CorpusError, match=r"cannot write to the corpus .*No space left on device"):
        _JobRunner(run[0], Limits())


def test_ray_neither_prints_on_standard_output_nor_changes_what_a_signal_does(monkeypatch, capsys):
    """As Ray 2.60 does when a node is lost, with a page of its logs."""
    worker = SimpleNamespace(print_to_stdstream=print, _global_node=SimpleNamespace(raylet_socket_name="/a/raylet"))
    context = SimpleNamespace(gcs_address="127.0.0.1:1")
    ended = []
    ray = SimpleNamespace(
        _private=SimpleNamespace(worker=worker),
        is_initialized=lambda: False,
        init=lambda **_: signal.signal(signal.SIGTERM, lambda *_: None),
        shutdown=lambda: ended.append(True),
        get_runtime_context=lambda: context,
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(connection, "require_ray", lambda: None)
    monkeypatch.setattr(connection, "_reach", lambda address: None)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("RAY_NUM_REDIS_GET_RETRIES", "")
    monkeypatch.delenv("RAY_NUM_REDIS_GET_RETRIES")
    before = signal.getsignal(signal.SIGTERM)
    made = connection.connect(1)
    assert made.node == "/a/raylet"
    assert signal.getsignal(signal.SIGTERM) == before
    assert os.environ["RAY_NUM_REDIS_GET_RETRIES"] == "2", "else a port where something else listens takes 14 minutes"
    worker.print_to_stdstream({"lines": ["a node is gone"]}, ignore_prefix=False)
    assert capsys.readouterr().out == ""
    made.close()
    assert ended
    assert worker.print_to_stdstream is print


def test_a_node_of_this_machine_that_ends_is_said_and_its_cluster_not_asked(monkeypatch, tmp_path):
    """Ray would end the program some seconds later, without a word, with status 1."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(connection, "_LOOK_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as head, socket.socket(socket.AF_UNIX) as node:
        node.bind("node")
        node.listen()
        ours = SimpleNamespace(shutdown=lambda: pytest.fail("it would wait"))
        made = connection.Connection(ours, True, f"127.0.0.1:{head.getsockname()[1]}", node="node")
        made.look()
        node.close()
        with pytest.raises(
            CorpusError, match=r"this machine's node of the Ray cluster at 127.* ended; what is committed"
        ):
            made.look()
        made.close()
