"""Samples of remote corpora of which only a box is read: their chunks are fetched, and nothing else of them.

An array's frame has its header with the checksums in front and the index of its chunks at the end. Both come with one
round trip, the chunks of the box with another; for a sample that is small beside the network's speed one round trip for
all of it is faster.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable
from pathlib import Path

from voxtile.corpus.remote.announcing import ENDS, LARGEST_SHARE, MOST_WHOLE
from voxtile.corpus.remote.payloads import remote_parts, remote_size

_MEMBER_HEADER = 512  # of a tar member, which stands before its bytes
_SIZES = struct.Struct(">ixQ6xqxq")  # from byte 11 of a frame: header, frame, array, chunks (README_CFRAME_FORMAT.rst)


class PartialPayload:
    """A payload in memory, with zeros where nothing was fetched; who reads it says first what is needed.

    Args:
        path: of the shard, in the corpus's mirror.
        offset: of the first byte.
        nbytes: how many there are.

    Raises:
        StoreError: the ends cannot be read.
    """

    def __init__(self, path: Path, offset: int, nbytes: int) -> None:
        self._path, self._start = path, max(0, offset - _MEMBER_HEADER)
        self._skipped = offset - self._start
        self._memory = mmap.mmap(-1, self._skipped + nbytes)  # pages that nothing is written to take no memory
        self._bytes = memoryview(self._memory)
        self._there: list[tuple[int, int]] = []
        self._nbytes = nbytes
        self._fetch([(0, self._skipped + min(nbytes, ENDS)), (self._skipped + max(0, nbytes - ENDS), len(self._bytes))])
        header, _, _, data = _SIZES.unpack(self.frame[11 : 11 + _SIZES.size])
        if 0 < header <= nbytes and 0 <= data <= nbytes - header:  # else the check of the header refuses it
            self.need([(0, header), (header + data, nbytes)])

    @property
    def member_header(self) -> bytes:
        """What stands before the payload in the tar."""
        return bytes(self._bytes[: self._skipped])

    @property
    def frame(self) -> memoryview:
        """The payload."""
        return self._bytes[self._skipped :].toreadonly()

    def need(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Have ranges of the payload, first byte and the one behind the last of each.

        Raises:
            StoreError: they cannot be read.
        """
        inside = ((max(0, start), min(self._nbytes, stop)) for start, stop in ranges)
        self._fetch([(start + self._skipped, stop + self._skipped) for start, stop in inside if stop > start])

    def _fetch(self, ranges: list[tuple[int, int]]) -> None:
        new = [own for own in ranges if not any(a <= own[0] and own[1] <= b for a, b in self._there)]
        if new:
            at = self._start
            for (start, stop), part in zip(
                new, remote_parts(self._path, [(a + at, b + at) for a, b in new]), strict=True
            ):
                self._bytes[start:stop] = part
            self._there += new


def is_read_in_part(path: Path, nbytes: int, share: float) -> bool:
    """Whether only what is needed of an array is fetched.

    Args:
        path: of its shard.
        nbytes: of its payload.
        share: of its values that are read.
    """
    return nbytes > MOST_WHOLE and share <= LARGEST_SHARE and not path.exists() and remote_size(path) is not None
