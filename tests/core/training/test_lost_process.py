"""A process that dies: told from those that ended as they should, and from those that left because of it."""

import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import psutil
import pytest
from lightning.fabric.plugins.environments import LightningEnvironment

from voxtile.errors import ConfigError
from voxtile.training.callbacks.lost_process import LostProcess, died


def ended(status):
    """A process that has ended so: by a signal where negative."""
    process = subprocess.Popen(["sleep", "60"] if status < 0 else ["sh", "-c", f"exit {status}"])
    if status < 0:
        process.send_signal(-status)
    process.wait(20)
    return process


@pytest.fixture
def alive():
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_the_one_that_was_killed_is_named_before_those_that_left(alive):
    found = died({1: ended(1), 2: alive, 3: ended(-signal.SIGKILL)})
    assert found.startswith("the process of rank 3 (process id ")
    assert "was killed by SIGKILL" in found
    assert found.endswith("see whether memory ran out, and go on with --ckpt_path last")
    assert "rank 1 " in died({1: ended(2), 2: alive})
    assert "ended with status 2" in died({1: ended(2)})


def test_who_goes_on_or_ended_as_asked_did_not_die(alive):
    assert died({1: alive, 2: ended(0), 3: ended(143), 4: ended(-signal.SIGTERM)}) is None


def trainer(*processes):
    strategy = SimpleNamespace(
        cluster_environment=LightningEnvironment(), launcher=SimpleNamespace(procs=list(processes))
    )
    return SimpleNamespace(world_size=1 + len(processes), strategy=strategy)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ConfigError("mine")])
def test_nobody_is_watched_after_the_end_of_the_run(alive, error):
    before = threading.active_count()
    watch = LostProcess()
    watch.setup(trainer(alive), None, "fit")
    assert threading.active_count() == before + 1
    watch.on_exception(trainer(alive), None, error)
    watch._watch.join(5)
    assert threading.active_count() == before
    watch.setup(trainer(), None, "fit")  # alone
    assert threading.active_count() == before


def test_a_death_ends_the_first_process_and_the_others_with_a_sentence(tmp_path):
    first = os.fork()  # a process that may end itself
    if not first:
        sys.stderr = (tmp_path / "said").open("w")
        lives, dies = subprocess.Popen(["sleep", "60"]), subprocess.Popen(["sleep", "60"])
        (tmp_path / "pid").write_text(str(lives.pid))
        watch = LostProcess()
        watch.setup(trainer(lives, dies), None, "fit")
        dies.kill()
        watch.on_exception(trainer(lives, dies), None, RuntimeError("connection reset by peer"))
        os._exit(77)  # is not reached
    assert os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) == 2
    (said,) = (tmp_path / "said").read_text().splitlines()
    assert said.startswith("voxtile: error: the process of rank 2 (process id ")
    other = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(other) or psutil.Process(other).status() == psutil.STATUS_ZOMBIE
