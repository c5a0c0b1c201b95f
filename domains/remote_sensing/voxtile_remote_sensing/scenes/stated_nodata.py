"""The nodata value as a file states it.

GDAL drops a value that the pixel type cannot hold (`nan` for integers) without a word; whoever wrote it meant
something, so it is looked up here: in TIFF tag 42113 (GDAL_NODATA, an ASCII text) and in a VRT's <NoDataValue>.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from voxtile_remote_sensing.scenes.metadata_xml import all_of, parse_xml, text_of

TAG = 42113
MAX_ENTRIES = 4096
MAX_TEXT = 64


def stated_nodata(path: Path, driver: str) -> float | None:
    """The first value that the file states; None where it states none, or in a way that is no number.

    Args:
        path: a local file.
        driver: GDAL's driver for it.
    """
    if driver == "VRT":
        bands = all_of(parse_xml(path, where=path.name), "VRTRasterBand")
        return _number(next((t for t in (text_of(band, "NoDataValue") for band in bands) if t), None))
    if driver != "GTiff":
        return None
    with path.open("rb") as stream:
        try:
            return _number(_tag_text(stream))
        except (struct.error, OSError, ValueError):  # damaged: GDAL will say so on reading
            return None


def _tag_text(stream: BinaryIO) -> str | None:
    """Text of the tag in the first directory (TIFF 6.0, section 2; BigTIFF design)."""
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack(order + "H", head[2:4])[0] == 43
    first = struct.unpack(order + "Q", head[8:16])[0] if big else struct.unpack(order + "I", head[4:8])[0]
    stream.seek(first)
    count = struct.unpack(order + ("Q" if big else "H"), stream.read(8 if big else 2))[0]
    layout = order + ("HHQ8s" if big else "HHI4s")
    size = struct.calcsize(layout)
    for _ in range(min(count, MAX_ENTRIES)):
        tag, _, length, value = struct.unpack(layout, stream.read(size))
        if tag != TAG:
            continue
        if length > len(value):
            stream.seek(struct.unpack(order + ("Q" if big else "I"), value)[0])
            value = stream.read(min(length, MAX_TEXT))
        return bytes(value[:length]).split(b"\x00")[0].decode("ascii", "replace").strip()
    return None


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
