"""Running a task into a corpus: plan, workers, commit, ledger, manifest, summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from voxtile.corpus.forgotten import ForgottenSubjects
from voxtile.corpus.header import CORPUS_FILE, is_corpus_or_free, new_corpus
from voxtile.corpus.records import check_recorded_parts, recorded_files
from voxtile.corpus.remote.address import refuse_remote
from voxtile.corpus.schema import TABLES
from voxtile.engine.commit import DONE, read_done, remove_leftovers, remove_scratch
from voxtile.engine.earlier_runs import converted_again, facts_otherwise, save_earlier_rows, save_known_splits
from voxtile.engine.failure import Failure
from voxtile.engine.job import Setup, unwritable
from voxtile.engine.local import Engine, ItemStarted, Session
from voxtile.engine.lock import corpus_lock
from voxtile.engine.manifest import jobs_in_manifests, write_manifest
from voxtile.engine.options import RunOptions
from voxtile.engine.parallel import list_apart
from voxtile.engine.plan import DoneJob, Job, TaskIdentity, last_words, pending_jobs, plan_jobs
from voxtile.engine.report import RunProgress, print_plan, print_summary
from voxtile.engine.summary import RunSummary, collect
from voxtile.engine.task import Task
from voxtile.engine.uid_owners import Claims, save_known_uids, stored_uids
from voxtile.engine.worker_process import workers_kept
from voxtile.errors import RunFailedError
from voxtile.file_edges import file_sha256

__all__ = ["Finish", "RunOptions", "RunSummary", "run_task"]

Finish: TypeAlias = Callable[[RunSummary], Iterable[Path] | None]


def run_task(
    task: Task, corpus: Path, options: RunOptions, *, finish: Finish | None = None, plan_apart: bool = False
) -> RunSummary:
    """Run a task into a corpus.

    Jobs that are committed already are skipped, so the same call resumes a run that was killed and is harmless when all
    is done. The files are the same bytes whatever the number of workers. Samples whose uid the corpus holds already are
    left out: their input is dropped as `duplicate`. Where an earlier run stored them from the same source, what is new
    about them is added, see `voxtile.engine.earlier_runs`.

    Args:
        task: what to do.
        corpus: folder of the corpus; made if it does not exist.
        options: how to run.
        finish: called with the summary when all jobs are committed, also when there was nothing left to do; may write
            more files (atomically, and the same each time) and return their paths for the manifest.
        plan_apart: the items are listed in a supervised process, see `list_apart`.

    Returns:
        The summary, already printed. Call `raise_if_failed` on it for the exit status.

    Raises:
        ConfigError: the options or the task's config cannot be used.
        CorpusError: the corpus is in use, damaged, newer, or cannot be written to.
        RunFailedError: an input failed and `on_error` is `stop`.
    """
    refuse_remote(corpus, "written to")
    with workers_kept():  # those that read headers for the plan do the work too
        return _planned_and_run(task, corpus, options, finish, plan_apart=plan_apart)


def _planned_and_run(
    task: Task, corpus: Path, options: RunOptions, finish: Finish | None, *, plan_apart: bool
) -> RunSummary:
    engine = options.build_engine()
    is_corpus_or_free(corpus)  # before what may take hours, and of a plan too
    identity = TaskIdentity.of(task)
    items = list_apart(task, options.plan_reader) if plan_apart else task.items()
    planned = plan_jobs(identity, items, job_cost=int(options.job_mb * 2**20), job_items=options.job_items)
    if options.dry_run:
        print_plan(
            task.name, planned, pending_jobs(identity, planned, _done(corpus, identity), retry=options.retry), corpus
        )
        return RunSummary()
    if not (corpus / CORPUS_FILE).exists():
        engine.prepare(task)
    try:
        new_corpus(corpus)
        with corpus_lock(corpus):
            return _Run(task, identity, corpus, planned, options).execute(engine, finish)
    except OSError as error:
        raise unwritable(corpus, error) from error


@dataclass
class _Run:
    """One run under the corpus's lock."""

    task: Task
    identity: TaskIdentity
    root: Path
    planned: list[Job]
    options: RunOptions

    def execute(self, engine: Engine, finish: Finish | None) -> RunSummary:
        """Do what is left, then report on the whole plan."""
        started = time.monotonic()
        remove_leftovers(self.root)
        # Tasks read parts one by one, and would take what is left of a table for all of it. Where no job counts, the
        # manifests may name files of one that is to be done again.
        if any((self.root / DONE).glob("*.json")):
            check_recorded_parts(self.root, (*TABLES, "ledger"))
        done = _done(self.root, self.identity)
        pending = pending_jobs(self.identity, self.planned, done, retry=self.options.retry)
        rewritten = self._rewritten(done)
        failures: dict[str, Failure] = {}
        stop: RunFailedError | None = None
        committed: set[str] = set()
        try:
            self._do(engine, pending, done, failures, committed)
        except RunFailedError as error:
            stop = error
        finally:
            remove_leftovers(self.root)
        done = _done(self.root, self.identity)
        summary = RunSummary.of(last_words(self.identity, self.planned, done).values())
        summary.planned = sum(len(job.items) for job in self.planned)
        summary.earlier = max(0, summary.inputs - sum(len(job.items) for job in pending))
        summary.failures = sorted(failures.items())
        summary.rewritten = rewritten
        summary.otherwise = facts_otherwise(self.root, self.identity, done.values())
        extra = list(finish(summary) or ()) if finish else []
        summary.seconds = time.monotonic() - started
        summary.nbytes = self._record(done, committed, extra, summary.seconds)
        print_summary(self.task.name, self.root, summary)
        collect(self.task.name, summary)
        if stop is not None:
            raise stop
        return summary

    def _rewritten(self, done: Mapping[str, DoneJob]) -> int:
        """How many inputs that earlier runs used were written since, of a task that cannot tell their content."""
        written_since = getattr(self.task, "written_since", None)
        if written_since is None:
            return 0
        moments: dict[str, float] = {}
        for job in filter(self.identity.made, done.values()):
            moment = (self.root / DONE / f"{job.id}.json").stat().st_mtime
            moments |= {item.digest: moment for item in job.items if item.status == "used"}
        listed = ((item, digest) for job in self.planned for item, digest in zip(job.items, job.digests, strict=True))
        return sum(written_since(item, moments[digest]) for item, digest in listed if digest in moments)

    def _do(
        self,
        engine: Engine,
        pending: list[Job],
        done: Mapping[str, DoneJob],
        failures: dict[str, Failure],
        committed: set[str],
    ) -> None:
        if not pending and done.keys() <= jobs_in_manifests(self.root):
            return
        jobs = _in_order(self.planned, pending, done)
        claims = Claims(list(jobs))
        again: dict[str, frozenset[str]] = {}
        for job in jobs.values():
            if job.id in done:
                again |= claims.settle(job.id, stored_uids(self.root, job.stem))
        setup = self._setup({job.stem for job in jobs.values()}, converted_again(pending, done.values(), jobs.keys()))
        try:
            with RunProgress(self.task.name, pending) as progress, engine.session(setup) as session:
                _drive(session, jobs, pending, again, claims, progress, failures, committed)
        finally:
            remove_scratch(self.root)

    def _setup(self, own_stems: set[str], again: set[str]) -> Setup:
        forgotten = ForgottenSubjects.of(self.root)
        setup = Setup(self.task, self.root, self.options.on_error == "stop", forgotten=forgotten)
        remove_scratch(self.root)
        setup.scratch.mkdir()
        return replace(
            setup,
            known=save_known_uids(self.root, own_stems, setup.scratch / "known.arrow"),
            splits=save_known_splits(self.root, own_stems, setup.scratch / "splits.arrow"),
            earlier=save_earlier_rows(self.root, again, own_stems, setup.scratch / "earlier.arrow"),
        )

    def _record(
        self, done: Mapping[str, DoneJob], committed: Collection[str], extra: list[Path], seconds: float
    ) -> int:
        """Write the manifest of what no earlier one covers, or says otherwise; number of bytes written."""
        covered, known = jobs_in_manifests(self.root), recorded_files(self.root)
        own = [job for job in done.values() if self.identity.made(job)]
        fresh = [job for job in own if job.id not in covered]
        again = [job for job in own if job.id in covered and job.id in committed]
        files = self._hashes(path for path in extra if path.is_relative_to(self.root))
        for job in [*fresh, *again]:
            files.update(job.files)
        if not fresh and all(known.get(path) == entry for path, entry in files.items()):
            return 0
        counts = RunSummary.of(item for job in fresh for item in job.items)
        records = [self.root / CORPUS_FILE, *(self.root / DONE / f"{job.id}.json" for job in [*fresh, *again])]
        write_manifest(
            self.root,
            self.identity,
            [job.id for job in fresh],
            counts=counts.counts(),
            reasons=counts.reasons,
            files=files | self._hashes(records),
            seconds=seconds,
        )
        return sum(size for _, size in files.values())

    def _hashes(self, paths: Iterable[Path]) -> dict[str, tuple[str, int]]:
        return {str(path.relative_to(self.root)): (file_sha256(path), path.stat().st_size) for path in paths}


