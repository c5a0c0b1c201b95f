"""Files that appear whole or not at all: temporary name, fsync, rename."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from voxtile.corpus.drafts import TEMPORARY_SUFFIX, draft
from voxtile.errors import CorpusError


class StorageError(CorpusError):
    """The corpus cannot be written: the disk is full, or the folder is read-only."""


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors about a path into one sentence.

    Raises:
        StorageError: the system refused to write there; says why.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write '{path}': {_advice(error)}") from error


def temporary_path(path: Path) -> Path:
    """Name of a hidden file beside `path`, unique to this call, for what is written over a whole job.

    Readers ignore it, `verify` reports leftovers, and the next run of the engine removes them.
    """
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a small file whole: a reader sees the old content or the new one.

    Raises:
        StorageError: the folder cannot be written or the disk is full; no file is left behind.
    """

    def fill(temporary: Path) -> None:
        temporary.write_bytes(data)

    publish_all([(path, fill)])


def publish_all(files: Sequence[tuple[Path, Callable[[Path], None]]]) -> list[Path]:
    """Write several files under temporary names, then rename them in the given order.

    Args:
        files: final path, and a function that writes the content to the path it is given.

    Raises:
        StorageError: as for `write_atomically`; none of the files is left behind.
    """
    renamed: list[Path] = []
    with ExitStack() as open_drafts:
        drafts: list[Path] = []
        try:
            for path, fill in files:
                with storage_errors(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    drafts.append(open_drafts.enter_context(draft(path)))
                    fill(drafts[-1])
                    sync(drafts[-1])
            for (path, _), temporary in zip(files, drafts, strict=True):
                with storage_errors(path):
                    existed = path.exists()
                    os.replace(temporary, path)
                    renamed += [] if existed else [path]
            for folder in dict.fromkeys(path.parent for path, _ in files):
                sync(folder)
        except BaseException:
            for path in [*drafts, *renamed]:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            raise
    return [path for path, _ in files]


def sync(path: Path) -> None:
    """Ask the system to put a file or folder on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_room_aside(path: Path) -> None:
    """Have the disk keep room for all of a file that is to be filled through a mapping.

    Where the disk is full, a write raises; a touch of a mapping that has no room behind it ends the process (SIGBUS).

    Raises:
        OSError: there is no room.
    """
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:  # a file system that cannot
                raise


def _advice(error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return "no space is left on the disk; free some and run the same command again, finished jobs are kept"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return "the folder is not writable; change its permissions or choose another one"
    if error.errno == errno.EIO:
        return f"{os.strerror(errno.EIO)}; see to the disk and run the same command again, finished jobs are kept"
    return error.strerror or str(error)
