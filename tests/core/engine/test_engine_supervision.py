"""One bad input costs one ledger row: crashes, hangs, memory, exceptions."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import fault_task
import psutil
import pyarrow.parquet as pq
import pytest
from fault_task import FaultTask, list_slowly, misbehave

from voxtile.corpus.reader import Corpus
from voxtile.engine.failure import Failure
from voxtile.engine.parallel import parallel_map
from voxtile.engine.pool import MOST_LOST_STARTING, STILL_LOOKS, WorkerPool
from voxtile.engine.report import Progress
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.worker_process import Limits
from voxtile.errors import ConfigError, CorpusError, RunFailedError

REASONS = {
    "bad-1": ("input-error", "InputError"),
    "bug-1": ("unexpected-error", "ValueError"),
    "row-1": ("corpus-error", "CorpusError"),
    "segfault-1": ("worker-died", "SIGSEGV"),
    "exit-1": ("worker-died", "exit 3"),
    "hang-1": ("time-limit", "longer than 2 s"),
    "hungry-1": ("memory-limit", None),
}
GOOD = ["ok-1", "ok-2", "ok-3", "once-1", "ok-4"]


@pytest.fixture(scope="module")
def troubled(tmp_path_factory):
    root = tmp_path_factory.mktemp("troubled")
    names = (
        "ok-1",
        "bad-1",
        "ok-2",
        "bug-1",
        "segfault-1",
        "drop-1",
        "row-1",
        "exit-1",
        "hang-1",
        "hungry-1",
        *GOOD[2:],
    )
    options = RunOptions(workers=2, job_items=5, time_limit_s=2.0, memory_limit_gb=0.25)
    (root / "scratch").mkdir()
    summary = run_task(FaultTask(names, scratch=str(root / "scratch")), root / "corpus", options)
    return root / "corpus", summary


def test_each_bad_input_is_one_named_row_and_the_rest_is_stored(troubled):
    root, summary = troubled
    rows = {row["source"]: row for row in Corpus(root).ledger().to_pylist()}
    failed = {name: (row["reason"], row["error_class"]) for name, row in rows.items() if row["status"] == "failed"}
    assert failed.keys() == REASONS.keys()
    for name, (reason, error_class) in REASONS.items():
        assert failed[name][0] == reason, name
        assert error_class in (failed[name][1], None), name
    assert sorted(name for name, row in rows.items() if row["status"] == "used") == sorted(GOOD)
    assert rows["drop-1"]["status"] == "dropped"
    assert rows["drop-1"]["reason"] == "not-wanted"
    assert (summary.used, summary.dropped, summary.failed, summary.samples) == (5, 1, 7, 5)
    with pytest.raises(RunFailedError, match="7 of 13 inputs failed") as error:
        summary.raise_if_failed()
    assert error.value.exit_status == 1


def test_only_good_inputs_have_samples_and_captions(troubled):
    root, _ = troubled
    corpus = Corpus(root)
    assert sorted(corpus.table("samples")["subject"].to_pylist()) == sorted(GOOD)
    assert sorted(corpus.table("captions")["text"].to_pylist()) == sorted(f"volume {name}" for name in GOOD)


def test_sentences_are_shown_and_not_stored(troubled):
    root, summary = troubled
    assert dict(summary.failures)["bad-1"].sentence == "'bad-1' is no good; take another"
    stored = b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file() and path.suffix != ".parquet")
    stored += repr([pq.read_table(path).to_pylist() for path in root.rglob("*.parquet")]).encode()
    assert b"no good" not in stored


def test_a_finished_run_leaves_no_temporary_file(troubled):
    root, _ = troubled
    assert [path.name for path in root.rglob("*") if path.name.startswith(".")] == [".lock"]


def test_stop_ends_at_the_first_failure_and_keeps_what_is_committed(tmp_path, capsys):
    names = ("ok-0", "ok-1", "ok-2", "ok-3", "bad-1", "ok-9")
    options = RunOptions(workers=1, job_items=2, on_error="stop")
    with pytest.raises(RunFailedError, match=r"stopped at 'bad-1'.*no good"):
        run_task(FaultTask(names), tmp_path / "corpus", options)
    assert "not reached" in capsys.readouterr().out
    corpus = Corpus(tmp_path / "corpus")
    assert len(corpus.table("samples")) == 4
    assert len(list((tmp_path / "corpus" / "manifests").iterdir())) == 1


def test_a_full_disk_stops_the_run_with_one_sentence_and_publishes_nothing_of_the_job(tmp_path):
    with pytest.raises(CorpusError, match=r"No space left on device.*run the same command again") as error:
        run_task(FaultTask(("ok-1", "full-1")), tmp_path / "corpus", RunOptions(workers=1))
    assert error.value.exit_status == 2
    left = {path.name for path in (tmp_path / "corpus").rglob("*") if path.is_file()}
    assert left <= {".lock", "corpus.json"}


def test_memory_is_watched_where_no_limit_holds():
    (result,) = parallel_map(misbehave, ["greedy-1"], workers=1, limits=Limits(memory_bytes=int(0.1 * 2**30)))
    assert isinstance(result, Failure)
    assert (result.reason, result.error_class) == ("memory-limit", "more than 0.1 GiB of memory")


RUN = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background has it ignored
sys.path.append(sys.argv[2])
from voxtile.cli import main as cli
from voxtile.engine.report import Progress
from voxtile.engine.run import RunOptions, run_task
from fault_task import FaultTask
run = lambda _: run_task(FaultTask(("ok-1", "hang-1")), Path(sys.argv[1]), RunOptions(workers=2, job_items=1))
sys.exit(cli._guarded(run, []))
"""


