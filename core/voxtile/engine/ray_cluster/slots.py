"""Slots of a Ray cluster: actors of one processor or GPU that hold an object each and answer calls of its methods.

A slot has one call at a time, and what waits for a slot waits in this program: so many calls are in flight as there are
slots, and no more. A call that was on a lost node is given to another slot.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import voxtile.errors
from voxtile.closing import Closing
from voxtile.console import note
from voxtile.engine.ray_cluster.connection import Connection, connect, versions
from voxtile.engine.ray_cluster.on_node import OnNode
from voxtile.engine.worker import importable
from voxtile.errors import ConfigError, CorpusError, VoxtileError

MOST_LOST = 3  # slots that a call may lose before the run ends: one that takes its node down would take them all
MOST_LOST_STARTING = 8  # in a row, beyond one a slot: a node that is lost takes those that start on it along
PATIENCE_S = 600.0  # how long a cluster may have no room at all; one that grows on demand needs minutes
NOTE_S = 15.0  # after so long it is said what is waited for
_TICK_S = 0.5
LAGGING_S = 300.0  # after so long a call of `ordered` is made a second time, where a slot has nothing else to do
_LAGGING = 3  # and after so many times the longest call of them that ended
_ENDS_S = 10.0  # for a slot to say that a call is over, when its result is here
_AHEAD = 2  # results that are kept until one before them comes, and calls under way, for each slot


@dataclass
class Call:
    """A call of a method of what slots hold.

    Attributes:
        key: the caller's.
        method: its name.
        arguments: of it.
        title: what it is about, for a sentence.
        lost: slots that it was lost with.
        begun: when a slot got it (seconds).
        is_repeated: it is made twice.
        done: when what it returned came (seconds); 0 before.
    """

    key: Any
    method: str
    arguments: tuple[Any, ...]
    title: str
    lost: int = 0
    begun: float = 0.0
    is_repeated: bool = False
    done: float = 0.0


@dataclass(eq=False)
class Slots(Closing):
    """The slots of a run.

    Attributes:
        connection: to the cluster.
        count: of slots at most.
        gpus: that a slot has.
        computes: whether what they hold computes with a model, so that the nodes' torch is to be the same.
    """

    connection: Connection
    count: int
    gpus: int = 0
    computes: bool = False
    _made: Any = None  # what each slot makes and holds: a reference to a pickle of (callable, arguments)
    _queue: deque[Call] = field(default_factory=deque)
    _idle: list[Any] = field(default_factory=list)
    _starting: dict[Any, Any] = field(default_factory=dict)  # what says that it is ready → slot
    _busy: dict[Any, tuple[Any, Call]] = field(default_factory=dict)  # stream of answers → slot and its call
    _had_room: float = field(default_factory=time.monotonic)
    _said_full: bool = False
    _lost_starting: int = 0

    def __post_init__(self) -> None:
        ray = self.connection.ray
        made = ray.remote(num_cpus=1, num_gpus=self.gpus, max_restarts=0, max_task_retries=0)(OnNode)
        self._start: Callable[[], Any] = lambda: made.remote(sys.path, os.getcwd())

    def hold(self, make: Callable[..., Any], *arguments: Any) -> None:  # noqa: ANN401
        """Have all slots make an object and hold it; those that there are already too.

        Raises:
            ConfigError: it cannot be sent to them.
        """
        try:
            packed = importable((make, arguments))
        except TypeError as error:
            raise ConfigError(f"{error}; define it in a module that can be imported") from None
        self._made = self.connection.ray.put(packed)
        slots = [*self._idle, *self._starting.values()]
        self._idle, self._starting = [], {self._opened(slot): slot for slot in slots}

    def start(self) -> None:
        """Start all slots and wait until one is ready.

        Raises:
            ConfigError: a node is of another version, or the cluster has no room.
            CorpusError: the cluster went away.
        """
        while not self._idle:
            while len(self._idle) + len(self._starting) < self.count:
                self._begin()
            self._look()

    def submit(self, call: Call) -> None:
        """Queue a call, also while events are read."""
        self._queue.append(call)

    def events(
        self, stands_still: Callable[[Call], bool] = lambda _: False, is_enough: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[Call, str, Any]]:
        """Call, kind ('part', 'done', or 'lost' with its slot) and content, until nothing is queued or running.

        A call that was lost is given to another slot after that is read.

        Args:
            stands_still: whether the slot of a call is to be given up though Ray knows of nothing; asked often.
            is_enough: whether nothing is waited for any more; asked as often.

        Raises:
            ConfigError: a node is of another version, or does not see the corpus, or the cluster has no room.
            CorpusError: the cluster went away, or a call was lost with its slot several times.
            VoxtileError: what a call raised.
        """
        while (self._queue or self._busy) and not is_enough():
            self._assign()
            for stream in self._look():
                yield from self._read(stream)
            for stream in [stream for stream, (_, call) in self._busy.items() if stands_still(call)]:
                _, call = self._busy[stream]
                self._lost(stream, TimeoutError("it has not shown for minutes that it lives"))
                yield call, "lost", None

    def ordered(self, calls: Iterable[tuple[str, tuple[Any, ...]]], title: str) -> Iterator[Any]:
        """Results of calls in their order; calls are drawn as slots fall free, never more than a few ahead.

        Such calls read and write nothing, so that one that takes far longer than all others (its process or its file
        system stands still) is made by another slot too; what comes first counts.

        Args:
            calls: method and arguments of each.
            title: what they are about, for a sentence.
        """
        source, found = enumerate(calls), dict[int, Any]()
        drawn = given = 0
        longest = 0.0

        def draw() -> int:
            nonlocal drawn
            while drawn - given < _AHEAD * self.count and (entry := next(source, None)) is not None:
                number, (method, arguments) = entry
                self.submit(Call(number, method, arguments, title))
                drawn = number + 1
            return drawn

        def is_enough() -> bool:
            self._repeat_one(max(LAGGING_S, _LAGGING * longest))
            return not self._queue and all(
                call.key < given and (call.is_repeated if not call.done else time.monotonic() - call.done > _ENDS_S)
                for _, call in self._busy.values()
            )

        draw()
        for call, kind, content in self.events(is_enough=is_enough):
            if kind == "done":
                call.done = time.monotonic()
                longest = max(longest, call.done - call.begun)
                if call.key >= given:
                    found[call.key] = content
            while given in found:
                yield found.pop(given)
                given += 1
            draw()
        for slot, _ in self._busy.values():  # which stand still, and whose results have come
            self._end(slot)
        self._busy = {}

    def _repeat_one(self, after_s: float) -> None:
        """Queue a call a second time that takes so long, where a slot has nothing to do."""
        now = time.monotonic()
        for _, call in self._busy.values() if self._idle and not self._queue else ():
            if not call.is_repeated and not call.done and now - call.begun > after_s:
                call.is_repeated = True
                note(
                    f"a worker of the Ray cluster has been at '{call.title}' for {now - call.begun:.0f} s, far longer "
                    "than others; another one does the same beside it"
                )
                self.submit(replace(call, lost=0))
                return

    def close(self) -> None:
        """End all slots, and the connection where it is ours."""
        if self in _KEPT:
            _KEPT.remove(self)
        self.end()
        self.connection.close()

    def end(self) -> None:
        """End all slots, and with them their processes."""
        slots = [*self._idle, *self._starting.values(), *(slot for slot, _ in self._busy.values())]
        if not self.connection.is_lost:
            for slot in slots:
                self._end(slot)
        self._idle, self._starting, self._busy = [], {}, {}

    def _begin(self) -> None:
        slot = self._start()
        self._starting[self._opened(slot)] = slot

    def _opened(self, slot: Any) -> Any:  # noqa: ANN401
        return slot.open.remote(versions(computes=self.computes), self._made)

    def _end(self, slot: Any) -> None:  # noqa: ANN401
        with suppress(Exception):  # it is gone, and so may be the cluster
            self.connection.ray.kill(slot)

    def _assign(self) -> None:
        """Give calls to idle slots, and start slots for the rest. One that has no room yet holds no call."""
        while self._queue and self._idle:
            slot, call = self._idle.pop(), self._queue.popleft()
            call.begun = time.monotonic()
            stream = slot.call.options(num_returns="streaming").remote(call.method, call.arguments)
            self._busy[stream] = (slot, call)
        wanted = min(len(self._queue), self.count - len(self._busy))
        while len(self._starting) < wanted:
            self._begin()

    def _look(self) -> list[Any]:
        """Wait for what comes; the streams that have something. What slots say that start is dealt with here."""
        ray = self.connection.ray
        ready, _ = ray.wait([*self._busy, *self._starting], num_returns=1, timeout=_TICK_S, fetch_local=False)
        for found in ready:
            if found in self._starting:
                self._started(found)
        self.connection.look()
        self._refuse_to_wait_for_ever()
        return [found for found in ready if found in self._busy]

    def _started(self, said: Any) -> None:  # noqa: ANN401
        slot = self._starting.pop(said)
        try:
            wrong = self.connection.ray.get(said)
        except self.connection.ray.exceptions.RayActorError as error:
            self._lost_starting += 1  # with its node; another is started while there is work
            if self._lost_starting >= self.count + MOST_LOST_STARTING:
                raise CorpusError(
                    f"{self._lost_starting} workers in a row ended as they started on the Ray cluster "
                    f"({_first_line(error)}); see its logs, then run the same command again"
                ) from error
            return
        self._lost_starting = 0
        if wrong is not None:
            raise _raised(*wrong)
        self._idle.append(slot)

    def _read(self, stream: Any) -> Iterator[tuple[Call, str, Any]]:  # noqa: ANN401
        errors = self.connection.ray.exceptions
        slot, call = self._busy[stream]
        try:
            kind, content = self.connection.ray.get(next(stream))
        except StopIteration:
            del self._busy[stream]
            self._idle.append(slot)
            return
        except (errors.RayActorError, errors.ObjectLostError) as error:
            self._lost(stream, error)
            yield call, "lost", None
            return
        if kind == "raised":
            raise _raised(*content)
        yield call, kind, content

    def _lost(self, stream: Any, error: Exception) -> None:  # noqa: ANN401
        slot, call = self._busy.pop(stream)
        self._end(slot)
        call.lost += 1
        if call.lost >= MOST_LOST:
            raise CorpusError(
                f"'{call.title}' was lost with its node {call.lost} times ({_first_line(error)}); see "
                "whether the nodes have memory enough, then run the same command again"
            )
        self._queue.appendleft(call)
        note(f"a worker of the Ray cluster was lost with '{call.title}', which another does ({_first_line(error)})")

    def _refuse_to_wait_for_ever(self) -> None:
        if self._busy or self._idle:
            self._had_room = time.monotonic()
            return
        waited, wanted = time.monotonic() - self._had_room, "GPU" if self.gpus else "processor"
        if waited > PATIENCE_S:
            raise ConfigError(
                f"no node of the Ray cluster has had a free {wanted} for {PATIENCE_S:.0f} s; see 'ray status', then "
                "run the same command again"
            )
        if waited > NOTE_S and not self._said_full:
            self._said_full = True
            note(f"no node of the Ray cluster is ready with a free {wanted} yet; the command waits {PATIENCE_S:.0f} s")


_KEPT: list[Slots] = []  # one at most: the slots that read the plan do the jobs, so that a command joins once


def joined(workers: int, *, uses_gpu: bool = False) -> Slots:
    """Slots of the cluster, those of an earlier stage of the same command where there are any.

    Args:
        workers: slots at most; 0 means one a processor, or one a GPU.
        uses_gpu: whether a slot gets a GPU, where the cluster has some.

    Raises:
        ConfigError: no cluster can be reached.
        MissingExtraError: Ray is not installed.
    """
    kept = _KEPT.pop() if _KEPT else None
    if kept and not (kept.connection.ray.is_initialized() and not kept.connection.is_lost):
        kept = None
    connection = kept.connection if kept else connect(workers)
    resources = connection.ray.cluster_resources()
    gpus = 1 if uses_gpu and resources.get("GPU") else 0
    count = workers or max(1, int(resources.get("GPU" if gpus else "CPU", 1)))
    if kept and (kept.count, kept.gpus) != (count, gpus):
        kept.end()
        kept = None
    slots = kept or Slots(connection, count, gpus)
    slots.computes = uses_gpu
    _KEPT.append(slots)
    return slots


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _raised(kind: str, sentence: str) -> Exception:
    known = getattr(voxtile.errors, kind, None) if kind else None
    if isinstance(known, type) and issubclass(known, VoxtileError) and known is not voxtile.errors.MissingExtraError:
        return known(sentence)
    return ConfigError(sentence) if known else RuntimeError(sentence)
