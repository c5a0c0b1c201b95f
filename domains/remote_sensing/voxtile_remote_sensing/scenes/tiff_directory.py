"""The first directory of a TIFF, read beside GDAL for what GDAL does not tell: texts as they stand, missing blocks.

Source: TIFF 6.0, section 2, and the BigTIFF design.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

MAX_ENTRIES = 4096
MAX_VALUES = 1 << 24  # blocks of one band: more than a million by a million pixels in blocks of 256
STRIP_COUNTS, TILE_COUNTS = 279, 325  # StripByteCounts, TileByteCounts
_KINDS = {2: "S1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}  # ASCII, SHORT, LONG, IFD, LONG8, IFD8


@dataclass(frozen=True)
class Entry:
    """One tag: its type, the number of its values, and the field that holds them or says where they are."""

    kind: int
    count: int
    field: bytes


class TiffDirectory:
    """Tags of the first directory.

    Args:
        stream: of the file, which is left open.

    Raises:
        ValueError, struct.error, OSError: the file is damaged, or no TIFF.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        head = stream.read(16)
        if head[:2] not in (b"II", b"MM"):
            raise ValueError("no TIFF")
        self.order = "<" if head[:2] == b"II" else ">"
        self._big = struct.unpack(self.order + "H", head[2:4])[0] == 43
        first = self._number(head[8:16] if self._big else head[4:8])
        stream.seek(first)
        count = struct.unpack(self.order + ("Q" if self._big else "H"), stream.read(8 if self._big else 2))[0]
        layout = struct.Struct(self.order + ("HHQ8s" if self._big else "HHI4s"))
        self.entries: dict[int, Entry] = {}
        for _ in range(min(count, MAX_ENTRIES)):
            tag, kind, length, value = layout.unpack(stream.read(layout.size))
            self.entries.setdefault(tag, Entry(kind, length, value))

    def raw(self, tag: int, most: int) -> bytes | None:
        """Bytes of an ASCII tag, at most `most`; None where it is absent."""
        entry = self.entries.get(tag)
        if entry is None:
            return None
        if entry.count <= len(entry.field):
            return entry.field[: entry.count]
        self._stream.seek(self._number(entry.field))
        return self._stream.read(min(entry.count, most))

    def numbers(self, tag: int) -> npt.NDArray[np.uint64] | None:
        """Whole numbers of a tag; None where it is absent.

        Raises:
            ValueError: there are more than `MAX_VALUES`, or they are no whole numbers.
        """
        entry = self.entries.get(tag)
        if entry is None:
            return None
        if entry.kind not in _KINDS or entry.kind == 2 or entry.count > MAX_VALUES:
            raise ValueError(f"tag {tag} holds {entry.count} values of type {entry.kind}")
        dtype = np.dtype(self.order + _KINDS[entry.kind])
        nbytes = entry.count * dtype.itemsize
        data = entry.field[:nbytes]
        if nbytes > len(entry.field):
            self._stream.seek(self._number(entry.field))
            data = self._stream.read(nbytes)
        return np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype).astype(np.uint64)

    def _number(self, field: bytes) -> int:
        return int(struct.unpack(self.order + ("Q" if self._big else "I"), field)[0])


def block_bytes(path: Path) -> npt.NDArray[np.uint64] | None:
    """Bytes of each block that the first directory lists, in its order; None where it cannot be told.

    A block of no bytes was never written: GDAL gives zeros, or the nodata value, for its pixels.
    """
    try:
        with path.open("rb") as stream:
            directory = TiffDirectory(stream)
            tiles = directory.numbers(TILE_COUNTS)
            return tiles if tiles is not None else directory.numbers(STRIP_COUNTS)
    except (OSError, ValueError, struct.error):  # damaged: GDAL will say so on reading
        return None