@pytest.mark.cases(2)
@pytest.mark.parametrize(
    ("sent", "status", "are_stopped"),
    [(signal.SIGINT, 130, False), (signal.SIGKILL, -9, False), (signal.SIGKILL, -9, True)],
)
def test_workers_end_with_their_run_and_the_corpus_is_free_again(sent, status, are_stopped, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path / "corpus"), str(Path(fault_task.__file__).parent)],
        start_new_session=True,
        stderr=subprocess.PIPE,
    )
    while not list((tmp_path / "corpus" / "done").glob("*.json")):
        assert process.poll() is None
        time.sleep(0.02)
    workers = psutil.Process(process.pid).children()
    assert workers
    if are_stopped:  # one that went on later would be in the way of the next run
        for worker in workers:
            worker.suspend()
    process.send_signal(sent)
    _, message = process.communicate(timeout=900)
    assert process.returncode == status
    assert message.count(b"\n") <= 1
    gone, alive = psutil.wait_procs(workers, timeout=900)
    assert not alive
    assert len(gone) == len(workers)
    assert run_task(FaultTask(("ok-1", "ok-2")), tmp_path / "corpus", RunOptions(engine="inline")).used == 2


def test_without_a_terminal_progress_is_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr("voxtile.engine.report.SPARSE_S", 0.0)
    with Progress("reading", 10) as progress:
        progress.reach(4, "1 failed")
    assert re.fullmatch(r"reading: 4 of 10, [\d.]+/s, \d+ s left 1 failed\n", capsys.readouterr().err)


def test_a_task_that_no_worker_can_load_is_refused(tmp_path):
    class Local(FaultTask):
        pass

    with pytest.raises(ConfigError, match="define it in a module that can be imported"):
        run_task(Local(("ok-1",)), tmp_path / "corpus", RunOptions(workers=1))


def test_an_engine_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no engine 'rya'; choose one of: local, ray, inline"):
        run_task(FaultTask(("ok-1",)), tmp_path / "corpus", RunOptions(engine="rya"))
    assert not (tmp_path / "corpus").exists()


def test_parallel_map_keeps_the_order_and_names_what_was_lost():
    names = [f"ok-{i}" for i in range(20)]
    names[3], names[7], names[11], names[15] = "bug-1", "segfault-1", "hang-1", "bad-1"
    results = parallel_map(misbehave, names, workers=2, limits=Limits(time_s=2.0))
    assert len(results) == 20
    lost = {name: result for name, result in zip(names, results, strict=True) if isinstance(result, Failure)}
    reasons = {"bug-1": "unexpected-error", "segfault-1": "worker-died", "hang-1": "time-limit", "bad-1": "input-error"}
    assert {name: failure.reason for name, failure in lost.items()} == reasons
    assert all(result == len(name) for name, result in zip(names, results, strict=True) if name not in lost)


