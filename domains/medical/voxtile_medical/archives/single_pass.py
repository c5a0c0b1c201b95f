"""One pass over a compressed tar: each member once, in the order of the archive, nothing kept and nothing on disk."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from voxtile_medical.archives.entries import DAMAGED, ArchiveFault, Entry, EntryNames, refuse_bomb
from voxtile_medical.archives.tar_archive import tar_entry

_FAULTS = (tarfile.TarError, OSError, EOFError, zlib.error, ValueError)
_DETAIL = "the archive is damaged or cut off; copy it again from its source"


def read_once(path: Path, wanted: Callable[[Entry], bool]) -> Iterator[tuple[Entry, bytes]]:
    """Members of a `.tar.gz` as they come.

    Args:
        path: the archive.
        wanted: whether the bytes of a member are needed; those of others are passed over.

    Yields:
        The members that are no folders; no bytes for one that is not wanted or has a reason.

    Raises:
        ArchiveFault: `unreadable-archive`, `damaged-member` or `too-large`, where the fault is met.
    """
    names, packed = EntryNames(), path.stat().st_size
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r|", ignore_zeros=False) as tar:
            while (member := tar.next()) is not None:
                cast(Any, tar).members = []  # else it keeps all of them
                refuse_bomb(packed, member.offset_data + member.size)
                if member.isdir():
                    continue
                entry = tar_entry(member, names)
                yield entry, _content(tar, member) if not entry.reason and wanted(entry) else b""
            while stream.read(1 << 20):  # the checksum stands at the end, behind the padding
                refuse_bomb(packed, stream.tell())
    except _FAULTS as error:
        raise ArchiveFault("unreadable-archive", _DETAIL) from error


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    content = stream.read() if stream is not None else b""
    if len(content) < member.size:
        raise ArchiveFault(DAMAGED, _DETAIL)
    return content
