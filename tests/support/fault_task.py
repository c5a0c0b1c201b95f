"""A small deterministic task, and one whose inputs misbehave on demand: for tests of engines and converters."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import resource
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from voxtile.corpus.records import Sample
from voxtile.engine.parallel import PlanReader
from voxtile.engine.task import Item, Outcome
from voxtile.errors import InputError
from voxtile.processors import waited_seconds


@dataclass(frozen=True)
class FaultTask:
    """Makes a small volume of each name; a name's prefix says what goes wrong.

    `ok-…`, `drop-…` (a reason), `bad-…` (InputError), `bug-…` (ValueError), `segfault-…`, `exit-…` (os._exit),
    `hang-…`, `hungry-…` (memory without end), `greedy-…` (the same, and lifts its own limit first), `once-…` (dies the
    first time only, marked by a file in `scratch`), `later-…` (InputError until the file of that name is in `scratch`),
    `wait-…` (nothing until that file is there), `row-…` (a row that no table takes), `same-…` (always the same sample),
    `full-…` (the disk is full), `parent-…` (kills the process that its worker works for), `stopped-…` (stops that one,
    the first time only).

    Attributes:
        names: the inputs.
        scratch: folder for the marks of `once-…`, `later-…` and `wait-…`.
        seconds: how long an input takes.
        shape: of the volume [Z, Y, X].
        licence: stored in each row; part of the config.
    """

    names: tuple[str, ...]
    scratch: str = ""
    seconds: float = 0.0
    shape: tuple[int, int, int] = (4, 8, 8)
    licence: str = "CC0-1.0"

    @property
    def name(self) -> str:
        """Short name."""
        return "fault"

    @property
    def version(self) -> str:
        """Version of the output."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """What changes the output."""
        return {"shape": list(self.shape), "licence": self.licence}

    def items(self) -> Iterable[Item]:
        """One input a name."""
        return [Item(name, {"name": name}, cost=int(np.prod(self.shape)) * 2) for name in self.names]

    def process(self, item: Item) -> Outcome:
        """Misbehave as the name says, or make the volume."""
        time.sleep(self.seconds)
        kind = item.source.partition("-")[0]
        if kind == "drop":
            return Outcome("dropped", reason="not-wanted")
        if kind in _FAULTS:
            _FAULTS[kind](self, item)
        return self._volume("same" if kind == "same" else item.source, extra={"nonsense": 1} if kind == "row" else {})

    def _volume(self, name: str, extra: Mapping[str, Any]) -> Outcome:
        digest = hashlib.sha256(name.encode()).digest()
        voxels = np.random.default_rng(list(digest)).integers(-1000, 1000, self.shape, dtype=np.int16)
        uid = digest.hex()[:32]
        row = {
            "uid": uid,
            "subject": name,
            "study": name,
            "kind": "volume",
            "modality": "CT",
            "axes": "ZYX",
            "units": "HU",
        }
        caption = {"caption_id": uid, "uid": uid, "text": f"volume {name}", "kind": "raw"}
        sample = Sample({**row, "licence": self.licence, **extra}, voxels)
        return Outcome("used", samples=(sample,), tables={"captions": [caption]})


@dataclass(frozen=True)
class SourcedTask(FaultTask):
    """A task with a folder of inputs, as converters have it."""

    source: Path = Path("/")


@dataclass(frozen=True)
class FaultPlan(FaultTask):
    """A task whose plan misbehaves as its names say, for tests of planning."""

    def items(self) -> Iterator[Item]:
        """One input a name, if it comes to that."""
        for item in super().items():
            misbehave(item.source)
            yield item


def misbehave(name: str) -> int:
    """Length of the name, or the fault that its prefix asks for; for tests of `parallel_map`."""
    fault = _FAULTS.get(name.partition("-")[0])
    if fault is not None:
        fault(FaultTask((name,)), Item(name, {}))
    return len(name)


def list_slowly(count: int) -> Iterator[int]:
    """Numbers, 0.3 s apart; for tests of `parallel_map`."""
    for number in range(count):
        time.sleep(0.3)
        yield number


def outwait(seconds: float) -> float:
    """Compute until others have had the processor for so long; seconds by the clock, which are more."""
    started, before = time.monotonic(), waited_seconds(os.getpid())
    while waited_seconds(os.getpid()) - before < seconds:
        pass
    return time.monotonic() - started


def _bad(task: FaultTask, item: Item) -> None:
    raise InputError(f"'{item.source}' is no good; take another")


def _bug(task: FaultTask, item: Item) -> None:
    raise ValueError("a bug")


def _segfault(task: FaultTask, item: Item) -> None:
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    ctypes.string_at(0)


def _exit(task: FaultTask, item: Item) -> None:
    os._exit(3)


def _hang(task: FaultTask, item: Item) -> None:
    time.sleep(3600)


def _hungry(task: FaultTask, item: Item) -> None:
    held = []
    while True:
        held.append(np.empty(4 * 2**20))  # 32 MiB that are asked for and never touched


def _greedy(task: FaultTask, item: Item) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    held = []
    for _ in range(32):
        held.append(np.ones(4 * 2**20))  # 32 MiB
        time.sleep(0.1)


def _once(task: FaultTask, item: Item) -> None:
    mark = Path(task.scratch) / item.source
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _later(task: FaultTask, item: Item) -> None:
    if not Path(task.scratch, item.source).exists():
        raise InputError(f"'{item.source}' is not ready")


def _wait(task: FaultTask, item: Item) -> None:
    while not Path(task.scratch, item.source).exists():
        time.sleep(0.05)


def _full(task: FaultTask, item: Item) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _parent(task: FaultTask, item: Item) -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(3600)  # the worker ends with whom it works for


def _stopped(task: FaultTask, item: Item) -> None:
    mark = Path(task.scratch) / item.source
    if not mark.exists():
        mark.write_text(str(os.getppid()))
        os.kill(os.getppid(), signal.SIGSTOP)


_FAULTS = {
    "bad": _bad,
    "bug": _bug,
    "segfault": _segfault,
    "exit": _exit,
    "hang": _hang,
    "hungry": _hungry,
    "greedy": _greedy,
    "once": _once,
    "later": _later,
    "wait": _wait,
    "full": _full,
    "parent": _parent,
    "stopped": _stopped,
}


def pid_of(_: object) -> int:
    """The process that is at work."""
    return os.getpid()


def limit_of(_: object) -> tuple[int, int]:
    """The process that is at work, and its limit of private memory beyond what it had, in bytes."""
    status = Path("/proc/self/status").read_text().split()
    used = int(status[status.index("VmData:") + 1]) * 1024
    return os.getpid(), resource.getrlimit(resource.RLIMIT_DATA)[0] - used


@dataclass(frozen=True)
class PidTask(FaultTask):
    """Two inputs, found by a supervised process; notes which processes found and did them."""

    names: tuple[str, ...] = ("ok-1", "ok-2")
    noted: str = ""
    reader: PlanReader = field(default_factory=PlanReader, compare=False)

    def items(self) -> Iterable[Item]:
        """The process that plans, then the items."""
        Path(self.noted).write_text(f"{self.reader.read(pid_of, None)}\n")
        return super().items()

    def process(self, item: Item) -> Outcome:
        """Note the process."""
        with Path(self.noted).open("a") as file:
            file.write(f"{os.getpid()}\n")
        return super().process(item)
