"""One folder in the place of another, at once: whoever looks sees the old one or the new one."""

from __future__ import annotations

import ctypes
import errno
import glob
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from voxtile.corpus.drafts import BUILDING_SUFFIX, TEMPORARY_SUFFIX
from voxtile.corpus.packing.same_folder import built_anew
from voxtile.corpus.storage import sync
from voxtile.errors import CorpusError, cause_of

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
    built_anew(place)
    sync(place.parent)


def remove_old(folder: Path) -> None:
    """Remove what was exchanged, of which nothing may stay.

    Raises:
        CorpusError: some of it cannot be removed.
    """
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise CorpusError(
            f"what was there before cannot all be removed from '{folder}' ({cause_of(error)}), and may still show the "
            "subject; see to the disk, then run the same command again"
        ) from error


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


def left_beside(place: Path) -> list[Path]:
    """Folders beside a corpus in which it was built again, or which it was before, of commands that were killed."""
    found = place.parent.glob(f".{glob.escape(place.name)}.*{BUILDING_SUFFIX}")
    return sorted(path for path in found if path.is_dir())


def corpus_files(root: Path) -> Iterator[Path]:
    """All files of a corpus, also those that are no part of the format, without drafts and scratch."""
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root).parts
        left = any(part.startswith(".") and part.endswith((TEMPORARY_SUFFIX, BUILDING_SUFFIX)) for part in inside)
        if not left and inside[0] != ".scratch" and (path.is_file() or path.is_symlink()):
            yield path


def link_file(source: Path, target: Path) -> None:
    """A second name of a file; a copy where the file system has no such names."""
    if source.is_symlink():
        target.symlink_to(os.readlink(source))
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def sync_folder(folder: Path) -> None:
    """Put all that was written in a folder on the disk; links to what is there already are passed over."""
    for inside, _, names in os.walk(folder):
        for path in (Path(inside) / file for file in names):
            if path.is_file() and path.stat().st_nlink == 1:
                sync(path)
        sync(Path(inside))
