"""Running a task into a corpus: plan, workers, commit, ledger, manifest, summary."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from voxtile.corpus.writer import new_corpus
from voxtile.engine.commit import DoneItem, DoneJob, read_done, remove_leftovers, sha256_of
from voxtile.engine.job import Failure, Setup, unwritable
from voxtile.engine.local import Engine, JobCommitted, LocalEngine
from voxtile.engine.lock import corpus_lock
from voxtile.engine.manifest import jobs_in_manifests, write_manifest
from voxtile.engine.plan import Job, TaskIdentity, make_job, plan_jobs, without
from voxtile.engine.pool import Limits
from voxtile.engine.report import RunProgress, print_plan, print_summary
from voxtile.engine.task import Item, Task
from voxtile.errors import ConfigError, RunFailedError

Finish: TypeAlias = "Callable[[RunSummary], Iterable[Path] | None]"


@dataclass(frozen=True)
class RunOptions:
    """How to run a task. None of these changes a byte of the corpus, except the two job sizes.

    Attributes:
        workers: number of worker processes; 0 means one a processor.
        engine: where the workers run: local.
        on_error: what to do when an input fails: skip it and exit with 1 at the end, or stop at once.
        retry: also run the inputs whose last attempt failed.
        dry_run: print the plan and write nothing.
        memory_limit_gb: memory that one worker may take, in GiB.
        time_limit_s: time that one input may take, in seconds.
        job_mb: close a job (and its shard) before it reads more than this many MB.
        job_items: close a job before it has more than this many inputs.
    """

    workers: int = 0
    engine: str = "local"
    on_error: Literal["skip", "stop"] = "skip"
    retry: bool = False
    dry_run: bool = False
    memory_limit_gb: float = 4.0
    time_limit_s: float = 600.0
    job_mb: float = 256.0
    job_items: int = 256

    def __post_init__(self) -> None:
        for name in ("memory_limit_gb", "time_limit_s", "job_mb", "job_items"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"'{name}' must be greater than 0, not {getattr(self, name)}")
        if self.workers < 0:
            raise ConfigError(f"'workers' must be 0 (one a processor) or more, not {self.workers}")
        if self.on_error not in ("skip", "stop"):
            raise ConfigError(f"'on_error' must be skip or stop, not '{self.on_error}'")

    @property
    def processes(self) -> int:
        """Number of worker processes."""
        return self.workers or len(os.sched_getaffinity(0))

    def build_engine(self) -> Engine:
        """The engine by name.

        Raises:
            ConfigError: it does not exist, or not yet.
        """
        builders: Mapping[str, Callable[[RunOptions], Engine]] = {"local": _local_engine, "ray": _ray_engine}
        if self.engine not in builders:
            raise ConfigError(f"there is no engine '{self.engine}'; choose one of: {', '.join(builders)}")
        return builders[self.engine](self)


@dataclass
class RunSummary:
    """What has become of a task's inputs, earlier runs into the same corpus included.

    Attributes:
        used, dropped, failed: number of inputs.
        samples: number of samples stored.
        nbytes: bytes written.
        reasons: status → reason → number of inputs.
        failures: (source, failure) of the inputs that failed in this run.
        earlier: how many of the inputs were committed by earlier runs.
        seconds: how long this run took.
        files: path relative to the corpus → sha-256 and size in bytes.
    """

    used: int = 0
    dropped: int = 0
    failed: int = 0
    samples: int = 0
    nbytes: int = 0
    reasons: dict[str, Counter[str]] = field(default_factory=lambda: {"dropped": Counter(), "failed": Counter()})
    failures: list[tuple[str, Failure]] = field(default_factory=list)
    earlier: int = 0
    seconds: float = 0.0
    files: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        """Number of inputs in the plan."""
        return self.used + self.dropped + self.failed

    def counts(self) -> dict[str, int]:
        """The numbers of a manifest."""
        names = ("inputs", "used", "dropped", "failed", "samples")
        return {name: getattr(self, name) for name in names}

    def count(self, item: DoneItem) -> None:
        """Add one input."""
        setattr(self, item.status, getattr(self, item.status) + 1)
        self.samples += item.samples
        if item.status != "used":
            self.reasons[item.status][item.reason or item.status] += 1

    def raise_if_failed(self) -> None:
        """Leave with status 1 if an input failed.

        Raises:
            RunFailedError: the sentence names the number and the commonest reason.
        """
        if self.failed:
            reason, number = self.reasons["failed"].most_common(1)[0]
            raise RunFailedError(
                f"{self.failed} of {self.inputs} inputs failed (most: {reason}, {number}); the rest was committed. "
                "The ledger names them; mend them and run the same command with --retry"
            )


def run_task(task: Task, corpus: Path, options: RunOptions, *, finish: Finish | None = None) -> RunSummary:
    """Run a task into a corpus.

    Jobs that are committed already are skipped, so the same call resumes a run that was killed and is harmless when all
    is done. The files are the same bytes whatever the number of workers.

    Args:
        task: what to do.
        corpus: folder of the corpus; made if it does not exist.
        options: how to run.
        finish: called with the summary when all jobs are committed, also when there was nothing left to do; may write
            more files (atomically, and the same each time) and return their paths for the manifest.

    Returns:
        The summary, already printed. Call `raise_if_failed` on it for the exit status.

    Raises:
        ConfigError: the options or the task's config cannot be used.
        CorpusError: the corpus is in use, damaged, newer, or cannot be written to.
        RunFailedError: an input failed and `on_error` is `stop`.
    """
    engine = options.build_engine()
    identity = TaskIdentity.of(task)
    planned = plan_jobs(identity, task.items(), job_cost=int(options.job_mb * 2**20), job_items=options.job_items)
    if options.dry_run:
        jobs, _ = pending_jobs(identity, planned, _done_jobs(corpus, identity), retry=options.retry)
        print_plan(task.name, planned, jobs, corpus)
        return RunSummary()
    try:
        new_corpus(corpus)
        with corpus_lock(corpus):
            return _run_locked(task, identity, corpus, planned, engine, options, finish)
    except OSError as error:
        raise unwritable(corpus, error) from error


def pending_jobs(
    identity: TaskIdentity, planned: list[Job], done: Mapping[str, DoneJob], *, retry: bool
) -> tuple[list[Job], dict[str, DoneItem]]:
    """What is left to do.

    Args:
        identity: the task.
        planned: jobs for all inputs.
        done: committed jobs of the task, by id, of any version and config.
        retry: also the inputs whose last attempt failed, as new jobs with the next attempt's number.

    Returns:
        Jobs to run, and the last word on each input that is committed, by digest.
    """
    last: dict[str, tuple[int, DoneItem]] = {}
    for earlier in done.values():
        if (earlier.version, earlier.config_sha256) == (identity.version, identity.config_sha256):
            for item in earlier.items:
                if item.digest not in last or last[item.digest][0] < earlier.attempt:
                    last[item.digest] = (earlier.attempt, item)
    pending: list[Job] = []
    for job in planned:
        if job.id not in done and (rest := without(identity, job, last.keys())) is not None:
            pending.append(rest)
        if retry:
            pending.extend(_retries(identity, job, last))
    wanted = {digest for job in planned for digest in job.digests}
    return pending, {digest: item for digest, (_, item) in last.items() if digest in wanted}


def _retries(identity: TaskIdentity, job: Job, last: Mapping[str, tuple[int, DoneItem]]) -> Iterable[Job]:
    by_attempt: dict[int, list[tuple[Item, str]]] = {}
    for item, digest in zip(job.items, job.digests, strict=True):
        if digest in last and last[digest][1].status == "failed":
            by_attempt.setdefault(last[digest][0], []).append((item, digest))
    for number, pairs in sorted(by_attempt.items()):
        yield make_job(identity, pairs, number + 1)


def _run_locked(
    task: Task,
    identity: TaskIdentity,
    root: Path,
    planned: list[Job],
    engine: Engine,
    options: RunOptions,
    finish: Finish | None,
) -> RunSummary:
    started = time.monotonic()
    remove_leftovers(root)
    before = _done_jobs(root, identity)
    jobs, _ = pending_jobs(identity, planned, before, retry=options.retry)
    setup = Setup(task, root, stop_on_failure=options.on_error == "stop")
    failures: list[tuple[str, Failure]] = []
    with RunProgress(task.name, jobs) as progress:
        for event in engine.run(setup, jobs):
            if isinstance(event, JobCommitted):
                failures += event.result.failures
                progress.committed(event.result)
            else:
                progress.started(event.job, event.index)
    done = _done_jobs(root, identity)
    summary = _summarise(identity, planned, done)
    summary.earlier = summary.inputs - sum(len(job.items) for job in jobs)
    summary.failures = failures
    extra = list(finish(summary) or ()) if finish else []
    summary.seconds = time.monotonic() - started
    _record(root, identity, summary, done, extra)
    print_summary(task.name, root, summary, len(jobs))
    return summary


def _summarise(identity: TaskIdentity, planned: list[Job], done: Mapping[str, DoneJob]) -> RunSummary:
    summary = RunSummary()
    _, items = pending_jobs(identity, planned, done, retry=False)
    for item in items.values():
        summary.count(item)
    for job in done.values():
        if any(item.digest in items for item in job.items):
            summary.files.update(job.files)
    summary.nbytes = sum(size for _, size in summary.files.values())
    return summary


def _record(
    root: Path, identity: TaskIdentity, summary: RunSummary, done: Mapping[str, DoneJob], extra: list[Path]
) -> None:
    covered = jobs_in_manifests(root)
    fresh = [job for job in done.values() if job.id not in covered]
    if not fresh:
        return
    files = {str(p.relative_to(root)): (sha256_of(p), p.stat().st_size) for p in extra if p.is_relative_to(root)}
    write_manifest(
        root, identity, fresh, counts=summary.counts(), reasons=summary.reasons, files=files, seconds=summary.seconds
    )


def _done_jobs(root: Path, identity: TaskIdentity) -> dict[str, DoneJob]:
    return {job.id: job for job in read_done(root, identity.name)}


def _local_engine(options: RunOptions) -> Engine:
    limits = Limits(time_s=options.time_limit_s, memory_bytes=int(options.memory_limit_gb * 2**30))
    return LocalEngine(options.processes, limits)


def _ray_engine(options: RunOptions) -> Engine:
    raise ConfigError("the engine 'ray' is not available in this version; use --engine local")
