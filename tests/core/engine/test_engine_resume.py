"""Resuming, retrying, growing, duplicates, dry runs: the corpus is the same bytes whatever happened on the way."""

import errno
import json
import os
import shutil

import pytest
from fault_task import FaultTask

from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import new_corpus
from voxtile.engine import job as job_module
from voxtile.engine.commit import write_ledger
from voxtile.engine.inline import InlineEngine
from voxtile.engine.job import Setup, run_job
from voxtile.engine.lock import corpus_lock
from voxtile.engine.plan import TaskIdentity, plan_jobs
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError, CorpusError
from voxtile.stages.verify.corpus import verify

NAMES = ("ok-1", "same-1", "ok-2", "bad-1", "ok-3", "drop-1", "same-2", "ok-4", "ok-5")
TWO_EACH = RunOptions(engine="inline", job_items=2)
INLINE = RunOptions(engine="inline")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, snapshot):
    root = tmp_path_factory.mktemp("undisturbed")
    run_task(FaultTask(NAMES), root, TWO_EACH)
    return root, snapshot(root)


@pytest.mark.parametrize("workers", [1, 3])
def test_bytes_do_not_depend_on_the_number_of_workers(workers, undisturbed, tmp_path, snapshot, monkeypatch):
    monkeypatch.setenv("BLOSC_NTHREADS", "4")  # Blosc2 would write it into the header of every array
    run_task(FaultTask(NAMES), tmp_path, RunOptions(workers=workers, job_items=2))
    assert snapshot(tmp_path) == undisturbed[1]


def test_running_twice_changes_nothing(undisturbed, tmp_path, snapshot):
    root = tmp_path / "corpus"
    shutil.copytree(undisturbed[0], root)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file() and path.name != ".lock"}
    summary = run_task(FaultTask(NAMES), root, TWO_EACH)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert snapshot(root) == undisturbed[1]
    assert summary.earlier == summary.inputs == len(NAMES)
    assert summary.failed == 1  # what failed earlier is still said


class _CrashError(BaseException):
    """Ends a job at a chosen moment, as a kill would: nothing may catch it."""


def _crash(*_args):
    raise _CrashError


@pytest.mark.cases(1)
@pytest.mark.parametrize("moment", ["announce", "write_ledger", "commit"])
def test_a_job_that_ends_before_its_commit_is_invisible_and_is_done_again(
    moment, undisturbed, tmp_path, snapshot, monkeypatch
):
    task = FaultTask(NAMES)
    root = tmp_path / "corpus"
    shutil.copytree(undisturbed[0], root)
    jobs = plan_jobs(TaskIdentity.of(task), task.items(), job_cost=2**40, job_items=2)
    (root / "done" / f"{jobs[0].id}.json").unlink()
    expected = sorted(uid for uid in _uids(root) if uid not in _uids(root, jobs[0].stem))
    with monkeypatch.context() as patch:
        patch.setattr(job_module, moment, _crash)
        with pytest.raises(_CrashError):
            run_job(Setup(task, root), jobs[0], {}, frozenset(), lambda _mark: None)
    if moment != "announce":
        assert sorted(Corpus(root).table("samples")["uid"].to_pylist()) == expected
        assert verify(root).problems  # and verify says that a job was interrupted
    run_task(task, root, TWO_EACH)
    assert snapshot(root) == undisturbed[1]
    assert not verify(root).problems


def test_leftovers_of_an_interrupted_job_go_even_when_its_input_is_gone(tmp_path):
    task = FaultTask(("ok-1", "ok-2"))
    run_task(task, tmp_path, INLINE)
    (job,) = plan_jobs(TaskIdentity.of(task), task.items(), job_cost=2**40, job_items=256)
    (tmp_path / "done" / f"{job.id}.json").rename(tmp_path / "done" / f"{job.id}.pending")
    (tmp_path / "done" / f"{job.id}.pending").write_text(job.stem)
    (tmp_path / "shards" / ".half.tar.1.tmp").write_bytes(b"half")
    run_task(FaultTask(("ok-3",)), tmp_path, INLINE)
    assert Corpus(tmp_path).table("samples")["subject"].to_pylist() == ["ok-3"]
    assert not [path for path in tmp_path.rglob(f"*{job.stem}*")]
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_scratch_of_an_earlier_run_goes_even_when_nothing_is_left_to_do(tmp_path):
    """It stayed for good where the disk once refused to remove a file of it."""
    root = tmp_path / "corpus"
    run_task(FaultTask(("ok-1",)), root, INLINE)
    (root / ".scratch").mkdir()
    (root / ".scratch" / "known.arrow").touch()
    run_task(FaultTask(("ok-1",)), root, INLINE)
    assert not (root / ".scratch").exists()


