"""The Ray engine: jobs on the nodes of a Ray cluster, and what to do when a node is lost.

A slot is a Ray actor of one processor. It runs the local engine with one supervised process, so that limits, crashes
and hangs of decoders are met on the node where they happen, and what is written is what the local engine writes. A task
that says `uses_gpu` runs in the actor itself, with a GPU where the cluster has some: its model is loaded once a slot.
The corpus and the inputs lie on a file system that all nodes share. A job that was on a lost node is given to another
slot; by the commit protocol it is harmless that it may have been written already.
"""

from __future__ import annotations

import os
import pickle
import platform
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from voxtile.engine.inline import InlineEngine
from voxtile.engine.job import Setup
from voxtile.engine.local import EngineEvent, ItemStarted, JobCommitted, LocalEngine, Session
from voxtile.engine.plan import Job
from voxtile.engine.pool import Limits
from voxtile.engine.worker import importable
from voxtile.errors import ConfigError, CorpusError, RunFailedError

MOST_LOST = 3  # slots that a job may lose before the run ends: a job that takes its node down would take them all
PATIENCE_S = 600.0  # how long a cluster may have no room at all; one that grows on demand needs minutes
_TICK_S = 0.5
_REACH_S = 10.0  # to reach the head of a cluster
_SEEN = "on-the-nodes"  # a file of the scratch folder, by which a node sees that it has the same file system


class RayEngine:
    """Jobs on a Ray cluster: the one that RAY_ADDRESS names or that this program is connected to, or one made here.

    Args:
        slots: supervised processes in the whole cluster; 0 means one a processor of it.
        limits: for one item.
    """

    def __init__(self, slots: int, limits: Limits) -> None:
        self._slots = slots
        self._limits = limits

    @contextmanager
    def session(self, setup: Setup) -> Iterator[Session]:
        """Start; slots that the cluster has no room for yet join when it has.

        Raises:
            ConfigError: the cluster cannot be reached, or the task cannot be sent to it.
        """
        ray, is_ours = _connected(self._slots)
        try:
            resources = ray.cluster_resources()
            gpus = 1 if getattr(setup.task, "uses_gpu", False) and resources.get("GPU") else 0
            count = self._slots or max(1, int(resources.get("GPU" if gpus else "CPU", 1)))
            session = _RaySession(ray, setup, self._limits, count, gpus)
            try:
                yield session
            finally:
                session.close()
        finally:
            if is_ours:
                ray.shutdown()


