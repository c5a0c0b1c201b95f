"""The Ray engine: jobs on the nodes of a Ray cluster, and what to do when a node is lost.

A slot runs the local engine with one supervised process, so that limits, crashes and hangs of decoders are met on the
node where they happen, and what is written is what the local engine writes. A task that says `uses_gpu` runs in the
actor itself, with a GPU where the cluster has some: its model is loaded once a slot. The corpus and the inputs lie on a
file system that all nodes share. That a job of a lost node may have been written already is harmless, by the commit
protocol; a node that was given up and goes on all the same finds its lease gone, and publishes nothing.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voxtile.engine.commit import new_lease, take_back
from voxtile.engine.inline import InlineEngine
from voxtile.engine.job import Setup, unwritable
from voxtile.engine.local import EngineEvent, ItemStarted, JobCommitted, LocalEngine, Session
from voxtile.engine.plan import Job
from voxtile.engine.ray_cluster.connection import require_ray
from voxtile.engine.ray_cluster.slots import Call, Slots, joined
from voxtile.engine.task import Task
from voxtile.engine.worker_process import Limits
from voxtile.errors import ConfigError

BEAT_S = 10.0  # how often a slot shows that it lives, by the time of its lease, and how often it is looked for
STILL_S = 300.0  # after so long without it a slot is given up: its process was stopped, say, and its node goes on
_SEEN = "on-the-nodes"  # a file of the scratch folder, by which a node sees that it has the same file system


class RayEngine:
    """Jobs on a Ray cluster: the one that RAY_ADDRESS names or that this program is connected to, or one made here.

    Args:
        slots: supervised processes in the whole cluster; 0 means one a processor of it.
        limits: for one item.

    Raises:
        MissingExtraError: Ray is not installed.
    """

    def __init__(self, slots: int, limits: Limits) -> None:
        require_ray()
        self._slots = slots
        self._limits = limits

    def prepare(self, task: Task) -> None:
        """Join the cluster and start its slots, before anything is written.

        Raises:
            ConfigError: it cannot be reached, a node is of another version, or there is no room.
        """
        slots = self._joined(task)
        try:
            slots.start()
        except BaseException:
            slots.close()
            raise

    @contextmanager
    def session(self, setup: Setup) -> Iterator[Session]:
        """Start; slots that the cluster has no room for yet join when it has.

        Raises:
            ConfigError: the cluster cannot be reached, or the task cannot be sent to it.
        """
        with self._joined(setup.task) as slots:
            (setup.scratch / _SEEN).touch()
            slots.hold(_JobRunner, setup, self._limits, BEAT_S)
            yield _RaySession(slots)

    def _joined(self, task: Task) -> Slots:
        return joined(self._slots, uses_gpu=bool(getattr(task, "uses_gpu", False)))


@dataclass(frozen=True)
class _RaySession:
    """One run."""

    slots: Slots
    _leases: dict[str, Path] = field(default_factory=dict)  # job → of the slot that it is on
    _beats: dict[str, _Beat] = field(default_factory=dict)  # job → when that slot last showed that it lives

    def submit(self, job: Job, taken: frozenset[str] = frozenset()) -> None:
        """Queue a job."""
        self.slots.submit(Call(job, "run", (job, taken), job.stem))

    def events(self) -> Iterator[EngineEvent]:
        """Events until nothing is queued or running.

        Raises:
            CorpusError: the cluster went away, the corpus cannot be written to, or a job was lost several times.
            ConfigError: a node is of another version, or does not see the corpus, or the cluster has no room.
            RunFailedError: an item failed and the run is to stop.
        """
        for call, kind, content in self.slots.events(self._stands_still):
            if isinstance(content, Path):
                self._leases[call.key.id] = content
            elif kind == "lost":
                self._beats.pop(call.key.id, None)
                if (lease := self._leases.pop(call.key.id, None)) is not None:
                    take_back(lease, 0.0)  # one that is publishing writes the bytes that the next slot does
            elif kind == "part":
                yield ItemStarted(call.key, content) if isinstance(content, int) else JobCommitted(content)

    def _stands_still(self, call: Call) -> bool:
        """Whether the slot of a call has not shown for long that it lives; by this program's clock alone."""
        now, job = time.monotonic(), call.key.id
        beat = self._beats.setdefault(job, _Beat(now, now, None))
        if now - beat.looked < BEAT_S:
            return False
        lease = self._leases.get(job)
        try:
            written = None if lease is None else lease.stat().st_mtime_ns
        except OSError:
            written = None
        changed = now if written != beat.written else beat.changed
        self._beats[job] = _Beat(now, changed, written)
        return now - changed > STILL_S


@dataclass(frozen=True)
class _Beat:
    """When a slot was looked for and when its lease was found changed (seconds), and the time of that lease (ns)."""

    looked: float
    changed: float
    written: int | None


class _JobRunner:
    """What a slot holds for a run: the local engine with one process, or the inline one beside a GPU."""

    def __init__(self, setup: Setup, limits: Limits, beat_s: float = BEAT_S) -> None:
        source = getattr(setup.task, "source", None)
        if not (setup.scratch / _SEEN).is_file() or (isinstance(source, Path) and not source.exists()):
            raise ConfigError(
                f"node '{socket.gethostname()}' does not see the corpus or its inputs; put both on a file system that "
                "all nodes share, under the same path"
            )
        try:
            self._lease = new_lease(setup.scratch)
        except OSError as error:
            raise unwritable(setup.root, error) from error
        self._ended = threading.Event()
        beats = self._lease, self._ended, beat_s
        threading.Thread(target=_show_life, args=beats, name="shows life", daemon=True).start()
        setup = replace(setup, lease=self._lease)
        engine = InlineEngine() if getattr(setup.task, "uses_gpu", False) else LocalEngine(1, limits)
        self._context = engine.session(setup)
        self._session = self._context.__enter__()

    def run(self, job: Job, taken: frozenset[str]) -> Iterator[Any]:
        """Do one job: the slot's lease, the number of each item that starts, then what was committed."""
        yield self._lease
        self._session.submit(job, taken)
        for event in self._session.events():
            yield event.index if isinstance(event, ItemStarted) else event.result

    def close(self) -> None:
        """End its process."""
        self._ended.set()
        self._context.__exit__(None, None, None)


def _show_life(lease: Path, ended: threading.Event, beat_s: float) -> None:
    """Write a lease's time again and again, until it was taken back."""
    while not ended.wait(beat_s):
        try:
            os.utime(lease)
        except FileNotFoundError:
            return
        except OSError:  # of the shared file system, for now
            continue
