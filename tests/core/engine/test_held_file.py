"""One writer where the file system knows no locks: a file stands for the lock, and a dead holder's can be released."""

import errno
import os
import socket
import time

import pytest
from fault_task import FaultTask

from voxtile.engine import lock
from voxtile.engine.lock import BEAT, HELD, corpus_lock, writer_of
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import CorpusError
from voxtile.stages.upkeep.garbage import collect_garbage

INLINE = RunOptions(engine="inline", job_items=2)
ELSEWHERE = "process 1 on another-machine"


@pytest.fixture(autouse=True)
def no_locks(monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refused)
    monkeypatch.setattr("voxtile.corpus.drafts.WRITER_PATIENCE_S", 0.0)
    monkeypatch.setattr(lock, "GONE_PATIENCE_S", 0.05)
    monkeypatch.setattr(lock, "_BEAT_S", 0.005)


@pytest.fixture
def corpus(tmp_path):
    assert run_task(FaultTask(("ok-1",)), tmp_path, INLINE).used == 1
    return tmp_path


def test_there_is_one_writer_all_the_same(corpus):
    held = corpus / HELD
    with corpus_lock(corpus):
        assert writer_of(corpus) == held.read_text() == f"process {os.getpid()} on {socket.gethostname()}"
        with pytest.raises(
            CorpusError, match=r"written by process \d+ .*; if that process is no more, run 'voxtile gc"
        ):
            run_task(FaultTask(("ok-2",)), corpus, INLINE)
        with pytest.raises(CorpusError, match=r"held by process \d+ on .*, since 20.*, which lives"):
            collect_garbage(corpus, release_lock=True)
    assert not held.exists()
    assert not (corpus / BEAT).exists()
    held.write_text(f"process {2**22 + 1} on {socket.gethostname()}")  # it was killed
    assert run_task(FaultTask(("ok-2",)), corpus, INLINE).used == 1
    held.write_text(ELSEWHERE)
    with pytest.raises(CorpusError, match=f"being written by {ELSEWHERE}"):
        run_task(FaultTask(("ok-3",)), corpus, INLINE)


def test_a_dead_holder_of_another_machine_is_released(corpus, capsys):
    (corpus / HELD).write_text(ELSEWHERE)
    with pytest.raises(
        CorpusError, match="of a version that shows no sign of life; if that process is no more, remove"
    ):
        collect_garbage(corpus, release_lock=True)
    (corpus / BEAT).write_text(f"{ELSEWHERE}\n7")
    collect_garbage(corpus, release_lock=True)
    assert f"is no longer held by {ELSEWHERE}, since 20" in " ".join(capsys.readouterr().err.split())
    assert run_task(FaultTask(("ok-3",)), corpus, INLINE).used == 1
    collect_garbage(corpus, release_lock=True)  # which nobody holds


def test_a_living_holder_of_another_machine_keeps_the_corpus(corpus, monkeypatch):
    with corpus_lock(corpus):
        holder = (corpus / HELD).read_text()
        monkeypatch.setattr(lock, "_is_of_here", lambda holder: False)
        with pytest.raises(CorpusError, match=f"{holder}, since .*, which lives"):
            collect_garbage(corpus, release_lock=True)


def test_a_holder_whose_lock_was_released_ends(corpus, monkeypatch, capsys):
    class EndedError(Exception):
        pass

    def ended(status):
        seen.append(status)
        raise EndedError

    seen = []
    monkeypatch.setattr(lock.os, "_exit", ended)
    monkeypatch.setattr(lock.threading, "excepthook", lambda _: None)
    with corpus_lock(corpus):
        assert not seen
        (corpus / HELD).write_text(ELSEWHERE)
        deadline = time.monotonic() + 10
        while not seen and time.monotonic() < deadline:
            time.sleep(0.005)
    assert seen == [1]
    assert "so that this one ends" in " ".join(capsys.readouterr().err.split())
    assert (corpus / HELD).read_text() == ELSEWHERE
