"""What an archive holds: its members under names that can be told apart, or why one is not read.

A member's path runs through its archive (`study.zip/CT/IM0001`), as if the archive were a folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

DAMAGED = "damaged-member"
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
MAX_ENTRIES = 1_000_000
MAX_MEMBER_BYTES = (2 << 30) + (64 << 20)  # the largest volume that is read, and a header
MAX_GZIP_BYTES = 16 << 30  # unpacked: each process runs through a compressed tar from its start
MAX_RATIO = 200  # of unpacked to packed bytes in an archive that unpacks to more than the following
HARMLESS_BYTES = 4 << 30
_THROUGH = re.compile(r"\.(?:zip|tar|tar\.gz|tgz)/", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Entry:
    """A member of an archive.

    Attributes:
        path: within the archive, with forward slashes; of a member that is not read, as the archive has it.
        size: bytes, unpacked.
        reason: why it is not read, a short machine-readable name; empty where it is.
        detail: the same as a sentence for people.
    """

    path: str
    size: int
    reason: str = ""
    detail: str = ""


class ArchiveFault(Exception):
    """An archive, or a member of it, that cannot be read.

    Args:
        reason: short machine-readable name.
        detail: one sentence for people; names no file.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def is_archive_name(path: str) -> bool:
    """The name ends as that of an archive whose members can be read."""
    return path.lower().endswith(SUFFIXES)


def runs_through(path: str) -> bool:
    """The path may be that of a member: one of its folders is named like an archive."""
    return _THROUGH.search(path) is not None


def archive_of(path: str) -> str:
    """The archive that a path runs through; empty where none of its folders is named like one."""
    found = _THROUGH.search(path)
    return path[: found.end()] if found else ""


class EntryNames:
    """Gives each member of one archive a path of its own."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def entry(self, name: str, size: int) -> Entry:
        """The member, refused where its name leaves the archive or hides others in it.

        A name that stands twice is numbered: both members are read, and what repeats or contradicts the other is
        found as it is among files.
        """
        path = PurePosixPath(name)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name or _DRIVE.match(name):
            return Entry(name, size, "unsafe-name", "its name leads out of the archive; pack the archive again")
        if is_archive_name(name):
            return Entry(name, size, "nested-archive", "an archive within an archive; unpack the outer one")
        if size > MAX_MEMBER_BYTES:
            detail = f"it unpacks to {size / 2**30:.1f} GiB; the limit is {MAX_MEMBER_BYTES / 2**30:.1f} GiB"
            return Entry(name, size, "too-large", detail)
        plain, number = path.as_posix(), 1
        while (own := plain if number == 1 else f"{plain} ({number})") in self._taken:
            number += 1
        self._taken.add(own)
        if len(self._taken) > MAX_ENTRIES:
            raise ArchiveFault("too-large", f"the archive has more than {MAX_ENTRIES} members; unpack it")
        return Entry(own, size)


def refuse_bomb(packed: int, unpacked: int) -> None:
    """Refuse what unpacks to much more than images do.

    Args:
        packed: bytes of the archive.
        unpacked: bytes of its members.

    Raises:
        ArchiveFault: `too-large`.
    """
    if unpacked > HARMLESS_BYTES and unpacked > MAX_RATIO * packed:
        raise ArchiveFault(
            "too-large", f"{packed >> 20} MiB that unpack to {unpacked / 2**30:.0f} GiB; check where it is from"
        )
