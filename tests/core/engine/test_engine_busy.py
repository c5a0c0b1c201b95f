"""Time limits on processors that others keep busy: an item that waits for one has not hung."""

import fcntl
import os
import socket
import subprocess
import sys
import time
from multiprocessing import get_context

import pytest
from fault_task import misbehave, outwait

from voxtile.data.lost_worker import Watch
from voxtile.engine.failure import Failure
from voxtile.engine.lock import LOCK, corpus_lock
from voxtile.engine.parallel import parallel_map
from voxtile.engine.worker_process import Limits
from voxtile.errors import CorpusError
from voxtile.processors import waited_seconds

LIMIT = Limits(time_s=1.0)
OTHERS = 4


@pytest.fixture
def crowded():
    """This process and what it starts share one processor with other programs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(OTHERS)]
    yield
    os.sched_setaffinity(0, before)
    for loop in loops:
        loop.kill()
        loop.wait()


@pytest.mark.sweep(ci=True)
@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="this system does not count waiting")
def test_an_item_that_waits_for_a_processor_has_not_hung_and_one_that_hangs_has(crowded):
    (seconds,) = parallel_map(outwait, [1.5], workers=1, limits=LIMIT)
    assert isinstance(seconds, float), seconds
    assert seconds > LIMIT.time_s  # by the clock it is beyond the limit
    (hung,) = parallel_map(misbehave, ["hang-1"], workers=1, limits=LIMIT)
    assert isinstance(hung, Failure)
    assert hung.reason == "time-limit"


def test_of_a_process_that_is_gone_nothing_is_known():
    assert waited_seconds(2**22 + 1) == 0.0  # above the largest number of a process


def test_a_lock_of_a_run_that_is_gone_is_waited_for_and_one_of_a_run_that_lives_is_named(tmp_path, monkeypatch):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = socket.gethostname()
    handle = os.open(tmp_path / LOCK, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    monkeypatch.setattr("voxtile.corpus.drafts.WRITER_PATIENCE_S", 0.0)
    for holder in (f"process {os.getpid()} on {here}", f"process {gone.pid} on another-{here}", ""):
        os.ftruncate(handle, 0)
        os.pwrite(handle, holder.encode(), 0)
        with pytest.raises(CorpusError, match=holder or "another process"), corpus_lock(tmp_path):
            pass
    os.pwrite(handle, f"process {gone.pid} on {here}".encode(), 0)
    looks = iter([True, True, False])
    monkeypatch.setattr("voxtile.engine.lock.time.sleep", lambda _: next(looks) or os.close(handle))
    with corpus_lock(tmp_path):
        pass


class Endless:
    """A loader that gives nothing until its worker is gone."""

    def __init__(self, process):
        self.process = process

    def __next__(self):
        self.process.join()
        raise StopIteration


def test_a_worker_of_a_loader_that_waits_for_a_processor_does_not_stand_still(monkeypatch):
    worker = get_context("spawn").Process(target=time.sleep, args=(3600,))
    worker.start()
    began, alive = time.monotonic(), []

    def waited(process):
        assert process == worker.pid
        alive.append(worker.is_alive())
        return min(time.monotonic() - began, 1.5)  # by then it is beyond the limit by the clock

    monkeypatch.setattr("voxtile.data.lost_worker.waited_seconds", waited)
    watch = Watch([worker], 0.2)
    assert watch.next(Endless(worker)) is None  # once the worker is ended
    assert time.monotonic() - began > 1.5
    assert len(alive) > 5
    watch.end()
