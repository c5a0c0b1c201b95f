"""One writer a corpus: a lock file that the system releases however the run ends."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxtile.console import note
from voxtile.corpus.drafts import WRITER_VARIABLE, is_same_file, try_lock, writer_patience
from voxtile.corpus.packing.exchange import finish_exchange
from voxtile.corpus.packing.same_folder import require_same_folder
from voxtile.errors import CorpusError

LOCK = ".lock"
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
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        try:
            finish_exchange(root)
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def writer_of(root: Path) -> str:
    """The process that writes to a corpus just now, as the lock names it; empty where none does."""
    try:
        handle = os.open(root / LOCK, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return "" if try_lock(handle) else os.pread(handle, 200, 0).decode(errors="replace") or "another process"
    finally:
        os.close(handle)


def _acquired(root: Path) -> int:
    """The open lock file, locked; it is the one that has the name now, which others wait for."""
    started, patience, is_said = time.monotonic(), writer_patience(), False
    while True:
        handle = os.open(root / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_same_file(handle, root / LOCK):
                return handle
            os.close(handle)
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode(errors="replace") or "another process"
            os.close(handle)
            waited, longest = time.monotonic() - started, max(patience, GONE_PATIENCE_S * _is_gone(holder))
            if waited > longest:
                raise CorpusError(
                    f"the corpus '{root}' is being written by {holder}; wait until it ends, or have this command wait "
                    f"longer than {longest:g} s by {WRITER_VARIABLE}"
                ) from None
            if waited > _MOMENT_S and not is_said:
                note(f"the corpus '{root}' is being written by {holder}; waiting for it, {longest:g} s at most")
                is_said = True
            time.sleep(0.1)
        except BaseException:
            os.close(handle)
            raise


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
