"""What `worker_process.START` runs, with the file descriptors of its connection and lifeline as arguments.

Started as a fresh interpreter (not forked), so that a caller's script needs no `__main__` guard and a worker holds
nothing but what its task imports. Messages are pickles over a private pipe between our own two processes.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from voxtile.errors import VoxtileError
from voxtile.lazy_packages import defer_packages
from voxtile.processors import nothing_collected
from voxtile.without_pandas import spare_pandas

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>

ANOTHER = b""
"""Message: what all calls share follows anew, for this worker now works for another pool."""

Report = Callable[[int | None], None]
"""Call `report(k)` when item k starts, and `report(None)` when no time limit applies."""


@dataclass(frozen=True)
class RemoteError:
    """An exception that left a call, as text (the exception itself may not be picklable).

    Attributes:
        error_class: name of its type.
        sentence: what it says.
        traceback: where it came from, for `--debug`.
        is_expected: it is a VoxtileError, whose sentence is meant for the user.
    """

    error_class: str
    sentence: str
    traceback: str
    is_expected: bool


def main() -> None:
    """Serve calls until the supervisor closes the connection, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    os.dup2(2, 1)  # what a native decoder prints is not output
    _die_with(int(sys.argv[2]))
    connection = Connection(int(sys.argv[1]))
    try:
        shared = _load(connection)
        while shared is not None:
            message = connection.recv_bytes()
            if message == ANOTHER:
                shared = _load(connection)
            elif not _serve(connection, shared[0], message):
                return
    except (EOFError, ConnectionError):  # nobody listens any more
        return


def _load(connection: Connection) -> tuple[object] | None:
    """Receive what all calls share; None when it cannot be loaded."""
    sys.path[:], memory_bytes = pickle.loads(connection.recv_bytes())
    defer_packages()
    try:
        with nothing_collected(to_the_end=True):
            shared = pickle.loads(connection.recv_bytes())
    except (EOFError, ConnectionError):
        raise
    except Exception as error:  # importing the task's module runs third-party code
        connection.send(("broken", _describe(error)))
        return None
    spare_pandas()
    _limit_memory(memory_bytes)
    connection.send(("ready", None))
    return (shared,)


def _serve(connection: Connection, shared: object, call: bytes) -> bool:
    """Run one call; False when this process should not be trusted with another."""

    def report(mark: int | None) -> None:
        connection.send(("mark", mark))

    try:
        function, args = pickle.loads(call)
        connection.send(("value", function(shared, *args, report)))
    except MemoryError:
        connection.send(("memory", None))
        return False
    except Exception as error:  # everything goes to the supervisor, which decides
        connection.send(("raised", _describe(error)))
    return True


def _describe(error: Exception) -> RemoteError:
    sentence = str(error) or type(error).__name__
    return RemoteError(type(error).__name__, sentence, traceback.format_exc(), isinstance(error, VoxtileError))


def _die_with(lifeline: int) -> None:
    """Exit as soon as the supervisor is gone: its end of the lifeline closes however it ends.

    Where the system does it, also a process that is stopped just then ends. One that went on later, in the middle of a
    job that the next run has done meanwhile, would take the finished files away as its own failure's.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))

    def watch() -> None:
        os.read(lifeline, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _limit_memory(memory_bytes: int | None) -> None:
    """Cap private memory above what is in use: RLIMIT_DATA, which unlike RLIMIT_AS leaves file mappings alone."""
    if memory_bytes is None or sys.platform != "linux":
        return
    status = Path("/proc/self/status").read_text().splitlines()
    used = next(int(line.split()[1]) for line in status if line.startswith("VmData"))  # kB
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = used * 1024 + memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def importable(value: object) -> bytes:
    """Pickle what workers need, by reference to importable modules.

    Raises:
        TypeError: `value` is defined in a script or inside a function, where a worker cannot find it.
    """
    try:
        blob = pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(f"a worker process cannot receive {type(value).__name__}: {error}") from error
    return blob
