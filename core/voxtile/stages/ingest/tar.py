"""Tar files read by offset: members are listed from their headers and never extracted by name."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 512  # bytes, POSIX.1-1988 ustar


@dataclass(frozen=True)
class Member:
    """A regular file inside a tar: its name, and where its bytes are."""

    name: str
    offset: int
    nbytes: int


@dataclass(frozen=True)
class Damage:
    """Where a tar stops being readable, in one sentence."""

    sentence: str


def scan_tar(path: Path) -> Iterator[Member | Damage]:
    """List the regular files of an uncompressed tar; a damaged tar ends with one `Damage` after what could be read.

    Args:
        path: the tar. Links, devices and folders are passed over.
    """
    size = path.stat().st_size
    position = 0
    try:
        with tarfile.open(path, mode="r:") as tar:
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined]  # the list would grow with the tar
                position = member.offset_data + member.size
                if position > size:
                    yield Damage(f"'{path}' is cut off inside member '{member.name}'; download it again")
                    return
                if member.isreg():
                    yield Member(member.name, member.offset_data, member.size)
            position = tar.offset
    except (tarfile.TarError, ValueError, OverflowError, UnicodeError) as error:
        yield Damage(
            f"'{path}' is not a readable uncompressed tar at byte {position} ({error}); download or unpack it again"
        )
        return
    with path.open("rb") as file:
        # tarfile takes a damaged header for the end; a complete tar ends with a block of zeros.
        file.seek(position)
        block = file.read(_BLOCK)
    if len(block) < _BLOCK:
        yield Damage(f"'{path}' is cut off at byte {position}, before its end mark; download it again")
    elif any(block):
        yield Damage(
            f"'{path}' has a damaged header at byte {position}; what follows it was not read; download it again"
        )


def read_range(path: Path, offset: int, nbytes: int) -> bytes:
    """Read one member's bytes.

    Raises:
        OSError: the file is shorter than it was when it was listed.
    """
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(nbytes)
    if len(data) != nbytes:
        raise OSError(f"'{path}' ends before byte {offset + nbytes}")
    return data
