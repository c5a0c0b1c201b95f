"""Deflated files (PS3.5 A.5), a few of which unpack to more than any machine has: unpacked as far as is asked for."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

from voxtile_medical.verdicts import Verdict


def inflate(packed: bytes, most: int) -> bytes:
    """At most the first `most` bytes of a deflated dataset.

    Raises:
        zlib.error: the stream is damaged.
    """
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most)


def check_inflated_size(stream: BinaryIO, most: int) -> None:
    """Refuse a deflated file that unpacks to more than `most` bytes, without keeping what is unpacked.

    Raises:
        Verdict: `too-large`.
    """
    stream.seek(132)
    group_length = struct.unpack("<I", stream.read(12)[8:12])[0]
    stream.seek(144 + group_length)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    total, pending = 0, b""
    while chunk := pending or stream.read(1 << 20):
        total += len(inflater.decompress(chunk, 1 << 24))
        pending = inflater.unconsumed_tail
        if total > most:
            raise Verdict("too-large", f"the deflated file unpacks to more than {most >> 20} MiB; check its source")
