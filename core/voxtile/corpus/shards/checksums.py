"""Checksums that a frame carries: a bit that flips on a disk or a network is noticed by whoever reads it.

Blosc2 has none of its own: the fingerprint of its trailer is reserved and never filled (README_CFRAME_FORMAT.rst). Ours
stand in a fixed metalayer, which other programs pass over: XXH3-64 (https://xxhash.com) of all that is no chunk, then
of each chunk as it is compressed, 8 bytes each, little-endian; 0 for a chunk without bytes. A crop so checks the chunks
that it reads and no others.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import xxhash

from voxtile.errors import CorpusError

LAYER = "checksums"
WIDTH = 8  # bytes of a checksum
_BINARY = ((0xC4, "B", 1 << 8), (0xC5, "H", 1 << 16), (0xC6, "I", 1 << 32))  # msgpack: code, type of the length, limit
_DAMAGED = "the stored values differ from their checksum, so that the file was damaged after it was written"


def empty_layer(nchunks: int) -> dict[str, bytes]:
    """The metalayer as it is before the frame's bytes are known."""
    return {LAYER: bytes(layer_bytes(nchunks))}


def layer_bytes(nchunks: int) -> int:
    """Length of the checksums."""
    return WIDTH * (1 + nchunks)


def layer_head(nchunks: int) -> bytes:
    """What stands before them: lengths in msgpack, of the layer (bin 32) and of its string (bin 8, 16 or 32)."""
    length = layer_bytes(nchunks)
    code, kind = next((c, k) for c, k, limit in _BINARY if length < limit)
    own = struct.pack(f">B{kind}", code, length)
    return struct.pack(">BI", 0xC6, len(own) + length) + own


def seal(frame: bytes, header_bytes: int, data_bytes: int, offsets: npt.NDArray[np.int64]) -> bytes:
    """Fill in the checksums of a frame that was made with `empty_layer`.

    Args:
        frame: all of it.
        header_bytes: length of its header, at whose end the layer stands.
        data_bytes: length of its chunks.
        offsets: of each chunk from the end of the header; negative for chunks without bytes.
    """
    view = memoryview(frame)
    start = header_bytes - layer_bytes(len(offsets))
    own = [0 if offset < 0 else chunk_checksum(view, header_bytes + offset) for offset in offsets.tolist()]
    chunks = struct.pack(f"<{len(own)}Q", *own)
    around = _checksum_of((view[:start], chunks, view[header_bytes + data_bytes :]))
    return b"".join((view[:start], struct.pack("<Q", around), chunks, view[header_bytes:]))


def check_around(frame: memoryview, header_bytes: int, data_bytes: int, nchunks: int) -> None:
    """Check all that is no chunk.

    Raises:
        CorpusError: it differs from its checksum.
    """
    start = header_bytes - layer_bytes(nchunks)
    parts = (frame[:start], frame[start + WIDTH : header_bytes], frame[header_bytes + data_bytes :])
    if _checksum_of(parts) != int.from_bytes(frame[start : start + WIDTH], "little"):
        raise CorpusError(_DAMAGED)


def check_chunk(frame: memoryview, header_bytes: int, nchunks: int, number: int, offset: int) -> None:
    """Check one chunk; its own header must have been checked to lie inside the frame.

    Raises:
        CorpusError: it differs from its checksum.
    """
    place = header_bytes - WIDTH * (nchunks - number)
    if chunk_checksum(frame, header_bytes + offset) != int.from_bytes(frame[place : place + WIDTH], "little"):
        raise CorpusError(_DAMAGED)


def chunk_checksum(frame: memoryview, start: int) -> int:
    """Checksum of the chunk that starts here; bytes 12 to 15 of its header say how long it is."""
    stored = int.from_bytes(frame[start + 12 : start + 16], "little")
    return xxhash.xxh3_64_intdigest(frame[start : start + stored])


def _checksum_of(parts: Iterable[bytes | memoryview]) -> int:
    digest = xxhash.xxh3_64()
    for part in parts:
        digest.update(part)
    return digest.intdigest()
