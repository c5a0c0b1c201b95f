"""What tells a file from another one: its hash, or of a large one, without reading it, its size and its ends."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

EDGE = 4096  # bytes; the tail of a PNG holds the checksum of all its pixels, that of a JPEG its last entropy-coded rows
PROBES = 16
# A checksum of all that was packed stands at their ends, or what the last of it was packed to.
_ENDS_TELL = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gz", ".zst"})
_AT_ONCE = 32  # files: a network drive is waited for, and a plan may name a million


def file_sha256(path: Path) -> str:
    """Hash of all that a file holds (hex)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_ordinary(path: str | os.PathLike[str]) -> BinaryIO:
    """A file to be read, of a folder from elsewhere.

    Raises:
        OSError: it cannot be read, or is a pipe or a device, which would be waited for, or read, without end.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no ordinary file", os.fspath(path))
    return file


def edge_digest(nbytes: int, head: bytes, tail: bytes) -> str:
    """Cheap identity of a payload from its size, its first and its last `EDGE` bytes (128 bits, hex)."""
    return hashlib.sha256(b"%d\0%s\0%s" % (nbytes, head[:EDGE], tail[-EDGE:])).hexdigest()[:32]


def file_edges(path: Path) -> tuple[int, str]:
    """Size in bytes and `edge_digest` of a file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(EDGE)
        file.seek(max(0, size - EDGE))
        return size, edge_digest(size, head, file.read(EDGE))


def telling_edges(path: Path) -> tuple[int, str]:
    """Size in bytes and what tells a file cheaply: `file_edges` where its format packs it, else 128 bits of `probe`.

    Pictures that are not compressed, as TIFF may be, have the ends of any other of their size.
    """
    if path.suffix.lower() in _ENDS_TELL:
        return file_edges(path)
    size, digest = probe(path)
    return size, digest[:32]


def probe(path: Path, places: int = PROBES, nbytes: int = EDGE) -> tuple[int, str]:
    """Size of a file in bytes, and SHA-256 (hex) of it: of all of it where it is short, else of places spread over it.

    Uncompressed images of one grid have the same size and header; the places between see their values. Two files that
    are equal but for something smaller than the distance of two places are taken for one.

    Args:
        path: of the file.
        places: where it is read, evenly from its beginning to its end.
        nbytes: that are read at each; a file of no more than all of them is read whole.

    Raises:
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        return size, probe_bytes(read, size, places, nbytes)


def probe_bytes(read: Callable[[int, int], bytes], size: int, places: int = PROBES, nbytes: int = EDGE) -> str:
    """The digest of `probe`, of what is no file by itself.

    Args:
        read: offset and number of bytes → these bytes.
        size: of it in bytes.
        places: where it is read, as for `probe`.
        nbytes: that are read at each.
    """
    digest = hashlib.sha256()
    if size <= places * nbytes:
        digest.update(read(0, size))
    else:
        for number in range(places):
            digest.update(read((size - nbytes) * number // (places - 1), nbytes))
    return digest.hexdigest()


def probe_digest(path: Path) -> str:
    """What tells a file by `probe`: its size, and 128 bits of the digest."""
    size, digest = probe(path)
    return f"{size}-{digest[:32]}"


def probe_digests(paths: Iterable[Path]) -> list[str | None]:
    """`probe_digest` of many files, in order, some of them at once; None of one that is none or cannot be opened."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(_probed, paths))


def _probed(path: Path) -> str | None:
    try:
        return probe_digest(path) if path.is_file() else None  # a pipe would be waited for
    except OSError:
        return None
