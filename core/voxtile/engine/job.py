"""Doing one job, in whatever process an engine chooses: items to outcomes, outcomes to files, and the commit."""

from __future__ import annotations

import errno
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from voxtile.corpus.storage import StorageError
from voxtile.corpus.writer import JobWriter
from voxtile.engine.commit import DoneItem, announce, commit, write_ledger
from voxtile.engine.plan import Job, TaskIdentity
from voxtile.engine.task import Item, Outcome, Row, Task
from voxtile.engine.worker import Report
from voxtile.errors import CorpusError, RunFailedError, VoxtileError

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass(frozen=True)
class Setup:
    """What every job of a run shares; sent once to each worker."""

    task: Task
    root: Path
    stop_on_failure: bool = False


@dataclass(frozen=True)
class Failure:
    """Why an item gave nothing. `sentence` is shown and never stored: it may name what de-identification hides."""

    reason: str
    error_class: str
    sentence: str


Ruling: TypeAlias = Failure | Path
"""Known of an item before its job runs: its failure, or the file with the outcome that it had in a process alone."""


@dataclass(frozen=True)
class JobResult:
    """What a committed job did.

    Attributes:
        items: one entry an item, in order.
        uids: of the samples that were stored.
        failures: (source, failure) of the items that failed.
        nbytes: bytes written.
    """

    job: Job
    items: tuple[DoneItem, ...]
    uids: tuple[str, ...]
    failures: tuple[tuple[str, Failure], ...]
    nbytes: int


class _WriteFailedError(Exception):
    """An outcome could not be stored: the job starts again without it."""

    def __init__(self, index: int, failure: Failure) -> None:
        super().__init__(failure.sentence)
        self.index = index
        self.failure = failure


@dataclass
class _Draft:
    """What a job has gathered so far."""

    ledger: list[Row] = field(default_factory=list)
    items: list[DoneItem] = field(default_factory=list)
    uids: dict[str, None] = field(default_factory=dict)
    failures: list[tuple[str, Failure]] = field(default_factory=list)


def run_job(setup: Setup, job: Job, rulings: Mapping[int, Ruling], taken: frozenset[str], report: Report) -> JobResult:
    """Process a job's items, publish its files and commit it.

    Args:
        setup: the task and the corpus.
        job: what to do.
        rulings: what is known of items (by position) that cannot be processed here.
        taken: uids that other jobs have stored; they are dropped as duplicates.
        report: called with each item's position before it starts.

    Raises:
        CorpusError: the corpus cannot be written to; nothing of the job is published.
        RunFailedError: an item failed and the run is to stop; nothing of the job is published.
    """
    known = dict(rulings)
    while True:
        writer = JobWriter(setup.root, job.stem)
        try:
            draft = _fill(writer, setup, job, known, taken, report)
            report(None)
            return _publish(writer, setup, job, draft)
        except _WriteFailedError as error:
            writer.discard()
            known[error.index] = error.failure
        except OSError as error:
            writer.discard()
            raise unwritable(setup.root, error) from error
        except BaseException:
            writer.discard()
            raise


def run_alone(setup: Setup, item: Item, spool: Path, report: Report) -> Failure | None:
    """Process one item in a process of its own and keep its outcome in the file `spool`; the failure if it fails."""
    report(0)
    outcome = attempt(setup.task, item)
    if isinstance(outcome, Failure):
        return outcome
    try:
        spool.write_bytes(pickle.dumps(outcome))
    except OSError as error:
        raise unwritable(setup.root, error) from error
    return None


def attempt(task: Task, item: Item) -> Outcome | Failure:
    """Run the task on one item; an exception becomes a failure, except those that are not the item's fault."""
    try:
        return task.process(item)
    except MemoryError:
        raise
    except VoxtileError as error:
        return failure_of(error)
    except Exception as error:  # a decoder can raise anything, and one item must not end the run
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        return failure_of(error)


def failure_of(error: Exception) -> Failure:
    """Name a failure: the error's own `reason`, or one made of its class (`InputError` → `input-error`)."""
    name = type(error).__name__
    if isinstance(error, VoxtileError):
        reason = getattr(error, "reason", None) or re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
        return Failure(str(reason), name, str(error))
    return Failure("unexpected-error", name, f"{name}: {error}" if str(error) else name)


