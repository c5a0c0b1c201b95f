"""One writer a corpus: a lock file that the system releases however the run ends.

Where the file system knows no locks (Lustre without its option `flock`, stores that are mounted), a file stands for the
lock that one process alone can make. It stays where that process was killed. On its own machine that is seen. From
elsewhere its holder is known to live by a file beside it, which it writes anew every ten seconds: where that stands
still for a minute the lock can be released, and a holder that lives all the same ends when it sees that.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from voxtile.console import note
from voxtile.corpus.drafts import TEMPORARY_SUFFIX, WRITER_VARIABLE, is_same_file, try_lock, writer_patience
from voxtile.corpus.packing.exchange import finish_exchange
from voxtile.corpus.packing.same_folder import require_same_folder
from voxtile.errors import CorpusError

LOCK = ".lock"
HELD = ".lock.held"
BEAT = ".lock.beat"
_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}
GONE_PATIENCE_S = 60.0  # at least, for workers that have not noticed yet that their run was killed
_MOMENT_S = 2.0  # of waiting, of which nothing is said
_BEAT_S = 10.0


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
            with _beating(root):
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


def release_lock(root: Path) -> str:
    """Take the file that stands for the lock from a process of another machine that shows no sign of life.

    Returns:
        That process and since when it held the corpus; empty where no such file is there.

    Raises:
        CorpusError: the process lives, or cannot show whether it does.
    """
    holder = _holder_of(root / HELD)
    if not holder:
        return ""
    said = f"{holder}, since {datetime.fromtimestamp((root / HELD).stat().st_mtime):%Y-%m-%d %H:%M}"
    if _is_of_here(holder):
        if not _is_gone(holder):
            raise CorpusError(f"the corpus '{root}' is held by {said}, which lives; wait until it ends, or end it")
    else:
        before = _holder_of(root / BEAT)
        if not before.startswith(f"{holder}\n"):
            raise CorpusError(
                f"the corpus '{root}' is held by {said}, of a version that shows no sign of life; if that process is "
                f"no more, remove '{root / HELD}'"
            )
        note(f"the corpus '{root}' is held by {said}; whether it lives is seen within {GONE_PATIENCE_S:g} s")
        started = time.monotonic()
        while time.monotonic() - started < GONE_PATIENCE_S:
            time.sleep(min(1.0, GONE_PATIENCE_S))
            if _holder_of(root / BEAT) != before:
                raise CorpusError(f"the corpus '{root}' is held by {said}, which lives; wait until it ends, or end it")
    if _holder_of(root / HELD) == holder:
        (root / HELD).unlink(missing_ok=True)
    return said


@contextmanager
def _beating(root: Path) -> Iterator[None]:
    """Show that this process lives, where a file stands for the lock, and end it where somebody took that away."""
    if _holder_of(root / HELD) != _own_name():
        yield
        return
    begun, shown, ended = root.stat(), threading.Event(), threading.Event()
    draft = root / f"{BEAT}{TEMPORARY_SUFFIX}"

    def beat() -> None:
        for number in itertools.count():
            if ended.wait(_BEAT_S * bool(number)):
                return
            with suppress(OSError):
                if os.path.samestat(root.stat(), begun):  # and else this command has put a new folder in its place
                    if not _holds(root / HELD):
                        note(
                            f"the corpus '{root}' was released for other commands (voxtile gc --release-lock), so that "
                            "this one ends; run it again when no other one writes"
                        )
                        os._exit(1)
                    draft.write_text(f"{_own_name()}\n{number}")
                    draft.replace(root / BEAT)  # so that nobody reads half of it
            shown.set()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    shown.wait()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        (root / BEAT).unlink(missing_ok=True)


def _holds(held: Path) -> bool:
    """Whether this process has the lock; a file that cannot be read just now says nothing, and raises."""
    try:
        return held.read_text(errors="replace") == _own_name()
    except FileNotFoundError:
        return False


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
            released = f"; if that process is no more, run 'voxtile gc {root} --release-lock'"
            left = released if (root / HELD).exists() else ""
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


def _is_of_here(holder: str) -> bool:
    return holder.endswith(f" on {socket.gethostname()}")


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
