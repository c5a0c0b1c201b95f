"""One writer a corpus: a lock file that the system releases however the run ends.

Where the file system knows no locks (Lustre without its option `flock`, stores that are mounted), a file stands for the
lock that one process alone can make. It stays where that process was killed: on its own machine that is seen, from
elsewhere somebody has to remove it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from voxtile.console import note
from voxtile.corpus.drafts import WRITER_VARIABLE, is_same_file, try_lock, writer_patience
from voxtile.corpus.packing.exchange import finish_exchange
from voxtile.corpus.packing.same_folder import require_same_folder
from voxtile.errors import CorpusError

LOCK = ".lock"
HELD = ".lock.held"
_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}
GONE_PATIENCE_S = 60.0  # at least, for workers that have not noticed yet that their run was killed
_MOMENT_S = 2.0  # of waiting, of which nothing is said


@contextmanager
def corpus_lock(root: Path) -> Iterator[None]:
    """Hold the corpus for writing; an exchange of files that was interrupted is finished first.

    Raises:
        CorpusError: another run holds it; the message names the process. Or the corpus was built anew since the command
            began, see `voxtile.corpus.packing.same_folder`.
    """
    handle = _acquired(root)
    try:
        require_same_folder(root)
        os.ftruncate(handle, 0)
        os.pwrite(handle, _own_name().encode(), 0)
        try:
            finish_exchange(root)
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        _let_go(root)
        os.close(handle)


def writer_of(root: Path) -> str:
    """The process that writes to a corpus just now, as the lock names it; empty where none does."""
    try:
        handle = os.open(root / LOCK, os.O_RDONLY)
    except OSError:
        return ""
    try:
        if holder := _holder_of(root / HELD):
            return "" if _is_gone(holder) else holder
        return "" if try_lock(handle) else os.pread(handle, 200, 0).decode(errors="replace") or "another process"
    finally:
        os.close(handle)


def _acquired(root: Path) -> int:
    """The open lock file, locked; it is the one that has the name now, which others wait for."""
    started, patience, is_said = time.monotonic(), writer_patience(), False
    while True:
        handle = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            holder = _locked_by(handle, root / HELD)
            if not holder and is_same_file(handle, root / LOCK):
                return handle
            os.close(handle)
        except BaseException:
            os.close(handle)
            raise
        if not holder:  # the lock file was replaced; its name has another one now
            _let_go(root)
            continue
        waited, longest = time.monotonic() - started, max(patience, GONE_PATIENCE_S * _is_gone(holder))
        if waited > longest:
            left = f"; if that process is no more, remove '{root / HELD}'" if (root / HELD).exists() else ""
            raise CorpusError(
                f"the corpus '{root}' is being written by {holder}; wait until it ends, or have this command wait "
                f"longer than {longest:g} s by {WRITER_VARIABLE}{left}"
            )
        if waited > _MOMENT_S and not is_said:
            note(f"the corpus '{root}' is being written by {holder}; waiting for it, {longest:g} s at most")
            is_said = True
        time.sleep(0.1)


def _locked_by(handle: int, held: Path) -> str:
    """Lock the lock file; who has locked it where somebody else has, and else empty."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return ""
    except BlockingIOError:
        return os.pread(handle, 200, 0).decode(errors="replace") or "another process"
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    try:
        with held.open("x") as file:
            file.write(_own_name())
    except FileExistsError:
        holder = _holder_of(held)
        if _is_gone(holder):
            held.unlink(missing_ok=True)
        return holder or "another process"
    return ""


def _let_go(root: Path) -> None:
    if _holder_of(root / HELD) == _own_name():
        (root / HELD).unlink(missing_ok=True)


def _holder_of(held: Path) -> str:
    with suppress(OSError):
        return held.read_text(errors="replace")[:200]
    return ""


def _own_name() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _is_gone(holder: str) -> bool:
    """Whether the lock names a process of this machine that is no more."""
    found = re.fullmatch(r"process (\d+) on (.+)", holder)
    if found is None or found[2] != socket.gethostname():
        return False
    try:
        os.kill(int(found[1]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False