def unwritable(root: Path, error: OSError) -> CorpusError:
    """The sentence for a disk that is full or not ours."""
    return CorpusError(
        f"cannot write to the corpus '{root}' ({error.strerror or error}); "
        "what was committed stays: make room or allow writing, then run the same command again"
    )


def _fill(
    writer: JobWriter, setup: Setup, job: Job, rulings: Mapping[int, Ruling], taken: frozenset[str], report: Report
) -> _Draft:
    draft = _Draft()
    for index, item in enumerate(job.items):
        report(index)
        ruling = rulings.get(index)
        if ruling is None:
            outcome = attempt(setup.task, item)
        elif isinstance(ruling, Path):
            outcome = pickle.loads(ruling.read_bytes())  # written by our own worker
        else:
            outcome = ruling
        if isinstance(outcome, Outcome) and outcome.status == "failed":
            reason = outcome.reason or "failed"
            outcome = Failure(reason, "", outcome.detail or reason)
        if isinstance(outcome, Failure) and setup.stop_on_failure:
            raise stopped(item, outcome)
        _record(writer, draft, job, index, outcome, taken)
    return draft


def stopped(item: Item, failure: Failure) -> RunFailedError:
    """The sentence that ends a run with `--on-error stop`."""
    return RunFailedError(
        f"stopped at '{item.source}': {failure.sentence} ({failure.reason}); "
        "what was committed stays: mend the input or use '--on-error skip', then run the same command again"
    )


def _record(
    writer: JobWriter, draft: _Draft, job: Job, index: int, outcome: Outcome | Failure, taken: frozenset[str]
) -> None:
    item = job.items[index]
    status, reason, error_class, uids = "failed", None, None, []
    if isinstance(outcome, Failure):
        reason, error_class = outcome.reason, outcome.error_class or None
        draft.failures.append((item.source, outcome))
    elif outcome.status == "dropped":
        status, reason = "dropped", outcome.reason or "dropped"
        # Rows of a dropped input are about samples that are there already: the captions of a duplicate.
        _guarded(index, lambda: _store(writer, item, replace(outcome, samples=()), taken))
    else:
        status = "used"
        uids = _guarded(index, lambda: _store(writer, item, outcome, taken | draft.uids.keys()))
        if outcome.samples and not uids:
            status, reason = "dropped", "duplicate"
        draft.uids.update(dict.fromkeys(uids))
    draft.items.append(DoneItem(job.digests[index], item.source, status, reason, len(uids)))
    first = uids[0] if uids else None
    draft.ledger.append(
        {"source": item.source, "attempt": job.attempt, "status": status, "reason": reason}
        | {"error_class": error_class, "uid": first}
    )


def _guarded(index: int, store: Callable[[], list[str]]) -> list[str]:
    try:
        return store()
    except (StorageError, OSError, MemoryError):
        raise
    except Exception as error:  # a row that does not fit the schema, an array that no codec takes, …
        raise _WriteFailedError(index, failure_of(error)) from error


def _store(writer: JobWriter, item: Item, outcome: Outcome, taken: frozenset[str] | set[str]) -> list[str]:
    """Hand an outcome to the writer, but for samples (and the rows about them) whose uid is taken; uids stored."""
    stored: list[str] = []
    duplicates: set[str] = set()
    for sample in outcome.samples:
        uid = sample.row["uid"]
        if uid in taken or uid in stored:
            duplicates.add(uid)
            continue
        sample.row.setdefault("source", item.source)
        writer.add(sample)
        stored.append(uid)
    for table, rows in outcome.tables.items():
        kept = [row for row in rows if row.get("uid") not in duplicates - set(stored)]
        if kept:
            writer.add_rows(table, kept)
    return stored


def _publish(writer: JobWriter, setup: Setup, job: Job, draft: _Draft) -> JobResult:
    announce(setup.root, job)
    files = [*writer.publish(), write_ledger(setup.root, job.stem, draft.ledger)]
    done = commit(setup.root, TaskIdentity.of(setup.task), job, draft.items, files)
    nbytes = sum(size for _, size in done.files.values())
    return JobResult(job, done.items, tuple(draft.uids), tuple(draft.failures), nbytes)
