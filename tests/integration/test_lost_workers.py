"""A loader's worker that is killed or stopped ends the run in time; one sentence says which, and how to go on."""

import os
import re
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

CONFIG = Path(__file__).with_name("tiny.yaml")
TIMEOUT = 3
FIT = """
import atexit
import voxtile.cli.main
def run(argv):
    torch.set_num_threads(1)
    try:
        return voxtile.cli.main.lightning_main(argv)
    finally:
        atexit._run_exitfuncs()  # where Python waits for the workers
"""


def fit(nursery, corpus, folder, *extra):
    argv = ["fit", "-c", CONFIG, "--data.corpus", corpus, "--data.num_workers", 2, "--data.worker_timeout", TIMEOUT]
    argv += ["--trainer.limit_val_batches", 0, "--trainer.max_epochs", 500, *extra]
    return nursery.start(folder, argv, FIT)


def workers_of(nursery, child, at_least=2):
    """The loader's workers, once the run saves checkpoints."""
    for _ in range(18_000):
        assert nursery.is_running(child), nursery.said()
        found = psutil.Process(child).children()
        if len(found) >= at_least:
            return found
        time.sleep(0.05)
    raise AssertionError("no workers")


def saved(folder):
    for _ in range(18_000):
        if list(folder.glob("runs/tiny/version_*/checkpoints/last.ckpt")):
            return
        time.sleep(0.05)
    raise AssertionError("nothing is saved")


def ended(nursery, child, seconds=TIMEOUT + 100):
    """Its exit status, also where it never ends by itself."""
    patience = threading.Timer(seconds, os.kill, (child, signal.SIGKILL))
    patience.start()
    status = nursery.wait()
    patience.cancel()
    return status


@pytest.mark.sweep(ci=True)
@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGKILL, r"process id {pid}\) was killed by SIGKILL; see whether memory ran out"),
        (signal.SIGSTOP, r"process id {pid}\) gave no batch within 3 s and stands still"),
    ],
)
def test_a_lost_worker_ends_the_run_which_then_goes_on(number, said, training_nursery, xray_corpus, tmp_path):
    child = fit(training_nursery, xray_corpus, tmp_path)
    worker = workers_of(training_nursery, child)[1]
    saved(tmp_path)
    os.kill(worker.pid, number)
    assert ended(training_nursery, child) == 2, training_nursery.said()
    assert not psutil.pid_exists(worker.pid)
    line = training_nursery.said().strip().splitlines()[-1]
    assert re.search(said.format(pid=worker.pid), line)
    assert line.endswith("go on with --ckpt_path last")
    child = fit(training_nursery, xray_corpus, tmp_path, "--ckpt_path", "last", "--trainer.max_epochs", 1)
    assert ended(training_nursery, child) == 0, training_nursery.said()


def test_a_stopped_worker_does_not_keep_a_finished_run(training_nursery, xray_corpus, tmp_path):
    child = fit(training_nursery, xray_corpus, tmp_path, "--trainer.max_epochs", 30)
    worker = workers_of(training_nursery, child)[1]
    saved(tmp_path)
    os.kill(child, signal.SIGTERM)  # it leaves at the end of the step, when the worker's batches are there already
    os.kill(worker.pid, signal.SIGSTOP)
    assert ended(training_nursery, child) in (2, 143), training_nursery.said()
    assert not psutil.pid_exists(worker.pid)
