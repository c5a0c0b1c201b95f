"""The plan of a run: a frozen list of jobs that is the same whatever the machine and the number of workers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from voxtile.corpus.confidentiality import Code
from voxtile.corpus.identity import printable
from voxtile.corpus.records import STEM_DIGITS
from voxtile.engine.task import Item, Task
from voxtile.errors import ConfigError


@dataclass(frozen=True)
class DoneItem:
    """What a committed job says about one of its items.

    Attributes:
        left_out: reason → number of the item's parts that were dropped for it.
    """

    digest: str
    source: str
    status: str
    reason: str | None
    samples: int
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class DoneJob:
    """A committed job.

    Attributes:
        files: path relative to the corpus → sha-256 and size in bytes.
        attempt: 1, or higher for a retry.
    """

    id: str
    stem: str
    task: str
    version: str
    config_sha256: str
    attempt: int
    items: tuple[DoneItem, ...]
    files: Mapping[str, tuple[str, int]]


NOT_FINITE = (
    "not-finite",
    "a number in its header is not finite (NaN, infinite or too large to be stored); write the file again",
)
NOT_TEXT = ("unreadable-name", "a name in it is not valid UTF-8; rename it")

FEWEST_JOBS = 16
FEWEST_ITEMS = 8  # but not less: each job costs a shard, a part a table, and a few syncs


@dataclass(frozen=True)
class Job:
    """Items that are written and committed together.

    Attributes:
        id: sha-256 (hex) of the items' inputs, the task's name, version and config, and the attempt.
        stem: base of the names of the files that the job writes.
        items: what to process, in order.
        digests: sha-256 (hex) of each item.
        attempt: 1, or higher where a run retries items that failed.
    """

    id: str
    stem: str
    items: tuple[Item, ...]
    digests: tuple[str, ...]
    attempt: int = 1

    @property
    def cost(self) -> int:
        """Rough number of bytes to read."""
        return sum(item.cost for item in self.items)


@dataclass(frozen=True)
class TaskIdentity:
    """What, beside its items, decides the output of a task.

    Attributes:
        codes: how the task removes identities, which follows from its config.
    """

    name: str
    version: str
    config: str
    codes: tuple[Code, ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, task: Task) -> TaskIdentity:
        """Freeze a task's name, version and config (as canonical JSON), and how it says that it removes identities."""
        config = canonical_json(task.config(), f"the config of task '{task.name}'")
        return cls(task.name, task.version, config, tuple(getattr(task, "confidentiality_codes", ())))

    @property
    def config_sha256(self) -> str:
        """Hash of the config."""
        return hashlib.sha256(self.config.encode()).hexdigest()

    def made(self, job: DoneJob) -> bool:
        """Whether a committed job is of this very version and config."""
        return (job.task, job.version, job.config_sha256) == (self.name, self.version, self.config_sha256)


def canonical_json(value: Mapping[str, Any], what: str) -> str:
    """Serialise with sorted keys and no white space, so that equal values give equal text.

    Raises:
        ConfigError: a value is not JSON-able; `what` names the place.
    """
    try:
        return _json_text(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{what} holds a value that JSON cannot store ({error}); use plain numbers and text"
        ) from None


def item_digest(item: Item) -> str:
    """Identity of an item's content (sha-256, hex).

    Raises:
        ConfigError: a value is not JSON-able.
    """
    inputs = canonical_json(item.inputs, f"the inputs of item '{item.source}'")
    return hashlib.sha256(f"{item.source}\0{inputs}".encode()).hexdigest()


def identified(item: Item) -> tuple[Item, str]:
    """An item and its digest; one that was listed with what cannot be stored becomes a refused item.

    Outside files choose these values: a NaN in a header, a file name that is not UTF-8. Such a file costs one failed
    row, and the rest of the archive is converted.

    Raises:
        ConfigError: a value is of a type that JSON does not know, which is the task's fault and not a file's.
    """
    try:
        inputs = _json_text(item.inputs)
        return item, hashlib.sha256(f"{item.source}\0{inputs}".encode()).hexdigest()
    except UnicodeEncodeError:
        refused = NOT_TEXT
    except ValueError:
        refused = NOT_FINITE
    except TypeError:
        return item, item_digest(item)  # says which item
    # Escapes for what is not text, `NaN` for what is no number: the same digest whenever the plan is made.
    listed = json.dumps(dict(item.inputs), sort_keys=True, default=repr)
    digest = hashlib.sha256(listed.encode()).hexdigest()
    unusable = Item(printable(item.source), {"refused": refused[0], "listed_sha256": digest}, refused=refused)
    return unusable, item_digest(unusable)