def _connected(slots: int) -> tuple[Any, bool]:
    """The module `ray`, connected, and whether this call connected it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # slots without a GPU leave its variables alone
    import ray  # the extra `ray`

    if ray.is_initialized():
        return ray, False
    address = os.environ.get("RAY_ADDRESS", "")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    try:
        if address:
            _reach(address)
            ray.init(**quiet)
        else:
            ray.init(address="local", num_cpus=slots or None, include_dashboard=False, **quiet)
    except (RuntimeError, ValueError, OSError) as error:
        token = "" if os.environ.get("RAY_AUTH_MODE") else "; where it asks for a token, set RAY_AUTH_MODE=token"
        raise ConfigError(
            f"no Ray cluster answers ({address or 'on this machine'}): {str(error).splitlines()[0]}; start one with "
            f"'ray start --head', or unset RAY_ADDRESS to use this machine alone{token if address else ''}"
        ) from error
    return ray, True


def _reach(address: str) -> None:
    """See whether somebody listens there: Ray itself asks for minutes.

    Raises:
        OSError: nobody does.
        ConfigError: it is an address of Ray Client.
    """
    if address.startswith("ray://"):
        raise ConfigError(
            f"RAY_ADDRESS is {address}, and Ray Client sends no streams; run the command on a node of the cluster, "
            "with RAY_ADDRESS=auto or its HOST:PORT"
        )
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_S).close()


def _versions() -> dict[str, str]:
    """What decides the bytes that a node writes."""
    return {
        "voxtile": version("voxtile"),
        "python": platform.python_version(),
        "blosc2": version("blosc2"),
        "pyarrow": version("pyarrow"),
        "numpy": version("numpy"),
    }


class _Slot:
    """What runs on a node: the local engine with one process.

    Args:
        setup: pickled.
        limits: for one item.
        expected: versions of the program that made the plan.
        paths: where that program imports from, as far as a node has them.
    """

    def __init__(self, setup: bytes, limits: Limits, expected: Mapping[str, str], paths: Sequence[str]) -> None:
        self._setup, self._limits, self._expected = setup, limits, expected
        sys.path += [path for path in paths if path not in sys.path]

    def open(self) -> tuple[str, str] | None:
        """Get ready; what is wrong with this node, if anything."""
        try:
            self._open()
        except (ConfigError, CorpusError) as error:
            return type(error).__name__, str(error)
        return None

    def run(self, job: Job, taken: frozenset[str]) -> Iterator[tuple[str, Any]]:
        """Do one job: ('started', index) for each item, then ('committed', result), or ('raised', what)."""
        try:
            self._session.submit(job, taken)
            for event in self._session.events():
                if isinstance(event, ItemStarted):
                    yield "started", event.index
                else:
                    yield "committed", event.result
        except (CorpusError, ConfigError, RunFailedError) as error:
            yield "raised", (type(error).__name__, str(error))
        except Exception as error:  # the program that made the plan says it, from where it can be seen
            yield "raised", ("", f"{type(error).__name__}: {error}")

    def _open(self) -> None:
        node = socket.gethostname()
        for name, wanted in self._expected.items():
            if (found := version(name) if name != "python" else platform.python_version()) != wanted:
                raise ConfigError(
                    f"node '{node}' has {name} {found}, and the plan was made with {wanted}; install the same there"
                )
        try:
            setup: Setup = pickle.loads(self._setup)  # our own program's
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"node '{node}' cannot load the task ({error}); install the same packages there"
            ) from error
        source = getattr(setup.task, "source", None)
        if not (setup.scratch / _SEEN).is_file() or (isinstance(source, Path) and not source.exists()):
            raise ConfigError(
                f"node '{node}' does not see the corpus or its inputs; put both on a file system that all nodes share, "
                "under the same path"
            )
        engine = InlineEngine() if getattr(setup.task, "uses_gpu", False) else LocalEngine(1, self._limits)
        self._context = engine.session(setup)
        self._session = self._context.__enter__()


@dataclass
class _Work:
    """A job under way."""

    job: Job
    taken: frozenset[str]
    lost: int = 0


@dataclass
class _RaySession:
    """One run."""

    ray: Any
    setup: Setup
    limits: Limits
    count: int
    gpus: int
    _queue: deque[_Work] = field(default_factory=deque)
    _idle: list[Any] = field(default_factory=list)
    _starting: dict[Any, Any] = field(default_factory=dict)  # what says that it is ready → slot
    _busy: dict[Any, tuple[Any, _Work]] = field(default_factory=dict)  # stream of events → slot and its work

    def __post_init__(self) -> None:
        try:
            packed = importable(self.setup)
        except TypeError as error:
            raise ConfigError(f"{error}; define it in a module that can be imported") from None
        (self.setup.scratch / _SEEN).touch()
        slot = self.ray.remote(num_cpus=1, num_gpus=self.gpus, max_restarts=0, max_task_retries=0)(_Slot)
        shared = self.ray.put(packed)
        self._start: Callable[[], Any] = lambda: slot.remote(shared, self.limits, _versions(), sys.path)
        self._had_room = time.monotonic()

    def submit(self, job: Job, taken: frozenset[str] = frozenset()) -> None:
        """Queue a job."""
        self._queue.append(_Work(job, taken))

    def events(self) -> Iterator[EngineEvent]:
        """Events until nothing is queued or running. A slot holds one job at a time; the others wait here.

        Raises:
            CorpusError: the corpus cannot be written to, or a job was lost with its slot several times.
            ConfigError: a node is of another version, or does not see the corpus, or the cluster has no room.
            RunFailedError: an item failed and the run is to stop.
        """
        while self._queue or self._busy:
            self._assign()
            waited = [*self._busy, *self._starting]
            ready, _ = self.ray.wait(waited, num_returns=1, timeout=_TICK_S, fetch_local=False)
            for found in ready:
                if found in self._starting:
                    self._started(found)
                else:
                    yield from self._read(found)
            self._refuse_to_wait_for_ever()

    def close(self) -> None:
        """End all slots, and with them their processes."""
        slots = [*self._idle, *self._starting.values(), *(slot for slot, _ in self._busy.values())]
        for slot in slots:
            with suppress(Exception):  # it is gone, and so may be the cluster
                self.ray.kill(slot)

    def _assign(self) -> None:
        """Give jobs to idle slots, and start slots for the rest. One that has no room yet holds no job."""
        while self._queue and self._idle:
            slot, work = self._idle.pop(), self._queue.popleft()
            stream = slot.run.options(num_returns="streaming").remote(work.job, work.taken)
            self._busy[stream] = (slot, work)
        wanted = min(len(self._queue), self.count - len(self._busy))
        while len(self._starting) < wanted:
            slot = self._start()
            self._starting[slot.open.remote()] = slot

    def _started(self, said: Any) -> None:  # noqa: ANN401
        slot = self._starting.pop(said)
        try:
            wrong = self.ray.get(said)
        except self.ray.exceptions.RayActorError:
            return  # it was lost with its node; another is started while there is work
        if wrong is not None:
            raise _raised(*wrong)
        self._idle.append(slot)

    def _read(self, stream: Any) -> Iterator[EngineEvent]:  # noqa: ANN401
        slot, work = self._busy[stream]
        try:
            kind, content = self.ray.get(next(stream))
        except StopIteration:
            del self._busy[stream]
            self._idle.append(slot)
            return
        except (self.ray.exceptions.RayActorError, self.ray.exceptions.ObjectLostError) as error:
            self._lost(stream, error)
            return
        if kind == "raised":
            raise _raised(*content)
        yield ItemStarted(work.job, content) if kind == "started" else JobCommitted(content)

    def _lost(self, stream: Any, error: Exception) -> None:  # noqa: ANN401
        slot, work = self._busy.pop(stream)
        with suppress(Exception):  # it is gone already
            self.ray.kill(slot)
        work.lost += 1
        if work.lost >= MOST_LOST:
            raise CorpusError(
                f"'{work.job.stem}' was lost with its node {work.lost} times ({str(error).splitlines()[0]}); see "
                "whether the nodes have memory enough, then run the same command again"
            )
        self._queue.appendleft(work)

    def _refuse_to_wait_for_ever(self) -> None:
        if self._busy or self._idle:
            self._had_room = time.monotonic()
        elif time.monotonic() - self._had_room > PATIENCE_S:
            raise ConfigError(
                f"no node of the Ray cluster has had a free {'GPU' if self.gpus else 'processor'} for "
                f"{PATIENCE_S:.0f} s; see 'ray status', then run the same command again"
            )


def _raised(kind: str, sentence: str) -> Exception:
    known = {error.__name__: error for error in (CorpusError, ConfigError, RunFailedError)}
    return known[kind](sentence) if kind in known else RuntimeError(sentence)
