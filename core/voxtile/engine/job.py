"""Doing one job, in whatever process an engine chooses: items to outcomes, outcomes to files, and the commit."""

from __future__ import annotations

import errno
import os
import pickle
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from voxtile.corpus.forgotten import ForgottenSubjects
from voxtile.corpus.records import Row
from voxtile.corpus.storage import StorageError
from voxtile.engine.commit import SCRATCH, announce, commit, leased, write_ledger
from voxtile.engine.duplicates import Claimed, without_duplicates, without_forgotten
from voxtile.engine.earlier_runs import USED, EarlierRows, KnownSplits
from voxtile.engine.failure import Failure, failure_of
from voxtile.engine.plan import DoneItem, Job, TaskIdentity
from voxtile.engine.task import Item, Outcome, Task
from voxtile.engine.uid_owners import KnownUids
from voxtile.engine.worker import Report
from voxtile.errors import CorpusError, RunFailedError, StopRunError, VoxtileError

if TYPE_CHECKING:
    from voxtile.corpus.writer import JobWriter

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass(frozen=True)
class Setup:
    """What every job of a run shares; sent once to each worker.

    Attributes:
        task: what to run.
        root: the corpus.
        stop_on_failure: leave at the first failed item.
        known: file with the uids that other conversions have stored, if any.
        earlier: file with what earlier runs stored of inputs of this run, if any was converted before.
        forgotten: subjects of whom nothing is stored any more.
        splits: file with the splits that the corpus has given its subjects, if any.
        lease: file without which nothing is published, for a worker that may outlive its run.
    """

    task: Task
    root: Path
    stop_on_failure: bool = False
    known: Path | None = None
    earlier: Path | None = None
    forgotten: ForgottenSubjects = field(default_factory=ForgottenSubjects)
    splits: Path | None = None
    lease: Path | None = None

    @property
    def scratch(self) -> Path:
        """Folder for a run's own files, removed with the run."""
        return self.root / SCRATCH


Ruling: TypeAlias = Failure | Path
"""Known of an item before its job runs: its failure, or the file with the outcome that it had in a process alone."""


@dataclass(frozen=True)
class JobResult:
    """What a committed job did.

    Attributes:
        items: one entry an item, in order.
        uids: of the samples that were stored.
        failures: (source, failure) of the items that failed.
    """

    job: Job
    items: tuple[DoneItem, ...]
    uids: tuple[str, ...]
    failures: tuple[tuple[str, Failure], ...]


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
    sizes: list[dict[str, int]] = field(default_factory=list)  # rows of each table after each item

    def item_of(self, table: str, number: int) -> int | None:
        """Position of the item that gave a row of a table."""
        return next((n for n, sizes in enumerate(self.sizes) if 0 <= number < sizes.get(table, 0)), None)


def run_job(setup: Setup, job: Job, rulings: Mapping[int, Ruling], taken: frozenset[str], report: Report) -> JobResult:
    """Process a job's items, publish its files and commit it.

    Args:
        setup: the task and the corpus.
        job: what to do.
        rulings: what is known of items (by position) that cannot be processed here.
        taken: uids that other jobs store; samples with one of them, or of `setup.known`, are left out as duplicates.
        report: called with each item's position before it starts.

    Raises:
        CorpusError: the corpus cannot be written to, or the lease was taken back; nothing of the job is published.
        RunFailedError: an item failed and the run is to stop; nothing of the job is published.
    """
    from voxtile.corpus.writer import JobWriter  # late: the codecs take longest to import, and only workers write

    known = dict(rulings)
    claimed = Claimed(taken, KnownUids(setup.known) if setup.known else (), EarlierRows(setup.earlier))
    splits = KnownSplits(setup.splits)
    while True:
        writer = JobWriter(setup.root, job.stem)
        try:
            draft = _fill(writer, setup, job, known, claimed, splits, report)
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
    if item.refused is not None:
        return Failure(item.refused[0], "", item.refused[1])
    try:
        return task.process(item)
    except (MemoryError, StopRunError):
        raise
    except VoxtileError as error:
        return failure_of(error)
    except Exception as error:  # a decoder can raise anything, and one item must not end the run
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        return failure_of(error)


def unwritable(root: Path, error: OSError) -> CorpusError:
    """The sentence for a disk that is full, not ours, or failing."""
    if error.errno == errno.EIO:
        return CorpusError(
            f"the corpus '{root}' cannot be read or written ({os.strerror(errno.EIO)}); "
            "what was committed stays: see to the disk, then run the same command again"
        )
    return CorpusError(
        f"cannot write to the corpus '{root}' ({error.strerror or error}); "
        "what was committed stays: make room or allow writing, then run the same command again"
    )