def _json_text(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def make_job(identity: TaskIdentity, items: Iterable[tuple[Item, str]], attempt: int = 1) -> Job:
    """Build a job from (item, digest) pairs."""
    pairs = tuple(items)
    text = "\0".join([identity.name, identity.version, identity.config, str(attempt), *(digest for _, digest in pairs)])
    job_id = hashlib.sha256(text.encode()).hexdigest()
    return Job(
        id=job_id,
        stem=f"{identity.name}-{job_id[:STEM_DIGITS]}",
        items=tuple(item for item, _ in pairs),
        digests=tuple(digest for _, digest in pairs),
        attempt=attempt,
    )


def plan_jobs(identity: TaskIdentity, items: Iterable[Item], *, job_cost: int, job_items: int) -> list[Job]:
    """Group items in their order: a job is closed before it exceeds `job_cost` bytes or `job_items` items.

    Where there are few items in all, jobs are smaller, so that several workers have something to do.

    Raises:
        ConfigError: two items are the same.
    """
    jobs: list[Job] = []
    group: list[tuple[Item, str]] = []
    seen: set[str] = set()
    cost = 0
    listed = list(items)
    limit = min(job_items, max(FEWEST_ITEMS, math.ceil(len(listed) / FEWEST_JOBS)))
    for item, digest in map(identified, listed):
        if digest in seen:
            raise ConfigError(f"task '{identity.name}' lists the input '{item.source}' twice")
        seen.add(digest)
        if group and (cost + item.cost > job_cost or len(group) >= limit):
            jobs.append(make_job(identity, group))
            group, cost = [], 0
        group.append((item, digest))
        cost += item.cost
    if group:
        jobs.append(make_job(identity, group))
    return jobs


def without(identity: TaskIdentity, job: Job, handled: Collection[str]) -> Job | None:
    """The job's part that earlier jobs have not handled: itself, a smaller job, or None.

    Inputs that arrive between two runs move the borders of jobs; what is committed already is never converted twice.
    """
    rest = [(item, digest) for item, digest in zip(job.items, job.digests, strict=True) if digest not in handled]
    if len(rest) == len(job.items):
        return job
    return make_job(identity, rest, job.attempt) if rest else None


def pending_jobs(identity: TaskIdentity, planned: list[Job], done: Mapping[str, DoneJob], *, retry: bool) -> list[Job]:
    """What is left to do.

    Args:
        identity: the task.
        planned: jobs for all inputs.
        done: committed jobs of the task, by id, of any version and config.
        retry: also the inputs whose last attempt failed, as new jobs with the next attempt's number.
    """
    last = _last_attempts(identity, done)
    failed = _failed_sources(done)
    pending: list[Job] = []
    for job in planned:
        if job.id not in done and (rest := without(identity, job, last.keys())) is not None:
            pending.extend(_mended(identity, rest, failed))
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


def _failed_sources(done: Mapping[str, DoneJob]) -> dict[str, int]:
    """The last attempt at each source in which it failed, whatever its content and the task's config were."""
    failed: dict[str, int] = {}
    for job in done.values():
        for item in job.items:
            if item.status == "failed":
                failed[item.source] = max(job.attempt, failed.get(item.source, 0))
    return failed


def _mended(identity: TaskIdentity, job: Job, failed: Mapping[str, int]) -> list[Job]:
    """The job, without the items of another content or config that failed before: these are jobs of the next attempt.

    Else a file that was replaced, as the sentence about its failure advises, would stay a failure in the ledger, whose
    last attempts count.
    """
    by_attempt: dict[int, list[tuple[Item, str]]] = {}
    for item, digest in zip(job.items, job.digests, strict=True):
        by_attempt.setdefault(max(job.attempt, failed.get(item.source, 0) + 1), []).append((item, digest))
    if by_attempt.keys() == {job.attempt}:
        return [job]
    return [make_job(identity, pairs, attempt) for attempt, pairs in sorted(by_attempt.items())]


def _retries(identity: TaskIdentity, job: Job, last: Mapping[str, tuple[int, DoneItem]]) -> Iterator[Job]:
    by_attempt: dict[int, list[tuple[Item, str]]] = {}
    for item, digest in zip(job.items, job.digests, strict=True):
        if digest in last and last[digest][1].status == "failed":
            by_attempt.setdefault(last[digest][0], []).append((item, digest))
    for attempt, pairs in sorted(by_attempt.items()):
        yield make_job(identity, pairs, attempt + 1)
