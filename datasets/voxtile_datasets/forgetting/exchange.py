"""One folder in the place of another, at once: whoever looks sees the old one or the new one."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from voxtile.corpus.storage import sync

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
_OLD_SUFFIX = ".before-forgetting"


def exchange(new: Path, place: Path) -> None:
    """Put `new` at `place`, and what was there at `new`.

    Where the file system cannot exchange two names, the old folder is away for the moment between two renames;
    `put_back` mends what a kill in that moment leaves.

    Raises:
        OSError: the folder that holds them cannot be written.
    """
    try:
        _exchange(new, place)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise
        aside = _aside(place)
        place.rename(aside)
        new.rename(place)
        aside.rename(new)
    sync(place.parent)


def put_back(place: Path) -> None:
    """Undo what was killed between two renames, if anything was."""
    aside = _aside(place)
    if aside.is_dir() and not place.exists():
        aside.rename(place)


def aside_of(place: Path) -> Path | None:
    """An old folder that a killed run has left, or None."""
    aside = _aside(place)
    return aside if aside.is_dir() else None


def _aside(place: Path) -> Path:
    return place.with_name(f".{place.name}{_OLD_SUFFIX}")


def _exchange(new: Path, place: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        renameat2 = libc.renameat2
    except AttributeError:
        raise OSError(errno.ENOSYS, "renameat2 is missing") from None
    if renameat2(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(place), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(place))
