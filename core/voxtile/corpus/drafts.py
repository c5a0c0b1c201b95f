"""Files and folders under construction, which hold a lock for as long as whoever makes them lives.

A process that is killed leaves its draft behind and its lock not: the system releases it. So the next one that writes
the same file takes over the draft, and one that writes the same folder removes it, without asking how the other ended.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from voxtile.console import note
from voxtile.errors import ConfigError

TEMPORARY_SUFFIX = ".tmp"
BUILDING_SUFFIX = ".building"
_MOMENT_S = 2.0  # of waiting, of which nothing is said
PATIENCE_S = 60.0  # for another process that writes the same file
WRITER_VARIABLE = "VOXTILE_WRITER_WAIT_S"
WRITER_PATIENCE_S = 60.0  # for another run that writes the same corpus


@contextmanager
def draft(path: Path) -> Iterator[Path]:
    """An empty hidden file beside `path`, ours alone until the end of the block; fill it and rename it.

    What a dead process left of one is overwritten. The draft is removed if it still has its name at the end.

    Raises:
        TimeoutError: another process that lives has been writing the same file for a minute; an OSError.
        OSError: the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
    handle = _locked(temporary)
    try:
        os.ftruncate(handle, 0)
        yield temporary
    finally:
        with suppress(OSError):
            if is_same_file(handle, temporary):
                temporary.unlink()
        os.close(handle)


@contextmanager
def draft_folder(path: Path) -> Iterator[Path]:
    """A new hidden folder beside `path`, which is removed at the end if it still has its name.

    Those that dead processes left of the same folder are removed before.

    Raises:
        OSError: the parent folder cannot be written.
    """
    for left in path.parent.glob(f".{_escaped(path.name)}.*{BUILDING_SUFFIX}"):
        remove_dead_folder(left)
    building, handle = _new_folder(path)
    try:
        building.chmod(0o755)
        yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)
        os.close(handle)


@contextmanager
def only_writer(folder: Path, patience_s: float = 0.0) -> Iterator[None]:
    """Write into an output folder, made where it is not there, while no other process does so by this function.

    Where the file system knows no locks there is none.

    Args:
        folder: the folder.
        patience_s: seconds to wait for another one.

    Raises:
        ConfigError: another process wrote into it all that time.
        OSError: the folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        deadline = time.monotonic() + patience_s
        while not try_lock(handle):
            if time.monotonic() >= deadline:
                raise ConfigError(
                    f"another command writes into '{folder}' now; wait until it ends, or name another folder"
                )
            time.sleep(0.01)
        yield
    finally:
        os.close(handle)


def _new_folder(path: Path) -> tuple[Path, int]:
    """A folder that is ours: another process may take one that is not locked yet for that of a dead one."""
    while True:
        building = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=BUILDING_SUFFIX, dir=path.parent))
        with suppress(FileNotFoundError):
            handle = os.open(building, os.O_RDONLY)
            if try_lock(handle) and is_same_file(handle, building):
                return building, handle
            os.close(handle)


def _locked(temporary: Path) -> int:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o666)
        if try_lock(handle) and is_same_file(handle, temporary):  # else another renamed it, or still writes
            return handle
        os.close(handle)
        if time.monotonic() > deadline:
            raise TimeoutError(f"another process has been writing '{temporary}' for {PATIENCE_S:g} s")
        time.sleep(0.01)


def try_lock(handle: int) -> bool:
    """Whether an open file or folder is locked for us now; also where the file system knows no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def wait_for_lock(handle: int, said: str) -> None:
    """Lock an open file for us, and say what is waited for where that takes longer than a moment.

    Where the file system knows no locks there is none.
    """
    if not locked_within(handle, _MOMENT_S):
        note(said)
        fcntl.flock(handle, fcntl.LOCK_EX)


def locked_within(handle: int, seconds: float) -> bool:
    """Whether an open file is locked for us by then."""
    deadline = time.monotonic() + seconds
    while not try_lock(handle):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True


def seconds_given(variable: str, default: float) -> float:
    """Seconds for which something is waited for, as a variable of the environment says.

    Raises:
        ConfigError: the variable is no number from 0 on.
    """
    text = os.environ.get(variable) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"{variable} is '{text}', which is no number of seconds from 0 on")
    return seconds


def writer_patience() -> float:
    """Seconds for which a run waits for another one that writes the same corpus.

    Raises:
        ConfigError: the environment holds no number of them.
    """
    return seconds_given(WRITER_VARIABLE, WRITER_PATIENCE_S)


def is_same_file(handle: int, path: Path) -> bool:
    """Whether an open file still has this name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def remove_dead_drafts(folder: Path, names: str) -> None:
    """Remove files under construction whose maker has died; those of a process that lives stay.

    Args:
        folder: where they lie.
        names: of what they were to become, as a pattern.
    """
    for left in folder.glob(f".{names}{TEMPORARY_SUFFIX}"):
        with suppress(OSError):  # gone meanwhile, or not ours to remove
            remove_dead_draft(left)


def remove_dead_draft(path: Path) -> None:
    """Remove a file under construction, unless its maker lives.

    Raises:
        OSError: it is gone, or not ours to remove.
    """
    handle = os.open(path, os.O_RDWR)
    try:
        if try_lock(handle) and is_same_file(handle, path):
            path.unlink()
    finally:
        os.close(handle)


def remove_dead_folder(folder: Path) -> None:
    """Remove a folder under construction whose maker has died."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        if try_lock(handle):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