def test_a_listing_has_the_time_limit_for_each_element():
    (listed,) = parallel_map(list_slowly, [7], workers=1, limits=Limits(time_s=1.6))
    assert listed == list(range(7))  # 2.1 s together


def test_parallel_map_of_nothing_starts_nothing():
    assert parallel_map(len, []) == []


DYING = """
import os, signal
from pathlib import Path
try:
    Path({folder!r}, str(len(os.listdir({folder!r})))).touch(exist_ok=False)
    if len(os.listdir({folder!r})) <= {times}:
        os.kill(os.getpid(), {number})
except FileExistsError:
    pass
from voxtile.engine.worker import main; main()
"""


def _run_with_workers_lost_at_their_start(root, monkeypatch, number, times):
    (root / "starts").mkdir()
    start = DYING.format(folder=str(root / "starts"), number=int(number), times=times)
    monkeypatch.setattr("voxtile.engine.worker_process.START", start)
    options = RunOptions(workers=1, job_items=1, memory_limit_gb=0.5)
    return run_task(FaultTask(("ok-1", "ok-2", "ok-3")), root / "corpus", options)


def test_a_worker_killed_at_its_start_is_replaced(tmp_path, monkeypatch):
    summary = _run_with_workers_lost_at_their_start(tmp_path, monkeypatch, signal.SIGKILL, 2)
    assert (summary.used, summary.failed) == (3, 0)
    assert len(list((tmp_path / "starts").iterdir())) == 3


def test_a_worker_stopped_at_its_start_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr("voxtile.engine.pool.LOOK_S", 0.2)
    monkeypatch.setattr("voxtile.engine.pool.STILL_LOOKS", 3)
    summary = _run_with_workers_lost_at_their_start(tmp_path, monkeypatch, signal.SIGSTOP, 1)
    assert (summary.used, summary.failed) == (3, 0)


def test_an_interrupt_of_the_whole_group_ends_no_worker_not_even_at_its_start(monkeypatch, capfd):
    early = "import os, signal; os.kill(os.getpid(), signal.SIGINT); from voxtile.engine.worker import main; main()"
    monkeypatch.setattr("voxtile.engine.worker_process.START", early)  # before the worker has imported what ignores it
    assert parallel_map(len, ["a", "bb"], workers=2) == [1, 2]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.sweep(ci=True)
def test_workers_lost_at_their_start_now_and_then_do_not_end_a_long_run(tmp_path, monkeypatch):
    """Each item takes a worker with it, so that each needs a new one, of which every other one is lost."""
    (tmp_path / "starts").mkdir()
    start = DYING.format(folder=str(tmp_path / "starts"), number=9, times="len(os.listdir(FOLDER)) % 2 * 1000")
    monkeypatch.setattr("voxtile.engine.worker_process.START", start.replace("FOLDER", repr(str(tmp_path / "starts"))))
    results = parallel_map(misbehave, [f"segfault-{n}" for n in range(5)], workers=1)
    assert [result.reason for result in results] == ["worker-died"] * 5
    assert len(list((tmp_path / "starts").iterdir())) > 2 * MOST_LOST_STARTING


def test_a_worker_that_ends_by_itself_at_its_start_is_not_tried_again(monkeypatch):
    monkeypatch.setattr("voxtile.engine.worker_process.START", "raise SystemExit(3)")
    with pytest.raises(ConfigError, match=r"ended while starting \(exit 3\)"):
        parallel_map(misbehave, ["ok-1"], workers=1)


def test_a_worker_that_is_stopped_for_moments_is_not_lost(monkeypatch):
    monkeypatch.setattr("voxtile.engine.pool.LOOK_S", 0.0)
    looks = iter([True, False] * STILL_LOOKS)
    with WorkerPool(1, "shared", Limits()) as pool:
        worker = SimpleNamespace(call="call", still=0, is_ready=True, is_stopped=lambda: next(looks), kill=lambda: None)
        pool._workers.append(worker)
        for _ in range(2 * STILL_LOOKS):
            assert list(pool._end_stopped()) == []


def test_workers_that_are_all_killed_at_their_start_end_the_run(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"ended while starting \(SIGKILL, 4 in a row\).*whether memory ran out"):
        _run_with_workers_lost_at_their_start(tmp_path, monkeypatch, signal.SIGKILL, 99)