def _drive(
    session: Session,
    jobs: Mapping[str, Job],
    pending: Iterable[Job],
    again: Mapping[str, frozenset[str]],
    claims: Claims,
    progress: RunProgress,
    failures: dict[str, Failure],
    committed: set[str],
) -> None:
    """Submit jobs and read events until all is committed and no uid is stored twice."""
    active: set[str] = set()

    def submit(job: Job, taken: frozenset[str] = frozenset()) -> None:
        if job.id not in active:  # one that is being done again is settled again when it ends
            active.add(job.id)
            session.submit(job, taken)

    for name, taken in again.items():
        submit(jobs[name], taken)
    for job in pending:
        submit(job)
    for event in session.events():
        if isinstance(event, ItemStarted):
            progress.started(event.job, event.index)
            continue
        result = event.result
        active.discard(result.job.id)
        committed.add(result.job.id)
        failures.update(result.failures)
        progress.committed(result)
        for name, taken in claims.settle(result.job.id, result.uids).items():
            submit(jobs[name], taken)


def _in_order(planned: list[Job], pending: list[Job], done: Mapping[str, DoneJob]) -> dict[str, Job]:
    """The run's jobs by id, in the plan's order, retries last."""
    rank = {digest: index for index, digest in enumerate(d for job in planned for d in job.digests)}
    jobs = [*(job for job in planned if job.id in done), *pending]
    return {job.id: job for job in sorted(jobs, key=lambda job: (job.attempt, rank[job.digests[0]]))}


def _done(root: Path, identity: TaskIdentity) -> dict[str, DoneJob]:
    return {job.id: job for job in read_done(root, identity.name)}
