"""What is left to do: the plan less what earlier runs have committed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from voxtile.engine.commit import DoneItem, DoneJob
from voxtile.engine.plan import Job, TaskIdentity, make_job, without
from voxtile.engine.task import Item


def pending_jobs(identity: TaskIdentity, planned: list[Job], done: Mapping[str, DoneJob], *, retry: bool) -> list[Job]:
    """What is left to do.

    Args:
        identity: the task.
        planned: jobs for all inputs.
        done: committed jobs of the task, by id, of any version and config.
        retry: also the inputs whose last attempt failed, as new jobs with the next attempt's number.
    """
    last = _last_attempts(identity, done)
    pending: list[Job] = []
    for job in planned:
        if job.id not in done and (rest := without(identity, job, last.keys())) is not None:
            pending.append(rest)
        if retry:
            pending.extend(_retries(identity, job, last))
    return pending


def last_words(identity: TaskIdentity, planned: list[Job], done: Mapping[str, DoneJob]) -> dict[str, DoneItem]:
    """What the last attempt made of each planned input that is committed, by digest."""
    last = _last_attempts(identity, done)
    return {digest: last[digest][1] for job in planned for digest in job.digests if digest in last}


def _last_attempts(identity: TaskIdentity, done: Mapping[str, DoneJob]) -> dict[str, tuple[int, DoneItem]]:
    last: dict[str, tuple[int, DoneItem]] = {}
    for job in done.values():
        if identity.made(job):
            for item in job.items:
                if item.digest not in last or last[item.digest][0] < job.attempt:
                    last[item.digest] = (job.attempt, item)
    return last


def _retries(identity: TaskIdentity, job: Job, last: Mapping[str, tuple[int, DoneItem]]) -> Iterator[Job]:
    by_attempt: dict[int, list[tuple[Item, str]]] = {}
    for item, digest in zip(job.items, job.digests, strict=True):
        if digest in last and last[digest][1].status == "failed":
            by_attempt.setdefault(last[digest][0], []).append((item, digest))
    for attempt, pairs in sorted(by_attempt.items()):
        yield make_job(identity, pairs, attempt + 1)