def test_inputs_that_arrive_later_are_added_and_nothing_is_converted_twice(tmp_path, snapshot):
    run_task(FaultTask(("ok-1", "ok-2", "ok-3", "ok-4")), tmp_path, TWO_EACH)
    before = snapshot(tmp_path)
    grown = ("ok-0", "ok-1", "ok-2", "ok-2b", "ok-3", "ok-4", "ok-5")
    summary = run_task(FaultTask(grown), tmp_path, TWO_EACH)
    after = snapshot(tmp_path)
    assert before.items() <= after.items()
    assert sorted(Corpus(tmp_path).table("samples")["subject"].to_pylist()) == sorted(grown)
    assert (summary.used, summary.earlier) == (7, 4)
    assert not verify(tmp_path).problems


def test_retry_runs_only_what_failed_last_and_the_last_attempt_counts(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    task = FaultTask(("ok-1", "later-1", "bad-1"), scratch=str(scratch))
    root = tmp_path / "corpus"
    assert run_task(task, root, INLINE).failed == 2
    (scratch / "later-1").touch()
    assert run_task(task, root, INLINE).failed == 2  # without --retry nothing is tried again
    summary = run_task(task, root, RunOptions(engine="inline", retry=True))
    assert (summary.used, summary.failed) == (2, 1)
    rows = {row["source"]: row for row in Corpus(root).ledger().to_pylist()}
    assert (rows["later-1"]["status"], rows["later-1"]["attempt"]) == ("used", 2)
    assert (rows["bad-1"]["status"], rows["bad-1"]["attempt"]) == ("failed", 2)
    assert rows["ok-1"]["attempt"] == 1
    assert run_task(task, root, RunOptions(engine="inline", retry=True)).failed == 1
    rows = {row["source"]: row["attempt"] for row in Corpus(root).ledger().to_pylist()}
    assert rows == {"ok-1": 1, "later-1": 2, "bad-1": 3}


def test_a_uid_is_stored_once_by_the_first_input_of_the_plan(undisturbed):
    rows = Corpus(undisturbed[0]).ledger().to_pylist()
    said = {name: [row["reason"] for row in rows if row["source"] == name] for name in ("same-1", "same-2")}
    assert said == {"same-1": [None], "same-2": ["duplicate", "left-with-duplicate"]}
    uids = Corpus(undisturbed[0]).table("samples")["uid"].to_pylist()
    assert len(uids) == len(set(uids)) == 6


@pytest.mark.parametrize("last_first", [False, True])
def test_duplicates_in_a_job_and_between_jobs_are_settled_by_the_plan(last_first, tmp_path, snapshot, monkeypatch):
    names = ("ok-1", "ok-2", "same-1", "same-2", "same-3", "ok-3", "ok-4", "same-4")
    run_task(FaultTask(names), tmp_path / "first", TWO_EACH)
    monkeypatch.setattr(RunOptions, "build_engine", lambda _: InlineEngine(last_first=last_first))
    root = tmp_path / "second"
    run_task(FaultTask(names), root, TWO_EACH)
    used = [row["source"] for row in Corpus(root).ledger().to_pylist() if row["status"] == "used"]
    assert sorted(used) == ["ok-1", "ok-2", "ok-3", "ok-4", "same-1"]
    assert not verify(root).problems
    assert snapshot(root) == snapshot(tmp_path / "first")


def test_duplicates_are_settled_after_a_kill_between_their_jobs(tmp_path, snapshot):
    names = ("same-1", "ok-1", "same-2", "ok-2")
    run_task(FaultTask(names), tmp_path / "whole", TWO_EACH)
    root = tmp_path / "killed"
    new_corpus(root)
    task = FaultTask(names)
    for job in plan_jobs(TaskIdentity.of(task), task.items(), job_cost=2**40, job_items=2):
        run_job(Setup(task, root), job, {}, frozenset(), lambda _mark: None)  # both store the uid
    run_task(task, root, TWO_EACH)
    assert snapshot(root) == snapshot(tmp_path / "whole")
    assert not verify(root).problems


def test_other_settings_for_the_same_inputs_add_no_second_copy(tmp_path):
    run_task(FaultTask(("ok-1", "ok-2")), tmp_path, INLINE)
    summary = run_task(FaultTask(("ok-1", "ok-2", "ok-3"), licence="other"), tmp_path, INLINE)
    assert (summary.used, summary.dropped) == (1, 2)
    assert summary.reasons["dropped"] == {"converted-before": 2}
    assert len(Corpus(tmp_path).table("captions")) == 3
    assert not verify(tmp_path).problems


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path, capsys):
    run_task(FaultTask(NAMES), tmp_path / "corpus", RunOptions(job_items=2, dry_run=True))
    assert not (tmp_path / "corpus").exists()
    text = capsys.readouterr().out
    assert "9 of 9 inputs to do in 5 of 5 jobs" in text
    assert "nothing was written" in text