def _fill(
    writer: JobWriter,
    setup: Setup,
    job: Job,
    rulings: Mapping[int, Ruling],
    claimed: Claimed,
    splits: KnownSplits,
    report: Report,
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
        if isinstance(outcome, Outcome):
            item, outcome = without_forgotten(item, outcome, setup.forgotten)
            outcome = splits.kept(outcome)
        if isinstance(outcome, Outcome) and outcome.status == "failed":
            reason = outcome.reason or "failed"
            outcome = Failure(reason, "", outcome.detail or reason)
        failed = outcome if isinstance(outcome, Failure) else next(iter(_failed_parts(outcome)), None)
        if failed is not None and setup.stop_on_failure:
            raise stopped(item, failed)
        _record(writer, draft, job, index, item, outcome, claimed)
    return draft


def stopped(item: Item, failure: Failure) -> RunFailedError:
    """The sentence that ends a run with `--on-error stop`."""
    return RunFailedError(
        f"stopped at '{item.source}': {failure.sentence} ({failure.reason}); "
        "what was committed stays: mend the input or use '--on-error skip', then run the same command again"
    )


def _record(
    writer: JobWriter, draft: _Draft, job: Job, index: int, item: Item, outcome: Outcome | Failure, claimed: Claimed
) -> None:
    stored: list[str] = []
    added_to: list[str] = []
    reason: str | None
    error_class: str | None
    if isinstance(outcome, Failure):
        status, reason, error_class = "failed", outcome.reason, outcome.error_class or None
        draft.failures.append((item.source, outcome))
    else:
        try:
            outcome, stored, added_to = without_duplicates(outcome, item, draft.uids, claimed)
            _store(writer, outcome)
        except (StorageError, OSError, MemoryError):
            raise
        except Exception as error:  # a row that does not fit the schema, an array that no codec takes, …
            raise _WriteFailedError(index, failure_of(error)) from error
        status, error_class = outcome.status, None
        reason = (outcome.reason or "dropped") if status == "dropped" else _reason_of_use(outcome)
        draft.uids.update(dict.fromkeys([*stored, *added_to]))
        draft.failures.extend((item.source, failure) for failure in _failed_parts(outcome))
    draft.sizes.append(writer.sizes())
    draft.items.append(_done_item(job.digests[index], item.source, outcome, status, reason, len(stored)))
    draft.ledger.append(_ledger_row(item, job, status, reason, next(iter([*stored, *added_to]), None), error_class))
    if isinstance(outcome, Outcome):
        for part in outcome.parts:
            row = _ledger_row(item, job, part.status, part.reason, part.uid)
            draft.ledger.append(row if part.source is None else {**row, "source": part.source})


def _ledger_row(
    item: Item, job: Job, status: str, reason: str | None, uid: str | None, error_class: str | None = None
) -> Row:
    return {
        "source": item.source,
        "attempt": job.attempt,
        "status": status,
        "reason": reason,
        "error_class": error_class,
        "uid": uid,
    }


def _done_item(
    digest: str, source: str, outcome: Outcome | Failure, status: str, reason: str | None, samples: int
) -> DoneItem:
    """The item's row of the done file: failed where a part of it is, so that a retry does it again."""
    if isinstance(outcome, Outcome) and (failures := _failed_parts(outcome)):
        status, reason = "failed", failures[0].reason
    parts = outcome.parts if isinstance(outcome, Outcome) else ()
    left_out = Counter(part.reason for part in parts if part.status == "dropped")
    return DoneItem(digest, source, status, reason, samples, dict(sorted(left_out.items())))


def _reason_of_use(outcome: Outcome) -> str | None:
    return outcome.reason if outcome.reason in USED else None


def _failed_parts(outcome: Outcome) -> list[Failure]:
    return [Failure(part.reason, "", part.detail) for part in outcome.parts if part.status == "failed"]


def _store(writer: JobWriter, outcome: Outcome) -> None:
    for sample in outcome.samples:
        writer.add(sample)
    for mask in outcome.masks:
        writer.add_mask(mask)
    for table, rows in outcome.tables.items():
        if rows:
            writer.add_rows(table, rows)


def _publish(writer: JobWriter, setup: Setup, job: Job, draft: _Draft) -> JobResult:
    with leased(setup.lease):
        announce(setup.root, job)
        files = [*_published(writer, draft), write_ledger(setup.root, job.stem, draft.ledger)]
        done = commit(setup.root, TaskIdentity.of(setup.task), job, draft.items, files)
    return JobResult(job, done.items, tuple(draft.uids), tuple(draft.failures))


def _published(writer: JobWriter, draft: _Draft) -> list[Path]:
    """What the writer publishes; a row that does not fit its table costs the item that gave it."""
    from voxtile.corpus.writer import UnfitRowError

    try:
        return writer.publish()
    except UnfitRowError as error:
        index = draft.item_of(error.table, error.number)
        if index is None:
            raise
        raise _WriteFailedError(index, failure_of(error)) from error
