"""Native JPEG tiles as complete files, and their pixels.

A tile inside a TIFF is an abbreviated stream: its quantisation and Huffman tables stand once in the JPEGTables tag, and
whether its three components are RGB or YCbCr is said by the photometric tag, not by the stream. Decoders follow the
Adobe marker (APP14), or guess; so the marker is written as the TIFF means it, before the tables.

Sources: ITU-T T.81 annex B (markers); Adobe Technical Note 5116 (APP14); TIFF Technical Note 2 (JPEGTables).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import simplejpeg

from voxtile_pathology.slides.protocol import Picture

Header: TypeAlias = tuple[bytes, int | None, bytes | None]
"""Marker segments without SOI, JFIF and Adobe; where the scan starts; the payload of the frame header."""

_SOS, _APP0, _APP14 = 0xDA, 0xE0, 0xEE
_LONGEST_KNOWN = 4096  # bytes of a header that is worth remembering
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 … SOF15; the three are DHT, JPG and DAC


class JpegError(ValueError):
    """The bytes are no JPEG that can stand for the tile."""


@dataclass(frozen=True)
class JpegFile:
    """A complete JPEG file.

    Attributes:
        data: from SOI to the end of the scan.
        size: width and height that its frame header states.
        components: 1 grey, 3 colour.
    """

    data: bytes
    size: tuple[int, int]
    components: int


def complete_jpeg(stream: bytes, tables: bytes, *, ycbcr: bool) -> JpegFile:
    """Merge the tables and the colour transform into a tile's stream.

    Args:
        stream: the tile's bytes, abbreviated or complete.
        tables: the JPEGTables tag, or nothing.
        ycbcr: whether three components are YCbCr; otherwise RGB.

    Raises:
        JpegError: the stream is not a JPEG up to its first scan.
    """
    kept, scan, frame = _header(stream)
    if frame is None or scan is None:
        raise JpegError("no JPEG frame")
    height, width, components = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big"), frame[5]
    if components not in (1, 3):
        raise JpegError(f"{components} components")
    head = _prefix(tables, ycbcr) if components == 3 else b"\xff\xd8" + _table_segments(tables)
    return JpegFile(head + kept + stream[scan:], (width, height), components)


def decode_jpeg(jpeg: JpegFile) -> Picture:
    """Pixels [Y, X, 3] with the accurate DCT and smooth chroma, as OpenSlide decodes them.

    Raises:
        JpegError: the data is damaged.
    """
    try:
        pixels: Picture = simplejpeg.decode_jpeg(jpeg.data, "RGB" if jpeg.components == 3 else "GRAY")
    except ValueError as error:
        raise JpegError(str(error)) from error
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)


@lru_cache(maxsize=64)
def _prefix(tables: bytes, ycbcr: bool) -> bytes:
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + (b"\x01" if ycbcr else b"\x00")
    return b"\xff\xd8" + adobe + _table_segments(tables)


@lru_cache(maxsize=64)
def _table_segments(tables: bytes) -> bytes:
    return _segments(tables)[0] if tables else b""


def _header(stream: bytes) -> Header:
    """What `_segments` finds; tiles of a slide mostly have the same header, which is then parsed once."""
    start = stream.find(b"\xff\xda", 2)
    known = _known_header(stream[: start + 4]) if 0 <= start < _LONGEST_KNOWN else None
    return known or _segments(stream)


@lru_cache(maxsize=64)
def _known_header(head: bytes) -> Header | None:
    """The segments of a header; None where what looks like the start of the scan is a part of a segment."""
    try:
        found = _segments(head)
    except JpegError:
        return None
    return None if found[1] is None else found


def _segments(stream: bytes) -> Header:
    """Walk the markers up to the first scan."""
    if stream[:2] != b"\xff\xd8":
        raise JpegError("it does not start as a JPEG")
    kept: list[bytes] = []
    frame: bytes | None = None
    position, end = 2, len(stream)
    while position + 4 <= end:
        if stream[position] != 0xFF:
            raise JpegError("a marker is missing")
        marker = stream[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == _SOS:
            return b"".join(kept), position, frame
        length = int.from_bytes(stream[position + 2 : position + 4], "big")
        segment = stream[position : position + 2 + length]
        if len(segment) < 2 + length or length < 2:
            raise JpegError("a segment is cut short")
        if marker in _FRAMES:
            if length < 8:
                raise JpegError("the frame header is cut short")
            frame = segment[4:]
        if marker not in (_APP0, _APP14):
            kept.append(segment)
        position += 2 + length
    return b"".join(kept), None, frame