def test_two_runs_into_one_corpus_are_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr("voxtile.corpus.drafts.WRITER_PATIENCE_S", 0.1)
    run_task(FaultTask(("ok-1",)), tmp_path, INLINE)
    with corpus_lock(tmp_path), pytest.raises(CorpusError, match=r"being written by process \d+ on .*wait"):
        run_task(FaultTask(("ok-2",)), tmp_path, INLINE)
    assert run_task(FaultTask(("ok-2",)), tmp_path, INLINE).used == 1


def test_a_run_waits_for_another_one_that_writes_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("voxtile.engine.lock._MOMENT_S", 0.0)
    monkeypatch.setenv("VOXTILE_WRITER_WAIT_S", "50")
    run_task(FaultTask(("ok-1",)), tmp_path, INLINE)
    other = corpus_lock(tmp_path)
    other.__enter__()
    monkeypatch.setattr("voxtile.engine.lock.time.sleep", lambda _: other.__exit__(None, None, None))
    assert run_task(FaultTask(("ok-2",)), tmp_path, INLINE).used == 1
    assert capsys.readouterr().err.count("waiting for it, 50 s at most") == 1
    monkeypatch.setenv("VOXTILE_WRITER_WAIT_S", "soon")
    with pytest.raises(ConfigError, match="VOXTILE_WRITER_WAIT_S is 'soon', which is no number"):
        run_task(FaultTask(("ok-3",)), tmp_path, INLINE)


def test_the_manifest_says_what_was_made_of_what(undisturbed):
    root, files = undisturbed
    (path,) = (root / "manifests").iterdir()
    manifest = json.loads(path.read_text())
    assert path.name == "0001.json"
    assert (manifest["task"], manifest["version"], manifest["licence"]) == ("fault", "1", "CC0-1.0")
    assert manifest["config"] == {"shape": [4, 8, 8], "licence": "CC0-1.0"}
    assert manifest["counts"] == {"inputs": 9, "used": 6, "dropped": 2, "failed": 1, "samples": 6}
    assert manifest["reasons"] == {"dropped": {"duplicate": 1, "not-wanted": 1}, "failed": {"input-error": 1}}
    stored = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    kinds = ("shards", "tables", "ledger", "done", "corpus.json")
    assert stored == {name: digest for name, digest in files.items() if name.split("/")[0] in kinds}
    assert {"voxtile", "blosc2", "pyarrow", "numpy"} <= manifest["versions"].keys()


def test_what_a_run_adds_at_its_end_is_in_the_manifest(tmp_path):
    def finish(_summary):
        return [write_ledger(tmp_path, "extra", [])]

    run_task(FaultTask(("ok-1",)), tmp_path, INLINE, finish=finish)
    manifest = json.loads((tmp_path / "manifests" / "0001.json").read_text())
    assert "ledger/extra.parquet" in manifest["files"]


def test_a_damaged_done_file_is_named_with_what_to_do(tmp_path):
    run_task(FaultTask(("ok-1",)), tmp_path, INLINE)
    (done,) = (tmp_path / "done").glob("*.json")
    done.write_text("{")
    with pytest.raises(CorpusError, match=rf"{done.name}.*delete it"):
        run_task(FaultTask(("ok-1",)), tmp_path, INLINE)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match="file"):
        run_task(FaultTask(("ok-1",)), tmp_path / "file" / "corpus", INLINE)


@pytest.mark.parametrize(
    ("call", "said"),
    [("fsync", r"cannot write '.*': Input/output error; see to the disk"), ("pwrite", "cannot be read or written")],
)
def test_a_disk_that_fails_is_one_sentence(call, said, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as failing:
        failing.setattr(os, call, fail)
        with pytest.raises(CorpusError, match=rf"{said}.*run the same command again"):
            run_task(FaultTask(("ok-1",)), tmp_path, INLINE)
    assert run_task(FaultTask(("ok-1",)), tmp_path, INLINE).used == 1


@pytest.mark.parametrize("option", [{"memory_limit_gb": 0}, {"time_limit_s": -1}, {"workers": -1}, {"job_items": 0}])
def test_options_that_make_no_sense_are_named(option):
    with pytest.raises(ConfigError, match=next(iter(option))):
        RunOptions(**option)


def _uids(root, stem="*"):
    import pyarrow.parquet as pq

    parts = (root / "tables" / "samples").glob(f"{stem}.parquet")
    return [uid for part in parts for uid in pq.ParquetFile(part).read(["uid"])["uid"].to_pylist()]
